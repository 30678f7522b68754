//! The cooperative hand-over: only what moves is interrupted.

use millstream::assign::CooperativeSticky;
use millstream::{Blocked, Consumer, Delivery, EntryId, Group, GroupOptions, GroupState};

use crate::crew::{Crew, crew, drain, hold_one_of_each, notices, owned, owners};
use crate::scene::{HOUR, LEASE, SECOND, fill, idle};

fn cooperative(group: GroupOptions) -> GroupOptions {
    group.strategy(CooperativeSticky)
}

#[test]
fn what_nobody_holds_moves_within_the_join() {
    let crew = crew(4, 0, cooperative);
    let old = crew.join("old");
    let before = crew.group.info().unwrap();
    let new = crew.join("new");
    let info = crew.group.info().unwrap();
    assert_eq!((info.state, info.rebalances), (GroupState::Stable, before.rebalances + 1));
    // One round takes, another gives.
    assert_eq!(info.generation, before.generation + 2);
    assert_eq!((owned(&old), owned(&new)), (vec![0, 1], vec![2, 3]));
    assert_eq!(notices(&old), ["+[0, 1, 2, 3]", "-[2, 3]"]);
    assert_eq!(notices(&new), ["+[2, 3]"]);
}

/// Two members of four partitions, where `old` holds an entry of 2, which moves to `new`.
struct Handover {
    crew: Crew,
    old: Consumer,
    new: Consumer,
    held: Vec<Delivery>,
}

fn handover(revise: impl FnOnce(GroupOptions) -> GroupOptions) -> Handover {
    let crew = crew(4, 2, |group| revise(cooperative(group)));
    let old = crew.join("old");
    let held: Vec<_> = hold_one_of_each(&old);
    let (held, free): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|delivery| delivery.id().partition() == 2);
    for delivery in free {
        delivery.ack().unwrap();
    }
    let new = crew.join("new");
    assert_eq!(crew.group.info().unwrap().state, GroupState::Rebalancing);
    assert_eq!(owners(&crew.group), ["old", "old", "-", "new"]);
    Handover { crew, old, new, held }
}

#[test]
fn what_is_held_moves_when_it_is_let_go_of() {
    type Way = (&'static str, fn(&Handover, Delivery), usize);
    let ways: [Way; 7] = [
        ("ack", |_, held| held.ack().unwrap(), 1),
        ("release", |_, held| held.release().unwrap(), 2),
        ("nack", |_, held| held.nack().unwrap(), 1),
        ("reject", |_, held| held.reject("bad").unwrap(), 1),
        ("drop", |_, held| drop(held), 1),
        ("ack by token", |at, held| drop(at.crew.group.ack([held.detach()]).unwrap()), 1),
        ("ack of all", |at, held| assert_eq!((at.old.ack_all().unwrap(), drop(held)), (1, ())), 1),
    ];
    for (name, way, due) in ways {
        let mut at = handover(|group| group);
        assert!(!idle(&at.new), "{name}: what is its own already, it reads");
        assert!(drain(&at.new).iter().all(|id| id.partition() == 3), "{name}");
        let held = at.held.pop().unwrap();
        way(&at, held);
        assert_eq!(owners(&at.crew.group), ["old", "old", "new", "new"], "{name}");
        assert_eq!(at.crew.group.info().unwrap().state, GroupState::Stable);
        let read = drain(&at.new);
        assert_eq!(read.iter().filter(|id| id.partition() == 2).count(), due, "{name}");
        at.crew.clock.advance(SECOND);
        drain(&at.new);
        drain(&at.old);
        let info = at.crew.group.info().unwrap();
        assert_eq!((info.lag, info.parked), (0, u64::from(name == "reject")), "{name}");
    }
}

#[test]
fn what_is_held_moves_when_its_lease_ends() {
    let at = handover(|group| group.lease(LEASE));
    at.crew.clock.advance(LEASE - SECOND);
    assert!(drain(&at.new).iter().all(|id| id.partition() == 3));
    at.crew.clock.advance(SECOND);
    assert_eq!(drain(&at.new), [EntryId::new(2, 1)]);
    at.crew.clock.advance(SECOND);
    assert_eq!(drain(&at.new), [EntryId::new(2, 0)]);
    // It was given to another: a late word of the old owner is void.
    for held in at.held {
        held.ack().unwrap_err();
    }
}

#[test]
fn what_is_held_moves_when_its_holder_goes() {
    let ways: [fn(Consumer, &Group); 3] = [
        |old, _| old.leave().unwrap(),
        |old, _| drop(old),
        |_old, group| group.remove_consumer("old").unwrap(),
    ];
    for way in ways {
        let at = handover(|group| group);
        way(at.old, &at.crew.group);
        assert_eq!(owners(&at.crew.group), ["new"; 4]);
        // Of each partition the second entry, and what was in the hands of who went.
        assert_eq!(drain(&at.new).len(), 4 + 1 + 1 - 1);
        assert_eq!(at.crew.group.lag().unwrap(), 0);
        at.held.into_iter().for_each(|held| drop(held.ack().unwrap_err()));
    }
}

#[test]
fn a_batch_that_is_dropped_lets_go_of_all_that_is_in_it() {
    let crew = crew(2, 3, cooperative);
    let old = crew.join("old");
    let batch = old.try_read(99).unwrap();
    let new = crew.join("new");
    assert_eq!(new.try_read(9).unwrap().blocked(), Some(Blocked::Rebalancing));
    let mut items = batch.into_iter();
    let first = items.next().unwrap();
    drop(items);
    assert_eq!(owned(&new).len(), usize::from(first.id().partition() == 0));
    drop(first);
    assert_eq!(owners(&crew.group), ["old", "new"]);
    assert_eq!(drain(&new).len(), 3);
}

/// Everybody reads in each step, and gets what was just appended to its own partitions.
#[test]
fn what_does_not_move_never_stops() {
    let crew = crew(6, 1, cooperative);
    let mut members = crew.join_all(2);
    let mut held: Vec<Delivery> = members.iter().flat_map(hold_one_of_each).collect();
    let mut offset = 1;
    let mut flow = |members: &[Consumer], still: &[u32], moving: &[u32]| {
        fill(&crew.stream, 6);
        let mut read: Vec<EntryId> = members.iter().flat_map(drain).collect();
        read.sort_unstable();
        for partition in still {
            let new = EntryId::new(*partition, offset);
            assert!(read.contains(&new), "{new} of {read:?}");
        }
        assert!(read.iter().all(|id| !moving.contains(&id.partition())), "{moving:?}: {read:?}");
        offset += 1;
    };
    flow(&members, &[0, 1, 2, 3, 4, 5], &[]);
    let before = owners(&crew.group);
    members.push(crew.join("w02"));
    let during = owners(&crew.group);
    let all = || 0..6_u32;
    let moving: Vec<u32> = all().filter(|p| during[*p as usize] == "-").collect();
    assert_eq!(moving.len(), 2);
    for partition in all().filter(|partition| !moving.contains(partition)) {
        assert_eq!(before[partition as usize], during[partition as usize]);
    }
    let still = |moving: &[u32]| all().filter(|p| !moving.contains(p)).collect::<Vec<_>>();
    flow(&members, &still(&moving), &moving);
    // One of the two goes on while the other one waits.
    let mut left = moving.clone();
    while let Some(next) = left.pop() {
        let place = held.iter().position(|held| held.id().partition() == next).unwrap();
        flow(&members, &still(&[&left[..], &[next]].concat()), &[&left[..], &[next]].concat());
        held.swap_remove(place).ack().unwrap();
        assert_eq!(owners(&crew.group)[next as usize], "w02");
        flow(&members, &still(&left), &left);
    }
    for held in held {
        held.ack().unwrap();
    }
    assert_eq!(crew.group.lag().unwrap(), 0);
}

#[test]
fn a_plan_that_is_replaced_half_way_gives_back_what_had_not_gone() {
    let crew = crew(4, 1, cooperative);
    let old = crew.join("old");
    let held: Vec<_> = hold_one_of_each(&old);
    let new = crew.join("new");
    assert_eq!(owners(&crew.group), ["old", "old", "-", "-"]);
    assert!(owned(&new).is_empty());
    // Who they were for goes: they are their old owner's again, though it holds entries of them.
    new.leave().unwrap();
    assert_eq!(owners(&crew.group), ["old"; 4]);
    assert_eq!(notices(&old), ["+[0, 1, 2, 3]", "-[2, 3]", "+[2, 3]"]);
    for held in held {
        held.ack().unwrap();
    }
    // Another one comes half-way: each gets what it is to have at the end, no more.
    fill(&crew.stream, 4);
    let held: Vec<_> = hold_one_of_each(&old);
    let (one, two) = (crew.join("one"), crew.join("two"));
    assert_eq!((owned(&old).len(), owned(&one).len(), owned(&two).len()), (2, 0, 0));
    for held in held {
        held.ack().unwrap();
    }
    assert_eq!((owned(&old).len(), owned(&one).len(), owned(&two).len()), (2, 1, 1));
    let info = crew.group.info().unwrap();
    assert_eq!((info.state, info.lag), (GroupState::Stable, 0));
    // The one that was given up half-way ended with the plan that replaced it.
    assert_eq!(info.rebalances, 3);
}

#[test]
fn a_silent_member_that_calls_in_time_loses_nothing() {
    let session = HOUR * 2;
    let crew = crew(3, 1, |group| cooperative(group).lease(HOUR * 9).session_timeout(session));
    let (silent, other) = (crew.join("silent"), crew.join("other"));
    let kept: Vec<_> = silent.try_read(9).unwrap().into_iter().collect();
    let own = owned(&silent);
    for _ in 0..3 {
        crew.clock.advance(session - SECOND);
        other.heartbeat().unwrap();
        assert_eq!(owned(&silent), own);
    }
    for kept in kept {
        kept.ack().unwrap();
    }
    assert_eq!(notices(&silent).len(), 2);
}
