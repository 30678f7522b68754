//! The hot paths, beside the floor.

use std::hint::black_box;

use millstream::{Consumer, Reader, Start, Stream};

use crate::floor::Floor;
use crate::{BATCH, Outcome, PAYLOAD_BYTES, Place, Scale, Series, complete, head, line, timed};

/// What the streams of a table are stored in. The floor is always on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Disk,
    Memory,
}

/// A stream that is appended to, and everybody who reads it.
struct Scene {
    stream: Stream,
    reader: Reader,
    /// Acks whole batches.
    brisk: Consumer,
    /// Acks each delivery, in a group of its own.
    thorough: Consumer,
}

impl Scene {
    fn new(place: &Place, name: &str, medium: Medium) -> Outcome<Self> {
        let stream = match medium {
            Medium::Disk => Stream::open(place.path(name))?,
            Medium::Memory => Stream::options().in_memory()?,
        };
        let reader = stream.reader(Start::Earliest)?;
        let brisk = stream.group("brisk").open(Start::Earliest)?.join("worker")?;
        let thorough = stream.group("thorough").open(Start::Earliest)?.join("worker")?;
        Ok(Self { stream, reader, brisk, thorough })
    }
}

/// What was measured so far.
#[derive(Debug, Default)]
struct Rounds {
    floor_write: Series,
    floor_read: Series,
    append: Series,
    append_batch: Series,
    read_single: Series,
    read_batched: Series,
    cycle_single: Series,
    cycle_batched: Series,
    cycle_each: Series,
}

/// Measures and prints the table.
pub(crate) fn table(scale: Scale, medium: Medium) -> Outcome {
    let place = Place::new()?;
    let mut floor = Floor::new(place.path("floor"))?;
    let scenes = [Scene::new(&place, "single", medium)?, Scene::new(&place, "batched", medium)?];
    let mut rounds = Rounds::default();
    for round in 0..scale.warming + scale.rounds {
        if round == scale.warming {
            rounds = Rounds::default();
        }
        rounds.run(&mut floor, &scenes, scale.entries)?;
    }
    rounds.print(medium);
    Ok(())
}

impl Rounds {
    fn run(&mut self, floor: &mut Floor, scenes: &[Scene; 2], entries: usize) -> Outcome {
        let [single, batched] = scenes;
        let payload = [7; PAYLOAD_BYTES];
        self.floor_write.push(timed(|| floor.write(&payload, entries))?, entries);
        let read_all = || {
            floor.read();
            Ok(())
        };
        self.floor_read.push(timed(read_all)?, entries);
        self.append.push(timed(|| append(&single.stream, &payload, entries))?, entries);
        let taken = timed(|| append_batches(&batched.stream, &payload, entries))?;
        self.append_batch.push(taken, entries);
        self.read_single.push(timed(|| read(&single.reader))?, entries);
        self.read_batched.push(timed(|| read(&batched.reader))?, entries);
        self.cycle_single.push(timed(|| cycle(&single.brisk))?, entries);
        self.cycle_batched.push(timed(|| cycle(&batched.brisk))?, entries);
        self.cycle_each.push(timed(|| cycle_each(&single.thorough))?, entries);
        Ok(())
    }

    fn print(&self, medium: Medium) {
        head(match medium {
            Medium::Disk => "on disk (Durability::Os)",
            Medium::Memory => "in memory (the floor is on disk)",
        });
        let Self { floor_write: write, floor_read: read, .. } = self;
        line("floor: allocate, populate, checksum, copy", write, None, "");
        line("append one by one", &self.append, Some(write), "0.50");
        line("append in batches of 100", &self.append_batch, Some(write), "0.75");
        line("floor: copy and check runs of 100", read, None, "");
        line("read(100), of single appends", &self.read_single, Some(read), "0.50");
        line("read(100), of batches", &self.read_batched, Some(read), "0.50");
        line("group: read(100) + ack_all, of single", &self.cycle_single, None, "10 M/s");
        line("group: read(100) + ack_all, of batches", &self.cycle_batched, None, "10 M/s");
        line("group: read(100) + ack each by handle", &self.cycle_each, None, "");
    }
}

fn append(stream: &Stream, payload: &[u8], entries: usize) -> Outcome {
    for _ in 0..entries {
        black_box(stream.append(black_box(payload))?);
    }
    Ok(())
}

fn append_batches(stream: &Stream, payload: &[u8], entries: usize) -> Outcome {
    for _ in 0..entries / BATCH {
        black_box(stream.append_batch((0..BATCH).map(|_| black_box(payload)))?);
    }
    Ok(())
}

fn read(reader: &Reader) -> Outcome {
    loop {
        let entries = reader.try_read(reading())?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries.iter() {
            black_box(entry.payload());
        }
    }
}

fn cycle(worker: &Consumer) -> Outcome {
    loop {
        let batch = worker.try_read(reading())?;
        if batch.is_empty() {
            return Ok(());
        }
        for held in &batch {
            black_box(held.payload());
        }
        complete(&batch.ack_all()?)?;
    }
}

fn cycle_each(worker: &Consumer) -> Outcome {
    loop {
        let batch = worker.try_read(reading())?;
        if batch.is_empty() {
            return Ok(());
        }
        for delivery in batch {
            black_box(delivery.payload());
            delivery.ack()?;
        }
    }
}

/// The maximum of a read.
pub(crate) fn reading() -> u32 {
    u32::try_from(BATCH).expect("a batch is small")
}
