//! One life of a stream: a random workload between opening it and its end.
//!
//! # Invariant
//! Every call's outcome is told to the world before the next call. A call that fails is in order
//! only if the world says so; what it may have done all the same becomes a doubt.

use std::collections::BTreeMap;
use std::time::Duration;

use super::groups::{Existence, Model};
use super::item::Item;
use super::rules::Rules;
use super::workers::{Held, Worker};
use super::world::{Strategy, Verdict, World};
use crate::assign::{CooperativeSticky, Range, RoundRobin, Sticky};
use crate::backoff::Backoff;
use crate::delivery::Settlement;
use crate::durability::Durability;
use crate::error::{Error, Lost, Result};
use crate::group::Group;
use crate::id::{EntryId, Token};
use crate::ledger;
use crate::options::GroupOptions;
use crate::policy::{AckMode, Exhausted};
use crate::start::Start;
use crate::stream::Stream;

/// The groups there may be.
const NAMES: [&str; 4] = ["parking", "discarding", "sifting", IMPLIED];
/// The one in which each partition is one member's.
pub(super) const OWNED: &str = "discarding";
/// The one in which entries are settled without a verdict.
pub(super) const IMPLIED: &str = "implied";
/// No stream grows beyond so many partitions.
const PARTITIONS_MAX: usize = 6;
pub(super) const LEASE: Duration = Duration::from_secs(10);
const SESSION: Duration = Duration::from_secs(60);
/// So short that it is over before a lease is.
const REVOCATION: Duration = Duration::from_secs(4);

/// A stream that is open, and the handles of it.
pub(super) struct Life<'w> {
    pub(super) world: &'w mut World,
    pub(super) stream: Stream,
    pub(super) groups: BTreeMap<&'static str, Group>,
    pub(super) workers: Vec<Worker>,
    pub(super) held: Vec<Held>,
    pub(super) tokens: Vec<(&'static str, u64, Token)>,
}

/// The options that a group of that name always has.
pub(super) fn options(stream: &Stream, name: &str, world: &World) -> (GroupOptions, Rules) {
    let (max_deliveries, exhausted) =
        if name == "parking" { (3, Exhausted::Park) } else { (4, Exhausted::Discard) };
    let rule = if name == "parking" { ledger::Exhausted::Park } else { ledger::Exhausted::Discard };
    let options = stream
        .group(name)
        .lease(LEASE)
        .session_timeout(SESSION)
        .max_deliveries(max_deliveries)
        .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(20)))
        .on_exhausted(exhausted)
        .revocation_timeout(REVOCATION);
    let ack = if name == IMPLIED { world.mode } else { AckMode::Explicit };
    let options = options.ack_mode(ack);
    if name == "sifting" {
        let takes = |subject: Option<&str>| subject.is_some_and(|text| text.starts_with("order."));
        let rules = Rules { max_deliveries, exhausted: rule, ack, takes };
        return (options.filter("order.*"), rules);
    }
    let options = match world.strategy {
        _ if name != OWNED => options,
        Strategy::Range => options.strategy(Range),
        Strategy::RoundRobin => options.strategy(RoundRobin),
        Strategy::Sticky => options.strategy(Sticky),
        Strategy::CooperativeSticky => options.strategy(CooperativeSticky),
    };
    (options, Rules { max_deliveries, exhausted: rule, ack, takes: |_| true })
}

impl<'w> Life<'w> {
    pub(super) fn new(world: &'w mut World, stream: Stream) -> Self {
        Self {
            world,
            stream,
            groups: BTreeMap::new(),
            workers: Vec::new(),
            held: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Does one thing. Nothing is done once the power is off.
    pub(super) fn step(&mut self) -> Verdict {
        match self.world.random.below(51) {
            0..=6 => self.append(),
            7..=9 => self.append_batch(),
            10 => self.append_each(),
            11..=17 => self.read(),
            18..=22 => self.ack(),
            23 => self.nack(),
            24 => self.release(),
            25 => self.reject(),
            26..=27 => {
                self.forget();
                Ok(())
            }
            28 => self.extend(),
            29 => self.ack_tokens(),
            30 => self.join(),
            31 => self.leave(),
            32 => {
                self.advance();
                Ok(())
            }
            33 => self.redrive(),
            34 => self.skip(),
            35 => self.sync(),
            36 => self.maintain(),
            37 => self.open_group(),
            38 => self.look(),
            39 => self.add_partitions(),
            40..=41 => self.watch(),
            42 => self.ack_through(),
            43 => self.reset(),
            44 => self.trim(),
            45..=46 => self.steer(),
            47..=48 => self.append_unique(),
            49 => self.append_behind(),
            _ => self.delete_group(),
        }?;
        self.world.believe(&self.stream);
        Ok(())
    }

    pub(super) fn always(&self) -> bool {
        self.world.durability == Durability::Always
    }

    pub(super) fn key(&mut self) -> Option<u8> {
        let random = &mut self.world.random;
        random.coin().then(|| u8::try_from(random.below(5)).expect("it is small"))
    }

    pub(super) fn appended(&mut self, partition: u32, first: u64, items: Vec<Item>) -> Verdict {
        let durable = self.always();
        let partition = &mut self.world.partitions[partition as usize];
        if first != partition.items.len() as u64 {
            return Err(format!("appended at {first}, behind {} entries", partition.items.len()));
        }
        partition.append(items);
        if durable {
            partition.synced = partition.items.len();
        }
        Ok(())
    }

    /// An append failed: all of it may be there.
    pub(super) fn doubt(&mut self, error: &Error, items: Vec<Item>) -> Verdict {
        if !error.is_disk_full() {
            self.world.doubts.push(items);
        }
        self.world.forgive("append", error)
    }

    pub(super) fn append(&mut self) -> Verdict {
        let key = self.key();
        let item = self.world.item(key);
        let appended = self.stream.append(item.entry());
        match appended {
            Ok(id) => self.appended(id.partition(), id.offset(), vec![item]),
            Err(error) => self.doubt(&error, vec![item]),
        }
    }

    pub(super) fn append_batch(&mut self) -> Verdict {
        let key = self.key();
        let count = 1 + self.world.random.below(6);
        let mut items: Vec<Item> = Vec::new();
        for _ in 0..count {
            items.push(self.world.item(key));
        }
        let appended = self.stream.append_batch(items.iter().map(Item::entry));
        match appended {
            Ok(ids) => {
                let first = ids.first().ok_or("a batch without ids")?;
                self.appended(first.partition(), first.offset(), items)
            }
            // A batch that is too large for the smallest segments is not appended.
            Err(Error::BatchTooLarge { .. }) => Ok(()),
            Err(error) => self.doubt(&error, items),
        }
    }

    fn append_each(&mut self) -> Verdict {
        if self.world.tolerant {
            // If one fails, nobody is told which of those before it are there.
            return Ok(());
        }
        let mut items: Vec<Item> = Vec::new();
        for _ in 0..=self.world.random.below(5) {
            let key = self.key();
            items.push(self.world.item(key));
        }
        let appended = self.stream.append_each(items.iter().map(Item::entry));
        match appended {
            Ok(ids) => {
                for (id, item) in ids.into_iter().zip(items) {
                    self.appended(id.partition(), id.offset(), vec![item])?;
                }
                Ok(())
            }
            Err(error) => {
                self.world.doubts.extend(items.into_iter().map(|item| vec![item]));
                self.world.forgive("append each", &error)
            }
        }
    }

    /// Makes every desk take in what dropped handles left.
    pub(super) fn stir(&mut self) -> Verdict<bool> {
        for (name, group) in &self.groups {
            if let Err(error) = group.info() {
                return self.world.forgive("info", &error).map(|()| false);
            }
            self.world.groups.get_mut(name).ok_or("a group without a model")?.settle_soon();
        }
        Ok(true)
    }

    pub(super) fn sync(&mut self) -> Verdict {
        if !self.stir()? {
            return Ok(());
        }
        match self.stream.sync() {
            Ok(()) => self.world.all_synced(),
            Err(error) => self.world.forgive("sync", &error)?,
        }
        Ok(())
    }

    fn maintain(&mut self) -> Verdict {
        if !self.stir()? {
            return Ok(());
        }
        self.world.clock.advance(Duration::from_secs(2));
        let done = self.stream.maintain();
        match (done, self.world.durability) {
            (Ok(_), Durability::Every(_)) => self.world.all_synced(),
            (Ok(_), _) => {}
            (Err(error), _) => self.world.forgive("maintain", &error)?,
        }
        Ok(())
    }

    fn advance(&mut self) {
        let seconds = self.world.random.pick(&[1, 3, 11, 70]);
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn open_group(&mut self) -> Verdict {
        let name = self.world.random.pick(&NAMES);
        let start = self.world.random.pick(&[0, 1, 2]);
        let ends = match self.stream.info() {
            Ok(info) => info.partitions.iter().map(|partition| partition.end).collect::<Vec<_>>(),
            Err(error) => return self.world.forgive("info", &error),
        };
        let first: Vec<u64> = self.world.partitions.iter().map(|p| p.start as u64).collect();
        let (start, starts) = match start {
            0 => (Start::Earliest, first),
            1 => (Start::Latest, ends),
            _ => {
                let mut starts = first;
                starts[0] = starts[0].max(ends[0] / 2);
                (Start::At(EntryId::new(0, starts[0])), starts)
            }
        };
        let (options, rules) = options(&self.stream, name, self.world);
        let known = match self.world.groups.get(name) {
            Some(model) if model.existence == Existence::Doubtful => return Ok(()),
            known => known.is_some(),
        };
        let opened = if known { options.open_existing() } else { options.open(start) };
        if !known {
            self.world.epoch += 1;
            self.world.groups.insert(name, Model::new(rules, starts, self.world.epoch));
        }
        match opened {
            Ok(group) => {
                self.world.groups.get_mut(name).ok_or("just made")?.existence = Existence::Sure;
                self.groups.insert(name, group);
                Ok(())
            }
            Err(error) => self.world.forgive("open group", &error),
        }
    }

    pub(super) fn delete_group(&mut self) -> Verdict {
        let name = self.world.random.pick(&NAMES);
        if self.world.random.coin() || !self.groups.contains_key(name) {
            return Ok(());
        }
        match self.groups[name].delete() {
            Ok(()) => {
                self.groups.remove(name);
                self.world.groups.remove(name);
                Ok(())
            }
            Err(error) => {
                self.world.groups.get_mut(name).ok_or("it is open")?.existence =
                    Existence::Doubtful;
                self.world.forgive("delete", &error)
            }
        }
    }

    /// Looks at what is there without changing it.
    fn look(&mut self) -> Verdict {
        let partition = self.world.random.below(self.world.partitions.len());
        let count = self.world.partitions[partition].items.len();
        if count == 0 {
            return Ok(());
        }
        let offset = self.world.random.below(count) as u64;
        let id = EntryId::new(u32::try_from(partition).expect("there are few"), offset);
        match self.stream.get(id) {
            Ok(Some(entry)) => self.world.check(&entry),
            Ok(None) if offset < self.world.partitions[partition].start as u64 => Ok(()),
            Ok(None) => Err(format!("{id} is gone")),
            Err(error) => self.world.forgive("get", &error),
        }
    }

    /// Adds partitions, as long as there are few. What fails changes nothing, unless nothing can be
    /// known of the disk any more.
    pub(super) fn add_partitions(&mut self) -> Verdict {
        let before = self.world.partitions.len();
        let count = 1 + self.world.random.below(2);
        if before + count > PARTITIONS_MAX {
            return Ok(());
        }
        let added = self.stream.add_partitions(u32::try_from(count).expect("it is small"));
        let after = self.stream.partitions() as usize;
        match added {
            Ok(number) if number as usize == before + count && after == before + count => {
                self.world.grow(after);
                Ok(())
            }
            Ok(_) => Err(format!("{before} partitions and {count} became {after}")),
            Err(_) if after != before => Err(format!("{after} partitions after a failure")),
            Err(error) => {
                if self.world.disk.is_off() || error.is_poisoned() {
                    // If an earlier one failed like that, this one was refused.
                    self.world.growth.get_or_insert(before + count);
                }
                self.world.forgive("add partitions", &error)
            }
        }
    }

    /// Ends all handles, one way or another. Whether the stream was closed.
    pub(super) fn end(mut self) -> Verdict<bool> {
        let by_drop = self.world.random.one_in(3);
        if by_drop || self.world.random.coin() {
            self.forget_all();
            self.workers.clear();
        }
        if !self.world.tolerant {
            self.world.groups.values_mut().for_each(Model::settle_soon);
        }
        let closed = if by_drop {
            self.groups.clear();
            let Self { stream, .. } = self;
            drop(stream);
            Ok(())
        } else {
            self.stream.close()
        };
        match closed {
            // Nobody is told how the flush of a drop went.
            Ok(()) => Ok(!(self.world.disk.is_off() || by_drop && self.world.tolerant)),
            Err(error) => self.world.forgive("close", &error).map(|()| false),
        }
    }
}

/// What a call for many came to for one of them.
pub(super) fn outcome_of(outcome: &Result<Settlement>, id: EntryId) -> Result<()> {
    match outcome {
        Ok(settlement) => match settlement.refused.iter().find(|refused| refused.0 == id) {
            Some((_, why)) => Err(Error::LeaseLost { id, why: *why }),
            None => Ok(()),
        },
        Err(error) if error.is_disk_full() => Err(Error::LeaseLost { id, why: Lost::Taken }),
        Err(error) => Err(Error::Poisoned { cause: error.to_string().into() }),
    }
}
