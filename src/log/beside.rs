//! A still of a log that somebody else owns and goes on writing.
//!
//! # Invariants
//! 1. It ends where the log shows its end: behind whole batches, and under `Always` at or below the
//!    greatest floor. What lies between the two in the file is not in it.
//! 2. It never ends before its first segment begins: offsets that were given are not given again
//!    in a copy, even where nothing in that segment is known to be durable yet.
//!
//! Nothing keeps the owner from removing files. Whoever reads them asks [`Log::is_trimmed`] what
//! a failure was.

use std::sync::Arc;

use super::append::Log;
use super::frame::Kind;
use super::header::FRAMES_AT;
use super::index::footer;
use super::recover::sequences;
use super::scan::Scan;
use super::still::{Cut, Still};
use super::tail::next_offset;
use crate::error::Result;

impl Log {
    /// The log as it was seen by the last look.
    pub(crate) fn still_beside(&self) -> Result<Still> {
        let mut still = self.still();
        let shown = still.end;
        while still.cuts.len() > 1 && still.cuts.last().is_some_and(|cut| cut.segment.base >= shown)
        {
            still.cuts.pop();
        }
        if let Some(last) = still.cuts.last_mut() {
            last.held = last.segment.region();
            (last.end, still.end) = self.shown_of(last, shown)?;
        }
        Ok(still)
    }

    /// Where the last whole batch of a segment below `shown` ends, and the offset there.
    fn shown_of(&self, cut: &Cut, shown: u64) -> Result<(u64, u64)> {
        let sequence = cut.segment.sequence;
        let region = self.open_cut(cut)?;
        let mut scan = Scan::new(&*region, cut.segment.salt, cut.end);
        let (mut at, mut offset) = (FRAMES_AT, cut.segment.base);
        let mut whole = (at, offset);
        while at < cut.end {
            let frame = scan.frame(at).map_err(|error| self.unreadable(sequence, error))?;
            let follows = frame.and_then(|(header, _)| {
                let opens = (header.kind == Kind::Opening) == (at == FRAMES_AT);
                next_offset(&header, offset).filter(|_| opens).map(|next| (header, next))
            });
            let Some((header, next)) = follows else {
                return Err(self.rot(sequence, at, offset));
            };
            if next > shown && header.count > 0 {
                break;
            }
            (at, offset) = (at + header.frame_bytes(), next);
            // A sealed segment ends between batches, whatever the last flag says.
            if !header.more || at == cut.end {
                whole = (at, offset);
            }
        }
        Ok(whole)
    }

    /// Whether the file of a still's segment went because it was trimmed: no older one is left.
    pub(crate) fn is_trimmed(&self, still: &Still, index: usize) -> Result<bool> {
        let sequence = still.cuts[index].segment.sequence;
        Ok(sequences(&self.names()?).first().is_none_or(|oldest| *oldest > sequence))
    }

    /// Whether the last segment ends as closing leaves it. An owner at work leaves none like that,
    /// and one that died neither.
    pub(crate) fn is_closed(&self) -> Result<bool> {
        let Some(last) = self.segments.read().last().map(Arc::clone) else { return Ok(true) };
        let region = self.region(&last)?;
        let found = footer(&*region, last.end(), last.salt);
        let found = found.map_err(|error| self.unreadable(last.sequence, error))?;
        Ok(found.is_some_and(|footer| footer.end == self.visible()))
    }
}
