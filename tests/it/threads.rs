//! Many threads on one stream: every handle may go to any of them, each entry is settled once,
//! batches stay in one piece, and closing in the midst of it gives typed errors only.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use millstream::{
    Batch, Consumer, Delivery, Durability, Entries, Entry, EntryId, Error, Group, GroupInfo,
    ManualClock, Reader, Start, Stream, StreamOptions, Subscription, SystemClock, Token,
};

use crate::scene::HOUR;

const _: () = {
    const fn shared<T: Send + Sync>() {}
    const fn handle<T: Send + Sync + Clone>() {}
    const fn moved<T: Send>() {}
    handle::<Stream>();
    handle::<Group>();
    handle::<Consumer>();
    handle::<Entry>();
    handle::<Entries>();
    handle::<Token>();
    handle::<EntryId>();
    handle::<StreamOptions>();
    handle::<GroupInfo>();
    handle::<ManualClock>();
    handle::<SystemClock>();
    shared::<Reader>();
    shared::<Subscription>();
    shared::<Delivery>();
    shared::<Error>();
    moved::<Batch>();
};

const THREADS: usize = 8;

/// Eight threads append `each` batches of three while eight read and settle in different ways.
fn race(stream: &Stream, each: usize) -> BTreeMap<EntryId, u32> {
    let group = stream.group("g").lease(HOUR).open(Start::Earliest).unwrap();
    let total = THREADS * each * 3;
    let (settled, done) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for writer in 0..THREADS {
            scope.spawn(move || {
                for number in 0..each {
                    let payloads = [0, 1, 2].map(|place| format!("{writer}.{number}.{place}"));
                    let ids: Vec<EntryId> = stream.append_batch(&payloads).unwrap().collect();
                    assert!(ids.windows(2).all(|w| w[0].offset() + 1 == w[1].offset()));
                }
            });
        }
        for number in 0..THREADS {
            let (group, settled, done) = (&group, &settled, &done);
            scope.spawn(move || {
                let worker = group.join(&format!("worker {number}")).unwrap();
                while done.load(Ordering::Relaxed) < total {
                    let batch = worker.read_timeout(5, Duration::from_millis(5)).unwrap();
                    let ids = settle(group, batch, number);
                    done.fetch_add(ids.len(), Ordering::Relaxed);
                    let mut settled = settled.lock().unwrap();
                    for id in ids {
                        *settled.entry(id).or_insert(0) += 1;
                    }
                }
            });
        }
    });
    assert_eq!(group.lag().unwrap(), 0);
    assert_eq!(group.info().unwrap().acked, total as u64);
    settled.into_inner().unwrap()
}

/// Settles a batch in one of four ways, and hands some of it back. Gives the settled ids.
fn settle(group: &Group, batch: Batch, way: usize) -> Vec<EntryId> {
    if way.is_multiple_of(4) {
        let ids = batch.iter().map(|held| held.id()).collect();
        assert!(batch.ack_all().unwrap().is_complete());
        return ids;
    }
    let mut ids = Vec::new();
    for delivery in batch {
        let id = delivery.id();
        match (way % 4, delivery.attempt(), id.offset() % 7) {
            (1, 1, 0) => delivery.nack_after(Duration::ZERO).unwrap(),
            (2, 1, 1) => drop(delivery),
            (3, ..) => {
                assert!(group.ack([delivery.detach()]).unwrap().is_complete());
                ids.push(id);
            }
            _ => {
                delivery.ack().unwrap();
                ids.push(id);
            }
        }
    }
    ids
}

#[test]
fn eight_appending_and_eight_consuming_threads_settle_each_entry_once() {
    let every = Durability::Every(Duration::from_millis(1));
    for (durability, partitions, each) in [
        (Durability::Os, 1, 400),
        (Durability::Os, 4, 400),
        (every, 4, 100),
        (Durability::Always, 2, 10),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = Stream::options().partitions(partitions).segment_bytes(1 << 16);
        let stream = options.durability(durability).open(dir.path()).unwrap();
        let settled = race(&stream, each);
        assert_eq!(settled.len(), THREADS * each * 3);
        assert!(settled.values().all(|count| *count == 1), "settled twice under {durability:?}");
        // Batches are in one piece, and those of one thread in its order.
        let reader = stream.reader(Start::Earliest).unwrap().until_now();
        let mut last: BTreeMap<(u32, String), usize> = BTreeMap::new();
        let entries: Vec<Entry> = std::iter::from_fn(|| {
            let entries = reader.try_read(1_000).unwrap();
            (!entries.is_empty()).then_some(entries)
        })
        .flatten()
        .collect();
        for entry in entries {
            let text = String::from_utf8(entry.payload().to_vec()).unwrap();
            let (writer, rest) = text.split_once('.').unwrap();
            let (number, place) = rest.split_once('.').unwrap();
            assert_eq!(entry.id().offset() % 3, place.parse::<u64>().unwrap());
            let number = number.parse().unwrap();
            let before = last.insert((entry.id().partition(), writer.to_owned()), number);
            assert!(before.is_none_or(|before| before <= number));
        }
        stream.verify().unwrap();
    }
}

#[test]
fn closing_while_others_work_gives_typed_errors_only() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let stream = Stream::options().segment_bytes(1 << 14).open(dir.path()).unwrap();
        let group = stream.group("g").open(Start::Earliest).unwrap();
        let told = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..3 {
                let (stream, group, told) = (&stream, &group, &told);
                scope.spawn(move || {
                    let end = loop {
                        if let Err(error) = stream.append("payload") {
                            break error;
                        }
                        told.fetch_add(1, Ordering::Relaxed);
                    };
                    assert!(end.is_closed(), "{end}");
                });
                scope.spawn(move || {
                    let end = work(group, number).unwrap_err();
                    assert!(end.is_closed(), "{end}");
                });
                scope.spawn(move || {
                    let end = follow(stream).unwrap_err();
                    assert!(end.is_closed(), "{end}");
                });
            }
            while told.load(Ordering::Relaxed) < round * 20 {
                thread::yield_now();
            }
            stream.clone().close().unwrap();
            // It is free when `close` returns, whatever the others are still at.
            drop(Stream::open(dir.path()).unwrap());
        });
        drop((group, stream));
        let stream = Stream::open(dir.path()).unwrap();
        assert!(stream.recovery().is_clean());
        let stored = stream.info().unwrap().entries();
        assert_eq!(stored, told.into_inner() as u64);
    }
}

fn work(group: &Group, number: usize) -> Result<(), Error> {
    let worker = group.join(&format!("worker {number}"))?;
    loop {
        for delivery in worker.read(7)? {
            delivery.ack()?;
        }
    }
}

fn follow(stream: &Stream) -> Result<(), Error> {
    let subscription = stream.subscribe()?;
    loop {
        subscription.read(7)?;
        stream.sync()?;
    }
}
