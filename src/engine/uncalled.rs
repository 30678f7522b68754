//! Hooks that a trim marked: called once the call that made it holds no lock.
//!
//! A trim is made under `manifest`, and an append that makes room by one may hold `unique` as well. What
//! groups are told then, and what a flush on the way makes visible, marks hooks; a hook is a user's code,
//! which may take either lock.
//!
//! # Invariants
//! 1. `uncalled` is set behind the last mark of a trim, so whoever takes it away calls all of them.
//! 2. Each call that may trim looks at it when it holds no lock any more, however it ends.

use std::sync::atomic::Ordering;

use super::mill::Mill;

/// See [`Mill::hooks_afterwards`].
#[must_use]
pub(super) struct HooksAfterwards<'a> {
    mill: &'a Mill,
}

impl Drop for HooksAfterwards<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.mill.keeper.uncalled.load(Ordering::Acquire) {
            self.mill.call_uncalled();
        }
    }
}

impl Mill {
    /// Calls the hooks that trims marked when the value is dropped. Made before any lock is taken, it is
    /// dropped after all of them are given back.
    #[inline]
    pub(super) fn hooks_afterwards(&self) -> HooksAfterwards<'_> {
        HooksAfterwards { mill: self }
    }

    /// A trim has marked what it had to mark.
    pub(super) fn owe_hooks(&self) {
        self.keeper.uncalled.store(true, Ordering::Release);
    }

    #[cold]
    fn call_uncalled(&self) {
        // While a thread panics, marks stand for the next call of anybody.
        if std::thread::panicking() || !self.keeper.uncalled.swap(false, Ordering::AcqRel) {
            return;
        }
        for desk in self.each_desk() {
            desk.call_hooks();
        }
    }
}
