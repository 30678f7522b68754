//! A list that only grows, whose items never move: what is borrowed from it stays good while it
//! grows, and reading takes no lock.
//!
//! ```text
//! first   [ 0 .. n )                               as long as the list was when it was made
//! slabs   [ 64 ][ 128 ][ 256 ] ...                 what came later; each made when it is needed
//! ```
//!
//! # Invariants
//! 1. `len` counts the items that everybody may see. It never falls, and what is below it is set.
//! 2. Only [`Shelf::extend`] changes anything, one call at a time: its caller holds a lock.
//! 3. An item stays where it was put.

use std::ops::Index;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first slab holds this many items, each next twice as many.
const SLAB_MIN: usize = 64;
/// Together they hold more than there can be partitions.
const SLABS: usize = 9;

const _: () = assert!(SLAB_MIN * ((1 << SLABS) - 1) > crate::limits::PARTITIONS_MAX as usize);

/// Items made later, or room for them.
type Slab<T> = Box<[OnceLock<T>]>;

/// The list.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    first: Box<[T]>,
    slabs: [OnceLock<Slab<T>>; SLABS],
    len: AtomicUsize,
}

impl<T> Shelf<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        let len = items.len().into();
        Self { first: items.into(), slabs: [const { OnceLock::new() }; SLABS], len }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        // Nearly always the first look is all: one compare and an index.
        match self.first.get(index) {
            None => self.later(index),
            first => first,
        }
    }

    #[inline(never)]
    fn later(&self, index: usize) -> Option<&T> {
        if index >= self.len() {
            return None;
        }
        let (slab, place) = place(index - self.first.len());
        self.slabs[slab].get()?[place].get()
    }

    /// The items in order, to the last one that there is when the walk comes to its end: whoever
    /// took a lock while it looked at the items before has not missed what was added before that.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..).map_while(|index| self.get(index))
    }

    /// Adds items. Whoever reads finds none of them or all.
    pub(crate) fn extend(&self, items: Vec<T>) {
        let before = self.len();
        let len = before + items.len();
        for (index, item) in (before - self.first.len()..).zip(items) {
            let (slab, place) = place(index);
            let slab = self.slabs[slab]
                .get_or_init(|| (0..SLAB_MIN << slab).map(|_| OnceLock::new()).collect());
            let new = slab[place].set(item).is_ok();
            assert!(new, "whoever extends holds a lock");
        }
        self.len.store(len, Ordering::Release);
    }
}

/// The slab of an item that came later, and its place there.
fn place(index: usize) -> (usize, usize) {
    let slab = (index / SLAB_MIN + 1).ilog2();
    (slab as usize, index - SLAB_MIN * ((1 << slab) - 1))
}

impl<T> Index<usize> for Shelf<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("whoever has an index has looked at the length")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    const MAX: usize = SLAB_MIN * ((1 << SLABS) - 1);

    #[test]
    fn what_was_added_is_found_in_its_place() {
        for first in [0, 1, 3, 100] {
            let shelf = Shelf::new((0..first).collect());
            for step in [0, 1, 62, 1, 1, 127, 1, 5_000] {
                let len = shelf.len();
                shelf.extend((len..len + step).collect());
                assert_eq!(shelf.len(), len + step);
                assert!(shelf.iter().copied().eq(0..len + step));
                assert_eq!(shelf.get(len + step), None);
                assert_eq!(shelf.get(usize::MAX), None);
            }
            assert!((0..shelf.len()).all(|index| shelf[index] == index));
        }
    }

    #[test]
    fn slabs_follow_each_other_without_a_gap() {
        let mut expected = (0..SLABS).flat_map(|n| (0..SLAB_MIN << n).map(move |at| (n, at)));
        assert!((0..MAX).all(|index| Some(place(index)) == expected.next()));
        assert_eq!(expected.next(), None);
    }

    #[test]
    fn a_shelf_takes_as_many_as_there_can_be() {
        let shelf = Shelf::new(vec![0]);
        shelf.extend((1..=MAX).collect());
        assert_eq!((shelf.len(), shelf[MAX]), (MAX + 1, MAX));
    }

    #[test]
    fn items_do_not_move() {
        let shelf = Shelf::new(vec![String::from("0")]);
        shelf.extend(vec![String::from("1")]);
        let (first, second) = (&shelf[0], &shelf[1]);
        shelf.extend((2..1_000).map(|n| n.to_string()).collect());
        assert_eq!((first.as_str(), second.as_str()), ("0", "1"));
        assert!(
            std::ptr::eq(first, &raw const shelf[0]) && std::ptr::eq(second, &raw const shelf[1])
        );
    }

    #[test]
    fn a_walk_finds_what_is_added_meanwhile() {
        let shelf = Shelf::new(vec![0, 1]);
        let walked: Vec<i32> = shelf
            .iter()
            .inspect(|item| {
                if **item == 1 {
                    shelf.extend(vec![2, 3]);
                }
            })
            .copied()
            .collect();
        assert_eq!(walked, [0, 1, 2, 3]);
    }

    #[test]
    fn threads_read_all_below_the_length_while_it_grows() {
        const STEP: usize = 7;
        let shelf = Shelf::new(vec![vec![0_usize]]);
        let done = AtomicBool::new(false);
        let readers: Vec<usize> = thread::scope(|scope| {
            let read = || {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let len = shelf.len();
                    assert!(len >= seen && (len - 1) % STEP == 0, "all of an extension or nothing");
                    assert!(len == 1 || shelf[len - 1] == [len - 1]);
                    assert!(shelf.iter().enumerate().skip(seen).all(|(n, item)| *item == [n]));
                    seen = len;
                }
                seen
            };
            let readers = [(); 2].map(|()| scope.spawn(read));
            while shelf.len() < 8_000 {
                let len = shelf.len();
                shelf.extend((len..len + STEP).map(|n| vec![n]).collect());
            }
            done.store(true, Ordering::Relaxed);
            readers.map(|reader| reader.join().unwrap()).into()
        });
        assert!(readers.iter().all(|seen| *seen <= shelf.len()));
    }
}
