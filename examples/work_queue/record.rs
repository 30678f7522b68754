//! The independent record: what was done, written by whoever did it, in plain files that the
//! stream knows nothing of. What the table says at the end is computed from it alone.
//!
//! Each thread has a file of its own, of line numbers of 8 bytes, little-endian. They are written
//! by `write` and without a buffer, so what was written is there after a kill.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The numbers of the lines whose append the producer was told of.
pub(crate) const APPENDED: &str = "appended";
/// The numbers of the lines that a worker was done with, before it acked them.
pub(crate) const PROCESSED: &str = "processed";

/// One thread's record.
pub(crate) struct Record {
    file: File,
    bytes: Vec<u8>,
}

impl Record {
    /// A new file of that kind; `owner` is like no other's.
    pub(crate) fn create(dir: &Path, kind: &str, owner: &str) -> io::Result<Self> {
        let path = dir.join(format!("{kind}-{owner}"));
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, bytes: Vec::new() })
    }

    /// Writes down some lines.
    pub(crate) fn note(&mut self, numbers: &[usize]) -> io::Result<()> {
        self.bytes.clear();
        for number in numbers {
            self.bytes.extend_from_slice(&(*number as u64).to_le_bytes());
        }
        self.file.write_all(&self.bytes)
    }
}

/// How often each of `lines` lines is in the records of that kind.
pub(crate) fn count(dir: &Path, kind: &str, lines: usize) -> io::Result<Vec<u32>> {
    let mut counts = vec![0; lines];
    for file in fs::read_dir(dir)? {
        let file = file?;
        if !file.file_name().to_string_lossy().starts_with(kind) {
            continue;
        }
        // A kill can cut the last number short.
        for number in fs::read(file.path())?.chunks_exact(8) {
            let number = u64::from_le_bytes(number.try_into().expect("chunks of 8 bytes"));
            let line = usize::try_from(number).ok().and_then(|number| counts.get_mut(number));
            *line.ok_or_else(|| io::Error::other("a record of a line that is not there"))? += 1;
        }
    }
    Ok(counts)
}
