//! Tests of the ledger as a whole: its rules one by one, a naive model of them all, and its stored
//! form. Here is what they share.

mod claims;
mod deferring;
mod glances;
mod graves;
mod handover;
mod hands;
mod measure;
mod model;
mod needs;
mod ops;
mod passing;
mod reopening;
mod rules;
mod sifting;
mod stored;
mod versus;

use std::time::Duration;

use super::backoff::{self, Backoff};
use super::book::Ledger;
use super::event::{Claim, Event, MemberId, Run};
use super::policy::{Exhausted, Policy};
use super::times::{Now, later};
use super::{Again, Deferral, Target, decode, encode};
use crate::clock::Moment;
use crate::error::{Lost, Result};
use crate::id::EntryId;

const SECOND: u64 = 1_000_000;
const LEASE: Duration = Duration::from_secs(30);

fn policy() -> Policy {
    Policy {
        lease: LEASE,
        session_timeout: Duration::from_secs(300),
        max_deliveries: 3,
        backoff: Backoff::plain(backoff::Wait::Fixed(Duration::from_secs(10))),
        on_exhausted: Exhausted::Park,
        max_in_flight: 10_000,
        max_in_flight_per_consumer: 10_000,
        ..Policy::default()
    }
}

/// A ledger with a clock and a journal, which validates after each step.
struct Desk {
    ledger: Ledger,
    now: Now,
    base: Vec<u8>,
    journal: Vec<Vec<u8>>,
    /// Every event since somebody last took them.
    told: Vec<Event>,
}

impl Desk {
    fn new(policy: Policy, starts: &[u64]) -> Self {
        let ledger = Ledger::new(policy, starts);
        let now = Now { at: Moment(SECOND), wall: 1_600_000_000 * SECOND };
        let mut desk =
            Self { ledger, now, base: Vec::new(), journal: Vec::new(), told: Vec::new() };
        desk.snapshot();
        desk
    }

    /// One partition that starts six entries before the end of a chunk.
    fn plain() -> Self {
        Self::new(policy(), &[250])
    }

    fn advance(&mut self, seconds: u64) {
        self.now.at = later(self.now.at, seconds * SECOND);
        self.now.wall += seconds * SECOND;
    }

    /// Runs a command, journals its events and applies them.
    fn run<R>(&mut self, command: impl FnOnce(&mut Ledger, Now, &mut Vec<Event>) -> R) -> R {
        let mut events = Vec::new();
        let result = command(&mut self.ledger, self.now, &mut events);
        let mut record = Vec::new();
        if encode(&events, &mut record) {
            self.journal.push(record);
        }
        for event in &events {
            assert_eq!(self.ledger.check(event), Ok(()), "{event:?}");
            self.ledger.apply(event);
        }
        self.told.extend(events);
        self.ledger.validate();
        result
    }

    fn snapshot(&mut self) {
        self.base.clear();
        self.journal.clear();
        self.ledger.encode_snapshot(self.now, &mut self.base);
    }

    /// What another process would make of snapshot and journal.
    fn restored(&self, now: Now, ends: &[u64]) -> Ledger {
        let policy = self.ledger.policy().clone();
        let mut ledger = Ledger::decode_snapshot(&self.base, policy, now, ends).unwrap();
        ledger.grow(&vec![0; self.ledger.partitions() - ledger.partitions()]);
        ledger.validate();
        for record in &self.journal {
            for event in decode(record, now).unwrap() {
                ledger.replay(event, ends).unwrap();
            }
        }
        ledger.validate();
        ledger
    }

    /// Ends the process and opens the directory again; everybody who comes reads everything.
    fn reopen(&mut self, now: Now, starts: &[u64], ends: &[u64], unclean: bool) {
        self.restart(now, starts, ends, unclean);
        self.open();
    }

    /// Ends the process and opens the directory again.
    fn restart(&mut self, now: Now, starts: &[u64], ends: &[u64], unclean: bool) {
        self.ledger = self.restored(now, ends);
        self.now = now;
        self.run(|ledger, now, out| ledger.reopen(now, starts, ends, unclean, out));
    }

    fn bytes(ledger: &Ledger, now: Now) -> Vec<u8> {
        let mut bytes = Vec::new();
        ledger.encode_snapshot(now, &mut bytes);
        bytes
    }

    fn join(&mut self, name: &str) -> MemberId {
        let member = self.run(|ledger, now, out| ledger.join(now.at, name, out)).unwrap();
        self.open();
        member
    }

    /// Lets everybody read everything.
    fn open(&mut self) {
        let target = Target { open: true, eager: false, slots: Box::default() };
        self.run(|ledger, now, out| ledger.plan(now.at, target, out));
    }

    /// Leases what is due to a member, else `max` new entries of partition 0.
    fn read(&mut self, member: MemberId, max: u32) -> Vec<Claim> {
        let mut runs = Vec::new();
        self.ledger.due_runs(self.now.at, member.slot, max, &mut runs);
        if runs.is_empty() {
            runs.push(Run::new(0, self.ledger.cursor(0).unwrap(), max));
        }
        self.lease(member, &runs, LEASE).unwrap()
    }

    fn lease(&mut self, member: MemberId, runs: &[Run], lease: Duration) -> Result<Vec<Claim>> {
        let number = self.run(|ledger, now, out| ledger.hand_out(now, member, lease, runs, out))?;
        Ok(runs.iter().map(|run| Claim { run: *run, lease: number }).collect())
    }

    fn ack(&mut self, claims: &[Claim]) -> Vec<(EntryId, Lost)> {
        let mut lost = Vec::new();
        self.run(|ledger, _, out| ledger.ack(claims, out, &mut lost));
        lost
    }

    fn expire(&mut self) -> bool {
        self.run(Ledger::expire)
    }

    /// The pending entries of partition 0, as (offset, attempts, leased).
    fn pending(&self) -> Vec<(u64, u16, bool)> {
        let entries = self.ledger.all_pending(0);
        let leased = |standing| matches!(standing, super::Standing::Leased(_));
        entries.map(|e| (e.id.offset(), e.attempts, leased(e.standing))).collect()
    }

    /// What is due, in order.
    fn due(&self) -> Vec<(u64, u32)> {
        let mut runs = Vec::new();
        self.ledger.due_runs(self.now.at, 0, 1_000, &mut runs);
        runs.iter().map(|run| (run.first, run.count)).collect()
    }
}

/// One entry of a claim.
fn one(claim: &Claim, offset: u64) -> Claim {
    Claim { run: Run::new(claim.run.partition, offset, 1), lease: claim.lease }
}

fn nack(desk: &mut Desk, claims: &[Claim], again: Again) -> Vec<(EntryId, Lost)> {
    let mut lost = Vec::new();
    desk.run(|ledger, now, out| ledger.nack(now, claims, again, out, &mut lost));
    lost
}

fn release(desk: &mut Desk, claims: &[Claim]) -> Vec<(EntryId, Lost)> {
    let mut lost = Vec::new();
    desk.run(|ledger, now, out| ledger.release(now.at, claims, out, &mut lost));
    lost
}

fn extend(desk: &mut Desk, claims: &[Claim], seconds: u64) -> Vec<(EntryId, Lost)> {
    let (mut lost, until) = (Vec::new(), later(desk.now.at, seconds * SECOND));
    desk.run(|ledger, now, out| ledger.extend(now.at, claims, until, out, &mut lost));
    lost
}

fn reasons(lost: &[(EntryId, Lost)]) -> Vec<Lost> {
    let mut reasons: Vec<Lost> = lost.iter().map(|(_, why)| *why).collect();
    reasons.dedup();
    reasons
}

/// Puts off runs that are due in so many seconds.
fn defer(desk: &mut Desk, runs: &[Run], seconds: u64) {
    let (now, until) = (desk.now, desk.now.wall + seconds * SECOND);
    let ids = runs.iter().flat_map(|run| run.ids());
    let deferrals: Vec<_> = ids.map(|id| Deferral::new(now, id, until, 0)).collect();
    desk.run(|ledger, _, out| ledger.defer(&deferrals, out));
}
