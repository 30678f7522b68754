//! Groups, readers and subscriptions that take only some subjects.

mod lag;

use std::fs;
use std::time::Duration;

use millstream::{
    AckMode, Backoff, Consumer, EntryId, Error, Event, Exhausted, Group, ManualClock, NewEntry,
    OnTrimmed, Retention, Start, Stream,
};

use crate::scene::{HOUR, SECOND, id, idle, seen, take};

/// Appends an entry of each subject; `""` has none.
pub(crate) fn append(stream: &Stream, subjects: &[&str]) {
    for subject in subjects {
        let entry = NewEntry::new(*subject);
        let entry = if subject.is_empty() { entry } else { entry.subject(subject) };
        stream.append(entry).unwrap();
    }
}

fn offsets(worker: &Consumer, max: u32) -> Vec<u64> {
    seen(&worker.try_read(max).unwrap()).into_iter().map(|(offset, _)| offset).collect()
}

fn orders(stream: &Stream) -> (Group, Consumer) {
    let options = stream.group("orders").filter("order.*").session_timeout(HOUR);
    let group = options.backoff(Backoff::fixed(SECOND)).open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    (group, worker)
}

fn memory() -> (Stream, ManualClock) {
    let clock = ManualClock::new();
    (Stream::options().clock(clock.clone()).in_memory().unwrap(), clock)
}

/// Lag, never handed out, floor and next offset of the first partition.
fn standing(group: &Group) -> (u64, u64, u64, u64) {
    let info = group.info().unwrap();
    assert_eq!(info.lag, group.lag().unwrap());
    assert_eq!(info.lag, info.undelivered + info.leased + info.delayed + info.due);
    (info.lag, info.undelivered, info.partitions[0].floor, info.partitions[0].next)
}

#[test]
fn a_group_is_given_what_matches_and_nothing_else() {
    let (stream, _) = memory();
    let all = stream.group("all").open(Start::Earliest).unwrap().join("worker").unwrap();
    let (group, worker) = orders(&stream);
    append(&stream, &["order.paid", "", "user.created", "order.sent", "order", "order.a.b"]);
    assert_eq!(standing(&group), (2, 2, 0, 0));
    assert_eq!(offsets(&worker, 10), [0, 3]);
    assert_eq!(offsets(&all, 10), [0, 1, 2, 3, 4, 5]);
    assert_eq!(group.info().unwrap().filter, ["order.*"]);
}

#[test]
fn wildcards_match_whole_tokens_only() {
    let (stream, _) = memory();
    let table: [(&str, &[u64]); 7] = [
        ("a.b", &[1]),
        ("a.*", &[1, 3, 5]),
        ("*.b", &[1]),
        ("a.>", &[1, 2, 3, 5]),
        ("*", &[0, 4]),
        (">", &[0, 1, 2, 3, 4, 5]),
        ("a.b*", &[3]),
    ];
    for (pattern, _) in table {
        stream.group(pattern).filter(pattern).open(Start::Earliest).unwrap();
    }
    let subscriptions: Vec<_> =
        table.map(|(pattern, _)| stream.subscribe_to([pattern]).unwrap()).into();
    append(&stream, &["a", "a.b", "a.b.c", "a.b*", "b", "a.bc", ""]);
    for ((pattern, expected), subscription) in table.iter().zip(subscriptions) {
        let group = stream.group(pattern).open_existing().unwrap();
        let lag = group.lag().unwrap();
        assert_eq!(offsets(&group.join("worker").unwrap(), 10), *expected, "{pattern}");
        assert_eq!(lag, expected.len() as u64, "{pattern}");
        let found = subscription.try_read(10).unwrap();
        assert!(found.iter().map(|entry| entry.id().offset()).eq(expected.iter().copied()));
        let reader = stream.reader(Start::Earliest).unwrap().filter(pattern).unwrap();
        let found = reader.try_read(10).unwrap();
        assert!(found.iter().map(|entry| entry.id().offset()).eq(expected.iter().copied()));
    }
}

#[test]
fn several_patterns_are_an_or() {
    let (stream, _) = memory();
    let group = stream.group("g").filter("a").filter("b.>").filter("a").open(Start::Earliest);
    let group = group.unwrap();
    assert_eq!(group.info().unwrap().filter, ["a", "b.>"]);
    append(&stream, &["a", "b", "b.c", "c"]);
    let reader = stream.reader(Start::Earliest).unwrap().filter("a").unwrap();
    assert_eq!(reader.filter("b.>").unwrap().try_read(9).unwrap().len(), 2);
    assert_eq!(stream.subscribe_to(["a", "b.>"]).unwrap().try_read(9).unwrap().len(), 0);
    assert_eq!(offsets(&group.join("worker").unwrap(), 9), [0, 2]);
}

#[test]
fn nonsense_is_refused_with_the_reason() {
    let (stream, _) = memory();
    for (pattern, rule) in [
        ("", "empty token"),
        ("a..b", "empty token"),
        ("a b", "white space"),
        (">.a", "has to be the last"),
    ] {
        let refused = [
            stream.group("g").filter("ok").filter(pattern).open(Start::Earliest).unwrap_err(),
            stream.subscribe_to([pattern]).unwrap_err(),
            stream.reader(Start::Earliest).unwrap().filter(pattern).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, Error::InvalidName { what: "filter", .. }), "{error}");
            assert!(error.to_string().contains(rule), "{error}");
        }
    }
    assert!(stream.groups().is_empty());
    let none: [&str; 0] = [];
    assert!(stream.subscribe_to(none).unwrap_err().to_string().contains("no pattern"));
}

#[test]
fn a_groups_filter_stays_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let open = |stream: &Stream, patterns: &[&str]| {
        let options = patterns.iter().fold(stream.group("g"), |o, pattern| o.filter(*pattern));
        options.open(Start::Earliest)
    };
    drop(open(&stream, &["b.>", "a"]).unwrap());
    drop(stream.group("plain").open(Start::Earliest).unwrap());
    for _ in 0..2 {
        // Unset keeps it; the order makes no difference.
        drop(open(&stream, &[]).unwrap());
        let _in_use = open(&stream, &["a", "b.>"]).unwrap();
        let differ = open(&stream, &["a"]).unwrap_err();
        let Error::OptionsDiffer { option: "filter", stored, given } = differ else {
            panic!("{differ}")
        };
        assert_eq!((&*stored, &*given), ("a, b.>", "a"));
        let plain = stream.group("plain").filter("a").open_existing().unwrap_err();
        assert!(matches!(&plain, Error::OptionsDiffer { stored, .. } if &**stored == "none"));
    }
    stream.close().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    assert!(matches!(open(&stream, &["a"]), Err(Error::OptionsDiffer { .. })));
    append(&stream, &["a", "b", "b.c"]);
    assert_eq!(open(&stream, &[]).unwrap().lag().unwrap(), 2);
}

#[test]
fn what_does_not_match_takes_no_room_and_moves_the_floor() {
    let (stream, _) = memory();
    let (group, worker) = orders(&stream);
    append(&stream, &["x", "x", "order.1", "x", "order.2", "x"]);
    let first = take(&worker);
    assert_eq!((first.id(), standing(&group)), (id(2), (2, 1, 2, 3)));
    assert_eq!(group.pending().unwrap().total, 1);
    let second = take(&worker);
    assert_eq!(standing(&group), (2, 0, 2, 6));
    first.ack().unwrap();
    second.ack().unwrap();
    assert_eq!(standing(&group), (0, 0, 6, 6));
    append(&stream, &["x"]);
    assert_eq!(standing(&group), (0, 0, 6, 6));
    assert!(idle(&worker));
    assert_eq!(standing(&group), (0, 0, 7, 7));
    assert_eq!(group.info().unwrap().acked, 2);
}

#[test]
fn one_read_goes_through_any_number_of_others() {
    let (stream, _) = memory();
    let (group, worker) = orders(&stream);
    for _ in 0..12 {
        stream.append_batch((0..1_000).map(|_| NewEntry::new("x").subject("user.x"))).unwrap();
    }
    append(&stream, &["order.1"]);
    assert_eq!(group.lag().unwrap(), 1);
    assert_eq!(offsets(&worker, 3), [12_000]);
    assert_eq!(standing(&group).3, 12_001);
    append(&stream, &["user.x"]);
    assert!(idle(&worker));
    assert_eq!(standing(&group).3, 12_002);
}

#[test]
fn a_blocked_read_is_not_ended_by_what_does_not_match() {
    let (stream, _) = memory();
    let (group, worker) = orders(&stream);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| offsets_of(&worker.read(5).unwrap()));
        while group.info().unwrap().blocked_reads == 0 {
            std::thread::yield_now();
        }
        for n in 1..=5 {
            append(&stream, &["user.created"]);
            while standing(&group).3 < n {
                std::thread::yield_now();
            }
        }
        append(&stream, &["order.1"]);
        assert_eq!(reader.join().unwrap(), [5]);
    });
}

fn offsets_of(batch: &millstream::Batch) -> Vec<u64> {
    seen(batch).into_iter().map(|(offset, _)| offset).collect()
}

#[test]
fn what_comes_again_is_not_sifted_again() {
    let (stream, clock) = memory();
    let (group, worker) = orders(&stream);
    append(&stream, &["x", "order.1", "x", "order.2", "order.3"]);
    for delivery in worker.try_read(2).unwrap() {
        delivery.nack().unwrap();
    }
    clock.advance(SECOND);
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(1, 2), (3, 2), (4, 1)]);
    assert_eq!(standing(&group), (3, 0, 1, 5));
}

#[test]
fn what_is_given_up_unread_counts_only_what_matches() {
    let (stream, _) = memory();
    let (group, worker) = orders(&stream);
    append(&stream, &["x", "order.1", "x", "order.2", "x", "order.3", "order.4", "x"]);
    let skipped = group.skip(0, 0..2).unwrap();
    assert_eq!((skipped, standing(&group)), (1, (3, 3, 2, 2)));
    let settled = worker.ack_through(id(4)).unwrap();
    assert_eq!((settled, standing(&group)), (1, (2, 2, 5, 5)));
    group.reset(Start::At(id(6))).unwrap();
    assert_eq!(standing(&group), (1, 1, 6, 6));
    let info = group.info().unwrap();
    assert_eq!((info.acked, info.skipped, info.trimmed.entries()), (1, 2, 0));
    group.reset(Start::Earliest).unwrap();
    assert_eq!(standing(&group), (4, 4, 0, 0));
    assert_eq!(offsets(&worker, 9), [1, 3, 5, 6]);
}

#[test]
fn reading_that_acks_settles_what_matches() {
    let (stream, _) = memory();
    let options = stream.group("g").filter("order.*").ack_mode(AckMode::OnRead);
    let group = options.open(Start::Earliest).unwrap();
    append(&stream, &["order.1", "x", "order.2", "x"]);
    assert_eq!(offsets(&group.join("worker").unwrap(), 9), [0, 2]);
    assert_eq!((standing(&group), group.info().unwrap().acked), ((0, 0, 4, 4), 2));
}

/// A stream on small segments with `count` entries, every fourth an order, in segments of their own.
fn trimmable(count: u64) -> Stream {
    let stream = Stream::options().segment_bytes(4096).in_memory().unwrap();
    for n in 0..count {
        let subject = if n % 4 == 3 { "order.x" } else { "user.x" };
        stream.append(NewEntry::new(&[7_u8; 400]).subject(subject)).unwrap();
    }
    stream
}

#[test]
fn a_trim_loses_only_what_matches() {
    for policy in [OnTrimmed::Earliest, OnTrimmed::Latest, OnTrimmed::Error] {
        let stream = trimmable(64);
        let group = stream.group("g").filter("order.*").on_trimmed(policy);
        let group = group.open(Start::Earliest).unwrap();
        let idle = stream.group("idle").filter("nobody").on_trimmed(policy);
        let idle = idle.open(Start::Earliest).unwrap();
        let (events, quiet) = (group.events().unwrap(), idle.events().unwrap());
        let worker = group.join("worker").unwrap();
        let held: Vec<_> = worker.try_read(2).unwrap().into_iter().collect();
        let start = stream.trim_before(id(40)).unwrap();
        assert!((20..40).contains(&start));
        let unread = (8..start).filter(|n| n % 4 == 3).count() as u64;
        let (lost, lag) = match policy {
            OnTrimmed::Earliest => (2 + unread, 14 - unread),
            OnTrimmed::Latest => (16, 0),
            _ => (2, 14 - unread),
        };
        let info = group.info().unwrap();
        assert_eq!((info.trimmed.entries(), info.lag), (lost, lag), "{policy:?}");
        let told = events.drain().into_iter().filter_map(|event| match event {
            Event::Trimmed { lost, .. } => Some(lost.entries()),
            _ => None,
        });
        assert_eq!(told.sum::<u64>(), lost);
        assert_eq!(worker.try_read(9).is_err(), policy == OnTrimmed::Error, "{policy:?}");
        drop(held);
        // Nothing of what went was for that one, so it goes on where it was.
        let info = idle.info().unwrap();
        assert_eq!((info.trimmed.entries(), info.lag, info.partitions[0].next), (0, 0, start));
        assert_eq!(quiet.drain().len(), 0);
    }
}

#[test]
fn what_does_not_match_never_holds_the_log() {
    let options = Stream::options().segment_bytes(4096).retention(Retention::settled());
    let stream = options.in_memory().unwrap();
    let group = stream.group("g").filter("order.*").open(Start::Earliest).unwrap();
    let start = || stream.info().unwrap().partitions[0].start;
    for _ in 0..100 {
        stream.append(NewEntry::new(&[7_u8; 400]).subject("user.x")).unwrap();
    }
    stream.trim().unwrap();
    let before = start();
    assert!(before > 80, "nobody reads the group, and nothing was for it: {before}");
    assert_eq!((group.lag().unwrap(), group.info().unwrap().trimmed.entries()), (0, 0));
    let id = stream.append(NewEntry::new("mine").subject("order.1")).unwrap();
    for _ in 0..100 {
        stream.append(NewEntry::new(&[7_u8; 400]).subject("user.x")).unwrap();
    }
    stream.trim().unwrap();
    assert!((before..=id.offset()).contains(&start()));
    assert_eq!(offsets(&group.join("worker").unwrap(), 9), [id.offset()]);
}

#[test]
fn rot_in_what_does_not_match_is_met_and_not_passed() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    drop(orders(&stream));
    append(&stream, &["order.1", "user.a", "user.b", "user.c", "order.2"]);
    stream.close().unwrap();
    let path = dir.path().join("p0/0000000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    let rotten = bytes.windows(6).rposition(|six| six == b"user.b").unwrap();
    // The last one is in the footer; the one before that is the entry's subject.
    let rotten = bytes[..rotten].windows(6).rposition(|six| six == b"user.b").unwrap();
    bytes[rotten] = b'x';
    fs::write(&path, bytes).unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let (group, worker) = orders(&stream);
    assert_eq!(offsets(&worker, 9), [0]);
    for _ in 0..2 {
        assert!(worker.try_read(9).unwrap_err().is_corrupt());
        assert_eq!(standing(&group).3, 2);
    }
    assert!(stream.reader(Start::At(id(1))).unwrap().filter("*.>").unwrap().try_read(9).is_ok());
    assert_eq!(group.skip(0, 2..3).unwrap(), 0);
    assert_eq!(offsets(&worker, 9), [4]);
}

#[test]
fn filters_survive_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let (_, worker) = orders(&stream);
    append(&stream, &["x", "order.1", "x", "order.2", "x", "order.3", "x"]);
    let batch: Vec<_> = worker.try_read(2).unwrap().into_iter().collect();
    let mut batch = batch.into_iter();
    batch.next().unwrap().ack().unwrap();
    for delivery in batch {
        let _kept = delivery.detach();
    }
    stream.close().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let group = stream.group("orders").open_existing().unwrap();
    assert_eq!(standing(&group), (2, 1, 3, 5));
    let worker = group.join("worker").unwrap();
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(3, 2), (5, 1)]);
    append(&stream, &["x", "order.4"]);
    assert_eq!(standing(&group).0, 3);
}

#[test]
fn partitions_that_are_added_are_sifted_too() {
    let (stream, _) = memory();
    let (group, worker) = orders(&stream);
    append(&stream, &["order.1"]);
    stream.add_partitions(2).unwrap();
    append(&stream, &["order.2", "x", "order.3", "x", "order.4", "x"]);
    assert_eq!(group.lag().unwrap(), 4);
    let batch = worker.try_read(9).unwrap();
    assert_eq!((batch.len(), batch.ack_all().unwrap().is_complete()), (4, true));
    assert_eq!((group.lag().unwrap(), idle(&worker)), (0, true));
    assert_eq!(group.info().unwrap().partitions.iter().map(|p| p.floor).sum::<u64>(), 7);
}

#[test]
fn exhausted_entries_leave_the_lag_of_a_filtered_group() {
    let (stream, clock) = memory();
    let options = stream.group("g").filter("order.*").max_deliveries(1).session_timeout(HOUR);
    let group = options.on_exhausted(Exhausted::Park).open(Start::Earliest).unwrap();
    append(&stream, &["x", "order.1", "order.2", "x"]);
    let worker = group.join("worker").unwrap();
    for delivery in worker.try_read(9).unwrap() {
        delivery.nack().unwrap();
    }
    assert_eq!(standing(&group), (0, 0, 4, 4));
    let parked: Vec<EntryId> = group.parked(9).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(parked, [id(1), id(2)]);
    group.redrive(1).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(standing(&group), (1, 0, 1, 4));
}

#[test]
fn a_filtered_reader_goes_any_way() {
    let (stream, _) = memory();
    for n in 0..3_000 {
        append(&stream, &[if n % 300 == 7 { "order.x" } else { "user.x" }]);
    }
    let expected: Vec<u64> = (0..10).map(|n| n * 300 + 7).collect();
    for max in [1, 3, 100] {
        let reader = || stream.reader(Start::At(id(5))).unwrap().filter("order.*").unwrap();
        let until = || reader().until(EntryId::new(0, 2_000)).unwrap();
        let all = |reader: millstream::Reader| {
            let mut found = Vec::new();
            loop {
                let entries = reader.try_read(max).unwrap();
                if entries.is_empty() {
                    return found;
                }
                assert!(entries.len() <= max as usize);
                found.extend(entries.iter().map(|entry| entry.id().offset()));
            }
        };
        let back = |offsets: &[u64]| offsets.iter().rev().copied().collect::<Vec<_>>();
        assert_eq!(all(reader().until_now()), expected);
        assert_eq!(all(until()), expected[..7]);
        assert_eq!(all(reader().backward()), back(&expected));
        assert_eq!(all(until().backward()), back(&expected[..7]));
    }
}

#[test]
fn a_filtered_subscription_waits_for_what_matches() {
    let (stream, _) = memory();
    let subscription = stream.subscribe_to(["order.*"]).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let entries = subscription.read(5).unwrap();
            entries.iter().map(|entry| entry.payload().to_vec()).collect::<Vec<_>>()
        });
        append(&stream, &["x", "x", "order.1"]);
        assert_eq!(reader.join().unwrap(), [b"order.1"]);
    });
    append(&stream, &["x"]);
    assert!(subscription.try_read(5).unwrap().is_empty());
}
