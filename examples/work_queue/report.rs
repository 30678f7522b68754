//! The table at the end, computed from the independent record.

use std::fmt;
use std::time::Duration;

use millstream::{Group, Stream};

use crate::input::Lines;
use crate::record::{APPENDED, PROCESSED, count};
use crate::{Failure, Places};

/// What came of it all.
pub(crate) struct Report {
    lines: usize,
    appended: usize,
    appended_twice: usize,
    processed: usize,
    processed_again: usize,
    redelivered: u64,
    lost: usize,
    never_processed: usize,
    pending: u64,
    elapsed: Duration,
    reopening: Duration,
}

impl Report {
    /// Reads the record, and asks the group what it has left.
    pub(crate) fn new(
        lines: &Lines,
        places: &Places,
        (stream, group): &(Stream, Group),
        elapsed: Duration,
        reopening: Duration,
    ) -> Result<Self, Failure> {
        let appended = count(&places.record, APPENDED, lines.len())?;
        let processed = count(&places.record, PROCESSED, lines.len())?;
        let info = group.info()?;
        stream.verify()?;
        let told = appended.iter().filter(|times| **times > 0).count();
        let done = processed.iter().filter(|times| **times > 0).count();
        let all: u64 = processed.iter().map(|times| u64::from(*times)).sum();
        let lost = appended.iter().zip(&processed).filter(|(told, done)| **told > 0 && **done == 0);
        Ok(Self {
            lines: lines.len(),
            appended: told,
            appended_twice: usize::try_from(stream.info()?.entries())?.saturating_sub(told),
            processed: done,
            processed_again: usize::try_from(all)? - done,
            redelivered: info.redelivered,
            lost: lost.count(),
            never_processed: lines.len() - done,
            pending: info.lag,
            elapsed,
            reopening,
        })
    }

    /// Whether everything that was promised held.
    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.never_processed == 0 && self.pending == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.processed as u128 * 1000 / self.elapsed.as_millis().max(1);
        let rows = [
            ("lines of the input", self.lines.to_string()),
            ("appended, as the producers were told", self.appended.to_string()),
            ("appended twice: killed before it was told", self.appended_twice.to_string()),
            ("processed, byte for byte", self.processed.to_string()),
            ("processed again: killed before the ack", self.processed_again.to_string()),
            ("redelivered: after a nack or the kill", self.redelivered.to_string()),
            ("lost", self.lost.to_string()),
            ("pending at the end", self.pending.to_string()),
            ("reopening after the kill", format!("{:.1} ms", self.reopening.as_secs_f64() * 1e3)),
            ("entries per second, the kill included", per_second.to_string()),
        ];
        rows.iter().try_for_each(|(what, value)| writeln!(f, "  {what:<44}{value:>12}"))
    }
}
