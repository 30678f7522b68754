//! What is worked on: the lines of a file, of the standard input, or order events made up here.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

/// So many events are made up if no input is named.
const ORDERS: u64 = 200_000;

/// Lines, without the bytes that end them. Nothing says that they are UTF-8.
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where each line ends, at its newline or at the end of all.
    ends: Vec<usize>,
}

impl Lines {
    /// Reads a file.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        std::fs::read(path).map(Self::new)
    }

    /// Reads the standard input to its end.
    pub(crate) fn of_stdin() -> io::Result<Self> {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        Ok(Self::new(bytes))
    }

    /// Makes up the events of a shop. The same ones each time, so that runs compare.
    pub(crate) fn of_orders() -> Self {
        let mut text = String::new();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for order in 0..ORDERS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let kind = ["created", "paid", "packed", "shipped"][(random >> 62) as usize];
            let (customer, cents) = (random >> 40 & 0xfff, random >> 20 & 0xffff);
            let _ = writeln!(
                text,
                r#"{{"order":{},"event":"{kind}","customer":{customer},"cents":{cents}}}"#,
                1000 + order / 4
            );
        }
        Self::new(text.into_bytes())
    }

    fn new(bytes: Vec<u8>) -> Self {
        let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let mut ends: Vec<usize> = newlines.map(|(at, _)| at).collect();
        if bytes.last().is_some_and(|last| *last != b'\n') {
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    /// All of them, as they were read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// One line; nothing if there is none of that number.
    pub(crate) fn get(&self, number: usize) -> Option<&[u8]> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        self.ends.get(number).map(|end| &self.bytes[start..*end])
    }
}
