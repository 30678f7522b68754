//! `millstream dump`: the entries of a range.

use std::ops::{Bound, Range};

use millstream::{Corruption, EntryId, Error, Start, Stream};

use super::args::Dump;
use super::exit::{Failure, Outcome};
use super::look;
use super::payload;
use super::place::Point;
use super::screen::Screen;
use super::tail::{check_partition, with_subjects};
use super::words::plain;

/// How many entries are read at a time.
const RUN: u32 = 256;
/// How many offsets are tried one by one behind damage of which nobody knows where it ends.
const SKIPPED_MAX: u32 = 10_000;

pub(crate) fn run(args: &Dump, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.dir)?;
    check_partition(&stream, args.partition)?;
    let bounds = bounds(&stream, args)?;
    let info = stream.info()?;
    let (mut left, mut outcome) = (args.max.unwrap_or(u64::MAX), look::outcome(stream.recovery()));
    let (mut told, mut skipped) = (None, 0);
    for (partition, stored) in (0..).zip(&info.partitions) {
        if args.partition.is_some_and(|only| only != partition) {
            continue;
        }
        let mut span = span(&bounds, partition, stored.start..stored.end);
        while left > 0 && !span.is_empty() {
            let Some(damage) = dump(&stream, partition, &mut span, args, screen, &mut left)? else {
                break;
            };
            outcome = Outcome::Damaged;
            let here = (partition, damage.position);
            if told != Some(here) {
                screen.aside(format!("corrupt: {}", plain(&damage.to_string())))?;
            }
            skipped = if told == Some(here) { skipped + 1 } else { 0 };
            told = Some(here);
            // What stands behind the damage may still be found, from somewhere on.
            let first = damage.first.unwrap_or(span.start).max(span.start);
            let behind = damage.end.unwrap_or(first + 1).max(first + 1);
            span.start = if skipped < SKIPPED_MAX { behind } else { span.end };
        }
    }
    for found in &stream.recovery().partitions {
        if let Some(damage) = &found.damage {
            let (partition, damage) = (found.partition, plain(damage));
            screen.aside(format!("partition {partition} is damaged: {damage}"))?;
        }
    }
    Ok(outcome)
}

/// Shows a span of a partition, and moves its start along. Gives the damage that stopped it, if any.
fn dump(
    stream: &Stream,
    partition: u32,
    span: &mut Range<u64>,
    args: &Dump,
    screen: &mut Screen,
    left: &mut u64,
) -> Result<Option<Corruption>, Failure> {
    // The other partitions begin where they end, so that nothing of them is read.
    let mut starts = stream.offsets(&Start::Latest)?;
    starts[partition as usize] = EntryId::new(partition, span.start);
    let reader = stream.reader(Start::Each(starts))?.until(EntryId::new(partition, span.end))?;
    let reader = with_subjects(reader, &args.subject)?;
    while *left > 0 {
        let entries = match reader.try_read(RUN) {
            Err(Error::Corrupt(damage)) => return Ok(Some(*damage)),
            entries => entries?,
        };
        if entries.is_empty() {
            break;
        }
        // What was appended to others meanwhile is not asked for.
        for entry in entries.into_iter().filter(|entry| entry.id().partition() == partition) {
            if *left > 0 {
                payload::show(screen, &entry, args.shown, usize::MAX)?;
                (span.start, *left) = (entry.id().offset() + 1, *left - 1);
            }
        }
    }
    Ok(None)
}

/// The bounds as ids.
fn bounds(stream: &Stream, args: &Dump) -> Result<(Bound<EntryId>, Bound<EntryId>), Failure> {
    let partition = match (args.partition, stream.partitions()) {
        (Some(partition), _) => Some(partition),
        (None, 1) => Some(0),
        (None, _) => None,
    };
    let id = |point: Point| {
        match (point, partition) {
        (Point::Id(id), _) => Ok(id),
        (Point::Offset(offset), Some(partition)) => Ok(EntryId::new(partition, offset)),
        (Point::Offset(_), None) => Err(Failure::Usage(
            "the stream has several partitions: name one with --partition, or give ids such as 0-5..0-9"
                .to_owned(),
        )),
    }
    };
    let bound = |bound: Bound<Point>| {
        Ok::<_, Failure>(match bound {
            Bound::Included(point) => Bound::Included(id(point)?),
            Bound::Excluded(point) => Bound::Excluded(id(point)?),
            Bound::Unbounded => Bound::Unbounded,
        })
    };
    Ok((bound(args.range.0)?, bound(args.range.1)?))
}

/// The part of a partition that lies within the bounds.
fn span(
    bounds: &(Bound<EntryId>, Bound<EntryId>),
    partition: u32,
    stored: Range<u64>,
) -> Range<u64> {
    let (first, end) = bounds;
    // Where a bound lies in this partition: before it, behind it, or at an offset.
    let place = |id: EntryId, past: u64| match id.partition().cmp(&partition) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => id.offset().saturating_add(past),
        std::cmp::Ordering::Greater => u64::MAX,
    };
    let first = match *first {
        Bound::Included(id) => place(id, 0),
        Bound::Excluded(id) => place(id, 1),
        Bound::Unbounded => 0,
    };
    let end = match *end {
        Bound::Included(id) => place(id, 1),
        Bound::Excluded(id) => place(id, 0),
        Bound::Unbounded => u64::MAX,
    };
    first.max(stored.start)..end.min(stored.end)
}

#[cfg(test)]
mod tests {
    use Bound::{Excluded, Included, Unbounded};

    use super::*;

    #[test]
    fn a_range_is_cut_to_each_partition() {
        let [a, b] = [EntryId::new(1, 5), EntryId::new(2, 9)];
        let rows = [
            ((Included(a), Excluded(b)), 0, 2..2),
            ((Included(a), Excluded(b)), 1, 5..20),
            ((Excluded(a), Included(b)), 1, 6..20),
            ((Excluded(a), Included(b)), 2, 2..10),
            ((Unbounded, Unbounded), 7, 2..20),
            ((Unbounded, Excluded(a)), 2, 2..2),
        ];
        for (bounds, partition, known) in rows {
            let found = span(&bounds, partition, 2..20);
            assert!(
                found == known || found.is_empty() && known.is_empty(),
                "{bounds:?}: {found:?}"
            );
        }
    }
}
