//! Members that come and go, and the partitions that go from one to another.

use std::time::Duration;

use millstream::assign::{Assign, Assignment, CooperativeSticky, Handover, Sticky, View};
use millstream::{Event, GroupOptions};

use super::lines;
use crate::crew::{STRATEGIES, crew, hold_one_of_each, notices, owned};
use crate::scene::SECOND;

const SESSION: Duration = Duration::from_secs(40);
const LIMIT: Duration = Duration::from_secs(20);

fn cooperative(group: GroupOptions) -> GroupOptions {
    group.strategy(CooperativeSticky).session_timeout(SESSION).revocation_timeout(LIMIT)
}

#[test]
fn a_cooperative_hand_over_step_by_step() {
    let crew = crew(4, 1, cooperative);
    let events = crew.group.events().unwrap();
    let old = crew.join("old");
    let alone = ["old joined", "began, as old joined", "old +[0, 1, 2, 3]"];
    assert_eq!(lines(&events)[..3], alone);
    let held = hold_one_of_each(&old);
    let new = crew.join("new");
    let during = ["new joined", "began, as new joined", "old -[2, 3]"];
    assert_eq!(lines(&events), during);
    crew.clock.advance(SECOND * 7);
    for delivery in held.into_iter().filter(|held| held.id().partition() >= 2) {
        delivery.ack().unwrap();
    }
    let after = ["new +[2]", "new +[3]", "ended after 7 s, 2 moved, as new joined"];
    let mut told = lines(&events);
    told[..2].sort_unstable();
    assert_eq!(told, after);
    assert_eq!(notices(&old), ["+[0, 1, 2, 3]", "-[2, 3]"]);
    let mut told = notices(&new);
    told.sort_unstable();
    assert_eq!(told, ["+[2]", "+[3]"]);
}

#[test]
fn an_eager_hand_over_takes_all_and_gives_all() {
    let crew = crew(3, 0, |group| group.strategy(Sticky));
    let _old = crew.join("old");
    let events = crew.group.events().unwrap();
    let _new = crew.join("new");
    let expected = [
        "new joined",
        "began, as new joined",
        "old -[0, 1, 2]",
        "old +[0, 1]",
        "new +[2]",
        "ended after 0 s, 1 moved, as new joined",
    ];
    assert_eq!(lines(&events), expected);
}

#[test]
fn each_way_to_go_has_its_own_words() {
    let crew = crew(2, 0, cooperative);
    let stay = crew.join("stay");
    let events = crew.group.events().unwrap();
    let after = |name: &str, way: &str, lost: bool| {
        let mut expected = vec![format!("{name} !["), format!("{name}: ")];
        if !lost {
            expected.remove(0);
        }
        expected.extend([format!("began, as {name} {way}"), "stay +[".into()]);
        let told = lines(&events);
        assert_eq!(told.len(), expected.len() + 1, "{told:?}");
        for (told, expected) in told.iter().zip(&expected) {
            assert!(told.starts_with(expected), "{told:?} is not {expected:?}");
        }
        assert!(told.last().unwrap().ends_with(&format!("as {name} {way}")), "{told:?}");
    };
    let member = crew.join("a");
    lines(&events);
    member.leave().unwrap();
    after("a", "left", false);

    let member = crew.join("b");
    lines(&events);
    drop(member);
    after("b", "left", false);

    let member = crew.join("c");
    lines(&events);
    crew.group.remove_consumer("c").unwrap();
    after("c", "was removed", true);
    assert_eq!(notices(&member)[1..], ["![1]", "it was removed"]);

    let member = crew.join("d");
    lines(&events);
    crew.clock.advance(SESSION - SECOND);
    stay.heartbeat().unwrap();
    crew.clock.advance(SECOND);
    assert_eq!(owned(&stay), [0, 1]);
    after("d", "was silent", true);
    assert_eq!(notices(&member)[1..], ["![1]", "its session ended"]);
    drop(member);
    assert_eq!(lines(&events), [""; 0]);
}

#[test]
fn who_is_evicted_loses_what_it_did_not_let_go_of() {
    let crew = crew(2, 2, cooperative);
    let old = crew.join("old");
    let _held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    let _new = crew.join("new");
    let events = crew.group.events().unwrap();
    crew.clock.advance(LIMIT);
    crew.stream.maintain().unwrap();
    let expected = ["old ![1]", "new +[1]", "ended after 20 s, 1 moved, as new joined"];
    assert_eq!(lines(&events), expected);
    assert_eq!(notices(&old), ["+[0, 1]", "-[1]", "![1]"]);
}

#[test]
fn what_has_to_be_let_go_of_is_lost_with_its_member_too() {
    let crew = crew(2, 2, cooperative);
    let old = crew.join("old");
    let held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    let _new = crew.join("new");
    let events = crew.group.events().unwrap();
    crew.group.remove_consumer("old").unwrap();
    assert_eq!(lines(&events)[..2], ["old ![0, 1]", "old: it was removed"]);
    assert_eq!(notices(&old), ["+[0, 1]", "-[1]", "![0, 1]", "it was removed"]);
    drop(held);
}

#[test]
fn a_plan_that_replaces_another_goes_on_with_its_rebalance() {
    let crew = crew(4, 1, cooperative);
    let old = crew.join("old");
    let held = hold_one_of_each(&old);
    let events = crew.group.events().unwrap();
    let _one = crew.join("one");
    crew.clock.advance(SECOND * 2);
    let _two = crew.join("two");
    crew.clock.advance(SECOND * 3);
    drop(held);
    crew.stream.maintain().unwrap();
    let told = lines(&events);
    let expected = ["one joined", "began, as one joined", "old -[2, 3]", "two joined"];
    assert_eq!(told[..4], expected);
    assert_eq!(told.last().unwrap(), "ended after 5 s, 2 moved, as one joined");
    assert_eq!(told.iter().filter(|line| line.starts_with("began")).count(), 1, "{told:?}");
    let info = crew.group.info().unwrap();
    assert_eq!((info.rebalances, info.rebalancing), (2, SECOND * 5));
}

#[test]
fn generations_in_events_only_grow_and_are_those_of_the_group() {
    let crew = crew(4, 0, cooperative);
    let events = crew.group.events().unwrap();
    let mut members = crew.join_all(3);
    members.remove(1).leave().unwrap();
    crew.stream.add_partitions(1).unwrap();
    let now = crew.group.info().unwrap().generation;
    let generation = |event: Event| match event {
        Event::Joined { generation, .. }
        | Event::Left { generation, .. }
        | Event::RebalanceBegan { generation, .. }
        | Event::RebalanceEnded { generation, .. }
        | Event::Assigned { generation, .. }
        | Event::Revoked { generation, .. } => generation,
        other => panic!("{other:?}"),
    };
    let told: Vec<u64> = events.drain().into_iter().map(generation).collect();
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&now));
}

#[test]
fn other_causes() {
    let crew = crew(2, 0, cooperative);
    let _worker = crew.join("worker");
    let events = crew.group.events().unwrap();
    crew.stream.add_partitions(1).unwrap();
    let expected = [
        "began, as there are more partitions",
        "worker +[2]",
        "ended after 0 s, 1 moved, as there are more partitions",
    ];
    assert_eq!(lines(&events), expected);
    crew.group.rebalance().unwrap();
    let expected = ["began, as it was asked for", "ended after 0 s, 0 moved, as it was asked for"];
    assert_eq!(lines(&events), expected);
}

#[test]
fn where_everybody_reads_everything_nothing_is_rebalanced() {
    let crew = crew(2, 0, STRATEGIES[0].1);
    let events = crew.group.events().unwrap();
    let member = crew.join("a");
    member.leave().unwrap();
    assert_eq!(lines(&events), ["a joined", "a: it left"]);
    assert_eq!(crew.group.info().unwrap().rebalances, 0);
}

/// Everybody reads everything, once there is a member `z`.
#[derive(Debug)]
struct Opens;

impl Assign for Opens {
    fn name(&self) -> &'static str {
        "opens"
    }

    fn assign(&self, view: &View) -> Assignment {
        if view.members().iter().any(|member| member.name() == "z") {
            return Assignment::Everyone;
        }
        CooperativeSticky.assign(view)
    }

    fn handover(&self) -> Handover {
        Handover::Cooperative
    }
}

#[test]
fn a_strategy_that_opens_the_group_half_way_ends_what_was_under_way() {
    let crew = crew(2, 2, |group| group.strategy(Opens));
    let old = crew.join("old");
    let held: Vec<_> = old.try_read(9).unwrap().into_iter().collect();
    let new = crew.join("new");
    let events = crew.group.events().unwrap();
    crew.clock.advance(SECOND * 3);
    let last = crew.join("z");
    assert_eq!(lines(&events), ["z joined", "ended after 3 s, 0 moved, as new joined"]);
    for member in [&old, &new, &last] {
        assert_eq!(owned(member), [0, 1]);
    }
    // It keeps what it holds, and lets go of it when partitions have owners again.
    last.leave().unwrap();
    let told = lines(&events);
    assert_eq!(told[..2], ["z: it left", "began, as z left"]);
    assert_eq!((owned(&old), owned(&new)), (vec![], vec![]));
    for held in held {
        held.ack().unwrap();
    }
    assert_eq!((owned(&old).len(), owned(&new).len()), (1, 1));
}
