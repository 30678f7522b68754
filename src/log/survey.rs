//! Looking at a log as a whole: how long it is, and what of it may go.

use super::append::Log;
use super::header::FRAMES_AT;
use super::retain::{Sealed, Stored};

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

    /// Compares everything that is visible with its sums.
    #[cfg(test)]
    pub(crate) fn verify(&self) -> crate::error::Result<()> {
        let still = self.still();
        (0..still.count()).try_for_each(|index| {
            let checked = self.check(&still, index, &mut |_| Ok(()))?;
            let damage = checked.and_then(|checked| checked.damage);
            damage.map_or(Ok(()), |damage| Err(crate::error::Error::Corrupt(damage)))
        })
    }
}
