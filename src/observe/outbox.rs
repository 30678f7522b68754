//! What a thread has noted and not told yet.
//!
//! # Invariants
//! 1. The list is not borrowed while anything is told.
//! 2. One telling of a thread is under way at a time. What is noted meanwhile, by calls that a
//!    recorder or subscriber makes, waits for the next one; beyond `NESTED_MAX` it is dropped, or a
//!    subscriber that appends whatever it is told would fill the memory.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::signal::Signal;
use super::source::Source;

/// So many signals of calls that a recorder or subscriber makes are kept.
const NESTED_MAX: usize = 1_024;

thread_local! {
    static OUTBOX: RefCell<Outbox> = const {
        RefCell::new(Outbox { waiting: Vec::new(), telling: false })
    };
}

struct Outbox {
    waiting: Vec<(Source, Signal)>,
    telling: bool,
}

pub(super) fn push(source: &Source, signal: Signal) {
    // A thread that ends has told what it had to tell.
    let _ = OUTBOX.try_with(|outbox| {
        let mut outbox = outbox.borrow_mut();
        if !outbox.telling || outbox.waiting.len() < NESTED_MAX {
            outbox.waiting.push((source.clone(), signal));
        }
    });
}

#[inline]
pub(super) fn tell() {
    let some = OUTBOX.try_with(|outbox| {
        let outbox = outbox.borrow();
        !outbox.telling && !outbox.waiting.is_empty()
    });
    if some.unwrap_or(false) {
        tell_all();
    }
}

fn tell_all() {
    // While a thread panics, what it noted stands for its next call.
    if std::thread::panicking() {
        return;
    }
    let take = |outbox: &RefCell<Outbox>| {
        let mut outbox = outbox.borrow_mut();
        outbox.telling = true;
        std::mem::take(&mut outbox.waiting)
    };
    let Ok(mut signals) = OUTBOX.try_with(take) else { return };
    for (source, signal) in signals.drain(..) {
        #[cfg(feature = "metrics")]
        let _ = catch_unwind(AssertUnwindSafe(|| super::meter::count(&source, &signal)));
        #[cfg(feature = "tracing")]
        let _ = catch_unwind(AssertUnwindSafe(|| super::trace::report(&source, &signal)));
    }
    let _ = OUTBOX.try_with(|outbox| {
        let mut outbox = outbox.borrow_mut();
        outbox.telling = false;
        if outbox.waiting.is_empty() {
            // Its room serves the next call.
            outbox.waiting = signals;
        }
    });
}
