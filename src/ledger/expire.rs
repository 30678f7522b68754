//! What ends by time: leases, then sessions.

use super::book::Ledger;
use super::event::{Event, Run, Wait};
use super::times::{Now, after, later};
use super::window::{CHUNK, State};
use crate::clock::Moment;
use crate::error::Gone;

/// How many chunks of entries, or sessions, one call ends at most: it holds the caller's lock.
const SWEEP_MAX: usize = 1_024;

impl Ledger {
    /// Ends the leases and sessions whose time is over. An entry whose lease ended waits for its
    /// backoff from then on, not from now; the leases of an ended session are due at once.
    ///
    /// Returns whether more remain, for another call after these events are applied. If nothing is
    /// over, it costs two comparisons. It changes what is volatile only.
    pub(crate) fn expire(&mut self, now: Now, out: &mut Vec<Event>) -> bool {
        let mut more = false;
        let first = self.entries.index.bounds.first();
        if first.is_some_and(|(bound, ..)| *bound <= now.at) {
            more = self.expire_leases(now, out);
        }
        let alive_until = after(now.at, self.policy.session_timeout);
        let over = self.members.judge(now.at, alive_until, SWEEP_MAX);
        more |= over.len() == SWEEP_MAX;
        out.extend(over.into_iter().map(|slot| self.left(now, slot, Gone::Expired)));
        more
    }

    fn expire_leases(&mut self, now: Now, out: &mut Vec<Event>) -> bool {
        let due = ..=(now.at, u32::MAX, u64::MAX);
        let chunks = self.entries.index.bounds.range(due).take(SWEEP_MAX);
        let mut chunks: Vec<_> =
            chunks.map(|(_, partition, number)| (*partition, *number)).collect();
        let more = chunks.len() == SWEEP_MAX;
        // By place, so that a run over several chunks is one event.
        chunks.sort_unstable();
        let from = out.len();
        for (partition, number) in chunks {
            // Where nothing ended, the bound was too early. Elsewhere it is true until the events
            // are applied, and looked at again then.
            if !self.expire_chunk(now, partition, number, from, out) {
                self.entries.tighten(partition, number);
            }
        }
        more
    }

    /// Returns whether a lease of the chunk is over.
    fn expire_chunk(
        &self,
        now: Now,
        partition: u32,
        number: u64,
        from: usize,
        out: &mut Vec<Event>,
    ) -> bool {
        let Some(window) = self.entries.window(partition) else { return false };
        let mut any = false;
        for group in window.groups(number * CHUNK..number * CHUNK + CHUNK) {
            if group.tag.state() != State::Leased {
                continue;
            }
            let ended = self.entries.index.holds.get(group.hold).time;
            if ended > now.at {
                continue;
            }
            any = true;
            let count = u32::try_from(group.count).expect("no longer than a chunk");
            let run = Run::new(partition, group.first, count);
            self.ended(now, run, group.tag.attempts(), ended, |event| event.push(from, out));
        }
        any
    }

    /// What becomes of entries whose lease ended at `ended`.
    fn ended(&self, now: Now, run: Run, attempts: u16, ended: Moment, mut emit: impl FnMut(Event)) {
        if attempts >= self.policy.max_deliveries {
            return emit(self.exhaust(now, run, None));
        }
        let wall = now.wall.saturating_sub(now.at.0 - ended.0);
        self.each_delay(run, attempts, |run, delay| {
            let due = later(ended, delay);
            emit(Event::Waits { run, why: Wait::Time, due, delay: due.0 - ended.0, wall });
        });
    }
}
