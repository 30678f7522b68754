//! Looking at a stream that somebody else owns: what is read is looked for first.
//!
//! Nobody rings in this process when the owner appends in another, so a blocked read looks again
//! every [`LOOK_EVERY`], or less often where a look takes long. A reader that has something before it does not look: it does so where it
//! comes to the end of what is known, or where what it was about to read is gone.

use std::time::Duration;

use super::ground::Ground;
use super::mill::Mill;
use crate::clock::Moment;
use crate::error::Result;
use crate::log::{Followed, Log, Mode};

/// How long a blocked read waits until it looks at what the owner did.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);
/// So many times as long as a look took it waits at least. Of thousands of partitions each is looked
/// at, a manifest may be long, and what a killed owner left of a large batch is read each time.
const REST: u32 = 4;
/// But no longer than this.
const REST_MAX: Duration = Duration::from_secs(1);

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

    /// When a blocked read has to look again whose last look began at `began`. A clock that advances
    /// itself stands for a process that waits for nothing else, so it is not moved for a look; and one
    /// that is moved by hand says nothing of how long a look takes.
    pub(super) fn next_look(&self, began: Moment) -> Moment {
        if !self.looks_on() || self.time.is_self_advancing() {
            return Moment::NEVER;
        }
        let now = self.time.now();
        let took = if self.time.is_by_hand() { Duration::ZERO } else { now.since(began) };
        now.after(rest_after(took))
    }
}

impl Mill {
    /// Sees what the owner did in one partition. Says whether it is worth reading again.
    pub(super) fn look_at(&self, log: &Log) -> Result<bool> {
        if !self.ground.looks_on() || log.follow()? == Followed::Same {
            return Ok(false);
        }
        // The owner may have come again and stage what it appends. It says so before it appends.
        self.follow_manifest()?;
        Ok(true)
    }
}

/// How long a blocked read waits after a look that took so long.
fn rest_after(took: Duration) -> Duration {
    LOOK_EVERY.max(took.saturating_mul(REST).min(REST_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_take_long_come_less_often() {
        let table = [(0, 10), (2, 10), (3, 12), (50, 200), (400, 1000), (u64::MAX, 1000)];
        for (took, rest) in table {
            let rest = Duration::from_millis(rest);
            assert_eq!(rest_after(Duration::from_millis(took)), rest, "after {took} ms");
        }
    }
}
