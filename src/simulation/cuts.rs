//! Power cuts: several lives of one disk, each cut anywhere, also while it is being recovered.
//!
//! `MILLSTREAM_CUTS` says how many cuts the test makes.

use std::io::ErrorKind;
use std::sync::Arc;

use super::drain::drain;
use super::script::Life;
use super::world::{Judged, Verdict, World};
use crate::engine::Trial;
use crate::error::Result;
use crate::options::StreamOptions;
use crate::start::Start;
use crate::storage::Storage;
use crate::storage::simulated::{FailMode, Simulated};
use crate::stream::Stream;

const LIVES_MAX: usize = 8;
const STEPS_MAX: usize = 80;

/// How many cuts the tests make.
fn cuts_wanted() -> u64 {
    std::env::var("MILLSTREAM_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(2_500)
}

/// One life, from opening to its end.
pub(super) fn live(world: &mut World, steps: usize) -> Verdict {
    let stream = match world.open() {
        Ok(stream) => stream,
        Err(_) if world.disk.is_off() => return Ok(()),
        Err(error) => return Err(format!("cannot be opened: {error}")),
    };
    if world.judge(&stream)? == Judged::CutShort {
        return Ok(());
    }
    if world.random.one_in(4) {
        drain(world)?;
    }
    let mut life = Life::new(world, stream);
    for _ in 0..steps {
        life.step()?;
        if life.world.disk.is_off() {
            return Ok(());
        }
    }
    match life.world.random.below(4) {
        0 => life.world.disk.cut(),
        1 => {
            // What the handles do when they are dropped no longer reaches the disk.
            let killed = life.world.disk.crash_process();
            life.world.disk.cut();
            life.world.disk = killed;
        }
        _ => {
            world.closed = life.end()?;
            if world.closed {
                world.all_synced();
            }
        }
    }
    Ok(())
}

/// Goes on to the next life: behind a cut if the power is off, else as chance says. Whether it
/// was a cut.
fn restart(world: &mut World) -> bool {
    let seed = world.random.next();
    let cut = world.disk.is_off() || world.random.coin();
    world.disk = if cut { world.disk.reboot(seed) } else { world.disk.crash_process() };
    cut
}

/// All lives of one disk. Says how often the power was cut.
pub(super) fn run(mut world: World) -> Verdict<u64> {
    let mut cuts = 0;
    for _ in 0..=world.random.below(LIVES_MAX) {
        let reach = world.random.pick(&[20, 60, 200, 600, 2000]);
        let at = world.disk.effects() + 1 + world.random.below(reach) as u64;
        world.disk.cut_at(at);
        let steps = world.random.below(STEPS_MAX);
        live(&mut world, steps)?;
        cuts += u64::from(restart(&mut world));
    }
    // The last life is not cut, so nothing may fail.
    live(&mut world, 0)?;
    Ok(cuts)
}

#[test]
fn nothing_that_was_promised_is_lost_by_a_power_cut() {
    let (mut cuts, mut seed) = (0, 0);
    while cuts < cuts_wanted() {
        let complaint = |complaint| panic!("seed {seed}: {complaint}");
        cuts += run(World::new(seed)).unwrap_or_else(complaint);
        seed += 1;
    }
}

fn open(disk: &Simulated) -> Result<Stream> {
    let trial = Trial { salts: Some(disk.effects()), ..Trial::default() };
    StreamOptions::default().on_trial(Arc::new(disk.clone()), trial)
}

/// Three entries were acked; then the machine stopped, and of the two files only the journal's had
/// reached the disk.
fn acked_and_lost() -> Simulated {
    let disk = Simulated::new(1);
    let stream = open(&disk).unwrap();
    stream.append_batch(["a", "b", "c"]).unwrap();
    let worker = stream.group("g").open(Start::Earliest).unwrap().join("w").unwrap();
    assert!(worker.try_read(3).unwrap().ack_all().unwrap().is_complete());
    // Made behind the entries that go, and nothing happened to it yet.
    stream.group("late").open(Start::Latest).unwrap();
    let lost = disk.crash_process();
    for name in lost.list("p0").unwrap() {
        lost.remove(&format!("p0/{name}")).unwrap();
    }
    lost.sync_dir("p0").unwrap();
    lost
}

/// How many of three new entries each group has still to get, after another opening.
fn lags_of_new_entries(disk: &Simulated, stream: Stream) -> [u64; 2] {
    stream.append_batch(["d", "e", "f"]).unwrap();
    stream.close().unwrap();
    let stream = open(disk).unwrap();
    ["g", "late"].map(|name| stream.group(name).open_existing().unwrap().lag().unwrap())
}

/// What an opening that was cut left behind must not make a later one forget that the log was
/// shorter than the journal.
#[test]
fn new_entries_inherit_nothing_even_if_recovery_is_cut() {
    let lost = acked_and_lost();
    for effect in 1..60 {
        let disk = lost.crash_process();
        disk.cut_at(effect);
        drop(open(&disk));
        disk.cut();
        let disk = disk.reboot(effect);
        let stream = open(&disk).unwrap();
        assert_eq!(lags_of_new_entries(&disk, stream), [3, 3], "cut at effect {effect}");
    }
}

/// A stream whose group could not be put right must not take entries that the group believes it has.
#[test]
fn new_entries_inherit_nothing_even_if_a_call_of_recovery_fails() {
    let lost = acked_and_lost();
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for call in 1..60 {
            let disk = lost.crash_process();
            disk.fail_call(disk.calls() + call, FailMode::Once, kind);
            let opened = open(&disk);
            disk.heal();
            let stream = opened.or_else(|_| open(&disk)).unwrap();
            assert_eq!(lags_of_new_entries(&disk, stream), [3, 3], "{kind:?} at call {call}");
        }
    }
}
