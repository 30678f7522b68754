//! The floor: what any log of checksummed entries in mapped files has to do, and nothing else. No
//! header, no lock, no clock, no offset, nobody who could read it meanwhile.
#![expect(unsafe_code, reason = "the floor maps a file, without the crate's own mapping between")]

use std::fs::OpenOptions;
use std::hint::black_box;
use std::path::PathBuf;

use memmap2::{Advice, MmapMut};
use rustix::fs::FallocateFlags;

use crate::{BATCH, Outcome, PAYLOAD_BYTES};

/// Files are this long, as a stream's segments.
const SEGMENT_BYTES: usize = 64 << 20;
/// Pages are made ready in steps of this size.
const POPULATE_BYTES: usize = 256 << 10;

/// Mapped files that payloads are stored into, one after the other.
pub(crate) struct Floor {
    dir: PathBuf,
    maps: Vec<MmapMut>,
    /// Where in the last map the next payload goes.
    position: usize,
    /// Where the last write began: the map, and the position in it.
    began: (usize, usize),
}

impl Floor {
    /// A floor whose files are in `dir`.
    pub(crate) fn new(dir: PathBuf) -> Outcome<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir, maps: Vec::new(), position: SEGMENT_BYTES, began: (0, 0) })
    }

    /// Allocates, populates in steps, checksums and copies.
    pub(crate) fn write(&mut self, payload: &[u8], entries: usize) -> Outcome {
        self.began = match self.position {
            SEGMENT_BYTES => (self.maps.len(), 0),
            position => (self.maps.len() - 1, position),
        };
        for _ in 0..entries {
            if self.position == SEGMENT_BYTES {
                let map = self.allocate()?;
                self.maps.push(map);
                self.position = 0;
            }
            let map = self.maps.last_mut().expect("one was just made");
            if self.position.is_multiple_of(POPULATE_BYTES) {
                map.advise_range(Advice::PopulateWrite, self.position, POPULATE_BYTES)?;
            }
            let payload = black_box(payload);
            black_box(crc32fast::hash(payload));
            map[self.position..self.position + PAYLOAD_BYTES].copy_from_slice(payload);
            self.position += PAYLOAD_BYTES;
        }
        Ok(())
    }

    /// Copies what the last write stored into a buffer, run by run, and checksums each payload.
    pub(crate) fn read(&self) {
        let mut buffer = Vec::with_capacity(BATCH * PAYLOAD_BYTES);
        let (first, mut start) = self.began;
        for (number, map) in self.maps.iter().enumerate().skip(first) {
            let last = number + 1 == self.maps.len();
            let end = if last { self.position } else { SEGMENT_BYTES };
            for run in map[start..end].chunks(BATCH * PAYLOAD_BYTES) {
                buffer.clear();
                buffer.extend_from_slice(run);
                for payload in buffer.chunks_exact(PAYLOAD_BYTES) {
                    black_box(crc32fast::hash(payload));
                }
            }
            start = 0;
        }
    }

    fn allocate(&self) -> Outcome<MmapMut> {
        let path = self.dir.join(self.maps.len().to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SEGMENT_BYTES as u64)?;
        // SAFETY: the file was just made in a private directory; nobody else touches or cuts it.
        Ok(unsafe { MmapMut::map_mut(&file)? })
    }
}
