//! Adding partitions to a stream that is open.
//!
//! # The order of the steps
//! 1. The new logs are opened. That makes nothing on the disk: a log's directory comes with its
//!    first append.
//! 2. The manifest is saved. Until here a failure leaves all as it was; from here on the stream has
//!    the new number, whatever the machine does. No journal needs to tell of it: it may be of fewer
//!    partitions than the manifest, never of more.
//! 3. Each group grows. A group may know more partitions than there are logs, never fewer: whoever
//!    has its lock and finds a log finds a place for it.
//! 4. The logs are published, all at once, between two appends to the first partition.
//! 5. All who are blocked are woken, so that they wait for the new partitions as well.
//!
//! # Why no wake is lost
//! A read that is about to wait takes a place, orders itself after the appends of each log, the
//! first one's first, and then looks (`waiters`). If it was at the first log before step 4, its
//! place was counted before, so step 5 rings it, and it does all of this again. If it was there
//! later, its walk over the logs comes to the new ones, too. A flush of all goes the same way.

use super::desk::Desk;
use super::mill::Mill;
use super::open::open_logs;
use crate::error::{Error, Result};
use crate::events::Cause;
use crate::limits::PARTITIONS_MAX;
use crate::log::Cursor;
use crate::observe;

impl Mill {
    /// Adds `count` partitions, and gives their new number.
    pub(crate) fn add_partitions(&self, count: u32) -> Result<u32> {
        if count == 0 {
            return Err(Error::TooSmall { what: "the number of partitions to add", min: "1" });
        }
        let _told = observe::afterwards();
        // Nobody makes a group meanwhile, and nobody closes the stream.
        let mut manifest = self.manifest.lock();
        self.ground.check_write()?;
        let before = manifest.partitions;
        let total = before.checked_add(count).filter(|total| *total <= PARTITIONS_MAX);
        let max = u64::from(PARTITIONS_MAX);
        let total = total.ok_or(Error::LimitReached { what: "the number of partitions", max })?;
        let (logs, _) = open_logs(&self.terms, before..total)?;
        let mut changed = manifest.clone();
        changed.grow(total);
        changed.save(&*self.ground.storage, &self.ground.latch)?;
        *manifest = changed;
        let desks = self.each_desk();
        for desk in &desks {
            desk.grow(total as usize);
        }
        self.ground.logs[0].between_appends(|| self.ground.logs.extend(logs));
        self.ground.audience.ring_all();
        // Strategies and hooks are users' code.
        drop(manifest);
        for desk in desks {
            // The stream has grown whatever a strategy says; one that fails is told to who listens
            // to its group, and asked again when a member comes or goes.
            let _ = desk.reassign();
            desk.ring_all();
            desk.ready.call();
        }
        Ok(total)
    }
}

impl Desk {
    /// Makes room for partitions that are about to come; the group reads them from the start.
    fn grow(&self, total: usize) {
        let mut state = self.lock();
        let added = total - state.ledger.partitions();
        state.ledger.grow(&vec![0; added]);
        state.told.cause = Cause::PartitionsAdded;
        state.fresh.resize(total, Cursor::default());
        state.again.resize(total, Cursor::default());
    }
}
