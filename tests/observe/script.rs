//! One run through nearly everything that is told, shared by the tests of both facades; and the
//! tables of the page that says what that is.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millstream::assign::{Assign, Assignment, RoundRobin, View};
use millstream::{
    Backoff, Delivery, EntryId, Error, Exhausted, Group, GroupOptions, ManualClock, Retention,
    Start, Stream,
};

const PAGE: &str = include_str!("../../docs/OBSERVING.md");

/// The cells of the rows of the page's tables whose first column is called `first`.
pub(crate) fn rows(first: &str) -> Vec<Vec<String>> {
    let head = format!("| {first} |");
    let table = PAGE.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// A strategy that names nobody.
#[derive(Debug)]
struct Nobody;

impl Assign for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn assign(&self, _: &View) -> Assignment {
        Assignment::Owners(Vec::new())
    }
}

fn options(stream: &Stream, name: &str) -> GroupOptions {
    let group = stream.group(name).lease(Duration::from_secs(10)).max_deliveries(2);
    group.backoff(Backoff::fixed(Duration::ZERO))
}

/// Does it all. `listen` gets the stream and a group of it as soon as they are there.
pub(crate) fn run(dir: &Path, listen: impl FnOnce(&Stream, &Group)) {
    let clock = ManualClock::new();
    let path = dir.join("orders");
    let stream = Stream::options().partitions(2).segment_bytes(4096).clock(clock.clone());
    let stream = stream.open(&path).unwrap();
    let group = options(&stream, "billing").strategy(RoundRobin).open(Start::Earliest).unwrap();
    listen(&stream, &group);
    deliver(&stream, &group, &clock);
    bury(&stream, &clock);
    trim(&stream);
    #[cfg(feature = "metrics")]
    stream.observe().unwrap();
    stream.sync().unwrap();
    stream.maintain().unwrap();
    stream.copy_to(dir.join("copy")).unwrap();
    stream.verify().unwrap();
    group.delete().unwrap();
    stream.close().unwrap();
    fill(&clock);
    damage(dir);
}

fn deliver(stream: &Stream, group: &Group, clock: &ManualClock) {
    let first = group.join("first").unwrap();
    let second = group.join("second").unwrap();
    stream.append_each(["a"; 8]).unwrap();
    stream.append_batch(["b"; 2]).unwrap();
    for (n, delivery) in first.try_read(3).unwrap().into_iter().enumerate() {
        match n {
            0 => delivery.ack().unwrap(),
            1 => delivery.nack().unwrap(),
            _ => delivery.release().unwrap(),
        }
    }
    // What lies in a batch unseen is released when it is dropped; what is kept expires.
    drop(first.try_read(9).unwrap());
    let held: Vec<_> = second.try_read(2).unwrap().into_iter().map(Delivery::detach).collect();
    assert!(!held.is_empty());
    clock.advance(Duration::from_secs(11));
    stream.maintain().unwrap();
    for delivery in second.try_read(9).unwrap() {
        delivery.reject("broken").unwrap();
    }
    group.skip(0, 4..5).unwrap();
    first.leave().unwrap();
    clock.advance(Duration::from_secs(60));
    stream.maintain().unwrap();

    let failing = stream.group("failing").strategy(Nobody).open(Start::Earliest).unwrap();
    assert!(matches!(failing.join("any"), Err(Error::StrategyFailed { .. })));
    failing.delete().unwrap();
}

fn bury(stream: &Stream, clock: &ManualClock) {
    let letters = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let discards = options(stream, "discards").on_exhausted(Exhausted::Discard);
    let buries = options(stream, "buries").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let worker = discards.open(Start::Earliest).unwrap().join("worker").unwrap();
    for delivery in worker.try_read(1).unwrap() {
        delivery.reject("broken").unwrap();
    }
    let worker = buries.open(Start::Earliest).unwrap().join("worker").unwrap();
    let mut letters = Some(letters);
    for delivery in worker.try_read(2).unwrap() {
        delivery.reject("broken").unwrap();
        // The second one has to wait.
        letters.take().map_or(Ok(()), Stream::close).unwrap();
    }
}

fn trim(stream: &Stream) {
    let payload = [0; 900];
    stream.append_each([&payload; 30]).unwrap();
    let end = stream.info().unwrap().partitions[0].end;
    assert!(stream.trim_before(EntryId::new(0, end)).unwrap() > 0);
}

/// A stream that is full, and whose group's journal begins again with a snapshot.
fn fill(clock: &ManualClock) {
    let options = Stream::options().segment_bytes(4096).clock(clock.clone());
    let options = options.retention(Retention::settled().entries(5));
    let stream = options.in_memory().unwrap();
    let group = stream.group("slow").open(Start::Earliest).unwrap();
    let full = (0..100).any(|_| matches!(stream.append(&[0; 900]), Err(Error::StreamFull { .. })));
    assert!(full);
    let worker = group.join("worker").unwrap();
    for _ in 0..2_000 {
        for delivery in worker.try_read(1).unwrap() {
            delivery.release().unwrap();
        }
    }
}

/// Finds a marker in the newest segment of a partition, and changes a byte of it.
fn flip(dir: &Path, marker: &[u8]) {
    for entry in fs::read_dir(dir.join("p0")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(marker.len()).position(|part| part == marker) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
}

fn damage(dir: &Path) {
    let (whole, torn) = (dir.join("whole"), dir.join("torn"));
    let stream = Stream::open(&whole).unwrap();
    stream.append("stays").unwrap();
    stream.sync().unwrap();
    stream.append("marker").unwrap();
    // As a crash leaves it: the directory as it is, with the last bytes not as they were meant.
    fs::create_dir_all(torn.join("p0")).unwrap();
    for name in ["manifest", "lock", "p0/0000000001.seg"] {
        fs::copy(whole.join(name), torn.join(name)).unwrap();
    }
    flip(&torn, b"marker");
    let cut = Stream::open(&torn).unwrap();
    assert!(cut.get(EntryId::new(0, 1)).unwrap().is_none());

    stream.sync().unwrap();
    stream.close().unwrap();
    flip(&whole, b"marker");
    let stream = Stream::open(&whole).unwrap();
    assert!(stream.get(EntryId::new(0, 1)).unwrap_err().is_corrupt());

    // A segment that somebody cut short cannot be flushed.
    cut.append("more").unwrap();
    for entry in fs::read_dir(torn.join("p0")).unwrap() {
        let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_len(64).unwrap();
    }
    assert!(matches!(cut.sync(), Err(Error::Poisoned { .. })));
}

/// Calls that a recorder or subscriber may make of a stream that it is told of. They would wait for
/// ever if the call that tells held a lock. Appends tell of themselves, so there are few.
pub(crate) fn call_back(stream: &Stream, group: &Group, appends: &AtomicU32) {
    if appends.fetch_add(1, Ordering::Relaxed) < 100 {
        drop(stream.append("from within"));
    }
    drop(stream.info());
    drop(group.info());
    // The lock of the manifest, and those of the writers.
    drop(stream.group("missing").open_existing());
    drop(stream.reader(Start::Latest).and_then(|reader| reader.read_timeout(1, Duration::ZERO)));
}
