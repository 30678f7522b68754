//! `settled` with a limit: rather than lose anything, appends are refused.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// Appends until it is refused. Says how many were taken.
fn fill(stream: &Stream) -> u64 {
    for taken in 0..1_000 {
        match stream.append(PAYLOAD) {
            Ok(_) => {}
            Err(error) => {
                assert!(error.is_stream_full(), "{error}");
                return taken;
            }
        }
    }
    panic!("it is never full")
}

#[test]
fn a_full_stream_refuses_appends_and_acks_make_room() {
    for (retention, fits) in [
        (Retention::settled().entries(10), 10..17),
        (Retention::settled().bytes(20_000), 14..20),
        (Retention::settled().bytes(20_000).entries(1_000), 14..20),
    ] {
        let stream = stream(retention);
        let group = group(&stream, "g");
        let worker = member(&group);
        let taken = fill(&stream);
        assert!(fits.contains(&taken), "{taken}");
        assert!(stream.info().unwrap().bytes <= 24_576);
        for append in [
            stream.append_batch([PAYLOAD, PAYLOAD]).map(|_| ()),
            stream.append_each([PAYLOAD]).map(|_| ()),
            stream.append("small ones, too").map(|_| ()),
        ] {
            assert!(append.unwrap_err().is_stream_full());
        }
        // Reading and trimming alone help nothing, and lose nothing.
        let held: Vec<_> = take_all(&worker);
        assert_eq!(held.len() as u64, taken);
        assert!(stream.trim().unwrap().partitions.is_empty());
        assert_eq!(fill(&stream), 0);
        let mut held = held.into_iter();
        held.by_ref().take(2).for_each(|delivery| delivery.ack().unwrap());
        assert_eq!(fill(&stream), 0, "the first segment holds three");
        held.by_ref().take(1).for_each(|delivery| delivery.ack().unwrap());
        assert!(fill(&stream) > 0, "an append makes room by itself");
        held.for_each(|delivery| delivery.ack().unwrap());
        assert!(stream.trim().unwrap().entries() > 0);
        assert!(fill(&stream) >= 6);
        assert_eq!(loss(&group), [0; 4]);
    }
}

#[test]
fn the_error_says_which_bound_it_is() {
    let full = |retention| {
        let stream = stream(retention);
        group(&stream, "g");
        fill(&stream);
        match stream.append(PAYLOAD).unwrap_err() {
            Error::StreamFull { what, bound } => format!("{what}: {bound}"),
            other => panic!("{other}"),
        }
    };
    assert_eq!(full(Retention::settled().entries(10)), "the entries of a partition: 10");
    assert_eq!(full(Retention::settled().bytes(9_000)), "the bytes of a partition: 9000");
}

#[test]
fn entries_that_are_too_old_and_needed_refuse_appends_until_they_are_settled() {
    let clock = ManualClock::new();
    let stream = options(Retention::settled().age(SECOND * 60), &clock).in_memory().unwrap();
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 10);
    assert_eq!(stream.maintain().unwrap().map(|wait| wait <= SECOND * 61), Some(true));
    clock.advance(SECOND * 61);
    stream.maintain().unwrap();
    assert!(stream.append(PAYLOAD).unwrap_err().is_stream_full());
    assert_eq!((start(&stream), loss(&group)), (0, [0; 4]));
    let next = stream.maintain().unwrap();
    assert!(next.is_none_or(|wait| wait > Duration::ZERO), "time alone changes nothing: {next:?}");
    ack_all(&worker);
    append(&stream, 1);
    assert_eq!(start(&stream), 9);
}

#[test]
fn a_stream_without_groups_is_full_until_there_is_one_that_needs_less() {
    let stream = stream(Retention::settled().entries(10));
    fill(&stream);
    stream.group("late").open(Start::Latest).unwrap();
    assert!(fill(&stream) > 0);
}

#[test]
fn deleting_the_group_that_holds_it_makes_room() {
    let stream = stream(Retention::settled().entries(10));
    let (fast, slow) = (group(&stream, "fast"), group(&stream, "slow"));
    fill(&stream);
    ack_all(&member(&fast));
    assert_eq!(fill(&stream), 0);
    slow.delete().unwrap();
    assert!(fill(&stream) > 0);
}

#[test]
fn a_parked_entry_fills_the_stream_and_letting_go_of_it_empties_it() {
    let stream = stream(Retention::settled().entries(10));
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 1);
    take(&worker).reject("bad").unwrap();
    let mut taken = 0;
    while stream.append(PAYLOAD).is_ok() {
        take(&worker).ack().unwrap();
        taken += 1;
    }
    assert!((10..17).contains(&taken));
    let held = stream.info().unwrap().partitions[0].held_by.clone().unwrap();
    assert_eq!((&*held.group, held.entry), ("g", id(0)));
    group.discard_parked(&[id(0)]).unwrap();
    append(&stream, 1);
}

#[test]
fn one_full_partition_does_not_refuse_the_others_keys() {
    let clock = ManualClock::new();
    let options = options(Retention::settled().entries(6), &clock).partitions(2);
    let stream = options.in_memory().unwrap();
    group(&stream, "g");
    let entry = |key| millstream::NewEntry::new(PAYLOAD).key(key);
    let scratch = Stream::options().partitions(2).in_memory().unwrap();
    let keys: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
    let of = |partition| {
        let mut keys = keys.iter();
        keys.find(|key| scratch.append(entry(*key)).unwrap().partition() == partition).unwrap()
    };
    while stream.append(entry(of(0))).is_ok() {}
    for _ in 0..6 {
        assert_eq!(stream.append(entry(of(1))).unwrap().partition(), 1);
    }
    assert!(stream.append(entry(of(0))).unwrap_err().is_stream_full());
}

#[test]
fn a_stream_that_was_full_is_full_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let open = |retention| options(retention, &clock).open(dir.path()).unwrap();
    let stream = open(Retention::settled().entries(10));
    let first = group(&stream, "g");
    fill(&stream);
    drop(first);
    stream.close().unwrap();
    let stream = open(Retention::settled().entries(10));
    assert_eq!(fill(&stream), 0);
    stream.close().unwrap();
    let stream = open(Retention::settled().entries(100));
    assert!(fill(&stream) > 50);
    stream.close().unwrap();
    // Without `settled` the limit takes what it takes, and counts it.
    let stream = open(Retention::keep_all().entries(10));
    append(&stream, 4);
    assert!(kept(&stream) < 10 + 2 * PER_SEGMENT);
    let [unread, ..] = loss(&stream.group("g").open_existing().unwrap());
    assert_eq!(unread, start(&stream));
}

/// Tells the other threads that this one failed, so that none waits for it.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(std::thread::panicking(), Ordering::Relaxed);
    }
}

#[test]
fn producers_and_workers_on_threads_stay_within_the_bound_and_lose_nothing() {
    const EACH: u64 = 150;
    let stream = stream(Retention::settled().entries(12));
    let groups = [group(&stream, "a"), group(&stream, "b")];
    let settled = [AtomicU64::new(0), AtomicU64::new(0)];
    let failed = AtomicBool::new(false);
    let produce = || {
        let _alarm = Alarm(&failed);
        let mut left = EACH;
        while left > 0 && !failed.load(Ordering::Relaxed) {
            match stream.append(PAYLOAD) {
                Ok(id) => {
                    left -= 1;
                    // A segment for what is kept coarsely, and one for each producer.
                    let slowest = settled.iter().map(|next| next.load(Ordering::Relaxed)).min();
                    let ahead = id.offset().saturating_sub(slowest.unwrap());
                    assert!(ahead < 12 + 4 * PER_SEGMENT, "{ahead} that somebody needs");
                }
                Err(error) => {
                    assert!(error.is_stream_full(), "{error}");
                    std::thread::yield_now();
                }
            }
        }
    };
    let work = |group: &Group, settled: &AtomicU64| {
        let _alarm = Alarm(&failed);
        let worker = member(group);
        let mut next = 0;
        while next < 2 * EACH && !failed.load(Ordering::Relaxed) {
            for delivery in worker.try_read(7).unwrap() {
                assert_eq!(delivery.id(), id(next));
                next += 1;
                // Before the ack, which may make room at once.
                settled.store(next, Ordering::Relaxed);
                delivery.ack().unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(produce)));
        for (group, settled) in groups.iter().zip(&settled) {
            scope.spawn(move || work(group, settled));
        }
    });
    assert!(groups.iter().all(|group| loss(group) == [0; 4]));
    assert_eq!(stream.info().unwrap().partitions[0].end, 2 * EACH);
}
