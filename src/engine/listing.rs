//! What is pending at a desk: in numbers, and entry by entry.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use super::desk::Desk;
use crate::clock::Moment;
use crate::error::Result;
use crate::id::EntryId;
use crate::info::{Pending, PendingState, PendingSummary};
use crate::ledger::{PendingEntry, Standing};

/// Which pending entries are sought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    pub(crate) range: (Bound<EntryId>, Bound<EntryId>),
    /// Only what this consumer holds.
    pub(crate) consumer: Option<&'a str>,
    pub(crate) min_idle: Duration,
    pub(crate) max: u32,
}

impl Sought<'_> {
    /// The first id that may be sought.
    fn first(&self) -> EntryId {
        match self.range.start_bound() {
            Bound::Included(id) | Bound::Excluded(id) => *id,
            Bound::Unbounded => EntryId::new(0, 0),
        }
    }

    fn is_beyond(&self, id: EntryId) -> bool {
        match self.range.end_bound() {
            Bound::Included(end) => id > *end,
            Bound::Excluded(end) => id >= *end,
            Bound::Unbounded => false,
        }
    }
}

impl Desk {
    pub(crate) fn pending_summary(&self) -> Result<PendingSummary> {
        self.look(|ledger, _| {
            let summary = ledger.summary();
            let holders = ledger.members().filter(|member| member.leased > 0);
            PendingSummary {
                total: summary.leased + summary.waiting,
                first: summary.first,
                last: summary.last,
                consumers: holders.map(|member| (member.name.to_owned(), member.leased)).collect(),
                waiting: summary.waiting,
            }
        })
    }

    pub(crate) fn pending_entries(&self, sought: &Sought<'_>) -> Result<Vec<Pending>> {
        let partitions = self.ground.partitions();
        let max = usize::try_from(sought.max).unwrap_or(usize::MAX);
        self.look(|ledger, now| {
            let (first, min_idle) = (sought.first(), super::open::micros(sought.min_idle));
            let Some(since) = now.at.0.checked_sub(min_idle).map(Moment) else {
                return Vec::new();
            };
            let of = |partition| {
                let from = if partition == first.partition() { first.offset() } else { 0 };
                ledger.pending(partition, from, since)
            };
            let rows = (first.partition()..partitions).flat_map(of);
            let rows = rows.take_while(|row| !sought.is_beyond(row.id));
            let rows = rows.filter(|row| {
                let holder = sought.consumer.is_none_or(|name| row.member == Some(name));
                holder && (min_idle == 0 || row.touched <= since) && sought.range.contains(&row.id)
            });
            rows.take(max).map(|row| line(&row, now.at)).collect()
        })
    }
}

fn line(row: &PendingEntry<'_>, now: Moment) -> Pending {
    let (until, state) = match row.standing {
        Standing::Leased(until) => (until, PendingState::Leased),
        Standing::Waiting(due) if due > now => (due, PendingState::Delayed),
        Standing::Waiting(due) => (due, PendingState::Due),
        Standing::Exhausted => (now, PendingState::Exhausted),
    };
    Pending {
        id: row.id,
        state,
        consumer: row.member.map(str::to_owned),
        idle: now.since(row.touched),
        attempts: row.attempts,
        due_in: until.since(now),
    }
}
