//! Positive controls: with a protection taken away the oracle has to complain soon. One that never
//! complains proves nothing.

use super::cuts::run;
use super::item::Item;
use super::script::Life;
use super::world::{Verdict, World};
use crate::log::Controls;

/// So many disks at most until a complaint. The rarest fault shows on one of some 300.
const DISKS_MAX: u64 = 5_000;
/// So many are changed where nobody may complain.
const FLIPPED: u64 = 400;
/// Where a segment's header keeps its floors, and where it ends.
const FLOORS_AT: usize = 96;
const HEADER_BYTES: usize = 128;

fn assert_noticed(what: &str, run: impl Fn(u64) -> Verdict) {
    let noticed = (0..DISKS_MAX).any(|seed| run(seed).is_err());
    assert!(noticed, "nobody notices that {what}");
}

fn run_with(seed: u64, change: impl Fn(&mut World)) -> Verdict {
    let mut world = World::new(seed);
    change(&mut world);
    run(world).map(|_| ())
}

#[test]
fn ignored_syncs_are_noticed() {
    assert_noticed("syncs do nothing", |seed| {
        run_with(seed, |world| world.disk.ignore_syncs(true))
    });
}

#[test]
fn ignored_directory_syncs_are_noticed() {
    assert_noticed("syncs of directories do nothing", |seed| {
        run_with(seed, |world| world.disk.ignore_dir_syncs(true))
    });
}

#[test]
fn appending_behind_a_torn_tail_is_noticed() {
    assert_noticed("a torn tail is appended to", |seed| {
        run_with(seed, |world| {
            world.controls.reuse_torn = true;
            world.make = Item::uniform;
        })
    });
}

/// A process is killed, and one bit of what it stored flips; and if floors are ignored anyway, one
/// of a header's floors, so that opening has to look at what is behind it.
fn flip_stored(seed: u64, controls: Controls) -> Verdict {
    let mut world = World::new(seed);
    world.controls = controls;
    let stream = world.open().map_err(|error| error.to_string())?;
    let mut life = Life::new(&mut world, stream);
    for _ in 0..30 {
        life.step()?;
    }
    for _ in 0..3 {
        life.sync()?;
        life.append()?;
    }
    let killed = life.world.disk.crash_process();
    life.world.disk.cut();
    drop(life);
    world.disk = killed;
    world.rotten = true;
    let mut files = world.disk.files();
    files.retain(|(path, bytes)| path.starts_with('p') && !bytes.is_empty());
    if files.is_empty() {
        return Ok(());
    }
    let (path, bytes) = &files[world.random.below(files.len())];
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0).max(HEADER_BYTES);
    if controls.ignore_floor {
        world.disk.flip(path, FLOORS_AT + world.random.below(HEADER_BYTES - FLOORS_AT), 3);
        world.disk.flip(path, HEADER_BYTES + world.random.below(used + 1 - HEADER_BYTES), 3);
    } else {
        world.disk.flip(path, world.random.below(used + 1), 3);
    }
    match world.open() {
        Ok(stream) => world.judge(&stream).map(|_| ()),
        Err(error) => world.forgive("open", &error),
    }
}

#[test]
fn a_flip_in_what_was_synced_is_refused_and_nothing_lost() {
    for seed in 0..FLIPPED {
        let verdict = flip_stored(seed, Controls::default());
        assert_eq!(verdict, Ok(()), "seed {seed}");
    }
}

#[test]
fn rot_taken_for_a_torn_tail_is_noticed() {
    let controls = Controls { ignore_floor: true, ..Controls::default() };
    assert_noticed("floors are ignored", |seed| flip_stored(seed, controls));
}
