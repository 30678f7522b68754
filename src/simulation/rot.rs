//! Hostile bytes: every byte of a small directory flipped, every file cut to every length, of a
//! stream that was closed and of one that was killed. What is served then is what was appended, or
//! there is a typed error; and one group's damage leaves the others and the stream alone. The same for
//! who only looks, before the owner comes and after it.

use std::sync::Arc;

use super::script::options;
use super::sight::Sight;
use super::world::{Verdict, World};
use crate::durability::Durability;
use crate::engine::Made;
use crate::error::Error;
use crate::start::Start;
use crate::storage::simulated::Simulated;
use crate::stream::Stream;

/// How the process ended that wrote the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Closed,
    Killed,
}

/// A small stream with two groups, of which the first has a journal with several records.
fn small(ended: Ended) -> Verdict<World> {
    let told = |error: Error| error.to_string();
    let mut world = World::new(3);
    world.partitions.truncate(1);
    world.segment_bytes = 4096;
    world.durability = Durability::Os;
    let stream = world.open().map_err(told)?;
    for _ in 0..6 {
        let item = world.item(None);
        stream.append(item.entry()).map_err(told)?;
        world.partitions[0].append([item]);
    }
    let (parking, _) = options(&stream, "parking", &world);
    let (other, _) = options(&stream, "discarding", &world);
    let group = parking.open(Start::Earliest).map_err(told)?;
    let other = other.open(Start::Earliest).map_err(told)?;
    let worker = group.join("ann").map_err(told)?;
    for delivery in worker.try_read(3).map_err(told)? {
        delivery.ack().map_err(told)?;
    }
    drop(worker.try_read(1).map_err(told)?);
    drop(other.join("bob").map_err(told)?);
    stream.sync().map_err(told)?;
    match ended {
        Ended::Closed => stream.close().map_err(told)?,
        Ended::Killed => {
            let killed = world.disk.crash_process();
            world.disk.cut();
            world.disk = killed;
        }
    }
    Ok(world)
}

/// Whether an error may come of damaged bytes.
fn is_typed(error: &Error) -> bool {
    error.is_corrupt()
        || matches!(
            error,
            Error::NewerFormat { .. } | Error::NotAStream { .. } | Error::OptionsDiffer { .. }
        )
}

/// Opens a damaged directory to look at, and looks at all there is.
fn look_at_damaged(world: &World) -> Verdict<Option<Stream>> {
    let options = Stream::options().clock(world.clock.clone());
    let files = world.disk.files();
    let seen = match options.on(Arc::new(world.disk.clone()), Made::ReadOnly) {
        Ok(seen) => seen,
        Err(error) if is_typed(&error) => return Ok(None),
        Err(error) => return Err(format!("not opened to look at: {error}")),
    };
    look_again(world, &seen)?;
    assert!(world.disk.files() == files, "who looks on wrote");
    Ok(Some(seen))
}

fn look_again(world: &World, seen: &Stream) -> Verdict {
    let _entries = read_entries(world, seen);
    let _tail = seen.subscribe().and_then(|tail| tail.try_read(4));
    for name in seen.groups() {
        let looked = seen.group(&name).open_existing().and_then(|group| Sight::of(&group));
        if let Err(error) = looked.map(drop)
            && !is_typed(&error)
        {
            return Err(format!("{name} to look at: {error}"));
        }
    }
    Ok(())
}

/// Opens a damaged directory and reads all there is. Only `damaged` may be affected.
fn read_damaged(world: &mut World, disk: Simulated, damaged: &str) -> Verdict {
    world.disk = disk;
    let seen = look_at_damaged(world)?;
    let worked = work_damaged(world, damaged);
    worked.and(seen.map_or(Ok(()), |seen| look_again(world, &seen)))
}

fn work_damaged(world: &mut World, damaged: &str) -> Verdict {
    let stream = match world.open() {
        Ok(stream) => stream,
        Err(error) if is_typed(&error) && !damaged.starts_with('g') => return Ok(()),
        Err(error) => return Err(format!("open: {error}")),
    };
    let entries = read_entries(world, &stream);
    let groups = stream.groups().len();
    if !damaged.starts_with('p') && (entries? != world.partitions[0].items.len() || groups != 2) {
        return Err("what was not damaged is missing".to_owned());
    }
    for (number, name) in [(1, "parking"), (2, "discarding")] {
        let group = stream.group(name).open_existing();
        let sight = group.and_then(|group| {
            let worker = group.join("cy")?;
            for _ in 0..20 {
                let batch = worker.try_read(2)?;
                for delivery in batch {
                    world.check(&delivery).expect("what is served was appended");
                    delivery.ack()?;
                }
            }
            Sight::of(&group)
        });
        match sight {
            Err(error) if !is_typed(&error) => return Err(format!("{name}: {error}")),
            Err(error)
                if damaged.starts_with('g') && !damaged.starts_with(&format!("g{number}")) =>
            {
                return Err(format!("{name} suffers with the other: {error}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How many entries there are, each of them what was appended there.
fn read_entries(world: &World, stream: &Stream) -> Verdict<usize> {
    let told = |error: Error| error.to_string();
    let reader = stream.reader(Start::Earliest).map_err(told)?.until_now();
    let mut count = 0;
    loop {
        match reader.try_read(4) {
            Ok(entries) if entries.is_empty() => return Ok(count),
            Ok(entries) => {
                for entry in entries {
                    world.check(&entry).expect("what is served was appended");
                    count += 1;
                }
            }
            Err(error) if is_typed(&error) => return Err(error.to_string()),
            Err(error) => panic!("reading: {error}"),
        }
    }
}

/// Damages each place of each file in one way.
fn each_damage(ended: Ended, damage: fn(&Simulated, &str, usize)) {
    let mut world = small(ended).expect("nothing fails");
    let disk = world.disk.crash_process();
    for (path, bytes) in disk.files() {
        // Behind what is in use all is zero, and a few places stand for the others.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 9);
        for at in (0..bytes.len()).filter(|at| *at < used || at % 64 < 2) {
            let damaged = disk.crash_process();
            damage(&damaged, &path, at);
            let verdict = read_damaged(&mut world, damaged, &path);
            assert_eq!(verdict, Ok(()), "{ended:?}, {path} at {at}");
        }
    }
}

fn flip_one(disk: &Simulated, path: &str, at: usize) {
    disk.flip(path, at, u32::try_from(at % 8).expect("below eight"));
}

fn flip_all(disk: &Simulated, path: &str, at: usize) {
    (0..8).for_each(|bit| disk.flip(path, at, bit));
}

fn cut(disk: &Simulated, path: &str, length: usize) {
    disk.cut_file(path, length);
}

#[test]
fn any_flip_in_a_closed_stream_gives_the_entries_or_a_typed_error() {
    each_damage(Ended::Closed, flip_one);
    each_damage(Ended::Closed, flip_all);
}

#[test]
fn any_flip_in_a_killed_stream_gives_the_entries_or_a_typed_error() {
    each_damage(Ended::Killed, flip_one);
    each_damage(Ended::Killed, flip_all);
}

#[test]
fn any_length_of_a_file_gives_the_entries_or_a_typed_error() {
    each_damage(Ended::Closed, cut);
    each_damage(Ended::Killed, cut);
}
