//! Time: the two faces of a [`Clock`], and the [`Moment`]s that leases and delays are kept in.
//!
//! The monotonic face drives leases, sessions and waits; the wall face stamps entries and carries
//! delays over a restart. A wall clock that jumps therefore breaks neither order nor leases.
//!
//! # Invariants
//!
//! 1. [`Time::now`] never goes back, and stays below [`Moment::NEVER`].
//! 2. A moment fits in 48 bits, since the ledger packs it with other fields into one word.
//! 3. Nothing here waits for real time under a [`ManualClock`].
//!
//! # Why coarse
//!
//! The coarse system clock costs 5 ns to read, the precise one 21, and it stands still for at most
//! 4 ms, which is far below any lease. `Time` is an enum and not a `dyn Clock`, so that an append
//! reads the system's clock without an indirect call.

mod manual;
mod parker;

pub use manual::ManualClock;
pub(crate) use parker::{Parker, Woken};
pub(crate) use sealed::Time;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where a stream takes its time from: [`SystemClock`], or [`ManualClock`] in tests.
///
/// The trait is sealed. A blocked read has to wait on its clock, which takes more than two
/// readings, so only the clocks of this crate can be one.
///
/// ```
/// use millstream::{Clock, SystemClock};
///
/// let earlier = SystemClock.monotonic();
/// assert!(SystemClock.monotonic() >= earlier);
/// ```
pub trait Clock: sealed::Source + Debug + Send + Sync + 'static {
    /// Time since a fixed point in the past; never goes back. Leases, sessions and waits use it.
    fn monotonic(&self) -> Duration;

    /// The time of day. It may jump either way; timestamps and retention use it.
    fn wall(&self) -> SystemTime;
}

mod sealed {
    use std::time::Duration;

    use super::ManualClock;

    /// What seals [`Clock`](super::Clock): the crate's own view of a clock.
    pub trait Source {
        #[doc(hidden)]
        fn time(&self) -> Time;
    }

    /// The clock of one stream. Moments of different `Time`s do not compare.
    #[doc(hidden)]
    #[derive(Clone, Debug)]
    pub enum Time {
        /// The system's clock; moments count from `start` of its monotonic face.
        System { start: Duration },
        /// A clock that is moved by hand; moments count from its own start.
        Manual(ManualClock),
    }
}

/// The system's own clock, and the default: coarse (within 4 ms) where the system has a coarse one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock;

/// So long before the system or the process began the monotonic face does: longer than any lease, so
/// that who looks at what others wrote has moments for it.
const PAST: Duration = Duration::from_secs(366 * 86_400);

#[cfg(target_os = "linux")]
impl SystemClock {
    #[inline]
    fn read(id: rustix::time::ClockId) -> Duration {
        let time = rustix::time::clock_gettime(id);
        // Before 1970, or a nanosecond field out of range: the system is confused, and zero is
        // the value that keeps everything running.
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// The wall clock without the way over [`SystemTime`], which costs five times the reading.
    #[inline]
    fn wall_micros() -> u64 {
        micros(Self::read(rustix::time::ClockId::RealtimeCoarse))
    }
}

#[cfg(not(target_os = "linux"))]
impl SystemClock {
    fn wall_micros() -> u64 {
        wall_micros(Self.wall())
    }
}

#[cfg(target_os = "linux")]
impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        Self::read(rustix::time::ClockId::MonotonicCoarse).saturating_add(PAST)
    }

    fn wall(&self) -> SystemTime {
        let since = Self::read(rustix::time::ClockId::RealtimeCoarse);
        SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the clock that all others read")]
impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed().saturating_add(PAST)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl sealed::Source for SystemClock {
    fn time(&self) -> Time {
        Time::System { start: self.monotonic() }
    }
}

/// The shortest timed wait on the system clock. A shorter one would end before the coarse clock
/// shows that its moment has come, and the waiter would spin until the next tick.
const WAIT_MIN: Duration = Duration::from_millis(1);

impl Time {
    /// The present moment.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            Self::System { start } => Moment::at(SystemClock.monotonic().saturating_sub(*start)),
            Self::Manual(clock) => Moment::at(clock.monotonic()),
        }
    }

    /// The same clock, with moments for what was before this one.
    pub(crate) fn looking_back(self) -> Self {
        match self {
            Self::System { .. } => Self::System { start: Duration::ZERO },
            Self::Manual(clock) => Self::Manual(clock),
        }
    }

    /// The wall clock in microseconds since 1970; what lies before is 0.
    #[inline]
    pub(crate) fn wall_micros(&self) -> u64 {
        match self {
            Self::System { .. } => SystemClock::wall_micros(),
            Self::Manual(clock) => wall_micros(clock.wall()),
        }
    }

    /// Blocks the thread of `parker` until it is signalled or `wake` has come. Under a
    /// self-advancing clock it moves the clock instead.
    pub(crate) fn sleep(&self, parker: &Arc<Parker>, wake: Moment) -> Woken {
        match self {
            Self::Manual(clock) => clock.sleep(parker, wake),
            Self::System { .. } if wake == Moment::NEVER => parker.wait(),
            Self::System { .. } => loop {
                let now = self.now();
                if now >= wake {
                    return parker.take().unwrap_or(Woken::Time);
                }
                if let Some(woken) = parker.wait_for(wake.since(now).max(WAIT_MIN)) {
                    return woken;
                }
            },
        }
    }

    /// Whether it is moved by hand.
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self, Self::Manual(_))
    }

    /// Whether a wait moves the clock instead of blocking.
    pub(crate) fn is_self_advancing(&self) -> bool {
        matches!(self, Self::Manual(clock) if clock.advances_itself())
    }
}

/// The crate's own view of `clock`, which moments count from now on.
pub(crate) fn time_of(clock: &impl Clock) -> Time {
    clock.time()
}

/// `wall` in microseconds since 1970, as entries carry it; what lies before is 0.
pub(crate) fn wall_micros(wall: SystemTime) -> u64 {
    micros(wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

/// Whole microseconds, without 128-bit arithmetic.
#[inline]
fn micros(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(u64::from(duration.subsec_micros()))
}

/// The wall time `micros` after 1970.
pub(crate) fn wall_time(micros: u64) -> SystemTime {
    let since = Duration::from_micros(micros);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Microseconds since the clock's start: what leases, delays and sessions are measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// The clock's start.
    pub(crate) const ZERO: Self = Self(0);

    /// Later than every moment that comes: 2^48 - 1 microseconds, or 8.9 years.
    pub(crate) const NEVER: Self = Self((1 << 48) - 1);

    /// The moment `wait` after this one; `NEVER` where that is out of range.
    #[inline]
    #[must_use]
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(micros(wait))).min(Self::NEVER)
    }

    /// The time from `earlier` to this moment; zero where `earlier` is the later one.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The moment `elapsed` after the clock's start. It is never `NEVER`, which does not come.
    fn at(elapsed: Duration) -> Self {
        Self::ZERO.after(elapsed).min(Self(Self::NEVER.0 - 1))
    }
}

const _: () = {
    const fn handle<T: Send + Sync + Clone>() {}
    handle::<SystemClock>();
    handle::<ManualClock>();
    handle::<Time>();
};

#[cfg(test)]
mod tests {
    use super::sealed::Source;
    use super::*;

    #[test]
    fn moments_saturate_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Moment::ZERO.after(second), Moment(1_000_000));
        assert_eq!(Moment(1_000_000).since(Moment(400_000)), Duration::from_millis(600));
        assert_eq!(Moment(5).since(Moment(6)), Duration::ZERO);
        assert_eq!(Moment::ZERO.after(Duration::MAX), Moment::NEVER);
        assert_eq!(Moment::NEVER.after(second), Moment::NEVER);
        assert_eq!(Moment::NEVER.0 >> 48, 0);
    }

    #[test]
    fn the_present_is_never_never() {
        let clock = ManualClock::new();
        clock.advance(Duration::MAX);
        assert!(clock.time().now() < Moment::NEVER);
    }

    #[test]
    fn wall_times_before_1970_are_zero() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(wall_micros(before), 0);
        assert_eq!(ManualClock::at(before).time().wall_micros(), 0);
        assert_eq!(wall_micros(SystemTime::UNIX_EPOCH + Duration::from_secs(2)), 2_000_000);
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let time = SystemClock.time();
        let mut last = Moment::ZERO;
        for _ in 0..1_000 {
            let now = time.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn a_moment_has_come_when_the_system_clock_ends_a_sleep() {
        let time = SystemClock.time();
        let wake = time.now().after(Duration::from_micros(1));
        assert_eq!(time.sleep(&Arc::default(), wake), Woken::Time);
        assert!(time.now() >= wake);
    }

    #[test]
    fn a_signal_goes_before_a_moment_that_has_come() {
        let time = SystemClock.time();
        let parker = Arc::<Parker>::default();
        parker.ring();
        assert_eq!(time.sleep(&parker, Moment::ZERO), Woken::Rung);
        assert_eq!(time.sleep(&parker, Moment::ZERO), Woken::Time);
    }
}
