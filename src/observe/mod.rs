//! What the crate tells the facades `tracing` and `metrics`: the only module that names either.
//!
//! A recorder and a subscriber are a user's code: they may block, panic, or call the stream that
//! tells them something. So nothing is told where it happens, which is mostly under some lock. It is
//! *noted* there, in a list of the thread (`outbox`), and *told* when the call that did it holds no
//! lock any more: [`afterwards`] sees to that, also for a call that fails.
//!
//! # Invariants
//! 1. No code of the facades runs while a lock of the crate is held.
//! 2. What is noted is told by the same call, in its order. What a call of the recorder's or
//!    subscriber's own notes is told by the thread's next call, so telling never goes deeper.
//! 3. A recorder or subscriber that panics goes no further: a call does what it says all the same.
//! 4. Without the features all of this is empty: a note's closure is never called, no clock is read,
//!    and the types here have no size.
//!
//! # Why spans are few
//! A span begins and ends in a subscriber. So there are spans only around calls that hold no lock
//! when they begin: opening, closing, `sync`, `maintain`, trims, burials. What happens under locks
//! (a flush that an append leads, a new segment, a snapshot) is an event with the time it took. A
//! rebalance goes on through several calls of several threads, so it is two events.
//!
//! # Why handles are not kept
//! A `metrics` counter is bound to the recorder there was when it was made. A stream may be opened
//! before the recorder is installed, and would count into nothing for ever. So the *keys* are kept,
//! hashed and with their labels, and the recorder is asked with each call.
//!
//! | file | what it owns |
//! |---|---|
//! | `signal` | what can be told |
//! | `source` | of whom |
//! | `outbox` | what a thread has noted and not told |
//! | `meter` | signals as metrics |
//! | `trace` | signals as events, and spans |

#[cfg(feature = "metrics")]
mod meter;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod outbox;
mod signal;
mod source;
#[cfg(feature = "tracing")]
mod trace;

use std::time::Duration;

pub(crate) use signal::{Refusal, Signal, Standing, Turnover, Which};
pub(crate) use source::Source;

/// Whether anything can be told at all.
pub(crate) const ON: bool = cfg!(any(feature = "metrics", feature = "tracing"));

/// Notes what happened. May be called under any lock.
#[inline]
pub(crate) fn note(source: &Source, make: impl FnOnce() -> Signal) {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    outbox::push(source, make());
    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    let _ = (source, make);
}

/// The same for what happens with each append, read and ack: nothing is noted that nobody counts and
/// no subscriber looks at.
#[inline]
pub(crate) fn note_often(source: &Source, make: impl FnOnce() -> Signal) {
    #[cfg(feature = "tracing")]
    if !cfg!(feature = "metrics") && !trace::looks_closely() {
        return;
    }
    note(source, make);
}

/// Tells what was noted. The caller holds no lock.
#[inline]
pub(crate) fn tell() {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    outbox::tell();
}

/// Tells what was noted when the value is dropped. Made before any lock is taken, it is dropped after
/// all of them are given back.
#[inline]
pub(crate) fn afterwards() -> Afterwards {
    Afterwards {
        #[cfg(feature = "tracing")]
        span: None,
    }
}

/// The same, within a span. The caller holds no lock.
#[inline]
pub(crate) fn within(source: &Source, span: Span) -> Afterwards {
    #[cfg(not(feature = "tracing"))]
    let _ = (source, span);
    Afterwards {
        #[cfg(feature = "tracing")]
        span: trace::enter(source, span),
    }
}

/// See [`afterwards`] and [`within`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Afterwards {
    #[cfg(feature = "tracing")]
    span: Option<trace::Entered>,
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Drop for Afterwards {
    #[inline]
    fn drop(&mut self) {
        // Before the span ends.
        tell();
        #[cfg(feature = "tracing")]
        if let Some(span) = self.span.take() {
            trace::exit(span);
        }
    }
}

/// What a span is around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Open,
    Close,
    Sync,
    Maintain,
    Trim,
    Bury,
    Copy,
    Verify,
}

/// How long something takes that is told with its time. It is the machine's time: what a disk needs
/// does not go by a clock that a test moves.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    start: std::time::Instant,
}

impl Stopwatch {
    #[inline]
    #[cfg_attr(
        any(feature = "metrics", feature = "tracing"),
        expect(clippy::disallowed_methods, reason = "nothing is decided by it")
    )]
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            start: std::time::Instant::now(),
        }
    }

    /// The time since the start; zero without the features, where nobody asks.
    #[inline]
    #[cfg_attr(
        not(any(feature = "metrics", feature = "tracing")),
        expect(clippy::unused_self, reason = "nothing is measured then")
    )]
    pub(crate) fn read(&self) -> Duration {
        #[cfg(any(feature = "metrics", feature = "tracing"))]
        return self.start.elapsed();
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        Duration::ZERO
    }
}
