//! Opening the directory again.
//!
//! The process that held the leases is gone, so all end, and with them all tokens and memberships.
//! What the log lost, the ledger forgets, so that new entries in its place inherit nothing.

use super::book::Ledger;
use super::event::{Event, Reopening};
use super::hold::LEASES_MAX;
use super::times::Now;
use super::window::Window;

/// How far lease numbers jump after an unclean end. Hand-outs that the journal lost with the power
/// may have been stored by somebody, and must not be given again. It is more than any process can
/// hand out before a kernel writes back what it has, and leaves room for 2^28 such ends.
const JUMP: u64 = 1 << 36;

impl Ledger {
    /// Whether what was stored of it spoke of entries that the logs no longer have. What is stored
    /// has to be corrected then, before there are others of that id.
    pub(crate) fn outlives(&self, ends: &[u64]) -> bool {
        let behind = |(end, window): (&u64, &Window)| *end < window.cursor;
        self.cut || ends.iter().zip(&self.entries.windows).any(behind)
    }

    /// What [`reopen`](Self::reopen) does, for a copy: it is to go its own way while the original goes on.
    /// Tokens and generations that the original gives from now on must mean nothing to it, so their numbers jump
    /// whatever the end was.
    pub(crate) fn part(
        &self,
        now: Now,
        starts: &[u64],
        ends: &[u64],
        unclean: bool,
        out: &mut Vec<Event>,
    ) {
        self.reopen(now, starts, ends, true, out);
        for event in out {
            if let Event::Reopened(reopening) = event {
                reopening.unclean = unclean;
            }
        }
    }

    /// Ends all leases and memberships, and forgets what the log lost: it recovered entries from
    /// `starts` to `ends`. If the end was `unclean`, what was leased then becomes suspect.
    ///
    /// It emits nothing if nothing changes, as for a group at rest after a clean end.
    pub(crate) fn reopen(
        &self,
        now: Now,
        starts: &[u64],
        ends: &[u64],
        unclean: bool,
        out: &mut Vec<Event>,
    ) {
        let mut totals = self.totals;
        for ((partition, window), start) in self.entries.numbered().zip(starts) {
            let end = ends.get(partition as usize).copied().unwrap_or(window.cursor);
            totals.trimmed.add(self.trimmed(partition, *start, end, out));
        }
        let ends = (0..).zip(&self.entries.windows).map(|(n, window)| {
            let end = ends.get(n).copied().unwrap_or(0);
            (end, end < window.cursor)
        });
        let (ends, shorter): (Vec<u64>, Vec<bool>) = ends.unzip();
        let index = &self.entries.index;
        let tokens = self.next_lease > self.first_lease;
        let spent = self.next_lease - self.first_lease > LEASES_MAX / 2;
        let changes = index.leased > 0 || (index.waiting > 0 && tokens) || spent;
        let forgets = self.cut || shorter.contains(&true) || totals != self.totals;
        if !(changes || forgets || unclean || !self.members.names.is_empty()) {
            return;
        }
        let next_lease =
            if unclean { self.next_lease.saturating_add(JUMP) } else { self.next_lease };
        let (ends, last) = (ends.into_boxed_slice(), self.last(now));
        let generation = self.owners.next_generation(unclean);
        let due = now.at;
        let reopening = Reopening { ends, unclean, next_lease, generation, totals, last, due };
        out.push(Event::Reopened(Box::new(reopening)));
    }
}
