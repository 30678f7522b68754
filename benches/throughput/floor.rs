//! The floor: what any log of checksummed entries in mapped files has to do, and nothing else. No
//! header, no lock, no clock, no offset, nobody who could read it meanwhile.
#![expect(unsafe_code, reason = "the floor maps a file, without the crate's own mapping between")]

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::path::Path;

use memmap2::{Advice, MmapMut};
use rustix::fs::FallocateFlags;

use crate::{BATCH, Outcome, PAYLOAD_BYTES};

/// Files are this long, as a stream's segments.
const SEGMENT_BYTES: usize = 64 << 20;
/// Pages are made ready in steps of this size.
const POPULATE_BYTES: usize = 256 << 10;

/// Mapped files that payloads were stored into.
pub(crate) struct Floor {
    maps: Vec<(MmapMut, usize)>,
}

impl Floor {
    /// Allocates, populates in steps, checksums and copies.
    pub(crate) fn write(dir: &Path, payload: &[u8], entries: usize) -> Outcome<Self> {
        std::fs::create_dir_all(dir)?;
        let mut maps = Vec::new();
        let mut left = entries;
        while left > 0 {
            let here = left.min(SEGMENT_BYTES / PAYLOAD_BYTES);
            let mut map = allocate(&dir.join(maps.len().to_string()))?;
            for step in 0..(here * PAYLOAD_BYTES).div_ceil(POPULATE_BYTES) {
                let start = step * POPULATE_BYTES;
                map.advise_range(Advice::PopulateWrite, start, POPULATE_BYTES)?;
                let end = (start + POPULATE_BYTES).min(here * PAYLOAD_BYTES);
                for slot in map[start..end].chunks_exact_mut(PAYLOAD_BYTES) {
                    let payload = black_box(payload);
                    black_box(crc32fast::hash(payload));
                    slot.copy_from_slice(payload);
                }
            }
            maps.push((map, here));
            left -= here;
        }
        Ok(Self { maps })
    }

    /// Copies runs of entries into a buffer and checksums each.
    pub(crate) fn read(&self) {
        let mut buffer = Vec::with_capacity(BATCH * PAYLOAD_BYTES);
        for (map, entries) in &self.maps {
            for run in map[..entries * PAYLOAD_BYTES].chunks(BATCH * PAYLOAD_BYTES) {
                buffer.clear();
                buffer.extend_from_slice(run);
                for payload in buffer.chunks_exact(PAYLOAD_BYTES) {
                    black_box(crc32fast::hash(payload));
                }
            }
        }
    }
}

fn allocate(path: &Path) -> Outcome<MmapMut> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    reserve(&file)?;
    // SAFETY: the file was just made in a private directory, and nobody else touches or cuts it.
    Ok(unsafe { MmapMut::map_mut(&file)? })
}

fn reserve(file: &File) -> Outcome {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, SEGMENT_BYTES as u64)?)
}
