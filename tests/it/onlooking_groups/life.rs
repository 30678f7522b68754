//! A random life of a stream's groups, looked at after each step.

use std::path::PathBuf;
use std::time::Duration;

use millstream::assign::{CooperativeSticky, Range};
use millstream::{
    Backoff, Consumer, Delivery, EntryId, Exhausted, Group, GroupOptions, ManualClock, NewEntry,
    Start, Stream,
};

use super::{differences, look_on};
use crate::scene::{HOUR, SECOND};

const NAMES: [&str; 4] = ["shared", "owned", "sifted", "buried"];
const PARTITIONS_MAX: u32 = 5;
const STEPS: usize = 150;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// The stream, its groups, and who looks on.
struct Life {
    random: Random,
    clock: ManualClock,
    path: PathBuf,
    letters: Stream,
    stream: Stream,
    groups: Vec<Group>,
    workers: Vec<(usize, Consumer)>,
    held: Vec<Delivery>,
    onlooker: Stream,
    names: u64,
}

impl Life {
    fn new(seed: u64, path: PathBuf) -> Self {
        let clock = ManualClock::new();
        let letters = Stream::options().clock(clock.clone()).in_memory().unwrap();
        let stream = open(&path, &clock);
        let groups = (0..NAMES.len()).map(|n| open_group(&stream, &letters, n)).collect();
        let onlooker = look_on(&path, &clock);
        let (workers, held) = (Vec::new(), Vec::new());
        let random = Random(seed);
        Self { random, clock, path, letters, stream, groups, workers, held, onlooker, names: 0 }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..6 => self.append(),
            6..9 => self.join(),
            9..17 => self.read(),
            17..26 => self.settle(),
            26 => self.leave(),
            27..30 => self.clock.advance(Duration::from_millis(self.random.below(4_000))),
            other => self.steer(other),
        }
    }

    fn append(&mut self) {
        let subjects = ["a.one", "a.two", "b"];
        for _ in 0..=self.random.below(12) {
            let payload = vec![7; self.random.index(300)];
            let entry = NewEntry::new(&payload).subject(subjects[self.random.index(3)]);
            let wait = Duration::from_millis(self.random.below(5_000));
            let late = self.random.below(4) == 0;
            self.stream.append(if late { entry.deliver_after(wait) } else { entry }).unwrap();
        }
    }

    fn join(&mut self) {
        if self.workers.len() < 9 {
            let group = self.random.index(NAMES.len());
            self.names += 1;
            let name = format!("w{}", self.names);
            self.workers.push((group, self.groups[group].join(&name).unwrap()));
        }
    }

    fn read(&mut self) {
        if !self.workers.is_empty() {
            let (_, worker) = &self.workers[self.random.index(self.workers.len())];
            let max = 1 + u32::try_from(self.random.below(9)).unwrap();
            match worker.try_read(max) {
                Ok(batch) => self.held.extend(batch),
                // It was silent for too long.
                Err(error) => assert!(error.to_string().contains("member"), "{error}"),
            }
        }
    }

    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let delivery = self.held.swap_remove(self.random.index(self.held.len()));
        // Those that are somebody else's by now are refused, which changes nothing.
        let _ = match self.random.below(8) {
            0..3 => delivery.ack(),
            3 => delivery.nack(),
            4 => delivery.reject("no"),
            5 => delivery.release(),
            6 => delivery.extend(HOUR).map(|()| self.held.push(delivery)),
            _ => {
                drop(delivery);
                Ok(())
            }
        };
    }

    fn leave(&mut self) {
        if !self.workers.is_empty() {
            let index = self.random.index(self.workers.len());
            let (_, worker) = self.workers.swap_remove(index);
            let _ = worker.leave();
        }
    }

    fn steer(&mut self, what: u64) {
        let n = self.random.index(NAMES.len());
        let group = &self.groups[n];
        let partition = u32::try_from(self.random.below(self.stream.partitions().into())).unwrap();
        let end = self.stream.info().unwrap().partitions[partition as usize].end;
        let at = EntryId::new(partition, self.random.below(end + 1));
        match what {
            30 => group.pause_for(SECOND * 2).unwrap(),
            31 => group.pause().unwrap(),
            32 | 33 => group.resume().unwrap(),
            34 => group.reset_partition(partition, Start::At(at)).unwrap(),
            35 => drop(self.stream.trim_before(at).unwrap()),
            36 => drop(group.redrive(3).unwrap()),
            37 => {
                let lease = SECOND * (1 + u32::try_from(self.random.below(9)).unwrap());
                group.alter(group.options().lease(lease).max_in_flight(20)).unwrap();
            }
            38 if self.random.below(3) == 0 => {
                group.delete().unwrap();
                self.workers.retain(|(of, _)| *of != n);
                self.groups[n] = open_group(&self.stream, &self.letters, n);
            }
            38 if self.stream.partitions() < PARTITIONS_MAX => {
                self.stream.add_partitions(1).map(drop).unwrap();
            }
            39 if self.random.below(4) == 0 => self.reopen(),
            _ => drop(group.ack_entries([at]).unwrap()),
        }
    }

    /// The owner goes, and another one comes. What it found it tells with the first thing it does.
    fn reopen(&mut self) {
        self.held.clear();
        self.workers.clear();
        self.groups.clear();
        self.stream.clone().close().unwrap();
        self.stream = open(&self.path, &self.clock);
        let groups = (0..NAMES.len()).map(|n| open_group(&self.stream, &self.letters, n));
        self.groups = groups.collect();
        for group in &self.groups {
            group.join("first").unwrap().leave().unwrap();
        }
    }

    /// Looks at all groups, by who has looked on for long and by who comes now.
    fn look(&self, seed: u64, step: usize) {
        let comes = look_on(&self.path, &self.clock);
        for onlooker in [&self.onlooker, &comes] {
            for (name, group) in NAMES.iter().zip(&self.groups) {
                let found = differences(group, &onlooker.group(name).open_existing().unwrap());
                assert_eq!(found, [], "{name}, seed {seed}, step {step}");
            }
        }
    }
}

/// How often things happened that have to happen for the rest to mean anything.
fn happened(groups: &[Group]) -> [u64; 8] {
    let infos: Vec<_> = groups.iter().map(|group| group.info().unwrap()).collect();
    let sum = |count: fn(&millstream::GroupInfo) -> u64| infos.iter().map(count).sum();
    [
        sum(|info| info.acked),
        sum(|info| info.redelivered),
        sum(|info| info.parked),
        sum(|info| info.skipped),
        sum(|info| info.trimmed.entries()),
        sum(|info| info.dead_lettered),
        sum(|info| info.rebalances),
        sum(|info| info.deferred),
    ]
}

fn open(path: &std::path::Path, clock: &ManualClock) -> Stream {
    let options = Stream::options().clock(clock.clone()).segment_bytes(8 << 10);
    let partitions = if path.join("manifest").exists() { None } else { Some(2) };
    partitions.into_iter().fold(options, millstream::StreamOptions::partitions).open(path).unwrap()
}

fn open_group(stream: &Stream, letters: &Stream, n: usize) -> Group {
    let group = stream.group(NAMES[n]).lease(SECOND * 3).max_deliveries(3);
    let group: GroupOptions = match n {
        0 => group.max_in_flight(15),
        1 => group.strategy(CooperativeSticky).revocation_timeout(SECOND * 2),
        2 => group.filter("a.>").delayed_max(4).strategy(Range),
        _ => group.on_exhausted(Exhausted::DeadLetter(letters.clone())),
    };
    group.session_timeout(HOUR).backoff(Backoff::fixed(SECOND)).open(Start::Earliest).unwrap()
}

#[test]
fn whatever_the_owner_does_who_looks_on_is_shown_the_same() {
    let mut total = [0; 8];
    for seed in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let mut life = Life::new(seed, directory.path().join("stream"));
        for step in 0..STEPS {
            life.step();
            life.look(seed, step);
            let now = happened(&life.groups);
            total.iter_mut().zip(now).for_each(|(total, now)| *total += now);
        }
    }
    assert!(total.iter().all(|total| *total > 0), "{total:?}");
}
