//! [`Input`]: decisions taken from the front of an input. Behind its end there are zeros.

/// Numbers at which something changes: bounds of types, of encodings and of the format.
const EDGES: [u64; 32] = [
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    1 << 62,
    (1 << 62) - 1,
    1 << 61,
    1 << 60,
    1 << 56,
    1 << 48,
    (1 << 48) - 1,
    1 << 40,
    1 << 36,
    1 << 34,
    1 << 32,
    (1 << 32) - 1,
    (1 << 32) - 2,
    1 << 31,
    (1 << 31) - 1,
    1 << 30,
    1 << 20,
    65_536,
    65_535,
    65_534,
    16_385,
    16_384,
    8_192,
    8_191,
    8_000,
    4_096,
    251,
    128,
];

/// What is left of an input.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// As many bytes as a length in front of them says and there are.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = match self.byte() {
            255 => usize::from(self.byte()) * 32,
            short => usize::from(short),
        };
        self.take(length)
    }

    /// Whatever is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn wide(&mut self, length: usize) -> u64 {
        let mut number = [0; 8];
        let taken = self.take(length);
        number[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(number)
    }

    /// Any number: most often a small one, or one at an edge.
    pub(crate) fn number(&mut self) -> u64 {
        let first = self.byte();
        let low = first & 0x1f;
        match first >> 5 {
            0..=3 => u64::from(low),
            4 => self.wide(2),
            5 => EDGES[usize::from(low)],
            6 => self.wide(4),
            _ => self.wide(8),
        }
    }

    /// A number below `end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = if end <= 256 { u64::from(self.byte()) } else { self.wide(2) };
        usize::try_from(number).expect("two bytes") % end.max(1)
    }

    /// Mostly `given`, at times any number.
    pub(crate) fn about(&mut self, given: u64) -> u64 {
        match self.byte() {
            0..=191 => given,
            192..=207 => given.wrapping_add(1),
            208..=223 => given.wrapping_sub(1),
            _ => self.number(),
        }
    }
}
