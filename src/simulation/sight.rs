//! What a group shows of itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::group::Group;
use crate::id::EntryId;
use crate::pending::PendingQuery;

/// What an entry is to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    /// Handed out so many times, and leased.
    Out(u16),
    /// Handed out so many times, and to be handed out again.
    Back(u16),
    Parked,
    Done,
}

/// What a group shows of itself.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) next: Vec<u64>,
    pub(super) pending: BTreeMap<EntryId, u16>,
    parked: BTreeSet<EntryId>,
    pub(super) lag: u64,
}

impl Sight {
    pub(super) fn of(group: &Group) -> Result<Self> {
        let info = group.info()?;
        let pending = group.pending_entries(&PendingQuery::new().max(u32::MAX))?;
        Ok(Self {
            next: info.partitions.iter().map(|partition| partition.next).collect(),
            pending: pending.iter().map(|entry| (entry.id, entry.attempts)).collect(),
            parked: group.parked(usize::MAX)?.into_iter().map(|parked| parked.id).collect(),
            lag: group.lag()?,
        })
    }

    pub(super) fn state(&self, id: EntryId) -> State {
        if let Some(attempts) = self.pending.get(&id) {
            State::Back(*attempts)
        } else if self.parked.contains(&id) {
            State::Parked
        } else if id.offset() >= self.next[id.partition() as usize] {
            State::New
        } else {
            State::Done
        }
    }
}
