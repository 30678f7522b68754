//! What streams and groups tell of themselves (D17).

use std::thread;
use std::time::Duration;

use millstream::assign::RoundRobin;
use millstream::{
    Backoff, Blocked, Clock, Exhausted, GroupState, ManualClock, NewEntry, Pause, Start, Stream,
};

use crate::scene::{HOUR, LEASE, SECOND, Scene, fill, id, scene, take, take_all};

#[test]
fn every_entry_of_the_lag_is_told_to_be_one_thing() {
    let Scene { clock, stream, group, worker } = scene(9);
    let mut held = take_all(&worker).into_iter();
    held.next().unwrap().ack().unwrap();
    held.next().unwrap().reject("bad").unwrap();
    held.next().unwrap().nack_after(HOUR / 2).unwrap();
    held.next().unwrap().nack().unwrap();
    held.next().unwrap().release().unwrap();
    fill(&stream, 3);
    clock.advance(SECOND);
    let info = group.info().unwrap();
    assert_eq!((info.lag, group.lag().unwrap()), (10, 10));
    let parts = [info.undelivered, info.leased, info.delayed, info.due];
    assert_eq!((parts, info.parked, info.acked), ([3, 4, 1, 2], 1, 1));
    assert_eq!(group.pending().unwrap().total, 7);
    drop(held);
}

#[test]
fn the_oldest_pending_entry_is_told_with_its_age() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).partitions(2).in_memory().unwrap();
    let group = stream.group("g").lease(HOUR).open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    let oldest = || {
        let info = group.info().unwrap();
        (info.oldest_pending, info.oldest_pending_age)
    };
    fill(&stream, 1);
    clock.advance(SECOND * 5);
    fill(&stream, 3);
    assert_eq!(oldest(), (None, None), "nothing was handed out");
    let held = take_all(&worker);
    clock.advance(SECOND * 2);
    assert_eq!(oldest(), (Some(id(0)), Some(SECOND * 7)));
    let first = held.iter().position(|held| held.id() == id(0)).unwrap();
    let mut held = held;
    held.remove(first).ack().unwrap();
    let (entry, age) = oldest();
    assert_eq!((entry.is_some(), age), (true, Some(SECOND * 2)));
    for held in held {
        held.ack().unwrap();
    }
    assert_eq!(oldest(), (None, None));
}

#[test]
fn each_member_tells_why_its_read_would_be_empty() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let group = stream.group("g").strategy(RoundRobin).max_in_flight(1).lease(LEASE);
    let group = group.open(Start::Earliest).unwrap();
    let blocked = || group.info().unwrap().members.iter().map(|m| m.blocked).collect::<Vec<_>>();
    let members = [group.join("one").unwrap(), group.join("two").unwrap()];
    assert_eq!(blocked(), [Some(Blocked::Empty), Some(Blocked::NoPartition)]);
    fill(&stream, 2);
    assert_eq!(blocked(), [None, Some(Blocked::NoPartition)]);
    let held = take(&members[0]);
    assert_eq!(blocked(), [Some(Blocked::InFlight); 2]);
    for (member, why) in members.iter().zip(blocked()) {
        assert_eq!(member.try_read(1).unwrap().blocked(), why);
    }
    group.pause_for(SECOND).unwrap();
    assert_eq!(blocked(), [Some(Blocked::Paused); 2]);
    assert_eq!(group.info().unwrap().paused, Some(Pause::For(SECOND)));
    clock.advance(SECOND);
    held.ack().unwrap();
    assert_eq!(blocked(), [None, Some(Blocked::NoPartition)]);
    assert_eq!(group.info().unwrap().state, GroupState::Stable);
}

#[test]
fn the_settings_are_those_in_force() {
    let stream = Stream::options().in_memory().unwrap();
    let options = stream.group("g").lease(LEASE).max_in_flight_per_consumer(7);
    let backoff = Backoff::exponential(SECOND, SECOND * 3).jitter(0.25);
    let group = options.backoff(backoff).open(Start::Earliest).unwrap();
    let settings = group.info().unwrap().settings;
    assert_eq!((settings.lease, settings.session_timeout), (LEASE, Duration::from_secs(30)));
    assert_eq!(settings.backoff, [SECOND, SECOND * 2, SECOND * 3]);
    assert!((settings.jitter - 0.25).abs() < f64::EPSILON);
    assert_eq!(settings.max_in_flight_per_consumer, Some(7));
    assert_eq!((&*settings.ack_mode, &*settings.on_exhausted), ("Explicit", "Park"));
}

#[test]
fn members_and_what_they_hold_are_told() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).partitions(2).in_memory().unwrap();
    let letters = Stream::options().in_memory().unwrap();
    let group = stream.group("g").strategy(RoundRobin).filter("a.*").session_timeout(HOUR);
    let group = group.max_in_flight_bytes(1_000_000).lease(LEASE);
    let group = group.on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let group = group.open(Start::Earliest).unwrap();
    let [one, two] = ["one", "two"].map(|name| group.join(name).unwrap());
    let joined = clock.wall();
    let owner = |n: usize| group.info().unwrap().partitions[n].owner.clone();
    assert_eq!([owner(0), owner(1)], [Some("one".to_owned()), Some("two".to_owned())]);
    for _ in 0..4 {
        stream.append(NewEntry::new("entry").subject("a.b")).unwrap();
    }
    clock.advance(SECOND);
    take(&one).release().unwrap();
    take(&one).nack_after(SECOND).unwrap();
    clock.advance(SECOND);
    let held = take_all(&one);
    let info = group.info().unwrap();
    assert_eq!((info.filter, info.redelivered, info.blocked_reads), (vec!["a.*".into()], 1, 0));
    assert!(info.leased_bytes >= 2 * 5, "{}", info.leased_bytes);
    let told: Vec<_> = info.members.iter().map(|m| (&*m.name, m.leased, m.last_seen)).collect();
    assert_eq!(told, [("one", 2, clock.wall()), ("two", 0, joined)]);

    letters.close().unwrap();
    for held in held {
        held.reject("bad").unwrap();
    }
    let info = group.info().unwrap();
    assert_eq!((info.exhausted, info.leased_bytes, info.members[0].leased), (2, 0, 0));
    thread::scope(|scope| {
        for held in take_all(&two) {
            held.ack().unwrap();
        }
        let blocked = scope.spawn(|| two.read_timeout(1, SECOND).unwrap().len());
        clock.wait_for_blocked(1);
        let reads = group.info().unwrap().blocked_reads;
        clock.advance(SECOND);
        assert_eq!((reads, blocked.join().unwrap()), (1, 0));
    });
}
