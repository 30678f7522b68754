//! The segment that is appended to, as only the writer sees it.
//!
//! # Invariants
//! 1. `position` is behind the last frame, a multiple of 8.
//! 2. Room for the footer is kept free behind whatever is appended.
//! 3. Pages below `populated` were made ready; only those are stored into.

use std::sync::Arc;

use super::entry::Piece;
use super::frame::{self, Header};
use super::header::{self, FRAMES_AT, Footer, Mark, OPENING_FRAME_BYTES};
use super::segment::{Segment, file_name};
use super::settings::{Settings, Staging};
use super::subjects::Count;
use crate::error::{Error, Result};
use crate::storage::Region;

/// A mark is set about every this many bytes.
pub(super) const MARK_EVERY_BYTES: u64 = 16 << 10;
/// Pages are made ready in steps of this size, ahead of the writer.
const POPULATE_BYTES: u64 = 256 << 10;

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) region: Arc<dyn Region>,
    pub(super) position: u64,
    pub(super) populated: u64,
    pub(super) next_mark: u64,
    pub(super) marks: usize,
    pub(super) subjects: Count,
    /// Frames that the next flush writes, from `position - staged.len()` on.
    pub(super) staged: Vec<u8>,
    /// Nothing was appended since the segment was closed, so it is still cut to its end.
    pub(super) closed: bool,
}

impl Active {
    /// Gives a segment that was closed, and so cut to its end, its full length again.
    pub(super) fn regrow(&mut self, settings: &Settings) -> Result<()> {
        let capacity = self.segment.capacity;
        let footer = self.region.len().min(self.closed_end()) - self.position;
        let grown = self.region.grow(capacity).map_err(|error| {
            let path = settings.path(&file_name(self.segment.sequence));
            Error::io("allocate", settings.storage.locate(&path), capacity, error)
        })?;
        // What is left of the footer would look like a torn frame after a crash.
        let footer = usize::try_from(footer).expect("a footer was made in memory");
        grown.store(self.position, &[&vec![0; footer]]);
        self.segment.set_region(Some(Arc::clone(&grown)));
        self.segment.set_file_bytes(capacity);
        self.region = grown;
        self.populated = self.position;
        self.closed = false;
        Ok(())
    }

    pub(super) fn at_start(segment: Arc<Segment>, region: Arc<dyn Region>, position: u64) -> Self {
        Self {
            subjects: Count::new(segment.capacity),
            segment,
            region,
            position,
            populated: position,
            next_mark: 0,
            marks: 0,
            staged: Vec::new(),
            closed: false,
        }
    }

    /// What a reader of the finished segment needs, encoded. The counts of subjects are left out if
    /// they do not fit behind the frames, into pages that are ready.
    pub(super) fn footer(&self, end: u64, time_max: u64) -> Vec<u8> {
        let marks = self.segment.marks();
        // Behind a closed segment stands the same footer already.
        let ready = if self.closed { u64::MAX } else { self.populated };
        let file_end = self.region.len().min(ready);
        let room = file_end.saturating_sub(self.position + header::footer_bytes(marks.len(), 0));
        let subjects = self.subjects.within(room).cloned();
        Footer { end, time_max, marks, subjects }.encode(self.segment.salt)
    }

    #[inline]
    pub(super) fn fits(&self, bytes: u64, file_bytes: u64) -> bool {
        self.position + bytes + self.footer_room(bytes) <= file_bytes
    }

    /// Room to keep for the footer while `bytes` are still to come.
    #[inline]
    fn footer_room(&self, bytes: u64) -> u64 {
        footer_room(self.marks, bytes) + self.subjects.room_bytes()
    }

    /// Where the file ends while it is closed.
    pub(super) fn closed_end(&self) -> u64 {
        self.position + header::footer_bytes(self.marks, self.subjects.bytes())
    }

    /// Whether `bytes` of frames, and the footer, can be stored as things are.
    #[inline]
    pub(super) fn is_ready(&self, bytes: u64) -> bool {
        !self.closed && self.position + bytes + self.footer_room(bytes) <= self.populated
    }

    /// Makes the pages of the next `bytes` and of the footer ready, a step at a time.
    pub(super) fn populate(&mut self, bytes: u64, settings: &Settings) -> Result<()> {
        let file_end = self.region.len();
        if settings.staging == Staging::On {
            self.populated = file_end;
        }
        let wanted = self.position + bytes + self.footer_room(bytes);
        while self.populated < wanted && self.populated < file_end {
            let step = POPULATE_BYTES - self.populated % POPULATE_BYTES;
            self.region.populate(self.populated, step).map_err(|error| {
                let path = settings.path(&file_name(self.segment.sequence));
                Error::io("populate", settings.storage.locate(&path), step, error)
            })?;
            self.populated = (self.populated + step).min(file_end);
        }
        Ok(())
    }

    /// Sets a mark if one is due before the frame that starts at `position`.
    #[inline]
    pub(super) fn mark(&mut self, offset: u64, time_max: u64) {
        if self.position < self.next_mark {
            return;
        }
        let relative = u32::try_from(offset - self.segment.base);
        let position = u32::try_from(self.position);
        if let (Ok(offset), Ok(position)) = (relative, position) {
            self.segment.mark(Mark { offset, position, time_max });
            self.marks += 1;
        }
        self.next_mark = self.position + MARK_EVERY_BYTES;
    }

    #[inline]
    pub(super) fn store(&mut self, staging: Staging, header: &Header, piece: &Piece<'_>) {
        let bytes = header.encode(self.segment.salt, piece.body_sum);
        let padding = frame::padding(piece.body.len());
        if staging == Staging::On {
            self.staged.extend_from_slice(&bytes);
            self.staged.extend_from_slice(piece.body);
            self.staged.extend_from_slice(padding);
        } else {
            let parts = [&bytes[..], piece.body, padding];
            // Copying nothing would be a call all the same.
            let parts = if padding.is_empty() { &parts[..2] } else { &parts };
            self.region.store(self.position, parts);
        }
        self.position += header.frame_bytes();
    }
}

/// How long a segment must be to take `bytes` of frames behind its opening.
pub(super) fn needed_bytes(bytes: u64) -> u64 {
    FRAMES_AT + OPENING_FRAME_BYTES + bytes + footer_room(1, OPENING_FRAME_BYTES + bytes)
}

/// Room to keep for a footer, given how many marks there are and how much is still to come.
#[inline]
pub(super) fn footer_room(marks: usize, bytes: u64) -> u64 {
    let more = bytes / MARK_EVERY_BYTES + 2;
    header::footer_bytes(marks, 0) + more * header::MARK_BYTES as u64
}
