//! A stream as it was at one moment, from which it is copied while it goes on.
//!
//! # What one moment means
//! Under `manifest` first the manifest is taken, then the end of each group's journal, then the end of each
//! partition. Nothing is read or written for it, and nobody is kept from appending or settling.
//! 1. No group is made, deleted or reset meanwhile, no partition added, and nothing trimmed.
//! 2. A journal speaks of entries that were visible before its end was taken, so all of them are in the
//!    copy. What is appended behind that is new to the group, as it would be in the stream.
//! 3. Each group is as after one of its calls. Two groups may be taken some microseconds apart, which nobody
//!    can tell, as groups never see each other.
//! 4. Where entries for one group alone may stand is in the manifest before they are appended.
//!
//! Of a stream that is open for reading only, and may have an owner elsewhere, `beside` takes it.

use std::sync::Arc;

use super::desk::Desk;
use super::groups::broken;
use super::manifest::{GroupRecord, Manifest};
use super::mill::Mill;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::log::{Log, Pin, Still};

/// A stream at one moment.
#[derive(Debug)]
pub(super) struct Point<'a> {
    pub(super) manifest: Manifest,
    pub(super) groups: Vec<Group>,
    pub(super) partitions: Vec<Partition<'a>>,
}

/// A partition at one moment.
#[derive(Debug)]
pub(super) struct Partition<'a> {
    source: Source<'a>,
    pub(super) still: Still,
    _pin: Option<Pin<'a>>,
}

#[derive(Debug)]
enum Source<'a> {
    Open(&'a Log),
    Anew(Box<Log>),
}

/// A group at one moment.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) record: GroupRecord,
    pub(super) state: GroupState,
    /// Nobody closed its journal: its owner died, or is at work.
    pub(super) unclean: bool,
}

/// What is known of a group.
#[derive(Debug)]
pub(super) enum GroupState {
    /// Where its journal ended.
    Open { desk: Arc<Desk>, still: Still },
    /// Where its journal led to, and how long that was.
    Seen { ledger: Box<Ledger>, bytes: u64 },
}

impl Partition<'_> {
    /// One of which the files alone tell.
    pub(super) fn beside(log: Log, still: Still) -> Self {
        Self { source: Source::Anew(Box::new(log)), still, _pin: None }
    }

    pub(super) fn log(&self) -> &Log {
        match &self.source {
            Source::Open(log) => log,
            Source::Anew(log) => log,
        }
    }
}

impl Group {
    pub(super) fn seen(record: GroupRecord, ledger: Ledger, bytes: u64, unclean: bool) -> Self {
        Self { record, state: GroupState::Seen { ledger: Box::new(ledger), bytes }, unclean }
    }

    /// Leaves out what was trimmed since the group was seen, where that is nothing it has lost.
    pub(super) fn leave_out(&mut self, starts: &[u64], ends: &[u64]) {
        if let GroupState::Seen { ledger, .. } = &mut self.state {
            let gone = ledger.gone(starts, ends);
            ledger.leave_out(&gone);
        }
    }

    /// How many bytes its journal has.
    pub(super) fn bytes(&self) -> u64 {
        match &self.state {
            GroupState::Open { still, .. } => still.bytes(),
            GroupState::Seen { bytes, .. } => *bytes,
        }
    }
}

impl Point<'_> {
    /// How many bytes are to be read for a copy.
    pub(super) fn bytes(&self) -> u64 {
        let partitions = self.partitions.iter().map(|partition| partition.still.bytes());
        partitions.chain(self.groups.iter().map(Group::bytes)).sum()
    }
}

impl Mill {
    /// The stream as it is now.
    pub(super) fn point(&self) -> Result<Point<'_>> {
        self.ground.check_open()?;
        if self.ground.looks_on() { self.point_beside() } else { self.point_of_own() }
    }

    fn point_of_own(&self) -> Result<Point<'_>> {
        let manifest = self.manifest.lock();
        self.ground.check_open()?;
        let desks = self.desks.read().clone();
        let group = |record: &GroupRecord| {
            let desk = match desks.get(&record.name) {
                Some(desk) => desk.as_ref().map(Arc::clone).map_err(broken)?,
                None => return Err(Error::GroupDeleted),
            };
            let still = desk.journal.still().newest();
            let state = GroupState::Open { desk, still };
            Ok(Group { record: record.clone(), state, unclean: false })
        };
        let groups = manifest.groups.iter().map(group).collect::<Result<Vec<_>>>()?;
        let partition = |log| {
            let pin = self.ground.log(log).map(Log::pin)?;
            let log = self.ground.log(log)?;
            Ok(Partition { source: Source::Open(log), still: log.still(), _pin: Some(pin) })
        };
        let partitions = (0..manifest.partitions).map(partition).collect::<Result<Vec<_>>>()?;
        Ok(Point { manifest: manifest.clone(), groups, partitions })
    }
}
