//! The bounds of everything that a user can make large, and the checks that name them.

use std::time::Duration;

use crate::error::{Error, Result};

/// The most partitions a stream can have.
pub(crate) const PARTITIONS_MAX: u32 = 16_384;
/// The most groups a stream can have.
pub(crate) const GROUPS_MAX: usize = 10_000;
/// The bounds of `segment_bytes`.
pub(crate) const SEGMENT_BYTES: (u64, u64) = (4 << 10, 1 << 30);
/// The default of `segment_bytes`.
pub(crate) const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// The greatest and default `entry_bytes_max`.
pub(crate) const ENTRY_BYTES_MAX: u64 = 16 << 20;
/// A batch is at most this long, appended or read.
pub(crate) const BATCH_BYTES_MAX: u64 = 16 << 20;
/// A unique key is remembered for at most this long.
pub(crate) const UNIQUE_WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most unique keys a stream can keep in memory, and how many it does by default.
pub(crate) const UNIQUE_MAX: u64 = 1 << 30;
/// See [`UNIQUE_MAX`].
pub(crate) const UNIQUE_DEFAULT: u64 = 1_000_000;
/// The most entries that can wait for their own time in a group.
pub(crate) const DELAYED_MAX: u64 = 1 << 30;
/// A group's or consumer's name is at most this long.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// So many parked entries a query gives if it does not say how many.
pub(crate) const PARKED_DEFAULT: usize = 1_000;
/// The same of dead letters.
pub(crate) const LETTERS_DEFAULT: usize = 1_000;
/// Why an entry was rejected is kept up to this length.
pub(crate) const REASON_BYTES_MAX: usize = 1_024;
/// A receiver of a group's events keeps at most this many; those to come are counted.
pub(crate) const EVENTS_MAX: usize = 1_024;
/// A consumer's own events that wait are at most this many; those to come are counted.
pub(crate) const NOTICES_MAX: usize = 256;
/// A query for pending entries gives at most this many, unless it says how many.
pub(crate) const PENDING_ROWS: u32 = 1_000;
/// A schedule of waits has at most this many steps.
pub(crate) const BACKOFF_STEPS_MAX: usize = 64;
/// Durations in options are at most this long.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Entries are kept by age at most this long.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A duration as it is stored.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Refuses a number outside its bounds.
pub(crate) fn within(option: &'static str, given: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let bound = format!("from {min} to {max}").into();
    Err(Error::InvalidOption { option, given: given.to_string().into(), bound })
}

/// Refuses an age of zero, or one beyond all use.
pub(crate) fn aged(option: &'static str, given: Duration) -> Result<()> {
    if given >= Duration::from_micros(1) && given <= AGE_MAX {
        return Ok(());
    }
    let bound = "from 1 microsecond to 100 years".into();
    Err(Error::InvalidOption { option, given: format!("{given:?}").into(), bound })
}

/// Refuses a duration of zero, or one beyond all use.
pub(crate) fn lasting(option: &'static str, given: Duration) -> Result<()> {
    if given >= Duration::from_micros(1) && given <= DURATION_MAX {
        return Ok(());
    }
    let bound = "from 1 microsecond to 365 days".into();
    Err(Error::InvalidOption { option, given: format!("{given:?}").into(), bound })
}

/// As much of a reason as is kept.
pub(crate) fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// Refuses a name that is empty, too long, or not printable.
pub(crate) fn named(what: &'static str, name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("it has {} bytes; the bound is {NAME_BYTES_MAX}", name.len())
    } else if name.chars().any(char::is_control) {
        "it has control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { what, reason: reason.into() })
}
