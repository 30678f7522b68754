//! Arithmetic on moments, which saturates: nothing a user configures can overflow it.
//!
//! Moments are kept in 48 bits, almost nine years of microseconds since the clock's start. What
//! would lie beyond that is [`NEVER`].

use std::time::Duration;

use crate::clock::Moment;

/// The moment that does not come.
pub(super) const NEVER: Moment = Moment((1 << 48) - 1);

/// Both faces of the clock at one time: the one that leases are measured by, and the one that
/// means something to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// The monotonic face.
    pub(crate) at: Moment,
    /// The wall: microseconds since the epoch.
    pub(crate) wall: u64,
}

impl Now {
    /// When it was `wall`, as far as the wall clock did not jump; this moment if that is ahead.
    pub(crate) fn back_to(self, wall: u64) -> Moment {
        Moment(self.at.0.saturating_sub(self.wall.saturating_sub(wall)))
    }

    /// When a delay that started at `wall` is over. A wall clock that went back or far forth
    /// neither lengthens the delay nor makes it negative.
    pub(super) fn end_of(self, delay: u64, wall: u64) -> Moment {
        later(self.at, delay.saturating_sub(self.wall.saturating_sub(wall)))
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn later(moment: Moment, micros: u64) -> Moment {
    Moment(moment.0.saturating_add(micros).min(NEVER.0))
}

pub(super) fn after(moment: Moment, duration: Duration) -> Moment {
    later(moment, micros(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_never() {
        assert_eq!(after(Moment(1), Duration::MAX), NEVER);
        assert_eq!(after(NEVER, Duration::from_secs(1)), NEVER);
        assert_eq!(after(Moment(1), Duration::from_micros(2)), Moment(3));
    }

    #[test]
    fn a_wall_time_is_a_moment_that_is_not_ahead() {
        let now = Now { at: Moment(1_000), wall: 500 };
        for (wall, moment) in [(500, 1_000), (450, 950), (9_999, 1_000)] {
            assert_eq!(now.back_to(wall), Moment(moment), "{wall}");
        }
        assert_eq!(Now { wall: 5_000, ..now }.back_to(1), Moment::ZERO);
    }

    #[test]
    fn what_is_left_of_a_delay_lies_between_nothing_and_all_of_it() {
        let now = Now { at: Moment(1_000), wall: 500 };
        for (delay, started, end) in
            [(100, 500, 1_100), (100, 450, 1_050), (100, 0, 1_000), (100, 9_999, 1_100)]
        {
            assert_eq!(now.end_of(delay, started), Moment(end), "{delay} from {started}");
        }
    }
}
