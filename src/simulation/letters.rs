//! A stream and its dead-letter stream on one disk, cut together, or with a call that fails: each
//! entry that is given up has one letter in the end, never two and never none.
//!
//! # Invariants
//! 1. Payloads are unique, so two letters of one entry are two entries of one payload.
//! 2. An entry whose letter was seen with the power on is settled: it never comes again.
//! 3. In the end every entry that the stream holds was acked at some time, or has its letter.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::world::Verdict;
use crate::backoff::Backoff;
use crate::clock::{Clock, ManualClock};
use crate::durability::Durability;
use crate::engine::Trial;
use crate::error::Result;
use crate::group::Group;
use crate::letter::DeadLetter;
use crate::options::StreamOptions;
use crate::policy::Exhausted;
use crate::start::Start;
use crate::storage::simulated::random::Random;
use crate::storage::simulated::{FailMode, Simulated};
use crate::storage::{Access, Region, Storage};
use crate::stream::Stream;

/// One of two streams on a disk: its names have a prefix.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) disk: Simulated,
    pub(super) prefix: &'static str,
}

impl Half {
    fn path(&self, path: &str) -> String {
        if path.is_empty() { String::new() } else { format!("{}{path}", self.prefix) }
    }
}

impl Storage for Half {
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        // The disk has one lock, which is the first half's.
        if self.prefix == "a-" { self.disk.lock(make) } else { Ok(Box::new(())) }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let names = self.disk.list(&self.path(dir))?;
        if !dir.is_empty() {
            return Ok(names);
        }
        let own = names.iter().filter_map(|name| name.strip_prefix(self.prefix));
        Ok(own.map(str::to_owned).collect())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(&self.path(dir))
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.disk.create(&self.path(path), bytes)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        self.disk.open(&self.path(path), access)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.path(from), &self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(&self.path(path))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.remove_dir(&self.path(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(&self.path(dir))
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.disk.locate(&self.path(path))
    }

    fn forked(&self) -> bool {
        self.disk.forked()
    }
}

/// Both streams, and what is known of their entries.
struct Pair {
    disk: Simulated,
    clock: ManualClock,
    random: Random,
    durabilities: [Durability; 2],
    /// Failures were ordered, so calls may fail.
    tolerant: bool,
    appended: u64,
    acked: BTreeSet<Vec<u8>>,
    lettered: BTreeSet<Vec<u8>>,
}

/// Both, open.
struct Open {
    orders: Stream,
    letters: Stream,
    group: Group,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let levels = [Durability::Os, Durability::Os, Durability::Always];
        let durabilities = [random.pick(&levels), random.pick(&levels)];
        let disk = Simulated::new(random.next());
        let clock = ManualClock::new();
        let (acked, lettered) = (BTreeSet::new(), BTreeSet::new());
        Self { disk, clock, random, durabilities, tolerant: false, appended: 0, acked, lettered }
    }

    fn half(&mut self, n: usize) -> Result<Stream> {
        let half = Half { disk: self.disk.clone(), prefix: ["a-", "b-"][n] };
        let trial = Trial { salts: Some(self.random.next()), ..Trial::default() };
        let options = StreamOptions::default().segment_bytes(8192).clock(self.clock.clone());
        let options = options.durability(self.durabilities[n]);
        let fresh = half.list("").is_ok_and(|names| names.is_empty());
        let options = if fresh { options.partitions(2) } else { options };
        options.on_trial(Arc::new(half), trial)
    }

    fn open(&mut self) -> Result<Open> {
        self.clock = ManualClock::at(self.clock.wall());
        let orders = self.half(0)?;
        let letters = self.half(1)?;
        let group = orders
            .group("g")
            .max_deliveries(2)
            .backoff(Backoff::fixed(Duration::from_secs(1)))
            .on_exhausted(Exhausted::DeadLetter(letters.clone()))
            .open(Start::Earliest)?;
        Ok(Open { orders, letters, group })
    }

    /// Whether a call may have failed.
    fn forgive<T>(&self, doing: &str, outcome: Result<T>) -> Verdict<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(_) if self.tolerant || self.disk.is_off() => Ok(None),
            Err(error) => Err(format!("{doing}: {error}")),
        }
    }

    /// Reads the letters; there are never two of one entry.
    fn look(&mut self, letters: &Stream) -> Verdict {
        let mut found = BTreeSet::new();
        let Some(reader) = self.forgive("reader", letters.reader(Start::Earliest))? else {
            return Ok(());
        };
        let reader = reader.until_now();
        loop {
            let Some(read) = self.forgive("letters", reader.try_read(50))? else { return Ok(()) };
            if read.is_empty() {
                break;
            }
            for entry in read.into_iter().filter(|entry| entry.payload() != b"noise") {
                let Some(letter) = DeadLetter::of(&entry) else {
                    return Err(format!("{} is no letter", entry.id()));
                };
                if !found.insert(entry.payload().to_vec()) {
                    return Err(format!("two letters of {}", letter.origin()));
                }
                if letter.first_delivered().is_none() || letter.last_delivered().is_none() {
                    return Err(format!("{} does not know when it was given", letter.origin()));
                }
            }
        }
        if let Some(gone) = self.lettered.difference(&found).next() {
            return Err(format!("the letter {gone:?} is gone"));
        }
        // A letter shows from its append on, and the power may have gone before its flush: then its
        // entry is not settled either, and another letter follows.
        if !self.disk.is_off() {
            self.lettered = found;
        }
        Ok(())
    }

    /// What happens between an opening and its end.
    fn act(&mut self, open: &Open, steps: usize) -> Verdict {
        let Some(worker) = self.forgive("join", open.group.join("w"))? else { return Ok(()) };
        for _ in 0..steps {
            match self.random.below(9) {
                // Others append there, too, and do not wait for the disk.
                8 => drop(self.forgive("noise", open.letters.append("noise"))?),
                0..=2 => {
                    self.appended += 1;
                    let text = format!("entry {}", self.appended);
                    let key = self.random.below(5).to_string();
                    let entry = crate::entry::NewEntry::new(&text).key(&key);
                    let appended = open.orders.append(entry);
                    self.forgive("append", appended)?;
                }
                3 => self.clock.advance(Duration::from_secs(1)),
                4 => drop(self.forgive("maintain", open.orders.maintain())?),
                _ => {
                    let max = 1 + self.random.below(6);
                    let read = worker.try_read(u32::try_from(max).expect("it is small"));
                    let Some(batch) = self.forgive("read", read)? else { continue };
                    for delivery in batch {
                        self.resolve(delivery)?;
                    }
                }
            }
            if self.disk.is_off() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn resolve(&mut self, delivery: crate::delivery::Delivery) -> Verdict {
        let payload = delivery.payload().to_vec();
        if self.lettered.contains(&payload) {
            return Err(format!("{} came again after its letter", delivery.id()));
        }
        let done = match self.random.below(5) {
            0 => {
                self.acked.insert(payload);
                delivery.ack()
            }
            1 => delivery.nack(),
            2 => {
                drop(delivery);
                return Ok(());
            }
            _ => delivery.reject("bad"),
        };
        self.forgive("resolve", done).map(drop)
    }

    /// One life of both, to its end or to a cut.
    fn live(&mut self, steps: usize) -> Verdict {
        let opened = self.open();
        let Some(open) = self.forgive("open", opened)? else { return Ok(()) };
        self.look(&open.letters)?;
        self.act(&open, steps)?;
        if self.random.coin() {
            // What the handles do when they are dropped no longer reaches the disk.
            let killed = self.disk.crash_process();
            self.disk.cut();
            drop(open);
            self.disk = killed;
        }
        Ok(())
    }

    /// The last life: all that is left is given up, and what must be there is.
    fn settle(&mut self) -> Verdict {
        let failed = |error: crate::error::Error| error.to_string();
        let open = self.open().map_err(failed)?;
        self.look(&open.letters)?;
        let worker = open.group.join("w").map_err(failed)?;
        while open.group.lag().map_err(failed)? > 0 {
            for delivery in worker.try_read(100).map_err(failed)? {
                if self.lettered.contains(delivery.payload()) {
                    return Err(format!("{} came again after its letter", delivery.id()));
                }
                delivery.reject("over").map_err(failed)?;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        let info = open.group.info().map_err(failed)?;
        if info.exhausted > 0 || info.partitions.iter().any(|p| p.floor != p.end) {
            return Err(format!("something is stuck: {info:?}"));
        }
        self.look(&open.letters)?;
        let all = open.orders.reader(Start::Earliest).map_err(failed)?.until_now();
        loop {
            let read = all.try_read(100).map_err(failed)?;
            if read.is_empty() {
                return Ok(());
            }
            for entry in &read {
                let known = [&self.acked, &self.lettered];
                if !known.iter().any(|set| set.contains(entry.payload())) {
                    return Err(format!("no letter of {}", entry.id()));
                }
            }
        }
    }
}

/// Several lives, each cut anywhere. Says how often the power was cut.
fn cut(seed: u64) -> Verdict<u64> {
    let mut pair = Pair::new(seed);
    let mut cuts = 0;
    for _ in 0..4 {
        let reach = pair.random.pick(&[30, 100, 300]);
        let at = pair.disk.effects() + 1 + pair.random.below(reach) as u64;
        pair.disk.cut_at(at);
        let steps = pair.random.below(40);
        pair.live(steps)?;
        let (seed, power) = (pair.random.next(), pair.disk.is_off() || pair.random.coin());
        pair.disk = if power { pair.disk.reboot(seed) } else { pair.disk.crash_process() };
        cuts += u64::from(power);
    }
    pair.settle().map(|()| cuts)
}

#[test]
fn each_entry_has_one_letter_wherever_the_power_is_cut() {
    let wanted = std::env::var("MILLSTREAM_CUTS").ok().and_then(|cuts| cuts.parse().ok());
    let (mut cuts, mut seed) = (0, 0);
    while cuts < wanted.unwrap_or(6_000) {
        cuts += cut(seed).unwrap_or_else(|complaint| panic!("seed {seed}: {complaint}"));
        seed += 1;
    }
}

/// The power goes between a letter's append and its flush, and the letter shows all the same.
#[test]
fn a_letter_that_was_never_durable_may_be_written_again() {
    cut(47_591).unwrap();
}

/// A letter shows from its append on. What the power takes before its flush was nobody's to believe:
/// its entry is not settled, and another letter follows.
#[test]
fn a_letter_that_showed_and_went_with_the_power_is_written_again() {
    let (mut showed_and_went, mut stayed) = (0, 0);
    for (effect, seed) in (1..40).flat_map(|effect| (0..4).map(move |seed| (effect, seed))) {
        let mut pair = Pair::new(0);
        pair.durabilities = [Durability::Os; 2];
        let open = pair.open().unwrap();
        open.orders.append("entry").unwrap();
        let worker = open.group.join("w").unwrap();
        let held = worker.try_read(1).unwrap().into_iter().next().unwrap();
        open.orders.sync().unwrap();
        pair.disk.cut_at(pair.disk.effects() + effect);
        // It may have ended behind the cut, or not.
        drop(held.reject("bad"));
        let count = |letters: &Stream| letters.info().unwrap().entries();
        let showed = count(&open.letters);
        pair.disk.cut();
        drop((worker, open));
        pair.disk = pair.disk.reboot(seed);
        let found = count(&pair.half(1).unwrap());
        showed_and_went += usize::from(showed > found);
        stayed += usize::from(showed == 1 && found == 1);
        pair.settle().unwrap();
        assert_eq!(pair.lettered.len(), 1, "cut at effect {effect}, seed {seed}");
    }
    assert!(showed_and_went > 0 && stayed > 0, "{showed_and_went} went, {stayed} stayed");
}

/// A life with an ordered failure, and the judgement. Says how many calls there were.
fn fail(seed: u64, nth: Option<(u64, FailMode, io::ErrorKind)>) -> Verdict<u64> {
    let mut pair = Pair::new(seed);
    pair.tolerant = true;
    if let Some((nth, mode, kind)) = nth {
        pair.disk.fail_call(nth, mode, kind);
    }
    for _ in 0..2 {
        pair.live(25)?;
    }
    let calls = pair.disk.calls();
    pair.disk.heal();
    pair.disk = pair.disk.crash_process();
    pair.tolerant = false;
    pair.settle().map(|()| calls)
}

#[test]
fn each_entry_has_one_letter_whichever_call_fails() {
    for (mode, kind) in [
        (FailMode::Once, io::ErrorKind::Other),
        (FailMode::Forever, io::ErrorKind::Other),
        (FailMode::Once, io::ErrorKind::StorageFull),
    ] {
        for seed in 0..2 {
            let calls = fail(seed, None).expect("nothing fails");
            for nth in 1..=calls {
                let verdict = fail(seed, Some((nth, mode, kind)));
                assert!(verdict.is_ok(), "seed {seed}, call {nth} {mode:?}: {verdict:?}");
            }
        }
    }
}
