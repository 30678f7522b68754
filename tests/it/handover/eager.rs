//! The eager hand-over: everything is taken first, and given out when all is free.

use millstream::{Blocked, Delivery, GroupState};

use crate::crew::{PARTITIONED, check_balanced, crew, drain, hold_one_of_each, owners};
use crate::scene::{SECOND, fill, idle};

#[test]
fn nobody_reads_in_between_and_all_is_given_at_once() {
    for (name, choose) in &PARTITIONED[..3] {
        let crew = crew(4, 3, choose);
        let mut members = crew.join_all(2);
        let mut held: Vec<Delivery> = members.iter().flat_map(hold_one_of_each).collect();
        assert_eq!(held.len(), 4);
        members.push(crew.join("w02"));
        while let Some(next) = held.pop() {
            assert_eq!(crew.group.info().unwrap().state, GroupState::Rebalancing);
            assert_eq!(owners(&crew.group), ["-"; 4], "{name}");
            fill(&crew.stream, 4);
            for member in &members {
                let read = member.try_read(9).unwrap();
                assert_eq!((read.len(), read.blocked()), (0, Some(Blocked::Rebalancing)));
            }
            next.ack().unwrap();
        }
        check_balanced(&crew.group);
        assert_eq!(crew.group.info().unwrap().state, GroupState::Stable);
        let read: usize = members.iter().map(|member| drain(member).len()).sum();
        assert_eq!((read, crew.group.lag().unwrap()), (12 + 16 - 4, 0), "{name}");
    }
}

#[test]
fn a_member_that_leaves_half_way_is_not_waited_for() {
    for (name, choose) in PARTITIONED {
        let crew = crew(4, 2, choose);
        let mut members = crew.join_all(2);
        let held: Vec<Vec<Delivery>> = members.iter().map(hold_one_of_each).collect();
        members.push(crew.join("w02"));
        assert_eq!(crew.group.info().unwrap().state, GroupState::Rebalancing, "{name}");
        // Who has to let go of something goes.
        members.remove(0).leave().unwrap();
        let mut held = held.into_iter();
        held.next().unwrap().into_iter().for_each(|lost| drop(lost.ack().unwrap_err()));
        // Who was to get something goes.
        members.pop().unwrap().leave().unwrap();
        held.next().unwrap().into_iter().for_each(|kept| kept.ack().unwrap());
        assert_eq!(owners(&crew.group), ["w01"; 4], "{name}");
        assert_eq!((drain(&members[0]).len(), crew.group.lag().unwrap()), (6, 0), "{name}");
    }
}

#[test]
fn a_partition_that_waits_for_its_backoff_does_not_hold_it_up() {
    for (name, choose) in PARTITIONED {
        let crew = crew(2, 1, choose);
        let old = crew.join("old");
        for delivery in old.try_read(9).unwrap() {
            delivery.nack().unwrap();
        }
        let new = crew.join("new");
        check_balanced(&crew.group);
        assert!(idle(&old) && idle(&new), "{name}");
        crew.clock.advance(SECOND);
        assert_eq!((drain(&old).len(), drain(&new).len()), (1, 1), "{name}");
    }
}
