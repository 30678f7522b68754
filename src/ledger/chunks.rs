//! The chunks of a window, by number: a directory in three steps, the last two of which only index.
//!
//! ```text
//!  volumes      pages         chunks
//!     0 ──────▶ ▣▣▣▣▣··· ──▶ ▣▣·▣▣▣▣▣▣···▣▣▣
//!    97 ──────▶ ··▣····· ──▶ ·····▣··········    what one old entry keeps alive, far from the rest
//! ```
//!
//! Invariants
//! 1. A page that is there has a chunk, and a volume that is there has a page.
//!
//! A search that compares costs a mispredicted branch for nearly each step, and with ten million
//! entries pending a tree of chunks had 40,000 nodes to search, three times for each ack. A million
//! entries are one volume, so now there are ten nodes to compare with, and they stay in the nearest
//! cache. Pages are small, so that a lonely chunk costs a kilobyte more and not a table; and
//! there is no vector from the first volume to the last, because a window has no bound on its span.

use std::collections::BTreeMap;
use std::ops::Range;

use super::window::Chunk;

/// Slots in a page, and pages in a volume.
const FAN: u64 = SLOTS as u64;
const SLOTS: usize = 64;

/// A slot for each chunk in turn.
type Page = [Option<Box<Chunk>>; SLOTS];

/// A slot for each page in turn.
type Volume = [Option<Box<Page>>; SLOTS];

/// Chunks by number.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    volumes: BTreeMap<u64, Box<Volume>>,
}

/// Where a chunk stands: its volume, its page there, and its slot in that.
struct Place {
    volume: u64,
    page: usize,
    slot: usize,
}

impl Place {
    fn of(number: u64) -> Self {
        let (page, slot) = (number / FAN, (number % FAN) as usize);
        Self { volume: page / FAN, page: (page % FAN) as usize, slot }
    }

    fn number(&self) -> u64 {
        (self.volume * FAN + self.page as u64) * FAN + self.slot as u64
    }
}

impl Chunks {
    pub(super) fn get(&self, number: u64) -> Option<&Chunk> {
        let place = Place::of(number);
        let page = self.volumes.get(&place.volume)?[place.page].as_ref()?;
        page[place.slot].as_deref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Chunk> {
        let place = Place::of(number);
        let page = self.volumes.get_mut(&place.volume)?[place.page].as_mut()?;
        page[place.slot].as_deref_mut()
    }

    /// The first chunk that is there from `number` on. Nearly always it is the one asked for.
    pub(super) fn first_from(&self, number: u64) -> Option<(u64, &Chunk)> {
        match self.get(number) {
            Some(chunk) => Some((number, chunk)),
            None => self.search_from(&Place::of(number)),
        }
    }

    /// The same, to be changed.
    pub(super) fn first_from_mut(&mut self, number: u64) -> Option<(u64, &mut Chunk)> {
        let there = self.get(number).is_some();
        let number = if there { number } else { self.search_from(&Place::of(number))?.0 };
        Some((number, self.get_mut(number)?))
    }

    fn search_from(&self, from: &Place) -> Option<(u64, &Chunk)> {
        self.volumes.range(from.volume..).find_map(|(volume, pages)| {
            let first = if *volume == from.volume { (from.page, from.slot) } else { (0, 0) };
            let pages = pages.iter().enumerate().skip(first.0);
            let mut pages = pages.filter_map(|(page, slots)| Some((page, slots.as_deref()?)));
            pages.find_map(|(page, slots)| {
                let skipped = if page == first.0 { first.1 } else { 0 };
                let mut slots = slots.iter().enumerate().skip(skipped);
                let (slot, chunk) =
                    slots.find_map(|(slot, chunk)| Some((slot, chunk.as_deref()?)))?;
                Some((Place { volume: *volume, page, slot }.number(), chunk))
            })
        })
    }

    /// Puts a chunk where none is. Says whether none was.
    pub(super) fn insert_with(&mut self, number: u64, make: impl FnOnce() -> Box<Chunk>) -> bool {
        let place = Place::of(number);
        let volume = self.volumes.entry(place.volume);
        let volume = volume.or_insert_with(|| Box::new([const { None }; SLOTS]));
        let page = volume[place.page].get_or_insert_with(|| Box::new([const { None }; SLOTS]));
        let slot = &mut page[place.slot];
        let vacant = slot.is_none();
        slot.get_or_insert_with(make);
        vacant
    }

    pub(super) fn remove(&mut self, number: u64) {
        let place = Place::of(number);
        let Some(volume) = self.volumes.get_mut(&place.volume) else { return };
        let Some(page) = &mut volume[place.page] else { return };
        page[place.slot] = None;
        if page.iter().all(Option::is_none) {
            volume[place.page] = None;
            if volume.iter().all(Option::is_none) {
                self.volumes.remove(&place.volume);
            }
        }
    }

    /// All chunks, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Chunk)> {
        let pages = self.volumes.iter().flat_map(|(volume, pages)| {
            let pages = pages.iter().enumerate();
            pages.filter_map(move |(page, slots)| Some((*volume, page, slots.as_deref()?)))
        });
        pages.flat_map(|(volume, page, slots)| {
            let slots = slots.iter().enumerate();
            slots.filter_map(move |(slot, chunk)| {
                Some((Place { volume, page, slot }.number(), chunk.as_deref()?))
            })
        })
    }

    /// Those of `numbers`, in order.
    pub(super) fn range(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &Chunk)> {
        let mut from = numbers.start;
        std::iter::from_fn(move || {
            let (number, chunk) = self.first_from(from).filter(|(n, _)| *n < numbers.end)?;
            from = number + 1;
            Some((number, chunk))
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Panics if an invariant is broken.
    #[cfg(test)]
    pub(super) fn validate(&self) {
        for (number, volume) in &self.volumes {
            assert!(volume.iter().any(Option::is_some), "volume {number} is empty");
            let pages = volume.iter().flatten();
            assert!(pages.map(|page| page.iter().flatten().count()).all(|chunks| chunks > 0));
        }
    }

    /// Bytes of memory in use, without the tree's own.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let pages: usize = self.volumes.values().map(|pages| pages.iter().flatten().count()).sum();
        self.volumes.len() * size_of::<Volume>()
            + pages * size_of::<Page>()
            + self.len() * size_of::<Chunk>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Moment;

    /// Told from others by when it was touched.
    fn chunk(mark: u64) -> Box<Chunk> {
        Box::new(Chunk::new(0, 0, Moment(mark)))
    }

    fn marked((number, chunk): (u64, &Chunk)) -> (u64, u64) {
        (number, chunk.touched.0)
    }

    /// Near each other, in one page, in one volume, and far apart.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..70_u64, 60..4_200_u64, (0..4_u64).prop_map(|far| (far << 52) + 4_095)]
    }

    proptest! {
        #[test]
        fn chunks_are_found_as_in_a_sorted_map(
            steps in vec((any::<bool>(), number()), 1..200),
            asked in vec((number(), number()), 1..20),
        ) {
            let (mut chunks, mut model) = (Chunks::default(), BTreeMap::new());
            for (mark, (puts, number)) in (0..).zip(steps) {
                if puts {
                    let vacant = chunks.insert_with(number, || chunk(mark));
                    prop_assert_eq!(vacant, !model.contains_key(&number));
                    model.entry(number).or_insert(mark);
                } else {
                    chunks.remove(number);
                    model.remove(&number);
                }
                chunks.validate();
            }
            let pair = |(number, mark): (&u64, &u64)| (*number, *mark);
            prop_assert!(chunks.iter().map(marked).eq(model.iter().map(pair)));
            prop_assert!(chunks.iter().rev().map(marked).eq(model.iter().rev().map(pair)));
            for (number, end) in asked {
                let got = chunks.get(number).map(|chunk| chunk.touched.0);
                prop_assert_eq!(got, model.get(&number).copied());
                let first = model.range(number..).next().map(pair);
                prop_assert_eq!(chunks.first_from(number).map(marked), first);
                let found = chunks.first_from_mut(number).map(|(n, chunk)| marked((n, chunk)));
                prop_assert_eq!(found, first);
                let numbers = number..end.max(number);
                let listed = chunks.range(numbers.clone()).map(marked);
                prop_assert!(listed.eq(model.range(numbers).map(pair)));
            }
        }
    }

    #[test]
    fn a_lonely_chunk_costs_two_tables_of_half_a_kilobyte_wherever_it_is() {
        let mut chunks = Chunks::default();
        for number in [0, 1 << 20, 1 << 50] {
            chunks.insert_with(number, || chunk(0));
        }
        assert_eq!(chunks.bytes(), 3 * (size_of::<Chunk>() + 2 * 512));
        for number in [0, 1 << 20, 1 << 50] {
            chunks.remove(number);
        }
        assert_eq!(chunks.bytes(), 0);
    }
}
