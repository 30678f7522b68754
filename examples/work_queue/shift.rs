//! One shift: producers append what is not appended yet, and workers work it off meanwhile. The
//! first shift ends when its process is killed, the second when nothing is left.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use millstream::{Backoff, Delivery, Group, NewEntry, Retention, Start, Stream};

use crate::Failure;
use crate::input::Lines;
use crate::record::{APPENDED, PROCESSED, Record};

/// So many lines a producer takes at a time.
const CHUNK: usize = 64;
/// So many entries a worker reads at a time.
const BATCH: u32 = 100;
/// One line in so many fails the first time, as real work does.
const FAILS: usize = 1000;
/// A worker that waited so long looks whether it is done.
const PATIENCE: Duration = Duration::from_millis(20);

/// What all threads of a shift share.
pub(crate) struct Shift<'a> {
    pub(crate) name: &'a str,
    pub(crate) lines: &'a Lines,
    pub(crate) stream: &'a Stream,
    pub(crate) group: &'a Group,
    pub(crate) record: &'a Path,
    /// Which lines are appended already.
    pub(crate) appended: &'a [u32],
    next: AtomicUsize,
    all_appended: AtomicBool,
}

/// Opens the stream and its group, which is the same in both shifts.
pub(crate) fn open(data: &Path) -> millstream::Result<(Stream, Group)> {
    let options = Stream::options().partitions(4).retention(Retention::settled());
    let stream = options.open(data)?;
    let backoff = Backoff::fixed(Duration::from_millis(10));
    let group = stream.group("workers").backoff(backoff).open(Start::Earliest)?;
    Ok((stream, group))
}

impl<'a> Shift<'a> {
    pub(crate) fn new(
        name: &'a str,
        lines: &'a Lines,
        (stream, group): &'a (Stream, Group),
        record: &'a Path,
        appended: &'a [u32],
    ) -> Self {
        let (next, all_appended) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { name, lines, stream, group, record, appended, next, all_appended }
    }

    /// Works until everything is appended and settled. `progress` is told how many were processed.
    pub(crate) fn run(
        &self,
        producers: usize,
        workers: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(), Failure> {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|n| scope.spawn(move || self.work(&format!("{}-{n}", self.name), progress)))
                .collect();
            let producers: Vec<_> = (0..producers)
                .map(|n| scope.spawn(move || self.produce(&format!("{}-{n}", self.name))))
                .collect();
            let produced: Result<(), Failure> = producers.into_iter().try_for_each(joined);
            self.all_appended.store(true, Ordering::Release);
            let worked: Result<(), Failure> = workers.into_iter().try_for_each(joined);
            produced.and(worked)
        })
    }

    fn produce(&self, name: &str) -> Result<(), Failure> {
        let mut told = Record::create(self.record, APPENDED, name)?;
        loop {
            let first = self.next.fetch_add(CHUNK, Ordering::Relaxed);
            if first >= self.lines.len() {
                return Ok(());
            }
            for number in first..self.lines.len().min(first + CHUNK) {
                if self.appended[number] > 0 {
                    continue;
                }
                let line = self.lines.get(number).expect("it is below their number");
                let header = (number as u64).to_le_bytes();
                self.stream.append(NewEntry::new(line).header("line", &header))?;
                told.note(&[number])?;
            }
        }
    }

    fn work(&self, name: &str, progress: &(dyn Fn(usize) + Sync)) -> Result<(), Failure> {
        let consumer = self.group.join(name)?;
        let mut record = Record::create(self.record, PROCESSED, name)?;
        loop {
            // Asked before the read: what is appended after it is then somebody else's to find.
            let last = self.all_appended.load(Ordering::Acquire);
            let batch = consumer.read_timeout(BATCH, PATIENCE)?;
            if batch.is_empty() && last && self.group.lag()? == 0 {
                return Ok(());
            }
            let (mut numbers, mut leases) = (Vec::new(), Vec::new());
            for delivery in batch {
                let number = self.check(&delivery)?;
                if delivery.attempt() == 1 && number % FAILS == FAILS - 1 {
                    delivery.nack()?;
                    continue;
                }
                numbers.push(number);
                leases.push(delivery.detach());
            }
            record.note(&numbers)?;
            // A lease that was lost meanwhile is no loss: whoever got the entry acks it.
            let _lost = consumer.ack(leases)?;
            progress(numbers.len());
        }
    }

    /// The work itself: that the entry is, byte for byte, the line that it says it is.
    fn check(&self, delivery: &Delivery) -> Result<usize, Failure> {
        let header = delivery.header("line").and_then(|header| header.try_into().ok());
        let number = usize::try_from(u64::from_le_bytes(header.ok_or("an entry has no number")?))?;
        if self.lines.get(number) != Some(delivery.payload()) {
            return Err(format!("{} is not line {number} of the input", delivery.id()).into());
        }
        Ok(number)
    }
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<(), Failure>>) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))
}
