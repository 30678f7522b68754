//! One thread that waits, and the two signals that wake it.
//!
//! # Invariants
//!
//! 1. A signal is kept until it is taken, so one that comes before the wait is not lost.
//! 2. The lock is a leaf: nothing else is locked under it, so anybody may signal, whatever lock
//!    they hold.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody rang: there is something to take.
    Rung,
    /// A moment has come, or the thread has become the one that keeps the timer.
    Time,
    /// The clock is self-advancing and nothing is due: waiting would never end.
    Idle,
}

/// One thread that waits.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    signals: Mutex<Signals>,
    bell: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    rung: bool,
    nudged: bool,
}

impl Signals {
    fn any(self) -> bool {
        self.rung || self.nudged
    }

    /// Takes both signals at once: whoever looks again because of one looks at everything.
    fn take(&mut self) -> Option<Woken> {
        let Self { rung, nudged } = std::mem::take(self);
        if rung {
            return Some(Woken::Rung);
        }
        nudged.then_some(Woken::Time)
    }
}

impl Parker {
    /// Says that there is something to take. `false` if that had been said and not been heard.
    pub(crate) fn ring(&self) -> bool {
        let mut signals = self.signals.lock();
        if signals.rung {
            return false;
        }
        signals.rung = true;
        self.bell.notify_one();
        true
    }

    /// Says that it is time to look again.
    pub(crate) fn nudge(&self) {
        let mut signals = self.signals.lock();
        if !signals.any() {
            self.bell.notify_one();
        }
        signals.nudged = true;
    }

    /// Takes a ring that was not heard.
    pub(crate) fn take_ring(&self) -> bool {
        std::mem::take(&mut self.signals.lock().rung)
    }

    /// Takes what was signalled, without waiting.
    pub(crate) fn take(&self) -> Option<Woken> {
        self.signals.lock().take()
    }

    /// Whether a signal waits to be taken.
    pub(crate) fn is_signalled(&self) -> bool {
        self.signals.lock().any()
    }

    /// Waits for a signal.
    pub(crate) fn wait(&self) -> Woken {
        let mut signals = self.signals.lock();
        loop {
            if let Some(woken) = signals.take() {
                return woken;
            }
            self.bell.wait(&mut signals);
        }
    }

    /// Waits for a signal, but no longer than `longest` of real time.
    pub(crate) fn wait_for(&self, longest: Duration) -> Option<Woken> {
        let mut signals = self.signals.lock();
        if !signals.any() {
            self.bell.wait_for(&mut signals, longest);
        }
        signals.take()
    }
}
