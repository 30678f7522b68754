//! What each strategy makes of members that come and go, through a group.

use std::collections::BTreeSet;

use millstream::{Blocked, EntryId, GroupState};

use crate::crew::{Crew, PARTITIONED, STRATEGIES, check_balanced, crew, drain, owned, owners};
use crate::scene::{fill, idle};

#[test]
fn members_without_a_partition_are_idle_and_that_is_no_error() {
    for (name, choose) in PARTITIONED {
        let crew = crew(2, 3, choose);
        let members = crew.join_all(4);
        check_balanced(&crew.group);
        let (spare, members): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|member| owned(member).is_empty());
        assert_eq!(spare.len(), 2, "{name}");
        for member in &spare {
            let read = member.try_read(9).unwrap();
            assert_eq!((read.len(), read.blocked()), (0, Some(Blocked::NoPartition)), "{name}");
        }
        let info = crew.group.info().unwrap();
        assert_eq!((info.state, info.strategy.as_str()), (GroupState::Stable, name));
        assert_eq!(info.members.iter().filter(|m| m.partitions.is_empty()).count(), 2);
        // As soon as there is a partition for them, they have it.
        drop(members);
        check_balanced(&crew.group);
        let read: usize = spare.iter().map(|member| drain(member).len()).sum();
        assert_eq!((read, crew.group.lag().unwrap()), (6, 0), "{name}");
    }
}

#[test]
fn sixteen_members_of_sixteen_partitions_end_with_one_each() {
    for (name, choose) in PARTITIONED {
        let crew = crew(16, 1, choose);
        let mut members = Vec::new();
        for n in 0..16 {
            members.push(crew.join(&format!("w{n:02}")));
            check_balanced(&crew.group);
        }
        let read: Vec<usize> = members.iter().map(|member| drain(member).len()).collect();
        assert_eq!(read, [1; 16], "{name}");
    }
}

#[test]
fn six_partitions_are_balanced_after_each_of_six_joins() {
    for (name, choose) in PARTITIONED {
        let crew = crew(6, 0, choose);
        let mut members = Vec::new();
        for n in 0..6 {
            // Names in no order.
            members.push(crew.join(&format!("w{}", n * 5 % 6)));
            check_balanced(&crew.group);
        }
        let info = crew.group.info().unwrap();
        assert_eq!((info.members.len(), info.rebalances), (6, 6), "{name}");
    }
}

/// A small generator, so that what fails can be had again.
fn step(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn members_that_come_and_go_leave_it_balanced_and_lose_nothing() {
    for (name, choose) in PARTITIONED {
        let mut seed = 0x5eed;
        let crew = crew(24, 0, choose);
        let mut members = crew.join_all(8);
        let mut read = BTreeSet::new();
        for round in 0..60 {
            let at = usize::try_from(step(&mut seed) % 8).unwrap();
            if at < members.len() && members.len() > 1 {
                let member = members.swap_remove(at);
                match round % 3 {
                    0 => member.leave().unwrap(),
                    1 => drop(member),
                    _ => crew.group.remove_consumer(member.name()).unwrap(),
                }
            }
            while members.len() < 1 + usize::try_from(step(&mut seed) % 8).unwrap() {
                members.push(crew.join(&format!("n{round}-{}", members.len())));
            }
            check_balanced(&crew.group);
            fill(&crew.stream, 24);
            for member in &members {
                let own = owned(member);
                for id in drain(member) {
                    assert!(own.contains(&id.partition()), "{name}, round {round}");
                    assert!(read.insert(id), "{name}, round {round}: {id} came twice");
                }
            }
            assert_eq!(crew.group.lag().unwrap(), 0, "{name}, round {round}");
        }
        assert_eq!(read.len(), 24 * 60);
    }
}

#[test]
fn under_every_strategy_all_is_read_once() {
    for (name, choose) in STRATEGIES {
        let crew = crew(5, 4, choose);
        let members = crew.join_all(3);
        let mut read: Vec<EntryId> = members.iter().flat_map(drain).collect();
        read.sort_unstable();
        let all = (0..5).flat_map(|p| (0..4).map(move |offset| EntryId::new(p, offset)));
        assert_eq!(read, all.collect::<Vec<_>>(), "{name}");
        assert_eq!(crew.group.info().unwrap().strategy, name);
    }
}

#[test]
fn each_strategy_has_its_own_order() {
    let after_three_joins = |choose| {
        let crew: Crew = crew(7, 0, choose);
        let members = crew.join_all(3);
        members.iter().map(owned).collect::<Vec<_>>()
    };
    let [range, round_robin, sticky, cooperative] =
        PARTITIONED.map(|(_, choose)| after_three_joins(choose));
    assert_eq!(range, [vec![0, 1, 2], vec![3, 4], vec![5, 6]]);
    assert_eq!(round_robin, [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
    assert_eq!(sticky, cooperative);
    let shared = after_three_joins(STRATEGIES[0].1);
    assert_eq!(shared, vec![(0..7).collect::<Vec<u32>>(); 3]);
}

#[test]
fn sticky_strategies_move_no_more_than_they_must() {
    for (name, choose) in &PARTITIONED[2..] {
        let crew = crew(12, 0, choose);
        let mut members = crew.join_all(2);
        for (joins, moves) in [(3, 4), (4, 3), (5, 2), (6, 2)] {
            let before = owners(&crew.group);
            members.push(crew.join(&format!("w{joins:02}")));
            let after = owners(&crew.group);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            assert_eq!(moved.count(), moves, "{name}, {joins} members");
        }
        // Of one that goes, only its own move.
        let before = owners(&crew.group);
        let gone = members.remove(0);
        let own = owned(&gone);
        gone.leave().unwrap();
        let after = owners(&crew.group);
        let moved =
            (0..).zip(before.iter().zip(&after)).filter(|(_, (before, after))| before != after);
        assert_eq!(moved.map(|(partition, _)| partition).collect::<Vec<u32>>(), own, "{name}");
    }
}

#[test]
fn partitions_added_later_go_to_the_members_there_are() {
    for (name, choose) in STRATEGIES {
        let crew = crew(2, 2, choose);
        let members = crew.join_all(4);
        let before = crew.group.info().unwrap();
        crew.stream.add_partitions(3).unwrap();
        let after = crew.group.info().unwrap();
        assert!(after.generation > before.generation, "{name}");
        if name == "shared" {
            assert!(members.iter().all(|member| owned(member) == [0, 1, 2, 3, 4]));
        } else {
            assert_eq!(after.rebalances, before.rebalances + 1, "{name}");
            check_balanced(&crew.group);
        }
        fill(&crew.stream, 10);
        let read: usize = members.iter().map(|member| drain(member).len()).sum();
        assert_eq!((read, crew.group.lag().unwrap()), (14, 0), "{name}");
        assert!(members.iter().all(idle));
        // Nobody is there to take the next ones; whoever joins then has all.
        drop(members);
        crew.stream.add_partitions(2).unwrap();
        assert_eq!(owned(&crew.join("last")), [0, 1, 2, 3, 4, 5, 6], "{name}");
    }
}
