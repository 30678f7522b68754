//! Partitions are added, and that is cut short at every point: by the power, a kill, or a call that
//! fails. There are as many as before or as many as asked for, and nothing else changes.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::engine::Trial;
use crate::error::Result;
use crate::id::EntryId;
use crate::options::StreamOptions;
use crate::start::Start;
use crate::storage::simulated::{FailMode, Simulated};
use crate::stream::Stream;

const BEFORE: u32 = 2;
const AFTER: u32 = 5;
/// So many entries are appended, all but the last few of them acked.
const ENTRIES: u64 = 20;
const ACKED: u64 = 15;
/// Outcomes of each power cut that are looked at.
const REBOOTS: u64 = 6;

fn open(disk: &Simulated) -> Result<Stream> {
    let trial = Trial { salts: Some(disk.effects() + 1), ..Trial::default() };
    let options = StreamOptions::default().segment_bytes(4096);
    options.on_trial(Arc::new(disk.clone()), trial)
}

/// A stream with a group that has acked some of its entries; all of that is durable.
fn stream() -> (Simulated, Stream) {
    let disk = Simulated::new(1);
    let trial = Trial { salts: Some(1), ..Trial::default() };
    let options = StreamOptions::default().segment_bytes(4096).partitions(BEFORE);
    let stream = options.on_trial(Arc::new(disk.clone()), trial).unwrap();
    let worker = stream.group("g").open(Start::Earliest).unwrap().join("w").unwrap();
    for n in 0..ENTRIES {
        stream.append(&n.to_le_bytes()).unwrap();
    }
    stream.group("late").open(Start::Latest).unwrap();
    let batch = worker.try_read(u32::try_from(ACKED).unwrap()).unwrap();
    assert!(batch.ack_all().unwrap().is_complete());
    stream.sync().unwrap();
    (disk, stream)
}

/// So many effects and calls it takes to add partitions.
fn costs() -> (u64, u64) {
    let (disk, stream) = stream();
    let before = (disk.effects(), disk.calls());
    assert_eq!(stream.add_partitions(AFTER - BEFORE).unwrap(), AFTER);
    (disk.effects() - before.0, disk.calls() - before.1)
}

/// Compares all with what it was before partitions were added, and uses the new ones if there are.
/// Says how many there are.
fn check(stream: &Stream, label: &str) -> u32 {
    let partitions = stream.partitions();
    assert!([BEFORE, AFTER].contains(&partitions), "{label}: {partitions}");
    let entries = stream.reader(Start::Earliest).unwrap().until_now().try_read(1_000).unwrap();
    assert_eq!(entries.len() as u64, ENTRIES, "{label}");
    let group = stream.group("g").open_existing();
    let group = group.unwrap_or_else(|error| panic!("{label}: {error}"));
    let late = stream.group("late").open_existing().unwrap();
    assert_eq!(group.lag().unwrap(), ENTRIES - ACKED, "{label}");
    assert_eq!(late.lag().unwrap(), 0, "{label}");
    partitions
}

/// A round of new entries reaches all partitions and both groups.
fn use_all(stream: &Stream, label: &str) {
    let partitions = stream.partitions();
    let round = (0..partitions).map(|_| stream.append("new").unwrap().partition());
    let mut round: Vec<u32> = round.collect();
    round.sort_unstable();
    assert_eq!(round, (0..partitions).collect::<Vec<_>>(), "{label}");
    for (name, owed) in [("g", ENTRIES - ACKED), ("late", 0)] {
        let group = stream.group(name).open_existing().unwrap();
        assert_eq!(group.lag().unwrap(), owed + u64::from(partitions), "{label}: {name}");
        let worker = group.join("x").unwrap();
        let batch = worker.try_read(1_000).unwrap();
        assert!(batch.ack_all().unwrap().is_complete(), "{label}: {name}");
        assert_eq!(group.lag().unwrap(), 0, "{label}: {name}");
    }
}

#[test]
fn the_power_is_cut_anywhere() {
    let mut found = Vec::new();
    for effect in 1..=costs().0 {
        for seed in 0..REBOOTS {
            let label = format!("effect {effect}, seed {seed}");
            let (disk, stream) = stream();
            disk.cut_at(disk.effects() + effect);
            stream.add_partitions(AFTER - BEFORE).unwrap_err();
            let disk = disk.reboot(seed);
            let stream = open(&disk).unwrap();
            found.push(check(&stream, &label));
            use_all(&stream, &label);
            stream.close().unwrap();
            let stream = open(&disk).unwrap();
            assert_eq!(stream.partitions(), found[found.len() - 1]);
        }
    }
    assert!(found.contains(&BEFORE) && found.contains(&AFTER));
}

/// The process that adds them is killed, and the next one finds a name that was never synced. What
/// it writes must not outlive the number it goes by.
#[test]
fn the_process_is_killed_anywhere_and_then_the_power_is_cut() {
    let mut found = Vec::new();
    for effect in 1..=costs().0 {
        for seed in 0..REBOOTS {
            let label = format!("effect {effect}, seed {seed}");
            let (disk, stream) = stream();
            disk.cut_at(disk.effects() + effect);
            stream.add_partitions(AFTER - BEFORE).unwrap_err();
            let disk = disk.crash_process();
            let stream = open(&disk).unwrap();
            let partitions = check(&stream, &label);
            stream.group("g").open_existing().unwrap().join("x").unwrap();
            stream.sync().unwrap();
            disk.cut();
            let stream = open(&disk.reboot(seed)).unwrap();
            found.push((partitions, check(&stream, &label)));
            use_all(&stream, &label);
        }
    }
    assert!(found.contains(&(AFTER, AFTER)) && found.contains(&(BEFORE, BEFORE)));
}

#[test]
fn any_call_may_fail() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for call in 1..=costs().1 {
            let label = format!("{kind:?} at call {call}");
            let (disk, stream) = stream();
            disk.fail_call(disk.calls() + call, FailMode::Once, kind);
            let failed = stream.add_partitions(AFTER - BEFORE).unwrap_err();
            assert_eq!(check(&stream, &label), BEFORE);
            if !failed.is_poisoned() {
                let kept = open(&disk.crash_process()).unwrap();
                assert_eq!(check(&kept, &label), BEFORE);
                assert_eq!(stream.add_partitions(AFTER - BEFORE).unwrap(), AFTER, "{label}");
                use_all(&stream, &label);
                continue;
            }
            stream.append("a poisoned stream takes no writes").unwrap_err();
            let stream = open(&disk.crash_process()).unwrap();
            check(&stream, &label);
            use_all(&stream, &label);
        }
    }
}

/// A journal's newest snapshot and records are from before, between and behind: all are replayed.
#[test]
fn a_journal_is_replayed_across_every_growth() {
    let (mut disk, mut stream) = stream();
    let mut owed = ENTRIES - ACKED;
    for round in 0..4 {
        let (before, after) = (stream.partitions(), stream.add_partitions(1 + round).unwrap());
        let group = stream.group("g").open_existing().unwrap();
        let worker = group.join("x").unwrap();
        let ids: Vec<EntryId> = (0..after).map(|_| stream.append("new").unwrap()).collect();
        assert!(ids.iter().any(|id| id.partition() >= before));
        owed += u64::from(after);
        // Some of the new partitions' entries are out when the process ends, and some are settled.
        let batch = worker.try_read(1_000).unwrap();
        assert_eq!(batch.len() as u64, owed);
        for delivery in batch {
            if delivery.id().partition() % 2 == 1 {
                delivery.ack().unwrap();
                owed -= 1;
            } else {
                delivery.detach();
            }
        }
        // Behind a kill the journal goes on with a new snapshot, behind a close with records.
        if round % 2 == 0 {
            stream.close().unwrap();
        } else {
            disk = disk.crash_process();
        }
        stream = open(&disk).unwrap();
        let group = stream.group("g").open_existing().unwrap();
        assert_eq!((stream.partitions(), group.lag().unwrap()), (after, owed), "round {round}");
    }
}
