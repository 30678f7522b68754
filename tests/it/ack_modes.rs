//! What counts as an ack (D7): each mode, and that a verdict always wins over it.

use std::thread;

use millstream::{
    AckMode, Backoff, Blocked, Consumer, Delivery, EntryId, Error, GroupOptions, Lost, ManualClock,
    PendingQuery, Start, Stream,
};

use crate::crew::{copied, crew_on};
use crate::scene::{
    LEASE, SECOND, Scene, fill, id, idle, parked, scene_with, seen, take, take_all,
};

const INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// The modes in which reads settle what earlier ones handed out.
const LATER: [AckMode; 2] = [AckMode::OnNextRead, AckMode::Interval(INTERVAL)];

fn with(mode: AckMode) -> impl FnOnce(GroupOptions) -> GroupOptions {
    move |group| group.ack_mode(mode)
}

/// The settled, and the leased.
fn counts(scene: &Scene) -> (u64, u64) {
    let info = scene.group.info().unwrap();
    (info.acked, info.leased)
}

/// Looks at what there is, and drops it.
fn look(worker: &Consumer, max: u32) -> Vec<(u64, u16)> {
    seen(&worker.try_read(max).unwrap())
}

#[test]
fn explicit_mode_leaves_everything_to_the_caller() {
    let scene = scene_with(2, with(AckMode::Explicit));
    let kept = take(&scene.worker);
    assert_eq!(look(&scene.worker, 1), [(1, 1)]);
    assert!(idle(&scene.worker));
    assert_eq!(counts(&scene), (0, 1));
    kept.ack().unwrap();
    assert_eq!(counts(&scene), (1, 0));
}

#[test]
fn the_next_read_settles_what_had_no_verdict() {
    let scene = scene_with(6, with(AckMode::OnNextRead));
    assert_eq!(look(&scene.worker, 2), [(0, 1), (1, 1)]);
    // A drop leaves it to the mode: neither settled nor handed back.
    assert_eq!(counts(&scene), (0, 2));
    let kept = take_all(&scene.worker);
    assert_eq!((kept.len(), counts(&scene)), (4, (2, 4)));
    // Also if it finds nothing, and whether what it settles is still held, detached or gone.
    let mut kept = kept.into_iter();
    let token = kept.next().unwrap().detach();
    drop(kept.next());
    assert!(idle(&scene.worker));
    assert_eq!(counts(&scene), (6, 0));
    assert_eq!(scene.group.lag().unwrap(), 0);
    let refused = scene.group.ack([token]).unwrap().refused;
    assert_eq!(refused, [(id(2), Lost::Settled)]);
    let refused = kept.next().unwrap().nack().unwrap_err();
    assert!(matches!(refused, Error::LeaseLost { why: Lost::Settled, .. }), "{refused}");
}

#[test]
fn every_kind_of_read_settles() {
    let reads: [fn(&Scene) -> Option<Blocked>; 3] = [
        |scene| scene.worker.try_read(1).unwrap().blocked(),
        |scene| scene.worker.read_timeout(1, std::time::Duration::ZERO).unwrap().blocked(),
        |scene| {
            let zero = std::time::Duration::ZERO;
            scene.worker.read_leased(1, zero, LEASE).unwrap().blocked()
        },
    ];
    for read in reads {
        let scene = scene_with(1, with(AckMode::OnNextRead));
        look(&scene.worker, 1);
        assert_eq!(read(&scene), Some(Blocked::Empty));
        assert_eq!(counts(&scene), (1, 0));
    }
    // One that blocks has settled before that.
    let scene = scene_with(1, with(AckMode::OnNextRead));
    look(&scene.worker, 1);
    thread::scope(|scope| {
        let read = scope.spawn(|| scene.worker.read(1).unwrap().len());
        scene.clock.wait_for_blocked(1);
        assert_eq!(counts(&scene), (1, 0));
        fill(&scene.stream, 1);
        assert_eq!(read.join().unwrap(), 1);
    });
    // One that is refused has not.
    let refused = scene.worker.try_read(0).unwrap_err();
    assert!(matches!(refused, Error::TooSmall { .. }), "{refused}");
    assert_eq!(counts(&scene), (1, 1));
}

#[test]
fn what_others_hold_is_not_settled() {
    for mode in LATER {
        let scene = scene_with(2, with(mode));
        let other = scene.group.join("other").unwrap();
        look(&other, 1);
        scene.clock.advance(INTERVAL);
        look(&scene.worker, 1);
        scene.clock.advance(INTERVAL - SECOND);
        assert!(idle(&scene.worker));
        let settled = u64::from(mode == AckMode::OnNextRead);
        assert_eq!(counts(&scene), (settled, 2 - settled));
        let pending = scene.group.pending_entries(&PendingQuery::new()).unwrap();
        assert_eq!(pending[0].consumer.as_deref(), Some("other"));
    }
}

/// One way to go, and what is settled and what waits then.
type Way = (fn(Scene) -> Scene, (u64, u64));

#[test]
fn leaving_settles_and_being_dropped_or_removed_hands_back() {
    for mode in LATER {
        let ways: [Way; 3] = [
            (
                |scene| {
                    scene.worker.clone().leave().unwrap();
                    scene
                },
                (2, 0),
            ),
            (
                |scene| {
                    let Scene { clock, stream, group, worker } = scene;
                    drop(worker);
                    let worker = group.join("another").unwrap();
                    Scene { clock, stream, group, worker }
                },
                (0, 2),
            ),
            (
                |scene| {
                    scene.group.remove_consumer("worker").unwrap();
                    scene
                },
                (0, 2),
            ),
        ];
        for (way, expected) in ways {
            let scene = scene_with(2, with(mode));
            look(&scene.worker, 9);
            let scene = way(scene);
            let info = scene.group.info().unwrap();
            assert_eq!((info.acked, info.due), expected, "{mode:?}");
        }
    }
}

#[test]
fn a_verdict_wins_over_the_mode() {
    for mode in LATER {
        let scene = scene_with(5, with(mode));
        let mut held = take_all(&scene.worker).into_iter();
        let mut next = || held.next().unwrap();
        next().ack().unwrap();
        next().nack().unwrap();
        next().release().unwrap();
        next().reject("bad").unwrap();
        next().nack_after(SECOND * 2).unwrap();
        scene.clock.advance(INTERVAL);
        scene.worker.leave().unwrap();
        let worker = scene.group.join("next").unwrap();
        assert_eq!(parked(&scene.group, 9), [id(3)]);
        assert_eq!(scene.group.info().unwrap().acked, 1);
        let mut again = look(&worker, 9);
        again.sort_unstable();
        assert_eq!(again, [(1, 2), (2, 1), (4, 2)], "{mode:?}");
    }
}

#[test]
fn an_interval_lets_a_read_settle_once_in_that_time() {
    let scene = scene_with(9, with(AckMode::Interval(INTERVAL)));
    look(&scene.worker, 1);
    scene.clock.advance(INTERVAL - SECOND);
    look(&scene.worker, 1);
    assert_eq!(counts(&scene), (0, 2));
    // Counted from the join on at first, then from the last time.
    scene.clock.advance(SECOND);
    look(&scene.worker, 1);
    assert_eq!(counts(&scene), (2, 1));
    scene.clock.advance(INTERVAL - SECOND);
    look(&scene.worker, 1);
    assert_eq!(counts(&scene), (2, 2));
    scene.clock.advance(SECOND);
    assert!(!idle(&scene.worker));
    assert_eq!(counts(&scene), (4, 1));
    scene.worker.leave().unwrap();
    assert_eq!(scene.group.info().unwrap().acked, 5);
}

#[test]
fn what_dropped_with_a_panic_is_handed_back() {
    for mode in LATER {
        let drops: [fn(&Consumer); 3] = [
            |worker| {
                let batch = worker.try_read(2).unwrap();
                assert!(batch.iter().next().is_none(), "the worker fails");
            },
            |worker| {
                let mut items = worker.try_read(2).unwrap().into_iter();
                let first = items.next();
                assert!(first.is_none(), "the worker fails");
            },
            |worker| {
                let held: Vec<Delivery> = worker.try_read(2).unwrap().into_iter().take(1).collect();
                assert!(held.is_empty(), "the worker fails");
            },
        ];
        for (number, fails) in drops.into_iter().enumerate() {
            let scene = scene_with(2, with(mode));
            let failed = thread::scope(|scope| scope.spawn(|| fails(&scene.worker)).join());
            assert!(failed.is_err());
            scene.clock.advance(SECOND);
            scene.clock.advance(INTERVAL);
            let mut again = look(&scene.worker, 9);
            again.sort_unstable();
            // Whoever panics has looked at the first. The third way lost its grip on the second
            // before that, and left it to the mode.
            let second = (number < 2).then_some((1, 1));
            let expected: Vec<_> = [Some((0, 2)), second].into_iter().flatten().collect();
            assert_eq!(again, expected, "{mode:?}, way {number}");
            assert_eq!(scene.group.info().unwrap().acked, u64::from(number == 2));
        }
    }
}

#[test]
fn a_second_read_at_the_same_time_is_refused() {
    for mode in LATER {
        let scene = scene_with(0, with(mode));
        thread::scope(|scope| {
            let blocked = scope.spawn(|| scene.worker.read(1).unwrap().len());
            scene.clock.wait_for_blocked(1);
            let clone = scene.worker.clone();
            for refused in [clone.try_read(1), clone.read(1), clone.read_timeout(1, SECOND)] {
                let refused = refused.unwrap_err();
                assert!(matches!(refused, Error::AlreadyReading), "{refused}");
            }
            fill(&scene.stream, 1);
            assert_eq!(blocked.join().unwrap(), 1);
        });
        // It is over, also for one that failed.
        scene.worker.try_read(0).unwrap_err();
        assert!(idle(&scene.worker));
    }
    for mode in [AckMode::Explicit, AckMode::OnRead] {
        let scene = scene_with(0, with(mode));
        thread::scope(|scope| {
            let blocked = scope.spawn(|| scene.worker.read(1).unwrap().len());
            scene.clock.wait_for_blocked(1);
            assert!(idle(&scene.worker));
            fill(&scene.stream, 1);
            assert_eq!(blocked.join().unwrap(), 1);
        });
    }
}

#[test]
fn a_lease_that_ended_before_the_next_read_was_no_ack() {
    for mode in LATER {
        let scene = scene_with(2, with(mode));
        look(&scene.worker, 1);
        scene.clock.advance(LEASE);
        assert_eq!(look(&scene.worker, 9), [(1, 1)]);
        scene.clock.advance(SECOND);
        assert_eq!(look(&scene.worker, 9), [(0, 2)]);
        scene.worker.leave().unwrap();
        assert_eq!(scene.group.lag().unwrap(), 0);
    }
}

#[test]
fn on_read_settles_what_it_hands_out() {
    let scene = scene_with(4, with(AckMode::OnRead));
    let mut held = take_all(&scene.worker).into_iter();
    assert_eq!((held.len(), counts(&scene)), (4, (4, 0)));
    assert_eq!(scene.group.lag().unwrap(), 0);
    // An ack says what is so; whatever else is too late.
    held.next().unwrap().ack().unwrap();
    for verb in [Delivery::nack, Delivery::release, |held: Delivery| held.reject("bad")] {
        let one = held.next().unwrap();
        let refused = verb(one).unwrap_err();
        assert!(matches!(refused, Error::LeaseLost { why: Lost::Settled, .. }), "{refused}");
    }
    fill(&scene.stream, 2);
    assert!(scene.worker.try_read(9).unwrap().ack_all().unwrap().is_complete());
    assert_eq!(scene.group.info().unwrap().parked, 0);
    // It is lost if its consumer fails.
    fill(&scene.stream, 1);
    let failed = thread::scope(|scope| {
        let fails = || assert!(scene.worker.try_read(1).unwrap().iter().next().is_none());
        scope.spawn(fails).join()
    });
    assert!(failed.is_err());
    scene.clock.advance(LEASE * 9);
    assert!(idle(&scene.worker));
}

#[test]
fn on_read_gives_nothing_twice_after_reopening_or_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let crew = crew_on(dir.path(), 2, with(AckMode::OnRead));
    fill(&crew.stream, 6);
    let worker = crew.join("worker");
    let read = worker.try_read(4).unwrap();
    let mut first: Vec<EntryId> = read.iter().map(|held| held.id()).collect();
    let killed = copied(dir.path());
    crew.stream.close().unwrap();
    for path in [killed.path(), dir.path()] {
        let crew = crew_on(path, 2, |group| group);
        assert_eq!(crew.group.lag().unwrap(), 2);
        let rest = crew.join("worker").try_read(9).unwrap();
        let rest: Vec<EntryId> = rest.iter().map(|held| held.id()).collect();
        assert_eq!(rest.len(), 2);
        assert!(rest.iter().all(|id| !first.contains(id)));
        assert_eq!(crew.group.lag().unwrap(), 0);
    }
    first.sort_unstable();
    first.dedup();
    assert_eq!(first.len(), 4);
}

#[test]
fn what_no_read_settled_comes_again_after_reopening() {
    for mode in LATER {
        let dir = tempfile::tempdir().unwrap();
        let crew = crew_on(dir.path(), 1, with(mode));
        fill(&crew.stream, 2);
        let worker = crew.join("worker");
        assert_eq!(look(&worker, 9), [(0, 1), (1, 1)]);
        crew.stream.close().unwrap();
        // The mode is stored, and holds without being asked for again.
        let crew = crew_on(dir.path(), 1, |group| group);
        let worker = crew.join("worker");
        assert_eq!(look(&worker, 9), [(0, 2), (1, 2)]);
        crew.clock.advance(INTERVAL);
        assert!(idle(&worker));
        assert_eq!(crew.group.info().unwrap().acked, 2);
        crew.stream.close().unwrap();
        // Until another is.
        let crew = crew_on(dir.path(), 1, with(AckMode::Explicit));
        let worker = crew.join("worker");
        fill(&crew.stream, 1);
        assert_eq!(look(&worker, 9), [(2, 1)]);
        assert!(idle(&worker));
        assert_eq!(crew.group.info().unwrap().delayed, 1);
    }
}

#[test]
fn a_group_in_use_keeps_its_mode_and_an_interval_of_nothing_is_refused() {
    let scene = scene_with(1, with(AckMode::OnRead));
    let again = scene.stream.group("g").ack_mode(AckMode::Explicit).open_existing().unwrap();
    look(&scene.worker, 1);
    assert_eq!(again.lag().unwrap(), 0);
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock).in_memory().unwrap();
    let nothing = AckMode::Interval(std::time::Duration::ZERO);
    let options = stream.group("g").backoff(Backoff::fixed(SECOND)).ack_mode(nothing);
    let refused = options.open(Start::Earliest).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "ack_mode", .. }), "{refused}");
}

#[test]
fn an_interval_as_long_as_the_lease_is_refused() {
    let stream = Stream::options().clock(ManualClock::new()).in_memory().unwrap();
    let options = || stream.group("g");
    let refused = |options: GroupOptions, which: &str, bound: &str| {
        let refused = options.open(Start::Earliest).unwrap_err();
        let right = matches!(&refused, Error::InvalidOption { option, .. } if *option == which);
        assert!(right && refused.to_string().contains(bound), "{refused}");
    };
    let every = AckMode::Interval;
    refused(options().ack_mode(every(LEASE)).lease(LEASE), "ack_mode", "lease of 10s");
    // It is the lease that holds then, also if it is the default or was stored before.
    refused(options().ack_mode(every(SECOND * 30)), "ack_mode", "lease of 30s");
    assert!(stream.groups().is_empty());
    drop(options().lease(LEASE).open(Start::Earliest).unwrap());
    refused(options().ack_mode(every(LEASE)), "ack_mode", "lease of 10s");
    drop(options().ack_mode(every(LEASE - SECOND)).open(Start::Earliest).unwrap());
    refused(options().lease(LEASE - SECOND), "lease", "interval of acks of 9s");
    let group = options().lease(SECOND).ack_mode(AckMode::Explicit).open_existing().unwrap();
    let refused = group.alter(group.options().ack_mode(every(SECOND))).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "ack_mode", .. }), "{refused}");
}
