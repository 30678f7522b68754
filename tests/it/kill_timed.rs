//! Really killed processes that put entries off and append under unique keys: the next process finds
//! every key that was told of, and hands out every delayed entry once, in its time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use millstream::{Backoff, Durability, EntryId, Group, ManualClock, NewEntry, Start, Stream};

use crate::child::{Helper, order, say};
use crate::scene::HOUR;

const KILLS: usize = 6;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn group(stream: &Stream) -> Group {
    let group = stream.group("g").backoff(Backoff::fixed(Duration::ZERO));
    group.open(Start::Earliest).unwrap()
}

/// Kills a process after so many lines, and notes what it told.
fn kill_one(run: usize, directory: &Path, told: &mut BTreeMap<String, String>) {
    let mut worker = Helper::start("kill_timed::worker", directory, &run.to_string());
    let mut hear = |line: &str| {
        let (key, id) = line.split_once(' ').unwrap();
        let before = told.insert(key.to_owned(), id.to_owned());
        assert!(before.is_none_or(|before| before == id), "{line} was told otherwise before");
    };
    for _ in 0..20 + run * 37 {
        hear(&worker.hear().expect("a worker goes on until it is killed"));
    }
    worker.kill();
    while let Some(line) = worker.hear() {
        hear(&line);
    }
}

#[test]
fn keys_and_delays_outlive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = BTreeMap::new();
    for run in 0..KILLS {
        kill_one(run, directory.path(), &mut told);
    }
    let stream = Stream::open(directory.path()).unwrap();
    let mut keys = BTreeSet::new();
    let (mut delayed, mut last) = (BTreeSet::new(), None);
    let reader = stream.reader(Start::Earliest).unwrap().until_now();
    loop {
        let entries = reader.try_read(1_000).unwrap();
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            assert!(keys.insert(entry.unique_key().unwrap().to_vec()), "a key is there twice");
            last = last.max(entry.due());
            delayed.extend(entry.due().map(|_| entry.id()));
        }
    }
    for (key, id) in &told {
        let again = stream.append_unique("again", key, DAY).unwrap();
        assert_eq!((again.id.to_string(), again.duplicate), (id.clone(), true), "{key}");
    }
    // A process may have been killed between the hand-out and the ack of one that was not delayed.
    assert!(group(&stream).lag().unwrap() >= delayed.len() as u64);
    stream.close().unwrap();

    let clock = ManualClock::at(last.unwrap());
    let stream = Stream::options().clock(clock.clone()).open(directory.path()).unwrap();
    let group = group(&stream);
    // What was put off by a process is due after all of its delay at the latest.
    clock.advance(HOUR);
    let worker = group.join("judge").unwrap();
    while !delayed.is_empty() {
        let batch = worker.try_read(1_000).unwrap();
        assert!(!batch.is_empty(), "{} are never handed out", delayed.len());
        for held in &batch {
            let id = held.id();
            assert!(held.due().is_none() || held.attempt() == 1, "{id} was handed out before");
            assert_eq!(delayed.remove(&id), held.due().is_some(), "{id} came twice");
        }
        assert!(batch.ack_all().unwrap().is_complete());
    }
    assert_eq!(group.lag().unwrap(), 0);
}

#[test]
#[ignore = "a process that the test above starts and kills"]
fn worker() {
    let Some(order) = order() else { return };
    let run: u64 = order.task.parse().unwrap();
    let durability = if run.is_multiple_of(3) { Durability::Always } else { Durability::Os };
    let stream = Stream::options().durability(durability).open(&order.directory).unwrap();
    let worker = group(&stream).join("worker").unwrap();
    // Every key is tried by each process again.
    for number in 0_u64.. {
        let key = format!("key-{number}");
        let entry = NewEntry::new(&key);
        let entry = if number % 3 == 0 { entry } else { entry.deliver_after(HOUR) };
        let id: EntryId = stream.append_unique(entry, &key, DAY).unwrap().id;
        say(&format!("{key} {id}"));
        let batch = worker.try_read(7).unwrap();
        for held in &batch {
            assert!(held.due().is_none(), "{} is not due", held.id());
        }
        assert!(batch.ack_all().unwrap().is_complete());
    }
}
