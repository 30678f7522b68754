//! Copies and reports of a stream that another process owns and goes on writing at full speed, through rolls and
//! retention, and across its death.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use millstream::{Durability, EntryId, NewEntry, Retention, Start, Stream};

use super::payloads;
use crate::child::{Helper, order, say, wait_to_go};
use crate::scene::HOUR;

const PARTITIONS: u32 = 2;
const COPIES: usize = 4;
/// One entry in so many is acked at its second attempt only.
const RELEASED_EVERY: u64 = 97;
/// So many numbers one life of the owner appends at most, so that copies stay small.
const NUMBERS_MAX: u64 = 6_000;

/// A payload that tells its number, and is as long as that says.
fn payload(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + usize::try_from(number * 31 % 600).unwrap(), number.to_le_bytes()[0]);
    bytes
}

fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(*bytes.first_chunk().unwrap());
    assert_eq!(bytes, payload(number), "{number} is torn");
    number
}

fn owner(path: &Path, task: &str) -> Stream {
    let durability = if task.contains("always") { Durability::Always } else { Durability::Os };
    let retention = match task {
        task if task.contains("settled") => Retention::settled(),
        task if task.contains("bytes") => Retention::keep_all().bytes(20 << 16),
        _ => Retention::keep_all(),
    };
    let options = Stream::options().partitions(PARTITIONS).segment_bytes(64 << 10);
    options.durability(durability).retention(retention).open(path).unwrap()
}

#[test]
#[ignore = "a process that the tests below start and kill"]
fn writer() {
    let Some(order) = order() else { return };
    let stream = owner(&order.directory, &order.task);
    let group = stream.group("g").lease(HOUR).open(Start::Earliest).unwrap();
    let lossy = order.task.contains("bytes");
    say("open");
    thread::scope(|scope| {
        let over = Arc::new(scope.spawn(wait_to_go));
        let told = Arc::clone(&over);
        scope.spawn(move || {
            let worker = group.join("w").unwrap();
            while !told.is_finished() {
                for delivery in worker.try_read(100).unwrap() {
                    if delivery.attempt() == 1 && delivery.id().offset() % RELEASED_EVERY == 0 {
                        assert!(delivery.release().is_ok() || lossy);
                    } else {
                        // Retention by bytes may have taken it from the group.
                        assert!(delivery.ack().is_ok() || lossy);
                    }
                }
            }
        });
        // Each life of the owner numbers on from where it finds the log.
        let info = stream.info().unwrap();
        let first = info.partitions.iter().map(|partition| partition.end).sum::<u64>();
        for number in (first * 3)..(first * 3 + NUMBERS_MAX) {
            if number % 5 == 0 {
                let batch = [payload(number), payload(number + 1), payload(number + 2)];
                let entries = batch.iter().map(|bytes| NewEntry::new(bytes).key("same"));
                stream.append_batch(entries).unwrap();
            }
            stream.append(NewEntry::new(&payload(number)).key(&number.to_le_bytes())).unwrap();
            if over.is_finished() {
                break;
            }
        }
    });
    stream.close().unwrap();
}

/// What copies held so far.
#[derive(Default)]
struct Past {
    entries: BTreeMap<EntryId, u64>,
    settled: BTreeSet<EntryId>,
    ends: [u64; PARTITIONS as usize],
}

impl Past {
    /// Compares a copy with itself and with those before it.
    fn judge(&mut self, path: &Path, task: &str) {
        let copy = Stream::options().open_existing(path).unwrap();
        assert!(copy.recovery().is_clean());
        assert!(copy.verify_with(|_| ControlFlow::Continue(())).unwrap().is_sound());
        let stored = payloads(&copy);
        let info = copy.info().unwrap();
        for (partition, part) in (0..).zip(&info.partitions) {
            let ids = stored.iter().map(|(id, _)| *id).filter(|id| id.partition() == partition);
            assert!(ids.map(EntryId::offset).eq(part.start..part.end), "there is a hole");
            let before = &mut self.ends[partition as usize];
            assert!(part.end >= *before, "it went back from {before} to {}", part.end);
            *before = part.end;
        }
        for (id, bytes) in &stored {
            let number = number_of(bytes);
            assert_eq!(*self.entries.entry(*id).or_insert(number), number, "{id} is another");
        }
        let Ok(group) = copy.group("g").open_existing() else { return };
        let info = group.info().unwrap();
        assert_eq!(info.leased, 0);
        if !task.contains("bytes") {
            assert_eq!(info.trimmed, millstream::Loss::default());
        }
        let worker = group.join("judge").unwrap();
        let mut given = BTreeSet::new();
        loop {
            let batch = worker.try_read(1_000).unwrap();
            if batch.is_empty() {
                break;
            }
            for delivery in batch {
                assert!(!self.settled.contains(&delivery.id()), "{} comes again", delivery.id());
                assert!(given.insert(delivery.id()));
                delivery.ack().unwrap();
            }
        }
        assert_eq!(given.len() as u64, info.lag);
        let ids = stored.iter().map(|(id, _)| *id);
        self.settled.extend(ids.filter(|id| !given.contains(id)));
    }
}

/// Copies and verifies again and again while another process is at work, and when it was killed.
fn race(task: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    owner(&path, task).close().unwrap();
    let stream = Stream::open_read_only(&path).unwrap();
    let mut past = Past::default();
    let mut copy = |number: usize| {
        let to = dir.path().join(format!("copy{number}"));
        let copied = stream.copy_to(&to).unwrap();
        past.judge(&to, task);
        fs::remove_dir_all(&to).unwrap();
        let report = stream.verify_with(|_| ControlFlow::Continue(())).unwrap();
        assert!(report.complete && report.is_sound(), "{:?}", report.damage().next());
        copied.entries()
    };
    for life in 0..2 {
        let mut writer = Helper::start("backup::beside::writer", &path, task);
        assert_eq!(writer.hear().as_deref(), Some("open"));
        for number in 0..COPIES {
            copy(life * COPIES + number);
        }
        if life == 0 {
            writer.kill();
        } else {
            assert!(writer.finish().success());
        }
        assert!(copy(1_000 + life) > 0);
    }
    drop(stream);
    owner(&path, task).verify().unwrap();
}

#[test]
fn copies_beside_an_owner_are_whole() {
    race("os");
}

#[test]
fn copies_beside_an_owner_that_trims_what_is_settled_are_whole() {
    race("os settled");
}

#[test]
fn copies_beside_an_owner_that_trims_what_is_too_much_are_whole() {
    race("os bytes");
}

#[test]
fn copies_beside_an_owner_that_waits_for_the_disk_are_whole() {
    race("always settled");
}
