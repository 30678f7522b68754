//! Trimming: removing the oldest segments of a partition.
//!
//! # Invariants
//! 1. The last segment stays, whatever is in it: its opening is what says, after a restart, where the
//!    ids go on. For the same reason nothing goes before the opening of the first segment that stays
//!    is durable.
//! 2. The start moves first, in one step, so nobody begins to read in what goes. Who has a segment
//!    mapped reads on.
//! 3. Files go one by one, oldest first, each name durably gone before the next goes. So what a power
//!    cut leaves has no gap, and a gap always means damage.
//!
//! Invariant 3 costs one directory sync for each segment, not one for each call. That is the same
//! for a trim that follows a roll, as it takes about one segment; and to tell a gap that a trim
//! made from a lost file, opening would need a durable note of how far a trim was to go, which costs
//! a sync before the first file goes, even for one.
//!
//! What could not be removed stays on a list for the next trim. If the log is opened before that, it
//! starts with these segments again: nothing says that they were to go, and who was past them is
//! past them still. So do the files that somebody copies meanwhile (see `still`), until the copy is made.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::append::Log;
use super::create;
use super::header::OwnerKind;
use super::segment::{Segment, file_name};
use super::settings::Mode;
use crate::error::{Error, Result};

/// What a trim did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Trimmed {
    /// Where the log started before.
    pub(crate) first: u64,
    /// Where it starts now: the entries between the two are gone.
    pub(crate) end: u64,
    /// How many bytes of files were given back, those of earlier trims that failed included.
    pub(crate) bytes: u64,
    /// Whether somebody may be waiting for what a flush on the way made visible.
    pub(crate) ring: bool,
}

impl Log {
    /// Removes the segments that end at or before `offset`, oldest first, but never the last one.
    /// Flushes if the first segment that stays is not durable yet.
    ///
    /// If this fails, [`start`](Self::start) tells how far it moved all the same, and somebody may
    /// have to be woken as after any flush; the next trim goes on with the files.
    pub(crate) fn trim_to(&self, offset: u64) -> Result<Trimmed> {
        assert!(self.settings.owner.kind == OwnerKind::Partition, "journals keep their newest");
        if self.settings.mode == Mode::Read {
            return Err(Error::ReadOnly);
        }
        let mut going = self.going.lock();
        drop(self.open_writer()?);
        let first = self.start();
        let mut ring = false;
        if let Some(stays) = self.first_behind(offset) {
            if self.durable_sequence() < stays {
                ring = self.flush_all()?;
            }
            going.extend(self.withdraw(stays));
        }
        let end = self.start();
        let bytes = self.remove_going(&mut going)?;
        Ok(Trimmed { first, end, bytes, ring })
    }

    /// Where the log would start after [`trim_to`](Self::trim_to) with that offset.
    pub(crate) fn trim_point(&self, offset: u64) -> u64 {
        // Asked first: who holds a list that somebody waits to change must not ask for it again.
        let start = self.start();
        let segments = self.segments.read();
        let ends = segments.iter().skip(1).map(|next| next.base);
        ends.take_while(|end| *end <= offset).last().unwrap_or(start)
    }

    /// Whether [`trim_to`](Self::trim_to) with that offset would remove a segment: maybe one without
    /// any entry, so that the start stays where it is.
    pub(crate) fn trims(&self, offset: u64) -> bool {
        self.first_behind(offset).is_some()
    }

    /// The first segment that stays if all that end at or before `offset` go; `None` if none does.
    fn first_behind(&self, offset: u64) -> Option<u64> {
        let segments = self.segments.read();
        let ends = segments.iter().skip(1).map(|next| next.base);
        let count = ends.take_while(|end| *end <= offset).count();
        (count > 0).then(|| segments[count].sequence)
    }

    /// Moves the start to the segment `stays`, and gives the ones before it.
    pub(super) fn withdraw(&self, stays: u64) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let count = segments.partition_point(|segment| segment.sequence < stays);
        let gone: Vec<Arc<Segment>> = segments.drain(..count).collect();
        drop(segments);
        for segment in &gone {
            segment.abandon();
        }
        self.mapped.lock().retain(|mapped| mapped.sequence >= stays);
        gone
    }

    /// Removes the files of withdrawn segments. Says how many bytes they took.
    pub(super) fn remove_going(&self, going: &mut VecDeque<Arc<Segment>>) -> Result<u64> {
        let mut bytes = 0;
        while let Some(segment) = going.front().filter(|_| !self.is_pinned()) {
            // Once the log is closed, the directory may be another owner's.
            drop(self.open_writer()?);
            let name = file_name(segment.sequence);
            match self.settings.storage.remove(&self.settings.path(&name)) {
                // An attempt that failed may have done it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("remove", &name, error));
                }
                _ => {}
            }
            create::sync_dir(&self.settings, &self.settings.dir)?;
            bytes += segment.file_bytes();
            going.pop_front();
        }
        Ok(bytes)
    }
}
