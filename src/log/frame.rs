//! The frame: what every store into a segment is made of.
//!
//! ```text
//!  0        4        8                16               24               32       36   37    38    40
//!  | sum    | body   | offset         | floor          | time           | count  |kind|flags|  0  | body ... 0-7 zeros
//!  | u32    | u32    | u64            | u64            | u64            | u32    | u8 | u8  | u16 |
//! ```
//!
//! All numbers are little-endian. `body` is the body's length in bytes; frames start at multiples
//! of 8. `offset` is that of the first entry, `count` how many entries there are. `floor` is the
//! offset below which everything was known to be synced when the frame was written. `time` is the
//! wall clock in microseconds since 1970. `flags` bit 0 says that the batch goes on in the next
//! frame.
//!
//! `sum` is CRC-32 (IEEE), started with the segment's salt, over bytes 4..40 and then the CRC-32 of
//! the body. The body's own sum does not depend on the salt, so an appender computes it from the
//! caller's slice before it takes the writer's lock, and hashes only 40 bytes under it.
//!
//! No valid frame is all zeros: kinds start at 1.

use crc32fast::Hasher;

/// Bytes of a frame before its body.
pub(crate) const HEADER_BYTES: usize = 40;
/// Frames start at multiples of this.
pub(crate) const ALIGN: u64 = 8;

const MORE: u8 = 1;

const _: () = assert!(HEADER_BYTES.is_multiple_of(8));

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first frame of a segment: where the one before it ended.
    Opening,
    /// One entry that is nothing but its payload.
    Plain,
    /// `count` entries, each with its lengths and fields.
    Entries,
    /// A piece of a journal's snapshot.
    Snapshot,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Opening => 1,
            Self::Plain => 2,
            Self::Entries => 3,
            Self::Snapshot => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Opening),
            2 => Some(Self::Plain),
            3 => Some(Self::Entries),
            4 => Some(Self::Snapshot),
            _ => None,
        }
    }
}

/// A frame's header, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sum: u32,
    pub(crate) body_bytes: u32,
    pub(crate) offset: u64,
    pub(crate) floor: u64,
    pub(crate) time: u64,
    pub(crate) count: u32,
    pub(crate) kind: Kind,
    pub(crate) more: bool,
}

impl Header {
    /// The header's bytes, with the sum for a body of `body_sum` in a segment of `salt`.
    #[inline]
    pub(crate) fn encode(&self, salt: u64, body_sum: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.floor.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.time.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36] = self.kind.code();
        bytes[37] = if self.more { MORE } else { 0 };
        let sum = salted_header(salt, &bytes, body_sum);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Takes a header apart. `None` if the bytes cannot be one, whatever their sum.
    #[inline]
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let flags = bytes[37];
        if flags & !MORE != 0 || bytes[38] != 0 || bytes[39] != 0 {
            return None;
        }
        Some(Self {
            sum: u32_at(bytes, 0),
            body_bytes: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            floor: u64_at(bytes, 16),
            time: u64_at(bytes, 24),
            count: u32_at(bytes, 32),
            kind: Kind::from_code(bytes[36])?,
            more: flags & MORE != 0,
        })
    }

    /// The whole frame's length: header, body, padding.
    #[inline]
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(u64::from(self.body_bytes))
    }

    /// Whether `body` and this header, whose bytes are `bytes`, are what was written with `salt`.
    #[inline]
    pub(crate) fn matches(&self, bytes: &[u8; HEADER_BYTES], body: &[u8], salt: u64) -> bool {
        salted_header(salt, bytes, body_sum(body)) == self.sum
    }

    /// The offset behind the frame's last entry; `None` when it overflows.
    pub(crate) fn end(&self) -> Option<u64> {
        self.offset.checked_add(u64::from(self.count))
    }
}

/// A frame's length for a body of `body_bytes`.
pub(crate) const fn frame_bytes(body_bytes: u64) -> u64 {
    (HEADER_BYTES as u64 + body_bytes).next_multiple_of(ALIGN)
}

/// The zeros behind a body, up to the next frame.
#[inline]
pub(crate) fn padding(body_bytes: usize) -> &'static [u8] {
    const ZEROS: [u8; 8] = [0; 8];
    &ZEROS[..(HEADER_BYTES + body_bytes).next_multiple_of(8) - HEADER_BYTES - body_bytes]
}

/// The part of the sum that does not depend on the segment.
#[inline]
pub(crate) fn body_sum(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}

/// CRC-32 of `bytes`, started with `salt`.
pub(crate) fn salted(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(start_of(salt));
    hasher.update(bytes);
    hasher.finalize()
}

/// What a sum starts with in a segment of `salt`.
fn start_of(salt: u64) -> u32 {
    let salt = salt.to_le_bytes();
    u32_at(&salt, 0) ^ u32_at(&salt, 4)
}

/// So many bytes of a header are summed in one step.
const STEP: usize = HEADER_BYTES / 2;

/// What a byte does to the sum with `n` bytes behind it in its step: `SHIFTED[n][byte]`.
static SHIFTED: [[u32; 256]; STEP] = shifted();

#[expect(clippy::large_stack_arrays, reason = "made by the compiler, never on a stack")]
const fn shifted() -> [[u32; 256]; STEP] {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut behind = 0;
        while behind < STEP {
            let mut bit = 0;
            while bit < 8 {
                sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
                bit += 1;
            }
            tables[behind][byte as usize] = sum;
            behind += 1;
        }
        byte += 1;
    }
    tables
}

/// The sum of a frame whose header, but for the sum, is `header`: as [`salted`] of what is behind
/// the sum and then the body's sum, in a third of the time. The library multiplies only from 128
/// bytes on and takes what is shorter in steps of 16, 8, 4 and 1, behind two calls (17 ns; two
/// steps of 20 take 6). Each frame's header is summed when it is stored and when it is read.
#[inline]
fn salted_header(salt: u64, header: &[u8; HEADER_BYTES], body_sum: u32) -> u32 {
    // Taken from where they are: a copy of bytes that were just stored would wait for them.
    let (behind, last) = (&header[4..], body_sum.to_le_bytes());
    let mut sum = !start_of(salt);
    for step in 0..HEADER_BYTES / STEP {
        let before = sum.to_le_bytes();
        sum = 0;
        for at in 0..STEP {
            let from = step * STEP + at;
            let byte = if from < behind.len() { behind[from] } else { last[from - behind.len()] };
            let mixed = byte ^ before.get(at).unwrap_or(&0);
            sum ^= SHIFTED[STEP - 1 - at][usize::from(mixed)];
        }
    }
    !sum
}

/// The `u32` at `at`; the caller has checked that it is there.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("four bytes were checked to be there"))
}

/// The `u64` at `at`; the caller has checked that it is there.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes were checked to be there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            sum: 0,
            body_bytes: 11,
            offset: 7,
            floor: 5,
            time: 1_600_000_000_000_000,
            count: 1,
            kind: Kind::Plain,
            more: true,
        }
    }

    #[test]
    fn headers_read_back_what_they_write() {
        let body = b"hello world";
        let bytes = sample().encode(42, body_sum(body));
        let header = Header::decode(&bytes).unwrap();
        assert_eq!(Header { sum: 0, ..header }, sample());
        assert!(header.matches(&bytes, body, 42));
        assert_eq!(header.frame_bytes(), 56);
        assert_eq!(padding(body.len()).len(), 5);
    }

    #[test]
    fn every_flipped_bit_and_a_wrong_salt_are_noticed() {
        let body = b"hello world";
        let bytes = sample().encode(42, body_sum(body));
        assert!(!Header::decode(&bytes).unwrap().matches(&bytes, body, 43));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            let noticed = Header::decode(&bad).is_none_or(|header| !header.matches(&bad, body, 42));
            assert!(noticed, "bit {bit} of the header");
        }
        for bit in 0..body.len() * 8 {
            let mut bad = *body;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!Header::decode(&bytes).unwrap().matches(&bytes, &bad, 42), "bit {bit}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_header_is_summed_as_the_library_does(
            salt: u64,
            halves: [[u8; HEADER_BYTES / 2]; 2],
            body_sum: u32,
        ) {
            let mut header = [0; HEADER_BYTES];
            header.copy_from_slice(halves.as_flattened());
            let hashed = [&header[4..], &body_sum.to_le_bytes()].concat();
            proptest::prop_assert_eq!(
                salted_header(salt, &header, body_sum),
                salted(salt, &hashed)
            );
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), None);
    }
}
