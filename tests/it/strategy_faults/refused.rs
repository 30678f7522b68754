//! One call of each kind, and what it tells.

use millstream::{Cause, Error, Event, GroupState, Result, Start};

use super::{FAULTS, Fault, Faulty, WAYS, Way};
use crate::crew::{Crew, check_balanced, crew, drain, owned};
use crate::scene::{HOUR, SECOND, fill};

fn reason<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.unwrap_err() {
        Error::StrategyFailed { strategy, reason } if &*strategy == "faulty" => reason.into(),
        other => panic!("{other}"),
    }
}

fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Panics => "it panicked: no plan",
        Fault::TooFew => "it named 3 owners for 4 partitions",
        Fault::TooMany => "it named 5 owners for 4 partitions",
        Fault::NoSuchMember => "it gave partition 0 to member",
        Fault::HandoverPanics => "it panicked: no way",
    }
}

#[test]
fn a_join_is_refused_and_the_group_stays_as_it_was() {
    for fault in FAULTS {
        for way in WAYS {
            let faulty = Faulty::new(fault, way, 1);
            let crew = crew(4, 2, |group| group.strategy(faulty.clone()));
            // The first one of all, too.
            assert!(reason(crew.group.join("a")).starts_with(words(fault)), "{fault:?}");
            assert_eq!(crew.group.info().unwrap().state, GroupState::Empty);
            let member = crew.join("a");
            let held: Vec<_> = member.try_read(1).unwrap().into_iter().collect();
            let before = crew.group.info().unwrap();
            assert_eq!(before.strategy_failure, None);
            let events = crew.group.events().unwrap();
            faulty.fail_next();
            assert!(reason(crew.group.join("b")).starts_with(words(fault)), "{fault:?}");
            let after = crew.group.info().unwrap();
            assert_eq!(after.members, before.members);
            assert_eq!(after.partitions, before.partitions);
            assert_eq!((after.state, after.generation), (before.state, before.generation));
            assert!(after.strategy_failure.unwrap().contains(words(fault)), "{fault:?}");
            let told = events.drain();
            let right = matches!(&told[..], [Event::RebalanceFailed { cause, reason }]
                if *cause == Cause::Joined("b".into()) && reason.contains(words(fault)));
            assert!(right, "{told:?}");
            // Nobody took the name.
            let other = crew.join("b");
            assert_eq!(crew.group.info().unwrap().strategy_failure, None);
            for held in held {
                held.ack().unwrap();
            }
            let read = drain(&member).len() + drain(&other).len();
            assert_eq!((read, crew.group.lag().unwrap()), (7, 0));
        }
    }
}

#[test]
fn to_rebalance_tells_of_a_failure_and_heals_it() {
    for way in [Way::Eager, Way::Cooperative] {
        let faulty = Faulty::new(Fault::Panics, way, usize::MAX);
        let crew = crew(4, 0, |group| group.strategy(faulty.clone()));
        let mut members = crew.join_all(2);
        faulty.fail_next();
        // It has left all the same.
        assert_eq!(reason(members.pop().unwrap().leave()), "it panicked: no plan");
        assert_eq!(crew.group.info().unwrap().members.len(), 1);
        assert_eq!(owned(&members[0]).len(), 2);
        assert!(crew.group.info().unwrap().strategy_failure.is_some());
        // One that failed is not asked again by itself.
        let calls = faulty.calls();
        members[0].heartbeat().unwrap();
        assert_eq!((drain(&members[0]).len(), faulty.calls()), (0, calls));
        faulty.fail_next();
        assert_eq!(reason(crew.group.rebalance()), "it panicked: no plan");
        assert_eq!(owned(&members[0]).len(), 2);
        crew.group.rebalance().unwrap();
        assert_eq!(crew.group.info().unwrap().strategy_failure, None);
        check_balanced(&crew.group);
    }
}

#[test]
fn the_call_that_finds_a_session_over_is_told_and_the_next_one_goes_on() {
    type Call = fn(&Crew, &millstream::Consumer) -> Result<()>;
    let calls: [Call; 3] = [
        |_, worker| worker.heartbeat(),
        |_, worker| worker.try_read(1).map(drop),
        |crew, _| crew.stream.maintain().map(drop),
    ];
    for call in calls {
        let faulty = Faulty::new(Fault::Panics, Way::Cooperative, usize::MAX);
        let crew = crew(4, 1, |group| group.strategy(faulty.clone()));
        let (_silent, worker) = (crew.join("silent"), crew.join("worker"));
        crew.clock.advance(HOUR * 2 - SECOND);
        worker.heartbeat().unwrap();
        crew.clock.advance(SECOND);
        faulty.fail_next();
        assert_eq!(reason(call(&crew, &worker)), "it panicked: no plan");
        call(&crew, &worker).unwrap();
        let info = crew.group.info().unwrap();
        assert_eq!((info.members.len(), info.members[0].partitions.len()), (1, 2));
        crew.group.rebalance().unwrap();
        crew.clock.advance(SECOND);
        assert_eq!((drain(&worker).len(), crew.group.lag().unwrap()), (4, 0));
    }
}

#[test]
fn partitions_are_added_whatever_a_strategy_says() {
    let faulty = Faulty::new(Fault::Panics, Way::Cooperative, usize::MAX);
    let crew = crew(2, 0, |group| group.strategy(faulty.clone()));
    let members = crew.join_all(2);
    let events = crew.group.events().unwrap();
    faulty.fail_next();
    assert_eq!(crew.stream.add_partitions(2).unwrap(), 4);
    let told = events.drain();
    let right = matches!(&told[..], [Event::RebalanceFailed { cause: Cause::PartitionsAdded, .. }]);
    assert!(right, "{told:?}");
    fill(&crew.stream, 8);
    assert_eq!((drain(&members[0]).len(), drain(&members[1]).len()), (2, 2));
    crew.group.rebalance().unwrap();
    assert_eq!((drain(&members[0]).len(), drain(&members[1]).len()), (2, 2));
    assert_eq!(crew.group.lag().unwrap(), 0);
}

#[test]
fn maintaining_a_group_whose_strategy_fails_sees_to_the_others_too() {
    let faulty = Faulty::new(Fault::Panics, Way::Eager, 0);
    let crew = crew(2, 0, |group| group.strategy(faulty.clone()).session_timeout(HOUR));
    let other = crew.stream.group("later").session_timeout(HOUR).open(Start::Earliest).unwrap();
    let events = other.events().unwrap();
    let (stays, _silent) = (crew.join("stays"), crew.join("silent"));
    let _idle = other.join("idle").unwrap();
    crew.clock.advance(HOUR / 2);
    stays.heartbeat().unwrap();
    crew.clock.advance(HOUR / 2);
    events.drain();
    faulty.fail_next();
    assert_eq!(reason(crew.stream.maintain()), words(Fault::Panics));
    assert!(matches!(events.drain()[..], [Event::Left { .. }]));
    assert!(crew.stream.maintain().is_ok());
}
