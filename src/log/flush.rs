//! What is durable: flushing, one flush for all who wait, and closing.
//!
//! One caller leads a flush while the others wait for its outcome. The leader takes a picture of
//! the writer (what is staged, what is sealed and unsynced, where the end is), lets the writer go
//! on, and flushes oldest first, so that what is durable is always a prefix of the log.
//!
//! # Invariants
//! 1. `durable` only grows, and only after every byte below it was synced without an error.
//! 2. A floor slot is written only for what is durable already; the next flush carries it.
//! 3. A failed sync trips the stream's latch; nobody tries again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::append::Log;
use super::capacity::bounded;
use super::create;
use super::header::Floor;
use super::segment::{Segment, draft_name, file_name};
use super::settings::{Mode, Staging};
use super::writer::Unsynced;
use crate::error::{Error, Result};
use crate::observe::{self, Signal, Stopwatch};
use crate::storage::Region;

/// Who leads.
#[derive(Debug, Default)]
pub(crate) struct FlushState {
    running: bool,
}

/// What one flush has to do.
struct Plan {
    sealed: Vec<Unsynced>,
    active: Option<ActivePart>,
    end: u64,
}

struct ActivePart {
    segment: Arc<Segment>,
    region: Arc<dyn Region>,
    staged: Vec<u8>,
    staged_at: u64,
    position: u64,
}

impl Log {
    /// The offset below which everything is synced.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Makes everything below `target` durable. Says whether somebody may be waiting for what
    /// became visible by that.
    pub(crate) fn flush_to(&self, target: u64) -> Result<bool> {
        self.flush_until(|log| log.durable() >= target)
    }

    /// Makes everything that was written durable, a snapshot without a record behind it too.
    pub(crate) fn flush_all(&self) -> Result<bool> {
        self.settings.latch.check()?;
        let (end, sequence) = {
            let writer = self.writer();
            (writer.end, writer.next_sequence - 1)
        };
        self.flush_until(|log| log.durable() >= end && log.durable_sequence() >= sequence)
    }

    /// The newest segment that is durable at least up to its snapshot's end.
    pub(super) fn durable_sequence(&self) -> u64 {
        self.durable_sequence.load(Ordering::Acquire)
    }

    fn flush_until(&self, done: impl Fn(&Self) -> bool) -> Result<bool> {
        let mut state = self.flush.lock();
        loop {
            if done(self) {
                return Ok(false);
            }
            if !state.running {
                break;
            }
            self.flushed.wait(&mut state);
        }
        self.settings.latch.check()?;
        state.running = true;
        drop(state);
        let watch = Stopwatch::start();
        let outcome = self.lead();
        if outcome.is_ok() {
            let synced = || Signal::Synced { which: self.settings.which(), took: watch.read() };
            observe::note(&self.settings.source, synced);
        }
        self.flush.lock().running = false;
        self.flushed.notify_all();
        outcome
    }

    fn lead(&self) -> Result<bool> {
        let plan = self.plan();
        for sealed in &plan.sealed {
            self.write_staged(&sealed.segment, &*sealed.region, &sealed.staged, sealed.staged_at)?;
            self.sync(&sealed.segment, &*sealed.region)?;
        }
        if let Some(active) = &plan.active {
            self.write_staged(&active.segment, &*active.region, &active.staged, active.staged_at)?;
            self.sync(&active.segment, &*active.region)?;
            self.write_slot(active, plan.end)?;
        }
        Ok(self.reached(&plan))
    }

    /// Takes the picture that the flush works from.
    fn plan(&self) -> Plan {
        let mut writer = self.writer();
        let end = writer.end;
        let sealed = writer.unsynced.clone();
        let active = writer.active.as_mut().map(|active| {
            let staged = std::mem::take(&mut active.staged);
            ActivePart {
                segment: Arc::clone(&active.segment),
                region: Arc::clone(&active.region),
                staged_at: active.position - staged.len() as u64,
                staged,
                position: active.position,
            }
        });
        Plan { sealed, active, end }
    }

    fn write_staged(
        &self,
        segment: &Segment,
        region: &dyn Region,
        staged: &[u8],
        at: u64,
    ) -> Result<()> {
        if staged.is_empty() {
            return Ok(());
        }
        region.write(at, staged).map_err(|error| {
            // The frames are gone from memory, so this is as final as a failed sync.
            let path = self.settings.path(&file_name(segment.sequence));
            let place = self.settings.storage.locate(&path);
            self.settings.latch.trip(&Error::io("write", place, staged.len() as u64, error))
        })
    }

    fn sync(&self, segment: &Segment, region: &dyn Region) -> Result<()> {
        create::sync(&self.settings, region, &self.settings.path(&file_name(segment.sequence)))
    }

    /// Notes in the header what is durable now. It survives the machine with the next flush.
    fn write_slot(&self, active: &ActivePart, end: u64) -> Result<()> {
        let position =
            u32::try_from(active.position).expect("no segment is longer than `CAPACITY_MAX`");
        let Some((at, slot)) = active.segment.next_slot(Floor { offset: end, position }) else {
            return Ok(());
        };
        if self.settings.staging == Staging::On {
            return self.write_staged(&active.segment, &*active.region, &slot, at);
        }
        active.region.store(at, &[&slot]);
        Ok(())
    }

    /// Publishes what the flush reached.
    fn reached(&self, plan: &Plan) -> bool {
        let mut writer = self.writer();
        writer.unsynced.retain(|waiting| {
            !plan.sealed.iter().any(|done| Arc::ptr_eq(&done.segment, &waiting.segment))
        });
        self.durable.store(plan.end, Ordering::Release);
        let sealed = plan.sealed.last().map(|sealed| &sealed.segment);
        if let Some(newest) = plan.active.as_ref().map(|active| &active.segment).or(sealed) {
            self.durable_sequence.store(newest.sequence, Ordering::Release);
        }
        for sealed in &plan.sealed {
            // Gives up the descriptor; a reader maps the file again.
            sealed.segment.publish(sealed.end);
            sealed.segment.set_region(None);
        }
        if self.settings.staging == Staging::Off {
            return false;
        }
        if let Some(active) = &plan.active {
            active.segment.publish(active.position);
        }
        self.visible.store(plan.end, Ordering::Release);
        !self.settings.waiting.is_zero()
    }

    /// Flushes, writes the final floor and the footer, and gives back the unused tail. A file that
    /// ends with the footer at its floor has nothing behind it, so opening it again needs no look
    /// at its tail, and no flag says that it is clean.
    pub(crate) fn close(&self) -> Result<()> {
        if self.settings.mode == Mode::Read {
            return Ok(());
        }
        self.writer().closed = true;
        // A trim that has begun ends first; it removes nothing once it sees that.
        drop(self.going.lock());
        self.flush_all()?;
        self.settings.latch.check()?;
        self.drop_spare();
        let mut writer = self.writer();
        let (end, time_max) = (writer.end, writer.time_max);
        let Some(active) = writer.active.as_mut().filter(|active| !active.closed) else {
            return Ok(());
        };
        active.closed = true;
        let position = active.position;
        let footer = active.footer(end, time_max);
        let file_end = position + footer.len() as u64;
        let region = Arc::clone(&active.region);
        if region.len() < file_end {
            return Ok(());
        }
        let part = ActivePart {
            segment: Arc::clone(&active.segment),
            region,
            staged: footer,
            staged_at: position,
            position,
        };
        self.write_slot(&part, end)?;
        self.write_staged(&part.segment, &*part.region, &part.staged, position)?;
        // Where a mapped file cannot be cut, the next opening recovers instead.
        if part.region.shrink(file_end).is_ok() {
            part.segment.set_file_bytes(file_end);
        }
        self.sync(&part.segment, &*part.region)
    }

    /// Makes the next segment ahead of its use, at least `bytes_min` long, so that rolling needs
    /// no flush and works on a full disk. A closed log needs none: the directory may be another
    /// owner's by now.
    pub(crate) fn prepare_spare(&self, bytes_min: u64, time: u64) -> Result<()> {
        self.settings.latch.check()?;
        let bytes_min = bounded(bytes_min);
        let mut spare = self.spare.lock();
        if spare.as_ref().is_some_and(|spare| spare.head.capacity >= bytes_min) {
            return Ok(());
        }
        // Nobody rolls while the spare is locked, so the writer's plans for the next segment hold.
        // Closing locks it too, after it has said that the log is closed.
        let writer = self.writer();
        let (plans, closed) = (writer.plans(), writer.closed);
        drop(writer);
        if closed {
            return Ok(());
        }
        *spare = Some(self.make_segment(&plans, bytes_min, time)?);
        Ok(())
    }

    /// Removes the spare, if there is one; it is only space.
    pub(crate) fn drop_spare(&self) {
        if let Some(spare) = self.spare.lock().take() {
            let _ = self.remove_file(&file_name(spare.head.sequence));
        }
    }

    /// Removes the segments before the newest one, once that is durable: a journal begins each
    /// segment with all it needs. Names may come back after a power cut, in any order; opening
    /// expects that. A closed log is left as it is.
    pub(crate) fn keep_newest(&self) -> Result<()> {
        let _not_closing = self.spare.lock();
        if self.writer().closed {
            return Ok(());
        }
        let older: Vec<Arc<Segment>> = {
            let mut segments = self.segments.write();
            let Some(newest) = segments.last() else { return Ok(()) };
            if self.durable_sequence() < newest.sequence {
                return Ok(());
            }
            let last = segments.len() - 1;
            segments.drain(..last).collect()
        };
        older.iter().try_for_each(|segment| self.remove_file(&file_name(segment.sequence)))
    }

    fn remove_file(&self, name: &str) -> Result<()> {
        let path = self.settings.path(name);
        let storage = &self.settings.storage;
        storage.remove(&path).map_err(|error| Error::io("remove", storage.locate(&path), 0, error))
    }

    /// Removes what an interrupted creation left behind.
    pub(super) fn remove_drafts(&self, names: &[String]) -> Result<()> {
        let drafts = names.iter().filter(|name| {
            name.strip_suffix(".new")
                .and_then(|digits| digits.parse().ok())
                .is_some_and(|sequence| draft_name(sequence) == **name)
        });
        for name in drafts {
            self.remove_file(name)?;
        }
        Ok(())
    }
}
