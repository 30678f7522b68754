//! A strategy fails at its n-th call, for every n, in a script that does all that asks it.

use std::collections::BTreeSet;

use millstream::{Consumer, EntryId, Error, Result};

use super::{FAULTS, Fault, Faulty, WAYS, Way};
use crate::crew::{Crew, check_balanced, crew};
use crate::scene::{HOUR, SECOND, fill};

const SESSION: std::time::Duration = std::time::Duration::from_secs(60);

struct Play {
    crew: Crew,
    faulty: Faulty,
    members: Vec<Consumer>,
    read: BTreeSet<EntryId>,
}

/// What a call did, or nothing if its strategy failed. Nothing else may be wrong.
fn unless_failed<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(Error::StrategyFailed { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

impl Play {
    fn new(faulty: &Faulty) -> Self {
        let crew = crew(4, 1, |group| group.strategy(faulty.clone()).session_timeout(SESSION));
        Self { crew, faulty: faulty.clone(), members: Vec::new(), read: BTreeSet::new() }
    }

    /// Does a thing, and looks whether the group tells of it if its strategy failed then.
    fn step(&mut self, what: &str, act: impl FnOnce(&mut Self)) {
        let before = self.faulty.calls();
        let at = self.faulty.fails_at.load(std::sync::atomic::Ordering::SeqCst);
        act(self);
        let info = self.crew.group.info().unwrap();
        let asked = before..=self.faulty.calls();
        if self.faulty.calls() > before {
            let failed_last = self.faulty.calls() == at;
            assert_eq!(info.strategy_failure.is_some(), failed_last, "{what}: {asked:?}, {at}");
        }
        self.flow(what);
    }

    /// Whatever happened, each partition that somebody has is read by who has it.
    fn flow(&mut self, what: &str) {
        fill(&self.crew.stream, self.crew.stream.partitions() as usize);
        let open = matches!(self.faulty.way, Way::Everyone);
        for member in &self.members {
            // The first call after something happened may be told that the strategy failed.
            let batch = unless_failed(member.try_read(1_000));
            let batch = batch.unwrap_or_else(|| member.try_read(1_000).unwrap());
            for delivery in batch {
                assert!(self.read.insert(delivery.id()), "{what}: {} again", delivery.id());
                delivery.ack().unwrap();
            }
        }
        let info = self.crew.group.info().unwrap();
        for partition in &info.partitions {
            if partition.owner.is_some() || (open && !self.members.is_empty()) {
                assert_eq!(partition.lag, 0, "{what}: {:?}", info.partitions);
            }
        }
    }

    fn join(&mut self, name: &'static str) {
        self.step(name, |play| {
            let before = play.crew.group.info().unwrap();
            if let Some(member) = unless_failed(play.crew.group.join(name)) {
                play.members.push(member);
            } else {
                let after = play.crew.group.info().unwrap();
                assert_eq!(after.generation, before.generation);
                assert_eq!(after.members.len(), before.members.len());
            }
        });
    }

    /// Takes the member of that name out, if it could join.
    fn pick(&mut self, name: &str) -> Option<Consumer> {
        let place = self.members.iter().position(|member| member.name() == name)?;
        Some(self.members.swap_remove(place))
    }

    fn run(&mut self) {
        for name in ["a", "b", "c"] {
            self.join(name);
        }
        self.step("leave", |play| {
            play.pick("b").map(|member| unless_failed(member.leave()));
        });
        self.join("d");
        self.step("drop", |play| {
            let _ = play.pick("a");
        });
        self.step("add", |play| {
            let _ = play.crew.stream.add_partitions(2).unwrap();
        });
        self.step("rebalance", |play| {
            let _ = unless_failed(play.crew.group.rebalance());
        });
        self.join("e");
        self.step("remove", |play| {
            if play.pick("c").is_some() {
                // It is gone by the drop already, if that was first.
                let _ = play.crew.group.remove_consumer("c");
            }
        });
        self.join("f");
        self.step("remove while it is there", |play| {
            if play.members.iter().any(|member| member.name() == "f") {
                unless_failed(play.crew.group.remove_consumer("f"));
                play.pick("f");
            }
        });
        self.join("g");
        self.step("expiry", |play| {
            play.crew.clock.advance(SESSION - SECOND);
            for member in &play.members {
                if member.name() != "g" {
                    member.heartbeat().unwrap();
                }
            }
            play.crew.clock.advance(SECOND);
            play.pick("g");
        });
        self.step("a late look", |play| {
            let _ = unless_failed(play.crew.stream.maintain());
        });
        for name in ["a", "b"] {
            self.join(name);
        }
    }

    /// A strategy that does well again puts all right.
    fn heal(&mut self) {
        self.crew.group.rebalance().unwrap();
        let info = self.crew.group.info().unwrap();
        assert_eq!(info.strategy_failure, None);
        if !matches!(self.faulty.way, Way::Everyone) {
            check_balanced(&self.crew.group);
        }
        self.flow("healed");
        self.crew.clock.advance(HOUR);
        assert_eq!((self.crew.group.lag().unwrap(), info.parked), (0, 0));
        let entries = self.crew.stream.info().unwrap().entries();
        assert_eq!(self.read.len() as u64, entries);
    }
}

fn sweep(fault: Fault, way: Way) -> usize {
    for n in 1.. {
        let faulty = Faulty::new(fault, way, n);
        let mut play = Play::new(&faulty);
        play.run();
        if faulty.calls() < n {
            return n - 1;
        }
        play.heal();
    }
    unreachable!("the script has an end")
}

#[test]
fn whichever_call_fails_the_group_goes_on_and_a_later_success_heals_it() {
    for fault in FAULTS {
        for way in WAYS {
            let calls = sweep(fault, way);
            assert!(calls >= 15, "{fault:?}, {way:?}: {calls} calls");
        }
    }
}
