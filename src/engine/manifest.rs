//! The manifest: what a stream is, apart from its entries. Names live here and nowhere else on
//! disk, so no name ever becomes a path.
//!
//! ```text
//! 0 "MILLMAN\0" | 8 version u32 | 12 sum u32 | 16 length u64 | 24 body
//! ```
//!
//! The body is bincode's standard encoding of [`Manifest`]; the sum is CRC-32 over version, length and
//! body.
//! A change writes `manifest.new`, syncs it, renames it over `manifest` and syncs the directory: at
//! any moment there is one whole manifest.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::binary;
use crate::error::{Corruption, Error, Result};
use crate::ledger::Policy;
use crate::limits;
use crate::storage::{Access, Storage};
use crate::subject::Filter;

/// The manifest's file name.
pub(crate) const NAME: &str = "manifest";
/// What a new manifest is called until it takes the place of the old one.
pub(crate) const DRAFT: &str = "manifest.new";
const MAGIC: [u8; 8] = *b"MILLMAN\0";
/// The format that this version writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;
const BODY_AT: usize = 24;
/// A manifest is at most this long: a bound on what a damaged length can make us allocate.
pub(crate) const BYTES_MAX: usize = 16 << 20;

/// No stream reaches these; greater numbers of groups, and offsets, are made up, and could overflow.
const NUMBER_MAX: u64 = 1 << 62;

/// Whether a stored duration is one that options take.
fn lasts(micros: u64) -> bool {
    limits::lasting("duration", Duration::from_micros(micros)).is_ok()
}

/// The sum over all but itself and the magic, of bytes that have at least a head.
fn sum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[8..12]);
    hasher.update(&bytes[16..]);
    hasher.finalize()
}

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// A random number that every segment repeats.
    pub(crate) stream: u64,
    /// Microseconds since 1970.
    pub(crate) created: u64,
    pub(crate) partitions: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) entry_bytes_max: u64,
    pub(crate) durability: StoredDurability,
    pub(crate) retention: StoredRetention,
    /// The number that the next group's directory gets; never used twice.
    pub(crate) next_group: u64,
    pub(crate) groups: Vec<GroupRecord>,
    /// How many unique keys are kept in memory.
    pub(crate) unique_max: u64,
    /// Where entries for one group alone may stand, in order and apart from each other.
    pub(crate) addressed: Vec<StoredRange>,
}

/// Some offsets of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRange {
    pub(crate) partition: u32,
    pub(crate) first: u64,
    pub(crate) end: u64,
}

/// When a call's work is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredDurability {
    Os,
    /// Microseconds.
    Every(u64),
    Always,
}

/// How long entries are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRetention {
    /// Only what every group is done with goes.
    pub(crate) settled: bool,
    pub(crate) bytes: Option<u64>,
    /// Microseconds.
    pub(crate) age: Option<u64>,
    pub(crate) entries: Option<u64>,
    /// Microseconds without a sign of life after which a group holds nothing.
    pub(crate) idle: Option<u64>,
}

/// What a group is, apart from who holds what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub(crate) name: String,
    /// Its directory, and its incarnation: a group made again gets another.
    pub(crate) number: u64,
    pub(crate) created: u64,
    /// The first offset of each partition.
    pub(crate) starts: Vec<u64>,
    /// The patterns of the filter, sorted and without repetition; none if everything is taken.
    pub(crate) filter: Vec<String>,
    pub(crate) settings: GroupSettings,
}

/// What a group was told; times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupSettings {
    pub(crate) lease: u64,
    pub(crate) session_timeout: Option<u64>,
    pub(crate) max_deliveries: u16,
    pub(crate) backoff: StoredBackoff,
    pub(crate) on_exhausted: StoredExhausted,
    pub(crate) max_in_flight: u64,
    pub(crate) max_in_flight_per_consumer: u64,
    pub(crate) max_in_flight_bytes: u64,
    pub(crate) strategy: StoredStrategy,
    pub(crate) revocation_timeout: u64,
    pub(crate) on_trimmed: StoredOnTrimmed,
    pub(crate) ack_mode: StoredAckMode,
    /// How many entries may wait for their own time.
    pub(crate) delayed_max: u64,
}

/// Who decides which member owns which partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredStrategy {
    Shared,
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
    /// One of the user's, by what it calls itself; it has to be passed at each opening.
    Custom(String),
}

/// Where a group goes on whose position was trimmed away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredOnTrimmed {
    Earliest,
    Latest,
    Error,
}

/// What counts as an ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredAckMode {
    Explicit,
    OnNextRead,
    /// Microseconds.
    Interval(u64),
    OnRead,
}

/// How long an entry waits before it is tried again; microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredBackoff {
    pub(crate) wait: StoredWait,
    /// Up to how many thousandths of a wait are taken off it.
    pub(crate) jitter_permille: u16,
    /// What that is drawn from; by default the group's own.
    pub(crate) seed: Option<u64>,
}

/// The waits by attempt; microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredWait {
    Fixed(u64),
    Exponential { first: u64, max: u64 },
    Steps(Vec<u64>),
}

impl StoredWait {
    /// All waits that it names.
    pub(crate) fn each(&self) -> impl Iterator<Item = u64> {
        let (pair, steps) = match self {
            Self::Fixed(wait) => ([*wait, *wait], &[][..]),
            Self::Exponential { first, max } => ([*first, *max], &[][..]),
            Self::Steps(steps) => ([0, 0], &steps[..]),
        };
        pair.into_iter().chain(steps.iter().copied())
    }
}

/// What becomes of an entry after its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredExhausted {
    Park,
    Discard,
    /// The number of the stream that takes the dead letters. It has to be passed at each opening.
    DeadLetter(u64),
}

impl GroupRecord {
    /// Which entries are for the group; `None` if all are.
    pub(super) fn filter(&self) -> Option<Filter> {
        Filter::parse(&self.filter).ok()
    }

    fn is_sound_filter(&self) -> bool {
        self.filter.is_empty()
            || self.filter().is_some_and(|filter| {
                filter.patterns().iter().map(|pattern| &**pattern).eq(&self.filter)
            })
    }
}

impl StoredStrategy {
    /// What it calls itself.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Shared => "shared",
            Self::Range => "range",
            Self::RoundRobin => "round-robin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Custom(name) => name,
        }
    }

    fn is_sound(&self) -> bool {
        !matches!(self, Self::Custom(name) if limits::named("strategy", name).is_err())
    }
}

impl StoredRetention {
    fn is_sound(&self) -> bool {
        let lasts_long = |micros| limits::aged("age", Duration::from_micros(micros)).is_ok();
        self.bytes != Some(0)
            && self.entries != Some(0)
            && self.age.is_none_or(lasts_long)
            && self.idle.is_none_or(lasts)
    }
}

impl Manifest {
    fn encode(&self, storage: &dyn Storage) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        binary::encode(self, &mut body).map_err(|fault| {
            let error = io::Error::new(io::ErrorKind::InvalidData, fault);
            Error::io("encode", storage.locate(NAME), 0, error)
        })?;
        if BODY_AT + body.len() > BYTES_MAX {
            return Err(Error::LimitReached { what: "the manifest", max: BYTES_MAX as u64 });
        }
        let mut bytes = Vec::with_capacity(BODY_AT + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&body);
        let sum = sum(&bytes);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8], storage: &dyn Storage) -> Result<Self> {
        let corrupt = |what| {
            let file = storage.locate(NAME);
            let corruption = Corruption { file, position: 0, first: None, end: None, what };
            Error::Corrupt(Box::new(corruption))
        };
        let (head, body) = bytes
            .split_at_checked(BODY_AT)
            .filter(|(head, _)| head[..8] == MAGIC)
            .ok_or_else(|| corrupt("the manifest does not start as one does"))?;
        let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().expect("24 bytes"));
        let version = word(8);
        if version > VERSION {
            let path = storage.locate(NAME).into();
            return Err(Error::NewerFormat { path, found: version, supported: VERSION });
        }
        let length = u64::from_le_bytes(*head[16..].first_chunk().expect("24 bytes"));
        if length != body.len() as u64 || sum(bytes) != word(12) {
            return Err(corrupt("the manifest does not match its checksum"));
        }
        let manifest = binary::decode::<Self>(body).ok().filter(Self::is_sound);
        manifest.ok_or_else(|| corrupt("the manifest contradicts itself"))
    }

    /// Sets the number of partitions, which never falls. Every group reads the new ones from the
    /// start.
    pub(super) fn grow(&mut self, partitions: u32) {
        self.partitions = partitions;
        for group in &mut self.groups {
            group.starts.resize(partitions as usize, 0);
        }
    }

    /// What a sum cannot promise of a file that somebody made up: the bounds that options have.
    fn is_sound(&self) -> bool {
        let (segment_min, segment_max) = limits::SEGMENT_BYTES;
        let entry_bytes_max = limits::ENTRY_BYTES_MAX.min(self.segment_bytes / 4);
        let names: BTreeSet<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
        let numbers: BTreeSet<u64> = self.groups.iter().map(|group| group.number).collect();
        (1..=limits::PARTITIONS_MAX).contains(&self.partitions)
            && (segment_min..=segment_max).contains(&self.segment_bytes)
            && (1..=entry_bytes_max).contains(&self.entry_bytes_max)
            && !matches!(self.durability, StoredDurability::Every(interval) if !lasts(interval))
            && self.retention.is_sound()
            && self.next_group < NUMBER_MAX
            && (1..=limits::UNIQUE_MAX).contains(&self.unique_max)
            && self.groups.len() <= limits::GROUPS_MAX
            && self.groups.iter().all(|group| self.is_sound_group(group))
            && [names.len(), numbers.len()] == [self.groups.len(); 2]
            && self.are_sound_ranges()
    }

    fn are_sound_ranges(&self) -> bool {
        let ranges = &self.addressed;
        let bounded = |range: &StoredRange| {
            range.partition < self.partitions && range.first < range.end && range.end < NUMBER_MAX
        };
        let in_order = |two: &[StoredRange]| match two[0].gap(&two[1]) {
            Some(gap) => gap > 0,
            None => two[0].partition < two[1].partition,
        };
        ranges.iter().all(bounded) && ranges.windows(2).all(in_order)
    }

    fn is_sound_group(&self, group: &GroupRecord) -> bool {
        let settings = &group.settings;
        let backoff = &settings.backoff;
        let steps = if let StoredWait::Steps(steps) = &backoff.wait { steps.len() } else { 1 };
        limits::named("group", &group.name).is_ok()
            && group.number < self.next_group
            && group.starts.len() == self.partitions as usize
            && group.starts.iter().all(|start| *start < NUMBER_MAX)
            && group.is_sound_filter()
            && lasts(settings.lease)
            && settings.session_timeout.is_none_or(lasts)
            && (1..=Policy::DELIVERIES_MAX).contains(&settings.max_deliveries)
            && backoff.wait.each().all(|wait| wait == 0 || lasts(wait))
            && (1..=limits::BACKOFF_STEPS_MAX).contains(&steps)
            && backoff.jitter_permille <= 1_000
            && lasts(settings.revocation_timeout)
            && !matches!(settings.ack_mode, StoredAckMode::Interval(interval) if !lasts(interval))
            && settings.strategy.is_sound()
            && settings.max_in_flight > 0
            && settings.max_in_flight_per_consumer > 0
            && settings.max_in_flight_bytes > 0
    }

    /// Reads the manifest; `None` if there is none.
    pub(crate) fn load(storage: &dyn Storage) -> Result<Option<Self>> {
        Self::read(storage)?.map(|bytes| Self::decode(&bytes, storage)).transpose()
    }

    /// Its bytes as they are.
    pub(super) fn read(storage: &dyn Storage) -> Result<Option<Vec<u8>>> {
        let failed = |error| Error::io("open", storage.locate(NAME), 0, error);
        let region = match storage.open(NAME, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let length = usize::try_from(region.len()).unwrap_or(usize::MAX).min(BYTES_MAX);
        let mut bytes = vec![0; length];
        region.read(0, &mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    /// Replaces the manifest, durably. `latch` says how a failed sync is final.
    pub(crate) fn save(&self, storage: &dyn Storage, latch: &crate::latch::Latch) -> Result<()> {
        latch.check()?;
        let bytes = self.encode(storage)?;
        let failed =
            |doing, error| Error::io(doing, storage.locate(DRAFT), bytes.len() as u64, error);
        match storage.remove(DRAFT) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", error));
            }
            _ => {}
        }
        let region =
            storage.create(DRAFT, bytes.len() as u64).map_err(|e| failed("allocate", e))?;
        region.populate(0, bytes.len() as u64).map_err(|e| failed("populate", e))?;
        region.store(0, &[&bytes]);
        region.sync().map_err(|error| latch.trip(&failed("sync", error)))?;
        storage.rename(DRAFT, NAME).map_err(|error| failed("rename", error))?;
        storage.sync_dir("").map_err(|error| latch.trip(&failed("sync", error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Memory;

    fn range(partition: u32, first: u64, end: u64) -> StoredRange {
        StoredRange { partition, first, end }
    }

    fn sample() -> Manifest {
        let settings = GroupSettings {
            lease: 1,
            session_timeout: None,
            max_deliveries: 16,
            backoff: StoredBackoff {
                wait: StoredWait::Steps(vec![1, 2]),
                jitter_permille: 100,
                seed: Some(3),
            },
            on_exhausted: StoredExhausted::Park,
            max_in_flight: 10,
            max_in_flight_per_consumer: 10,
            max_in_flight_bytes: 10,
            strategy: StoredStrategy::Custom("mine".into()),
            revocation_timeout: 5,
            on_trimmed: StoredOnTrimmed::Error,
            ack_mode: StoredAckMode::Interval(7),
            delayed_max: 8,
        };
        let group = GroupRecord {
            name: "billing".into(),
            number: 4,
            created: 0,
            starts: vec![7, 8],
            filter: vec!["a.*".into(), "b.>".into()],
            settings,
        };
        Manifest {
            stream: 1,
            created: 2,
            partitions: 2,
            segment_bytes: 4096,
            entry_bytes_max: 1024,
            durability: StoredDurability::Every(9),
            retention: StoredRetention {
                settled: true,
                bytes: Some(1),
                age: Some(2),
                entries: Some(3),
                idle: Some(4),
            },
            next_group: 5,
            groups: vec![group],
            unique_max: 9,
            addressed: vec![range(0, 3, 7), range(0, 8, 9), range(1, 0, 2)],
        }
    }

    #[test]
    fn a_saved_manifest_is_read_back() {
        let storage = Memory::new();
        let _lock = storage.lock(true).unwrap();
        assert_eq!(Manifest::load(&storage).unwrap(), None);
        sample().save(&storage, &crate::latch::Latch::default()).unwrap();
        assert_eq!(Manifest::load(&storage).unwrap(), Some(sample()));
    }

    #[test]
    fn a_manifest_of_many_small_numbers_is_read_back() {
        let (partitions, groups) = (16_384, 130);
        let mut manifest = Manifest { partitions, next_group: groups, ..sample() };
        let group = GroupRecord { starts: vec![0; 16_384], ..manifest.groups.remove(0) };
        manifest.groups = (0..groups)
            .map(|number| GroupRecord { number, name: number.to_string(), ..group.clone() })
            .collect();
        let bytes = manifest.encode(&Memory::new()).unwrap();
        assert!(bytes.len() < BYTES_MAX / 4);
        assert!(Manifest::decode(&bytes, &Memory::new()).unwrap() == manifest);
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        let storage = Memory::new();
        let bytes = sample().encode(&storage).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let refused = Manifest::decode(&bad, &storage).unwrap_err();
            assert!(
                refused.is_corrupt() || matches!(refused, Error::NewerFormat { .. }),
                "bit {bit}"
            );
        }
        for end in 0..bytes.len() {
            assert!(
                Manifest::decode(&bytes[..end], &storage).unwrap_err().is_corrupt(),
                "cut {end}"
            );
        }
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let storage = Memory::new();
        let changes: [fn(&mut Manifest); 38] = [
            |manifest| manifest.partitions = 0,
            |manifest| manifest.partitions = 3,
            |manifest| manifest.segment_bytes = 4095,
            |manifest| manifest.segment_bytes = u64::MAX,
            |manifest| manifest.entry_bytes_max = 0,
            |manifest| manifest.entry_bytes_max = 1025,
            |manifest| manifest.durability = StoredDurability::Every(0),
            |manifest| manifest.retention.bytes = Some(0),
            |manifest| manifest.retention.age = Some(u64::MAX),
            |manifest| manifest.retention.entries = Some(0),
            |manifest| manifest.retention.idle = Some(0),
            |manifest| manifest.unique_max = 0,
            |manifest| manifest.next_group = 4,
            |manifest| manifest.next_group = u64::MAX,
            |manifest| manifest.groups.push(manifest.groups[0].clone()),
            |manifest| manifest.groups[0].name = "a\nb".into(),
            |manifest| manifest.groups[0].starts[1] = u64::MAX,
            |manifest| manifest.groups[0].filter.swap(0, 1),
            |manifest| manifest.groups[0].filter[1] = "a.*".into(),
            |manifest| manifest.groups[0].filter[0] = "a..b".into(),
            |manifest| manifest.groups[0].settings.lease = u64::MAX,
            |manifest| manifest.groups[0].settings.session_timeout = Some(0),
            |manifest| manifest.groups[0].settings.max_deliveries = 0,
            |manifest| manifest.groups[0].settings.max_deliveries = 8001,
            |manifest| manifest.groups[0].settings.backoff.wait = StoredWait::Fixed(u64::MAX),
            |manifest| manifest.groups[0].settings.backoff.wait = StoredWait::Steps(vec![]),
            |manifest| manifest.groups[0].settings.backoff.jitter_permille = 1001,
            |manifest| manifest.groups[0].settings.max_in_flight = 0,
            |manifest| manifest.groups[0].settings.max_in_flight_per_consumer = 0,
            |manifest| manifest.groups[0].settings.max_in_flight_bytes = 0,
            |manifest| manifest.groups[0].settings.revocation_timeout = 0,
            |manifest| manifest.groups[0].settings.ack_mode = StoredAckMode::Interval(0),
            |manifest| manifest.groups[0].settings.strategy = StoredStrategy::Custom(String::new()),
            |manifest| manifest.addressed[0].end = 8,
            |manifest| manifest.addressed[1].first = 9,
            |manifest| manifest.addressed[2].partition = 2,
            |manifest| manifest.addressed[2].end = u64::MAX,
            |manifest| manifest.addressed.swap(1, 2),
        ];
        for change in changes {
            let mut manifest = sample();
            change(&mut manifest);
            let bytes = manifest.encode(&storage).unwrap();
            assert!(Manifest::decode(&bytes, &storage).unwrap_err().is_corrupt());
        }
    }
}
