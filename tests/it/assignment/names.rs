//! Names: one live member each, and what a name had is remembered (A5).

use std::time::Duration;

use millstream::{Consumer, EntryId, Error, Gone, Result};

use crate::crew::{PARTITIONED, check_balanced, copied, crew, crew_on, drain, owned, owners};
use crate::scene::{HOUR, SECOND, fill};

#[test]
fn a_live_members_name_is_refused_and_nothing_changes() {
    for (name, choose) in PARTITIONED {
        let crew = crew(4, 2, choose);
        let members = crew.join_all(2);
        let before = crew.group.info().unwrap();
        let refused = crew.group.join("w01").unwrap_err();
        assert!(matches!(&refused, Error::MemberExists { name } if &**name == "w01"), "{refused}");
        let after = crew.group.info().unwrap();
        assert_eq!((after.generation, after.members), (before.generation, before.members));
        assert_eq!(members.iter().map(|m| drain(m).len()).sum::<usize>(), 8, "{name}");
    }
}

#[test]
fn a_name_that_comes_back_finds_its_own() {
    for (name, choose) in &PARTITIONED[2..] {
        let crew = crew(9, 0, choose);
        let mut members = crew.join_all(3);
        let before = owners(&crew.group);
        for gone in [1, 0, 2] {
            // The others keep what they had, so only what it had is to be given back.
            let place = members.iter().position(|m| m.name() == format!("w{gone:02}")).unwrap();
            members.swap_remove(place).leave().unwrap();
            check_balanced(&crew.group);
            assert_ne!(owners(&crew.group), before);
            members.push(crew.join(&format!("w{gone:02}")));
            assert_eq!(owners(&crew.group), before, "{name}, {gone}");
        }
    }
}

#[test]
fn every_name_finds_its_own_after_reopening() {
    for (name, choose) in &PARTITIONED[2..] {
        let dir = tempfile::tempdir().unwrap();
        let crew = crew_on(dir.path(), 6, choose);
        // Not what the strategy would choose for three new members.
        let mut members = crew.join_all(3);
        members.remove(0).leave().unwrap();
        members.push(crew.join("aaa"));
        let before = owners(&crew.group);
        let killed = copied(dir.path());
        crew.stream.close().unwrap();
        for path in [dir.path(), killed.path()] {
            let crew = crew_on(path, 6, choose);
            assert_eq!(owners(&crew.group), ["-"; 6]);
            // The first one has all for a while; that does not make it forget whose they were.
            let mut members = Vec::new();
            for one in ["w02", "aaa", "w01"] {
                members.push(crew.join(one));
                check_balanced(&crew.group);
            }
            assert_eq!(owners(&crew.group), before, "{name}");
        }
    }
}

#[test]
fn nobody_is_a_member_after_reopening_and_what_they_held_is_due() {
    for (name, choose) in PARTITIONED {
        let dir = tempfile::tempdir().unwrap();
        let crew = crew_on(dir.path(), 4, choose);
        let members = crew.join_all(2);
        fill(&crew.stream, 8);
        let held: Vec<_> = members
            .iter()
            .flat_map(|m| m.try_read(99).unwrap())
            .map(millstream::Delivery::detach)
            .collect();
        assert_eq!(held.len(), 8);
        let killed = copied(dir.path());
        crew.stream.close().unwrap();
        for path in [dir.path(), killed.path()] {
            let crew = crew_on(path, 4, choose);
            let info = crew.group.info().unwrap();
            assert_eq!((info.members.len(), info.leased, info.due, info.lag), (0, 0, 8, 8));
            assert_eq!(crew.group.ack(held.clone()).unwrap().refused.len(), 8);
            let member = crew.join("w01");
            let mut read = Vec::new();
            // After a kill each comes alone, the last one may be the guilty one.
            while read.len() < 8 {
                let batch = member.try_read(99).unwrap();
                assert!(!batch.is_empty(), "{name}: {read:?}");
                read.extend(batch.iter().map(|held| (held.id(), held.attempt())));
                assert!(batch.ack_all().unwrap().is_complete());
            }
            read.sort_unstable();
            let all = (0..4).flat_map(|p| [(EntryId::new(p, 0), 2), (EntryId::new(p, 1), 2)]);
            assert_eq!(read, all.collect::<Vec<_>>(), "{name}");
        }
    }
}

fn gone<T: std::fmt::Debug>(result: Result<T>) -> Gone {
    match result.unwrap_err() {
        Error::NotAMember { why } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_member_that_was_fenced_off_is_told_by_its_next_call_and_may_join_again() {
    let calls: [fn(&Consumer) -> Gone; 9] = [
        |worker| gone(worker.try_read(1)),
        |worker| gone(worker.read(1)),
        |worker| gone(worker.read_timeout(1, SECOND)),
        |worker| gone(worker.heartbeat()),
        |worker| gone(worker.assignment()),
        |worker| gone(worker.generation()),
        |worker| gone(worker.ack_through(EntryId::new(0, 0))),
        |worker| gone(worker.ack_all()),
        |worker| gone(worker.clone().leave()),
    ];
    for (name, choose) in PARTITIONED {
        for call in calls {
            let session = Duration::from_secs(40);
            let crew = crew(4, 2, |group| choose(group).session_timeout(session).lease(HOUR));
            let (silent, other) = (crew.join("silent"), crew.join("other"));
            let own = owned(&silent);
            let kept: Vec<_> = silent.try_read(99).unwrap().into_iter().collect();
            assert_eq!(kept.len(), 4);
            crew.clock.advance(session - SECOND);
            other.heartbeat().unwrap();
            // Its partitions stay with it until its session is over.
            assert_eq!((owned(&other).len(), drain(&other).len()), (2, 4), "{name}");
            crew.clock.advance(SECOND);
            // That very call finds out.
            assert_eq!(call(&silent), Gone::Expired, "{name}");
            assert_eq!((owned(&other), drain(&other).len()), (vec![0, 1, 2, 3], 4), "{name}");
            for delivery in kept {
                assert!(matches!(delivery.ack(), Err(Error::LeaseLost { .. })));
            }
            let again = crew.join("silent");
            assert_eq!(owned(&again).len(), 2);
            if name.contains("sticky") {
                assert_eq!(owned(&again), own);
            }
            crew.group.remove_consumer("silent").unwrap();
            assert_eq!(call(&again), Gone::Removed, "{name}");
            assert_eq!(call(&silent), Gone::Expired, "{name}");
            assert_eq!(owned(&crew.join("silent")).len(), 2);
        }
    }
}
