//! Blocked reads and hand-overs: who is given something wakes, and who is to be told something
//! returns early, once.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use millstream::assign::CooperativeSticky;
use millstream::{Blocked, Consumer, GroupOptions, ManualClock};

use crate::crew::{PARTITIONED, STRATEGIES, crew, drain, notices, owned};
use crate::scene::{HOUR, SECOND, fill};

fn cooperative(group: GroupOptions) -> GroupOptions {
    group.strategy(CooperativeSticky)
}

/// Blocks in `read` on a thread of its own, does `then`, and gives what the read returned.
fn during<T: Send>(clock: &ManualClock, read: impl FnOnce() -> T + Send, then: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let reading = scope.spawn(read);
        clock.wait_for_blocked(1);
        then();
        reading.join().unwrap()
    })
}

fn read(member: &Consumer) -> (usize, Option<Blocked>) {
    let batch = member.read(99).unwrap();
    let answer = (batch.len(), batch.blocked());
    assert!(batch.ack_all().unwrap().is_complete());
    answer
}

#[test]
fn a_read_wakes_when_it_is_given_a_partition_with_entries() {
    for (name, choose) in PARTITIONED {
        let crew = crew(1, 0, choose);
        let (first, second) = (crew.join("a"), crew.join("b"));
        let (owner, spare) = if owned(&first) == [0] { (first, second) } else { (second, first) };
        notices(&spare);
        fill(&crew.stream, 3);
        let kept: Vec<_> = owner.try_read(2).unwrap().into_iter().collect();
        // It leaves, and takes nothing with it.
        let given = during(&crew.clock, || read(&spare), || owner.leave().unwrap());
        assert_eq!(given, (3, None), "{name}");
        drop(kept);
        // It was told meanwhile; a read that blocks returns for that, and once only.
        fill(&crew.stream, 1);
        assert_eq!(read(&spare), (1, None));
        assert_eq!(read(&spare), (0, Some(Blocked::Changed)), "{name}");
        let timed = || spare.read_timeout(9, SECOND).unwrap().blocked();
        let ended = during(&crew.clock, timed, || crew.clock.advance(SECOND));
        assert_eq!(ended, Some(Blocked::Empty), "{name}");
        assert_eq!(notices(&spare), ["+[0]"]);
    }
}

#[test]
fn a_read_wakes_when_the_last_lease_of_the_old_owner_is_let_go_of() {
    let ways: [fn(millstream::Delivery, &ManualClock); 4] = [
        |held, _| held.ack().unwrap(),
        |held, _| held.release().unwrap(),
        |held, _| drop(held),
        |_, clock| clock.advance(Duration::from_secs(60)),
    ];
    for (name, choose) in PARTITIONED {
        for (number, way) in ways.iter().enumerate() {
            let revise = |group| choose(group).revocation_timeout(Duration::from_secs(60));
            let crew = crew(2, 2, revise);
            let old = crew.join("z");
            let mut held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
            held.sort_unstable_by_key(|held| held.id());
            let new = crew.join("zz");
            notices(&new);
            // Its own is let go of, so that an eager strategy waits for one entry alone.
            let last = held.pop().unwrap();
            for held in held {
                held.release().unwrap();
            }
            let (len, blocked) = during(&crew.clock, || read(&new), || way(last, &crew.clock));
            assert!(len > 0 && blocked.is_none(), "{name}, way {number}: {len} {blocked:?}");
        }
    }
}

#[test]
fn a_read_returns_early_for_what_it_is_to_be_told_and_not_twice() {
    let crew = crew(4, 0, cooperative);
    let old = crew.join("old");
    notices(&old);
    let told = during(&crew.clock, || read(&old), || drop(crew.join("new").leave()));
    assert_eq!(told, (0, Some(Blocked::Changed)));
    // Some of it may have come only after the read returned.
    let again = during(
        &crew.clock,
        || {
            let mut early = 0;
            loop {
                let read = old.read_timeout(1, HOUR).unwrap().blocked();
                if read == Some(Blocked::Empty) {
                    return early;
                }
                early += 1;
            }
        },
        || {
            crew.clock.wait_for_blocked(1);
            crew.clock.advance(HOUR);
        },
    );
    assert!(again <= 1, "{again}");
    assert_eq!(notices(&old), ["-[2, 3]", "+[2, 3]"]);
}

#[test]
fn what_was_taken_out_already_wakes_nobody() {
    let crew = crew(4, 0, cooperative);
    let old = crew.join("old");
    let new = crew.join("new");
    assert_eq!(notices(&old), ["+[0, 1, 2, 3]", "-[2, 3]"]);
    let timed = || old.read_timeout(9, SECOND).unwrap().blocked();
    let ended = during(&crew.clock, timed, || crew.clock.advance(SECOND));
    assert_eq!(ended, Some(Blocked::Empty));
    // What it was given by the very join is no news either.
    let timed = || new.read_timeout(9, SECOND).unwrap().blocked();
    let ended = during(&crew.clock, timed, || crew.clock.advance(SECOND));
    assert_eq!(ended, Some(Blocked::Empty));
    assert_eq!(notices(&new), ["+[2, 3]"]);
}

#[test]
fn entries_go_before_news() {
    let crew = crew(4, 0, cooperative);
    let old = crew.join("old");
    let _new = crew.join("new");
    fill(&crew.stream, 4);
    assert_eq!(read(&old), (2, None));
    assert_eq!(read(&old), (0, Some(Blocked::Changed)));
}

#[test]
fn an_append_wakes_who_owns_the_partition_and_nobody_else() {
    for (name, choose) in STRATEGIES {
        let crew = crew(3, 0, choose);
        let members = crew.join_all(3);
        for member in &members {
            drop(notices(member));
        }
        for member in &members {
            drop(drain(member));
        }
        for member in &members {
            drop(member.read_timeout(1, Duration::ZERO).unwrap());
        }
        let (sent, received) = mpsc::channel();
        thread::scope(|scope| {
            for (number, member) in members.iter().enumerate() {
                let sent = sent.clone();
                scope.spawn(move || {
                    let batch = member.read(1).unwrap();
                    let partition = batch.iter().next().unwrap().id().partition();
                    assert!(batch.ack_all().unwrap().is_complete());
                    sent.send((number, partition)).unwrap();
                });
                crew.clock.wait_for_blocked(number + 1);
            }
            for step in 0..3 {
                fill(&crew.stream, 1);
                let (number, partition) = received.recv().unwrap();
                let owner = if name == "shared" { step } else { partition as usize };
                let right = name == "shared" || owned(&members[number]) == [partition];
                assert!(right && (name != "shared" || owner == number), "{name}: {number}");
                assert_eq!(crew.group.info().unwrap().blocked_reads, 2 - step, "{name}");
            }
        });
    }
}

/// The read at the front of the queue holds the timer for all (D16).
#[test]
fn what_becomes_due_wakes_its_owner_though_another_keeps_the_time() {
    for (name, choose) in PARTITIONED {
        let crew = crew(2, 1, choose);
        let members = crew.join_all(2);
        let (front, owner) = (&members[0], &members[1]);
        for member in &members {
            drop(notices(member));
        }
        assert_eq!(drain(front).len(), 1);
        owner.try_read(1).unwrap().into_iter().next().unwrap().nack().unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| front.read_timeout(9, HOUR).unwrap().len());
            crew.clock.wait_for_blocked(1);
            let due = scope.spawn(|| read(owner));
            crew.clock.wait_for_blocked(2);
            crew.clock.advance(SECOND);
            assert_eq!(due.join().unwrap(), (1, None), "{name}");
            crew.clock.wait_for_blocked(1);
            crew.clock.advance(HOUR);
            assert_eq!(waits.join().unwrap(), 0);
        });
    }
}
