//! Looking at a stream that somebody else owns: what is read is looked for first.
//!
//! Nobody rings in this process when the owner appends in another, so a blocked read looks again
//! every [`LOOK_EVERY`]. A reader that has something before it does not look: it does so where it
//! comes to the end of what is known, or where what it was about to read is gone.

use std::time::Duration;

use super::ground::Ground;
use crate::clock::Moment;
use crate::error::Result;
use crate::log::{Followed, Log, Mode};

/// How long a blocked read waits until it looks at what the owner did.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Ground {
    /// Whether somebody else owns the stream.
    #[inline]
    pub(crate) fn looks_on(&self) -> bool {
        self.mode == Mode::Read
    }

    /// Sees what the owner did in all partitions since the last look; nothing if that is us. One that
    /// is damaged keeps no other from being looked at.
    pub(crate) fn look(&self) -> Result<()> {
        if !self.looks_on() {
            return Ok(());
        }
        let looks = self.logs.iter().map(|log| log.follow().map(drop));
        looks.fold(Ok(()), Result::and)
    }

    /// The same for one partition. Says whether it is worth reading again.
    pub(super) fn look_at(&self, log: &Log) -> Result<bool> {
        Ok(self.looks_on() && log.follow()? != Followed::Same)
    }

    /// When a blocked read has to look again. A clock that advances itself stands for a process that
    /// waits for nothing else, so it is not moved for a look.
    pub(super) fn next_look(&self) -> Moment {
        if self.looks_on() && !self.time.is_self_advancing() {
            return self.time.now().after(LOOK_EVERY);
        }
        Moment::NEVER
    }
}
