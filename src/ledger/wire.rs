//! Numbers and bytes as the ledger stores them: LEB128, little end first, seven bits a byte.

use super::replay::{Inconsistent, ensure};

/// The longest number.
const NUMBER_BYTES_MAX: u32 = 10;

pub(super) fn put(out: &mut Vec<u8>, number: impl Into<u64>) {
    let mut left = number.into();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push((left & 0x7f) as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was put, and never beyond the end.
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Inconsistent> {
        let (first, rest) = self.left.split_first().ok_or(Inconsistent("cut short"))?;
        self.left = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Inconsistent> {
        let mut number = 0;
        for n in 0..NUMBER_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            ensure(n < NUMBER_BYTES_MAX - 1 || bits <= 1, "a number is over 64 bits")?;
            number |= bits << (7 * n);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Inconsistent("a number is over 64 bits"))
    }

    /// A number that fits a smaller type.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Inconsistent> {
        T::try_from(self.number()?).map_err(|_| Inconsistent("a number is out of its bounds"))
    }

    /// How many items follow, each of at least `bytes_min` bytes: no more than could be there.
    pub(super) fn count(&mut self, bytes_min: usize) -> Result<usize, Inconsistent> {
        let count: usize = self.small()?;
        ensure(count <= self.left.len() / bytes_min, "a count is over what follows")?;
        Ok(count)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Inconsistent> {
        let length = self.count(1)?;
        let (bytes, rest) = self.left.split_at(length);
        self.left = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Inconsistent> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Inconsistent("a name is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_take_seven_bits_a_byte() {
        for (number, bytes) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (1 << 62, 9), (u64::MAX, 10)]
        {
            let mut out = Vec::new();
            put(&mut out, number);
            assert_eq!(out.len(), bytes, "{number}");
            assert_eq!(Reader::new(&out).number(), Ok(number));
            assert!(Reader::new(&out[..bytes - 1]).number().is_err());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert!(Reader::new(&over).number().is_err());
        assert!(Reader::new(&[0xff; 20]).number().is_err());
        assert!(Reader::new(&[0x80, 0x80, 4]).small::<u16>().is_err());
        assert!(Reader::new(&[3, 1, 2]).bytes().is_err());
        assert!(Reader::new(&[2, 1, 2, 3]).count(2).is_err());
    }
}
