//! Looking at a log as a whole: how long it is, and whether all of it matches its sums.

use super::append::Log;
use super::frame::Kind;
use super::header::FRAMES_AT;
use super::scan::Scan;
use super::segment::file_name;
use crate::error::{Error, Result};
use crate::storage::Access;

impl Log {
    /// Whether the next append needs no new file.
    pub(crate) fn is_ready(&self) -> bool {
        self.spare.lock().is_some() || self.writer().active.is_some()
    }

    /// How many segments there are.
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.read().len()
    }

    /// How many bytes the frames of all segments take, as far as readers see them.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.end() - FRAMES_AT).sum()
    }

    /// Reads everything that is visible by the file, and compares it with its sums.
    pub(crate) fn verify(&self) -> Result<()> {
        let segments = self.segments.read().clone();
        for segment in segments {
            let path = self.settings.path(&file_name(segment.sequence));
            let storage = &self.settings.storage;
            let failed = |doing, error| Error::io(doing, storage.locate(&path), 0, error);
            let region = storage.open(&path, Access::Read).map_err(|e| failed("open", e))?;
            let end = segment.end();
            let mut scan = Scan::new(&*region, segment.salt, end);
            let (mut at, mut next) = (FRAMES_AT, segment.base);
            while at < end {
                let frame = scan.frame(at).map_err(|error| failed("read", error))?;
                let follows = frame.filter(|(header, _)| {
                    header.offset == next && (header.kind == Kind::Opening) == (at == FRAMES_AT)
                });
                let Some((header, offset)) = follows.and_then(|(h, _)| Some((h, h.end()?))) else {
                    return Err(self.rot(segment.sequence, at, next));
                };
                at += header.frame_bytes();
                next = offset;
            }
        }
        Ok(())
    }
}
