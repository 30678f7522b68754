//! Opening a stream to look at it, and what all such verbs tell of damage.

use std::path::Path;
use std::time::SystemTime;

use millstream::{Clock, Recovery, Stream, SystemClock};

use super::exit::{Failure, Outcome};
use super::screen::{BAD, Screen};
use super::words::plain;

/// Opens a stream as it is, without its lock.
pub(crate) fn open(dir: &Path) -> Result<Stream, Failure> {
    Ok(Stream::options().open_read_only(dir)?)
}

/// The time by the wall clock.
pub(crate) fn now() -> SystemTime {
    SystemClock.wall()
}

/// How a look ends at what could be believed of a stream.
pub(crate) fn outcome(recovery: &Recovery) -> Outcome {
    let damaged = recovery.partitions.iter().any(|partition| partition.damage.is_some());
    if damaged { Outcome::Damaged } else { Outcome::Done }
}

/// Tells people where partitions could not be believed any further.
pub(crate) fn tell_damage(recovery: &Recovery, screen: &mut Screen) -> Result<(), Failure> {
    for found in &recovery.partitions {
        let Some(damage) = &found.damage else { continue };
        let (partition, end) = (found.partition, found.end);
        let words =
            format!("partition {partition} is damaged, and ends at {end}: {}", plain(damage));
        let words = screen.paint(BAD, words);
        screen.line(words)?;
    }
    Ok(())
}
