//! Copying a stream while it is in use.
//!
//! Entries are copied frame by frame as they are. A group is not: what its journal says at the point is replayed,
//! all leases are ended as an opening does, and the outcome is the first snapshot of a new journal. So a copy that
//! cannot be opened is never made, its groups hold nothing that somebody else settles, and the cost
//! is that of an opening, with no lock held: writing the snapshot from the desk's own ledger would stop its
//! hand-outs for as long as that takes.

use std::sync::Arc;

use super::beside::{Doubt, may_be_the_owner};
use super::ground::Terms;
use super::journal::{self, Origin, now_of};
use super::meter::{Meter, Tell};
use super::mill::Mill;
use super::point::{Group, GroupState, Partition, Point};
use super::policy::policy;
use super::site::Site;
use crate::backup::{Copied, CopiedPartition, Part};
use crate::error::{Error, Result};
use crate::latch::Latch;
use crate::ledger::{Ledger, Now};
use crate::log::{Log, Mode, OwnerKind, Still};
use crate::observe::{self, Span};
use crate::storage::{Memory, Storage};
use crate::tally::Tally;

impl Mill {
    /// Copies the stream into the place `name` of `parent`, telling how far it is.
    pub(crate) fn copy(
        &self,
        parent: &Arc<dyn Storage>,
        name: &str,
        tell: &mut Tell<'_>,
    ) -> Result<Copied> {
        let _told = observe::within(&self.ground.source, Span::Copy);
        let mut doubt = Doubt::default();
        loop {
            match self.copy_once(parent, name, tell) {
                // The owner elsewhere was faster.
                Err(error) if self.ground.looks_on() && doubt.asks_again(&error) => {}
                other => return other,
            }
        }
    }

    fn copy_once(
        &self,
        parent: &Arc<dyn Storage>,
        name: &str,
        tell: &mut Tell<'_>,
    ) -> Result<Copied> {
        let point = self.point()?;
        let site = Site::new(Arc::clone(parent), name, self.terms.salts.next())?;
        let to = site.storage();
        let mut forward = |progress: crate::backup::Progress<'_>| tell(progress);
        let mut meter = Meter::new(point.bytes(), &mut forward);
        meter.begin(Part::Manifest)?;
        let ends: Vec<u64> = point.partitions.iter().map(|one| one.still.end).collect();
        let starts: Vec<u64> = point.partitions.iter().map(|one| one.still.start()).collect();
        let Point { manifest, mut groups, partitions } = point;
        let names = groups.iter().map(|group| group.record.name.clone()).collect();
        if !self.ground.looks_on() {
            // First: nothing else keeps the descriptors of journals that are rolled meanwhile.
            self.copy_groups(std::mem::take(&mut groups), &*to, &starts, &ends, &mut meter)?;
        }
        let mut copied = Vec::with_capacity(partitions.len());
        for (number, partition) in (0..).zip(partitions) {
            meter.begin(Part::Partition(number))?;
            copied.push(self.copy_partition(&partition, &*to, &mut meter)?);
        }
        // What an owner elsewhere trimmed meanwhile is not in the copy.
        let starts: Vec<u64> = copied.iter().map(|partition| partition.start).collect();
        if manifest.retention.settled && manifest.retention.idle.is_none() {
            for group in &mut groups {
                group.leave_out(&starts, &ends);
            }
        }
        self.copy_groups(groups, &*to, &starts, &ends, &mut meter)?;
        // Comes last, and makes the names of the others durable, too.
        manifest.save(&*to, &Latch::default()).map_err(|error| plainly(&*to, error))?;
        meter.end()?;
        self.ground.check_open()?;
        site.finish()?;
        let path = parent.locate(name);
        Ok(Copied { path, bytes: meter.done_bytes, partitions: copied, groups: names })
    }

    fn copy_partition(
        &self,
        partition: &Partition<'_>,
        to: &dyn Storage,
        meter: &mut Meter<'_>,
    ) -> Result<CopiedPartition> {
        let still = &partition.still;
        let first = self.copy_log(partition.log(), still, to, &mut |bytes| meter.step(bytes))?;
        let segments = still.count() - first;
        Ok(CopiedPartition { start: still.start_of(first), end: still.end, segments })
    }

    fn copy_groups(
        &self,
        groups: Vec<Group>,
        to: &dyn Storage,
        starts: &[u64],
        ends: &[u64],
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        for group in groups {
            meter.begin(Part::Group(group.record.name.clone()))?;
            let bytes = group.bytes();
            self.copy_group(group, to, starts, ends)?;
            meter.step(bytes)?;
        }
        Ok(())
    }

    fn copy_group(
        &self,
        group: Group,
        to: &dyn Storage,
        starts: &[u64],
        ends: &[u64],
    ) -> Result<()> {
        self.ground.check_open()?;
        let (number, unclean) = (group.record.number, group.unclean);
        let now = now_of(&self.ground.time);
        let mut ledger = ledger_of(group, starts, ends, now)?;
        let mut events = Vec::new();
        ledger.part(now, starts, ends, unclean, &mut events);
        for event in &events {
            ledger.apply(event);
        }
        // In memory first: it is copied from there with its own length, and no disk is asked for the
        // room that a journal has behind its snapshot.
        let memory = Memory::new();
        let made = memory.lock(true);
        let _lock = made.map_err(|error| Error::io("make", memory.locate(""), 0, error))?;
        let terms = Terms {
            storage: Arc::new(memory),
            latch: Arc::default(),
            tally: Tally::default(),
            mode: Mode::Write,
            settled: Arc::default(),
            ..self.terms.clone()
        };
        let (fresh, _) = Log::open(terms.settings(OwnerKind::Journal, number))?;
        journal::found(&fresh, &ledger, now)?;
        self.copy_log(&fresh, &fresh.still(), to, &mut |_| Ok(())).map(drop)
    }

    /// Copies the segments of a log. Says which is the first that is in the copy: an owner elsewhere may trim
    /// some before they are read.
    fn copy_log(
        &self,
        log: &Log,
        still: &Still,
        to: &dyn Storage,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<usize> {
        let mut first = 0;
        if still.count() == 0 {
            return Ok(first);
        }
        let dir = &log.settings.dir;
        let failed = |doing, error| Error::io(doing, to.locate(dir), 0, error);
        to.create_dir(dir).map_err(|error| failed("make", error))?;
        for index in 0..still.count() {
            self.ground.check_open()?;
            let Err(error) = log.copy_segment(still, index, to, step) else { continue };
            let may_be_trimmed = self.ground.looks_on() && may_be_the_owner(&error);
            let is_last = index + 1 == still.count();
            if is_last || !may_be_trimmed || !log.is_trimmed(still, index)? {
                return Err(error);
            }
            // A copy has no holes: what stood before the trimmed one goes, too.
            for name in to.list(dir).map_err(|error| failed("list", error))? {
                let removed = to.remove(&format!("{dir}/{name}"));
                removed.map_err(|error| failed("remove", error))?;
            }
            first = index + 1;
        }
        to.sync_dir(dir).map_err(|error| failed("sync", error))?;
        Ok(first)
    }
}

/// What a group is at the point.
fn ledger_of(group: Group, starts: &[u64], ends: &[u64], now: Now) -> Result<Ledger> {
    let record = &group.record;
    let (desk, still) = match group.state {
        GroupState::Seen { ledger, .. } => return Ok(*ledger),
        GroupState::Open { desk, still } => (desk, still),
    };
    let origin = Origin {
        number: record.number,
        policy: policy(record),
        starts: &record.starts,
        log_starts: starts,
        log_ends: ends,
    };
    let log = &desk.journal;
    let replay = |visit: &mut dyn FnMut(_, &[u8]) -> _| log.replay_still(&still, visit);
    journal::rebuild(log, replay, &origin, now).map(|(ledger, _)| ledger)
}

/// Tells a failed sync of a copy as what it is: the stream that is copied is not poisoned by it.
fn plainly(to: &dyn Storage, error: Error) -> Error {
    match error {
        Error::Poisoned { cause } => {
            Error::io("copy to", to.locate(""), 0, std::io::Error::other(&*cause))
        }
        other => other,
    }
}
