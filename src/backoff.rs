//! [`Backoff`]: how long a failed entry waits before it is tried again.

use std::time::Duration;

use crate::engine::{StoredBackoff, StoredWait, micros};
use crate::error::{Error, Result};
use crate::limits::{BACKOFF_STEPS_MAX, DURATION_MAX, within};

/// How long an entry waits before it is handed out again, after a nack or the end of its lease.
///
/// ```
/// use std::time::Duration;
/// use millstream::Backoff;
///
/// // 1 s, 2 s, 4 s and so on up to 5 minutes, each up to a fifth shorter.
/// let retry = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(300)).jitter(0.2);
/// // 1 s, then a minute, then an hour each time.
/// let patient = Backoff::steps([1, 60, 3600].map(Duration::from_secs));
/// # let _ = (retry, patient);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    wait: StoredWait,
    jitter: f64,
    seed: Option<u64>,
}

impl Backoff {
    /// Always as long; zero for at once.
    pub fn fixed(wait: Duration) -> Self {
        Self::of(StoredWait::Fixed(micros(wait)))
    }

    /// `first` after the first attempt, then twice as long each time, up to `max`.
    pub fn exponential(first: Duration, max: Duration) -> Self {
        Self::of(StoredWait::Exponential { first: micros(first), max: micros(max) })
    }

    /// One wait after the other: the first after the first attempt, and so on; the last one
    /// repeats. 1 to 64 of them. (As `JetStream`'s `BackOff`.)
    pub fn steps(waits: impl IntoIterator<Item = Duration>) -> Self {
        // One more than allowed is enough to be refused for.
        let waits = waits.into_iter().take(BACKOFF_STEPS_MAX + 1).map(micros);
        Self::of(StoredWait::Steps(waits.collect()))
    }

    /// Makes each wait shorter by up to this share of it, 0 to 1, so that entries that failed
    /// together do not all come back together. How much is drawn for each entry and attempt.
    #[must_use]
    pub fn jitter(self, share: f64) -> Self {
        Self { jitter: share, ..self }
    }

    /// Fixes what the jitter is drawn from: with the same seed, entries and attempts get the same
    /// waits. By default every group has a seed of its own.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    fn of(wait: StoredWait) -> Self {
        Self { wait, jitter: 0.0, seed: None }
    }

    /// Checks it against its bounds.
    pub(crate) fn stored(self) -> Result<StoredBackoff> {
        let year = micros(DURATION_MAX);
        if let StoredWait::Steps(steps) = &self.wait {
            let (given, max) = (steps.len() as u64, BACKOFF_STEPS_MAX as u64);
            within("the number of steps of backoff", given, 1, max)?;
        }
        self.wait.each().try_for_each(|wait| within("backoff", wait, 0, year))?;
        if !(0.0..=1.0).contains(&self.jitter) {
            let (option, bound) = ("the jitter of backoff", "from 0 to 1".into());
            return Err(Error::InvalidOption {
                option,
                given: self.jitter.to_string().into(),
                bound,
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to 1,000"
        )]
        let jitter_permille = (self.jitter * 1_000.0).round() as u16;
        Ok(StoredBackoff { wait: self.wait, jitter_permille, seed: self.seed })
    }
}
