//! A file of a [`Disk`](super::Disk) that somebody else may be changing: read by `pread` and never
//! mapped, since a page behind the end of a file that was cut is a signal.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::super::Region;
use super::file;

/// A file, and nothing that is known of it: its owner may grow and cut it at any time.
#[derive(Debug)]
pub(super) struct LookedAt {
    file: File,
}

impl LookedAt {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: file::open_to_look(path)? })
    }

    fn changed(&self) -> ! {
        panic!("changed {:?}, which is only looked at", self.file)
    }
}

impl Region for LookedAt {
    /// The file's length at this moment. Not by `metadata`: a file that was asked for its times gets
    /// a new one with its owner's next write, which the owner's next flush then has to write.
    fn len(&self) -> u64 {
        // What cannot be asked has nothing to show.
        (&self.file).seek(SeekFrom::End(0)).unwrap_or(0)
    }

    fn store(&self, _at: u64, _parts: &[&[u8]]) {
        self.changed()
    }

    /// What cannot be read is zeros, too: no frame is made of them.
    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        let start = into.len();
        into.resize(start + len, 0);
        let read = file::read_what_is_there(&self.file, at, &mut into[start..]);
        into[start + read.unwrap_or(0)..].fill(0);
    }

    fn populate(&self, _at: u64, _len: u64) -> io::Result<()> {
        self.changed()
    }

    fn write(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        self.changed()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let read = file::read_what_is_there(&self.file, at, into)?;
        into[read..].fill(0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.changed()
    }

    fn drop_cache(&self) -> io::Result<()> {
        file::forget(&self.file)
    }

    fn shrink(&self, _bytes: u64) -> io::Result<()> {
        self.changed()
    }

    fn grow(&self, _bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.changed()
    }
}
