//! What a desk tells of its group, from one look at it.

use std::time::Duration;

use super::desk::{Desk, State};
use crate::clock::wall_time;
use crate::error::Result;
use crate::info::{GroupInfo, GroupPartition, GroupState, Member};
use crate::ledger::{MemberId, NOBODY, Now};

impl Desk {
    /// The group as it is now.
    pub(crate) fn info(&self) -> Result<GroupInfo> {
        self.look_at(|state, now| self.describe(state, now))
    }

    fn describe(&self, state: &State, now: Now) -> GroupInfo {
        let ledger = &state.ledger;
        let counts = ledger.counts(now.at);
        let partitions = self.partitions(state);
        let members = self.members(state, now);
        GroupInfo {
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
            lag: partitions.iter().map(|partition| partition.lag).sum(),
            leased: counts.leased,
            delayed: counts.delayed,
            due: counts.due,
            parked: counts.parked,
            acked: counts.acked,
            discarded: counts.discarded,
            skipped: counts.lost,
            trimmed: counts.trimmed,
            redelivered: counts.redelivered,
            blocked_reads: self.waiters.len(),
            partitions,
            members,
        }
    }

    fn partitions(&self, state: &State) -> Vec<GroupPartition> {
        let ledger = &state.ledger;
        let readers = ledger.readers().chain(std::iter::repeat(NOBODY));
        let logs = (0..).zip(self.ground.logs.iter()).zip(readers);
        let partition = |((partition, log), slot): ((u32, &crate::log::Log), u16)| {
            let (start, end) = (log.start(), log.visible());
            let next = ledger.cursor(partition).unwrap_or(end);
            GroupPartition {
                floor: ledger.floor(partition).unwrap_or(next),
                next,
                end,
                lag: ledger.lag(partition, start, end),
                owner: ledger.name(slot).map(str::to_owned),
            }
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
