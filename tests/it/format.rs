//! The on-disk format: `docs/FORMAT.md` is enough to read a directory, and a directory written by
//! each released version opens for ever.

mod journal;
mod page;
mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millstream::{DeadLetter, Entry, EntryId, Exhausted, NewEntry, Redriven, Start, Stream};

use journal::{Bytes, Snapshot, events, snapshot};
use page::{Frame, Layout, Letter, Segment, Stored, code, entries, nth_table, salted};
use sample::{AUDITED, BATCHED, HOUR, InTurn, READ, SINGLE, THROUGH, TRIMMED, clock};

/// What [`sample::write`] left, seen by whoever opens it.
fn check_sample(dir: &Path, clean: bool) {
    // One entry was appended behind the last flush, and the kernel still had it.
    let entries = SINGLE + BATCHED - TRIMMED + u64::from(!clean);
    let stream = Stream::options().clock(clock()).open_existing(dir.join("orders")).unwrap();
    assert_eq!(stream.recovery().is_clean(), clean);
    assert_eq!(stream.partitions(), 2);
    stream.verify().unwrap();
    let found = all(&stream);
    assert_eq!(found.len() as u64, entries);
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
    assert_eq!(info.lag, entries - READ + 9);
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
    let parked = group.parked(9).unwrap();
    assert_eq!((parked.len(), parked[0].reason.as_deref()), (1, Some("bad")));
    check_audit(&stream, dir);
    stream.append("the next").unwrap();
}

/// The group with a filter goes on from where it was paused, and gives up to the same stream.
fn check_audit(stream: &Stream, dir: &Path) {
    let letters = Stream::options().clock(clock()).open_existing(dir.join("letters")).unwrap();
    letters.verify().unwrap();
    let target = Exhausted::DeadLetter(letters.clone());
    let group = stream.group("audit").on_exhausted(target).open_existing().unwrap();
    let info = group.info().unwrap();
    assert_eq!((info.acked, info.dead_lettered, info.exhausted), (AUDITED - 2, 1, 0));
    assert_eq!(info.filter, ["order.*", "refund.>"]);
    let worker = group.join("auditor").unwrap();
    assert!(worker.try_read(1000).unwrap().is_empty(), "it is paused");
    group.resume().unwrap();
    let batch = worker.try_read(1).unwrap();
    assert_eq!(batch.iter().next().unwrap().subject(), Some("order.created"));
    for delivery in batch {
        delivery.reject("not now").unwrap();
    }
    let told = all(&letters);
    let reasons: Vec<_> = told.iter().filter_map(DeadLetter::of).collect();
    let reasons: Vec<_> = reasons.iter().map(DeadLetter::reason).collect();
    assert_eq!(reasons, [Some("no such customer"), Some("not now")]);
    assert_eq!(told[0].header("trace"), told[0].key());
    let again = letters.append_unique("again", "once", HOUR).unwrap();
    assert_eq!((again.duplicate, again.id), (true, told[1].id()));
    let mender = letters.group("mender").open_existing().unwrap();
    assert_eq!(mender.info().unwrap().delayed, 1);
}

/// All entries of a stream.
fn all(stream: &Stream) -> Vec<Entry> {
    stream.reader(Start::Earliest).unwrap().until_now().read(1000).unwrap().into_iter().collect()
}

/// Values of a manifest by the names of their fields.
type Named = BTreeMap<String, String>;

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
        let sample = sample::write(&path);
        let _ = fs::remove_dir_all(data("v1", how));
        if how == "killed" {
            sample.stream.sync().unwrap();
            sample.stream.append("order 100").unwrap();
            copy(&path, &data("v1", how));
        } else {
            sample.close();
            copy(&path, &data("v1", how));
        }
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
    let sample = sample::write(&path);
    let expected = [0, 1].map(|partition| stored(&sample.stream, partition));
    sample.close();
    let (identity, _) = manifest(&path);
    for (partition, expected) in (0..).zip(expected) {
        let segments = segments(&path.join(format!("orders/p{partition}")));
        assert!(segments.last().unwrap().sequence > 1, "the sample rolls");
        check_chain(&segments, identity, 1, partition);
        let frames = segments.iter().flat_map(|segment| &segment.frames[1..]);
        assert_eq!(frames.flat_map(entries).collect::<Vec<_>>(), expected);
    }
}

/// A partition's entries as the crate reads them.
fn stored(stream: &Stream, partition: u32) -> Vec<Stored> {
    let all = all(stream);
    let own = all.iter().filter(|entry| entry.id().partition() == partition);
    own.map(|entry| Stored {
        offset: entry.id().offset(),
        time: micros(entry.timestamp()),
        payload: entry.payload().to_vec(),
        subject: entry.subject().map(|subject| subject.as_bytes().to_vec()),
        key: entry.key().map(<[u8]>::to_vec),
        headers: entry
            .headers()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
            .collect(),
        due: entry.due().map(micros),
        unique_key: entry.unique_key().map(<[u8]>::to_vec),
        letter: DeadLetter::of(entry).map(|letter| Letter {
            origin: (letter.origin().partition().into(), letter.origin().offset()),
            attempts: letter.attempts().into(),
            times: [letter.first_delivered(), letter.last_delivered()]
                .map(|time| micros(time.unwrap())),
            texts: [Some(letter.group()), letter.consumer(), letter.reason()]
                .map(|text| text.unwrap_or_default().to_owned()),
        }),
        addressee: None,
    })
    .collect()
}

fn micros(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// Reads the sample's manifests; gives the numbers of its stream and of the dead letters'.
fn manifest(dir: &Path) -> (u64, u64) {
    let [(stream, groups), (letters, menders)] = ["orders", "letters"]
        .map(|name| manifest_of(&fs::read(dir.join(name).join("manifest")).unwrap()));
    assert_eq!(letters["retention_bytes"], "none");
    assert_eq!((menders.len(), &*menders[0]["name"]), (1, "mender"));
    let year = (HOUR * 24 * 365).as_micros().to_string();
    let expected = [
        ("partitions", "2"),
        ("segment_bytes", "4096"),
        ("durability", "0"),
        ("settled", "0"),
        ("retention_bytes", "1073741824"),
        ("retention_age", &year),
        ("retention_entries", "1048576"),
        ("retention_idle", "3600000000"),
        ("next_group", "4"),
        ("addressed", "[]"),
        ("unique_max", "1000000"),
    ];
    for (field, value) in expected {
        assert_eq!(stream[field], value, "{field}");
    }
    assert_eq!(groups.len(), 3);
    for (group, name) in groups.iter().zip(["shipping", "billing", "audit"]) {
        manifest_group(group, name, &letters["stream"]);
    }
    (stream["stream"].parse().unwrap(), letters["stream"].parse().unwrap())
}

/// The fields of a manifest by their names, and those of its groups.
fn manifest_of(bytes: &[u8]) -> (Named, Vec<Named>) {
    let layout = Layout::of("Manifest");
    assert_eq!(layout.slice(bytes, "magic"), b"MILLMAN\0");
    assert_eq!(layout.number(bytes, "version"), 1);
    let summed = [layout.slice(bytes, "version"), &bytes[16..]].concat();
    assert_eq!(layout.number(bytes, "sum"), u64::from(crc32fast::hash(&summed)));
    let body = layout.rest(bytes, "body");
    assert_eq!(layout.number(bytes, "length"), body.len() as u64);
    let mut body = Bytes(body);
    let mut groups = Vec::new();
    let stream = fields(&mut body, 1, &mut groups);
    assert!(body.0.is_empty(), "{} bytes follow", body.0.len());
    (stream, groups)
}

/// The fields that the manifest's nth table lists; a list is one of groups.
fn fields(body: &mut Bytes<'_>, nth: usize, groups: &mut Vec<Named>) -> Named {
    let mut named = Named::new();
    for row in nth_table("Manifest", nth) {
        let value = body.value(&row[1], &row[2]);
        if row[1] == "list" {
            let count = value.parse().unwrap();
            *groups = (0..count).map(|_| fields(body, 2, &mut Vec::new())).collect();
        }
        named.insert(row[0].clone(), value);
    }
    named
}

/// Compares one group of the sample's manifest.
fn manifest_group(found: &Named, group: &str, letters: &str) {
    let letters = format!("2 {letters}");
    let every = [
        ("name", group),
        ("session_timeout", "none"),
        ("max_deliveries", "16"),
        ("max_in_flight", "100000"),
        ("delayed_max", "1000000"),
        ("on_trimmed", "0"),
        ("ack_mode", "0"),
    ];
    let own = match group {
        "shipping" => [
            ("number", "1"),
            ("starts", "[0 0]"),
            ("filter", "[]"),
            ("lease", "3600000000"),
            ("backoff", "1 100000 30000000"),
            ("jitter", "0"),
            ("seed", "none"),
            ("on_exhausted", "0"),
            ("max_in_flight_bytes", "18446744073709551615"),
            ("strategy", "5 in-turn"),
            ("revocation_timeout", "45000000"),
        ],
        "billing" => [
            ("number", "2"),
            ("starts", "[43 0]"),
            ("filter", "[]"),
            ("lease", "30000000"),
            ("backoff", "0 3600000000"),
            ("jitter", "0"),
            ("seed", "none"),
            ("on_exhausted", "0"),
            ("max_in_flight_bytes", "18446744073709551615"),
            ("strategy", "0"),
            ("revocation_timeout", "60000000"),
        ],
        _ => [
            ("number", "3"),
            ("starts", "[43 0]"),
            ("filter", "[order.* refund.>]"),
            ("lease", "30000000"),
            ("backoff", "2 [1000000 60000000]"),
            ("jitter", "250"),
            ("seed", "7"),
            ("on_exhausted", &letters),
            ("max_in_flight_bytes", "1048576"),
            ("strategy", "0"),
            ("revocation_timeout", "60000000"),
        ],
    };
    for (field, value) in every.into_iter().chain(own) {
        assert_eq!(found[field], value, "{field} of {group}");
    }
}

#[test]
fn the_page_is_enough_to_read_a_groups_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let sample = sample::write(&path);
    let acked = sample.billing.info().unwrap().acked;
    sample.close();
    let (identity, _) = manifest(&path);
    let (snapshot, told) = journal(&path, identity, 2);
    let count = |name: &str| -> u64 {
        let of = told.iter().filter(|(event, _)| event == name);
        of.map(|(_, fields)| fields.get(2).copied().unwrap_or(1)).sum()
    };
    assert_eq!(snapshot.totals[0] + count("acked"), acked);
    assert_eq!(snapshot.parked.len() as u64 + count("parked"), 1);
    let members = told.iter().filter(|(event, _)| event == "joined").count();
    assert_eq!(snapshot.members.len() + members, 1);
    let passed = snapshot.cursors.iter().sum::<u64>() + count("handed out");
    assert_eq!(passed, TRIMMED + READ);
    let leased: u64 = snapshot.runs.iter().filter(|(state, _)| *state == 2).map(|(_, n)| n).sum();
    assert!(leased <= READ);
}

/// The newest snapshot of a group's journal, and the events behind it.
fn journal(path: &Path, identity: u64, number: u64) -> (Snapshot, Vec<(String, Vec<u64>)>) {
    journal_of(&path.join(format!("orders/g{number}")), identity)
}

fn journal_of(path: &Path, identity: u64) -> (Snapshot, Vec<(String, Vec<u64>)>) {
    let segments = segments(path);
    let number = path.file_name().unwrap().to_str().unwrap()[1..].parse().unwrap();
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
    let sample = sample::write(&path);
    let shipping = sample.stream.group("shipping").open_existing().unwrap();
    let generation = shipping.info().unwrap().generation;
    sample.close();
    let (identity, _) = manifest(&path);
    let (_, told) = journal(&path, identity, 1);
    let of = |name: &str| -> Vec<&[u64]> {
        told.iter().filter(|(event, _)| event == name).map(|(_, fields)| &fields[..]).collect()
    };
    assert_eq!(of("trimmed before they were settled"), [[0, 0, TRIMMED]]);
    assert_eq!(of("settled through an offset"), [[1, THROUGH, 0]]);
    assert_eq!(of("reset"), [[0, 0]]);
    assert_eq!(of("evicted from a revoked partition"), [[1, 16, 0, 1_700_000_045_000_000]]);
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
    let path = dir.path().join("orders");
    let stream = Stream::options().clock(clock()).open_existing(path).unwrap();
    let group = stream.group("shipping").strategy(InTurn).open_existing().unwrap();
    let generation = group.info().unwrap().generation;
    let worker = group.join("packer-9").unwrap();
    stream.close().unwrap();
    drop(worker);
    let (identity, _) = manifest(dir.path());
    let (snapshot, told) = journal(dir.path(), identity, 1);
    assert_eq!(snapshot.former, ["packer-1", "packer-2"]);
    assert_eq!(snapshot.owners, [(0, 1), (0, 2)], "nobody, and who it was");
    assert_eq!(snapshot.generation, generation);
    assert!(told.iter().any(|(event, fields)| event == "round" && fields[0] == generation + 1));
}

#[test]
fn the_page_is_enough_to_read_what_was_given_up_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let sample = sample::write(&path);
    let expected = stored(&sample.letters, 0);
    let open = |dir: &Path| {
        let (stream, letters) = manifest(dir);
        let (snapshot, told) = journal(dir, stream, 3);
        (letters, snapshot, told)
    };
    sample.close();
    let (letters, _, told) = open(&path);
    let of = |name: &str| -> Vec<&[u64]> {
        told.iter().filter(|(event, _)| event == name).map(|(_, fields)| &fields[..]).collect()
    };
    let [id] = of("exhausted, to go to the dead letters")[..] else { panic!("one was") };
    let intent = [id, &[letters, 0, 0][..]].concat();
    assert_eq!(of("its dead letter is about to be appended"), [intent]);
    assert_eq!(of("dead-lettered"), [id]);
    let passed = of("passed by its filter");
    assert!(passed.iter().all(|passed| passed[2] == 0), "nothing is counted: {passed:?}");
    assert!(!passed.is_empty());
    let time = 1_700_000_045_000_000;
    assert_eq!(of("hand-outs stop or go on"), [[2, 3_600_000_000, time]]);
    assert!(of("handed out").iter().all(|fields| fields[5] == time));

    let segments = segments(&path.join("letters/p0"));
    let found: Vec<_> = segments[0].frames[1..].iter().flat_map(entries).collect();
    assert_eq!(found, expected);
    assert_eq!(found[1].due, Some(time + 3_600_000_000));
    assert_eq!(found[1].unique_key.as_deref(), Some(&b"once"[..]));
    let (_, mended) = journal_of(&path.join("letters/g1"), letters);
    let deferred = mended.iter().find(|(event, _)| event.starts_with("deferred")).unwrap();
    assert_eq!(deferred.1, [0, 1, 1, 3_600_000_000, time]);
    let letter = found[0].letter.as_ref().unwrap();
    assert_eq!((letter.origin, letter.attempts), ((id[0], id[1]), 1));
    assert_eq!(letter.texts, ["audit", "auditor", "no such customer"]);

    // What was not closed begins a new segment, with a snapshot, once it is opened and read.
    let dir = tempfile::tempdir().unwrap();
    copy(&data("v1", "killed"), dir.path());
    let options = || Stream::options().clock(clock());
    let stream = options().open_existing(dir.path().join("orders")).unwrap();
    for group in ["audit", "billing"] {
        stream.group(group).open_existing().unwrap().join("me").unwrap().leave().unwrap();
    }
    stream.close().unwrap();
    let (_, audit, _) = open(dir.path());
    assert_eq!((audit.totals[10], audit.pause), (1, [2, 3_600_000_000].to_vec()));
    assert_eq!(audit.failed.len(), 1, "the nacked one");
    assert!(audit.exhausted.is_empty(), "its letter is safe");
    let (billing, _) = journal(dir.path(), manifest(dir.path()).0, 2);
    assert_eq!((&*billing.parked[0].1, &billing.pause), ("bad", &vec![0]));
    assert_eq!(billing.parked[0].0[4], time, "when it was parked");
}

#[test]
fn the_page_is_enough_to_read_what_waits_for_its_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Stream::options().in_memory().unwrap();
    let options = || Stream::options().segment_bytes(4096).clock(clock());
    let stream = options().create(dir.path().join("orders")).unwrap();
    for n in 0..9_u8 {
        stream.append(&[n; 900][..]).unwrap();
    }
    let target = Exhausted::DeadLetter(letters.clone());
    let group = stream.group("g").on_exhausted(target).open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    worker.try_read(1).unwrap().into_iter().next().unwrap().reject("bad").unwrap();
    let letter = all(&letters).remove(0);
    let gone = stream.trim_before(EntryId::new(0, 5)).unwrap();
    assert!(gone > 1);
    let again = group.redrive_letter(&letter).unwrap();
    assert_eq!(again, Redriven::Appended(EntryId::new(0, 9)));
    letters.close().unwrap();
    worker.try_read(1).unwrap().into_iter().next().unwrap().reject("worse").unwrap();
    assert_eq!(group.info().unwrap().exhausted, 1);

    // A killed process leaves this, and what opens it writes a snapshot.
    let alive = stream;
    let killed = dir.path().join("killed/orders");
    copy(&dir.path().join("orders"), &killed);
    let stream = options().open_existing(&killed).unwrap();
    let other = stream.group("g").open_existing().unwrap().join("other").unwrap();
    stream.close().unwrap();
    drop(other);
    let segments = segments(&killed.join("p0"));
    let found: Vec<_> = segments.iter().flat_map(|s| &s.frames[1..]).flat_map(entries).collect();
    let addressees: Vec<_> = found.iter().filter_map(|entry| entry.addressee).collect();
    let (manifest, _) = manifest_of(&fs::read(killed.join("manifest")).unwrap());
    assert!(manifest["addressed"].starts_with("[0:9-"), "{}", manifest["addressed"]);
    assert_eq!((addressees, found.last().unwrap().payload.len()), (vec![1], 900));
    let (snapshot, _) = journal(&dir.path().join("killed"), segments[0].stream, 1);
    let [waiting] = &snapshot.exhausted[..] else { panic!("one waits") };
    let time = 1_700_000_000_000_000;
    assert_eq!(waiting.numbers, [0, gone, time, time, 0]);
    assert_eq!(waiting.texts, ["worker", "worse"]);
    assert_eq!((snapshot.totals[10], &snapshot.runs[..]), (1, &[(6, 1)][..]));

    // One that lives writes a snapshot when a segment of the journal is full.
    for _ in 0..60 {
        group.pause().unwrap();
        group.resume().unwrap();
    }
    alive.close().unwrap();
    let (snapshot, _) = journal(dir.path(), segments[0].stream, 1);
    assert_eq!(snapshot.leases[2..], [time], "one for all leases");
    assert_eq!(snapshot.exhausted.len(), 1);
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
    sample::write(&path).close();
    let file = path.join("orders/p1/0000000001.seg");
    let whole = Segment::read(&file).frames.len();
    let mut bytes = fs::read(&file).unwrap();
    bytes[300] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(Segment::read(&file).frames.len() < whole);
}
