//! `millstream tail`: follows a stream, until ctrl-c.

use std::time::Duration;

use millstream::{Entry, EntryId, Reader, Start, Stream};

use super::args::Tail;
use super::exit::{Failure, Outcome};
use super::look;
use super::payload;
use super::screen::Screen;
use super::stop::Stop;
use super::words;

/// How long a read waits before it looks whether somebody pressed ctrl-c.
const WAIT: Duration = Duration::from_millis(100);
/// How many entries are read at a time.
const RUN: u32 = 256;
/// How much of a payload people see, unless they say otherwise.
const CUT_BYTES: usize = 1024;

pub(crate) fn run(args: &Tail, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stop = Stop::listen()?;
    let stream = look::open(&args.dir)?;
    let starts = stream.offsets(&args.from.start(look::now()))?;
    check_partition(&stream, args.partition)?;
    let mut left = args.max.unwrap_or(u64::MAX);
    for entry in before(&stream, &starts, args)? {
        show(&entry, args, screen, &mut left)?;
    }
    let reader = with_subjects(stream.reader(Start::Each(starts))?, &args.subject)?;
    let mut missed = 0;
    while left > 0 && !stop.is_asked() {
        let entries = reader.read_timeout(RUN, WAIT)?;
        if reader.missed() > missed {
            let more = reader.missed() - missed;
            missed += more;
            let more = words::entries(more);
            screen.aside(format!("{more} went with old segments before they could be shown"))?;
        }
        for entry in entries {
            if left > 0 && !stop.is_asked() {
                show(&entry, args, screen, &mut left)?;
            }
        }
        screen.flush()?;
    }
    Ok(look::outcome(stream.recovery()))
}

/// Refuses a partition that is not there.
pub(crate) fn check_partition(stream: &Stream, partition: Option<u32>) -> Result<(), Failure> {
    let partitions = stream.partitions();
    match partition.filter(|partition| *partition >= partitions) {
        Some(partition) => Err(millstream::Error::NoSuchPartition { partition, partitions }.into()),
        None => Ok(()),
    }
}

/// Makes a reader give only what matches one of the patterns, if there are any.
pub(crate) fn with_subjects(reader: Reader, patterns: &[String]) -> Result<Reader, Failure> {
    patterns.iter().try_fold(reader, |reader, pattern| Ok(reader.filter(pattern)?))
}

fn show(entry: &Entry, args: &Tail, screen: &mut Screen, left: &mut u64) -> Result<(), Failure> {
    if *left > 0 && args.partition.is_none_or(|partition| partition == entry.id().partition()) {
        payload::show(screen, entry, args.shown, CUT_BYTES)?;
        *left -= 1;
    }
    Ok(())
}

/// The last entries before the places where following begins, oldest first.
fn before(stream: &Stream, ends: &[EntryId], args: &Tail) -> Result<Vec<Entry>, Failure> {
    let mut last: Vec<Entry> = Vec::new();
    let own = |end: &&EntryId| args.partition.is_none_or(|partition| partition == end.partition());
    for end in ends.iter().filter(own).filter(|_| args.lines > 0) {
        // The other partitions begin where they end, so that nothing of them is read.
        let starts = ends.iter().filter(|other| *other != end).copied();
        let reader = stream.reader(Start::Each(starts.collect()))?.until(*end)?;
        let reader = with_subjects(reader, &args.subject)?.backward();
        let mut found = 0;
        while found < args.lines {
            let entries = reader.try_read(RUN)?;
            if entries.is_empty() {
                break;
            }
            // What was appended to others meanwhile comes with the following.
            let entries =
                entries.into_iter().filter(|entry| entry.id().partition() == end.partition());
            let before = last.len();
            last.extend(entries.take(args.lines - found));
            found += last.len() - before;
        }
    }
    // Of one moment, those that have as many before them in their partitions are taken for neighbours.
    last.sort_by_key(|entry| (entry.timestamp(), entry.id().offset(), entry.id().partition()));
    last.drain(..last.len().saturating_sub(args.lines));
    Ok(last)
}
