//! Segments by `docs/FORMAT.md`: taking their frames apart, putting frames together, and making
//! every sum right whatever it is a sum of. Written from the page, without the crate's code.

use crc32fast::Hasher;

pub(crate) const HEADER_BYTES: usize = 128;
const FRAME_BYTES: usize = 40;
const FOOTER_BYTES: usize = 40;
const MARK_BYTES: usize = 16;
const SLOTS_AT: [usize; 2] = [96, 112];
const FOOTER_MAGIC: &[u8; 4] = b"MARK";

pub(crate) const PLAIN: u8 = 2;
pub(crate) const ENTRIES: u8 = 3;
pub(crate) const SNAPSHOT: u8 = 4;
/// The flag of a frame whose batch goes on.
pub(crate) const MORE: u8 = 1;

/// A frame taken apart, but for its sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) offset: u64,
    pub(crate) floor: u64,
    pub(crate) time: u64,
    pub(crate) count: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// The frame's bytes with a sum that is right, up to where the next one starts.
    pub(crate) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut bytes = vec![0; FRAME_BYTES];
        let length = u32::try_from(self.body.len()).expect("inputs are short");
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.floor.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.time.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36] = self.kind;
        bytes[37] = self.flags;
        bytes.extend_from_slice(&self.body);
        let sum = frame_sum(&bytes, salt);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }
}

/// CRC-32 that starts with a segment's salt.
fn salted(salt: u64, parts: &[&[u8]]) -> u32 {
    let salt = salt.to_le_bytes();
    let mut hasher = Hasher::new_with_initial(u32_at(&salt, 0) ^ u32_at(&salt, 4));
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The sum of a header and the body behind it.
fn frame_sum(frame: &[u8], salt: u64) -> u32 {
    let (header, body) = frame.split_at(FRAME_BYTES);
    salted(salt, &[&header[4..], &crc32fast::hash(body).to_le_bytes()])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller looked at the length"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller looked at the length"))
}

/// A segment's salt; 0 if it is too short to have one.
pub(crate) fn salt(bytes: &[u8]) -> u64 {
    if bytes.len() < HEADER_BYTES { 0 } else { u64_at(bytes, 40) }
}

/// The header and body at `at`, if they end inside the file.
fn frame_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at.checked_add(FRAME_BYTES)?)?;
    let length = usize::try_from(u32_at(header, 4)).ok()?;
    bytes.get(at..at + FRAME_BYTES + length).filter(|_| header[36] != 0)
}

/// The good frames of a segment from its start on, and where they end.
pub(crate) fn frames(bytes: &[u8]) -> (Vec<Frame>, usize) {
    let salt = salt(bytes);
    let (mut found, mut at) = (Vec::new(), HEADER_BYTES);
    while let Some(frame) = frame_at(bytes, at).filter(|f| frame_sum(f, salt) == u32_at(f, 0)) {
        found.push(Frame {
            offset: u64_at(frame, 8),
            floor: u64_at(frame, 16),
            time: u64_at(frame, 24),
            count: u32_at(frame, 32),
            kind: frame[36],
            flags: frame[37],
            body: frame[FRAME_BYTES..].to_vec(),
        });
        at += frame.len().next_multiple_of(8);
    }
    (found, at)
}

/// Whether `bytes` hold something with a sum that is right and that is not in `original`: a chance
/// hit, or an input that was taught the sum. What is read from it is anybody's guess then.
pub(crate) fn is_forged(original: &[u8], bytes: &[u8]) -> bool {
    if bytes.len() < HEADER_BYTES || u32_at(bytes, 64) != crc32fast::hash(&bytes[..64]) {
        return false;
    }
    let salt = salt(bytes);
    let slots = SLOTS_AT.map(|at| &bytes[at..at + 16]);
    let new_slot = slots.into_iter().any(|slot| {
        salted(salt, &[&slot[..12]]) == u32_at(slot, 12)
            && !original[96..128].chunks(16).any(|s| s == slot)
    });
    let known: std::collections::BTreeSet<Vec<u8>> =
        frames(original).0.iter().map(|frame| frame.encode(salt)).collect();
    let new_frame = (HEADER_BYTES..bytes.len()).step_by(8).any(|at| {
        let good = frame_at(bytes, at).filter(|frame| frame_sum(frame, salt) == u32_at(frame, 0));
        good.is_some_and(|frame| {
            let mut frame = frame.to_vec();
            frame.resize(frame.len().next_multiple_of(8), 0);
            !known.contains(&frame)
        })
    });
    bytes[..64] != original[..64] || new_slot || new_frame
}

/// Makes every sum right: of the header, the slots, the frames as far as they can be walked, and
/// a footer behind them.
pub(crate) fn fix_sums(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let sum = crc32fast::hash(&bytes[..64]);
    bytes[64..68].copy_from_slice(&sum.to_le_bytes());
    let salt = salt(bytes);
    for at in SLOTS_AT {
        let sum = salted(salt, &[&bytes[at..at + 12]]);
        bytes[at + 12..at + 16].copy_from_slice(&sum.to_le_bytes());
    }
    let mut at = HEADER_BYTES;
    while let Some(frame) = frame_at(bytes, at) {
        if frame.starts_with(FOOTER_MAGIC) {
            break;
        }
        let (sum, length) = (frame_sum(frame, salt), frame.len());
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        at += length.next_multiple_of(8);
    }
    fix_footer(bytes, at, salt);
}

fn fix_footer(bytes: &mut [u8], at: usize, salt: u64) {
    let Some(footer) = bytes.get_mut(at..).filter(|footer| footer.len() >= FOOTER_BYTES) else {
        return;
    };
    let marks = usize::try_from(u64_at(footer, 24)).ok().and_then(|n| n.checked_mul(MARK_BYTES));
    let subjects = u32::from_le_bytes(*footer[36..].first_chunk().expect("forty bytes"));
    let list = marks.and_then(|marks| marks.checked_add(usize::try_from(subjects).ok()?));
    let end = list.and_then(|list| list.checked_add(FOOTER_BYTES));
    let Some(end) = end.filter(|end| *end <= footer.len() && footer.starts_with(FOOTER_MAGIC))
    else {
        return;
    };
    let sum = salted(salt, &[&footer[8..end]]);
    footer[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// A footer with a sum that is right.
pub(crate) fn footer(salt: u64, end: u64, time_max: u64, marks: &[(u32, u32, u64)]) -> Vec<u8> {
    let mut bytes = FOOTER_MAGIC.to_vec();
    bytes.resize(8, 0);
    bytes.extend_from_slice(&end.to_le_bytes());
    bytes.extend_from_slice(&time_max.to_le_bytes());
    bytes.extend_from_slice(&(marks.len() as u64).to_le_bytes());
    // No subjects, in no bytes.
    bytes.extend_from_slice(&[0; 8]);
    for (offset, position, time_max) in marks {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&position.to_le_bytes());
        bytes.extend_from_slice(&time_max.to_le_bytes());
    }
    let sum = salted(salt, &[&bytes[8..]]);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Sets both floor slots of a segment.
pub(crate) fn set_floor(bytes: &mut [u8], offset: u64, position: u32) {
    let salt = salt(bytes);
    for at in SLOTS_AT {
        bytes[at..at + 8].copy_from_slice(&offset.to_le_bytes());
        bytes[at + 8..at + 12].copy_from_slice(&position.to_le_bytes());
        let sum = salted(salt, &[&bytes[at..at + 12]]);
        bytes[at + 12..at + 16].copy_from_slice(&sum.to_le_bytes());
    }
}
