//! What a steady loop does not show: group commit, a million pending entries, opening.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use millstream::{Consumer, Durability, Start, Stream};

use crate::paths::reading;
use crate::{BATCH, Outcome, PAYLOAD_BYTES, Place, Scale, complete, per_entry, timed};

/// The argument with which this program calls itself to leave a stream behind without closing it.
pub(crate) const LEAVE: &str = "--leave-unclosed";

/// How many entries make about 500 MB.
const LARGE: usize = 3_000_000;

/// Measures and prints them one after the other.
pub(crate) fn table(scale: Scale) -> Outcome {
    println!("\ngroup commit (Durability::Always), appends a second");
    for threads in [1, 4, 8] {
        commit(threads, if scale.quick { 50 } else { 400 })?;
    }
    println!("\ngroup: read(100) + ack_all beside pending entries");
    for pending in [0, if scale.quick { 100_000 } else { 1_000_000 }] {
        pending_cycle(pending, scale.entries)?;
    }
    println!("\nopening a stream");
    opening(scale)
}

/// Threads that append and wait for the disk, all at once.
fn commit(threads: usize, appends: usize) -> Outcome {
    let place = Place::new()?;
    let stream = Stream::options().durability(Durability::Always).open(place.path("stream"))?;
    let payload = [7; PAYLOAD_BYTES];
    stream.append(&payload)?;
    let taken = timed(|| {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| -> Outcome {
                        for _ in 0..appends {
                            stream.append(&payload)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
        })
    })?;
    println!("  {threads} threads {:>10.0}", 1e9 / per_entry(taken.wall, threads * appends));
    Ok(())
}

/// The cycle while every other one of `2 * pending` entries is leased: the pending list in its
/// worst shape, since no two neighbours are alike. The slowest call is that of all, those that
/// filled the list too: it wrote a snapshot.
fn pending_cycle(pending: usize, entries: usize) -> Outcome {
    let place = Place::new()?;
    let stream = Stream::open(place.path("stream"))?;
    let payload = [7; PAYLOAD_BYTES];
    fill(&stream, &payload, 2 * pending + entries)?;
    let group = stream.group("g").max_in_flight(10_000_000).open(Start::Earliest)?;
    let worker = group.join("worker")?;
    let mut calls = Calls::default();
    for _ in 0..2 * pending / BATCH {
        let start = Instant::now();
        let batch = worker.try_read(reading())?;
        let read = Instant::now();
        calls.note(read - start);
        let tokens = batch.into_iter().map(millstream::Delivery::detach);
        let acked = tokens.step_by(2).collect::<Vec<_>>();
        complete(&worker.ack(acked)?)?;
        calls.note(read.elapsed());
    }
    let taken = timed(|| cycle(&worker, &mut calls))?;
    let slowest = calls.slowest.as_secs_f64() * 1e3;
    println!(
        "  {:>9} pending {:>8.1} ns/entry, slowest call {slowest:.1} ms, {} of {} calls over 1 ms",
        group.info()?.leased,
        per_entry(taken.wall, entries),
        calls.slow,
        calls.count,
    );
    Ok(())
}

/// How long single calls took.
#[derive(Debug, Default)]
struct Calls {
    count: usize,
    slow: usize,
    slowest: Duration,
}

impl Calls {
    fn note(&mut self, taken: Duration) {
        self.count += 1;
        self.slow += usize::from(taken > Duration::from_millis(1));
        self.slowest = self.slowest.max(taken);
    }
}

fn cycle(worker: &Consumer, calls: &mut Calls) -> Outcome {
    loop {
        let start = Instant::now();
        let batch = worker.try_read(reading())?;
        let read = Instant::now();
        calls.note(read - start);
        if batch.is_empty() {
            return Ok(());
        }
        complete(&batch.ack_all()?)?;
        calls.note(read.elapsed());
    }
}

fn opening(scale: Scale) -> Outcome {
    let entries = if scale.quick { LARGE / 10 } else { LARGE };
    let place = Place::new()?;
    let path = place.path("clean");
    let stream = Stream::open(&path)?;
    fill(&stream, &[7; PAYLOAD_BYTES], entries)?;
    stream.close()?;
    reopen("closed", &path)?;
    for (how, sync) in
        [("not closed, nothing synced", "unsynced"), ("not closed, synced", "synced")]
    {
        let path = place.path(sync);
        let mut child = Command::new(std::env::current_exe()?);
        let left = child.args([LEAVE, &entries.to_string(), sync]).arg(&path).status()?;
        if !left.success() {
            return Err("the child did not leave a stream behind".into());
        }
        reopen(how, &path)?;
    }
    Ok(())
}

fn reopen(how: &str, path: &Path) -> Outcome {
    let start = Instant::now();
    let stream = Stream::open(path)?;
    let taken = start.elapsed().as_secs_f64() * 1e3;
    let bytes: u64 = stream.info()?.partitions.iter().map(|partition| partition.bytes).sum();
    println!("  {:>5} MB, {how}: {taken:.1} ms", bytes / 1_000_000);
    Ok(())
}

/// Fills a stream and ends the process without closing it: the arguments that `opening` gives.
pub(crate) fn leave(args: &[String]) -> Outcome {
    let [entries, sync, path] = args else { return Err("wrong arguments".into()) };
    let stream = Stream::open(path)?;
    fill(&stream, &[7; PAYLOAD_BYTES], entries.parse()?)?;
    if sync == "synced" {
        stream.sync()?;
    }
    std::process::exit(0)
}

fn fill(stream: &Stream, payload: &[u8], entries: usize) -> Outcome {
    for _ in 0..entries / BATCH {
        stream.append_batch((0..BATCH).map(|_| payload))?;
    }
    Ok(())
}
