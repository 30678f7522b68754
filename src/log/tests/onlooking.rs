//! Looking on while somebody else owns the log: after whatever the owner did, and in the middle of
//! each store and call that it makes, what shows is whole, comes once, and is what the owner has.

mod beside;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use self::watched::{Turning, Watched};
use super::{
    ALL, Cursor, Item, Log, Outcome, OwnerKind, Run, Setup, Staging, append, new_disk, read_all,
    read_from, take,
};
use crate::error::Result;
use crate::log::{Followed, Mode, Settings};
use crate::storage::simulated::random::Random;
use crate::storage::simulated::{FailMode, Simulated};
use crate::storage::{Memory, Onlooker, Storage};

const SEEDS: u64 = 60;
const STEPS: usize = 120;

fn looking_at(setup: &Setup, storage: &(impl Storage + Clone + 'static)) -> Settings {
    let onlooker = Arc::new(Onlooker::new(Arc::new(storage.clone())));
    Settings { storage: onlooker, mode: Mode::Read, ..setup.settings(storage) }
}

/// One onlooker, and what it read.
struct Eye {
    log: Log,
    tail: Cursor,
    seen: BTreeMap<u64, Item>,
    /// The number that each item begins with.
    numbers: BTreeSet<u64>,
    missed: u64,
    /// Of each number, the first of its batch, and how long that is.
    calls: BTreeMap<u64, (u64, u64)>,
}

impl Eye {
    fn new(log: Log, calls: BTreeMap<u64, (u64, u64)>) -> Self {
        let tail = Cursor::at(0);
        Self { log, tail, seen: BTreeMap::new(), numbers: BTreeSet::new(), missed: 0, calls }
    }

    /// Looks, and reads all there is.
    fn look(&mut self) -> Result<(), String> {
        let said = |error| format!("refused: {error}");
        let _followed = self.log.follow().map_err(said)?;
        let mut run = Run::default();
        let mut last = None;
        loop {
            match self.log.read(&mut self.tail, ALL, &mut run).map_err(said)? {
                Outcome::Trimmed { start } => {
                    self.missed += start - self.tail.offset;
                    self.tail.seek(start);
                    continue;
                }
                Outcome::Copied if run.count == 0 => break,
                Outcome::Copied => {}
            }
            let mut items = Vec::new();
            take(&self.log, &run, &mut items).map_err(said)?;
            for (offset, item) in items {
                let number = u64::from_le_bytes(*item.payload.first_chunk().ok_or("no number")?);
                if !self.numbers.insert(number) {
                    return Err(format!("{number} came twice"));
                }
                self.seen.insert(offset, item);
                last = Some(number);
            }
        }
        let Some(last) = last else { return Ok(()) };
        let (first, count) = *self.calls.get(&last).ok_or_else(|| format!("phantom {last}"))?;
        if last + 1 == first + count {
            Ok(())
        } else {
            Err(format!("torn: {last} of {count} from {first}"))
        }
    }

    /// Compares what was read with what the owner's readers have.
    fn compare(&self, owner: &Log) -> Result<(), String> {
        let (start, end) = (self.log.start(), self.log.visible());
        if (start, end) != (owner.start(), owner.visible()) {
            let (first, visible) = (owner.start(), owner.visible());
            return Err(format!("sees {start}..{end}, not {first}..{visible}"));
        }
        let items = read_all(owner).map_err(|error| format!("the owner: {error}"))?;
        let again = read_all(&self.log).map_err(|error| format!("read again: {error}"))?;
        if again != items {
            return Err("read from the start it is something else".into());
        }
        if self.tail.offset != end {
            return Err(format!("the tail is at {}, not at {end}", self.tail.offset));
        }
        for (offset, item) in (start..).zip(items) {
            if self.seen.get(&offset) != Some(&item) {
                return Err(format!("{offset} is {:?}, not {item:?}", self.seen.get(&offset)));
            }
        }
        Ok(())
    }
}

/// An owner, and who looks on.
struct World {
    setup: Setup,
    disk: Simulated,
    turning: Turning,
    random: Random,
    unique: u64,
    eye: Arc<Mutex<Eye>>,
    /// What an onlooker in the middle of a call met.
    complaint: Arc<Mutex<Option<String>>>,
    /// Whether nobody looks: now and then much happens between two looks.
    asleep: Arc<AtomicBool>,
    /// The disk lost what was seen, and its owner has not said so yet: until then it is rot.
    lost: Arc<AtomicBool>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let setup = Setup::random(OwnerKind::Partition, &mut random);
        let disk = new_disk(seed);
        let turning = Turning::new(&disk);
        let (log, _) = Log::open(looking_at(&setup, &turning)).unwrap();
        let eye = Arc::new(Mutex::new(Eye::new(log, BTreeMap::new())));
        Self {
            setup,
            disk,
            turning,
            random,
            unique: 0,
            eye,
            complaint: Arc::default(),
            asleep: Arc::default(),
            lost: Arc::default(),
        }
    }

    /// The owner's storage: after each effect the onlooker looks.
    fn watched(&mut self) -> Watched {
        let (eye, disk) = (Arc::clone(&self.eye), self.disk.clone());
        let (complaint, lost) = (Arc::clone(&self.complaint), Arc::clone(&self.lost));
        let (asleep, setup) = (Arc::clone(&self.asleep), self.setup.clone());
        let random = Mutex::new(Random::new(self.random.next()));
        Watched::new(&self.disk, self.random.next(), move || {
            if disk.is_off() || asleep.load(Ordering::Relaxed) {
                return;
            }
            let mut eye = eye.lock();
            let looked = eye.look().and_then(|()| {
                let mut random = random.lock();
                // What shows is durable: it is there if the power goes now.
                if setup.staging == Staging::Off || !random.one_in(8) {
                    return Ok(());
                }
                let after = setup.open(&disk.reboot(random.next()));
                let end = after.map_err(|error| format!("stuck: {error}"))?.0.visible();
                let shown = eye.log.visible();
                if end < shown { Err(format!("shows {shown} of {end} durable")) } else { Ok(()) }
            });
            if let Err(error) = looked
                && !disk.is_off()
                && !(lost.load(Ordering::Relaxed) && error.contains("corrupt"))
            {
                complaint.lock().get_or_insert(error);
            }
        })
    }

    fn open(&mut self) -> Result<Log, String> {
        let storage = self.watched();
        let opened = self.setup.open(&storage).map_err(|error| format!("stuck: {error}"));
        self.lost.store(false, Ordering::Relaxed);
        Ok(opened?.0)
    }

    fn run(&mut self) -> Result<(), String> {
        let mut log = self.open()?;
        for step in 0..STEPS {
            let what = self.random.below(24);
            if self.random.one_in(8) {
                self.asleep.fetch_xor(true, Ordering::Relaxed);
            }
            let stepped = self.step(&mut log, what);
            stepped.map_err(|error| format!("step {step} ({what}): {error}"))?;
            if let Some(complaint) = self.complaint.lock().take() {
                return Err(format!("in the middle of step {step} ({what}): {complaint}"));
            }
            if self.asleep.load(Ordering::Relaxed) {
                continue;
            }
            let files = self.disk.files();
            let mut eye = self.eye.lock();
            let looked = eye.look().and_then(|()| eye.compare(&log));
            drop(eye);
            looked.map_err(|error| format!("after step {step} ({what}): {error}"))?;
            assert!(self.disk.files() == files, "an onlooker wrote");
        }
        Ok(())
    }

    fn step(&mut self, log: &mut Log, what: usize) -> Result<(), String> {
        let said = |error| format!("refused: {error}");
        match what {
            0 => {
                log.close().map_err(said)?;
                *log = self.open()?;
            }
            1 => {
                self.turn(self.disk.crash_process());
                *log = self.open()?;
            }
            2..=3 => {
                if self.random.coin() {
                    self.disk.cut_at(self.disk.effects() + 1 + self.random.below(30) as u64);
                    self.try_some(log);
                }
                self.disk.cut();
                let seed = self.random.next();
                // No onlooker outlives the power.
                self.turn(self.disk.reboot(seed));
                let before = self.look_fresh()?;
                *log = self.open()?;
                if self.setup.staging == Staging::Off && before != log.visible() {
                    return Err(format!("{before} shown before, and {} after", log.visible()));
                }
            }
            4 => {
                let call = self.disk.calls() + 1 + self.random.below(12) as u64;
                self.disk.fail_call(call, FailMode::Once, std::io::ErrorKind::Other);
                self.try_some(log);
                self.disk.heal();
                self.turn(self.disk.crash_process());
                // The onlooker may have met the failure.
                *self.complaint.lock() = None;
                self.lost.store(true, Ordering::Relaxed);
                *log = self.open()?;
            }
            5..=6 => {
                let span = usize::try_from(log.visible() - log.start()).unwrap();
                let offset = log.start() + self.random.below(span + 1) as u64;
                let _trimmed = log.trim_to(offset).map_err(said)?;
            }
            7..=9 => drop(log.flush_all().map_err(said)?),
            10 => log.prepare_spare(self.random.below(9000) as u64, 0).map_err(said)?,
            11 => log.drop_spare(),
            _ => self.append(log).map_err(said)?,
        }
        Ok(())
    }

    /// The owner goes on with what is left of its disk.
    fn turn(&mut self, disk: Simulated) {
        self.turning.turn(&disk);
        self.disk = disk;
    }

    fn try_some(&mut self, log: &Log) {
        for _ in 0..self.random.below(8) {
            let _ = self.append(log);
            if self.random.one_in(3) {
                let _ = log.flush_all();
            }
        }
    }

    fn append(&mut self, log: &Log) -> Result<()> {
        let count = self.random.pick(&[1, 1, 2, 3, 7]);
        let first = self.unique;
        // Of these a batch is several frames.
        let large = self.random.one_in(4);
        let random = &mut self.random;
        let items = (first..first + count).map(|number| {
            if large { numbered(number, 1500) } else { Item::random(number, false, random) }
        });
        let items: Vec<Item> = items.collect();
        self.unique += count;
        let calls = (0..count).map(|at| (first + at, (first, count)));
        self.eye.lock().calls.extend(calls);
        append(log, &items)
    }

    /// Somebody opens the log for reading before its owner does, and goes on. Says how far it shows.
    fn look_fresh(&self) -> Result<u64, String> {
        let opened = Log::open(looking_at(&self.setup, &self.turning));
        let (log, recovery) = opened.map_err(|error| format!("not opened: {error}"))?;
        if let Some(damage) = recovery.damage {
            return Err(format!("a power cut is taken for damage: {damage}"));
        }
        let mut eye = self.eye.lock();
        *eye = Eye::new(log, std::mem::take(&mut eye.calls));
        eye.look()?;
        Ok(eye.log.visible())
    }
}

#[test]
fn an_onlooker_sees_what_the_owner_has_whatever_the_owner_does() {
    let given = std::env::var("MILLSTREAM_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    for seed in given.map_or(1..SEEDS, |seed| seed..seed + 1) {
        let run = World::new(seed).run();
        assert!(run.is_ok(), "MILLSTREAM_SEED={seed}: {}", run.unwrap_err());
    }
}

fn numbered(number: u64, bytes: usize) -> Item {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(bytes, 0);
    Item { payload, ..Item::default() }
}

#[test]
fn a_look_says_what_happened_and_nothing_if_nothing_did() {
    let memory = Memory::new();
    drop(memory.lock(true).unwrap());
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let (seen, recovery) = Log::open(looking_at(&setup, &memory)).unwrap();
    assert_eq!((seen.follow().unwrap(), recovery.damage), (Followed::Same, None));
    let (log, _) = setup.open(&memory).unwrap();
    assert_eq!(seen.follow().unwrap(), Followed::Same);
    append(&log, &[numbered(0, 2500)]).unwrap();
    // Nothing was known, so nothing fails to hold.
    assert_eq!((seen.follow().unwrap(), seen.visible()), (Followed::Grown, 1));
    assert_eq!(seen.follow().unwrap(), Followed::Same);
    log.prepare_spare(0, 0).unwrap();
    assert_eq!(seen.follow().unwrap(), Followed::Same);
    append(&log, &[numbered(1, 2500)]).unwrap();
    assert_eq!((seen.follow().unwrap(), seen.segment_count()), (Followed::Grown, 2));
    let _trimmed = log.trim_to(1).unwrap();
    assert_eq!((seen.follow().unwrap(), seen.start()), (Followed::Grown, 1));
    log.close().unwrap();
    assert_eq!((seen.follow().unwrap(), seen.durable()), (Followed::Same, 2));
    let (log, _) = setup.open(&memory).unwrap();
    assert_eq!(seen.follow().unwrap(), Followed::Same);
    (2..9).for_each(|number| append(&log, &[numbered(number, 2500)]).unwrap());
    let _trimmed = log.trim_to(8).unwrap();
    // Nothing of what was known is left.
    assert_eq!((seen.follow().unwrap(), seen.start(), seen.visible()), (Followed::Anew, 8, 9));
}

#[test]
fn rot_below_a_floor_is_told_each_time_it_is_read_and_hides_nothing_else() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[numbered(0, 100)]).unwrap();
    let (seen, _) = Log::open(looking_at(&setup, &disk)).unwrap();
    append(&log, &[numbered(1, 100)]).unwrap();
    let behind = usize::try_from(log.bytes()).unwrap() + 128;
    append(&log, &[numbered(2, 100)]).unwrap();
    disk.flip("log/0000000001.seg", behind + 50, 3);
    // As long as nothing says that it was safe, it may be on its way.
    assert_eq!((seen.follow().unwrap(), seen.visible()), (Followed::Grown, 2));
    log.flush_all().unwrap();
    append(&log, &[numbered(3, 100)]).unwrap();
    let (late, recovery) = Log::open(looking_at(&setup, &disk)).unwrap();
    assert_eq!(recovery.damage, None);
    for seen in [&seen, &seen, &late] {
        let _followed = seen.follow().unwrap();
        assert_eq!(seen.visible(), 4);
        let (items, error) = read_from(seen, Cursor::at(0), ALL);
        assert_eq!((items.len(), error.unwrap().is_corrupt()), (2, true));
        let (items, error) = read_from(seen, Cursor::at(3), ALL);
        assert_eq!((items.len(), error.is_none()), (1, true));
    }
}

#[test]
fn a_cursor_goes_back_to_where_a_failed_owner_cut_its_log() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let turning = Turning::new(&disk);
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[numbered(0, 100)]).unwrap();
    log.flush_all().unwrap();
    let durable = disk.reboot(1);
    append(&log, &[numbered(1, 100)]).unwrap();
    append(&log, &[numbered(2, 100)]).unwrap();
    let (seen, _) = Log::open(looking_at(&setup, &turning)).unwrap();
    let mut eye = Eye::new(seen, (0..9).map(|number| (number, (number, 1))).collect());
    eye.look().unwrap();
    assert_eq!(eye.tail.offset, 3);
    // A failed flush had taken two entries that were seen already.
    turning.turn(&durable);
    let (log, _) = setup.open(&durable).unwrap();
    let end = log.visible();
    assert!(end < 3, "{end}");
    assert_eq!(eye.log.follow().unwrap(), Followed::Anew);
    for number in 5..9 {
        append(&log, &[numbered(number, 100)]).unwrap();
    }
    eye.look().unwrap();
    eye.compare(&log).unwrap();
}

#[test]
fn a_segment_that_comes_again_under_its_name_is_another() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let turning = Turning::new(&disk);
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[numbered(0, 2500)]).unwrap();
    log.flush_all().unwrap();
    let durable = disk.reboot(1);
    append(&log, &[numbered(1, 2500)]).unwrap();
    let (seen, _) = Log::open(looking_at(&setup, &turning)).unwrap();
    let mut eye = Eye::new(seen, (0..9).map(|number| (number, (number, 1))).collect());
    eye.look().unwrap();
    turning.turn(&durable);
    let (log, _) = setup.open(&durable).unwrap();
    append(&log, &[numbered(5, 2500)]).unwrap();
    assert_eq!(durable.list("log").unwrap(), disk.list("log").unwrap());
    assert_eq!(eye.log.follow().unwrap(), Followed::Anew);
    eye.look().unwrap();
    eye.compare(&log).unwrap();
}

#[test]
fn a_look_that_finds_nothing_new_reads_next_to_nothing() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let (log, _) = setup.open(&disk).unwrap();
    (0..40).for_each(|number| append(&log, &[numbered(number, 900)]).unwrap());
    assert!(log.segment_count() > 8);
    let (seen, _) = Log::open(looking_at(&setup, &disk)).unwrap();
    let calls = disk.calls();
    assert_eq!(seen.follow().unwrap(), Followed::Same);
    // The names, the last file, its header, its opening, and what stands at the end.
    assert_eq!(disk.calls() - calls, 5);
}

#[test]
fn of_a_batch_in_which_the_last_segment_rots_nothing_is_shown() {
    const NAME: &str = "log/0000000002.seg";
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let slots = || {
        let file = disk.files().into_iter().find(|(path, _)| path == NAME);
        file.unwrap().1[96..128].to_vec()
    };
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[numbered(0, 100)]).unwrap();
    // Two frames, in a segment that is made for them.
    append(&log, &[numbered(1, 4500), numbered(2, 4500)]).unwrap();
    let made = slots();
    log.flush_all().unwrap();
    append(&log, &[numbered(3, 1)]).unwrap();
    assert_eq!(log.segment_count(), 2);
    // The slots say what they said at first, and only the last frame says that the batch was safe.
    for (at, (made, now)) in made.into_iter().zip(slots()).enumerate() {
        let bits = (0..8).filter(|bit| (made ^ now) >> bit & 1 == 1);
        bits.for_each(|bit| disk.flip(NAME, 96 + at, bit));
    }
    disk.flip(NAME, 6000, 3);
    let (seen, recovery) = Log::open(looking_at(&setup, &disk)).unwrap();
    assert!(recovery.damage.is_some());
    assert_eq!(seen.visible(), 1);
    assert_eq!((seen.follow().unwrap(), seen.visible()), (Followed::Same, 1));
}

#[test]
fn a_look_at_a_journal_reads_no_more_of_a_spare_than_that_it_is_one() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Journal, Staging::Off, 1);
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[numbered(0, 100)]).unwrap();
    log.prepare_spare(0, 0).unwrap();
    let (seen, _) = Log::open(looking_at(&setup, &disk)).unwrap();
    let calls = disk.calls();
    assert_eq!(seen.follow().unwrap(), Followed::Same);
    // The names; of both files that they open, their headers and openings; and what stands at the end.
    assert_eq!(disk.calls() - calls, 8);
}

#[test]
fn what_was_seen_stays_seen_while_the_start_of_a_log_is_damaged() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let (log, _) = setup.open(&disk).unwrap();
    let put = |number| append(&log, &[numbered(number, 2500)]).unwrap();
    (0..2).for_each(put);
    let (seen, _) = Log::open(looking_at(&setup, &disk)).unwrap();
    let mut eye = Eye::new(seen, (0..9).map(|number| (number, (number, 1))).collect());
    eye.look().unwrap();
    (2..5).for_each(put);
    // All that was known is gone, and what is left begins with rot.
    let _trimmed = log.trim_to(2).unwrap();
    disk.flip("log/0000000003.seg", 40, 1);
    for _ in 0..2 {
        assert!(eye.look().unwrap_err().contains("corrupt"));
        let mut run = Run::default();
        let _nothing = eye.log.read(&mut eye.tail, ALL, &mut run);
        assert_eq!((run.count, eye.tail.offset), (0, 2));
    }
    let _trimmed = log.trim_to(4).unwrap();
    eye.look().unwrap();
    eye.compare(&log).unwrap();
    assert_eq!((eye.missed, eye.seen.len()), (2, 3));
}
