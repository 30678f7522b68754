//! Real processes, really killed: what they were told is done holds when the directory is opened
//! again (D2, D4, S7), whatever they were in the middle of.
//!
//! A worker appends and settles, and tells its parent of each call before it makes it where that
//! matters, and after it is done. The parent kills it after a random number of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use millstream::{Backoff, Consumer, Durability, EntryId, Group, NewEntry, Start, Stream};

use crate::child::{Helper, order, say};
use crate::scene::{HOUR, parked};

const PARTITIONS: u32 = 3;

/// What the workers told, all of them.
#[derive(Default)]
struct Told {
    /// The ids of each append that was done, by run and number.
    appended: BTreeMap<(usize, u64), Vec<EntryId>>,
    acked: BTreeSet<EntryId>,
    /// Acks that were begun.
    doubtful: BTreeSet<EntryId>,
    attempts: BTreeMap<EntryId, u16>,
}

impl Told {
    fn hear(&mut self, run: usize, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let id = |at: usize| words[at].parse::<EntryId>().unwrap();
        match words[0] {
            "appended" => {
                let ids = (2..words.len()).map(id).collect();
                self.appended.insert((run, words[1].parse().unwrap()), ids);
            }
            "read" => self.read(id(1), words[2].parse().unwrap()),
            "acking" => drop(self.doubtful.insert(id(1))),
            "acked" => drop(self.acked.insert(id(1))),
            other => panic!("a worker said {other:?}"),
        }
    }

    fn read(&mut self, id: EntryId, attempt: u16) {
        assert!(!self.acked.contains(&id), "{id} came again after its ack");
        let before = self.attempts.insert(id, attempt).unwrap_or(0);
        assert!(attempt > before, "attempt {attempt} of {id} came after attempt {before}");
    }

    /// What was appended is there, whole and once; beyond that, at most what a run was killed in.
    fn check_log(&self, stream: &Stream) -> BTreeSet<EntryId> {
        let mut found: BTreeMap<(usize, u64), Vec<EntryId>> = BTreeMap::new();
        let reader = stream.reader(Start::Earliest).unwrap().until_now();
        loop {
            let entries = reader.try_read(1_000).unwrap();
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                let text = std::str::from_utf8(entry.payload()).unwrap();
                let mut numbers = text.split('.').map(|number| number.parse::<usize>().unwrap());
                let mut next = || numbers.next().unwrap();
                let (run, number, place) = (next(), next() as u64, next());
                let ids = found.entry((run, number)).or_default();
                assert_eq!(ids.len(), place, "{text} is out of place");
                ids.push(entry.id());
            }
        }
        for (call, ids) in &self.appended {
            assert_eq!(found.get(call), Some(ids), "the entries of {call:?}");
        }
        for ((run, number), ids) in &found {
            assert_eq!(ids.len(), batch_len(*number), "the batch {run}.{number} is not whole");
            let before = number.checked_sub(1);
            let follows = before.is_none_or(|before| self.appended.contains_key(&(*run, before)));
            assert!(follows, "the batch {run}.{number} was never appended");
        }
        found.into_values().flatten().collect()
    }

    /// Everything that was not acked is handed out, once, and nothing else is. Says how much.
    fn check_rest(&mut self, worker: &Consumer, all: &BTreeSet<EntryId>) -> u64 {
        let mut seen = BTreeSet::new();
        let kept: Vec<_> = std::iter::from_fn(|| {
            let batch = worker.try_read(1_000).unwrap();
            (!batch.is_empty()).then_some(batch)
        })
        .collect();
        for held in kept.iter().flatten() {
            self.read(held.id(), held.attempt());
            assert!(seen.insert(held.id()), "{} was handed out twice", held.id());
            assert!(all.contains(&held.id()), "{} is not in the log", held.id());
        }
        for id in all {
            let done = self.acked.contains(id) || self.doubtful.contains(id);
            assert!(done || seen.contains(id), "{id} is lost");
        }
        seen.len() as u64
    }
}

/// Every fifth append is of one entry, the others are batches.
fn batch_len(number: u64) -> usize {
    usize::try_from(number % 5).unwrap() + 1
}

fn open(directory: &Path, durability: Durability) -> (Stream, Group) {
    let options = Stream::options().partitions(PARTITIONS).segment_bytes(1 << 16);
    let stream = options.durability(durability).open(directory).unwrap();
    let group = stream.group("g").lease(HOUR).max_deliveries(8_000);
    let group = group.backoff(Backoff::fixed(Duration::ZERO)).open(Start::Earliest).unwrap();
    (stream, group)
}

#[test]
fn nothing_that_was_told_is_lost_by_a_kill() {
    let given = |name| env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let kills = usize::try_from(given("MILLSTREAM_KILLS").unwrap_or(30)).unwrap();
    let seed = given("MILLSTREAM_SEED").unwrap_or_else(|| RandomState::new().hash_one("kill"));
    eprintln!("MILLSTREAM_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for run in 0..kills {
        let draw = mixed(seed.wrapping_add(run as u64));
        let mut worker = Helper::start("kill::worker", directory.path(), &format!("{run} {draw}"));
        for _ in 0..=draw % 400 {
            let line = worker.hear().expect("a worker goes on until it is killed");
            told.hear(run, &line);
        }
        worker.kill();
        while let Some(line) = worker.hear() {
            told.hear(run, &line);
        }
        // Mostly it is the next worker that finds the directory as it was left.
        if run % 4 == 3 {
            let (stream, _group) = open(directory.path(), Durability::Os);
            assert!(!stream.recovery().is_clean() || told.appended.is_empty());
            told.check_log(&stream);
            stream.verify().unwrap();
        }
    }
    let (stream, group) = open(directory.path(), Durability::Os);
    let all = told.check_log(&stream);
    let left = told.check_rest(&group.join("judge").unwrap(), &all);
    let info = group.info().unwrap();
    assert_eq!((info.lag, info.acked), (left, all.len() as u64 - left));
}

/// One round of splitmix64.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
#[ignore = "a process that the test above starts and kills"]
fn worker() {
    let Some(order) = order() else { return };
    let (run, seed) = order.task.split_once(' ').unwrap();
    let mut draw: u64 = seed.parse().unwrap();
    let durability = match run.parse::<u64>().unwrap() % 3 {
        0 => Durability::Os,
        1 => Durability::Every(Duration::from_millis(1)),
        _ => Durability::Always,
    };
    let (stream, group) = open(&order.directory, durability);
    let worker = group.join("worker").unwrap();
    for number in 0.. {
        draw = mixed(draw);
        append(&stream, run, number);
        work(&group, &worker, draw);
    }
}

fn append(stream: &Stream, run: &str, number: u64) {
    let payloads: Vec<String> =
        (0..batch_len(number)).map(|place| format!("{run}.{number}.{place}")).collect();
    let key = format!("key {number}");
    let entries: Vec<_> = payloads.iter().map(|text| NewEntry::new(text).key(&key)).collect();
    let ids: Vec<EntryId> = match &entries[..] {
        [single] => vec![stream.append(single).unwrap()],
        several => stream.append_batch(several).unwrap().collect(),
    };
    let ids: Vec<String> = ids.iter().map(EntryId::to_string).collect();
    say(&format!("appended {number} {}", ids.join(" ")));
}

fn work(group: &Group, worker: &Consumer, draw: u64) {
    let batch = worker.try_read(u32::try_from(draw % 9).unwrap() + 1).unwrap();
    let ids: Vec<EntryId> = batch.iter().map(|held| held.id()).collect();
    for held in &batch {
        say(&format!("read {} {}", held.id(), held.attempt()));
    }
    if draw.is_multiple_of(4) {
        for id in &ids {
            say(&format!("acking {id}"));
        }
        assert!(batch.ack_all().unwrap().is_complete());
        for id in &ids {
            say(&format!("acked {id}"));
        }
        return;
    }
    for (place, delivery) in (0..).zip(batch) {
        let id = delivery.id();
        match (draw >> (place * 4)) % 8 {
            0 => delivery.nack().unwrap(),
            1 => drop(delivery.detach()),
            2 => drop(delivery),
            3 => {
                let token = delivery.detach();
                say(&format!("acking {id}"));
                assert!(group.ack([token]).unwrap().is_complete());
                say(&format!("acked {id}"));
            }
            _ => {
                say(&format!("acking {id}"));
                delivery.ack().unwrap();
                say(&format!("acked {id}"));
            }
        }
    }
}

#[test]
fn an_entry_that_kills_every_process_is_set_aside_and_its_neighbours_are_not() {
    for (guilty, durability) in
        [(0, Durability::Os), (4, Durability::Os), (9, Durability::Os), (4, Durability::Always)]
    {
        let directory = tempfile::tempdir().unwrap();
        let stream = Stream::options().durability(durability).open(directory.path()).unwrap();
        for n in 0..10 {
            stream.append(if n == guilty { "deadly" } else { "harmless" }).unwrap();
        }
        let group = stream.group("g").max_deliveries(3).backoff(Backoff::fixed(Duration::ZERO));
        drop(group.open(Start::Earliest).unwrap());
        stream.close().unwrap();
        let (mut deaths, mut attempts) = (0, Vec::new());
        loop {
            let mut victim = Helper::start("kill::victim", directory.path(), "");
            while let Some(line) = victim.hear() {
                attempts.push(line);
            }
            if victim.finish().success() {
                break;
            }
            deaths += 1;
            assert!(deaths <= 3, "the entry kills on: {attempts:?}");
        }
        assert_eq!((deaths, attempts), (3, vec!["1".to_owned(), "2".into(), "3".into()]));
        let stream = Stream::open(directory.path()).unwrap();
        let group = stream.group("g").open_existing().unwrap();
        assert_eq!(parked(&group, 10), [EntryId::new(0, guilty)]);
        assert_eq!(group.info().unwrap().acked, 9);
    }
}

#[test]
#[ignore = "a process that the test above starts"]
fn victim() {
    let Some(order) = order() else { return };
    let stream = Stream::open(&order.directory).unwrap();
    let group = stream.group("g").open_existing().unwrap();
    let worker = group.join("victim").unwrap();
    loop {
        let batch = worker.try_read(100).unwrap();
        if batch.is_empty() {
            return;
        }
        for delivery in batch {
            if delivery.payload() == b"deadly" {
                say(&delivery.attempt().to_string());
                std::process::abort();
            }
            delivery.ack().unwrap();
        }
    }
}
