//! The disk, and what the stream on it must hold.
//!
//! # Invariants
//! 1. A partition's `items` are all that was appended to it, in order; `ends` are where calls
//!    ended, so that a batch that was split shows.
//! 2. Below `synced` nothing may ever be missing. What an opening showed counts as synced.
//! 3. `doubts` are appends that failed: each may be there as a whole, or not.
//! 4. What lies below `gone` was trimmed, and what lies between that and `start` may be: a trim failed,
//!    or its files come back with the next opening.
//! 5. `growth` is the number of partitions that a call which failed was to bring: there may be as many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::groups::{Existence, Model};
use super::item::{Item, Make};
use super::sight::Sight;
use crate::clock::{Clock, ManualClock};
use crate::durability::Durability;
use crate::engine::Trial;
use crate::entries::Entry;
use crate::error::{Error, Result};
use crate::log::Controls;
use crate::options::StreamOptions;
use crate::policy::AckMode;
use crate::start::Start;
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;
use crate::stream::Stream;

/// The subject of what a drain appends, which nobody notes.
pub(super) const LATE: &str = "order.late";

/// What the oracle says: nothing, or its complaint.
pub(super) type Verdict<T = ()> = std::result::Result<T, String>;

/// The strategies under which a partition is one member's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Strategy {
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

/// How far an opening was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Whole,
    /// The power went meanwhile.
    CutShort,
}

/// What one partition must hold.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) items: Vec<Item>,
    ends: BTreeSet<usize>,
    pub(super) synced: usize,
    pub(super) gone: usize,
    pub(super) start: usize,
}

/// One disk, and all that must be true of it.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) disk: Simulated,
    pub(super) clock: ManualClock,
    pub(super) durability: Durability,
    pub(super) segment_bytes: u64,
    pub(super) controls: Controls,
    /// How entries are made.
    pub(super) make: Make,
    pub(super) partitions: Vec<Partition>,
    pub(super) groups: BTreeMap<&'static str, Model>,
    /// Who assigns partitions in the group that has it done.
    pub(super) strategy: Strategy,
    /// What settles entries in the group in which no verdict has to.
    pub(super) mode: AckMode,
    pub(super) doubts: Vec<Vec<Item>>,
    pub(super) growth: Option<usize>,
    /// The last life ended with a close that worked.
    pub(super) closed: bool,
    /// Calls may fail although the power is on.
    pub(super) tolerant: bool,
    /// Stored bytes were changed: what is damaged may be refused, but not served or lost.
    pub(super) rotten: bool,
    unique: u64,
    pub(super) epoch: u64,
}

impl Partition {
    /// Notes what one call appended.
    pub(super) fn append(&mut self, items: impl IntoIterator<Item = Item>) {
        self.items.extend(items);
        self.ends.insert(self.items.len());
    }

    /// Compares what was found, which is durable from now on.
    fn judge(&mut self, found: &[Item], doubts: &[Vec<Item>]) -> Verdict {
        if found.len() < self.synced {
            return Err(format!("lost: {} of {} synced entries", found.len(), self.synced));
        }
        let both = found.len().min(self.items.len());
        if let Some(at) = (0..both).find(|at| found[*at] != self.items[*at]) {
            return Err(format!("offset {at} holds something else"));
        }
        let mut rest = &found[both..];
        while !rest.is_empty() {
            let doubt = doubts.iter().find(|doubt| rest.starts_with(doubt));
            let Some(doubt) = doubt.filter(|doubt| !doubt.is_empty()) else {
                return Err(format!("a phantom at {}", self.items.len()));
            };
            self.append(doubt.iter().cloned());
            rest = &rest[doubt.len()..];
        }
        if !found.is_empty() && !self.ends.contains(&found.len()) {
            return Err(format!("a batch was split at {}", found.len()));
        }
        self.items.truncate(found.len());
        self.ends.retain(|end| *end <= found.len());
        self.synced = found.len();
        Ok(())
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let durabilities =
            [Durability::Os, Durability::Every(Duration::from_secs(1)), Durability::Always];
        let partitions = 1 + random.below(3);
        Self {
            disk: Simulated::new(random.next()),
            clock: ManualClock::new(),
            durability: random.pick(&durabilities),
            segment_bytes: random.pick(&[4096, 8192, 16384]),
            controls: Controls::default(),
            make: Item::random,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            groups: BTreeMap::new(),
            strategy: random.pick(&[
                Strategy::Range,
                Strategy::RoundRobin,
                Strategy::Sticky,
                Strategy::CooperativeSticky,
                Strategy::CooperativeSticky,
            ]),
            mode: random.pick(&[
                AckMode::OnNextRead,
                AckMode::Interval(Duration::from_secs(3)),
                AckMode::OnRead,
            ]),
            doubts: Vec::new(),
            growth: None,
            closed: false,
            tolerant: false,
            rotten: false,
            unique: 0,
            epoch: 0,
            random,
        }
    }

    /// A new item.
    pub(super) fn item(&mut self, key: Option<u8>) -> Item {
        self.unique += 1;
        (self.make)(self.unique, key, self.clock.wall(), &mut self.random)
    }

    /// Opens the stream as the next process does, after a start of the machine: the monotonic face
    /// of the clock begins anew.
    pub(super) fn open(&mut self) -> Result<Stream> {
        self.clock = ManualClock::at(self.clock.wall());
        let partitions = u32::try_from(self.partitions.len()).expect("there are few");
        let trial = Trial { salts: Some(self.random.next()), controls: self.controls };
        let mut options = StreamOptions::default();
        if self.growth.is_none() {
            options = options.partitions(partitions);
        }
        options
            .segment_bytes(self.segment_bytes)
            .durability(self.durability)
            .clock(self.clock.clone())
            .on_trial(Arc::new(self.disk.clone()), trial)
    }

    /// Notes that there are so many partitions.
    pub(super) fn grow(&mut self, partitions: usize) {
        self.partitions.resize_with(partitions, Partition::default);
        self.groups.values_mut().for_each(|group| group.grow(partitions));
        self.growth = None;
    }

    /// Notes what the stream says is durable.
    pub(super) fn believe(&mut self, stream: &Stream) {
        let Ok(info) = stream.info() else { return };
        for (partition, info) in self.partitions.iter_mut().zip(info.partitions) {
            let durable = usize::try_from(info.durable_end).expect("there are few entries");
            partition.synced = partition.synced.max(durable.min(partition.items.len()));
        }
    }

    /// Notes that all that was done so far was made durable.
    pub(super) fn all_synced(&mut self) {
        for partition in &mut self.partitions {
            partition.synced = partition.items.len();
        }
        self.groups.values_mut().for_each(Model::all_synced);
    }

    /// Whether a failed call is in order: the power is off, or failures were ordered.
    pub(super) fn forgive(&self, doing: &str, error: &Error) -> Verdict {
        let cause = match error {
            Error::Unsettled { cause, .. } => cause,
            error => error,
        };
        let typed = matches!(cause, Error::Io { .. } | Error::DiskFull { .. })
            || cause.is_poisoned()
            || matches!(cause, Error::GroupDeleted);
        let newer = matches!(cause, Error::NewerFormat { .. });
        let rot = self.rotten && (cause.is_corrupt() || newer);
        if self.disk.is_off() || rot || (self.tolerant && typed) {
            return Ok(());
        }
        Err(format!("{doing}: {error}"))
    }

    /// Compares all of a stream that was just opened, and takes it over as what must be there.
    pub(super) fn judge(&mut self, stream: &Stream) -> Verdict<Judged> {
        if self.closed && !stream.recovery().is_clean() {
            return Err("a closed stream was recovered".to_owned());
        }
        self.closed = false;
        let partitions = stream.partitions() as usize;
        if partitions != self.partitions.len() && Some(partitions) != self.growth {
            return Err(format!("{} partitions became {partitions}", self.partitions.len()));
        }
        self.grow(partitions);
        let info = stream.info().map_err(|error| error.to_string())?;
        if info.partitions.iter().any(|partition| partition.durable_end != partition.end) {
            return Err("what recovery serves is not durable".to_owned());
        }
        for (partition, info) in self.partitions.iter_mut().zip(&info.partitions) {
            let start = usize::try_from(info.start).expect("there are few entries");
            if start < partition.gone || start > partition.start {
                let (gone, may) = (partition.gone, partition.start);
                return Err(format!("it starts at {start}, and {gone} to {may} were trimmed"));
            }
            (partition.gone, partition.start) = (start, start);
        }
        let Some(found) = self.read_all(stream)? else {
            self.believe(stream);
            return Ok(Judged::CutShort);
        };
        for (number, (partition, found)) in self.partitions.iter_mut().zip(&found).enumerate() {
            let judged = partition.judge(found, &self.doubts);
            judged.map_err(|complaint| format!("partition {number}: {complaint}"))?;
        }
        self.doubts.clear();
        self.judge_keys()?;
        self.judge_groups(stream)
    }

    /// All entries by partition, those that were trimmed included; nothing if the power went
    /// meanwhile.
    pub(super) fn read_all(&mut self, stream: &Stream) -> Verdict<Option<Vec<Vec<Item>>>> {
        let trimmed = self.partitions.iter().map(|p| p.items[..p.start].to_vec());
        let mut found: Vec<Vec<Item>> = trimmed.collect();
        let reader = match stream.reader(Start::Earliest) {
            Ok(reader) => reader.until_now(),
            Err(error) => return self.forgive("reader", &error).map(|()| None),
        };
        loop {
            let max = 1 + self.random.below(20);
            let entries = match reader.try_read(u32::try_from(max).expect("it is small")) {
                Ok(entries) => entries,
                Err(error) => return self.forgive("reading all", &error).map(|()| None),
            };
            if entries.is_empty() {
                return Ok(Some(found));
            }
            for entry in entries {
                let into: &mut Vec<Item> = &mut found[entry.id().partition() as usize];
                if entry.id().offset() != into.len() as u64 {
                    return Err(format!("{} came after {} entries", entry.id(), into.len()));
                }
                into.push(Item::of(&entry));
            }
        }
    }

    fn judge_groups(&mut self, stream: &Stream) -> Verdict<Judged> {
        let found = stream.groups();
        if let Some(name) = found.iter().find(|name| !self.groups.contains_key(name.as_str())) {
            return Err(format!("the group {name} came back"));
        }
        let names: Vec<&'static str> = self.groups.keys().copied().collect();
        for name in names {
            let model = self.groups.get_mut(name).expect("it was listed");
            if !found.iter().any(|found| found == name) {
                if model.existence == Existence::Sure {
                    return Err(format!("the group {name} is lost"));
                }
                self.groups.remove(name);
                continue;
            }
            let sight = stream.group(name).open_existing().and_then(|group| Sight::of(&group));
            let sight = match sight {
                Ok(sight) => sight,
                Err(error) => {
                    return self.forgive(name, &error).map(|()| Judged::CutShort);
                }
            };
            let model = self.groups.get_mut(name).expect("it was listed");
            let judged = model.judge(&sight, &self.partitions);
            judged.map_err(|complaint| format!("group {name}: {complaint}"))?;
        }
        Ok(Judged::Whole)
    }

    /// Compares an entry that was served.
    pub(super) fn check(&self, entry: &Entry) -> Verdict {
        let partition = &self.partitions[entry.id().partition() as usize];
        let offset = usize::try_from(entry.id().offset()).expect("there are few entries");
        match partition.items.get(offset) {
            Some(item) if *item == Item::of(entry) => Ok(()),
            Some(_) => Err(format!("{} holds something else", entry.id())),
            None => Err(format!("{} was never appended", entry.id())),
        }
    }
}
