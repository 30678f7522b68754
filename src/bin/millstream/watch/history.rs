//! How fast something grows: [`Counter`] and [`Rate`]; and what bars are drawn of: [`History`].
//!
//! Pure: times are arguments, durations since any one moment.

use std::collections::VecDeque;
use std::time::Duration;

/// How many points are kept: as many as the widest row of bars may show.
const POINTS_MAX: usize = 512;

/// So many in that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) number: u64,
    pub(crate) time: Duration,
}

impl Rate {
    /// In thousandths a second, so that a slow trickle is more than nothing.
    pub(crate) fn thousandths(self) -> u64 {
        let nanos = self.time.as_nanos().max(1);
        let rate = u128::from(self.number) * 1_000_000_000_000 / nanos;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// A total that grows, and how fast it did so between the last two looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    last: Option<(Duration, u64)>,
    rate: Option<Rate>,
}

impl Counter {
    /// One of which it is known that it was 0 then.
    pub(crate) fn began(at: Duration) -> Self {
        Self { last: Some((at, 0)), rate: None }
    }

    /// Takes what the total is now. The first look gives no rate. If the total is smaller than it
    /// was, it is of something new, of which only the next look can tell a rate.
    pub(crate) fn count(&mut self, at: Duration, total: u64) -> Option<Rate> {
        let before = self.last.replace((at, total));
        self.rate = before.and_then(|(then, before)| {
            let time = at.checked_sub(then).filter(|time| !time.is_zero())?;
            Some(Rate { number: total.checked_sub(before)?, time })
        });
        self.rate
    }

    /// The last rate.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.rate
    }
}

/// The last points of something, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    points: VecDeque<u64>,
}

impl History {
    pub(crate) fn push(&mut self, point: u64) {
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// The last points as bars, the newest at the right. The highest bar is the greatest of them.
    pub(crate) fn bars(&self, width: usize) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let shown = self.points.len().min(width);
        let points = self.points.range(self.points.len() - shown..);
        let max = u128::from(points.clone().max().copied().unwrap_or(0).max(1));
        let level = |point: &u64| {
            // Nothing is the lowest bar, and whatever is more is seen to be more.
            let level = (u128::from(*point) * 7).div_ceil(max);
            BARS[usize::try_from(level).unwrap_or(7).min(7)]
        };
        std::iter::repeat_n(' ', width - shown).chain(points.map(level)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_what_came_between_two_looks() {
        let mut counter = Counter::default();
        assert_eq!(counter.count(SECOND, 500), None);
        let rate = counter.count(SECOND * 3, 600).expect("the second look");
        assert_eq!(rate, Rate { number: 100, time: SECOND * 2 });
        assert_eq!(rate.thousandths(), 50_000);
        assert_eq!(counter.rate(), Some(rate));
    }

    #[test]
    fn a_total_that_falls_starts_anew() {
        let mut counter = Counter::default();
        counter.count(SECOND, 500);
        assert_eq!(counter.count(SECOND * 2, 3), None);
        assert_eq!(counter.count(SECOND * 3, 8).map(|rate| rate.number), Some(5));
    }

    #[test]
    fn looks_at_one_moment_have_no_rate() {
        let mut counter = Counter::began(SECOND);
        assert_eq!(counter.count(SECOND, 5), None);
        assert_eq!(counter.count(SECOND / 2, 7), None);
    }

    #[test]
    fn no_rate_is_too_great_or_too_small_to_tell() {
        let most = Rate { number: u64::MAX, time: Duration::from_nanos(1) };
        assert_eq!(most.thousandths(), u64::MAX);
        assert_eq!(Rate { number: 1, time: SECOND * 60 }.thousandths(), 16);
    }

    #[test]
    fn bars_end_with_the_newest_point() {
        let mut history = History::default();
        assert_eq!(history.bars(3), "   ");
        for point in [0, 1, 700, 350, 0] {
            history.push(point);
        }
        assert_eq!(history.bars(7), "  ▁▂█▅▁");
        assert_eq!(history.bars(2), "█▁");
        assert_eq!(history.bars(0), "");
        history.push(u64::MAX);
        assert_eq!(history.bars(2), "▁█");
    }

    #[test]
    fn old_points_go() {
        let mut history = History::default();
        (0..2 * POINTS_MAX as u64).for_each(|point| history.push(point));
        assert_eq!(history.points.len(), POINTS_MAX);
        assert_eq!(history.points.back(), Some(&(2 * POINTS_MAX as u64 - 1)));
    }
}
