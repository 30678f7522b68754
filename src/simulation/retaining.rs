//! Retention on a disk that fails: appends, acks and trims of a small stream, cut short anywhere.
//!
//! # The oracle
//! 1. A partition is one run of what was appended, byte for byte, that reaches at least to what was
//!    durable. It starts no earlier than it was seen to, and ids go on at its end.
//! 2. Under `settled` nothing is gone that some group was not told to be done with, and no group counts
//!    a loss, whatever the power took. Under a limit at least so many entries stay.
//! 3. A trim counts for each group what it loses, by kind, as the group showed it before; and what
//!    was acked, lost, is parked and is still to do is together all that there ever was.
//! 4. Each group gets all that it is owed, and then all but the newest segment may go.

mod life;
mod runs;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::world::Verdict;
use crate::clock::{Clock, ManualClock};
use crate::durability::Durability;
use crate::engine::Trial;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::id::EntryId;
use crate::options::StreamOptions;
use crate::retention::Retention;
use crate::start::Start;
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;
use crate::stream::Stream;

const GROUPS: [&str; 2] = ["a", "b"];
const SEGMENT_BYTES: u64 = 4096;
/// So many entries at least stay under the limit by number.
const ENTRIES: u64 = 5;
const AGE: Duration = Duration::from_secs(40);

/// What must be true of a disk.
struct World {
    random: Random,
    disk: Simulated,
    clock: ManualClock,
    durability: Durability,
    retention: Retention,
    /// What was appended to each partition.
    items: Vec<Vec<Vec<u8>>>,
    durable: Vec<usize>,
    starts: Vec<u64>,
    doubts: Vec<Vec<u8>>,
    /// What each group was told to be done with, whether that worked or not.
    done: BTreeSet<(usize, EntryId)>,
    /// Calls may fail although the power is on.
    tolerant: bool,
    /// The power took entries that were acked: totals speak of them still.
    shortened: bool,
    unique: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let second = Duration::from_secs(1);
        let durability = [Durability::Os, Durability::Every(second), Durability::Always];
        let retention = [
            Retention::settled(),
            Retention::settled().entries(ENTRIES),
            Retention::keep_all().entries(ENTRIES),
            Retention::keep_all().bytes(3 * SEGMENT_BYTES),
            Retention::keep_all().age(AGE),
        ];
        let partitions = 1 + random.below(2);
        Self {
            disk: Simulated::new(random.next()),
            clock: ManualClock::new(),
            durability: random.pick(&durability),
            retention: random.pick(&retention),
            items: vec![Vec::new(); partitions],
            durable: vec![0; partitions],
            starts: vec![0; partitions],
            doubts: Vec::new(),
            done: BTreeSet::new(),
            tolerant: false,
            shortened: false,
            unique: 0,
            random,
        }
    }

    fn open(&mut self) -> Result<Stream> {
        self.clock = ManualClock::at(self.clock.wall());
        let partitions = u32::try_from(self.items.len()).expect("there are few");
        let trial = Trial { salts: Some(self.random.next()), ..Trial::default() };
        StreamOptions::default()
            .segment_bytes(SEGMENT_BYTES)
            .partitions(partitions)
            .durability(self.durability)
            .retention(self.retention)
            .clock(self.clock.clone())
            .on_trial(Arc::new(self.disk.clone()), trial)
    }

    /// Whether a failed call is in order: the power is off, or failures were ordered.
    fn forgive(&self, doing: &str, error: &Error) -> Verdict {
        let typed = matches!(error, Error::Io { .. }) || error.is_disk_full();
        let full = error.is_stream_full() && self.retention.settled;
        if self.disk.is_off() || full || (self.tolerant && (typed || error.is_poisoned())) {
            return Ok(());
        }
        Err(format!("{doing}: {error}"))
    }

    /// Compares a stream that was just opened, and takes it over as what is there.
    fn judge(&mut self, stream: &Stream, groups: &[Group]) -> Verdict {
        let told = |error: Error| error.to_string();
        let info = stream.info().map_err(told)?;
        let reader = stream.reader(Start::Earliest).map_err(told)?.until_now();
        let mut found = vec![Vec::new(); self.items.len()];
        for entry in reader.try_read(10_000).map_err(told)? {
            found[entry.id().partition() as usize].push((entry.id(), entry.payload().to_vec()));
        }
        for (partition, found) in found.iter().enumerate() {
            let (start, end) = (info.partitions[partition].start, info.partitions[partition].end);
            let offsets = found.iter().map(|(id, _)| id.offset());
            if !offsets.eq(start..end) {
                return Err(format!("partition {partition} is not all from {start} to {end}"));
            }
            self.judge_partition(partition, start, found)?;
        }
        for group in groups {
            self.judge_group(group, &info.partitions.iter().map(|p| p.end).collect::<Vec<_>>())?;
        }
        self.doubts.clear();
        Ok(())
    }

    fn judge_partition(&mut self, p: usize, start: u64, found: &[(EntryId, Vec<u8>)]) -> Verdict {
        let end = start + found.len() as u64;
        if end < self.durable[p] as u64 {
            return Err(format!("partition {p} ends at {end}, not {}", self.durable[p]));
        }
        if start < self.starts[p] && !self.tolerant {
            return Err(format!("partition {p} starts at {start}, not {}", self.starts[p]));
        }
        let limited = self.retention.entries.is_some() && !self.retention.settled;
        if limited && start > 0 && end - start < ENTRIES {
            return Err(format!("{} entries of partition {p} are left", end - start));
        }
        for (id, payload) in found {
            let offset = usize::try_from(id.offset()).expect("there are few");
            match self.items[p].get(offset) {
                Some(item) if item == payload => {}
                None if offset == self.items[p].len() && self.doubts.contains(payload) => {
                    self.items[p].push(payload.clone());
                }
                _ => return Err(format!("{id} is not what was appended")),
            }
        }
        let end = usize::try_from(end).expect("there are few");
        self.shortened |= end < self.items[p].len();
        self.items[p].truncate(end);
        (self.durable[p], self.starts[p]) = (end, start);
        let partition = u32::try_from(p).expect("there are few");
        self.done.retain(|(_, id)| id.partition() != partition || id.offset() < end as u64);
        for (group, offset) in (0..GROUPS.len()).flat_map(|g| (0..start).map(move |at| (g, at))) {
            let id = EntryId::new(partition, offset);
            if self.retention.settled && !self.done.contains(&(group, id)) {
                return Err(format!("{id} is gone, and {} was not done", GROUPS[group]));
            }
        }
        Ok(())
    }

    fn judge_group(&self, group: &Group, ends: &[u64]) -> Verdict {
        let info = group.info().map_err(|error| error.to_string())?;
        let (name, trimmed) = (group.name(), info.trimmed);
        if self.retention.settled && !trimmed.is_empty() {
            return Err(format!("{name} lost {trimmed:?}"));
        }
        let parts = [info.acked, info.discarded, trimmed.entries(), info.parked, info.lag];
        let (sum, all): (u64, u64) = (parts.iter().sum(), ends.iter().sum());
        if sum == all || (self.shortened && sum > all) {
            return Ok(());
        }
        Err(format!("{name} knows of {sum} entries, not {all}: {parts:?}"))
    }

    /// All that is owed is delivered, and then all that is sealed may go. It happens on a copy.
    fn drain(&mut self) -> Verdict {
        let told = |error: Error| error.to_string();
        let (disk, copy) = (self.disk.clone(), self.disk.crash_process());
        self.disk = copy;
        let stream = self.open().map_err(told)?;
        self.disk = disk;
        for name in GROUPS {
            let group = stream.group(name).open_existing().map_err(told)?;
            let worker = group.join("drain").map_err(told)?;
            let parked = group.parked(usize::MAX).map_err(told)?;
            let parked: Vec<EntryId> = parked.into_iter().map(|parked| parked.id).collect();
            group.discard_parked(&parked).map_err(told)?;
            for _ in 0..1_000 {
                if group.lag().map_err(told)? == 0 {
                    break;
                }
                let batch = worker.try_read(50).map_err(told)?;
                if batch.is_empty() {
                    self.clock.advance(Duration::from_secs(5));
                }
                if !batch.ack_all().map_err(told)?.is_complete() {
                    return Err("an ack was refused".to_owned());
                }
            }
            let lag = group.lag().map_err(told)?;
            if lag > 0 {
                return Err(format!("{lag} entries are stuck"));
            }
        }
        stream.trim().map_err(told)?;
        let info = stream.info().map_err(told)?;
        let mut ends: Vec<u64> = self.items.iter().map(|items| items.len() as u64).collect();
        if self.retention.settled && info.partitions.iter().any(|at| at.segments > 1) {
            return Err(format!("{:?} after all was settled", info.partitions));
        }
        for _ in 0..2 * ends.len() {
            let id = stream.append("next").map_err(told)?;
            let end = &mut ends[id.partition() as usize];
            if id.offset() != *end {
                return Err(format!("{id} follows {end} entries"));
            }
            *end += 1;
        }
        stream.close().map_err(told)
    }
}
