//! Who is a member, until when, and what leaving does (D10).

use std::time::Duration;

use millstream::{Blocked, Consumer, Error, Gone, Group, ManualClock, Result, Start, Stream};

use crate::scene::{LEASE, SECOND, Scene, fill, idle, scene, scene_on, scene_with, seen, take};

const SESSION: Duration = Duration::from_secs(30);

/// A scene whose members may be silent for [`SESSION`].
fn brief(entries: usize) -> Scene {
    scene_with(entries, |group| group.session_timeout(SESSION))
}

fn members(group: &Group) -> Vec<String> {
    group.info().unwrap().members.into_iter().map(|member| member.name).collect()
}

fn why<T: std::fmt::Debug>(result: Result<T>) -> Gone {
    match result.unwrap_err() {
        Error::NotAMember { why } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_name_is_one_live_members_and_free_again_when_it_goes() {
    let Scene { group, worker, .. } = scene(0);
    let refused = group.join("worker").unwrap_err();
    assert!(matches!(&refused, Error::MemberExists { name } if &**name == "worker"), "{refused}");
    let other = group.join("other").unwrap();
    assert_eq!(members(&group), ["worker", "other"].map(str::to_owned));
    worker.leave().unwrap();
    let again = group.join("worker").unwrap();
    drop(other);
    assert_eq!(members(&group), ["worker"]);
    let clone = again.clone();
    drop(again);
    // The clones are one member.
    assert_eq!(members(&group), ["worker"]);
    drop(clone);
    assert_eq!(members(&group), [""; 0]);
}

#[test]
fn whoever_goes_hands_back_at_once_and_what_was_taken_keeps_its_count() {
    let ways: [fn(Consumer, &Group); 3] = [
        |worker, _| worker.leave().unwrap(),
        |worker, _| drop(worker),
        |_worker, group| group.remove_consumer("worker").unwrap(),
    ];
    for go in ways {
        let Scene { group, worker, .. } = scene(4);
        let other = group.join("other").unwrap();
        let kept = take(&worker);
        drop(worker.try_read(2).unwrap());
        let detached = worker.try_read(2).unwrap().into_iter().next().unwrap().detach();
        go(worker, &group);
        let mut due = seen(&other.try_read(9).unwrap());
        due.sort_unstable();
        assert_eq!(due, [(0, 2), (1, 2), (2, 1), (3, 1)]);
        assert!(!group.ack([detached]).unwrap().is_complete());
        kept.ack().unwrap_err();
    }
}

#[test]
fn a_member_that_is_gone_is_told_how() {
    let calls: [fn(&Consumer) -> Gone; 5] = [
        |worker| why(worker.try_read(1)),
        |worker| why(worker.read(1)),
        |worker| why(worker.read_timeout(1, SECOND)),
        |worker| why(worker.heartbeat()),
        |worker| why(worker.clone().leave()),
    ];
    for call in calls {
        let Scene { clock, group, worker, .. } = brief(1);
        worker.clone().leave().unwrap();
        assert_eq!(call(&worker), Gone::Left);
        let worker = group.join("worker").unwrap();
        group.remove_consumer("worker").unwrap();
        assert_eq!(call(&worker), Gone::Removed);
        let worker = group.join("worker").unwrap();
        clock.advance(SESSION);
        assert_eq!(call(&worker), Gone::Expired);
        // A handle that is gone does not end the member that has its name now.
        let next = group.join("worker").unwrap();
        drop(worker);
        next.heartbeat().unwrap();
    }
    let refused = scene(0).group.remove_consumer("nobody").unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
}

#[test]
fn a_silent_members_entries_are_due_when_its_session_ends() {
    let long = LEASE * 100;
    let Scene { clock, group, worker, .. } =
        scene_with(2, |group| group.session_timeout(SESSION).lease(long));
    let kept = take(&worker);
    let other = group.join("other").unwrap();
    clock.advance(SESSION - SECOND);
    other.heartbeat().unwrap();
    take(&other).ack().unwrap();
    assert!(idle(&other));
    clock.advance(SECOND);
    assert_eq!(seen(&other.try_read(9).unwrap()), [(0, 2)]);
    assert_eq!(members(&group), ["other"]);
    kept.ack().unwrap_err();
}

#[test]
fn every_call_is_a_sign_of_life() {
    let signs: [fn(&Scene); 9] = [
        |scene| scene.worker.heartbeat().unwrap(),
        |scene| drop(scene.worker.try_read(1).unwrap()),
        |scene| assert_eq!(scene.worker.ack([]).unwrap().refused, []),
        |scene| assert_eq!(scene.worker.nack([]).unwrap().refused, []),
        |scene| assert_eq!(scene.worker.extend([], SECOND).unwrap().refused, []),
        |scene| take(&scene.worker).ack().unwrap(),
        |scene| take(&scene.worker).nack().unwrap(),
        |scene| take(&scene.worker).release().unwrap(),
        |scene| take(&scene.worker).reject("bad").unwrap(),
    ];
    for (number, sign) in signs.into_iter().enumerate() {
        let scene = brief(9);
        for _ in 0..4 {
            scene.clock.advance(SESSION - SECOND);
            sign(&scene);
            // Somebody else looks, at a later time: the sign counts from its call on.
            assert_eq!(members(&scene.group), ["worker"], "sign {number}");
        }
        scene.clock.advance(SESSION);
        assert_eq!(members(&scene.group), [""; 0], "sign {number}");
    }
}

#[test]
fn a_verb_on_a_delivery_is_a_sign_of_life_of_its_consumer() {
    let Scene { clock, group, worker, .. } =
        scene_with(9, |group| group.session_timeout(SESSION).lease(SESSION * 9));
    for delivery in worker.try_read(4).unwrap() {
        clock.advance(SESSION - SECOND);
        delivery.ack().unwrap();
    }
    assert_eq!(members(&group), ["worker"]);
}

#[test]
fn a_lease_of_its_own_keeps_the_member_until_it_ends() {
    let leases: [fn(&Consumer) -> millstream::Delivery; 2] = [
        |worker| {
            let batch = worker.read_leased(1, SECOND, SESSION * 4).unwrap();
            batch.into_iter().next().unwrap()
        },
        |worker| {
            let delivery = take(worker);
            delivery.extend(SESSION * 4).unwrap();
            delivery
        },
    ];
    for lease in leases {
        let Scene { clock, group, worker, .. } = brief(1);
        let delivery = lease(&worker);
        clock.advance(SESSION * 4 - SECOND);
        assert_eq!(members(&group), ["worker"]);
        assert_eq!(group.info().unwrap().leased, 1);
        clock.advance(SECOND);
        assert_eq!(members(&group), [""; 0]);
        drop(delivery);
    }
}

#[test]
fn a_blocked_read_keeps_the_member() {
    let Scene { clock, stream, group, worker } = brief(0);
    let (during, read) = std::thread::scope(|scope| {
        let read = scope.spawn(|| worker.read(1).unwrap().len());
        let mut during = Vec::new();
        for _ in 0..4 {
            clock.wait_for_blocked(1);
            clock.advance(SESSION);
            during.push(members(&group).len());
        }
        stream.append("at last").unwrap();
        (during, read.join().unwrap())
    });
    assert_eq!((during, read), (vec![1; 4], 1));
    // Its session goes on from the end of the read.
    clock.advance(SESSION - SECOND);
    assert_eq!(members(&group), ["worker"]);
    clock.advance(SECOND);
    assert_eq!(members(&group), [""; 0]);
}

#[test]
fn a_session_lasts_as_long_as_the_lease_and_at_least_thirty_seconds() {
    for (lease, session) in [(1, 30), (30, 30), (90, 90)] {
        let clock = ManualClock::new();
        let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
        let group = stream.group("g").lease(SECOND * lease).open(Start::Earliest).unwrap();
        let _worker = group.join("worker").unwrap();
        clock.advance(SECOND * session - SECOND);
        assert_eq!(members(&group), ["worker"]);
        clock.advance(SECOND);
        assert_eq!(members(&group), [""; 0], "a lease of {lease} seconds");
    }
}

#[test]
fn nobody_is_a_member_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let Scene { stream, group, worker, .. } = scene_on(dir.path(), &clock, 2);
    let _kept = take(&worker).detach();
    stream.close().unwrap();
    assert!(worker.try_read(1).unwrap_err().is_closed());
    assert!(group.join("late").unwrap_err().is_closed());
    drop((group, worker));
    let again = Stream::options().clock(clock).open(dir.path()).unwrap();
    let group = again.group("g").open_existing().unwrap();
    assert_eq!(members(&group), [""; 0]);
    let worker = group.join("worker").unwrap();
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(0, 2), (1, 1)]);
}

#[test]
fn a_read_says_what_keeps_it_from_the_entries() {
    let Scene { stream, worker, .. } = scene_with(0, |group| group.max_in_flight(1));
    assert_eq!(worker.try_read(1).unwrap().blocked(), Some(Blocked::Empty));
    fill(&stream, 2);
    let held = worker.try_read(2).unwrap();
    assert_eq!(held.blocked(), None);
    assert_eq!(worker.try_read(1).unwrap().blocked(), Some(Blocked::InFlight));
}
