//! Power cuts under a journal: replaying it gives its newest whole snapshot and a prefix of the
//! records behind it, never less than what was flushed, whatever became of the segments before.

use super::cuts::cuts_wanted;
use super::{Draft, Fields, Log, OwnerKind, Piece, Setup, Staging, new_disk};
use crate::error::Result;
use crate::log::{Kind, Place};
use crate::storage::Storage;
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;

const LIVES_MAX: usize = 6;
const STEPS_MAX: usize = 40;
/// A snapshot ends with this; one without it is not whole.
const END: &[u8] = b"end of snapshot";

/// One journal and what was written to it. Its state is the list of its records.
struct World {
    setup: Setup,
    disk: Simulated,
    random: Random,
    records: Vec<u64>,
    synced: usize,
    unique: u64,
    cuts: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let setup = Setup::random(OwnerKind::Journal, &mut random);
        let disk = new_disk(seed);
        Self { setup, disk, random, records: Vec::new(), synced: 0, unique: 0, cuts: 0 }
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..=self.random.below(LIVES_MAX) {
            if !self.random.one_in(8) {
                let within = self.random.pick(&[4, 30, 150, 500]);
                self.disk.cut_at(1 + self.random.below(within) as u64);
            }
            self.live()?;
            if !self.disk.is_off() && self.random.one_in(3) {
                self.disk = self.disk.crash_process();
            } else {
                self.disk.cut();
                self.cuts += 1;
                self.disk = self.disk.reboot(self.random.next());
            }
        }
        let (log, _) = self.setup.open(&self.disk).map_err(|error| format!("stuck: {error}"))?;
        self.judge(&log)
    }

    fn live(&mut self) -> Result<(), String> {
        let mut log = match self.setup.open(&self.disk) {
            Ok((log, _)) => log,
            Err(_) if self.disk.is_off() => return Ok(()),
            Err(error) => return Err(format!("stuck: {error}")),
        };
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

    /// Replays the journal. What it gives is durable from now on.
    fn judge(&mut self, log: &Log) -> Result<(), String> {
        let replayed = replay(log);
        if self.disk.is_off() {
            return Ok(());
        }
        let found = replayed?;
        if found.len() < self.synced {
            return Err(format!("lost: {} of {} synced", found.len(), self.synced));
        }
        if found.len() > self.records.len() || found != self.records[..found.len()] {
            return Err(format!("phantom among {} records", found.len()));
        }
        self.records = found;
        self.synced = self.records.len();
        Ok(())
    }

    fn step(&mut self, log: &mut Log) -> Result<(), String> {
        let said = |error| format!("refused: {error}");
        match self.random.below(16) {
            0 => {
                // One that was recovered and not gone on with has still to be recovered.
                let going_on = log.writer().active.is_some() || log.segment_count() == 0;
                log.close().map_err(said)?;
                self.synced = self.records.len();
                let (opened, recovery) = self.setup.open(&self.disk).map_err(said)?;
                if recovery.unclean && going_on {
                    return Err("closed, and yet unclean".into());
                }
                *log = opened;
                self.judge(log)
            }
            1 => log.prepare_spare(self.random.below(5000) as u64, 0).map_err(said),
            2 => self.roll(log).map_err(said),
            3 => log.keep_newest().map_err(said),
            4..=5 => {
                log.flush_all().map_err(said)?;
                self.synced = self.records.len();
                log.keep_newest().map_err(said)
            }
            _ => self.record(log).map_err(said),
        }
    }

    fn record(&mut self, log: &Log) -> Result<()> {
        self.unique += 1;
        let mut body = self.unique.to_le_bytes().to_vec();
        body.resize(8 + self.random.below(200), 0);
        let fields = Fields { payload: &body, ..Fields::default() };
        let piece = Piece::plain(&fields).unwrap();
        if !log.fits(300) {
            self.roll(log)?;
        }
        log.append_one(&piece, 0)?;
        self.records.push(self.unique);
        Ok(())
    }

    fn roll(&self, log: &Log) -> Result<()> {
        log.roll_with(&snapshot(&self.records), 300, 0)
    }
}

fn snapshot(records: &[u64]) -> Draft {
    let mut draft = Draft::default();
    for records in records.chunks(20) {
        let body: Vec<u8> = records.iter().flat_map(|record| record.to_le_bytes()).collect();
        draft.push_frame(Kind::Snapshot, 0, &body);
    }
    draft.push_frame(Kind::Snapshot, 0, END);
    draft
}

fn replay(log: &Log) -> Result<Vec<u64>, String> {
    let mut records = Vec::new();
    let mut whole = true;
    let replayed = log.replay_from(&mut Place::default(), |kind, body| {
        match kind {
            Kind::Snapshot if body == END => whole = true,
            Kind::Snapshot => {
                whole = false;
                let (numbers, _) = body.as_chunks::<8>();
                records.extend(numbers.iter().map(|number| u64::from_le_bytes(*number)));
            }
            Kind::Plain => records.push(u64::from_le_bytes(*body.first_chunk().unwrap())),
            Kind::Opening | Kind::Entries => {}
        }
        Ok(())
    });
    replayed.map_err(|error| format!("unreadable: {error}"))?;
    if whole { Ok(records) } else { Err("half a snapshot".into()) }
}

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
fn a_journal_replays_its_newest_snapshot_and_what_was_flushed_behind_it() {
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

fn opened(staging: Staging) -> (Setup, Simulated, Log) {
    let setup = Setup::new(OwnerKind::Journal, staging, 1);
    let disk = new_disk(1);
    let (log, _) = setup.open(&disk).unwrap();
    (setup, disk, log)
}

#[test]
fn the_segments_before_a_snapshot_stay_until_it_is_flushed() {
    for staging in [Staging::Off, Staging::On] {
        let (_, disk, log) = opened(staging);
        log.roll_with(&snapshot(&[1]), 300, 0).unwrap();
        log.flush_all().unwrap();
        log.roll_with(&snapshot(&[1, 2]), 300, 0).unwrap();
        log.keep_newest().unwrap();
        assert_eq!(disk.list("log").unwrap().len(), 2);
        log.flush_all().unwrap();
        log.keep_newest().unwrap();
        assert_eq!(disk.list("log").unwrap(), ["0000000002.seg"]);
    }
}

#[test]
fn an_empty_snapshot_is_whole() {
    let (setup, disk, log) = opened(Staging::Off);
    log.roll_with(&snapshot(&[1]), 300, 0).unwrap();
    log.roll_with(&Draft::default(), 300, 0).unwrap();
    let (log, _) = setup.open(&disk.crash_process()).unwrap();
    assert!(replay(&log).unwrap().is_empty());
}

#[test]
fn a_synced_snapshot_that_rots_is_refused_and_never_replaced_by_an_older_one() {
    let (setup, disk, log) = opened(Staging::Off);
    log.roll_with(&snapshot(&[1]), 300, 0).unwrap();
    log.flush_all().unwrap();
    log.roll_with(&snapshot(&[1, 2]), 300, 0).unwrap();
    log.flush_all().unwrap();
    drop(log);
    let disk = disk.crash_process();
    // In the body of the snapshot's first frame.
    disk.flip("log/0000000002.seg", 128 + 64 + 42, 0);
    assert!(setup.open(&disk).unwrap_err().is_corrupt());
}

#[test]
fn a_spare_is_used_by_whoever_rolls_first() {
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let disk = new_disk(1);
    let (log, _) = setup.open(&disk).unwrap();
    log.prepare_spare(2000, 0).unwrap();
    let calls = disk.calls();
    let item = super::Item { payload: vec![1; 100], ..super::Item::default() };
    super::append(&log, std::slice::from_ref(&item)).unwrap();
    assert_eq!(disk.list("log").unwrap(), ["0000000001.seg"]);
    assert_eq!(disk.calls(), calls + 2, "one to populate, one to list, none to make a file");
    log.roll_with(&snapshot(&[]), 300, 0).unwrap();
    assert_eq!(super::read_all(&log).unwrap(), [item]);
}
