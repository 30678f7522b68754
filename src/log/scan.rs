//! Walking the frames of a file that nobody vouches for yet: by `read` and not by the map, so that
//! a bad disk is an error, and with no allocation that the file's own length does not justify.

use std::io;

use super::frame::{ALIGN, HEADER_BYTES, Header, frame_bytes};
use crate::storage::Region;

/// Read this much at a time.
const WINDOW_BYTES: u64 = 256 << 10;
/// Where there may be little: this much first, and then each time so many times as much.
const NEARBY_BYTES: u64 = 64;
const NEARBY_GROWTH: u64 = 4;
/// The search for evidence may hash this many times the file's length. Payloads that look like
/// frames make it hash more than once, and a hostile file must not make it hash for hours.
const HASH_BUDGET: u64 = 8;

/// A window that slides over a segment's file.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    region: &'a dyn Region,
    salt: u64,
    /// Nothing at or behind it is looked at.
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    /// How much the next window takes.
    step: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(region: &'a dyn Region, salt: u64, end: u64) -> Self {
        let end = end.min(region.len());
        Self { region, salt, end, window: Vec::new(), window_at: 0, step: WINDOW_BYTES }
    }

    /// The same for the end of a file that is being appended to, where there may be nothing: what is
    /// read ahead of its writer is taken out of the writer's cache.
    pub(super) fn nearby(region: &'a dyn Region, salt: u64) -> Self {
        Self { step: NEARBY_BYTES, ..Self::new(region, salt, u64::MAX) }
    }

    /// The bytes at `at`; `None` behind the end.
    pub(super) fn bytes(&mut self, at: u64, length: u64) -> io::Result<Option<&[u8]>> {
        let Some(stop) = at.checked_add(length).filter(|stop| *stop <= self.end) else {
            return Ok(None);
        };
        let inside = self.window_at <= at && stop <= self.window_at + self.window.len() as u64;
        if !inside {
            let wanted = length.max(self.step).min(self.end - at);
            self.step = (self.step * NEARBY_GROWTH).min(WINDOW_BYTES);
            self.window.resize(usize_from(wanted)?, 0);
            self.window_at = at;
            if let Err(error) = self.region.read(at, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let start = usize_from(at - self.window_at)?;
        Ok(Some(&self.window[start..start + usize_from(length)?]))
    }

    /// The header of a plausible frame at `at`: its kind is known and it ends inside the file.
    fn header(&mut self, at: u64) -> io::Result<Option<([u8; HEADER_BYTES], Header)>> {
        let end = self.end;
        let Some(bytes) = self.bytes(at, HEADER_BYTES as u64)? else {
            return Ok(None);
        };
        let bytes: [u8; HEADER_BYTES] = bytes.try_into().expect("as many bytes as asked for");
        let header = Header::decode(&bytes);
        Ok(header
            .filter(|header| frame_bytes(u64::from(header.body_bytes)) <= end - at)
            .map(|header| (bytes, header)))
    }

    /// The frame at `at`, if it matches its sum, and its body.
    pub(super) fn frame(&mut self, at: u64) -> io::Result<Option<(Header, &[u8])>> {
        let Some((bytes, header)) = self.header(at)? else {
            return Ok(None);
        };
        let salt = self.salt;
        let body_at = at + HEADER_BYTES as u64;
        let Some(body) = self.bytes(body_at, u64::from(header.body_bytes))? else {
            return Ok(None);
        };
        Ok(header.matches(&bytes, body, salt).then_some((header, body)))
    }

    /// The same with all of the frame's bytes: header, body and padding.
    pub(super) fn whole_frame(&mut self, at: u64) -> io::Result<Option<(Header, &[u8])>> {
        let Some((bytes, header)) = self.header(at)? else {
            return Ok(None);
        };
        let (salt, length) = (self.salt, header.frame_bytes());
        let Some(all) = self.bytes(at, length)? else { return Ok(None) };
        let body = &all[HEADER_BYTES..][..usize_from(header.body_bytes.into())?];
        Ok(header.matches(&bytes, body, salt).then_some((header, all)))
    }

    /// Whether some frame behind `at` was written when more than `offset` was known to be synced:
    /// the proof that what stood at `at` was safe on disk once. Finding out costs too much in a
    /// file made to deceive; then the answer is yes, for nothing must be cut on a guess.
    pub(super) fn synced_beyond(&mut self, at: u64, offset: u64) -> io::Result<bool> {
        let mut budget = self.end.saturating_mul(HASH_BUDGET);
        let mut at = at + ALIGN;
        while at < self.end {
            if let Some((_, header)) = self.header(at)?
                && header.floor > offset
                && header.offset >= offset
            {
                if self.frame(at)?.is_some() {
                    return Ok(true);
                }
                match budget.checked_sub(header.frame_bytes()) {
                    Some(rest) => budget = rest,
                    None => return Ok(true),
                }
            }
            at += ALIGN;
        }
        Ok(false)
    }
}

fn usize_from(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))
}
