//! The bytes of a segment that are not entries: its header, its floor slots, its opening, its
//! footer.
//!
//! ```text
//! 0            128        128+64                          end              file's end
//! | header     | opening  | [snapshot frames] | frames ... | footer        |
//!
//! header   0 "MILLSEG\0" | 8 version u32 | 12 kind u32 | 16 stream u64 | 24 number u64
//!         32 sequence u64 | 40 salt u64 | 48 capacity u64 | 56 created u64 | 64 sum u32 | 68 zeros
//!         96 floor slot A | 112 floor slot B
//! slot     0 offset u64 | 8 position u32 | 12 sum u32
//! opening  a frame of kind 1, offset = the segment's first offset, body:
//!          0 end position of the segment before u64 | 8 its salt u64 | 16 greatest time so far u64
//! footer   0 magic u32 | 4 sum u32 | 8 end offset u64 | 16 greatest time u64 | 24 marks u64
//!         32 subjects u32 | 36 their bytes u32
//!         40 marks: offset from the segment's first u32 | position u32 | greatest time before u64
//!         then the subjects: see `subjects`; if they were not counted, u32::MAX of them in 0 bytes
//! ```
//!
//! The header is durable before the file gets its name, so a bad one is rot and never a torn
//! creation. A slot is written after each flush, the older one first, and each has its own sum: a
//! torn slot leaves the other. Everything below a slot's `offset` (all of it below `position` in
//! this file) was synced when the slot was written.

use super::frame::{self, salted, u32_at, u64_at};
use super::subjects::Subjects;

/// Where the first frame stands.
pub(crate) const FRAMES_AT: u64 = 128;
/// The format that this version writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;
/// Bytes of an opening's body.
pub(crate) const OPENING_BYTES: usize = 24;
/// Bytes of a footer before its marks.
pub(crate) const FOOTER_BYTES: usize = 40;
/// Bytes of one mark.
pub(crate) const MARK_BYTES: usize = 16;

const MAGIC: [u8; 8] = *b"MILLSEG\0";
const FOOTER_MAGIC: u32 = 0x4B52_414D;
/// How many subjects there are if nobody counted them.
const NOT_COUNTED: u32 = u32::MAX;
const SUMMED_BYTES: usize = 64;
const SLOTS_AT: [usize; 2] = [96, 112];
const SLOT_BYTES: usize = 16;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 128;
const _: () = assert!(SLOTS_AT[1] + SLOT_BYTES == HEADER_BYTES && HEADER_BYTES as u64 == FRAMES_AT);

/// Whose log a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) kind: OwnerKind,
    /// The stream's random identity.
    pub(crate) stream: u64,
    /// The partition, or the group's number.
    pub(crate) number: u64,
}

/// What kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerKind {
    Partition,
    Journal,
}

impl OwnerKind {
    const fn code(self) -> u32 {
        match self {
            Self::Partition => 1,
            Self::Journal => 2,
        }
    }
}

/// A segment's header, but for its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) owner: Owner,
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
    /// The length that the file has, or will have once it is appended to.
    pub(crate) capacity: u64,
    pub(crate) created: u64,
}

/// Up to where a segment is known to be synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Floor {
    pub(crate) offset: u64,
    pub(crate) position: u32,
}

/// Why a header is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    NotASegment,
    Newer(u32),
    WrongSum,
    WrongOwner,
}

impl HeadError {
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::NotASegment => "it does not start as a segment does",
            Self::Newer(_) => "the segment's format is newer",
            Self::WrongSum => "the segment's header does not match its checksum",
            Self::WrongOwner => "the segment belongs to another log",
        }
    }
}

impl Head {
    /// The header, with both slots at `floor`.
    pub(crate) fn encode(&self, floor: Floor) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.owner.kind.code().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.owner.stream.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.owner.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.created.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..SUMMED_BYTES]);
        bytes[64..68].copy_from_slice(&sum.to_le_bytes());
        for at in SLOTS_AT {
            bytes[at..at + SLOT_BYTES].copy_from_slice(&floor.encode(self.salt));
        }
        bytes
    }

    /// Reads a header that should belong to `owner`.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], owner: &Owner) -> Result<Self, HeadError> {
        if bytes[..8] != MAGIC {
            return Err(HeadError::NotASegment);
        }
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(HeadError::Newer(version));
        }
        if crc32fast::hash(&bytes[..SUMMED_BYTES]) != u32_at(bytes, 64) {
            return Err(HeadError::WrongSum);
        }
        let head = Self {
            owner: *owner,
            sequence: u64_at(bytes, 32),
            salt: u64_at(bytes, 40),
            capacity: u64_at(bytes, 48),
            created: u64_at(bytes, 56),
        };
        let same = u32_at(bytes, 12) == owner.kind.code()
            && u64_at(bytes, 16) == owner.stream
            && u64_at(bytes, 24) == owner.number;
        if same { Ok(head) } else { Err(HeadError::WrongOwner) }
    }
}

impl Floor {
    /// The slot's bytes, and where slot `which` stands.
    pub(crate) fn slot(self, salt: u64, which: usize) -> (u64, [u8; SLOT_BYTES]) {
        (SLOTS_AT[which % 2] as u64, self.encode(salt))
    }

    fn encode(self, salt: u64) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.position.to_le_bytes());
        let sum = salted(salt, &bytes[..12]);
        bytes[12..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The greater of the two valid slots; `None` if neither is valid.
    pub(crate) fn decode(header: &[u8; HEADER_BYTES], salt: u64) -> Option<(Self, usize)> {
        let slot = |which: usize| {
            let bytes = &header[SLOTS_AT[which]..][..SLOT_BYTES];
            let floor = Self { offset: u64_at(bytes, 0), position: u32_at(bytes, 8) };
            (salted(salt, &bytes[..12]) == u32_at(bytes, 12)).then_some((floor, which))
        };
        slot(0).max(slot(1))
    }
}

/// What a segment's first frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Where the frames of the segment before end; 0 if there was none.
    pub(crate) previous_end: u64,
    /// That segment's salt.
    pub(crate) previous_salt: u64,
    /// The greatest time of any entry before this segment.
    pub(crate) time_max: u64,
}

impl Opening {
    pub(crate) fn encode(&self) -> [u8; OPENING_BYTES] {
        let mut bytes = [0; OPENING_BYTES];
        bytes[..8].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.previous_salt.to_le_bytes());
        bytes[16..].copy_from_slice(&self.time_max.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let body: &[u8; OPENING_BYTES] = body.try_into().ok()?;
        Some(Self {
            previous_end: u64_at(body, 0),
            previous_salt: u64_at(body, 8),
            time_max: u64_at(body, 16),
        })
    }
}

/// One mark of the sparse index: a frame starts at `position`, whose first entry is `offset`
/// behind the segment's first, and no entry before it in the log is newer than `time_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) offset: u32,
    pub(crate) position: u32,
    pub(crate) time_max: u64,
}

/// The sealed segment's summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) end: u64,
    pub(crate) time_max: u64,
    pub(crate) marks: Vec<Mark>,
    /// `None` if they were not counted.
    pub(crate) subjects: Option<Subjects>,
}

/// How long a footer with `marks` marks and so many bytes of subjects is.
pub(crate) const fn footer_bytes(marks: usize, subject_bytes: u64) -> u64 {
    FOOTER_BYTES as u64 + (marks as u64) * MARK_BYTES as u64 + subject_bytes
}

/// How long the footer is whose first bytes these are; `None` if it could be nowhere.
pub(crate) fn footer_length(head: &[u8; FOOTER_BYTES]) -> Option<u64> {
    let marks = u64_at(head, 24).checked_mul(MARK_BYTES as u64)?;
    marks.checked_add(FOOTER_BYTES as u64 + u64::from(u32_at(head, 36)))
}

impl Footer {
    /// How long its stored form is.
    pub(crate) fn bytes(&self) -> u64 {
        let subjects = self.subjects.as_ref().map_or(0, Subjects::bytes);
        footer_bytes(self.marks.len(), subjects as u64)
    }

    pub(crate) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut bytes = vec![0; FOOTER_BYTES];
        let (count, length) = match &self.subjects {
            None => (NOT_COUNTED, 0),
            Some(subjects) => (small(subjects.len()), small(subjects.bytes())),
        };
        bytes[32..36].copy_from_slice(&count.to_le_bytes());
        bytes[36..40].copy_from_slice(&length.to_le_bytes());
        bytes[..4].copy_from_slice(&FOOTER_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.end.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.time_max.to_le_bytes());
        bytes[24..32].copy_from_slice(&(self.marks.len() as u64).to_le_bytes());
        for mark in &self.marks {
            bytes.extend_from_slice(&mark.offset.to_le_bytes());
            bytes.extend_from_slice(&mark.position.to_le_bytes());
            bytes.extend_from_slice(&mark.time_max.to_le_bytes());
        }
        if let Some(subjects) = &self.subjects {
            subjects.encode(&mut bytes);
        }
        let sum = salted(salt, &bytes[8..]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the footer at the start of `bytes`; `None` unless it is whole and unharmed.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let head = bytes.first_chunk().filter(|head| u32_at(*head, 0) == FOOTER_MAGIC)?;
        let bytes = bytes.get(..usize::try_from(footer_length(head)?).ok()?)?;
        if salted(salt, &bytes[8..]) != u32_at(bytes, 4) {
            return None;
        }
        let (count, length) = (u32_at(bytes, 32), usize::try_from(u32_at(bytes, 36)).ok()?);
        let (marks, subjects) = bytes[FOOTER_BYTES..].split_at(bytes.len() - FOOTER_BYTES - length);
        let subjects = match count {
            NOT_COUNTED if length == 0 => None,
            count => Some(Subjects::decode(subjects, usize::try_from(count).ok()?)?),
        };
        let marks = marks.chunks_exact(MARK_BYTES).map(|mark| Mark {
            offset: u32_at(mark, 0),
            position: u32_at(mark, 4),
            time_max: u64_at(mark, 8),
        });
        let (end, time_max) = (u64_at(bytes, 8), u64_at(bytes, 16));
        Some(Self { end, time_max, marks: marks.collect(), subjects })
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).expect("subjects and their bytes are bounded")
}

/// The room an opening takes.
pub(crate) const OPENING_FRAME_BYTES: u64 = frame::frame_bytes(OPENING_BYTES as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::subjects::Count;

    const OWNER: Owner = Owner { kind: OwnerKind::Partition, stream: 9, number: 3 };

    fn head() -> Head {
        Head { owner: OWNER, sequence: 4, salt: 77, capacity: 1 << 20, created: 5 }
    }

    #[test]
    fn headers_read_back_and_notice_every_flip() {
        let bytes = head().encode(Floor { offset: 10, position: 128 });
        assert_eq!(Head::decode(&bytes, &OWNER), Ok(head()));
        for bit in 0..68 * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::decode(&bad, &OWNER).is_err(), "bit {bit}");
        }
        let other = Owner { number: 4, ..OWNER };
        assert_eq!(Head::decode(&bytes, &other), Err(HeadError::WrongOwner));
    }

    #[test]
    fn a_torn_slot_leaves_the_other() {
        let low = Floor { offset: 10, position: 128 };
        let high = Floor { offset: 11, position: 256 };
        let mut bytes = head().encode(low);
        let (at, slot) = high.slot(77, 1);
        let at = usize::try_from(at).unwrap();
        bytes[at..at + 16].copy_from_slice(&slot);
        assert_eq!(Floor::decode(&bytes, 77), Some((high, 1)));
        bytes[at] ^= 1;
        assert_eq!(Floor::decode(&bytes, 77), Some((low, 0)));
        bytes[96] ^= 1;
        assert_eq!(Floor::decode(&bytes, 77), None);
    }

    #[test]
    fn footers_read_back_and_notice_every_flip_and_cut() {
        let mark = Mark { offset: 0, position: 128, time_max: 3 };
        let mut count = Count::new(1 << 20);
        for subject in ["a.b", "c", "a.b"] {
            count.add(subject, 2);
        }
        let subjects = count.within(u64::MAX).cloned();
        let footer = Footer { end: 99, time_max: 8, marks: vec![mark; 3], subjects };
        let bytes = footer.encode(77);
        assert_eq!(bytes.len() as u64, footer_bytes(3, 14));
        let uncounted = Footer { subjects: None, ..footer.clone() };
        assert_eq!(uncounted.encode(77).len() as u64, uncounted.bytes());
        assert_eq!(Footer::decode(&uncounted.encode(77), 77), Some(uncounted));
        assert_eq!(Footer::decode(&bytes, 77), Some(footer));
        for end in 0..bytes.len() {
            assert_eq!(Footer::decode(&bytes[..end], 77), None);
        }
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::decode(&bad, 77), None, "bit {bit}");
        }
    }
}
