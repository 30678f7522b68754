//! The point at which a stream is copied that somebody else owns: taken by looking at its files, while the
//! owner goes on.
//!
//! # The order of one look
//! 1. The manifest, then the journals, which are replayed to their ends, then the partitions, then the
//!    manifest once more. The owner goes the other way round, so all that a journal speaks of is there.
//! 2. If the manifest changed, or a file went between being listed and being read, it is done again.
//! 3. The same if a journal speaks of entries that are not there: the owner trimmed in between, or it
//!    recovered. If nothing changed until the next look, that is how it was left, and the copy takes it as an
//!    opening does.
//! 4. What looks damaged may be a look between two steps of the owner. It is believed when the next
//!    look finds the same.
//!
//! Ledgers are kept and not the journals they came from: the owner removes a journal's segment when it
//! rolls, and may do so many times while partitions are copied.

use super::journal::{self, Origin, now_of};
use super::manifest::{GroupRecord, Manifest, StoredDurability};
use super::mill::Mill;
use super::point::{Group, Partition, Point};
use super::policy::policy;
use crate::error::{Corruption, Error, Result};
use crate::log::{Kind, Log, OwnerKind, Place};

/// So often the files of a stream that has an owner elsewhere are looked at.
pub(super) const ROUNDS_MAX: usize = 8;

/// A journal as it was seen.
struct Seen {
    log: Log,
    frames: Vec<(Kind, Vec<u8>)>,
    bytes: u64,
    unclean: bool,
}

/// One look. Two that are the same say that nobody changed anything in between.
#[derive(PartialEq, Eq)]
struct Extent {
    starts: Vec<u64>,
    ends: Vec<u64>,
    journals: Vec<u64>,
}

/// What a look came to.
enum Looked<'a> {
    At(Point<'a>),
    /// It changed meanwhile.
    Between,
    /// Journals and partitions do not belong together.
    Apart(Point<'a>, Extent),
}

/// Tells damage from what only looks like it: it is damage if it was there the time before, too.
#[derive(Default)]
pub(super) struct Doubt {
    before: Option<Box<Corruption>>,
    rounds: usize,
}

impl Doubt {
    /// Whether all is to be done once more after this error.
    pub(super) fn asks_again(&mut self, error: &Error) -> bool {
        self.rounds += 1;
        let again = match error {
            Error::Corrupt(damage) => {
                let before = self.before.replace(damage.clone());
                before.as_ref() != Some(damage)
            }
            other => may_be_the_owner(other),
        };
        again && self.rounds < ROUNDS_MAX
    }
}

/// Whether an error may come of what the owner did meanwhile.
pub(super) fn may_be_the_owner(error: &Error) -> bool {
    match error {
        Error::Corrupt(_) => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

impl Mill {
    /// The stream as its files tell it.
    pub(super) fn point_beside(&self) -> Result<Point<'_>> {
        let mut doubt = Doubt::default();
        let mut before = None;
        for round in 1..=ROUNDS_MAX {
            match self.look_for_point() {
                Ok(Looked::At(point)) => return Ok(point),
                Ok(Looked::Apart(point, extent)) => {
                    if round == ROUNDS_MAX || before.as_ref() == Some(&extent) {
                        return Ok(point);
                    }
                    before = Some(extent);
                }
                Ok(Looked::Between) => {}
                Err(error) if doubt.asks_again(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let what = "looks at a stream that its owner changes";
        Err(Error::LimitReached { what, max: ROUNDS_MAX as u64 })
    }

    fn look_for_point(&self) -> Result<Looked<'_>> {
        self.ground.check_open()?;
        let manifest = self.stored_manifest()?;
        let journals = manifest.groups.iter().map(|record| self.journal_beside(record));
        let journals = journals.collect::<Result<Vec<_>>>();
        let durable_only = manifest.durability == StoredDurability::Always;
        let partitions = (0..manifest.partitions).map(|n| self.partition_beside(n, durable_only));
        let partitions = partitions.collect::<Result<Vec<_>>>();
        // A group that was deleted meanwhile takes its files with it: that comes first.
        if self.stored_manifest()? != manifest {
            return Ok(Looked::Between);
        }
        let (journals, partitions) = (journals?, partitions?);
        let extent = Extent {
            starts: partitions.iter().map(|partition| partition.still.start()).collect(),
            ends: partitions.iter().map(|partition| partition.still.end).collect(),
            journals: journals.iter().map(|journal| journal.bytes).collect(),
        };
        let mut fits = true;
        let groups = manifest.groups.iter().zip(journals).map(|(record, journal)| {
            let (group, fit) = self.group_beside(record, journal, &extent)?;
            fits &= fit;
            Ok(group)
        });
        let groups = groups.collect::<Result<Vec<_>>>()?;
        let point = Point { manifest, groups, partitions };
        Ok(if fits { Looked::At(point) } else { Looked::Apart(point, extent) })
    }

    fn stored_manifest(&self) -> Result<Manifest> {
        let storage = &*self.ground.storage;
        Manifest::load(storage)?.ok_or_else(|| super::open::missing(storage))
    }

    fn journal_beside(&self, record: &GroupRecord) -> Result<Seen> {
        let log = self.opened_beside(OwnerKind::Journal, record.number)?;
        let mut frames = Vec::new();
        log.replay_from(&mut Place::default(), |kind, body| {
            frames.push((kind, body.to_vec()));
            Ok(())
        })?;
        let (bytes, unclean) = (log.bytes(), !log.is_closed()?);
        Ok(Seen { log, frames, bytes, unclean })
    }

    fn partition_beside(&self, number: u32, durable_only: bool) -> Result<Partition<'_>> {
        let log = self.opened_beside(OwnerKind::Partition, number.into())?;
        log.show_durable(durable_only);
        let still = log.still_beside()?;
        Ok(Partition::beside(log, still))
    }

    /// Opens a log for reading; damage that would end it early is an error here.
    fn opened_beside(&self, kind: OwnerKind, number: u64) -> Result<Log> {
        let (log, recovery) = Log::open(self.terms.settings(kind, number))?;
        recovery.damage.map_or(Ok(log), |damage| Err(Error::Corrupt(damage)))
    }

    /// The group that a journal leads to. Says whether it is one of these partitions.
    fn group_beside(
        &self,
        record: &GroupRecord,
        seen: Seen,
        extent: &Extent,
    ) -> Result<(Group, bool)> {
        let Seen { log, frames, bytes, unclean } = seen;
        let Extent { starts, ends, .. } = extent;
        let origin = Origin {
            number: record.number,
            policy: policy(record),
            starts: &record.starts,
            log_starts: starts,
            log_ends: ends,
        };
        let frames = |visit: &mut dyn FnMut(_, &[u8]) -> _| {
            frames.iter().try_for_each(|(kind, body)| visit(*kind, body))
        };
        let (ledger, _) = journal::rebuild(&log, frames, &origin, now_of(&self.ground.time))?;
        let fits = !ledger.outlives(ends) && ledger.gone(starts, ends).is_empty();
        Ok((Group::seen(record.clone(), ledger, bytes, unclean), fits))
    }
}
