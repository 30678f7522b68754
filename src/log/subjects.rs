//! How many entries of a segment have which subject: counted as they are appended, written into the
//! segment's footer, and read back by who wants to know how many entries a filter picks.
//!
//! ```text
//! entries u32 | length u8 | subject in UTF-8, again and again
//! ```
//!
//! # Invariants
//! 1. There are at most [`SUBJECTS_MAX`] subjects, and their stored form is at most `room` long. With more,
//!    nothing is counted any more, and the footer says so: such a segment is walked instead.
//! 2. `bytes` is the length of the stored form.
//!
//! An entry without a subject costs nothing here. One whose subject is that of the entry before
//! costs a compare; any other, a look-up.

use std::collections::HashMap;

use super::frame::u32_at;

/// The most subjects that are counted in a segment.
pub(crate) const SUBJECTS_MAX: usize = 1_024;
/// Bytes of the stored form of a subject, beside its own.
const SUBJECT_BYTES: usize = 5;

/// A segment's subjects with their numbers of entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subjects {
    list: Vec<(Box<str>, u32)>,
    places: HashMap<Box<str>, usize>,
    /// The place of the subject counted last.
    last: usize,
    bytes: usize,
}

/// The subjects of the segment that is appended to.
#[derive(Debug)]
pub(super) struct Count {
    /// `None` if they are too many, or nobody counted from the start.
    subjects: Option<Subjects>,
    /// What their stored form may take.
    room: usize,
}

impl Count {
    /// None yet, in a segment of `capacity` bytes.
    pub(super) fn new(capacity: u64) -> Self {
        Self::going_on(Some(Subjects::default()), capacity)
    }

    /// Those of a segment that is gone on with.
    pub(super) fn going_on(subjects: Option<Subjects>, capacity: u64) -> Self {
        Self { subjects, room: usize::try_from(capacity / 16).unwrap_or(usize::MAX) }
    }

    /// Counts `entries` more of a subject.
    pub(super) fn add(&mut self, subject: &str, entries: u32) {
        let Some(subjects) = &mut self.subjects else { return };
        if !(subjects.add(subject, entries) && subjects.bytes <= self.room) {
            self.subjects = None;
        }
    }

    /// How long their stored form is.
    pub(super) fn bytes(&self) -> u64 {
        self.subjects.as_ref().map_or(0, |subjects| subjects.bytes as u64)
    }

    /// What is kept free for it, and for another subject.
    #[inline]
    pub(super) fn room_bytes(&self) -> u64 {
        match self.bytes() {
            0 => 0,
            bytes => bytes + (SUBJECT_BYTES + usize::from(u8::MAX)) as u64,
        }
    }

    /// What goes into a footer that has room for `bytes` of them.
    pub(super) fn within(&self, bytes: u64) -> Option<&Subjects> {
        self.subjects.as_ref().filter(|subjects| subjects.bytes as u64 <= bytes)
    }
}

impl PartialEq for Subjects {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Subjects {}

impl Subjects {
    /// Says whether there was room for it.
    fn add(&mut self, subject: &str, entries: u32) -> bool {
        let last = self.list.get(self.last).filter(|(known, _)| **known == *subject);
        let place = match last {
            Some(_) => Some(self.last),
            None => self.places.get(subject).copied(),
        };
        let place = match place {
            Some(place) => place,
            None if self.list.len() == SUBJECTS_MAX || subject.len() > usize::from(u8::MAX) => {
                return false;
            }
            None => {
                self.list.push((subject.into(), 0));
                self.places.insert(subject.into(), self.list.len() - 1);
                self.bytes += SUBJECT_BYTES + subject.len();
                self.list.len() - 1
            }
        };
        self.last = place;
        let count = &mut self.list[place].1;
        match count.checked_add(entries) {
            Some(sum) => *count = sum,
            None => return false,
        }
        true
    }

    /// How many subjects there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How long the stored form is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries have a subject that `wanted` picks.
    pub(super) fn sum(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let picked = self.list.iter().filter(|(subject, _)| wanted(subject));
        picked.map(|(_, entries)| u64::from(*entries)).sum()
    }

    /// Appends the stored form.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        for (subject, entries) in &self.list {
            into.extend_from_slice(&entries.to_le_bytes());
            into.push(u8::try_from(subject.len()).expect("longer ones are not counted"));
            into.extend_from_slice(subject.as_bytes());
        }
    }

    /// Reads the stored form of `count` subjects back, all of `bytes`.
    pub(super) fn decode(mut bytes: &[u8], count: usize) -> Option<Self> {
        let mut subjects = Self::default();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at_checked(SUBJECT_BYTES)?;
            let (subject, rest) = rest.split_at_checked(usize::from(head[4]))?;
            let known = subjects.len();
            let added = subjects.add(std::str::from_utf8(subject).ok()?, u32_at(head, 0));
            if !added || subjects.len() == known {
                return None;
            }
            bytes = rest;
        }
        (subjects.len() == count).then_some(subjects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Subjects {
        let mut subjects = Subjects::default();
        for (subject, entries) in [("order.paid", 3), ("a", 1), ("order.paid", 1), ("a", 1)] {
            assert!(subjects.add(subject, entries));
        }
        subjects
    }

    fn encoded(subjects: &Subjects) -> Vec<u8> {
        let mut bytes = Vec::new();
        subjects.encode(&mut bytes);
        bytes
    }

    #[test]
    fn subjects_read_back_as_they_were_counted() {
        let bytes = encoded(&some());
        assert_eq!(bytes, b"\x04\0\0\0\x0aorder.paid\x02\0\0\0\x01a");
        assert_eq!(bytes.len(), some().bytes());
        let decoded = Subjects::decode(&bytes, 2).unwrap();
        assert_eq!((decoded.sum(|_| true), decoded.sum(|subject| subject == "a")), (6, 2));
        assert_eq!(encoded(&decoded), bytes);
    }

    #[test]
    fn what_is_not_a_list_of_subjects_is_refused() {
        let bytes = encoded(&some());
        for end in 0..bytes.len() {
            assert_eq!(Subjects::decode(&bytes[..end], 2), None, "{end}");
        }
        assert_eq!(Subjects::decode(&bytes, 1), None);
        assert_eq!(Subjects::decode(&[1, 0, 0, 0, 1, 0xff], 1), None);
        // One that is there twice, and whose sum is too large.
        let twice = b"\xff\xff\xff\xff\x01a\xff\xff\xff\xff\x01a";
        assert_eq!(Subjects::decode(twice, 2), None);
        assert_eq!(Subjects::decode(twice, 1), None);
    }

    #[test]
    fn too_many_subjects_are_not_counted_at_all() {
        let mut count = Count::new(1 << 30);
        for n in 0..SUBJECTS_MAX {
            count.add(&format!("s.{n}"), 1);
        }
        assert_eq!(count.within(u64::MAX).map(Subjects::len), Some(SUBJECTS_MAX));
        assert!(count.within(count.bytes() - 1).is_none());
        count.add("one.more", 1);
        assert!(count.within(u64::MAX).is_none());
        assert_eq!((count.bytes(), count.room_bytes()), (0, 0));
        count.add("s.1", 1);
        assert!(count.within(u64::MAX).is_none());
    }

    #[test]
    fn subjects_take_a_sixteenth_of_their_segment_at_most() {
        let mut count = Count::new(4_096);
        let subject = |n: usize| format!("{n:027}");
        for n in 0..8 {
            count.add(&subject(n), 1);
        }
        assert_eq!(count.bytes(), 256);
        count.add("x", 1);
        assert!(count.within(u64::MAX).is_none());
    }
}
