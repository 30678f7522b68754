//! Many entries at one look.
//!
//! Of ten million pending entries, one that is acked is in no cache, nor is its hold. What the
//! processor waits for is memory, and it waits for many places at once if nothing it has to decide
//! stands between them. So a list of claims is looked up in steps, each a short loop over all of
//! them: the chunks, then the entries in them, then their holds. Judging and, a moment later,
//! applying find it all near. Looked up one by one, and judged in between, a list takes twice as long.

use std::hint::black_box;

use super::entries::{Entries, Index};
use super::event::Claim;
use super::hold::{Hold, NONE};
use super::window::{Chunk, Tag, chunk_of};

/// How many are looked up together: about as many as a processor keeps under way.
pub(super) const TOGETHER: usize = 32;

/// What an entry is, or some that are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) tag: Tag,
    pub(super) hold: Option<Hold>,
}

impl Index {
    /// A hold by its index in chunks.
    pub(super) fn held(&self, hold: u32) -> Option<Hold> {
        (hold != NONE).then(|| self.holds.get(hold))
    }
}

impl Entries {
    /// What the first `N` claims name, as far as each names one entry, and that has a chunk.
    pub(super) fn glance<const N: usize>(&self, claims: &[Claim]) -> [Option<Seen>; N] {
        let mut chunks: [Option<&Chunk>; N] = [None; N];
        for (chunk, claim) in chunks.iter_mut().zip(claims) {
            let window = self.window(claim.run.partition).filter(|_| claim.run.count == 1);
            *chunk = window.and_then(|window| window.chunks.get(chunk_of(claim.run.first)));
        }
        let mut entries = [(Tag::FRESH, NONE); N];
        for ((entry, chunk), claim) in entries.iter_mut().zip(&chunks).zip(claims) {
            if let Some(chunk) = chunk {
                // Whatever becomes of an entry changes the counts of its chunk: not needed yet, but
                // to be near by then.
                black_box(chunk.leased);
                *entry = chunk.entry(claim.run.first);
            }
        }
        let mut seen = [None; N];
        for ((seen, chunk), (tag, hold)) in seen.iter_mut().zip(&chunks).zip(entries) {
            *seen = chunk.map(|_| Seen { tag, hold: self.index.held(hold) });
        }
        seen
    }
}
