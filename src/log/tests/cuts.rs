//! Power cuts: what was flushed is there, byte for byte, whatever else was lost; what is there is
//! a prefix of what was appended, with batches whole, but for what was trimmed; a trim that was cut
//! took whole segments from the front; what was served once stays; recovery itself can be cut; and
//! nothing gets stuck.
//!
//! One run is one disk with several lives, named by its seed. `MILLSTREAM_CUTS` says how many cuts
//! a test makes. The oracle gives its complaint back instead of panicking, so that the positive
//! controls can show that it does complain when a protection is taken away.

use super::{Item, Log, OwnerKind, Setup, Staging, append, new_disk, read_all};
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;

const LIVES_MAX: usize = 6;
const STEPS_MAX: usize = 40;

/// How many cuts a test makes.
pub(super) fn cuts_wanted(usual: u64) -> u64 {
    std::env::var("MILLSTREAM_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(usual)
}

/// What may be on the disk, and what must.
#[derive(Default)]
struct Oracle {
    appended: Vec<Item>,
    /// Where calls ended: a cut between two of them would split a batch.
    ends: Vec<usize>,
    /// So many are durable.
    synced: usize,
    /// So many were trimmed for good.
    trimmed: usize,
    /// And a trim was to go up to here, the last of these at most.
    goals: Vec<usize>,
    unique: u64,
}

impl Oracle {
    /// Compares what was recovered, from `start` on, which is durable from now on.
    fn judge(&mut self, start: u64, found: &[Item]) -> Result<(), String> {
        let start = usize::try_from(start).unwrap();
        if start != self.trimmed && !self.goals.contains(&start) {
            let (trimmed, goals) = (self.trimmed, &self.goals);
            return Err(format!("starts at {start}, not at {trimmed} or one of {goals:?}"));
        }
        let end = start + found.len();
        if end < self.synced {
            return Err(format!("lost: {end} of {} synced", self.synced));
        }
        if end > self.appended.len() || found != &self.appended[start..end] {
            return Err(format!("phantom among {start} to {end}"));
        }
        if end > 0 && !self.ends.contains(&end) {
            return Err(format!("a batch was split at {end}"));
        }
        self.appended.truncate(end);
        self.ends.retain(|whole| *whole <= end);
        self.synced = end;
        self.trimmed = start;
        self.goals.clear();
        Ok(())
    }

    fn call(&mut self, fixed: bool, random: &mut Random) -> Vec<Item> {
        let count = match random.below(8) {
            _ if fixed => 1,
            0 => 1 + random.below(90),
            1..=3 => 1 + random.below(10),
            _ => 1,
        };
        let items = (0..count).map(|_| {
            self.unique += 1;
            Item::random(self.unique, fixed, random)
        });
        let mut items: Vec<Item> = items.collect();
        let time = items[0].time;
        for item in &mut items {
            item.time = time;
        }
        items
    }
}

/// One disk and what happens to it.
struct World {
    setup: Setup,
    disk: Simulated,
    oracle: Oracle,
    random: Random,
    fixed: bool,
    cuts: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let setup = Setup::random(OwnerKind::Partition, &mut random);
        let fixed = random.coin();
        Self { setup, disk: new_disk(seed), oracle: Oracle::default(), random, fixed, cuts: 0 }
    }

    /// Lets the log live until the power is cut or its process is killed, several times over.
    fn run(&mut self) -> Result<(), String> {
        for _ in 0..=self.random.below(LIVES_MAX) {
            if !self.random.one_in(8) {
                let within = self.random.pick(&[4, 30, 150, 500]);
                self.disk.cut_at(1 + self.random.below(within) as u64);
            }
            self.live()?;
            self.end_life();
        }
        let (log, _) = self.setup.open(&self.disk).map_err(|error| format!("stuck: {error}"))?;
        self.judge(&log)
    }

    /// Opens the log and works with it, as long as the power is on.
    fn live(&mut self) -> Result<(), String> {
        let mut log = match self.setup.open(&self.disk) {
            Ok((log, _)) => log,
            Err(_) if self.disk.is_off() => return Ok(()),
            Err(error) => return Err(format!("stuck: {error}")),
        };
        // Whatever is served here has to be there in every later life.
        self.judge(&log)?;
        for _ in 0..self.random.below(STEPS_MAX) {
            if self.disk.is_off() {
                break;
            }
            let step = self.step(&mut log);
            step.or_else(|complaint| if self.disk.is_off() { Ok(()) } else { Err(complaint) })?;
        }
        Ok(())
    }

    fn judge(&mut self, log: &Log) -> Result<(), String> {
        let found = read_all(log);
        if self.disk.is_off() {
            // What is read then means nothing.
            return Ok(());
        }
        self.oracle.judge(log.start(), &found.map_err(|error| format!("unreadable: {error}"))?)?;
        let end = self.oracle.appended.len() as u64;
        if log.end() == end { Ok(()) } else { Err(format!("{} comes behind {end}", log.end())) }
    }

    /// Trims to some offset.
    fn trim(&mut self, log: &Log) -> Result<(), String> {
        let offset = self.random.below(self.oracle.appended.len() + 1) as u64;
        let ends = log.stored().sealed.into_iter().map(|segment| segment.end);
        let ends = ends.filter(|end| *end <= offset).map(|end| usize::try_from(end).unwrap());
        self.oracle.goals = ends.collect();
        let trimmed = log.trim_to(offset).map_err(|error| format!("refused: {error}"))?;
        let oracle = &mut self.oracle;
        oracle.trimmed = oracle.goals.last().copied().unwrap_or(oracle.trimmed);
        oracle.goals.clear();
        // A trim may flush, and then says so.
        oracle.synced = oracle.synced.max(usize::try_from(log.durable()).unwrap());
        let end = oracle.trimmed as u64;
        if trimmed.end == end { Ok(()) } else { Err(format!("{trimmed:?}, not {end}")) }
    }

    fn step(&mut self, log: &mut Log) -> Result<(), String> {
        let said = |error| format!("refused: {error}");
        match self.random.below(16) {
            0 => {
                log.close().map_err(said)?;
                self.oracle.synced = self.oracle.appended.len();
                let (opened, recovery) = self.setup.open(&self.disk).map_err(said)?;
                if recovery.unclean && !self.setup.controls.reuse_torn {
                    return Err("closed, and yet unclean".into());
                }
                *log = opened;
                self.judge(log)
            }
            1 => log.prepare_spare(0, 0).map_err(said),
            2..=4 => {
                log.flush_all().map_err(said)?;
                self.oracle.synced = self.oracle.appended.len();
                Ok(())
            }
            5..=6 => self.trim(log),
            _ => {
                let items = self.oracle.call(self.fixed, &mut self.random);
                append(log, &items).map_err(said)?;
                self.oracle.appended.extend(items);
                self.oracle.ends.push(self.oracle.appended.len());
                Ok(())
            }
        }
    }

    fn end_life(&mut self) {
        if !self.disk.is_off() && self.random.one_in(3) {
            self.disk = self.disk.crash_process();
            return;
        }
        self.disk.cut();
        self.cuts += 1;
        self.disk = self.disk.reboot(self.random.next());
    }
}

/// The first complaint within `cuts` cuts, and the seed that shows it.
fn first_complaint(cuts: u64, mut world: impl FnMut(u64) -> World) -> Option<String> {
    let mut done = 0;
    for seed in 0.. {
        let mut world = world(seed);
        if let Err(complaint) = world.run() {
            return Some(format!("seed {seed}: {complaint}"));
        }
        done += world.cuts;
        if done >= cuts {
            break;
        }
    }
    None
}

#[test]
fn a_power_cut_takes_nothing_that_was_flushed_and_leaves_nothing_that_was_not_appended() {
    assert_eq!(first_complaint(cuts_wanted(600), World::new), None);
}

#[test]
fn without_syncs_the_oracle_complains() {
    let complaint = first_complaint(600, |seed| {
        let world = World::new(seed);
        world.disk.ignore_syncs(true);
        world
    });
    assert!(complaint.is_some());
}

#[test]
fn without_directory_syncs_the_oracle_complains() {
    let complaint = first_complaint(600, |seed| {
        let world = World::new(seed);
        world.disk.ignore_dir_syncs(true);
        world
    });
    assert!(complaint.is_some());
}

#[test]
fn appending_behind_a_torn_tail_shows_phantoms() {
    let complaint = first_complaint(20_000, |seed| {
        let mut world = World::new(seed);
        world.setup.controls.reuse_torn = true;
        world
    });
    assert!(complaint.as_ref().is_some_and(|it| it.contains("phantom")), "{complaint:?}");
}

/// A killed log of three entries, the first two flushed: `A`, `B` and `C`.
fn three_entries(seed: u64) -> World {
    let mut world = World::new(seed);
    world.setup.staging = Staging::Off;
    let (log, _) = world.setup.open(&world.disk).unwrap();
    for flushed in [true, true, false] {
        let item = Item::random(seed, true, &mut world.random);
        append(&log, std::slice::from_ref(&item)).unwrap();
        world.oracle.appended.push(item);
        world.oracle.ends.push(world.oracle.appended.len());
        if flushed {
            log.flush_all().unwrap();
            world.oracle.synced += 1;
        }
    }
    world.disk = world.disk.crash_process();
    world
}

const FIRST: &str = "log/0000000001.seg";
/// Where `A` stands, behind the header and the opening, and how long it is.
const A: (usize, usize) = (128 + 64, 48);

#[test]
fn a_flip_below_the_floor_is_rot_when_it_is_read() {
    for seed in 0..50 {
        let mut world = three_entries(seed);
        let byte = A.0 + world.random.below(A.1);
        world.disk.flip(FIRST, byte, 3);
        let (log, _) = world.setup.open(&world.disk).unwrap();
        assert!(read_all(&log).unwrap_err().is_corrupt(), "seed {seed}, byte {byte}");
    }
}

#[test]
fn a_flip_that_only_a_later_segment_knows_to_be_rot_is_refused() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.setup.staging = Staging::Off;
        let (log, _) = world.setup.open(&world.disk).unwrap();
        for bytes in [8, 8, 5000] {
            append(&log, &[Item { payload: vec![7; bytes], ..Item::default() }]).unwrap();
            if bytes == 8 {
                log.flush_all().unwrap();
            }
        }
        drop(log);
        let disk = world.disk.crash_process();
        assert_eq!(disk.files().len(), 2);
        disk.flip(FIRST, A.0 + A.1 + world.random.below(A.1), 3);
        disk.flip(FIRST, 96, 3);
        assert!(world.setup.open(&disk).unwrap_err().is_corrupt(), "seed {seed}");
    }
}

#[test]
fn an_opening_that_only_a_later_segment_knows_to_be_rot_is_refused() {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[Item::default()]).unwrap();
    log.flush_all().unwrap();
    append(&log, &[Item { payload: vec![7; 5000], ..Item::default() }]).unwrap();
    drop(log);
    let disk = disk.crash_process();
    // The slot that was written, and the opening.
    disk.flip(FIRST, 112, 3);
    disk.flip(FIRST, 130, 3);
    assert!(setup.open(&disk).unwrap_err().is_corrupt());
    assert_eq!(disk.files().len(), 2);
}

/// A killed log of several segments, nothing flushed, the first one's second entry damaged.
fn torn_early() -> World {
    let mut world = World::new(3);
    world.setup.staging = Staging::Off;
    let (log, _) = world.setup.open(&world.disk).unwrap();
    for bytes in [8, 8, 5000, 5000, 5000] {
        append(&log, &[Item { payload: vec![7; bytes], ..Item::default() }]).unwrap();
    }
    drop(log);
    assert_eq!(world.disk.files().len(), 4);
    world.disk = world.disk.crash_process();
    world.disk.flip(FIRST, A.0 + A.1 + 3, 3);
    world
}

#[test]
fn recovery_can_be_cut_anywhere_and_done_again() {
    let world = torn_early();
    let whole = world.disk.crash_process();
    let (_, recovery) = world.setup.open(&whole).unwrap();
    assert_eq!(recovery.torn.map(|torn| (torn.offset, torn.segments)), Some((1, 3)));
    for effect in 1..=whole.effects() {
        for seed in 0..40 {
            let disk = world.disk.crash_process();
            disk.cut_at(effect);
            assert!(world.setup.open(&disk).is_err() || disk.is_off());
            let (log, _) = world.setup.open(&disk.reboot(seed)).unwrap();
            read_all(&log).unwrap_or_else(|error| panic!("{effect}, seed {seed}: {error}"));
        }
    }
}

#[test]
fn an_unclean_opening_leaves_a_clean_log_on_the_disk() {
    let world = torn_early();
    let (log, recovery) = world.setup.open(&world.disk).unwrap();
    assert!(recovery.unclean);
    drop(log);
    for seed in 0..40 {
        let disk = world.disk.reboot(seed);
        let (log, recovery) = world.setup.open(&disk).unwrap();
        assert!(!recovery.unclean, "seed {seed}");
        assert_eq!(read_all(&log).unwrap().len(), 1);
    }
}

#[test]
fn a_closed_log_is_clean_after_a_power_cut() {
    for staging in [Staging::Off, Staging::On] {
        let disk = new_disk(1);
        let setup = Setup::new(OwnerKind::Partition, staging, 1);
        let (log, _) = setup.open(&disk).unwrap();
        append(&log, &[Item::default()]).unwrap();
        log.close().unwrap();
        for seed in 0..40 {
            let (log, recovery) = setup.open(&disk.reboot(seed)).unwrap();
            assert!(!recovery.unclean, "seed {seed}");
            assert_eq!(read_all(&log).unwrap().len(), 1);
        }
    }
}

#[test]
fn closing_can_be_cut_anywhere() {
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let flushed = || {
        let disk = new_disk(1);
        let (log, _) = setup.open(&disk).unwrap();
        append(&log, &[Item::default()]).unwrap();
        log.flush_all().unwrap();
        (disk, log)
    };
    let (whole, log) = flushed();
    let before = whole.effects();
    log.close().unwrap();
    for effect in before + 1..=whole.effects() {
        for seed in 0..200 {
            let (disk, log) = flushed();
            disk.cut_at(effect);
            assert!(log.close().is_err() || disk.is_off());
            let (log, _) = setup.open(&disk.reboot(seed)).unwrap();
            assert_eq!(read_all(&log).unwrap().len(), 1, "effect {effect}, seed {seed}");
        }
    }
}

#[test]
fn what_a_torn_segment_held_is_sealed_and_the_next_entry_starts_another() {
    let world = torn_early();
    for _ in 0..2 {
        drop(world.setup.open(&world.disk).unwrap());
    }
    let (log, _) = world.setup.open(&world.disk).unwrap();
    let sealed = world.disk.files()[0].1.clone();
    append(&log, &[Item::default()]).unwrap();
    log.close().unwrap();
    let files = world.disk.files();
    assert_eq!((files.len(), &files[0].1), (2, &sealed));
    assert_eq!(log.end(), 2);
    // Bytes 40 to 48 of a header are the salt.
    assert_ne!(files[0].1[40..48], files[1].1[40..48]);
}

/// The log with `B` damaged, and the floor slot that speaks of it lost: only `C` knows that `B`
/// was safe once.
fn only_a_later_frame_knows(seed: u64) -> World {
    let mut world = three_entries(seed);
    let byte = A.0 + A.1 + world.random.below(A.1);
    world.disk.flip(FIRST, byte, 3);
    world.disk.flip(FIRST, 96, 3);
    world
}

#[test]
fn a_flip_that_only_a_later_frame_knows_to_be_rot_is_refused() {
    for seed in 0..50 {
        let world = only_a_later_frame_knows(seed);
        let before = world.disk.files();
        assert!(world.setup.open(&world.disk).unwrap_err().is_corrupt(), "seed {seed}");
        assert_eq!(world.disk.files(), before, "nothing is cut or removed");
    }
}

#[test]
fn without_the_floor_the_flip_is_cut_in_silence() {
    let mut world = only_a_later_frame_knows(1);
    world.setup.controls.ignore_floor = true;
    let (log, recovery) = world.setup.open(&world.disk).unwrap();
    assert!(recovery.torn.is_some());
    let complaint = world.oracle.judge(0, &read_all(&log).unwrap()).unwrap_err();
    assert!(complaint.contains("lost"), "{complaint}");
}
