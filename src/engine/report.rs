//! What a desk tells of its group, from one look at it.

use std::time::Duration;

use super::desk::{Desk, State};
use super::journal::now_of;
use super::parcel::Parcel;
use crate::blocked::Blocked;
use crate::clock::{Moment, wall_time};
use crate::error::Result;
use crate::id::EntryId;
use crate::info::{GroupInfo, GroupPartition, GroupState, Member, Pause, Settings};
use crate::ledger::{Ledger, MemberId, NOBODY, Now, Policy};
use crate::log::{Bounds, Cursor};
use crate::subject::Filter;

impl Desk {
    /// Looks at the group as it is now.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&mut Ledger, Now) -> T) -> Result<T> {
        self.look_at(|state, now| see(&mut state.ledger, now))
    }

    /// The same, at all that the lock guards.
    pub(super) fn look_at<T>(&self, see: impl FnOnce(&mut State, Now) -> T) -> Result<T> {
        let _calls = self.ready.afterwards();
        self.check()?;
        if !self.ground.looks_on() && self.ground.latch.check().is_ok() {
            match self.enter_buried() {
                // What there is no room to write down has not happened yet.
                Err(error) if error.is_disk_full() => {}
                entered => {
                    let (mut state, now) = entered?;
                    let seen = see(&mut state, now);
                    self.finish(state)?;
                    return Ok(seen);
                }
            }
        }
        let mut state = self.lock();
        Ok(see(&mut state, now_of(&self.ground.time)))
    }

    /// The group as it is now.
    pub(crate) fn info(&self) -> Result<GroupInfo> {
        self.count_ahead()?;
        let (mut info, first, wall) = self.look_at(|state, now| {
            let ledger = &state.ledger;
            let partitions = 0..self.ground.partitions();
            let first = partitions
                .filter_map(|partition| ledger.pending(partition, 0, Moment::NEVER).next());
            let first: Vec<EntryId> = first.map(|entry| entry.id).collect();
            Ok((self.describe(state, now)?, first, now.wall))
        })??;
        // The logs are read without the lock; when an entry was appended does not change.
        let appended = first.into_iter().map(|id| (self.appended(id).unwrap_or(u64::MAX), id));
        if let Some((appended, id)) = appended.min() {
            info.oldest_pending = Some(id);
            let known = appended < u64::MAX;
            info.oldest_pending_age =
                known.then(|| Duration::from_micros(wall.saturating_sub(appended)));
        }
        Ok(info)
    }

    /// When an entry was appended, if it can be read.
    fn appended(&self, id: EntryId) -> Option<u64> {
        let log = self.ground.log(id.partition()).ok()?;
        let mut parcel = Parcel::new(&self.ground.pool);
        let mut run = parcel.buffer();
        let bounds = Bounds { entries: 1, bytes: 0, before: id.offset() + 1 };
        let _ = log.read(&mut Cursor::at(id.offset()), bounds, &mut run).ok()?;
        let _ = parcel.unpack(id.partition(), run, std::iter::empty());
        (parcel.len() > 0).then(|| parcel.time(0))
    }

    /// How many entries are neither settled nor set aside.
    pub(crate) fn lag(&self) -> Result<u64> {
        self.count_ahead()?;
        self.look_at(|state, _| Ok(self.partitions(state)?.iter().map(|found| found.lag).sum()))?
    }

    fn describe(&self, state: &mut State, now: Now) -> Result<GroupInfo> {
        let partitions = self.partitions(state)?;
        let ledger = &state.ledger;
        let counts = ledger.counts(now.at);
        let members = self.members(state, now);
        let lag = partitions.iter().map(|partition| partition.lag).sum::<u64>();
        Ok(GroupInfo {
            name: self.name.to_string(),
            created: wall_time(self.created),
            state: if members.is_empty() {
                GroupState::Empty
            } else if ledger.is_rebalancing() || ledger.is_stale() {
                GroupState::Rebalancing
            } else {
                GroupState::Stable
            },
            strategy: state.strategy_name.to_string(),
            strategy_failure: state.failed.as_ref().map(|(_, reason)| reason.clone()),
            generation: ledger.generation(),
            rebalances: counts.rebalances,
            rebalancing: Duration::from_micros(counts.rebalancing),
            paused: ledger.paused_until(now.at).map(|until| {
                if until < Moment::NEVER {
                    Pause::For(until.since(now.at))
                } else {
                    Pause::UntilResumed
                }
            }),
            filter: self.patterns(),
            lag,
            undelivered: lag.saturating_sub(counts.pending()),
            leased: counts.leased,
            leased_bytes: ledger.leased_bytes(),
            delayed: counts.delayed,
            due: counts.due,
            deferred: counts.deferred,
            parked: counts.parked,
            exhausted: counts.exhausted,
            dead_letter_failure: self.burial.failure().filter(|_| counts.exhausted > 0),
            dead_lettered: counts.dead_lettered,
            acked: counts.acked,
            discarded: counts.discarded,
            skipped: counts.lost,
            trimmed: counts.trimmed,
            redelivered: counts.redelivered,
            oldest_pending: None,
            oldest_pending_age: None,
            settings: settings(ledger.policy()),
            blocked_reads: self.waiters.len(),
            partitions,
            members,
        })
    }

    fn patterns(&self) -> Vec<String> {
        let patterns = self.filter.iter().flat_map(Filter::patterns);
        patterns.map(ToString::to_string).collect()
    }

    fn partitions(&self, state: &mut State) -> Result<Vec<GroupPartition>> {
        let readers = state.ledger.readers().chain(std::iter::repeat(NOBODY));
        let readers: Vec<u16> = readers.take(self.ground.logs.len()).collect();
        let logs = (0..).zip(self.ground.logs.iter()).zip(readers);
        let partition = |((partition, log), slot): ((u32, &crate::log::Log), u16)| {
            let end = log.visible();
            let undelivered = self.undelivered(state, partition, end)?;
            let ledger = &state.ledger;
            let next = ledger.cursor(partition).unwrap_or(end);
            Ok(GroupPartition {
                floor: ledger.floor(partition).unwrap_or(next),
                next,
                end,
                lag: undelivered + ledger.pending_in(partition),
                owner: ledger.name(slot).map(str::to_owned),
            })
        };
        logs.map(partition).collect()
    }

    fn members(&self, state: &State, now: Now) -> Vec<Member> {
        let ledger = &state.ledger;
        let members = ledger.members().map(|seen| {
            let silent = super::open::micros(now.at.since(seen.at));
            Member {
                name: seen.name.to_owned(),
                partitions: self.assignment(state, seen.id.slot),
                last_seen: wall_time(now.wall.saturating_sub(silent)),
                leased: seen.leased,
                blocked: self.blocked(state, now, seen.id),
            }
        });
        members.collect()
    }

    /// Why a read of a member would find nothing.
    fn blocked(&self, state: &State, now: Now, member: MemberId) -> Option<Blocked> {
        let held_back = state.held_back(now.at, member).unwrap_or(None);
        held_back.or_else(|| {
            let nothing = !self.has_more(state, now.at, member.slot);
            nothing.then(|| state.why_nothing(now, member.slot))
        })
    }

    /// The partitions that a member reads, and the generation in which it does.
    pub(crate) fn assignment_of(&self, member: MemberId) -> Result<(Vec<u32>, u64)> {
        self.look_at(|state, now| {
            state.ledger.touch(now.at, member)?;
            Ok((self.assignment(state, member.slot), state.ledger.generation()))
        })?
    }

    /// The partitions that a member reads: its own, or all.
    pub(super) fn assignment(&self, state: &State, slot: u16) -> Vec<u32> {
        if state.ledger.is_open() {
            return (0..self.ground.partitions()).collect();
        }
        state.ledger.owned(slot).collect()
    }
}

fn settings(policy: &Policy) -> Settings {
    let bound = |max: u64| (max < u64::MAX).then_some(max);
    Settings {
        lease: policy.lease,
        session_timeout: policy.session_timeout,
        revocation_timeout: policy.revocation_timeout,
        max_deliveries: policy.max_deliveries,
        backoff: policy.backoff.wait.listed(),
        jitter: f64::from(policy.backoff.jitter_permille) / 1_000.0,
        on_exhausted: format!("{:?}", policy.on_exhausted),
        on_trimmed: format!("{:?}", policy.on_trimmed),
        ack_mode: format!("{:?}", policy.ack),
        max_in_flight: policy.max_in_flight,
        max_in_flight_per_consumer: bound(policy.max_in_flight_per_consumer),
        delayed_max: policy.delayed_max,
        max_in_flight_bytes: bound(policy.max_in_flight_bytes),
    }
}
