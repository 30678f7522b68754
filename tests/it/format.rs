//! The on-disk format: `docs/FORMAT.md` is enough to read a directory, and a directory written by
//! each released version opens for ever.

mod journal;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millstream::assign::{Assign, Assignment, Handover, View};
use millstream::{Backoff, Consumer, EntryId, Group, ManualClock, NewEntry, Start, Stream};

use journal::{Bytes, Snapshot, events, snapshot};
use page::{Frame, Layout, Segment, Stored, code, entries, nth_table, salted};

/// Entries that the sample stream has, by the way they were appended.
const SINGLE: u64 = 100;
const BATCHED: u64 = 30;
const READ: u64 = 60;
/// Entries that were trimmed before the group `billing` was made.
const TRIMMED: u64 = 46;
/// Entries that the group `shipping` settled through an id.
const THROUGH: u64 = 4;
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(45);

fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// A strategy of the user's own: partitions in turn, one after the other.
#[derive(Debug)]
struct InTurn;

impl Assign for InTurn {
    fn name(&self) -> &'static str {
        "in-turn"
    }

    fn handover(&self) -> Handover {
        Handover::Cooperative
    }

    fn assign(&self, view: &View) -> Assignment {
        let members = view.members().len();
        Assignment::Owners((0..view.partitions() as usize).map(|p| p % members).collect())
    }
}

/// A group whose members own partitions, and to which happens all that can happen to such.
fn write_shipping(stream: &Stream, clock: &ManualClock) -> Vec<Consumer> {
    let hour = Duration::from_secs(3600);
    let options = stream.group("shipping").strategy(InTurn).lease(hour);
    let options = options.revocation_timeout(REVOCATION_TIMEOUT);
    let group = options.create(Start::Earliest).unwrap();
    let first = group.join("packer-1").unwrap();
    assert_eq!(first.ack_through(EntryId::new(1, THROUGH - 1)).unwrap(), THROUGH);
    let held = first.try_read(200).unwrap();
    // Partition 1 goes to the second member once the first had time enough to let go of it.
    let second = group.join("packer-2").unwrap();
    clock.advance(REVOCATION_TIMEOUT);
    second.heartbeat().unwrap();
    assert_eq!(second.assignment().unwrap(), [1]);
    assert!(!held.ack_all().unwrap().is_complete(), "partition 1 was lost");
    group.reset_partition(0, Start::Earliest).unwrap();
    assert_eq!(stream.trim_before(EntryId::new(0, 53)).unwrap(), TRIMMED);
    assert_eq!(group.info().unwrap().trimmed.entries(), TRIMMED);
    vec![first, second]
}

/// A stream with something of everything. What is returned keeps leases and memberships.
fn write_sample(dir: &Path) -> (Stream, Group, Vec<Consumer>) {
    let clock = clock();
    let options = Stream::options().partitions(2).segment_bytes(4096).clock(clock.clone());
    let stream = options.create(dir).unwrap();
    for n in 0..SINGLE {
        let (text, key) = (format!("order {n}"), format!("customer-{}", n % 7));
        let full = NewEntry::new(&text).subject("order.created").key(&key).header("trace", &key);
        let _id = if n % 2 == 0 { stream.append(full) } else { stream.append(&text) }.unwrap();
    }
    let texts: Vec<String> = (0..BATCHED).map(|n| format!("batched {n}")).collect();
    stream.append_batch(texts.iter().map(|text| NewEntry::new(text).key("k"))).unwrap();

    let mut members = write_shipping(&stream, &clock);
    let backoff = Backoff::fixed(Duration::from_secs(3600));
    let group = stream.group("billing").backoff(backoff).open(Start::Earliest).unwrap();
    let worker = group.join("worker-1").unwrap();
    let batch = worker.try_read(u32::try_from(READ).unwrap()).unwrap();
    for (n, delivery) in batch.into_iter().enumerate() {
        match n {
            0 => delivery.nack().unwrap(),
            1 => delivery.reject("bad").unwrap(),
            2..10 => drop(delivery.detach()),
            _ => delivery.ack().unwrap(),
        }
    }
    members.push(worker);
    (stream, group, members)
}

/// What [`write_sample`] left, seen by whoever opens it.
fn check_sample(dir: &Path, clean: bool) {
    // One entry was appended behind the last flush, and the kernel still had it.
    let all = SINGLE + BATCHED - TRIMMED + u64::from(!clean);
    let stream = Stream::options().clock(clock()).open_existing(dir).unwrap();
    assert_eq!(stream.recovery().is_clean(), clean);
    assert_eq!(stream.partitions(), 2);
    stream.verify().unwrap();
    let found: Vec<_> = stream
        .reader(Start::Earliest)
        .unwrap()
        .until_now()
        .read(1000)
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(found.len() as u64, all);
    let order = found.iter().find(|entry| entry.payload() == b"order 98").unwrap();
    assert_eq!(order.key(), Some(&b"customer-0"[..]));
    assert_eq!(order.subject(), Some("order.created"));
    assert_eq!(order.header("trace"), Some(&b"customer-0"[..]));
    assert_eq!(order.timestamp(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));

    assert!(stream.group("shipping").open_existing().is_err(), "its strategy is not passed");
    let shipping = stream.group("shipping").strategy(InTurn).open_existing().unwrap();
    let info = shipping.info().unwrap();
    assert_eq!(
        (info.strategy.as_str(), info.trimmed.entries(), info.members.len()),
        ("in-turn", TRIMMED, 0)
    );
    assert_eq!(shipping.join("packer-2").unwrap().assignment().unwrap(), [0, 1]);

    let group = stream.group("billing").open_existing().unwrap();
    let info = group.info().unwrap();
    assert_eq!((info.acked, info.parked, info.delayed, info.leased), (READ - 10, 1, 1, 0));
    assert_eq!(info.lag, all - READ + 9);
    let worker = group.join("worker-1").unwrap();
    let mut again = 0;
    loop {
        let batch = worker.try_read(1000).unwrap();
        if batch.is_empty() {
            break;
        }
        again += batch.iter().filter(|held| held.attempt() == 2).count();
        assert!(batch.ack_all().unwrap().is_complete());
    }
    assert_eq!(again, 8);
    assert_eq!(group.lag().unwrap(), 1);
    stream.append("the next").unwrap();
}

fn data(version: &str, how: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version).join(how)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &to);
        } else {
            fs::copy(file.path(), to).unwrap();
        }
    }
}

#[test]
fn directories_of_released_versions_open() {
    for (how, clean) in [("closed", true), ("killed", false)] {
        let dir = tempfile::tempdir().unwrap();
        copy(&data("v1", how), dir.path());
        check_sample(dir.path(), clean);
    }
}

#[test]
#[ignore = "writes the directories that the other tests read; run once for each format"]
fn write_the_directories_of_this_version() {
    for how in ["closed", "killed"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample");
        let (stream, group, members) = write_sample(&path);
        if how == "killed" {
            stream.sync().unwrap();
            stream.append("order 100").unwrap();
        } else {
            stream.close().unwrap();
        }
        copy(&path, &data("v1", how));
        drop((group, members));
    }
}

/// The segments in a log's directory, in order.
fn segments(dir: &Path) -> Vec<Segment> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    let segments: Vec<_> = paths.iter().map(|path| Segment::read(path)).collect();
    for (path, segment) in paths.iter().zip(&segments) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("{:010}.seg", segment.sequence));
    }
    segments
}

/// Checks that the segments of one log follow each other, and that the last was closed.
fn check_chain(segments: &[Segment], stream: u64, kind: u64, number: u64) {
    let opening = Layout::of("Opening");
    let mut before = None;
    for segment in segments {
        assert_eq!((segment.stream, segment.kind, segment.number), (stream, kind, number));
        let first = &segment.frames[0];
        assert_eq!(first.kind, code("Frame", 1, "opening"));
        assert_eq!(first.body.len(), opening.bytes);
        let said = ["previous_end", "previous_salt"].map(|f| opening.number(&first.body, f));
        // What a trim took is not there to compare with.
        let known = before.or_else(|| (segment.sequence == 1).then_some((0, 0)));
        assert!(known.is_none_or(|known| known == (said[0], said[1])));
        before = Some((segment.end as u64, segment.salt));
        assert_eq!(segment.check_footer(), Some(segment.bytes.len()), "cut behind its footer");
        let follow = segment.frames.windows(2);
        assert!(follow.into_iter().all(|two| two[0].offset + two[0].count == two[1].offset));
    }
    let last = segments.last().unwrap();
    let end = last.frames.last().unwrap();
    assert_eq!(last.floor, (end.offset + end.count, last.end as u64), "a footer at the floor");
}

#[test]
fn the_page_is_enough_to_read_the_entries() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let (stream, _group, _members) = write_sample(&path);
    let expected: Vec<Vec<Stored>> = (0..2).map(|partition| stored(&stream, partition)).collect();
    stream.close().unwrap();
    let identity = manifest(&fs::read(path.join("manifest")).unwrap());
    for (partition, expected) in (0..).zip(expected) {
        let segments = segments(&path.join(format!("p{partition}")));
        assert!(segments.last().unwrap().sequence > 1, "the sample rolls");
        check_chain(&segments, identity, 1, partition);
        let frames = segments.iter().flat_map(|segment| &segment.frames[1..]);
        assert_eq!(frames.flat_map(entries).collect::<Vec<_>>(), expected);
    }
}

/// A partition's entries as the crate reads them.
fn stored(stream: &Stream, partition: u32) -> Vec<Stored> {
    let all = stream.reader(Start::Earliest).unwrap().until_now().read(1000).unwrap();
    let own = all.iter().filter(|entry| entry.id().partition() == partition);
    own.map(|entry| Stored {
        offset: entry.id().offset(),
        time: u64::try_from(since_1970(entry.timestamp()).as_micros()).unwrap(),
        payload: entry.payload().to_vec(),
        subject: entry.subject().map(|subject| subject.as_bytes().to_vec()),
        key: entry.key().map(<[u8]>::to_vec),
        headers: entry
            .headers()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
            .collect(),
    })
    .collect()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// Reads a manifest of the sample; gives the stream's identity.
fn manifest(bytes: &[u8]) -> u64 {
    let layout = Layout::of("Manifest");
    assert_eq!(layout.slice(bytes, "magic"), b"MILLMAN\0");
    assert_eq!(layout.number(bytes, "version"), 1);
    let summed = [layout.slice(bytes, "version"), &bytes[16..]].concat();
    assert_eq!(layout.number(bytes, "sum"), u64::from(crc32fast::hash(&summed)));
    let body = layout.rest(bytes, "body");
    assert_eq!(layout.number(bytes, "length"), body.len() as u64);
    let mut body = Bytes(body);
    let mut identity = 0;
    for name in names_of(1) {
        match name.as_str() {
            "addressed" => assert_eq!(body.varint(), 0, "how many"),
            "stream" => identity = body.varint(),
            "partitions" => assert_eq!(body.varint(), 2),
            "segment_bytes" => assert_eq!(body.varint(), 4096),
            "groups" => {
                assert_eq!(body.varint(), 2, "how many");
                manifest_group(&mut body, "shipping", 1);
                manifest_group(&mut body, "billing", 2);
            }
            _ => drop(body.varint()),
        }
    }
    assert!(body.0.is_empty(), "{} bytes follow", body.0.len());
    identity
}

/// The fields that the manifest's nth table lists.
fn names_of(nth: usize) -> impl Iterator<Item = String> {
    nth_table("Manifest", nth).into_iter().map(|mut row| row.swap_remove(0))
}

/// Reads one group of the sample's manifest.
fn manifest_group(body: &mut Bytes<'_>, group: &str, number: u64) {
    let own = group == "shipping";
    let of = |shipping: u64, billing: u64| if own { shipping } else { billing };
    for name in names_of(2) {
        match name.as_str() {
            "name" => assert_eq!(body.name(), group),
            "number" => assert_eq!(body.varint(), number),
            "starts" => {
                let starts = [body.varint(), body.varint(), body.varint()];
                assert_eq!(starts, [2, of(0, TRIMMED), 0]);
            }
            "session_timeout" => assert_eq!(body.byte(), 0, "unset"),
            "lease" => assert_eq!(body.varint(), of(3600, 30) * 1_000_000),
            "backoff" if own => assert_eq!(body.varint(), 1, "exponential"),
            "backoff" => assert_eq!([body.varint(), body.varint()], [0, 3_600_000_000]),
            "max_deliveries" => assert_eq!(body.varint(), 16),
            "max_in_flight" => assert_eq!(body.varint(), 100_000),
            "strategy" if own => assert_eq!((body.varint(), body.name()), (5, "in-turn".into())),
            "strategy" | "on_trimmed" | "ack_mode" => assert_eq!(body.varint(), 0, "{name}"),
            "revocation_timeout" => assert_eq!(body.varint(), of(45, 60) * 1_000_000),
            _ => drop(body.varint()),
        }
        if own && name == "backoff" {
            assert_eq!([body.varint(), body.varint()], [100_000, 30_000_000]);
        }
    }
}

#[test]
fn the_page_is_enough_to_read_a_groups_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let (stream, group, _members) = write_sample(&path);
    let acked = group.info().unwrap().acked;
    stream.close().unwrap();
    let identity = manifest(&fs::read(path.join("manifest")).unwrap());
    let (snapshot, told) = journal(&path, identity, 2);
    let count = |name: &str| -> u64 {
        let of = told.iter().filter(|(event, _)| event == name);
        of.map(|(_, fields)| fields.get(2).copied().unwrap_or(1)).sum()
    };
    assert_eq!(snapshot.totals[0] + count("acked"), acked);
    assert_eq!(snapshot.parked + count("parked"), 1);
    let members = told.iter().filter(|(event, _)| event == "joined").count();
    assert_eq!(snapshot.members.len() + members, 1);
    let passed = snapshot.cursors.iter().sum::<u64>() + count("handed out");
    assert_eq!(passed, TRIMMED + READ);
    let leased: u64 = snapshot.runs.iter().filter(|(state, _)| *state == 2).map(|(_, n)| n).sum();
    assert!(leased <= READ);
}

/// The newest snapshot of a group's journal, and the events behind it.
fn journal(path: &Path, identity: u64, number: u64) -> (Snapshot, Vec<(String, Vec<u64>)>) {
    let segments = segments(&path.join(format!("g{number}")));
    let newest = segments.last().unwrap();
    assert_eq!((newest.stream, newest.kind, newest.number), (identity, 2, number));
    assert_eq!(newest.check_footer(), Some(newest.bytes.len()));
    let of = |kind: &str| {
        let kind = code("Frame", 1, kind);
        newest.frames.iter().filter(move |frame| frame.kind == kind)
    };
    assert!(newest.frames[0].more, "the snapshot belongs to the opening");
    let whole: Vec<u8> = of("snapshot").flat_map(|frame| frame.body.clone()).collect();
    let told = of("plain").flat_map(|frame: &Frame| events(&frame.body)).collect();
    (snapshot(&whole), told)
}

#[test]
fn the_page_is_enough_to_read_what_became_of_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let (stream, _group, _members) = write_sample(&path);
    let generation = stream.group("shipping").open_existing().unwrap().info().unwrap().generation;
    stream.close().unwrap();
    let identity = manifest(&fs::read(path.join("manifest")).unwrap());
    let (_, told) = journal(&path, identity, 1);
    let of = |name: &str| -> Vec<&[u64]> {
        told.iter().filter(|(event, _)| event == name).map(|(_, fields)| &fields[..]).collect()
    };
    assert_eq!(of("trimmed before they were settled"), [[0, 0, TRIMMED]]);
    assert_eq!(of("settled through an offset"), [[1, THROUGH, 0]]);
    assert_eq!(of("reset"), [[0, 0]]);
    assert_eq!(of("evicted from a revoked partition"), [[1, 16, 0]]);
    let rounds = of("round");
    // Generation, what, how long if it ends; then revoked and given, each with its count.
    assert_eq!(rounds[0], [1, 2, 0, 0, 2, 0, 0, 1, 0], "both to the first");
    assert_eq!(rounds[1], [2, 0, 1, 1, 0], "one is revoked");
    assert_eq!(rounds[2], [3, 2, 45_000_000, 0, 1, 1, 1], "and given to the second");
    assert!(generation >= 3);
}

#[test]
fn the_page_is_enough_to_read_who_owned_what() {
    let dir = tempfile::tempdir().unwrap();
    copy(&data("v1", "killed"), dir.path());
    let stream = Stream::options().clock(clock()).open_existing(dir.path()).unwrap();
    let group = stream.group("shipping").strategy(InTurn).open_existing().unwrap();
    let generation = group.info().unwrap().generation;
    let worker = group.join("packer-9").unwrap();
    stream.close().unwrap();
    drop(worker);
    let identity = manifest(&fs::read(dir.path().join("manifest")).unwrap());
    let (snapshot, told) = journal(dir.path(), identity, 1);
    assert_eq!(snapshot.former, ["packer-1", "packer-2"]);
    assert_eq!(snapshot.owners, [(0, 1), (0, 2)], "nobody, and who it was");
    assert_eq!(snapshot.generation, generation);
    assert!(told.iter().any(|(event, fields)| event == "round" && fields[0] == generation + 1));
}

#[test]
fn keys_go_where_the_page_says() {
    for row in page::table("Key to partition") {
        let partitions = row[1].parse().unwrap();
        let stream = Stream::options().partitions(partitions).in_memory().unwrap();
        let id = stream.append(NewEntry::new("").key(row[0].trim_matches('`'))).unwrap();
        assert_eq!(id.partition().to_string(), row[2], "{}", row[0]);
    }
}

#[test]
fn a_damaged_frame_would_be_noticed_by_this_reader() {
    assert_ne!(salted(1, b"x"), salted(2, b"x"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    write_sample(&path).0.close().unwrap();
    let file = path.join("p1/0000000001.seg");
    let whole = Segment::read(&file).frames.len();
    let mut bytes = fs::read(&file).unwrap();
    bytes[300] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(Segment::read(&file).frames.len() < whole);
}
