//! Storage calls that fail: every one of a workload, once or for ever; and a disk that is full.
//!
//! Whatever fails, a call says so with a typed error, nothing panics or hangs, and the process that
//! comes after finds all that was reported as done and safe.

use std::io;
use std::sync::Arc;

use super::script::Life;
use super::world::{Verdict, World};
use crate::assign::Sticky;
use crate::clock::ManualClock;
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::engine::Trial;
use crate::error::Error;
use crate::options::StreamOptions;
use crate::pending::PendingQuery;
use crate::start::Start;
use crate::storage::simulated::{FailMode, Simulated};
use crate::stream::Stream;

/// Steps of a life of the workload.
const STEPS: usize = 60;
/// So many different workloads.
const SEEDS: u64 = 3;

/// The workload with an ordered failure. Says how many calls there were.
fn run(seed: u64, nth: Option<(u64, FailMode, io::ErrorKind)>) -> Verdict<u64> {
    let mut world = World::new(seed);
    world.tolerant = true;
    if let Some((nth, mode, kind)) = nth {
        world.disk.fail_call(nth, mode, kind);
    }
    for life in 0..2 {
        let stream = match world.open() {
            Ok(stream) => stream,
            Err(error) => {
                world.forgive("open", &error)?;
                break;
            }
        };
        if life > 0 {
            world.judge(&stream)?;
        }
        act(&mut world, stream)?;
    }
    let calls = world.disk.calls();
    world.disk.heal();
    world.disk = world.disk.crash_process();
    world.tolerant = false;
    let stream = world.open().map_err(|error| format!("healed, and not opened: {error}"))?;
    world.judge(&stream)?;
    super::drain::drain(&world)?;
    Ok(calls)
}

fn act(world: &mut World, stream: Stream) -> Verdict {
    let mut life = Life::new(world, stream);
    for step in 0..STEPS {
        if step == STEPS / 2 {
            life.add_partitions()?;
        }
        life.step()?;
    }
    life.sync()?;
    assert_poisoned_for_good(&life.stream)?;
    if life.end()? {
        world.all_synced();
    }
    Ok(())
}

/// Once a write is refused because a flush failed, all are.
fn assert_poisoned_for_good(stream: &Stream) -> Verdict {
    let poisoned = |error: Option<Error>| error.is_some_and(|error| error.is_poisoned());
    if !poisoned(stream.sync().err()) {
        return Ok(());
    }
    let others = [
        stream.append("late").err(),
        stream.clone().append_batch(["late"]).err(),
        stream.group("late").open(Start::Latest).and_then(|group| group.join("late")).err(),
    ];
    let all = others.into_iter().all(poisoned);
    if all { Ok(()) } else { Err("a poisoned stream takes writes".to_owned()) }
}

/// Every call of some workloads fails, in one way.
fn each_call_fails(mode: FailMode, kind: io::ErrorKind) {
    for seed in 0..SEEDS {
        let calls = run(seed, None).expect("nothing fails");
        for nth in 1..=calls {
            let verdict = run(seed, Some((nth, mode, kind)));
            assert!(verdict.is_ok(), "seed {seed}, call {nth}: {verdict:?}");
        }
    }
}

#[test]
fn any_call_may_fail_once() {
    each_call_fails(FailMode::Once, io::ErrorKind::Other);
}

#[test]
fn any_call_may_fail_for_ever() {
    each_call_fails(FailMode::Forever, io::ErrorKind::Other);
}

#[test]
fn any_call_may_find_the_disk_full_once() {
    each_call_fails(FailMode::Once, io::ErrorKind::StorageFull);
}

#[test]
fn any_call_may_find_the_disk_full_for_ever() {
    each_call_fails(FailMode::Forever, io::ErrorKind::StorageFull);
}

fn open(disk: &Simulated) -> Stream {
    let trial = Trial { salts: Some(disk.effects()), ..Trial::default() };
    let options = StreamOptions::default().segment_bytes(16384).clock(ManualClock::new());
    options.on_trial(Arc::new(disk.clone()), trial).unwrap()
}

#[test]
fn a_group_whose_making_failed_can_be_made_and_deleted_for_good() {
    let calls = {
        let disk = Simulated::new(1);
        let stream = open(&disk);
        let before = disk.calls();
        stream.group("g").create(Start::Earliest).unwrap();
        before..disk.calls()
    };
    for nth in calls {
        let disk = Simulated::new(1);
        let stream = open(&disk);
        disk.fail_call(nth + 1, FailMode::Once, io::ErrorKind::StorageFull);
        if stream.group("g").create(Start::Earliest).is_ok() {
            continue;
        }
        if !stream.sync().is_err_and(|error| error.is_poisoned()) {
            let group = stream.group("g").create(Start::Earliest).unwrap();
            assert_eq!(stream.groups(), ["g"], "call {nth}");
            group.delete().unwrap();
            drop(group);
        }
        drop(stream);
        let again = open(&disk.crash_process());
        let left = again.groups();
        assert!(left.is_empty() || left == ["g"], "call {nth}: {left:?}");
        if left == ["g"] {
            assert!(disk.calls() <= nth + 3, "call {nth}: the group came back");
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_and_reads_before_acks() {
    let disk = Simulated::new(1);
    let stream = open(&disk);
    stream.append("first").unwrap();
    let worker = stream.group("g").open(Start::Earliest).unwrap().join("w").unwrap();
    for _ in 0..200 {
        stream.append_batch(["another"; 50]).unwrap();
    }
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    disk.set_capacity(used as u64);
    let mut end = stream.info().unwrap().partitions[0].end;
    let refused = loop {
        match stream.append("more") {
            Ok(_) => end += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_disk_full(), "{refused}");
    assert_eq!(stream.info().unwrap().partitions[0].end, end, "nothing changed");

    let mut tokens = Vec::new();
    let refused = loop {
        match worker.try_read(5) {
            Ok(batch) if batch.is_empty() => panic!("all was handed out on a full disk"),
            Ok(batch) => tokens.extend(batch.into_iter().map(Delivery::detach)),
            Err(error) => break error,
        }
    };
    assert!(refused.is_disk_full(), "{refused}");
    for _ in 0..20 {
        assert!(worker.ack(tokens.pop()).unwrap().is_complete());
    }
    assert!(worker.ack(tokens).unwrap().is_complete());
    disk.set_capacity(1 << 30);
    stream.append("room again").unwrap();
    assert!(!worker.try_read(1).unwrap().is_empty());
    stream.close().unwrap();
}

fn fill(stream: &Stream) {
    for _ in 0..4 {
        stream.append_batch(["e"; 1_000]).unwrap();
    }
}

/// Settles what the worker can read, until the journal takes nothing more.
fn fill_journal(disk: &Simulated, worker: &Consumer) {
    let held: Vec<_> = worker.try_read(4_000).unwrap().into_iter().map(Delivery::detach).collect();
    disk.set_capacity(1);
    let refused = held.into_iter().map(|token| worker.ack([token])).find_map(Result::err);
    let refused = refused.expect("so many acks do not fit");
    assert!(refused.is_disk_full(), "{refused}");
}

#[test]
fn a_member_dropped_on_a_full_disk_goes_with_the_next_call() {
    for unopened in [false, true] {
        let disk = Simulated::new(1);
        let stream = open(&disk);
        fill(&stream);
        let group = stream.group("g").strategy(Sticky).open(Start::Earliest).unwrap();
        let worker = group.join("w").unwrap();
        let batch = unopened.then(|| worker.try_read(1).unwrap());
        fill_journal(&disk, &worker);
        drop(worker);
        // Who only looks is told what is written down; who asks for a change is refused.
        let info = group.info().unwrap();
        assert_eq!((info.members.len(), info.lag), (1, group.lag().unwrap()), "{info:?}");
        let left = group.pending_entries(&PendingQuery::new().max(u32::MAX)).unwrap().len() as u64;
        assert_eq!(info.lag, left + info.undelivered);
        let refused = group.join("w").unwrap_err();
        assert!(refused.is_disk_full(), "{refused}");
        disk.set_capacity(1 << 30);
        let info = group.info().unwrap();
        assert!(info.members.is_empty(), "{info:?}");
        let worker = group.join("w").unwrap();
        assert_eq!(worker.assignment().unwrap(), [0]);
        // Nobody looked at what is in an unopened batch, so it was not tried.
        let again = worker.try_read(2).unwrap();
        let again: Vec<u16> = again.iter().map(|held| held.attempt()).collect();
        assert_eq!(again, [if unopened { 1 } else { 2 }, 2]);
        drop(batch);
    }
}

#[test]
fn a_group_is_not_changed_under_a_member_that_could_not_leave() {
    let disk = Simulated::new(1);
    let stream = open(&disk);
    fill(&stream);
    let worker = stream.group("g").open(Start::Earliest).unwrap().join("w").unwrap();
    fill_journal(&disk, &worker);
    drop(worker);
    let changed = || stream.group("g").max_deliveries(1).open_existing();
    let refused = changed().unwrap_err();
    assert!(refused.is_disk_full(), "{refused}");
    disk.set_capacity(1 << 30);
    let group = changed().unwrap();
    let info = group.info().unwrap();
    assert!(info.members.is_empty() && info.due > 0, "{info:?}");
    assert_eq!(info.parked, 0, "it left after the change");
}

#[test]
fn a_join_that_fails_leaves_no_member() {
    // Its joins and leaves fill the journal, up to the join that has to begin a new segment.
    let brought_to = |joins: usize| {
        let disk = Simulated::new(1);
        let stream = open(&disk);
        let group = stream.group("g").open(Start::Earliest).unwrap();
        (0..joins).for_each(|_| group.join("w").unwrap().leave().unwrap());
        (disk, group)
    };
    let (disk, group) = brought_to(1);
    let begins = (1..).find_map(|joins| {
        let before = disk.calls();
        group.join("w").unwrap().leave().unwrap();
        let calls = disk.calls() - before;
        (calls > 0).then_some((joins, calls))
    });
    let (joins, calls) = begins.unwrap();
    let mut refused = 0;
    for nth in 1..=calls {
        let (disk, group) = brought_to(joins);
        disk.fail_call(disk.calls() + nth, FailMode::Once, io::ErrorKind::Other);
        let Err(error) = group.join("w") else { continue };
        if error.is_poisoned() || group.stream().sync().is_err() {
            continue;
        }
        refused += 1;
        let info = group.info().unwrap();
        assert!(info.members.is_empty(), "call {nth}: {error}, {info:?}");
        group.join("w").unwrap();
    }
    assert!(refused > 0, "no failure came behind a join");
}
