//! What a desk tells of its group, from one look at it.

use std::time::Duration;

use super::desk::{Desk, State};
use crate::clock::wall_time;
use crate::error::Result;
use crate::info::{GroupInfo, GroupPartition, GroupState, Member};
use crate::ledger::{MemberId, NOBODY, Now};
use crate::subject::Filter;

impl Desk {
    /// The group as it is now.
    pub(crate) fn info(&self) -> Result<GroupInfo> {
        self.count_ahead()?;
        self.look_at(|state, now| self.describe(state, now))?
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
            filter: self.patterns(),
            lag,
            undelivered: lag - (counts.leased + counts.delayed + counts.due),
            leased: counts.leased,
            delayed: counts.delayed,
            due: counts.due,
            parked: counts.parked,
            exhausted: counts.exhausted,
            dead_letter_failure: self.burial.failure().filter(|_| counts.exhausted > 0),
            dead_lettered: counts.dead_lettered,
            acked: counts.acked,
            discarded: counts.discarded,
            skipped: counts.lost,
            trimmed: counts.trimmed,
            redelivered: counts.redelivered,
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
            }
        });
        members.collect()
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
