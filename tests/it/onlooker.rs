//! Opening for reading only while somebody else writes: what shows is whole, in order and once; the
//! owner is never kept out, and nothing of it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use millstream::{
    Clock as _, Durability, EntryId, Error, ManualClock, NewEntry, Reader, Retention, Start, Stream,
};

use crate::child::{Helper, order, say, wait_to_go};

const SEGMENT_BYTES: u64 = 64 << 10;
const PARTITIONS: u32 = 2;

/// A payload that tells its number, its place in its batch, how long that is, and how long it is
/// itself: whatever is torn off it or mixed into it shows.
fn payload(number: u64, place: u64, count: u64) -> Vec<u8> {
    let length = usize::try_from(number * 31 % 700).unwrap();
    let mut bytes = [number, place, count].map(u64::to_le_bytes).concat();
    bytes.resize(24 + length, u8::try_from(number % 251).unwrap());
    bytes
}

fn batch_len(number: u64) -> u64 {
    [1, 1, 3, 8, 1][usize::try_from(number % 5).unwrap()]
}

fn append(stream: &Stream, number: u64) -> Result<(), Error> {
    let count = batch_len(number);
    let payloads: Vec<_> = (0..count).map(|place| payload(number, place, count)).collect();
    let key = number.to_le_bytes();
    let entries = payloads.iter().map(|payload| NewEntry::new(payload).key(&key));
    stream.append_batch(entries).map(drop)
}

/// Checks what one partition shows.
#[derive(Default)]
struct Seen {
    /// The next offset, the last number, and how much of its batch is still to come.
    next: u64,
    last: Option<u64>,
    rest: u64,
    entries: u64,
    gaps: u64,
}

impl Seen {
    fn take(&mut self, id: EntryId, bytes: &[u8]) {
        let word = |at: usize| u64::from_le_bytes(*bytes[at * 8..].first_chunk().unwrap());
        let (number, place, count) = (word(0), word(1), word(2));
        assert_eq!(bytes, payload(number, place, count), "{id} is torn");
        assert!(id.offset() >= self.next, "{id} came again");
        if id.offset() > self.next {
            // What is trimmed ends between two batches.
            self.gaps += id.offset() - self.next;
            self.rest = 0;
        }
        if self.rest == 0 {
            assert!(self.last.is_none_or(|last| number > last), "{number} after {:?}", self.last);
            assert_eq!(place, 0, "{id} is in the middle of a batch");
            self.rest = count;
        }
        assert_eq!(
            (self.rest, number),
            (count - place, self.last.filter(|_| place > 0).unwrap_or(number))
        );
        self.rest -= 1;
        self.last = Some(number);
        self.next = id.offset() + 1;
        self.entries += 1;
    }
}

fn read_on(reader: &Reader, seen: &mut [Seen], wait: Duration) -> u64 {
    let entries = reader.read_timeout(500, wait).unwrap();
    for entry in &entries {
        seen[entry.id().partition() as usize].take(entry.id(), entry.payload());
    }
    entries.len() as u64
}

fn owner(directory: &Path, durability: Durability) -> Stream {
    let options = Stream::options().partitions(PARTITIONS).segment_bytes(SEGMENT_BYTES);
    let kept = Retention::keep_all().bytes(40 * SEGMENT_BYTES);
    options.durability(durability).retention(kept).open(directory).unwrap()
}

#[test]
fn a_tail_in_another_process_sees_whole_entries_once_whatever_becomes_of_the_writer() {
    for durability in ["os", "always"] {
        let directory = tempfile::tempdir().unwrap();
        owner(directory.path(), Durability::Os).close().unwrap();
        let stream = Stream::open_read_only(directory.path()).unwrap();
        let reader = stream.reader(Start::Earliest).unwrap();
        let mut seen: Vec<Seen> = (0..PARTITIONS).map(|_| Seen::default()).collect();
        let mut first = 0;
        let rounds = [("killed", 3_000), ("closed", 2_000), ("killed", 3_000), ("closed", 1_000)];
        for (ends, numbers) in rounds {
            let task = format!("{durability} {first} {ends}");
            let mut writer = Helper::start("onlooker::writer", directory.path(), &task);
            assert_eq!(writer.hear().as_deref(), Some("open"));
            let wanted = if durability == "os" { numbers } else { numbers / 20 };
            let mut read = 0;
            while read < wanted {
                read += read_on(&reader, &mut seen, Duration::from_secs(20));
            }
            if ends == "killed" {
                writer.kill();
            } else {
                assert!(writer.finish().success());
            }
            while read_on(&reader, &mut seen, Duration::ZERO) > 0 {}
            first = seen.iter().filter_map(|seen| seen.last).max().unwrap() + 1_000_000;
        }
        // The owner of the same directory sees the same end.
        let owner = owner(directory.path(), Durability::Os);
        while read_on(&reader, &mut seen, Duration::ZERO) > 0 {}
        let info = owner.info().unwrap();
        let looked = stream.info().unwrap();
        for (partition, seen) in seen.iter().enumerate() {
            assert_eq!(seen.next, info.partitions[partition].end);
            assert_eq!(seen.rest, 0, "a batch is not whole");
            let (its, ours) = (&info.partitions[partition], &looked.partitions[partition]);
            assert_eq!((its.start, its.end), (ours.start, ours.end));
            assert_eq!((its.segments, its.bytes), (ours.segments, ours.bytes));
        }
        assert_eq!(reader.missed(), seen.iter().map(|seen| seen.gaps).sum::<u64>());
    }
}

#[test]
#[ignore = "a process that the test above starts and kills"]
fn writer() {
    let Some(order) = order() else { return };
    let words: Vec<&str> = order.task.split(' ').collect();
    let durability = if words[0] == "os" { Durability::Os } else { Durability::Always };
    let stream = owner(&order.directory, durability);
    say("open");
    thread::scope(|scope| {
        let over = scope.spawn(wait_to_go);
        for number in words[1].parse::<u64>().unwrap().. {
            append(&stream, number).unwrap();
            if words[2] == "closed" && over.is_finished() {
                break;
            }
        }
    });
    stream.close().unwrap();
}

#[test]
fn an_onlooker_never_keeps_an_owner_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream");
    assert!(matches!(Stream::open_read_only(&path), Err(Error::NotFound { .. })));
    let mut onlookers = Vec::new();
    for round in 0..4 {
        let stream = Stream::open(&path).unwrap();
        onlookers.push(Stream::open_read_only(&path).unwrap());
        assert!(matches!(Stream::open(&path), Err(Error::Locked { .. })));
        stream.append("x").unwrap();
        onlookers.push(Stream::open_read_only(&path).unwrap());
        for onlooker in &onlookers {
            assert_eq!(onlooker.info().unwrap().partitions[0].end, round + 1);
        }
        stream.close().unwrap();
    }
    for onlooker in &onlookers {
        assert_eq!(onlooker.get(EntryId::new(0, 3)).unwrap().unwrap().payload(), b"x");
        assert!(onlooker.get(EntryId::new(0, 4)).unwrap().is_none());
        onlooker.verify().unwrap();
    }
}

#[test]
fn all_that_changes_a_stream_is_refused_to_an_onlooker() {
    let directory = tempfile::tempdir().unwrap();
    let owner = Stream::open(directory.path().join("s")).unwrap();
    let id = owner.append("x").unwrap();
    let seen = Stream::open_read_only(directory.path().join("s")).unwrap();
    let refused = |what: &str, outcome: Result<(), Error>| {
        assert!(matches!(outcome, Err(Error::ReadOnly)), "{what}: {outcome:?}");
    };
    let hour = Duration::from_secs(3600);
    refused("append", seen.append("y").map(drop));
    refused("append_batch", seen.append_batch(["y"]).map(drop));
    refused("append_each", seen.append_each(["y"]).map(drop));
    refused("append_unique", seen.append_unique("y", "key", hour).map(drop));
    refused("append_if_last", seen.append_if_last(id, "y").map(drop));
    refused("append_if_empty", seen.append_if_empty(0, "y").map(drop));
    refused("trim", seen.trim().map(drop));
    refused("trim_before", seen.trim_before(id).map(drop));
    refused("sync", seen.sync());
    refused("maintain", seen.maintain().map(drop));
    refused("add_partitions", seen.add_partitions(1).map(drop));
    refused("a group", seen.group("g").create(Start::Earliest).map(drop));
    assert_eq!(owner.info().unwrap().partitions[0].end, 1);
}

/// Every file and directory below `dir`: when it was changed, and what a file holds.
fn contents(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let when = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    found.insert(dir.to_owned(), (when(dir), Vec::new()));
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), (when(&path), fs::read(path).unwrap()));
        }
    }
    found
}

#[test]
fn a_directory_that_is_looked_at_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream");
    let stream = owner(&path, Durability::Os);
    (0..500).for_each(|number| append(&stream, number).unwrap());
    let look = || {
        let seen = Stream::open_read_only(&path).unwrap();
        let reader = seen.reader(Start::Earliest).unwrap();
        while !reader.try_read(1_000).unwrap().is_empty() {}
        let _info = seen.info().unwrap();
        seen.verify().unwrap();
        seen.close().unwrap();
    };
    let before = contents(&path);
    look();
    assert!(contents(&path) == before, "it changed while it was open");
    stream.close().unwrap();
    // Without a lock file there would be none to take, either.
    fs::remove_file(path.join("lock")).unwrap();
    let before = contents(&path);
    look();
    assert!(contents(&path) == before, "it changed after it was closed");
}

#[test]
fn readers_and_subscriptions_of_an_onlooker_follow_rolls_and_trims() {
    let directory = tempfile::tempdir().unwrap();
    let owner = Stream::options().segment_bytes(4096).open(directory.path()).unwrap();
    let seen = Stream::open_read_only(directory.path()).unwrap();
    let (reader, subscription) = (seen.reader(Start::Earliest).unwrap(), seen.subscribe().unwrap());
    let newest = || seen.reader(Start::Earliest).unwrap().backward().try_read(1).unwrap();
    assert!(newest().is_empty());
    for number in 0..40_u64 {
        owner.append(&[u8::try_from(number).unwrap(); 900]).unwrap();
        assert_eq!(newest().iter().next().unwrap().id().offset(), number);
        let mut got =
            subscription.try_read(10).unwrap().into_iter().map(|entry| entry.id().offset());
        assert_eq!((got.next(), got.next()), (Some(number), None));
    }
    assert!(seen.info().unwrap().partitions[0].segments > 5);
    assert_eq!(reader.try_read(3).unwrap().len(), 3);
    owner.trim_before(EntryId::new(0, 30)).unwrap();
    let start = owner.info().unwrap().partitions[0].start;
    assert_eq!(seen.info().unwrap().partitions[0].start, start);
    assert!(seen.get(EntryId::new(0, start - 1)).unwrap().is_none());
    let rest: Vec<u64> =
        reader.try_read(100).unwrap().into_iter().map(|entry| entry.id().offset()).collect();
    assert_eq!(rest.last(), Some(&39));
    // What it has open it may still read.
    assert_eq!(3 + rest.len() as u64 + reader.missed(), 40);
}

#[test]
fn what_always_shows_to_an_onlooker_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let options = Stream::options().durability(Durability::Always).segment_bytes(4096);
    let owner = options.open(directory.path()).unwrap();
    let seen = Stream::open_read_only(directory.path()).unwrap();
    for number in 1..=20 {
        owner.append(&[7; 900]).unwrap();
        let info = seen.info().unwrap().partitions[0].clone();
        assert_eq!((info.end, info.durable_end), (number, number));
    }
}

#[test]
fn a_blocked_read_of_an_onlooker_looks_as_its_clock_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let owner = Stream::open(directory.path()).unwrap();
    let clock = ManualClock::new();
    let seen = Stream::options().clock(clock.clone()).open_read_only(directory.path()).unwrap();
    let subscription = seen.subscribe().unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| subscription.read(1).unwrap());
        clock.wait_for_blocked(1);
        owner.append("x").unwrap();
        assert!(!read.is_finished());
        clock.advance(Duration::from_millis(10));
        assert_eq!(read.join().unwrap().len(), 1);
    });
    // A clock that moves itself is not moved for a look.
    let clock = ManualClock::self_advancing();
    let seen = Stream::options().clock(clock.clone()).open_read_only(directory.path()).unwrap();
    let subscription = seen.subscribe().unwrap();
    let before = clock.monotonic();
    assert!(subscription.read(1).unwrap().is_empty());
    assert_eq!(clock.monotonic(), before);
    assert!(subscription.read_timeout(1, Duration::from_secs(5)).unwrap().is_empty());
    assert_eq!(clock.monotonic(), before + Duration::from_secs(5));
}
