//! The runs: power cuts, kills, calls that fail, a disk that is full.
//!
//! `MILLSTREAM_CUTS` says how many cuts are made, here as elsewhere.

use std::io::ErrorKind;

use super::life::{Life, groups};
use super::{ENTRIES, SEGMENT_BYTES, Verdict, World};
use crate::consumer::Consumer;
use crate::durability::Durability;
use crate::error::Error;
use crate::group::Group;
use crate::retention::Retention;
use crate::storage::simulated::{FailMode, Simulated};

const LIVES_MAX: usize = 6;
const STEPS_MAX: usize = 70;
/// Steps of a life in which calls fail, and how many different ones there are.
const STEPS: usize = 40;
const SEEDS: u64 = 4;

/// A world whose groups are there for sure.
fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    let stream = world.open().expect("nothing fails");
    groups(&stream).expect("nothing fails");
    stream.close().expect("nothing fails");
    world
}

/// One life, from opening to its end.
fn live(world: &mut World, steps: usize) -> Verdict {
    let off = world.disk.clone();
    let unless_off = |verdict: Verdict| if off.is_off() { Ok(()) } else { verdict };
    let opened = world.open().and_then(|stream| Ok((groups(&stream)?, stream)));
    let (groups, stream) = match opened {
        Ok(opened) => opened,
        Err(error) => return world.forgive("open", &error),
    };
    if let Err(complaint) = world.judge(&stream, &groups) {
        return unless_off(Err(complaint));
    }
    if world.random.one_in(6) && !world.tolerant {
        unless_off(world.drain())?;
    }
    let mut life = match Life::new(world, stream, groups) {
        Ok(life) => life,
        // Without a member nothing can happen.
        Err(error) => return unless_off(Err(error.to_string())),
    };
    for _ in 0..steps {
        life.step()?;
        if life.world.disk.is_off() {
            return Ok(());
        }
    }
    match life.world.random.below(3) {
        0 => life.world.disk.cut(),
        1 => {
            let killed = life.world.disk.crash_process();
            life.world.disk.cut();
            life.world.disk = killed;
        }
        _ => {
            let Life { world, stream, groups, workers } = life;
            drop((groups, workers));
            if let Err(error) = stream.close() {
                world.forgive("close", &error)?;
            } else if !world.disk.is_off() {
                world.durable = world.items.iter().map(Vec::len).collect();
            }
        }
    }
    Ok(())
}

/// All lives of one disk. Says how often the power was cut.
fn run(seed: u64) -> Verdict<u64> {
    let mut world = world(seed);
    let mut cuts = 0;
    for _ in 0..=world.random.below(LIVES_MAX) {
        let reach = world.random.pick(&[20, 60, 200, 600]);
        world.disk.cut_at(world.disk.effects() + 1 + world.random.below(reach) as u64);
        let steps = world.random.below(STEPS_MAX);
        live(&mut world, steps)?;
        let cut = world.disk.is_off() || world.random.coin();
        let seed = world.random.next();
        world.disk = if cut { world.disk.reboot(seed) } else { world.disk.crash_process() };
        cuts += u64::from(cut);
    }
    live(&mut world, 0)?;
    Ok(cuts)
}

#[test]
fn no_power_cut_makes_retention_lose_or_miscount() {
    let wanted = std::env::var("MILLSTREAM_CUTS").ok().and_then(|cuts| cuts.parse().ok());
    let (mut cuts, mut seed) = (0, 0);
    while cuts < wanted.unwrap_or(1_500) {
        cuts += run(seed).unwrap_or_else(|complaint| panic!("seed {seed}: {complaint}"));
        seed += 1;
    }
}

/// A power cut can leave a first segment without entries, which goes although the start stays where
/// it is: else it would count as something that is to go, and fill the partition for ever.
#[test]
fn a_first_segment_without_entries_goes() {
    run(1050).unwrap();
}

/// The workload with an ordered failure. Says how many calls there were.
fn run_with(seed: u64, nth: Option<(u64, FailMode, ErrorKind)>) -> Verdict<u64> {
    let mut world = world(seed);
    world.tolerant = true;
    let before = world.disk.calls();
    if let Some((nth, mode, kind)) = nth {
        world.disk.fail_call(before + nth, mode, kind);
    }
    let opened = world.open().and_then(|stream| Ok((groups(&stream)?, stream)));
    match opened.and_then(|(groups, stream)| Life::new(&mut world, stream, groups)) {
        Ok(mut life) => (0..STEPS).try_for_each(|_| life.step())?,
        Err(error) => world.forgive("open", &error)?,
    }
    let calls = world.disk.calls() - before;
    world.disk.heal();
    world.disk = world.disk.crash_process();
    let stream = world.open().map_err(|error| format!("healed, and not opened: {error}"))?;
    let groups = groups(&stream).map_err(|error| error.to_string())?;
    world.judge(&stream, &groups)?;
    world.drain()?;
    Ok(calls)
}

fn each_call_fails(mode: FailMode, kind: ErrorKind) {
    for seed in 0..SEEDS {
        let calls = run_with(seed, None).expect("nothing fails");
        for nth in 1..=calls {
            let verdict = run_with(seed, Some((nth, mode, kind)));
            assert!(verdict.is_ok(), "seed {seed}, call {nth}: {verdict:?}");
        }
    }
}

#[test]
fn any_call_may_fail() {
    each_call_fails(FailMode::Once, ErrorKind::Other);
    each_call_fails(FailMode::Forever, ErrorKind::Other);
}

#[test]
fn any_call_may_find_the_disk_full() {
    each_call_fails(FailMode::Once, ErrorKind::StorageFull);
    each_call_fails(FailMode::Forever, ErrorKind::StorageFull);
}

/// A stream that a full disk stopped, all of it settled or none.
fn on_a_full_disk(retention: Retention, settled: bool) -> (Simulated, crate::stream::Stream) {
    let mut world = World::new(0);
    (world.retention, world.durability) = (retention, Durability::Os);
    let stream = world.open().unwrap();
    let join = |group: Group| group.join("worker").unwrap();
    let workers: Vec<Consumer> = groups(&stream).unwrap().into_iter().map(join).collect();
    for _ in 0..40 {
        stream.append(&[7; 950]).unwrap();
    }
    let used: usize = world.disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    world.disk.set_capacity(used as u64);
    if settled {
        for worker in workers {
            assert!(worker.try_read(100).unwrap().ack_all().unwrap().is_complete());
        }
    }
    (world.disk, stream)
}

#[test]
fn a_full_disk_makes_an_append_look_for_what_may_go() {
    let (_disk, stream) = on_a_full_disk(Retention::settled(), true);
    for _ in 0..10 {
        stream.append(&[7; 950]).unwrap();
    }
    let (_disk, stream) = on_a_full_disk(Retention::settled(), false);
    let refused = (0..40).find_map(|_| stream.append(&[7; 950]).err()).unwrap();
    assert!(refused.is_disk_full(), "{refused}");
    assert_eq!(stream.info().unwrap().partitions[0].start, 0);
}

#[test]
fn a_full_disk_does_not_keep_a_trim_from_counting_what_is_lost() {
    let limit = Retention::keep_all().entries(ENTRIES);
    let (disk, stream) = on_a_full_disk(Retention::keep_all(), false);
    drop(stream);
    let disk = disk.crash_process();
    disk.set_capacity(1 << 30);
    let mut world = World::new(0);
    (world.retention, world.durability, world.disk) = (limit, Durability::Os, disk);
    let stream = world.open().unwrap();
    let groups = groups(&stream).unwrap();
    let used: usize = world.disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    world.disk.set_capacity(used as u64 + 4 * SEGMENT_BYTES);
    let gone = stream.trim().unwrap().entries();
    assert!(gone > 0);
    for group in groups {
        assert_eq!(group.info().unwrap().trimmed.unread, gone);
    }
}

/// What could not be removed is, with the next look, though nothing new is to go.
#[test]
fn a_file_that_could_not_be_removed_goes_with_the_next_trim() {
    let mut world = World::new(0);
    (world.retention, world.durability) = (Retention::keep_all(), Durability::Os);
    world.retention = Retention::keep_all().entries(ENTRIES);
    let stream = world.open().unwrap();
    let partitions = world.items.len();
    for _ in 0..4 * partitions {
        stream.append(&[7; 950]).unwrap();
    }
    stream.sync().unwrap();
    let before = world.disk.files().len();
    let failing = world.disk.clone();
    failing.fail_call(failing.calls() + 1, FailMode::Forever, ErrorKind::PermissionDenied);
    let error = stream.trim_before(crate::id::EntryId::new(0, 3)).unwrap_err();
    failing.heal();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(stream.info().unwrap().partitions[0].start, 4 - 1);
    assert_eq!(world.disk.files().len(), before);
    let trimmed = stream.trim().unwrap();
    assert!(trimmed.bytes() > 0 && trimmed.entries() == 0, "{trimmed:?}");
    assert!(world.disk.files().len() < before);
}
