//! How long an entry waits after a failed attempt.
//!
//! With jitter, entries that failed together do not come back together. The ledger draws no random
//! number: how much an entry waits less is a hash of the seed, its id and its attempt, so a replay,
//! a test, and two processes with one seed come to the same.

use std::sync::Arc;
use std::time::Duration;

use super::times::micros;
use crate::hash::mix;
use crate::id::EntryId;

/// A schedule of waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) wait: Wait,
    /// Up to how many thousandths of a wait are taken off it.
    pub(crate) jitter_permille: u16,
    pub(crate) seed: u64,
}

/// How long, by attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Always as long.
    Fixed(Duration),
    /// Twice as long after each attempt.
    Exponential {
        /// After the first attempt.
        first: Duration,
        /// At most.
        max: Duration,
    },
    /// One after another; the last one repeats. Not empty.
    Steps(Arc<[Duration]>),
}

impl Backoff {
    /// A schedule without jitter.
    pub(crate) fn plain(wait: Wait) -> Self {
        Self { wait, jitter_permille: 0, seed: 0 }
    }

    /// Whether entries of one attempt wait for different times.
    pub(super) fn varies(&self) -> bool {
        self.jitter_permille > 0
    }

    /// How many microseconds an entry waits after attempt number `attempt`, counted from 1.
    pub(super) fn delay(&self, attempt: u16, id: EntryId) -> u64 {
        let whole = micros(self.wait.after(attempt));
        if self.jitter_permille == 0 {
            return whole;
        }
        let place = mix(u64::from(id.partition()) ^ mix(id.offset()));
        let draw = mix(self.seed ^ place.wrapping_add(u64::from(attempt)));
        let most = u128::from(whole) * u128::from(self.jitter_permille) / 1_000;
        // The product of two 64-bit numbers, of which the upper half is below the first one.
        let less = (most * u128::from(draw)) >> 64;
        whole - u64::try_from(less).unwrap_or(whole).min(whole)
    }
}

impl Wait {
    /// After the first attempt, the second, and so on; the last one repeats.
    pub(crate) fn listed(&self) -> Vec<Duration> {
        if let Self::Steps(steps) = self {
            return steps.to_vec();
        }
        let mut waits: Vec<Duration> = (1..=64).map(|attempt| self.after(attempt)).collect();
        waits.dedup();
        waits
    }

    fn after(&self, attempt: u16) -> Duration {
        let before = attempt.saturating_sub(1);
        match self {
            Self::Fixed(wait) => *wait,
            Self::Exponential { first, max } => {
                let factor = 1_u32.checked_shl(u32::from(before)).unwrap_or(u32::MAX);
                first.saturating_mul(factor).min(*max)
            }
            Self::Steps(steps) => {
                let step = steps.get(usize::from(before)).or(steps.last());
                step.copied().unwrap_or(Duration::ZERO)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: EntryId = EntryId::new(0, 7);

    #[test]
    fn exponential_backoff_doubles_up_to_its_bound() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(30));
        let backoff = Backoff::plain(Wait::Exponential { first, max });
        for (attempt, millis) in [
            (0, 100),
            (1, 100),
            (2, 200),
            (3, 400),
            (9, 25_600),
            (10, 30_000),
            (33, 30_000),
            (8_000, 30_000),
        ] {
            assert_eq!(backoff.delay(attempt, AT), millis * 1_000, "attempt {attempt}");
        }
        let still = Backoff::plain(Wait::Fixed(Duration::from_secs(7)));
        assert_eq!(still.delay(1, AT), still.delay(8_000, AT));
    }

    #[test]
    fn the_last_step_repeats() {
        let steps = [3, 1, 60].map(Duration::from_secs);
        let backoff = Backoff::plain(Wait::Steps(steps.into()));
        for (attempt, seconds) in [(1, 3), (2, 1), (3, 60), (4, 60), (8_000, 60)] {
            assert_eq!(backoff.delay(attempt, AT), seconds * 1_000_000, "attempt {attempt}");
        }
    }

    #[test]
    fn waits_are_listed_up_to_the_one_that_repeats() {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        let cases: [(Wait, Vec<Duration>); 4] = [
            (Wait::Fixed(Duration::from_secs(7)), seconds(&[7])),
            (Wait::Steps(seconds(&[3, 3, 1]).into()), seconds(&[3, 3, 1])),
            (
                Wait::Exponential { first: Duration::from_secs(1), max: Duration::from_secs(5) },
                seconds(&[1, 2, 4, 5]),
            ),
            (Wait::Exponential { first: Duration::ZERO, max: Duration::ZERO }, seconds(&[0])),
        ];
        for (wait, listed) in cases {
            assert_eq!(wait.listed(), listed, "{wait:?}");
        }
    }

    #[test]
    fn jitter_spreads_entries_over_its_share_and_repeats_itself() {
        let wait = Wait::Fixed(Duration::from_secs(1));
        let backoff = Backoff { wait, jitter_permille: 250, seed: 42 };
        let delays: Vec<u64> =
            (0..10_000).map(|at| backoff.delay(1, EntryId::new(0, at))).collect();
        assert!(delays.iter().all(|delay| (750_000..=1_000_000).contains(delay)));
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!(*least < 751_000 && *most > 999_000, "{least} to {most}");
        let mean = delays.iter().sum::<u64>() / 10_000;
        assert!((870_000..880_000).contains(&mean), "{mean}");
        assert_eq!(delays[3], backoff.delay(1, EntryId::new(0, 3)));
        let other = Backoff { seed: 43, ..backoff.clone() };
        assert_ne!(other.delay(1, AT), backoff.delay(1, AT));
        assert_ne!(backoff.delay(2, AT), backoff.delay(1, AT), "attempts differ");
        assert_ne!(backoff.delay(1, EntryId::new(1, 7)), backoff.delay(1, AT), "partitions differ");
    }
}
