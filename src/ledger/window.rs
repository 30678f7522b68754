//! One partition as a group sees it: dense, a few bytes for each entry between floor and cursor.
//!
//! ```text
//!  settled or parked   │ some settled, some pending │ never handed out
//!  ────────────────────┼────────────────────────────┼─────────────────▶ offset
//!                    floor                       cursor
//! ```
//!
//! Invariants
//! 1. `floor <= cursor`, and the entry at the floor is pending, unless the floor is the cursor.
//! 2. At or above the cursor every entry is fresh. Below it, an entry without a chunk is settled.
//! 3. A chunk that is in the map is not wholly settled; its counts agree with its tags.
//! 4. `pending` is the number of entries that are leased, wait or are exhausted, `leased` that of
//!    leased ones.
//! 5. A parked entry counts as settled here: the floor passes it.
//! 6. `spans` has the spans of the chunks that are there, each with a bound not above theirs.
//!
//! Chunks are small and in a sparse directory rather than large and in a deque from floor to cursor:
//! what one old entry keeps alive is its own chunk, at any distance, so a window needs no bound on
//! its span, and a stored one that claims to be huge allocates nothing. There is no bitmap of
//! settled entries beside the tags: a second truth, and scanning 16 tags takes one step anyway.

use std::collections::BTreeMap;
use std::ops::Range;

use super::chunks::Chunks;
use super::hold::{Holds, NONE};
use super::times::NEVER;
use crate::clock::Moment;

/// Entries in a chunk.
pub(super) const CHUNK: u64 = PLACES as u64;
const PLACES: usize = 256;

/// Chunks in a span: so many that who looks for what is idle skips with one look.
const SPAN: u64 = 16;

/// The most attempts a tag can count; further ones are not counted.
pub(super) const ATTEMPTS_MAX: u16 = (1 << 13) - 1;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Never handed out.
    Fresh = 0,
    /// Done with, or set aside.
    Settled = 1,
    /// In somebody's hands.
    Leased = 2,
    /// Not in anybody's, but the last lease still counts.
    Waiting = 3,
    /// Not in anybody's, and the last lease is void; the hold's slot says why.
    Withdrawn = 4,
    /// Withdrawn, and it was leased when the process ended uncleanly.
    Suspect = 5,
    /// Its attempts are over, and its dead letter is not safe yet.
    Exhausted = 6,
}

impl State {
    pub(super) fn waits(self) -> bool {
        matches!(self, Self::Waiting | Self::Withdrawn | Self::Suspect)
    }

    /// Whether it is in somebody's hands or comes again.
    pub(super) fn may_come(self) -> bool {
        self == Self::Leased || self.waits()
    }

    pub(super) fn is_pending(self) -> bool {
        self.may_come() || self == Self::Exhausted
    }
}

/// State and attempts in two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u16);

impl Tag {
    pub(super) const FRESH: Self = Self(State::Fresh as u16);
    pub(super) const SETTLED: Self = Self(State::Settled as u16);

    pub(super) fn new(state: State, attempts: u16) -> Self {
        Self(attempts.min(ATTEMPTS_MAX) << 3 | state as u16)
    }

    pub(super) fn state(self) -> State {
        match self.0 & 7 {
            0 => State::Fresh,
            1 => State::Settled,
            2 => State::Leased,
            3 => State::Waiting,
            4 => State::Withdrawn,
            5 => State::Suspect,
            _ => State::Exhausted,
        }
    }

    pub(super) fn attempts(self) -> u16 {
        self.0 >> 3
    }
}

/// Neighbours that are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) tag: Tag,
    pub(super) hold: u32,
}

impl Group {
    pub(super) fn end(&self) -> u64 {
        self.first + self.count
    }
}

/// `CHUNK` entries.
pub(super) struct Chunk {
    /// No leased entry here ends before that. It may be too early; [`NEVER`] if none was leased.
    pub(super) earliest: Moment,
    /// No pending entry here was last handed out or extended before that. It may be too early.
    pub(super) touched: Moment,
    pub(super) leased: u16,
    pub(super) settled: u16,
    tags: [Tag; PLACES],
    holds: [u32; PLACES],
}

/// Which chunk an offset is in.
pub(super) fn chunk_of(offset: u64) -> u64 {
    offset / CHUNK
}

/// Which span a chunk is in.
pub(super) fn span_of(chunk: u64) -> u64 {
    chunk / SPAN
}

/// The chunks of a span.
pub(super) fn chunks_of(span: u64) -> Range<u64> {
    span * SPAN..span * SPAN + SPAN
}

fn place(offset: u64) -> usize {
    (offset % CHUNK) as usize
}

/// How many at the front are equal. Sixteen at a time, which the compiler turns into one compare.
fn alike<T: Copy + Eq>(items: &[T], first: T) -> usize {
    let blocks = items.chunks_exact(16);
    let equal = |block: &&[T]| block.iter().filter(|item| **item != first).count() == 0;
    let whole = blocks.take_while(equal).count();
    let rest = &items[whole * 16..];
    whole * 16 + rest.iter().take_while(|x| **x == first).count()
}

impl Chunk {
    /// A chunk in which all below the cursor is settled and the rest fresh.
    pub(super) fn new(number: u64, cursor: u64, touched: Moment) -> Self {
        let settled = cursor.saturating_sub(number * CHUNK).min(CHUNK) as u16;
        let mut tags = [Tag::FRESH; PLACES];
        tags[..usize::from(settled)].fill(Tag::SETTLED);
        Self { earliest: NEVER, touched, leased: 0, settled, tags, holds: [NONE; PLACES] }
    }

    /// What an entry is, and its hold.
    pub(super) fn entry(&self, at: u64) -> (Tag, u32) {
        (self.tags[place(at)], self.holds[place(at)])
    }

    /// The group that starts at `at`, as far as `end`, both in this chunk.
    pub(super) fn group(&self, at: u64, end: u64) -> Group {
        let from = place(at);
        let stop = from + (end - at).min(CHUNK) as usize;
        let (tag, hold) = (self.tags[from], self.holds[from]);
        if self.tags[from..stop].get(1) != Some(&tag) {
            // One that is asked for alone, or what many acks in any order leave behind.
            return Group { first: at, count: 1, tag, hold };
        }
        let count = alike(&self.tags[from..stop], tag);
        let count = alike(&self.holds[from..from + count], hold);
        Group { first: at, count: count as u64, tag, hold }
    }

    pub(super) fn fill(&mut self, group: &Group, tag: Tag, hold: u32) {
        let from = place(group.first);
        let stop = from + group.count.min(CHUNK) as usize;
        self.tags[from..stop].fill(tag);
        self.holds[from..stop].fill(hold);
    }

    /// When the first lease in this chunk really ends.
    pub(super) fn first_deadline(&self, number: u64, holds: &Holds) -> Moment {
        let mut first = NEVER;
        let (mut at, end) = (number * CHUNK, number * CHUNK + CHUNK);
        let mut left = self.leased;
        while at < end && left > 0 {
            let group = self.group(at, end);
            if group.tag.state() == State::Leased {
                first = first.min(holds.get(group.hold).time);
                left -= (group.count & 0xffff) as u16;
            }
            at = group.end();
        }
        first
    }

    /// Makes all from `end` on fresh; nothing there is pending.
    fn forget_from(&mut self, end: u64) {
        let kept = place(end);
        self.tags[kept..].fill(Tag::FRESH);
        let settled = self.tags[..kept].iter().filter(|tag| **tag == Tag::SETTLED).count();
        self.settled = (settled as u64).min(CHUNK) as u16;
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunk")
            .field("leased", &self.leased)
            .field("settled", &self.settled)
            .field("earliest", &self.earliest)
            .finish_non_exhaustive()
    }
}

/// A partition.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) floor: u64,
    pub(super) cursor: u64,
    pub(super) pending: u64,
    pub(super) leased: u64,
    pub(super) chunks: Chunks,
    /// The same bound as each chunk's `touched`, for those of a span.
    pub(super) spans: BTreeMap<u64, Moment>,
    pub(super) fences: Fences,
}

/// Below which numbers claims are void for a reason of their own. None of it is stored: where it
/// matters, a snapshot has the entry withdrawn instead.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fences {
    /// Leases before that one were of an earlier owner of the partition.
    pub(super) revoked: u64,
    /// Leases before that one were given before the group was reset.
    pub(super) reset: u64,
    /// The log no longer has the offsets before that one.
    pub(super) trimmed: u64,
}

impl Window {
    pub(super) fn starting_at(start: u64) -> Self {
        let (chunks, spans, fences) = (Chunks::default(), BTreeMap::new(), Fences::default());
        Self { floor: start, cursor: start, pending: 0, leased: 0, chunks, spans, fences }
    }

    /// The entries of `span`, in groups.
    pub(super) fn groups(&self, span: Range<u64>) -> Groups<'_> {
        Groups { window: self, at: span.start, end: span.end, chunk: None }
    }

    /// Makes sure that each entry of `span` has a chunk. Nothing is handed out before `at` from now
    /// on.
    pub(super) fn cover(&mut self, span: Range<u64>, at: Moment) {
        if span.is_empty() {
            return;
        }
        for number in chunk_of(span.start)..=chunk_of(span.end - 1) {
            let cursor = self.cursor;
            let chunk = || Box::new(Chunk::new(number, cursor, at));
            if self.chunks.insert_with(number, chunk) {
                self.spans.entry(span_of(number)).or_insert(at);
            }
        }
    }

    /// Takes a chunk out in which nothing is pending.
    pub(super) fn free(&mut self, number: u64) {
        self.chunks.remove(number);
        let span = span_of(number);
        if self.chunks.range(chunks_of(span)).next().is_none() {
            self.spans.remove(&span);
        }
    }

    /// Says that a chunk has an entry of which it is not known when it was last handed out.
    pub(super) fn touched_long_ago(&mut self, number: u64) {
        if let Some(chunk) = self.chunks.get_mut(number) {
            chunk.touched = Moment::ZERO;
            self.spans.insert(span_of(number), Moment::ZERO);
        }
    }

    /// Moves the floor past what is settled.
    pub(super) fn raise_floor(&mut self) {
        let settled = |group: &Group| group.tag == Tag::SETTLED;
        let floor = self.groups(self.floor..self.cursor).take_while(settled).last();
        self.floor = floor.map_or(self.floor, |group| group.end());
    }

    /// Forgets that anything from `end` on ever existed; nothing there is pending.
    pub(super) fn cut(&mut self, end: u64) {
        if let Some(chunk) = self.chunks.get_mut(chunk_of(end)) {
            chunk.forget_from(end);
        }
        self.cursor = self.cursor.min(end);
        self.floor = self.floor.min(end);
        self.fences.trimmed = self.fences.trimmed.min(end);
    }
}

/// Walks over a window's entries. However far apart its ends are, it takes a step for each group
/// that is stored and one for each gap between them.
pub(super) struct Groups<'a> {
    window: &'a Window,
    at: u64,
    end: u64,
    chunk: Option<(u64, &'a Chunk)>,
}

impl Iterator for Groups<'_> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        if self.at >= self.end {
            return None;
        }
        let group = self.group();
        self.at = group.end();
        Some(group)
    }
}

impl Groups<'_> {
    fn group(&mut self) -> Group {
        let (at, window) = (self.at, self.window);
        let span = |end: u64, tag| Group { first: at, count: end - at, tag, hold: NONE };
        if at >= window.cursor {
            return span(self.end, Tag::FRESH);
        }
        if at < window.floor {
            return span(self.end.min(window.floor), Tag::SETTLED);
        }
        let end = self.end.min(window.cursor);
        let number = chunk_of(at);
        if self.chunk.is_none_or(|(held, _)| held < number) {
            self.chunk = window.chunks.first_from(number);
        }
        match self.chunk {
            Some((held, chunk)) if held == number => {
                chunk.group(at, end.min(number.saturating_add(1).saturating_mul(CHUNK)))
            }
            Some((held, _)) => span(end.min(held * CHUNK), Tag::SETTLED),
            None => span(end, Tag::SETTLED),
        }
    }
}
