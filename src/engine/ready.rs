//! Hooks of consumers that do not block: they are called when something may be readable.
//!
//! Whoever makes something available may hold locks, so it only *marks* the hooks that concern it.
//! They are *called* when it holds none any more: [`Ready::afterwards`] sees to that for a call
//! that fails, too.
//!
//! # Invariants
//! 1. No hook is called while a lock of the crate is held.
//! 2. A mark is not lost: it stands until a call of the hook that begins after it.
//! 3. A hook runs once at a time. If it is marked meanwhile, by another thread or by what it does
//!    itself, who runs it runs it again: so one that reads does not call itself ever deeper.
//! 4. A hook that panics goes no further: who happens to call it has nothing to do with it.
//!
//! # Why no entry is missed
//! As with blocked reads (`waiters`): the hook is counted before its consumer looks under the locks
//! that publishing takes, so whoever publishes behind that look sees the count.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::ledger::MemberId;
use crate::observe;
use crate::tally::Tally;

/// What a consumer wants to be called.
pub(crate) type Call = Arc<dyn Fn() + Send + Sync>;

/// The hooks of a group's consumers.
#[derive(Default)]
pub(crate) struct Ready {
    hooks: RwLock<Vec<Arc<Hook>>>,
    /// How many there are, for those who do not hold the lock.
    count: AtomicUsize,
    /// Some hook is marked.
    marked: AtomicBool,
    tally: Tally,
}

/// One hook. What it owns is dropped with it: never under a lock, for it may be anything.
pub(super) struct Hook {
    member: MemberId,
    call: Call,
    marked: AtomicBool,
    running: AtomicBool,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("hooks", &self.len()).finish_non_exhaustive()
    }
}

impl Hook {
    /// Calls the hook as long as it is marked, unless somebody is at that.
    fn run(&self) {
        // Either this sees the mark that was set while the hook ran, or who set it sees that it
        // does not run any more: each first writes, then looks.
        while self.marked.load(Ordering::SeqCst) {
            if self.running.swap(true, Ordering::SeqCst) {
                return;
            }
            while self.marked.swap(false, Ordering::SeqCst) {
                let _ = catch_unwind(AssertUnwindSafe(|| (self.call)()));
            }
            self.running.store(false, Ordering::SeqCst);
        }
    }
}

impl Ready {
    /// No hooks yet; those to come count in `tally`.
    pub(super) fn new(tally: &Tally) -> Self {
        Self { tally: tally.clone(), ..Self::default() }
    }

    fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody has a hook. One load.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives a member a hook. The one it had is the caller's to drop.
    pub(super) fn set(&self, member: MemberId, call: Call) -> Vec<Arc<Hook>> {
        let hook = Hook { member, call, marked: false.into(), running: false.into() };
        self.tally.add();
        self.change(|hooks| {
            let gone = hooks.extract_if(.., |hook| hook.member == member).collect();
            hooks.push(Arc::new(hook));
            gone
        })
    }

    /// Takes a member's hook away. A call of it that is under way goes on.
    pub(super) fn clear(&self, member: MemberId) {
        if !self.is_empty() {
            drop(self.change(|hooks| hooks.extract_if(.., |hook| hook.member == member).collect()));
        }
    }

    /// Calls all hooks a last time, and takes them away: one that owns its consumer keeps nothing
    /// alive then. The caller holds no lock.
    pub(super) fn end(&self) {
        if !self.is_empty() {
            self.mark(|_| true);
            self.call();
            drop(self.change(std::mem::take));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Hook>>) -> Vec<Arc<Hook>>) -> Vec<Arc<Hook>> {
        let mut hooks = self.hooks.write();
        let gone = change(&mut hooks);
        self.count.store(hooks.len(), Ordering::Relaxed);
        drop(hooks);
        for _ in &gone {
            self.tally.subtract();
        }
        gone
    }

    /// Marks the hooks of members in slots that `may` lets pass.
    pub(super) fn mark(&self, may: impl Fn(u16) -> bool) {
        if self.is_empty() {
            return;
        }
        for hook in self.hooks.read().iter().filter(|hook| may(hook.member.slot)) {
            hook.marked.store(true, Ordering::SeqCst);
            self.marked.store(true, Ordering::Release);
        }
    }

    /// Whether there is something to [`call`](Self::call).
    pub(super) fn is_marked(&self) -> bool {
        !self.is_empty() && self.marked.load(Ordering::Acquire)
    }

    /// Calls the hooks that are marked. The caller holds no lock.
    pub(super) fn call(&self) {
        if self.is_empty() || !self.marked.swap(false, Ordering::AcqRel) {
            return;
        }
        let marked: Vec<Arc<Hook>> = {
            let hooks = self.hooks.read();
            hooks.iter().filter(|hook| hook.marked.load(Ordering::SeqCst)).cloned().collect()
        };
        for hook in marked {
            hook.run();
        }
    }

    /// Calls the hooks when the value is dropped, and tells what was noted. Made before any lock is taken, it is dropped
    /// after all of them are given back.
    pub(super) fn afterwards(&self) -> Afterwards<'_> {
        Afterwards { ready: self }
    }
}

/// See [`Ready::afterwards`].
#[must_use]
pub(super) struct Afterwards<'a> {
    ready: &'a Ready,
}

impl Drop for Afterwards<'_> {
    fn drop(&mut self) {
        // While a thread panics, marks stand for the next call of anybody.
        if self.ready.is_marked() && !std::thread::panicking() {
            self.ready.call();
        }
        observe::tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> (Arc<AtomicUsize>, Call) {
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        let count_one = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        (count, Arc::new(count_one))
    }

    #[test]
    fn marked_hooks_are_called_once_and_others_not() {
        let ready = Ready::default();
        let ((one, first), (two, second)) = (counting(), counting());
        ready.set(MemberId { slot: 1, join: 1 }, first);
        ready.set(MemberId { slot: 2, join: 2 }, second);
        ready.call();
        ready.mark(|slot| slot == 1);
        ready.mark(|slot| slot == 1);
        ready.call();
        ready.call();
        assert_eq!((one.load(Ordering::Relaxed), two.load(Ordering::Relaxed)), (1, 0));
        ready.mark(|_| true);
        ready.clear(MemberId { slot: 1, join: 1 });
        ready.call();
        assert_eq!((one.load(Ordering::Relaxed), two.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn a_hook_that_panics_keeps_no_other_from_its_call() {
        let ready = Ready::default();
        let (count, call) = counting();
        ready.set(MemberId { slot: 1, join: 1 }, Arc::new(|| panic!("a user's own")));
        ready.set(MemberId { slot: 2, join: 2 }, call);
        ready.mark(|_| true);
        ready.call();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_hook_that_is_marked_while_it_runs_runs_again_and_never_twice_at_a_time() {
        let ready = Arc::new(Ready::default());
        let (runs, depth) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, deep, within) = (Arc::clone(&runs), Arc::clone(&depth), Arc::clone(&ready));
        let hook = move || {
            assert_eq!(deep.fetch_add(1, Ordering::SeqCst), 0);
            if counted.fetch_add(1, Ordering::SeqCst) < 10_000 {
                within.mark(|_| true);
                within.call();
            }
            deep.fetch_sub(1, Ordering::SeqCst);
        };
        ready.set(MemberId { slot: 1, join: 1 }, Arc::new(hook));
        ready.mark(|_| true);
        ready.call();
        assert_eq!(runs.load(Ordering::SeqCst), 10_001);
        ready.end();
        assert_eq!((runs.load(Ordering::SeqCst), Arc::strong_count(&ready)), (10_002, 1));
    }

    #[test]
    fn a_mark_of_any_thread_is_followed_by_a_call() {
        for _ in 0..200 {
            let ready = Ready::default();
            let (said, heard) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
            let (saying, hearing) = (Arc::clone(&said), Arc::clone(&heard));
            let hook = move || hearing.store(saying.load(Ordering::SeqCst), Ordering::SeqCst);
            ready.set(MemberId { slot: 1, join: 1 }, Arc::new(hook));
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            said.fetch_add(1, Ordering::SeqCst);
                            ready.mark(|_| true);
                            ready.call();
                        }
                    });
                }
            });
            assert_eq!(heard.load(Ordering::SeqCst), 150);
        }
    }

    #[test]
    fn hooks_are_counted_where_appends_look() {
        let tally = Tally::default();
        let ready = Ready::new(&tally);
        let member = MemberId { slot: 1, join: 1 };
        ready.set(member, counting().1);
        ready.set(member, counting().1);
        assert!(!tally.is_zero());
        ready.clear(member);
        ready.clear(member);
        assert!(tally.is_zero() && ready.is_empty());
    }
}
