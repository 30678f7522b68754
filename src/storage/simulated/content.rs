//! The bytes of one simulated file: what the process sees, what is on the disk, and what may be.
//!
//! 1. A sector that is neither `dirty` nor `lost` is the same in `current` and `durable` (what lies
//!    behind the end of either counts as zero).
//! 2. A dirty sector holds up to [`VERSIONS_MAX`] of the contents it had since it was clean; with
//!    `durable` and `current` these are what a power cut may leave of it.
//! 3. A lost sector is one that a failed sync dropped: the cache calls it clean and shows `current`,
//!    the disk has `durable`, and no later sync writes it (fsyncgate).
//! 4. `sizes` are the lengths since the last sync, the newest last; while it is empty the length
//!    on the disk is what syncs will leave it at.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::random::Random;

const SECTOR_BYTES: usize = 512;
const PAGE_SECTORS: usize = 8;
const GRAIN_BYTES: usize = 8;
const VERSIONS_MAX: usize = 4;

type Sector = [u8; SECTOR_BYTES];

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeMap<usize, Vec<Sector>>,
    lost: BTreeSet<usize>,
    sizes: Vec<usize>,
    /// The sectors of the newest store.
    newest: Option<RangeInclusive<usize>>,
}

/// What a power cut does to the sectors that were written since the last sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// None was written back.
    AllOld,
    /// All were.
    AllNew,
    /// Only those of the newest store of all were.
    OnlyNewest,
    /// Each sector is any version, by itself.
    Sectors,
    /// Each page of 4 KiB is, as a whole.
    Pages,
    /// Each sector is a mixture of two versions, eight bytes by eight.
    Torn,
}

impl Loss {
    pub(super) const ALL: [Self; 6] =
        [Self::AllOld, Self::AllNew, Self::OnlyNewest, Self::Sectors, Self::Pages, Self::Torn];
}

/// Which length a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Old,
    New,
    Any,
}

/// Which version of a sector was on the disk.
#[derive(Clone, Copy)]
enum Version {
    Durable,
    Current,
    Any(usize),
    Mixed,
}

impl Content {
    /// A file that was just made and allocated, of which nothing is durable.
    pub(super) fn created(bytes: usize) -> Self {
        Self { current: vec![0; bytes], sizes: vec![bytes], ..Self::default() }
    }

    /// A file that is on the disk as it is.
    pub(super) fn planted(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), current: bytes, ..Self::default() }
    }

    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn len(&self) -> usize {
        self.current.len()
    }

    pub(super) fn store(&mut self, at: usize, parts: &[&[u8]], random: &mut Random) {
        let len = parts.iter().map(|part| part.len()).sum();
        self.touch(at, len, random);
        let mut at = at;
        for part in parts {
            self.current[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// A store that the power cut interrupted: some of its eight-byte grains arrived.
    pub(super) fn store_some(&mut self, at: usize, parts: &[&[u8]], random: &mut Random) {
        let bytes = parts.concat();
        self.touch(at, bytes.len(), random);
        let grains = (at + bytes.len()).div_ceil(GRAIN_BYTES) - at / GRAIN_BYTES;
        let shape = random.below(4);
        let edge = random.below(grains + 1);
        for grain in 0..grains {
            let kept = match shape {
                0 => grain < edge,
                1 => grain >= edge,
                2 => grain != edge,
                _ => random.coin(),
            };
            let from = ((at / GRAIN_BYTES + grain) * GRAIN_BYTES).max(at);
            let to = ((at / GRAIN_BYTES + grain + 1) * GRAIN_BYTES).min(at + bytes.len());
            if kept && from < to {
                self.current[from..to].copy_from_slice(&bytes[from - at..to - at]);
            }
        }
    }

    /// Remembers what the sectors of `at..at + len` hold before they change.
    fn touch(&mut self, at: usize, len: usize, random: &mut Random) {
        if len == 0 {
            return;
        }
        let sectors = at / SECTOR_BYTES..=(at + len - 1) / SECTOR_BYTES;
        for index in sectors.clone() {
            match self.dirty.get_mut(&index) {
                None => {
                    self.lost.remove(&index);
                    self.dirty.insert(index, Vec::new());
                }
                Some(versions) => {
                    let before = sector(&self.current, index);
                    if versions.len() < VERSIONS_MAX {
                        versions.push(before);
                    } else {
                        versions[random.below(VERSIONS_MAX)] = before;
                    }
                }
            }
        }
        self.newest = Some(sectors);
    }

    /// Cuts the file, or makes it longer by zeros.
    pub(super) fn resize(&mut self, bytes: usize, random: &mut Random) {
        if bytes < self.current.len() {
            // What is cut off may come back with the old length, so it is kept as a version.
            let newest = self.newest.clone();
            self.touch(bytes, self.current.len() - bytes, random);
            self.newest = newest;
        }
        self.current.resize(bytes, 0);
        self.sizes.push(bytes);
    }

    pub(super) fn sync(&mut self) {
        if !self.sizes.is_empty() {
            self.durable.resize(self.current.len(), 0);
            self.sizes.clear();
        }
        for index in std::mem::take(&mut self.dirty).into_keys() {
            self.clean(index, true);
        }
        self.newest = None;
    }

    /// A sync that failed: of each sector and of the length nobody knows whether it was written, and
    /// no later sync will try again.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        let length = self.length(Length::Any, random);
        self.durable.resize(length, 0);
        self.sizes.clear();
        for index in std::mem::take(&mut self.dirty).into_keys() {
            self.clean(index, random.coin());
        }
        self.newest = None;
    }

    /// Calls a sector clean, `written` or not. What then differs from the disk is lost; that is also
    /// so for a sector behind a length that an earlier sync lost.
    fn clean(&mut self, index: usize, written: bool) {
        let current = sector(&self.current, index);
        if written {
            put_sector(&mut self.durable, index, &current);
        }
        if sector(&self.durable, index) != current {
            self.lost.insert(index);
        }
    }

    /// Forgets the cached copy of clean sectors: what a failed sync lost shows.
    pub(super) fn drop_cache(&mut self) {
        for index in std::mem::take(&mut self.lost) {
            let durable = sector(&self.durable, index);
            put_sector(&mut self.current, index, &durable);
        }
    }

    /// Flips one bit of `byte`, in the cache and on the disk.
    pub(super) fn flip(&mut self, byte: usize, bit: u32) {
        self.current[byte] ^= 1 << bit;
        if let Some(durable) = self.durable.get_mut(byte) {
            *durable ^= 1 << bit;
        }
    }

    /// What the disk holds once the power is back. `newest` says whether the newest store of all
    /// files was one of this file.
    pub(super) fn after_cut(
        &self,
        loss: Loss,
        newest: bool,
        length: Length,
        random: &mut Random,
    ) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        bytes.resize(self.length(length, random), 0);
        let mut page = None;
        let mut of_page = 0;
        for (&index, versions) in &self.dirty {
            if page != Some(index / PAGE_SECTORS) {
                page = Some(index / PAGE_SECTORS);
                of_page = random.below(VERSIONS_MAX + 2);
            }
            let written = newest && self.newest.as_ref().is_some_and(|last| last.contains(&index));
            let version = match loss {
                Loss::AllNew => Version::Current,
                Loss::OnlyNewest if written => Version::Current,
                Loss::AllOld | Loss::OnlyNewest => Version::Durable,
                Loss::Sectors => Version::Any(random.below(VERSIONS_MAX + 2)),
                Loss::Pages => Version::Any(of_page),
                Loss::Torn => Version::Mixed,
            };
            put_sector(&mut bytes, index, &self.version(index, versions, version, random));
        }
        bytes
    }

    fn version(
        &self,
        index: usize,
        versions: &[Sector],
        version: Version,
        random: &mut Random,
    ) -> Sector {
        let nth = |n: usize| match n % (versions.len() + 2) {
            0 => sector(&self.durable, index),
            1 => sector(&self.current, index),
            older => versions[older - 2],
        };
        match version {
            Version::Durable => nth(0),
            Version::Current => nth(1),
            Version::Any(n) => nth(n),
            Version::Mixed => {
                let mut mixed = nth(random.below(VERSIONS_MAX + 2));
                let other = nth(random.below(VERSIONS_MAX + 2));
                for at in (0..SECTOR_BYTES).step_by(GRAIN_BYTES) {
                    if random.coin() {
                        mixed[at..at + GRAIN_BYTES].copy_from_slice(&other[at..at + GRAIN_BYTES]);
                    }
                }
                mixed
            }
        }
    }

    /// A length that a power cut may leave. A file that was growing may stop at any page.
    fn length(&self, length: Length, random: &mut Random) -> usize {
        let old = self.durable.len();
        let Some(&new) = self.sizes.last() else { return old };
        match length {
            Length::Old => old,
            Length::New => new,
            Length::Any if new > old && random.one_in(4) => {
                old + random.below(new - old + 1) / 4096 * 4096
            }
            Length::Any => {
                let nth = random.below(self.sizes.len() + 1);
                self.sizes.get(nth).copied().unwrap_or(old)
            }
        }
    }
}

/// Sector `index`; what lies behind the end is zero.
fn sector(bytes: &[u8], index: usize) -> Sector {
    let mut sector = [0; SECTOR_BYTES];
    let from = (index * SECTOR_BYTES).min(bytes.len());
    let to = (from + SECTOR_BYTES).min(bytes.len());
    sector[..to - from].copy_from_slice(&bytes[from..to]);
    sector
}

/// Writes as much of the sector as lies before the end.
fn put_sector(bytes: &mut [u8], index: usize, sector: &Sector) {
    let from = (index * SECTOR_BYTES).min(bytes.len());
    let to = (from + SECTOR_BYTES).min(bytes.len());
    bytes[from..to].copy_from_slice(&sector[..to - from]);
}
