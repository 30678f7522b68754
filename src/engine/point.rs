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
//! A stream that is open for reading only may have an owner elsewhere. Its files are looked at anew, in the same
//! order, and once more from the start if the manifest is another afterwards.

use std::sync::Arc;

use super::desk::Desk;
use super::groups::broken;
use super::manifest::{GroupRecord, Manifest};
use super::mill::Mill;
use crate::error::{Error, Result};
use crate::log::{Log, Mode, OwnerKind, Pin, Still};

/// So often the files of a stream that has an owner elsewhere are looked at.
pub(super) const ROUNDS_MAX: usize = 8;

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
    source: Journal,
    pub(super) still: Still,
    /// Nobody closed its journal, and nobody has it open as far as one can tell.
    pub(super) unclean: bool,
}

#[derive(Debug)]
enum Journal {
    Open(Arc<Desk>),
    Anew(Box<Log>),
}

impl Partition<'_> {
    pub(super) fn log(&self) -> &Log {
        match &self.source {
            Source::Open(log) => log,
            Source::Anew(log) => log,
        }
    }
}

impl Group {
    pub(super) fn journal(&self) -> &Log {
        match &self.source {
            Journal::Open(desk) => &desk.journal,
            Journal::Anew(log) => log,
        }
    }
}

impl Point<'_> {
    /// How many bytes are to be read for a copy.
    pub(super) fn bytes(&self) -> u64 {
        let partitions = self.partitions.iter().map(|partition| partition.still.bytes());
        partitions.chain(self.groups.iter().map(|group| group.still.bytes())).sum()
    }
}

impl Mill {
    /// The stream as it is now.
    pub(super) fn point(&self) -> Result<Point<'_>> {
        self.ground.check_open()?;
        if self.terms.mode == Mode::Write { self.point_of_own() } else { self.point_of_files() }
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
            let source = Journal::Open(desk);
            Ok(Group { record: record.clone(), source, still, unclean: false })
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

    fn point_of_files(&self) -> Result<Point<'_>> {
        let mut manifest = self.stored_manifest()?;
        for _ in 0..ROUNDS_MAX {
            let groups = manifest.groups.iter().map(|record| self.group_of_files(record));
            let groups = groups.collect::<Result<Vec<_>>>();
            let partitions = (0..manifest.partitions).map(|n| self.partition_of_files(n));
            let partitions = partitions.collect::<Result<Vec<_>>>();
            let after = self.stored_manifest()?;
            if after == manifest {
                return Ok(Point { manifest, groups: groups?, partitions: partitions? });
            }
            manifest = after;
        }
        Err(Error::LimitReached {
            what: "looking at a manifest that changes",
            max: ROUNDS_MAX as u64,
        })
    }

    fn stored_manifest(&self) -> Result<Manifest> {
        let storage = &*self.ground.storage;
        Manifest::load(storage)?.ok_or_else(|| super::open::missing(storage))
    }

    fn group_of_files(&self, record: &GroupRecord) -> Result<Group> {
        let (log, unclean) = self.anew(OwnerKind::Journal, record.number)?;
        let still = log.still().newest();
        Ok(Group { record: record.clone(), source: Journal::Anew(Box::new(log)), still, unclean })
    }

    fn partition_of_files(&self, partition: u32) -> Result<Partition<'_>> {
        let (log, _) = self.anew(OwnerKind::Partition, partition.into())?;
        let still = log.still();
        Ok(Partition { source: Source::Anew(Box::new(log)), still, _pin: None })
    }

    /// Opens a log for reading; damage that would end it early is an error here.
    fn anew(&self, kind: OwnerKind, number: u64) -> Result<(Log, bool)> {
        let (log, recovery) = Log::open(self.terms.settings(kind, number))?;
        match recovery.damage {
            Some(damage) => Err(Error::Corrupt(damage)),
            None => Ok((log, recovery.unclean)),
        }
    }
}
