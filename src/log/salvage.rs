//! Opening a log for reading only: nothing is repaired, cut, removed or flushed, and damage that
//! refuses any other opening ends the log there instead.
//!
//! What stands behind damage in a sealed segment can still be read, by its id or from there on;
//! what stands behind it in the last one cannot, as nobody knows what was complete.

use super::append::Log;
use super::recover::{Recovery, sequences};
use super::segment::file_name;
use super::start::partition_start;
use super::tail::{End, Found, Verdict, find_end};
use crate::error::{Corruption, Error, Result};

impl Log {
    /// Opens as much of a partition as can be believed.
    pub(super) fn salvage(&self, names: &[String]) -> Result<Recovery> {
        let (found, mut damage) = self.find_believable(names)?;
        if found.is_empty() {
            return Ok(Recovery { damage, ..Recovery::default() });
        }
        let Some(from) = partition_start(&found).filter(|from| is_possible(&found, *from)) else {
            return Ok(Recovery { unclean: true, damage, ..Recovery::default() });
        };
        let name = file_name(found[from.index].head.sequence);
        let verdict = find_end(&found, from, found.len() - 1, self.settings.ignore_floor());
        let end = match verdict.map_err(|error| self.failed("read", &name, error))? {
            Verdict::Torn(end) => end,
            Verdict::Rot(end) => {
                let sequence = found[end.index].head.sequence;
                damage = corruption(self.rot(sequence, end.position, end.offset)).or(damage);
                end
            }
        };
        self.adopt(&found, end, 0)?;
        self.mark_sealed(&found[end.index])?;
        Ok(Recovery { damage, ..Recovery::default() })
    }

    /// The segments before the first that cannot be believed, and what is wrong with that.
    fn find_believable(&self, names: &[String]) -> Result<(Vec<Found>, Option<Box<Corruption>>)> {
        let mut found: Vec<Found> = Vec::new();
        for sequence in sequences(names) {
            let one = match self.find_one(sequence) {
                Err(Error::Corrupt(damage)) => return Ok((found, Some(damage))),
                other => other?,
            };
            let follows = found.last().is_none_or(|last| last.head.sequence + 1 == sequence);
            let opened = one.opening.is_some() || !one.is_synced();
            if !follows || !opened {
                let what = "a segment before it is missing, or its opening is damaged";
                return Ok((found, corruption(self.wrong(sequence, 0, what))));
            }
            found.push(one);
        }
        Ok((found, None))
    }
}

fn is_possible(found: &[Found], from: End) -> bool {
    let here = &found[from.index];
    let base = here.opening.map_or(0, |(base, _)| base);
    from.position <= here.region.len() && from.offset >= base
}

fn corruption(error: Error) -> Option<Box<Corruption>> {
    match error {
        Error::Corrupt(corruption) => Some(corruption),
        _ => None,
    }
}
