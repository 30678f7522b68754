//! Copying a stream while it is in use.
//!
//! Entries are copied frame by frame as they are. A group is not: what its journal says at the point is replayed,
//! all leases are ended as an opening does, and the outcome is the first snapshot of a new journal. So a copy that
//! cannot be opened is never made, its groups hold nothing that somebody else settles, and the cost
//! is that of an opening, with no lock held: writing the snapshot from the desk's own ledger would stop its
//! hand-outs for as long as that takes.

use std::sync::Arc;

use super::ground::Terms;
use super::journal::{self, Origin, now_of};
use super::meter::{Meter, Tell};
use super::mill::Mill;
use super::point::{Group, Partition, Point, ROUNDS_MAX};
use super::policy::policy;
use super::site::Site;
use crate::backup::{Copied, CopiedPartition, Part};
use crate::error::{Error, Result};
use crate::latch::Latch;
use crate::log::{Log, Mode, OwnerKind};
use crate::storage::Storage;
use crate::tally::Tally;

impl Mill {
    /// Copies the stream into the place `name` of `parent`, telling how far it is.
    pub(crate) fn copy(
        &self,
        parent: &Arc<dyn Storage>,
        name: &str,
        tell: &mut Tell<'_>,
    ) -> Result<Copied> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let copied = self.copy_once(parent, name, tell);
            match copied {
                // The owner elsewhere trimmed what was still to be copied.
                Err(Error::Io { ref source, .. })
                    if self.terms.mode == Mode::Read
                        && source.kind() == std::io::ErrorKind::NotFound
                        && rounds < ROUNDS_MAX => {}
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
        let terms = self.terms_of_copy(site.storage(), point.manifest.stream);
        let mut forward = |progress: crate::backup::Progress<'_>| tell(progress);
        let mut meter = Meter::new(point.bytes(), &mut forward);
        meter.begin(Part::Manifest)?;
        // Journals first: nothing else keeps the descriptors of those that are rolled meanwhile.
        let ends: Vec<u64> = point.partitions.iter().map(|one| one.still.end).collect();
        let starts: Vec<u64> = point.partitions.iter().map(|one| one.still.start()).collect();
        let Point { manifest, groups, partitions } = point;
        let names = groups.iter().map(|group| group.record.name.clone()).collect();
        for group in groups {
            meter.begin(Part::Group(group.record.name.clone()))?;
            self.copy_group(&group, &terms, &starts, &ends).map_err(plainly(&terms))?;
            meter.step(group.still.bytes())?;
        }
        let mut copied = Vec::with_capacity(partitions.len());
        for (number, partition) in (0..).zip(partitions) {
            meter.begin(Part::Partition(number))?;
            copied.push(self.copy_partition(&partition, &*terms.storage, &mut meter)?);
        }
        // Comes last, and makes the names of the others durable, too.
        manifest.save(&*terms.storage, &terms.latch).map_err(plainly(&terms))?;
        meter.end()?;
        self.ground.check_open()?;
        site.finish()?;
        let path = parent.locate(name);
        Ok(Copied { path, bytes: meter.done_bytes, partitions: copied, groups: names })
    }

    /// What the logs of a copy go by. Its failures are not those of the stream.
    fn terms_of_copy(&self, storage: Arc<dyn Storage>, stream: u64) -> Terms {
        Terms {
            storage,
            stream,
            latch: Arc::new(Latch::default()),
            tally: Tally::default(),
            mode: Mode::Write,
            settled: Arc::default(),
            ..self.terms.clone()
        }
    }

    fn copy_partition(
        &self,
        partition: &Partition<'_>,
        to: &dyn Storage,
        meter: &mut Meter<'_>,
    ) -> Result<CopiedPartition> {
        let (log, still) = (partition.log(), &partition.still);
        let dir = &log.settings.dir;
        if still.count() > 0 {
            let failed = |doing, error| Error::io(doing, to.locate(dir), 0, error);
            to.create_dir(dir).map_err(|error| failed("make", error))?;
            for index in 0..still.count() {
                self.ground.check_open()?;
                log.copy_segment(still, index, to, &mut |bytes| meter.step(bytes))?;
            }
            to.sync_dir(dir).map_err(|error| failed("sync", error))?;
        }
        Ok(CopiedPartition { start: still.start(), end: still.end, segments: still.count() })
    }

    fn copy_group(&self, group: &Group, to: &Terms, starts: &[u64], ends: &[u64]) -> Result<()> {
        self.ground.check_open()?;
        let record = &group.record;
        let origin = Origin {
            number: record.number,
            policy: policy(record),
            starts: &record.starts,
            log_starts: starts,
            log_ends: ends,
        };
        let now = now_of(&self.ground.time);
        let log = group.journal();
        let replay = |visit: &mut dyn FnMut(_, &[u8]) -> _| log.replay_still(&group.still, visit);
        let (mut ledger, _) = journal::rebuild(log, replay, &origin, now)?;
        let mut events = Vec::new();
        ledger.part(now, starts, ends, group.unclean, &mut events);
        for event in &events {
            ledger.apply(event);
        }
        let (copy, _) = Log::open(to.settings(OwnerKind::Journal, record.number))?;
        journal::found(&copy, &ledger, now)?;
        copy.close()
    }
}

/// Tells a failed sync of a copy as what it is: the stream that is copied is not poisoned by it.
fn plainly(to: &Terms) -> impl Fn(Error) -> Error {
    let path = to.storage.locate("");
    move |error| match error {
        Error::Poisoned { cause } => {
            Error::io("copy to", path.clone(), 0, std::io::Error::other(&*cause))
        }
        other => other,
    }
}
