//! What `watch` shows: [`Model`].
//!
//! Pure: looks go in with the time at which they were made, and keys; rates and histories come out.
//!
//! # Invariants
//! 1. A chosen group is one of the last look's, and there is one as long as that look has groups.
//! 2. There is a track for each group of the last look, and for no other.
//! 3. `every` lies within [`EVERY_MIN`] and [`EVERY_MAX`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::{Counter, History, Rate};
use super::keys::Act;
use super::sight::{Group, Sight, Standing};
use crate::words::plain;

/// No interval is shorter: a look costs the machine something, if not the owner.
pub(crate) const EVERY_MIN: Duration = Duration::from_millis(100);
/// No interval is longer.
pub(crate) const EVERY_MAX: Duration = Duration::from_secs(60);
/// The intervals that keys choose, in milliseconds.
const STEPS: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/// How many lines a key scrolls.
const SCROLL: usize = 5;

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// All groups.
    All,
    /// The chosen group.
    Details,
    Help,
}

/// What became of a group over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    pub(crate) acked: Counter,
    pub(crate) acks: History,
    pub(crate) redelivered: Counter,
    pub(crate) lag: History,
}

#[derive(Debug)]
pub(crate) struct Model {
    /// Where the stream is, as somebody typed it.
    pub(crate) dir: String,
    pub(crate) every: Duration,
    pub(crate) paused: bool,
    pub(crate) page: Page,
    /// How many lines of the details are above the screen.
    pub(crate) scroll: usize,
    pub(crate) over: bool,
    /// What the last look gave that gave anything.
    pub(crate) sight: Sight,
    /// Why the last look gave nothing.
    pub(crate) trouble: Option<String>,
    /// What happened that nobody asked for, until the next key.
    pub(crate) notice: Option<String>,
    /// For each partition.
    pub(crate) ends: Vec<Counter>,
    /// Of all partitions.
    pub(crate) appended: (Option<Rate>, History),
    /// Of all groups.
    pub(crate) acked: (Option<Rate>, History),
    tracks: BTreeMap<String, Track>,
    chosen: Option<String>,
    seen_at: Option<Duration>,
}

impl Model {
    pub(crate) fn new(dir: String, every: Duration) -> Self {
        Self {
            dir,
            every: every.clamp(EVERY_MIN, EVERY_MAX),
            paused: false,
            page: Page::All,
            scroll: 0,
            over: false,
            sight: Sight::default(),
            trouble: None,
            notice: None,
            ends: Vec::new(),
            appended: (None, History::default()),
            acked: (None, History::default()),
            tracks: BTreeMap::new(),
            chosen: None,
            seen_at: None,
        }
    }

    /// Takes what a look gave, and when that was.
    pub(crate) fn take(&mut self, at: Duration, sight: Sight) {
        self.count_appended(at, &sight);
        self.count_groups(at, &sight);
        self.choose_among(&sight.groups);
        (self.sight, self.trouble, self.seen_at) = (sight, None, Some(at));
    }

    /// Takes that a look failed. What was seen before stays.
    pub(crate) fn fail(&mut self, words: String) {
        self.trouble = Some(words);
    }

    fn count_appended(&mut self, at: Duration, sight: &Sight) {
        // A partition that was added since the last look had nothing in it then.
        let fresh = self.seen_at.map_or_else(Counter::default, Counter::began);
        self.ends.resize(sight.partitions.len(), fresh);
        let partitions = self.ends.iter_mut().zip(&sight.partitions);
        let rates = partitions.filter_map(|(end, partition)| end.count(at, partition.end));
        note(&mut self.appended, sum(rates));
    }

    fn count_groups(&mut self, at: Duration, sight: &Sight) {
        let mut before = std::mem::take(&mut self.tracks);
        let mut rates = Vec::new();
        for group in &sight.groups {
            let mut track = before.remove(&group.name).unwrap_or_default();
            if let Ok(standing) = &group.standing {
                rates.extend(track.note(at, standing));
            }
            self.tracks.insert(group.name.clone(), track);
        }
        note(&mut self.acked, sum(rates.into_iter()));
    }

    /// Keeps the chosen group if it is there, else takes the one that has its place.
    fn choose_among(&mut self, groups: &[Group]) {
        let there = |name: &String| groups.iter().any(|group| group.name == *name);
        if self.chosen.as_ref().is_some_and(there) {
            return;
        }
        let row = self.row().unwrap_or(0).min(groups.len().saturating_sub(1));
        let gone = self.chosen.take();
        self.chosen = groups.get(row).map(|group| group.name.clone());
        if let Some(name) = gone {
            self.notice = Some(format!("the group {} is gone", plain(&name)));
            if self.page == Page::Details {
                self.page = Page::All;
            }
            self.scroll = 0;
        }
    }

    /// Does what a key asks for.
    pub(crate) fn act(&mut self, act: Act) {
        self.notice = None;
        match act {
            Act::Quit => self.over = true,
            Act::Up => self.choose(|row, _| row.saturating_sub(1)),
            Act::Down => self.choose(|row, last| (row + 1).min(last)),
            Act::ScrollUp => self.scroll = self.scroll.saturating_sub(SCROLL),
            Act::ScrollDown => self.scroll += SCROLL,
            Act::Details => {
                self.turn(if self.chosen.is_some() { Page::Details } else { Page::All });
            }
            Act::Help => self.turn(Page::Help),
            Act::Back => self.turn(Page::All),
            Act::Pause => self.paused = !self.paused,
            Act::Slower => {
                let next = steps().find(|step| *step > self.every);
                self.every = next.unwrap_or(EVERY_MAX);
            }
            Act::Faster => {
                let next = steps().rev().find(|step| *step < self.every);
                self.every = next.unwrap_or(EVERY_MIN);
            }
        }
    }

    /// Shows a page, or all groups if it is shown already.
    fn turn(&mut self, page: Page) {
        self.page = if self.page == page { Page::All } else { page };
        self.scroll = 0;
    }

    fn choose(&mut self, row: impl Fn(usize, usize) -> usize) {
        let Some(now) = self.row() else { return };
        let row = row(now, self.sight.groups.len() - 1);
        self.chosen = Some(self.sight.groups[row].name.clone());
        self.scroll = 0;
    }

    /// Which of the groups is chosen.
    pub(crate) fn row(&self) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        self.sight.groups.iter().position(|group| group.name == *chosen)
    }

    pub(crate) fn chosen(&self) -> Option<&Group> {
        self.sight.groups.get(self.row()?)
    }

    pub(crate) fn track(&self, name: &str) -> Option<&Track> {
        self.tracks.get(name)
    }
}

impl Track {
    fn note(&mut self, at: Duration, standing: &Standing) -> Option<Rate> {
        self.lag.push(standing.lag);
        self.redelivered.count(at, standing.redelivered);
        let rate = self.acked.count(at, standing.acked);
        self.acks.push(rate.map_or(0, Rate::thousandths));
        rate
    }
}

fn note((last, history): &mut (Option<Rate>, History), rate: Option<Rate>) {
    *last = rate;
    if let Some(rate) = rate {
        history.push(rate.thousandths());
    }
}

/// All of them together. They are of the same time, but for what came or went within it.
fn sum(rates: impl Iterator<Item = Rate>) -> Option<Rate> {
    rates.reduce(|one, other| Rate {
        number: one.number.saturating_add(other.number),
        time: one.time.max(other.time),
    })
}

fn steps() -> impl DoubleEndedIterator<Item = Duration> {
    STEPS.into_iter().map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
