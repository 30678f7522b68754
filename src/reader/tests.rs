//! What readers and subscriptions make of entries that were trimmed before they came by. The same
//! is shown of the log below in its own tests; here it is who asked for what, and what is counted.

use std::thread;

use super::*;
use crate::engine::Mill;
use crate::entries::View;
use crate::options::StreamOptions;
use crate::start::Start;
use crate::stream::Stream;

/// The least a segment can have.
const SEGMENT_BYTES: u64 = 4096;
/// So large that each segment holds three.
const PAYLOAD: &[u8] = &[7; 950];

/// A stream whose partitions have `entries` each, in turn.
fn stream(partitions: u32, entries: u32) -> Stream {
    let options = StreamOptions::default().partitions(partitions).segment_bytes(SEGMENT_BYTES);
    let stream = options.in_memory().unwrap();
    append(&stream, partitions * entries);
    stream
}

fn append(stream: &Stream, entries: u32) {
    for _ in 0..entries {
        stream.append(PAYLOAD).unwrap();
    }
}

/// Trims a partition and says where it starts now.
fn trim(stream: &Stream, partition: usize, offset: u64) -> u64 {
    mill(stream).ground.logs[partition].trim_to(offset).unwrap().end
}

fn mill(stream: &Stream) -> Arc<Mill> {
    Arc::clone(&stream.subscribe().unwrap().handle.mill)
}

fn offsets(entries: &Entries) -> Vec<u64> {
    entries.iter().map(|entry: View<'_>| entry.id().offset()).collect()
}

#[test]
fn a_segment_holds_three() {
    let stream = stream(1, 10);
    assert_eq!([2, 3, 5, 8, 9].map(|offset| trim(&stream, 0, offset)), [0, 3, 3, 6, 9]);
}

#[test]
fn a_reader_goes_on_at_the_start_and_counts_what_it_did_not_see() {
    let stream = stream(1, 10);
    let reader = stream.reader(Start::Earliest).unwrap();
    assert_eq!(offsets(&reader.try_read(2).unwrap()), [0, 1]);
    assert_eq!((trim(&stream, 0, 6), reader.missed()), (6, 0), "no read found it yet");
    assert_eq!(offsets(&reader.try_read(2).unwrap()), [6, 7]);
    assert_eq!(reader.missed(), 4);
    trim(&stream, 0, 9);
    assert_eq!(offsets(&reader.try_read(2).unwrap()), [9]);
    assert_eq!(reader.missed(), 5);
}

#[test]
fn what_was_read_before_it_was_trimmed_was_not_missed() {
    let stream = stream(1, 10);
    let reader = stream.reader(Start::Earliest).unwrap();
    assert_eq!(reader.try_read(7).unwrap().len(), 7);
    trim(&stream, 0, 6);
    assert_eq!(offsets(&reader.try_read(9).unwrap()), [7, 8, 9]);
    assert_eq!(reader.missed(), 0);
}

#[test]
fn a_start_that_was_trimmed_is_missed_and_the_first_that_is_stored_is_not() {
    let stream = stream(2, 10);
    assert_eq!((trim(&stream, 0, 6), trim(&stream, 1, 3)), (6, 3));
    let missed_from = |start| {
        let reader = stream.reader(start).unwrap();
        let seen = reader.try_read(100).unwrap().len();
        (seen, reader.missed())
    };
    assert_eq!(missed_from(Start::Earliest), (11, 0));
    assert_eq!(missed_from(Start::At(EntryId::new(0, 2))), (11, 4));
    assert_eq!(missed_from(Start::At(EntryId::new(0, 7))), (10, 0));
    let each = vec![EntryId::new(0, 5), EntryId::new(1, 0)];
    assert_eq!(missed_from(Start::Each(each)), (11, 1 + 3));
    assert_eq!(missed_from(Start::Latest), (0, 0));
}

#[test]
fn a_reader_with_an_end_misses_nothing_behind_it() {
    let stream = stream(1, 10);
    let until = |end| {
        let reader = stream.reader(Start::At(EntryId::new(0, 1))).unwrap();
        reader.until(EntryId::new(0, end)).unwrap()
    };
    let (short, long) = (until(4), until(8));
    trim(&stream, 0, 6);
    assert!(short.try_read(9).unwrap().is_empty());
    assert_eq!(short.missed(), 3);
    assert_eq!(offsets(&long.try_read(9).unwrap()), [6, 7]);
    assert_eq!(long.missed(), 5);
    assert!(long.read(9).unwrap().is_empty(), "it is at its end and does not wait");
    assert_eq!((short.missed(), long.missed()), (3, 5));
}

#[test]
fn a_backward_reader_ends_at_the_start_and_counts_what_is_below() {
    let stream = stream(1, 10);
    let reader = stream.reader(Start::At(EntryId::new(0, 1))).unwrap().backward();
    assert_eq!(offsets(&reader.try_read(2).unwrap()), [9, 8]);
    trim(&stream, 0, 6);
    assert_eq!(offsets(&reader.try_read(1).unwrap()), [7]);
    assert_eq!(reader.missed(), 0, "it has not come to what is gone");
    assert_eq!(offsets(&reader.try_read(5).unwrap()), [6]);
    assert_eq!(reader.missed(), 5);
    assert!(reader.read(5).unwrap().is_empty());
    assert_eq!(reader.missed(), 5);

    // All that is left of it goes at once.
    let reader = stream.reader(Start::Earliest).unwrap().backward();
    assert_eq!(offsets(&reader.try_read(2).unwrap()), [9, 8]);
    trim(&stream, 0, 9);
    assert!(reader.read(5).unwrap().is_empty());
    assert_eq!(reader.missed(), 2);
}

#[test]
fn a_subscription_goes_on_at_the_start_in_each_partition() {
    let stream = stream(2, 2);
    let subscription = stream.subscribe().unwrap();
    append(&stream, 12);
    assert_eq!((trim(&stream, 0, 6), trim(&stream, 1, 3)), (6, 3));
    let seen = subscription.try_read(100).unwrap();
    assert_eq!((seen.len(), subscription.missed()), (7, 4 + 1));
    append(&stream, 1);
    assert_eq!((subscription.try_read(100).unwrap().len(), subscription.missed()), (1, 5));
}

#[test]
fn a_read_that_misses_all_there_is_waits_for_the_next_entry() {
    let stream = stream(1, 0);
    let subscription = stream.subscribe().unwrap();
    append(&stream, 3);
    // As a roll leaves it whose append failed: nothing but an empty segment.
    mill(&stream).ground.logs[0].roll_with(&crate::log::Draft::default(), 0, 0).unwrap();
    assert_eq!(trim(&stream, 0, 3), 3);
    assert!(subscription.try_read(5).unwrap().is_empty());
    assert_eq!(subscription.missed(), 3);
    let read = thread::scope(|scope| {
        let read = scope.spawn(|| offsets(&subscription.read(5).unwrap()));
        append(&stream, 1);
        read.join().unwrap()
    });
    assert_eq!((read, subscription.missed()), (vec![3], 3));
}

#[test]
fn an_entry_that_was_trimmed_is_none() {
    let stream = stream(1, 10);
    trim(&stream, 0, 6);
    let found = [0, 5, 6, 9, 10].map(|offset| stream.get(EntryId::new(0, offset)).unwrap());
    assert_eq!(found.map(|entry| entry.is_some()), [false, false, true, true, false]);
}
