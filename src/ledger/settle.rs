//! What holders of leases do with them: ack, nack, reject, release, extend.
//!
//! All go one way: claims are put in order, each is judged against the entry it names, the good
//! ones become events and the void ones are reported. One bad claim never costs a good one.

use std::borrow::Cow;
use std::time::Duration;

use super::book::Ledger;
use super::event::{Claim, Event, Reason, Run, Settle, Wait};
use super::glance::{Seen, TOGETHER};
use super::hold::{BEFORE, Hold};
use super::policy::Exhausted;
use super::times::{Now, later, micros};
use super::window::{State, Tag, Window};
use crate::clock::Moment;
use crate::error::Lost;
use crate::id::EntryId;

/// When a failed entry comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again<'a> {
    /// After the group's backoff.
    Backoff,
    /// After this wait.
    After(Duration),
    /// Never: it counts as exhausted at once, for this reason.
    Never(&'a str),
}

/// Why a withdrawn entry's token is void: what its hold has in place of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Void {
    Released = 0,
    Left = 1,
    Reset = 2,
    Settled = 3,
    Revoked = 4,
    /// There was none: the entry waits for its own time, and was never handed out.
    Deferred = 5,
}

impl Void {
    pub(super) fn slot(self) -> u16 {
        self as u16
    }

    fn lost(slot: u16) -> Lost {
        match slot {
            0 => Lost::Released,
            1 => Lost::Left,
            3 => Lost::Settled,
            4 => Lost::Revoked,
            _ => Lost::Reset,
        }
    }
}

/// What a claim is worth.
enum Verdict {
    /// The lease runs.
    Held,
    /// It ended by time or by nack, and nobody else was given the entry.
    Late,
    Void(Lost),
}

impl Ledger {
    /// Settles what the claims hold.
    pub(crate) fn ack(
        &self,
        claims: &[Claim],
        out: &mut Vec<Event>,
        lost: &mut Vec<(EntryId, Lost)>,
    ) {
        let from = out.len();
        self.judge(claims, lost, |run, _, _| {
            Event::Settled { run, how: Settle::Acked }.push(from, out);
        });
    }

    /// Counts the attempts of what the claims hold as failed. Entries that wait already, because
    /// the lease ended or they were nacked before, go on waiting; [`Again::Never`] ends them, too.
    pub(crate) fn nack(
        &self,
        now: Now,
        claims: &[Claim],
        again: Again<'_>,
        out: &mut Vec<Event>,
        lost: &mut Vec<(EntryId, Lost)>,
    ) {
        let from = out.len();
        let reason: Reason = match again {
            Again::Never(reason) if !reason.is_empty() => Some(reason.into()),
            _ => None,
        };
        self.judge(claims, lost, |run, tag, late| {
            let waits = |run, delay| {
                let due = later(now.at, delay);
                let delay = due.0 - now.at.0;
                Event::Waits { run, why: Wait::Nack, due, delay, wall: now.wall }
            };
            match again {
                Again::Never(_) => self.exhaust(now, run, reason.clone()).push(from, out),
                _ if late => {}
                _ if tag.attempts() >= self.policy.max_deliveries => {
                    self.exhaust(now, run, None).push(from, out);
                }
                Again::Backoff => {
                    self.each_delay(run, tag.attempts(), |run, delay| {
                        waits(run, delay).push(from, out);
                    });
                }
                Again::After(delay) => waits(run, micros(delay)).push(from, out),
            }
        });
    }

    /// Takes the hand-out back, as if it had not been: not counted, due at once. Entries that wait
    /// already go on waiting.
    pub(crate) fn release(
        &self,
        now: Moment,
        claims: &[Claim],
        out: &mut Vec<Event>,
        lost: &mut Vec<(EntryId, Lost)>,
    ) {
        let from = out.len();
        self.judge(claims, lost, |run, _, late| {
            if !late {
                let why = Wait::Release;
                Event::Waits { run, why, due: now, delay: 0, wall: 0 }.push(from, out);
            }
        });
    }

    /// Prolongs the leases until `deadline`, or gives ended ones back. The attempt is not counted
    /// again.
    pub(crate) fn extend(
        &self,
        at: Moment,
        claims: &[Claim],
        deadline: Moment,
        out: &mut Vec<Event>,
        lost: &mut Vec<(EntryId, Lost)>,
    ) {
        let from = out.len();
        self.judge(claims, lost, |run, _, late| {
            Event::Extended { run, deadline, late, at }.push(from, out);
        });
    }

    /// What dropped handles leave behind: what was taken is nacked, what was not is released. The
    /// two lists are separate calls, the first one applied before the second. Nobody is there to
    /// be told of void claims.
    pub(crate) fn hand_back(&self, now: Now, claims: &[Claim], taken: bool, out: &mut Vec<Event>) {
        let mut unheard = Vec::new();
        if taken {
            self.nack(now, claims, Again::Backoff, out, &mut unheard);
        } else {
            self.release(now.at, claims, out, &mut unheard);
        }
    }

    /// Calls `each` with how long the entries of a run wait after that attempt, in microseconds:
    /// all alike, or, with jitter, each by itself.
    pub(super) fn each_delay(&self, run: Run, attempt: u16, mut each: impl FnMut(Run, u64)) {
        let backoff = &self.policy.backoff;
        if backoff.varies() {
            run.ids().for_each(|id| each(id.into(), backoff.delay(attempt, id)));
        } else {
            each(run, backoff.delay(attempt, EntryId::new(run.partition, run.first)));
        }
    }

    /// The end of entries after their last attempt.
    pub(super) fn exhaust(&self, now: Now, run: Run, reason: Reason) -> Event {
        match self.policy.on_exhausted {
            Exhausted::Park => Event::Parked { run, wall: now.wall, reason },
            Exhausted::Discard => Event::Settled { run, how: Settle::Discarded(reason) },
            Exhausted::DeadLetter => Event::Doomed { run, reason },
        }
    }

    /// Calls `good` with each run that is still the claimant's, its tag, and whether it is late.
    fn judge(
        &self,
        claims: &[Claim],
        lost: &mut Vec<(EntryId, Lost)>,
        mut good: impl FnMut(Run, Tag, bool),
    ) {
        if let [claim] = claims {
            self.judge_some::<1>(std::slice::from_ref(claim), lost, &mut good);
            return;
        }
        for some in in_order(claims).chunks(TOGETHER) {
            self.judge_some::<TOGETHER>(some, lost, &mut good);
        }
    }

    /// The same for claims in order, at most `N` of them.
    fn judge_some<const N: usize>(
        &self,
        claims: &[Claim],
        lost: &mut Vec<(EntryId, Lost)>,
        good: &mut impl FnMut(Run, Tag, bool),
    ) {
        let seen = self.entries.glance::<N>(claims);
        for (claim, seen) in claims.iter().zip(seen) {
            let mut tell = |run: Run, tag, verdict| match verdict {
                Verdict::Held => good(run, tag, false),
                Verdict::Late => good(run, tag, true),
                Verdict::Void(why) => lost.extend(run.ids().map(|id| (id, why))),
            };
            match (seen, self.entries.window(claim.run.partition)) {
                (Some(seen), Some(window)) => {
                    let verdict = self.verdict(window, claim.run.first, seen, claim.lease);
                    tell(claim.run, seen.tag, verdict);
                }
                _ => self.judge_run(claim, &mut tell),
            }
        }
    }

    /// The same for one claim, of any length and from anywhere.
    fn judge_run(&self, claim: &Claim, tell: &mut impl FnMut(Run, Tag, Verdict)) {
        let run = claim.run;
        let exists = run.first.checked_add(u64::from(run.count)).is_some();
        let Some(window) = self.entries.window(run.partition).filter(|_| exists) else {
            tell(run, Tag::FRESH, Verdict::Void(Lost::Reset));
            return;
        };
        // What was trimmed and what was settled look alike, and are void for different reasons.
        let fence = window.fences.trimmed.clamp(run.first, run.end());
        let groups = window.groups(run.first..fence).chain(window.groups(fence..run.end()));
        for group in groups {
            let count = u32::try_from(group.count).expect("no longer than the claim's run");
            let run = Run::new(run.partition, group.first, count);
            let seen = Seen { tag: group.tag, hold: self.entries.index.held(group.hold) };
            tell(run, group.tag, self.verdict(window, group.first, seen, claim.lease));
        }
    }

    /// What a lease is worth in entries that are alike, the first of which is at `first`.
    fn verdict(&self, window: &Window, first: u64, seen: Seen, lease: u64) -> Verdict {
        let (state, fences) = (seen.tag.state(), window.fences);
        match state {
            State::Fresh => return Verdict::Void(Lost::Reset),
            State::Settled if first < fences.trimmed => return Verdict::Void(Lost::Trimmed),
            State::Settled if lease < fences.reset => return Verdict::Void(Lost::Reset),
            State::Settled => return Verdict::Void(Lost::Settled),
            _ => {}
        }
        let hold = seen.hold.expect("a pending entry has a hold");
        if self.lease_in_hold(lease) != hold.lease {
            let reset = lease < fences.reset;
            return Verdict::Void(if reset { Lost::Reset } else { Lost::Taken });
        }
        match state {
            State::Leased => Verdict::Held,
            State::Waiting => match self.silenced(window, hold) {
                None => Verdict::Late,
                Some(why) => Verdict::Void(Void::lost(why.slot())),
            },
            _ => Verdict::Void(Void::lost(hold.slot)),
        }
    }

    /// Why the member that had the lease of a waiting entry no longer speaks for it; `None` if it
    /// does: it is still the one in its slot, and the partition was not given to another since.
    pub(super) fn silenced(&self, window: &Window, hold: Hold) -> Option<Void> {
        let number = self.first_lease + hold.lease.saturating_sub(1);
        let member = self.members.in_slot(hold.slot);
        if hold.lease == BEFORE || member.is_none_or(|member| member.since > number) {
            return Some(Void::Left);
        }
        self.is_fenced(window, hold).then_some(Void::Revoked)
    }

    /// Whether a lease is of an earlier owner of its partition, whatever became of the member.
    pub(super) fn is_fenced(&self, window: &Window, hold: Hold) -> bool {
        self.first_lease + hold.lease.saturating_sub(1) < window.fences.revoked
    }
}

/// The claims by id, so that neighbours become one event, and without repetition, so that no event
/// meets what an earlier one of the same call has changed already.
fn in_order(claims: &[Claim]) -> Cow<'_, [Claim]> {
    let key = |claim: &Claim| (claim.run.partition, claim.run.first);
    let follows = |a: &Claim, b: &Claim| {
        a.run.partition < b.run.partition
            || (a.run.partition == b.run.partition && a.run.end() <= b.run.first)
    };
    let apart = |claims: &[Claim]| claims.windows(2).all(|pair| follows(&pair[0], &pair[1]));
    if apart(claims) {
        return Cow::Borrowed(claims);
    }
    let mut sorted = claims.to_vec();
    sorted.sort_unstable_by_key(key);
    if !apart(&sorted) {
        // Some overlap. Taken one by one, at most one lease for each entry is the good one.
        sorted = sorted
            .iter()
            .flat_map(|claim| claim.run.ids().map(|id| Claim { run: id.into(), ..*claim }))
            .collect();
        sorted.sort_unstable_by_key(|claim| (key(claim), claim.lease));
        sorted.dedup();
    }
    Cow::Owned(sorted)
}
