//! Copies of a stream that is written and read at full speed meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millstream::{Durability, EntryId, NewEntry, Retention, Start, Stream};

use super::payloads;
use crate::scene::HOUR;

const PARTITIONS: u32 = 3;
const COPIES: usize = 6;

fn payload(writer: usize, n: usize) -> String {
    format!("{writer}.{n}.{}", "x".repeat(n % 300))
}

/// Copies again and again while writers append and consumers settle; each copy is opened and
/// compared with what was settled before it began.
fn race(durability: Durability, retention: Retention) {
    let dir = tempfile::tempdir().unwrap();
    let options = Stream::options().partitions(PARTITIONS).segment_bytes(16 << 10);
    let options = options.durability(durability).retention(retention);
    let stream = options.open(dir.path().join("a")).unwrap();
    let group = stream.group("g").lease(HOUR).open(Start::Earliest).unwrap();
    let (acked, appended) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (stream, appended, stop) = (&stream, &appended, &stop);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let text = payload(writer, n);
                    let id = stream.append(NewEntry::new(&text).key(&text)).unwrap();
                    appended.lock().unwrap().insert(id);
                    if n % 5 == 0 {
                        stream.append_batch([&*text, "b", "c"]).unwrap();
                    }
                }
            });
        }
        for number in 0..2 {
            let (group, acked, stop) = (&group, &acked, &stop);
            scope.spawn(move || {
                let worker = group.join(&format!("w{number}")).unwrap();
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let batch = worker.try_read(50).unwrap();
                    let mut done = Vec::new();
                    for delivery in batch {
                        if (delivery.id().offset() + round).is_multiple_of(11) {
                            delivery.release().unwrap();
                        } else {
                            done.push(delivery.id());
                            delivery.ack().unwrap();
                        }
                    }
                    acked.lock().unwrap().extend(done);
                }
            });
        }
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for n in 0..COPIES {
                let acked_before = acked.lock().unwrap().clone();
                let appended_before = appended.lock().unwrap().clone();
                let copy = dir.path().join(format!("copy{n}"));
                stream.copy_to(&copy).unwrap();
                judge(&copy, &stream, &acked_before, &appended_before, &acked);
                fs::remove_dir_all(&copy).unwrap();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = failed {
            std::panic::resume_unwind(panic);
        }
    });
}

fn judge(
    copy: &std::path::Path,
    stream: &Stream,
    acked_before: &BTreeSet<EntryId>,
    appended_before: &BTreeSet<EntryId>,
    acked_now: &Mutex<BTreeSet<EntryId>>,
) {
    let other = Stream::options().open_existing(copy).unwrap();
    assert!(other.recovery().is_clean());
    other.verify().unwrap();
    let stored = payloads(&other);
    let ids: BTreeSet<EntryId> = stored.iter().map(|(id, _)| *id).collect();
    let info = other.info().unwrap();
    for (partition, part) in (0..).zip(&info.partitions) {
        let offsets = ids.iter().filter(|id| id.partition() == partition).map(|id| id.offset());
        assert!(offsets.eq(part.start..part.end), "dense");
        let last = appended_before.iter().rev().find(|id| id.partition() == partition);
        assert!(last.is_none_or(|last| last.offset() < part.end), "what was appended is there");
    }
    for (id, payload) in stored.iter().step_by(7) {
        if let Some(entry) = stream.get(*id).unwrap() {
            assert_eq!(entry.payload(), payload, "{id}");
        }
    }
    let group = other.group("g").open_existing().unwrap();
    let info = group.info().unwrap();
    assert_eq!((info.leased, info.trimmed), (0, millstream::Loss::default()));
    // What the copy's group still gives, and what it has settled, are all there is.
    let worker = group.join("judge").unwrap();
    let mut given = BTreeSet::new();
    loop {
        let batch = worker.try_read(1_000).unwrap();
        if batch.is_empty() {
            break;
        }
        for delivery in batch {
            assert!(!acked_before.contains(&delivery.id()), "{} comes again", delivery.id());
            given.insert(delivery.id());
            delivery.ack().unwrap();
        }
    }
    assert_eq!(given.len() as u64, info.lag);
    // Whoever acks notes it just behind that.
    let settled: Vec<&EntryId> = ids.difference(&given).collect();
    for _ in 0..1_000_000 {
        let noted = acked_now.lock().unwrap();
        if settled.iter().all(|id| noted.contains(id)) {
            return;
        }
        drop(noted);
        thread::yield_now();
    }
    panic!("the copy settled what nobody acked");
}

#[test]
fn every_copy_of_a_busy_stream_is_whole() {
    race(Durability::Os, Retention::keep_all());
}

#[test]
fn every_copy_is_whole_while_settled_entries_go() {
    race(Durability::Os, Retention::settled());
}

#[test]
fn every_copy_is_whole_where_each_append_waits_for_the_disk() {
    race(Durability::Always, Retention::settled());
}
