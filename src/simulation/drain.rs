//! Nothing is stuck: a consumer that acks all it is given gets everything that is owed, once, and
//! new entries too. It happens on a copy of the disk, so that the world goes on as if it had not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::world::{LATE, Verdict, World};
use crate::clock::{Clock, ManualClock};
use crate::engine::Trial;
use crate::entry::NewEntry;
use crate::group::Group;
use crate::id::EntryId;
use crate::options::StreamOptions;
use crate::storage::simulated::Simulated;
use crate::stream::Stream;

/// A drain ends within so many reads.
const READS_MAX: usize = 10_000;

/// Drains every group of a copy of the world's disk, right behind an opening that was judged whole.
pub(super) fn drain(world: &World) -> Verdict {
    let clock = ManualClock::at(world.clock.wall());
    let stream = open(&world.disk.crash_process(), world, &clock)?;
    let mut ends: Vec<u64> = world.partitions.iter().map(|p| p.items.len() as u64).collect();
    for round in 0..3 * ends.len() {
        let payload = format!("appended after recovery, {round}");
        let entry = NewEntry::new(payload.as_bytes()).subject(LATE);
        let id = stream.append(entry).map_err(|error| error.to_string())?;
        let end = &mut ends[id.partition() as usize];
        if id.offset() != *end {
            return Err(format!("{id} was appended behind {end} entries"));
        }
        *end += 1;
    }
    for (name, model) in &world.groups {
        let group = stream.group(name).open_existing().map_err(|error| error.to_string())?;
        let owed = model.owed(&ends, &world.partitions);
        let lag = group.lag().map_err(|error| error.to_string())?;
        if lag != owed.len() as u64 {
            return Err(format!("the lag of {name} is {lag}, and {} are owed", owed.len()));
        }
        drain_one(&group, owed, &clock).map_err(|complaint| format!("{name}: {complaint}"))?;
    }
    stream.close().map_err(|error| error.to_string())?;
    Ok(())
}

fn open(disk: &Simulated, world: &World, clock: &ManualClock) -> Verdict<Stream> {
    let trial = Trial { salts: Some(world.disk.effects()), controls: world.controls };
    StreamOptions::default()
        .clock(clock.clone())
        .on_trial(Arc::new(disk.clone()), trial)
        .map_err(|error| format!("opening once more: {error}"))
}

fn drain_one(group: &Group, mut owed: BTreeMap<EntryId, u16>, clock: &ManualClock) -> Verdict {
    let told = |error: crate::error::Error| error.to_string();
    group.resume().map_err(told)?;
    let worker = group.join("drain").map_err(told)?;
    for _ in 0..READS_MAX {
        let batch = worker.try_read(7).map_err(told)?;
        for (token, attempt) in batch.peek() {
            let id = token.id();
            match owed.remove(&id) {
                Some(before) if attempt == before + 1 => {}
                Some(before) => return Err(format!("{id} is attempt {attempt} behind {before}")),
                None => return Err(format!("{id} was not owed")),
            }
        }
        if !batch.ack_all().map_err(told)?.is_complete() {
            return Err("an ack was refused".to_owned());
        }
        if owed.is_empty() {
            let lag = group.lag().map_err(told)?;
            return if lag == 0 { Ok(()) } else { Err(format!("a lag of {lag} is left")) };
        }
        if batch.is_empty() {
            let next = group.next_deadline().ok_or("it is stuck")?;
            clock.advance(next.max(Duration::from_micros(1)));
        }
    }
    Err(format!("{} entries are never handed out", owed.len()))
}
