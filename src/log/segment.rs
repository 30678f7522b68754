//! One segment: a file of frames, from its first offset on.
//!
//! # Invariants
//! 1. `end` only grows, never passes what is stored, and never passes the file's length; readers
//!    touch nothing at or behind it.
//! 2. The marks are in order, and the first is at the first frame behind the opening.
//! 3. A sealed segment never changes; its region may be given up and mapped again at will.
//! 4. A segment that was trimmed is never mapped again. Who has its region already reads on.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::header::{Floor, Mark};
use crate::storage::Region;

/// A segment as readers see it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    /// The offset of its first entry.
    pub(crate) base: u64,
    pub(crate) salt: u64,
    /// The length it was made for.
    pub(crate) capacity: u64,
    /// The greatest time of any entry before it.
    pub(crate) time_before: u64,
    end: AtomicU64,
    /// How long its file is; nothing but making, sealing and going on after a close changes that.
    file_bytes: AtomicU64,
    map: RwLock<Map>,
    marks: RwLock<Option<Vec<Mark>>>,
    /// The newer floor slot, and what it says.
    noted: Mutex<(usize, Floor)>,
}

/// A segment's file, as readers have it.
#[derive(Debug)]
enum Map {
    /// Not mapped, or not any more.
    Absent,
    Here(Arc<dyn Region>),
    /// The segment was trimmed.
    Gone,
}

impl Segment {
    pub(crate) fn new(origin: &Origin, end: u64, region: Option<Arc<dyn Region>>) -> Self {
        Self {
            sequence: origin.sequence,
            base: origin.base,
            salt: origin.salt,
            capacity: origin.capacity,
            time_before: origin.time_before,
            end: AtomicU64::new(end),
            file_bytes: AtomicU64::new(origin.file_bytes),
            map: RwLock::new(region.map_or(Map::Absent, Map::Here)),
            marks: RwLock::new(None),
            noted: Mutex::new((origin.slot, origin.floor)),
        }
    }

    /// Up to where readers may read.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Lets readers see everything below `end`.
    pub(crate) fn publish(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// How many bytes its file takes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Notes that the file is `bytes` long now.
    pub(crate) fn set_file_bytes(&self, bytes: u64) {
        self.file_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The mapped file, unless it was given up.
    #[inline]
    pub(crate) fn region(&self) -> Option<Arc<dyn Region>> {
        match &*self.map.read() {
            Map::Here(region) => Some(Arc::clone(region)),
            Map::Absent | Map::Gone => None,
        }
    }

    /// Uses `region` from now on, or gives the map up; neither if the segment was trimmed, which
    /// it says.
    pub(crate) fn set_region(&self, region: Option<Arc<dyn Region>>) -> bool {
        let mut map = self.map.write();
        let stays = !matches!(*map, Map::Gone);
        if stays {
            *map = region.map_or(Map::Absent, Map::Here);
        }
        stays
    }

    /// Lets nobody map the segment any more, and drops what is known of it.
    pub(crate) fn abandon(&self) {
        let before = mem::replace(&mut *self.map.write(), Map::Gone);
        self.set_marks(None);
        // Unmapping takes a while, and needs no lock.
        drop(before);
    }

    /// Whether the marks are known.
    pub(crate) fn is_marked(&self) -> bool {
        self.marks.read().is_some()
    }

    /// Replaces the marks, or forgets them.
    pub(crate) fn set_marks(&self, marks: Option<Vec<Mark>>) {
        *self.marks.write() = marks;
    }

    /// Adds a mark behind the others.
    pub(crate) fn mark(&self, mark: Mark) {
        self.marks.write().get_or_insert_default().push(mark);
    }

    /// The marks, for a footer.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.marks.read().clone().unwrap_or_default()
    }

    /// The last mark for which `before` holds.
    pub(crate) fn last_mark(&self, before: impl Fn(&Mark) -> bool) -> Option<Mark> {
        let marks = self.marks.read();
        let marks = marks.as_ref()?;
        let after = marks.partition_point(before);
        after.checked_sub(1).map(|last| marks[last])
    }

    /// The bytes of the floor slot to write next, and where they go: the older of the two. `None`
    /// if the newer one says the same already: to write both between two syncs could tear both.
    pub(crate) fn next_slot(&self, floor: Floor) -> Option<(u64, [u8; 16])> {
        let mut noted = self.noted.lock();
        let (which, before) = *noted;
        if before == floor {
            return None;
        }
        *noted = (which + 1, floor);
        Some(floor.slot(self.salt, which + 1))
    }
}

/// What a segment is made of before anything is read from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) sequence: u64,
    pub(crate) base: u64,
    pub(crate) salt: u64,
    pub(crate) capacity: u64,
    /// How long its file is.
    pub(crate) file_bytes: u64,
    pub(crate) time_before: u64,
    /// Which floor slot is the newer one.
    pub(crate) slot: usize,
    /// What it says.
    pub(crate) floor: Floor,
}

/// A segment's file name.
pub(crate) fn file_name(sequence: u64) -> String {
    format!("{sequence:010}.seg")
}

/// The name of a segment's file while it is being made.
pub(crate) fn draft_name(sequence: u64) -> String {
    format!("{sequence:010}.new")
}

/// Reads a file name back: the sequence, if it is a segment's.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let sequence = digits.parse().ok()?;
    (file_name(sequence) == name).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_read_back_and_others_do_not() {
        assert_eq!(parse_name(&file_name(17)), Some(17));
        assert_eq!(parse_name(&file_name(u64::MAX)), Some(u64::MAX));
        for name in ["", ".seg", "17.seg", "0000000017.new", "+000000017.seg", "0000000017.seg "] {
            assert_eq!(parse_name(name), None, "{name:?}");
        }
    }
}
