//! What a stream keeps and what goes (D14, D15, section 8): limits take the oldest whatever groups need,
//! and count it; `settled` takes what every group is done with; both together refuse appends.

mod full;
mod limits;
mod options;
mod settled;

use std::time::Duration;

use millstream::{
    Consumer, EntryId, Error, Event, Group, Loss, ManualClock, Retention, Start, Stream,
    StreamOptions,
};

use crate::scene::{HOUR, SECOND, id, take, take_all};

/// So large that each segment holds three.
const PAYLOAD: &[u8] = &[7; 950];
const PER_SEGMENT: u64 = 3;

/// Options with the smallest segments.
fn options(retention: Retention, clock: &ManualClock) -> StreamOptions {
    Stream::options().segment_bytes(4096).retention(retention).clock(clock.clone())
}

fn stream(retention: Retention) -> Stream {
    options(retention, &ManualClock::new()).in_memory().unwrap()
}

fn append(stream: &Stream, entries: u64) {
    for _ in 0..entries {
        stream.append(PAYLOAD).unwrap();
    }
}

fn start(stream: &Stream) -> u64 {
    stream.info().unwrap().partitions[0].start
}

/// How many entries of the first partition are stored.
fn kept(stream: &Stream) -> u64 {
    let partition = &stream.info().unwrap().partitions[0];
    partition.end - partition.start
}

fn group(stream: &Stream, name: &str) -> Group {
    stream.group(name).session_timeout(HOUR).max_deliveries(3).open(Start::Earliest).unwrap()
}

fn member(group: &Group) -> Consumer {
    group.join("worker").unwrap()
}

/// Acks everything that there is to read.
fn ack_all(worker: &Consumer) {
    assert!(worker.try_read(1_000).unwrap().ack_all().unwrap().is_complete());
}

fn loss(group: &Group) -> [u64; 4] {
    by_kind(group.info().unwrap().trimmed)
}

/// Unread, pending, delayed, parked.
fn by_kind(loss: Loss) -> [u64; 4] {
    [loss.unread, loss.pending, loss.delayed, loss.parked]
}
