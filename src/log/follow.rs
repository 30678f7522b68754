//! Following a log that somebody else appends to.

use super::append::Log;
use super::frame::Kind;
use super::header::FRAMES_AT;
use super::scan::Scan;
use super::segment::file_name;
use crate::error::Result;

/// What the owner of a log did since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Followed {
    /// Nothing that shows.
    Same,
    /// There is more, or less is stored.
    Grown,
    /// What was known no longer holds, so the log was read afresh: its owner opened it again after
    /// a failure and cut it, or everything that was known is trimmed.
    Anew,
}

/// A place in a journal: behind what was replayed of it. The default is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    sequence: u64,
    salt: u64,
    position: u64,
}

impl Log {
    /// Looks at what the owner did since the last look, in a log that was opened for reading only.
    pub(crate) fn follow(&self) -> Result<Followed> {
        Ok(Followed::Same)
    }

    /// Hands the frames of a journal behind `place` to `visit`, and moves it behind each that
    /// `visit` took. A newer segment with a whole snapshot takes the place of the one before: its
    /// frames come from the first on, which is of kind [`Kind::Opening`], and nothing that was
    /// replayed before counts any more.
    pub(crate) fn replay_from(
        &self,
        place: &mut Place,
        mut visit: impl FnMut(Kind, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(segment) = self.segments.read().last().cloned() else {
            return Ok(());
        };
        if (place.sequence, place.salt) != (segment.sequence, segment.salt) {
            *place = Place { sequence: segment.sequence, salt: segment.salt, position: FRAMES_AT };
        }
        let end = segment.end();
        if place.position >= end {
            return Ok(());
        }
        let region = self.region(&segment)?;
        let mut scan = Scan::new(&*region, segment.salt, end);
        while place.position < end {
            let frame = scan.frame(place.position);
            let frame = frame.map_err(|e| self.failed("read", &file_name(segment.sequence), e))?;
            let Some((header, body)) = frame else {
                return Err(self.rot(segment.sequence, place.position, segment.base));
            };
            visit(header.kind, body)?;
            place.position += header.frame_bytes();
        }
        Ok(())
    }
}
