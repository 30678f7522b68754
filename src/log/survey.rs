//! Looking at a log as a whole: how long it is, what of it may go, and whether all of it matches its
//! sums.

use super::append::Log;
use super::frame::Kind;
use super::header::FRAMES_AT;
use super::retain::{Sealed, Stored};
use super::scan::Scan;
use super::segment::{Segment, file_name};
use crate::error::Result;

impl Log {
    /// Whether the next append needs no new file.
    pub(crate) fn is_ready(&self) -> bool {
        self.spare.lock().is_some() || self.writer().active.is_some()
    }

    /// The offset that the next entry gets, seen or not.
    pub(crate) fn end(&self) -> u64 {
        self.writer().end
    }

    /// How many segments there are.
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.read().len()
    }

    /// How many bytes the frames of all segments take, as far as readers see them.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.end() - FRAMES_AT).sum()
    }

    /// How many bytes the files of all segments take.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.file_bytes()).sum()
    }

    /// What the log keeps, as retention sees it. Nothing is read for it: each opening says how new
    /// the entries before it are.
    pub(crate) fn stored(&self) -> Stored {
        let segments = self.segments.read();
        let sealed = segments.windows(2).map(|two| Sealed {
            first: two[0].base,
            end: two[1].base,
            bytes: two[0].file_bytes(),
            newest: two[1].time_before,
        });
        Stored {
            sealed: sealed.collect(),
            last_bytes: segments.last().map_or(0, |last| last.file_bytes()),
            end: self.visible(),
        }
    }

    /// Reads everything that is visible by the file, and compares it with its sums.
    pub(crate) fn verify(&self) -> Result<()> {
        let segments = self.segments.read().clone();
        for segment in segments {
            let verified = self.verify_one(&segment);
            if verified.is_err() {
                self.look_again();
            }
            match verified {
                // It was trimmed meanwhile.
                Err(_) if segment.base < self.start() => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn verify_one(&self, segment: &Segment) -> Result<()> {
        let name = file_name(segment.sequence);
        let opened = self.settings.storage.open(&self.settings.path(&name), self.settings.access());
        let region = opened.map_err(|error| self.failed("open", &name, error))?;
        let end = segment.end();
        let mut scan = Scan::new(&*region, segment.salt, end);
        let (mut at, mut next) = (FRAMES_AT, segment.base);
        while at < end {
            let frame = scan.frame(at).map_err(|error| self.failed("read", &name, error))?;
            let follows = frame.filter(|(header, _)| {
                header.offset == next && (header.kind == Kind::Opening) == (at == FRAMES_AT)
            });
            let Some((header, offset)) = follows.and_then(|(h, _)| Some((h, h.end()?))) else {
                return Err(self.rot(segment.sequence, at, next));
            };
            at += header.frame_bytes();
            next = offset;
        }
        Ok(())
    }
}
