//! Stopping hand-outs for a while. Everything else goes on: acks count, leases end, members come
//! and go.

use super::book::Ledger;
use super::event::{Event, Pause};
use super::times::{NEVER, Now, later};
use crate::clock::Moment;

impl Ledger {
    /// Stops hand-outs, for `delay` microseconds or until somebody says that they go on. Emits
    /// nothing if they are stopped like that.
    pub(crate) fn pause(&self, now: Now, delay: Option<u64>, out: &mut Vec<Event>) {
        if delay.is_none() && self.paused == Some(NEVER) {
            return;
        }
        out.push(Event::Paused(match delay {
            None => Pause { until: NEVER, timed: None },
            Some(delay) => {
                let until = later(now.at, delay);
                Pause { until, timed: Some((until.0 - now.at.0, now.wall)) }
            }
        }));
    }

    /// Lets hand-outs go on. Emits nothing if they do.
    pub(crate) fn resume(&self, out: &mut Vec<Event>) {
        if self.paused.is_some() {
            out.push(Event::Resumed);
        }
    }

    pub(crate) fn is_paused(&self, now: Moment) -> bool {
        self.paused_until(now).is_some()
    }

    /// Until when hand-outs are stopped, [`NEVER`] if for good; `None` if they are not.
    pub(crate) fn paused_until(&self, now: Moment) -> Option<Moment> {
        self.paused.filter(|until| now < *until)
    }
}
