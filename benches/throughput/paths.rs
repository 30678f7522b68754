//! The hot paths, beside the floor.

use std::hint::black_box;

use millstream::{Start, Stream};

use crate::floor::Floor;
use crate::{BATCH, Outcome, PAYLOAD_BYTES, Place, Scale, Series, complete, head, line, timed};

/// What the streams of a table are stored in. The floor is always on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Disk,
    Memory,
}

impl Medium {
    fn stream(self, place: &Place) -> Outcome<Stream> {
        Ok(match self {
            Self::Disk => Stream::open(place.path("stream"))?,
            Self::Memory => Stream::options().in_memory()?,
        })
    }
}

/// One round after the other.
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
    let mut rounds = Rounds::default();
    // The first round only warms up.
    rounds.run(scale, medium)?;
    let mut rounds = Rounds::default();
    for _ in 0..scale.rounds {
        rounds.run(scale, medium)?;
    }
    rounds.print(medium);
    Ok(())
}

impl Rounds {
    fn run(&mut self, scale: Scale, medium: Medium) -> Outcome {
        let payload = [7; PAYLOAD_BYTES];
        let entries = scale.entries;
        self.floor(&payload, entries)?;
        {
            let place = Place::new()?;
            let stream = medium.stream(&place)?;
            let taken = timed(|| append(&stream, &payload, entries))?;
            self.append.push(taken, entries);
            self.read_single.push(timed(|| read(&stream))?, entries);
            self.cycle_single.push(timed(|| cycle(&stream, "a"))?, entries);
            self.cycle_each.push(timed(|| cycle_each(&stream, "b"))?, entries);
        }
        let place = Place::new()?;
        let stream = medium.stream(&place)?;
        let taken = timed(|| append_batches(&stream, &payload, entries))?;
        self.append_batch.push(taken, entries);
        self.read_batched.push(timed(|| read(&stream))?, entries);
        self.cycle_batched.push(timed(|| cycle(&stream, "a"))?, entries);
        Ok(())
    }

    fn floor(&mut self, payload: &[u8], entries: usize) -> Outcome {
        let place = Place::new()?;
        let mut floor = None;
        let taken = timed(|| {
            floor = Some(Floor::write(&place.path("floor"), payload, entries)?);
            Ok(())
        })?;
        self.floor_write.push(taken, entries);
        let floor = floor.expect("it was just written");
        let taken = timed(|| {
            floor.read();
            Ok(())
        })?;
        self.floor_read.push(taken, entries);
        Ok(())
    }

    fn print(&self, medium: Medium) {
        head(match medium {
            Medium::Disk => "on disk (Durability::Os)",
            Medium::Memory => "in memory (the floor is on disk)",
        });
        let Self { floor_write: write, floor_read: read, .. } = self;
        line("floor: allocate, populate, checksum, copy", write.median(), None, "");
        let share = |own: &Series, floor| Some(own.share_of(floor));
        line("append one by one", self.append.median(), share(&self.append, write), "0.50");
        let own = &self.append_batch;
        line("append in batches of 100", own.median(), share(own, write), "0.75");
        line("floor: copy and check runs of 100", read.median(), None, "");
        let own = &self.read_single;
        line("read, of single appends", own.median(), share(own, read), "0.50");
        let own = &self.read_batched;
        line("read, of batches", own.median(), share(own, read), "0.50");
        let own = &self.cycle_single;
        line("group: read(100) + ack_all, of single", own.median(), None, "10 M/s");
        let own = &self.cycle_batched;
        line("group: read(100) + ack_all, of batches", own.median(), None, "10 M/s");
        line("group: read(100) + ack each by handle", self.cycle_each.median(), None, "");
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

fn read(stream: &Stream) -> Outcome {
    let reader = stream.reader(Start::Earliest)?;
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

fn cycle(stream: &Stream, group: &str) -> Outcome {
    let worker = stream.group(group).open(Start::Earliest)?.join("worker")?;
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

fn cycle_each(stream: &Stream, group: &str) -> Outcome {
    let worker = stream.group(group).open(Start::Earliest)?.join("worker")?;
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
