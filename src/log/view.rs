//! What is known of a log that somebody else owns.
//!
//! # Invariants
//! 1. All frames below `position` of the last segment were seen whole, and `offset` is behind them.
//!    Whole batches only: `position` never stands between linked frames.
//! 2. `floor` is the greatest offset that any header or frame called synced.
//! 3. Where staging is on, the owner's readers see what is durable only, and so does the view: it
//!    shows what was seen whole and lies below the floor.
//! 4. What is shown only grows, until it is [installed](Log::install) anew. Cursors learn by a
//!    [break](Breaks) how far back that reaches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::active::MARK_EVERY_BYTES;
use super::append::Log;
use super::frame::{ALIGN, Header};
use super::header::{FRAMES_AT, Floor, Mark};
use super::segment::Segment;
use crate::error::{Corruption, Error};

/// So many breaks are told apart; of older ones it is known how far back they reached together.
const BREAKS_MAX: usize = 64;

/// How far a log was seen.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Behind the last whole batch, in the last segment.
    pub(super) position: u64,
    /// The offset behind it.
    pub(super) offset: u64,
    /// The greatest time of any entry before it.
    pub(super) time_max: u64,
    /// From which position on the next mark is due.
    pub(super) next_mark: u64,
    pub(super) floor: u64,
    /// The salt of the next segment, if this one was found torn before that begins: it goes once
    /// the owner opens the log.
    pub(super) void: Option<u64>,
    /// What the opening told of. It is no news to whoever follows.
    pub(super) told: Option<Box<Corruption>>,
}

impl View {
    /// Before the first frame of a segment.
    pub(super) fn enter(&mut self, segment: &Segment) {
        self.position = FRAMES_AT;
        self.offset = segment.base;
        self.time_max = segment.time_before;
        self.next_mark = 0;
        segment.set_marks(Some(Vec::new()));
    }

    /// Behind a frame of the last segment. Gives the mark before it, if one was due.
    pub(super) fn pass(&mut self, header: &Header, segment: &Segment) -> Option<Mark> {
        let mark = self.mark(segment);
        if mark.is_some() {
            self.next_mark = self.position + MARK_EVERY_BYTES;
        }
        if header.count > 0 {
            self.time_max = self.time_max.max(header.time);
        }
        self.floor = self.floor.max(header.floor);
        self.position += header.frame_bytes();
        self.offset += u64::from(header.count);
        mark
    }

    /// Goes on at a floor further on, if it can be one.
    pub(super) fn leap(&mut self, floor: Floor, file_bytes: u64) -> bool {
        let position = u64::from(floor.position);
        let further = floor.offset >= self.offset && position > self.position;
        let can_be = further && position <= file_bytes && position.is_multiple_of(ALIGN);
        if can_be {
            (self.position, self.offset, self.next_mark) = (position, floor.offset, position);
        }
        can_be
    }

    fn mark(&self, segment: &Segment) -> Option<Mark> {
        if self.position < self.next_mark {
            return None;
        }
        let offset = u32::try_from(self.offset - segment.base).ok()?;
        let position = u32::try_from(self.position).ok()?;
        Some(Mark { offset, position, time_max: self.time_max })
    }

    /// The place of this view alone.
    pub(super) fn place(&self) -> Self {
        Self { told: None, ..*self }
    }
}

/// Segments as they were found, and how far.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) view: View,
}

/// Where what was shown ceased to hold, once for each time that a log was read afresh.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    count: AtomicU64,
    /// Which break, and the first offset that may be another entry's since; oldest first.
    known: Mutex<Vec<(u64, u64)>>,
}

impl Breaks {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The first offset that any break since the first `seen` concerns.
    pub(super) fn lowest(&self, seen: u64) -> u64 {
        let known = self.known.lock();
        let since = known.iter().filter(|(number, _)| *number > seen);
        since.map(|(_, offset)| *offset).min().unwrap_or(u64::MAX)
    }

    fn add(&self, offset: u64) {
        let mut known = self.known.lock();
        let number = self.count() + 1;
        known.push((number, offset));
        if known.len() > BREAKS_MAX {
            let (_, oldest) = known.remove(0);
            known[0].1 = known[0].1.min(oldest);
        }
        self.count.store(number, Ordering::Release);
    }
}

impl Log {
    /// Shows what was seen.
    pub(super) fn show(&self, view: &View) {
        if let Some(last) = self.segments.read().last() {
            last.publish(view.position);
        }
        self.writer().end = view.offset;
        let durable = view.floor.min(view.offset);
        let all = !self.shows_durable.load(Ordering::Relaxed);
        let visible = if all { view.offset } else { durable };
        self.durable.store(durable, Ordering::Release);
        self.visible.store(visible, Ordering::Release);
    }

    /// Shows from now on all that is there, or only what is durable: the owner began or ended to stage.
    pub(crate) fn show_durable(&self, durable_only: bool) {
        if self.shows_durable.swap(durable_only, Ordering::Relaxed) != durable_only {
            self.show(&self.view.lock());
        }
    }

    /// Shows this and nothing of what was known.
    pub(super) fn install(&self, view: &mut View, found: Overview) {
        let Overview { segments, view: seen } = found;
        let shown = self.visible();
        *view = View { told: view.told.take(), ..seen };
        let mut known = self.segments.write();
        let kept = agreed(&known, shown, &segments, view.offset);
        let before = std::mem::replace(&mut *known, segments);
        drop(known);
        self.mapped.lock().clear();
        // Whoever stands in one of these finds it gone, and looks for its place again.
        for segment in &before {
            segment.abandon();
        }
        if !before.is_empty() {
            self.breaks.add(kept);
        }
        self.show(view);
    }

    /// Whether an error says what the opening told already.
    pub(super) fn is_told(view: &View, error: &Error) -> bool {
        matches!(error, Error::Corrupt(damage) if view.told.as_ref() == Some(damage))
    }
}

/// The first offset from which on two findings of a log may differ.
fn agreed(old: &[Arc<Segment>], shown: u64, new: &[Arc<Segment>], end: u64) -> u64 {
    let base_of = |segments: &[Arc<Segment>], index: usize| segments.get(index).map(|one| one.base);
    for (index, known) in old.iter().enumerate().rev() {
        let found = new.binary_search_by_key(&known.sequence, |segment| segment.sequence);
        if let Ok(same) = found.map_err(drop)
            && new[same].salt == known.salt
        {
            let before = base_of(old, index + 1).unwrap_or(shown);
            return before.min(base_of(new, same + 1).unwrap_or(end));
        }
    }
    // Without one in common, all that was known is trimmed, unless it is something else altogether.
    shown.min(base_of(new, 0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::segment::Origin;

    fn segment(sequence: u64, base: u64, salt: u64) -> Arc<Segment> {
        Arc::new(Segment::new(
            &Origin {
                sequence,
                base,
                salt,
                capacity: 4096,
                file_bytes: 4096,
                time_before: 0,
                slot: 0,
                floor: Floor::default(),
            },
            FRAMES_AT,
            None,
        ))
    }

    #[test]
    fn findings_agree_up_to_the_end_of_the_last_segment_they_share() {
        let old = [segment(3, 10, 1), segment(4, 20, 2), segment(5, 30, 3)];
        let table: [(&[Arc<Segment>], u64, u64); 6] = [
            // Cut in the last one.
            (&old, 33, 33),
            // Cut, and gone on in another.
            (&[old[1].clone(), old[2].clone(), segment(6, 34, 9)], 50, 34),
            // The last one went, and its number was given again.
            (&[old[1].clone(), segment(5, 28, 9)], 40, 28),
            // What was seen of it was too short by then.
            (&[old[2].clone(), segment(6, 50, 9)], 60, 38),
            // All of it trimmed.
            (&[segment(9, 70, 9)], 80, 38),
            (&[], 0, 0),
        ];
        for (new, end, kept) in table {
            assert_eq!(agreed(&old, 38, new, end), kept, "{new:?} up to {end}");
        }
    }

    #[test]
    fn breaks_that_are_too_many_to_tell_apart_count_for_the_next() {
        let breaks = Breaks::default();
        (0..BREAKS_MAX as u64 + 10).for_each(|n| breaks.add(1000 + n));
        assert_eq!(breaks.count(), BREAKS_MAX as u64 + 10);
        assert_eq!(breaks.known.lock().len(), BREAKS_MAX);
        assert_eq!((breaks.lowest(0), breaks.lowest(5)), (1000, 1000));
        assert_eq!(breaks.lowest(30), 1030);
        assert_eq!(breaks.lowest(breaks.count()), u64::MAX);
    }
}
