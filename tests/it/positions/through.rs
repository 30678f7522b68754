//! `ack_through` and `ack_all` of a consumer.

use millstream::assign::{CooperativeSticky, Range};
use millstream::{Consumer, Delivery, EntryId, Error, Lost};

use crate::crew::{crew, drain, notices, owned};
use crate::scene::{HOUR, LEASE, SECOND, Scene, fill, id, scene, scene_with, seen, take, take_all};

#[test]
fn it_settles_all_up_to_an_id_that_nobody_else_holds() {
    let Scene { clock, group, worker, .. } = scene_with(10, |group| group.lease(HOUR));
    let other = group.join("other").unwrap();
    // 0 leased by itself, 1 by another, 2 delayed, 3 due, 4 parked, 5 settled, 6 released, 7 to 9
    // never handed out.
    let own = take(&worker);
    let others = take(&other);
    let mut rest = worker.try_read(5).unwrap().into_iter();
    rest.next().unwrap().nack_after(HOUR).unwrap();
    rest.next().unwrap().nack_after(SECOND).unwrap();
    rest.next().unwrap().reject("bad").unwrap();
    rest.next().unwrap().ack().unwrap();
    rest.next().unwrap().release().unwrap();
    clock.advance(SECOND);
    assert_eq!(group.lag().unwrap(), 8);
    assert_eq!(worker.ack_through(id(8)).unwrap(), 6);
    let info = group.info().unwrap();
    assert_eq!((info.lag, info.leased, info.delayed, info.due), (2, 1, 0, 0));
    assert_eq!((info.acked, info.parked), (7, 1));
    assert_eq!((crate::scene::parked(&group, 9), group.floors().unwrap()), (vec![id(4)], vec![1]));
    // Again is nothing.
    assert_eq!(worker.ack_through(id(8)).unwrap(), 0);
    assert_eq!(worker.ack_through(id(0)).unwrap(), 0);
    let refused = own.ack().unwrap_err();
    assert!(matches!(refused, Error::LeaseLost { why: Lost::Settled, .. }), "{refused}");
    others.ack().unwrap();
    assert_eq!(
        (group.floors().unwrap(), seen(&worker.try_read(9).unwrap())),
        (vec![9], vec![(9, 1)])
    );
    // What was parked can still come back.
    assert_eq!(group.redrive(9).unwrap(), 1);
    assert_eq!(group.floors().unwrap(), [4]);
}

#[test]
fn it_says_what_it_cannot_do() {
    let crew = crew(2, 2, |group| group.strategy(Range));
    let members = crew.join_all(2);
    let at = EntryId::new;
    let refused = members[0].ack_through(at(1, 0)).unwrap_err();
    let generation = members[0].generation().unwrap();
    let right = matches!(refused, Error::NotAssigned { partition: 1, generation: of }
        if of == generation);
    assert!(right, "{refused}");
    let refused = members[0].ack_through(at(0, 2)).unwrap_err();
    let right = matches!(refused, Error::StartBeyondEnd { start, end: 2 } if start == at(0, 2));
    assert!(right, "{refused}");
    let refused = members[0].ack_through(at(2, 0)).unwrap_err();
    let right = matches!(refused, Error::NoSuchPartition { partition: 2, partitions: 2 });
    assert!(right, "{refused}");
    assert_eq!(crew.group.lag().unwrap(), 4);
    assert_eq!(members[0].ack_through(at(0, 1)).unwrap(), 2);
    assert_eq!((members[1].ack_through(at(1, 0)).unwrap(), crew.group.lag().unwrap()), (1, 1));
}

#[test]
fn a_partition_that_was_away_meanwhile_fences_it_until_the_member_looks() {
    let looks: [fn(&Consumer); 5] = [
        |member| drop(owned(member)),
        |member| {
            member.generation().unwrap();
        },
        |member| drop(notices(member)),
        |member| drop(drain(member)),
        |member| drop(member.read_timeout(1, std::time::Duration::ZERO).unwrap()),
    ];
    for look in looks {
        let crew = crew(1, 4, |group| group.strategy(Range));
        let old = crew.join("b");
        assert_eq!(drain(&old).len(), 4);
        fill(&crew.stream, 4);
        // It goes to `a`, who does a part, and comes back.
        let first = crew.join("a");
        let refused = old.ack_through(id(7)).unwrap_err();
        assert!(matches!(refused, Error::NotAssigned { partition: 0, .. }), "{refused}");
        assert_eq!(first.ack_through(id(4)).unwrap(), 1);
        first.leave().unwrap();
        let refused = old.ack_through(id(7)).unwrap_err();
        let right = matches!(refused, Error::Fenced { seen, generation } if seen < generation);
        assert!(right, "{refused}");
        assert_eq!(crew.group.lag().unwrap(), 3);
        look(&old);
        let left = crew.group.lag().unwrap();
        assert_eq!(old.ack_through(id(7)).unwrap(), left);
    }
}

#[test]
fn who_has_to_let_go_may_still_settle_what_it_holds() {
    let crew = crew(2, 3, |group| group.strategy(CooperativeSticky));
    let old = crew.join("old");
    let held: Vec<Delivery> = old.try_read(9).unwrap().into_iter().collect();
    let new = crew.join("new");
    assert_eq!(old.ack_through(EntryId::new(1, 1)).unwrap(), 2);
    assert!(owned(&new).is_empty());
    assert_eq!(old.ack_through(EntryId::new(1, 2)).unwrap(), 1);
    // That was all it held of it.
    assert_eq!(owned(&new), [1]);
    let refused = old.ack_through(EntryId::new(1, 2)).unwrap_err();
    assert!(matches!(refused, Error::NotAssigned { .. }), "{refused}");
    drop(held);
}

#[test]
fn ack_all_settles_what_a_member_holds_and_nothing_else() {
    let Scene { clock, stream, group, worker } = scene(6);
    let other = group.join("other").unwrap();
    let others = take(&other);
    let mut held = worker.try_read(4).unwrap().into_iter();
    held.next().unwrap().nack().unwrap();
    let token = held.next().unwrap().detach();
    let kept: Vec<Delivery> = held.collect();
    assert_eq!(worker.ack_all().unwrap(), 3);
    assert_eq!(worker.ack_all().unwrap(), 0);
    assert_eq!(group.ack([token]).unwrap().refused, [(token.id(), Lost::Settled)]);
    for delivery in kept {
        assert!(matches!(delivery.ack(), Err(Error::LeaseLost { why: Lost::Settled, .. })));
    }
    others.ack().unwrap();
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (2, vec![1]));
    // What time took from it is not held.
    let _late = take(&worker).detach();
    clock.advance(LEASE);
    assert_eq!(worker.ack_all().unwrap(), 0);
    clock.advance(SECOND);
    assert_eq!(take_all(&worker).len(), 2);
    fill(&stream, 1);
    worker.clone().leave().unwrap();
    assert!(matches!(worker.ack_all(), Err(Error::NotAMember { .. })));
    assert!(matches!(worker.ack_through(id(0)), Err(Error::NotAMember { .. })));
}
