//! A run: frames that were copied out of a segment, one behind the other.
//!
//! A copy is taken under whatever lock the reader holds and checked afterwards, without it: bytes
//! in the map can change under a reader's feet (another process, a bad disk), bytes in the copy
//! cannot. Nothing of a run is believed before [`Run::open`] has compared every sum.

use std::ops::Range;

use super::entry::{self, LENGTHS_BYTES, Layout};
use super::frame::{HEADER_BYTES, Header, Kind};

/// Frames in `bytes`, of which the entries `first..first + count` are wanted.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) bytes: Vec<u8>,
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) salt: u64,
    /// Where the copy was taken, for a report of rot.
    pub(crate) sequence: u64,
    pub(crate) position: u64,
}

/// One entry of a checked run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) offset: u64,
    pub(crate) time: u64,
    pub(crate) payload: Range<u32>,
    pub(crate) fields: Range<u32>,
}

/// The frame that a run could not be believed from on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFrame {
    /// Where in the segment.
    pub(crate) position: u64,
    /// The first offset that is missing because of it.
    pub(crate) offset: u64,
}

impl Run {
    /// Checks the frames and gives the wanted entries to `found`. An error comes after what stands
    /// before the bad frame was given.
    #[inline]
    pub(crate) fn open(&self, mut found: impl FnMut(Slot)) -> Result<(), BadFrame> {
        let end = self.first + u64::from(self.count);
        let mut next = self.first;
        let mut at = 0;
        while next < end {
            let bad = BadFrame { position: self.position + at as u64, offset: next };
            let (header, body) = self.frame(at).ok_or(bad)?;
            let frame_end = header.end().ok_or(bad)?;
            if header.offset > next {
                return Err(bad);
            }
            if frame_end > next {
                self.entries(&header, body, next..end, &mut found).ok_or(bad)?;
            }
            next = frame_end.max(next);
            at += usize::try_from(header.frame_bytes()).map_err(|_| bad)?;
        }
        Ok(())
    }

    /// The most entries that the copied bytes can hold, whatever their headers say.
    pub(crate) fn entries_max(&self) -> usize {
        let claimed = usize::try_from(self.count).unwrap_or(usize::MAX);
        claimed.min(self.bytes.len() / LENGTHS_BYTES)
    }

    /// The frame at `at`, if all of it is here and matches its sum.
    #[inline]
    fn frame(&self, at: usize) -> Option<(Header, Range<usize>)> {
        let head: &[u8; HEADER_BYTES] = self.bytes.get(at..)?.first_chunk()?;
        let header = Header::decode(head)?;
        let start = at + HEADER_BYTES;
        let end = start.checked_add(usize::try_from(header.body_bytes).ok()?)?;
        let body = self.bytes.get(start..end)?;
        header.matches(head, body, self.salt).then_some((header, start..end))
    }

    /// Appends those entries of one frame whose offsets are in `wanted`.
    #[inline]
    fn entries(
        &self,
        header: &Header,
        body: Range<usize>,
        wanted: Range<u64>,
        found: &mut impl FnMut(Slot),
    ) -> Option<()> {
        let start = u32::try_from(body.start).ok()?;
        let stop = u32::try_from(body.end).ok()?;
        match header.kind {
            Kind::Opening | Kind::Snapshot => (header.count == 0).then_some(()),
            Kind::Plain => {
                // Looked at first: one that claims more would stand for entries it does not have.
                (header.count == 1).then_some(())?;
                found(Slot {
                    offset: header.offset,
                    time: header.time,
                    payload: start..stop,
                    fields: stop..stop,
                });
                Some(())
            }
            Kind::Entries => {
                let mut at = start;
                for offset in header.offset..header.end()? {
                    if offset >= wanted.end {
                        // A read of few entries of a long batch looks at none behind them.
                        return Some(());
                    }
                    let (Layout { payload, fields }, whole) =
                        entry::split(self.bytes.get(at as usize..body.end)?, at)?;
                    if wanted.contains(&offset) {
                        found(Slot { offset, time: header.time, payload, fields });
                    }
                    at = at.checked_add(whole)?;
                }
                (at == stop).then_some(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::frame::{body_sum, padding};

    #[test]
    fn a_count_that_the_bytes_cannot_hold_asks_for_no_memory() {
        let run = Run { bytes: vec![0; 800], count: u32::MAX, ..Run::default() };
        assert_eq!(run.entries_max(), 100);
        let run = Run { count: 3, ..run };
        assert_eq!(run.entries_max(), 3);
    }

    #[test]
    fn a_plain_frame_that_claims_more_than_its_entry_gives_none() {
        for (claimed, first) in [(2, 7), (2, 8), (u32::MAX, 7)] {
            let body = b"one entry";
            let header = Header {
                sum: 0,
                body_bytes: 9,
                offset: 7,
                floor: 0,
                time: 0,
                count: claimed,
                kind: Kind::Plain,
                more: false,
            };
            let bytes = [&header.encode(5, body_sum(body))[..], body, padding(9)].concat();
            let run = Run { bytes, first, count: 1, salt: 5, ..Run::default() };
            let refused = run.open(|slot| panic!("{slot:?} was given"));
            assert_eq!(refused, Err(BadFrame { position: 0, offset: first }));
        }
    }
}
