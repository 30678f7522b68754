//! The on-disk format: `docs/FORMAT.md` is enough to read a directory, and a directory written by
//! each released version opens for ever.

mod journal;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millstream::{Backoff, Consumer, Group, ManualClock, NewEntry, Start, Stream};

use journal::{Bytes, events, snapshot};
use page::{Frame, Layout, Segment, Stored, code, entries, nth_table, salted};

/// Entries that the sample stream has, by the way they were appended.
const SINGLE: u64 = 100;
const BATCHED: u64 = 30;
const READ: u64 = 60;

fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// A stream with something of everything. What is returned keeps the leases.
fn write_sample(dir: &Path) -> (Stream, Group, Consumer) {
    let options = Stream::options().partitions(2).segment_bytes(4096).clock(clock());
    let stream = options.create(dir).unwrap();
    for n in 0..SINGLE {
        let (text, key) = (format!("order {n}"), format!("customer-{}", n % 7));
        let full = NewEntry::new(&text).subject("order.created").key(&key).header("trace", &key);
        let _id = if n % 2 == 0 { stream.append(full) } else { stream.append(&text) }.unwrap();
    }
    let texts: Vec<String> = (0..BATCHED).map(|n| format!("batched {n}")).collect();
    stream.append_batch(texts.iter().map(|text| NewEntry::new(text).key("k"))).unwrap();

    let backoff = Backoff::fixed(Duration::from_secs(3600));
    let group = stream.group("billing").backoff(backoff).open(Start::Earliest).unwrap();
    let worker = group.join("worker-1").unwrap();
    let batch = worker.try_read(u32::try_from(READ).unwrap()).unwrap();
    for (n, delivery) in batch.into_iter().enumerate() {
        match n {
            0 => delivery.nack().unwrap(),
            1 => delivery.reject().unwrap(),
            2..10 => drop(delivery.detach()),
            _ => delivery.ack().unwrap(),
        }
    }
    (stream, group, worker)
}

/// What [`write_sample`] left, seen by whoever opens it.
fn check_sample(dir: &Path, clean: bool) {
    // One entry was appended behind the last flush, and the kernel still had it.
    let all = SINGLE + BATCHED + u64::from(!clean);
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
    let order = found.iter().find(|entry| entry.payload() == b"order 8").unwrap();
    assert_eq!(order.key(), Some(&b"customer-1"[..]));
    assert_eq!(order.subject(), Some("order.created"));
    assert_eq!(order.header("trace"), Some(&b"customer-1"[..]));
    assert_eq!(order.timestamp(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));

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
        let (stream, group, worker) = write_sample(&path);
        if how == "killed" {
            stream.sync().unwrap();
            stream.append("order 100").unwrap();
        } else {
            stream.close().unwrap();
        }
        copy(&path, &data("v1", how));
        drop((group, worker));
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
    let mut before = (0, 0);
    for segment in segments {
        assert_eq!((segment.stream, segment.kind, segment.number), (stream, kind, number));
        let first = &segment.frames[0];
        assert_eq!(first.kind, code("Frame", 1, "opening"));
        assert_eq!(first.body.len(), opening.bytes);
        let said = ["previous_end", "previous_salt"].map(|f| opening.number(&first.body, f));
        assert_eq!((said[0], said[1]), before);
        before = (segment.end as u64, segment.salt);
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
    let (stream, _group, _worker) = write_sample(&path);
    let expected: Vec<Vec<Stored>> = (0..2).map(|partition| stored(&stream, partition)).collect();
    stream.close().unwrap();
    let identity = manifest(&fs::read(path.join("manifest")).unwrap());
    for (partition, expected) in (0..).zip(expected) {
        let segments = segments(&path.join(format!("p{partition}")));
        assert!(segments.len() > 1, "the sample rolls");
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
    let names: Vec<String> = nth_table("Manifest", 1)
        .into_iter()
        .chain(nth_table("Manifest", 2))
        .map(|mut row| row.swap_remove(0))
        .collect();
    let mut body = Bytes(body);
    let mut identity = 0;
    for name in names {
        match name.as_str() {
            "stream" => identity = body.varint(),
            "partitions" => assert_eq!(body.varint(), 2),
            "segment_bytes" => assert_eq!(body.varint(), 4096),
            "groups" => assert_eq!(body.varint(), 1, "how many"),
            "name" => assert_eq!(body.name(), "billing"),
            "starts" => assert_eq!([body.varint(), body.varint(), body.varint()], [2, 0, 0]),
            "session_timeout" => assert_eq!(body.byte(), 0, "unset"),
            "lease" => assert_eq!(body.varint(), 30_000_000),
            "backoff" => assert_eq!([body.varint(), body.varint()], [0, 3_600_000_000]),
            "max_deliveries" => assert_eq!(body.varint(), 16),
            "max_in_flight" => assert_eq!(body.varint(), 100_000),
            _ => drop(body.varint()),
        }
    }
    assert!(body.0.is_empty(), "{} bytes follow", body.0.len());
    identity
}

#[test]
fn the_page_is_enough_to_read_a_groups_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    let (stream, group, _worker) = write_sample(&path);
    let acked = group.info().unwrap().acked;
    stream.close().unwrap();
    let identity = manifest(&fs::read(path.join("manifest")).unwrap());
    let segments = segments(&path.join("g1"));
    let newest = segments.last().unwrap();
    assert_eq!((newest.stream, newest.kind, newest.number), (identity, 2, 1));
    assert_eq!(newest.check_footer(), Some(newest.bytes.len()));
    let of = |kind: &str| {
        let kind = code("Frame", 1, kind);
        newest.frames.iter().filter(move |frame| frame.kind == kind)
    };
    assert!(newest.frames[0].more, "the snapshot belongs to the opening");
    let whole: Vec<u8> = of("snapshot").flat_map(|frame| frame.body.clone()).collect();
    let snapshot = snapshot(&whole);
    let told: Vec<_> = of("plain").flat_map(|frame: &Frame| events(&frame.body)).collect();
    let count = |name: &str| -> u64 {
        let of = told.iter().filter(|(event, _)| event == name);
        of.map(|(_, fields)| fields.get(2).copied().unwrap_or(1)).sum()
    };
    assert_eq!(snapshot.totals[0] + count("acked"), acked);
    assert_eq!(snapshot.parked + count("parked"), 1);
    let members = told.iter().filter(|(event, _)| event == "joined").count();
    assert_eq!(snapshot.members.len() + members, 1);
    let handed_out = snapshot.cursors.iter().sum::<u64>() + count("handed out");
    assert_eq!(handed_out, READ);
    let leased: u64 = snapshot.runs.iter().filter(|(state, _)| *state == 2).map(|(_, n)| n).sum();
    assert!(leased <= READ);
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
    let file = path.join("p0/0000000001.seg");
    let whole = Segment::read(&file).frames.len();
    let mut bytes = fs::read(&file).unwrap();
    bytes[300] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(Segment::read(&file).frames.len() < whole);
}
