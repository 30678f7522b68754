//! Joining, leaving, and signs of life.

use super::book::Ledger;
use super::event::{Event, Last, MemberId};
use super::member::NAME_BYTES_MAX;
use super::policy::Policy;
use super::times::{Now, after};
use crate::clock::Moment;
use crate::error::{Error, Gone, Result};

impl Ledger {
    /// Makes a member of that name, which lives until it is silent for the session timeout.
    ///
    /// # Errors
    /// [`Error::MemberExists`], [`Error::InvalidName`], [`Error::LimitReached`].
    pub(crate) fn join(&self, now: Moment, name: &str, out: &mut Vec<Event>) -> Result<MemberId> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let reason = format!("{} bytes; it must be 1 to {NAME_BYTES_MAX}", name.len());
            return Err(Error::InvalidName { what: "consumer name", reason: reason.into() });
        }
        if self.members.names.contains_key(name) {
            return Err(Error::MemberExists { name: name.into() });
        }
        let (slot, join) = (self.members.vacant()?, self.members.next_join);
        let alive_until = after(now, self.policy.session_timeout);
        out.push(Event::Joined { slot, join, alive_until, name: name.into() });
        Ok(MemberId { slot, join })
    }

    /// Ends a membership; all its leases count and are due at once. What was not taken is to be
    /// handed back before.
    ///
    /// # Errors
    /// [`Error::NotAMember`].
    pub(crate) fn leave(&self, now: Now, member: MemberId, out: &mut Vec<Event>) -> Result<()> {
        self.members.get(member)?;
        out.push(self.left(now, member.slot, Gone::Left));
        Ok(())
    }

    /// The same by name, whatever the member says.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn remove(&self, now: Now, name: &str, out: &mut Vec<Event>) -> Result<()> {
        let Some(slot) = self.members.names.get(name) else {
            return Err(Error::NotFound { what: format!("member {name:?}").into() });
        };
        out.push(self.left(now, *slot, Gone::Removed));
        Ok(())
    }

    pub(super) fn left(&self, now: Now, slot: u16, why: Gone) -> Event {
        Event::Left { slot, why, due: now.at, last: self.last(now) }
    }

    pub(super) fn last(&self, now: Now) -> Last {
        let Policy { max_deliveries: attempt, on_exhausted: then, .. } = self.policy;
        Last { attempt, then, wall: now.wall }
    }

    /// A sign of life, from a call that knows the time.
    ///
    /// # Errors
    /// [`Error::NotAMember`].
    pub(crate) fn touch(&mut self, now: Moment, member: MemberId) -> Result<()> {
        let alive_until = after(now, self.policy.session_timeout);
        let member = self.members.get_mut(member)?;
        member.seen = now;
        member.alive_until = member.alive_until.max(alive_until);
        Ok(())
    }

    /// A sign of life from a call that does not, such as an ack. The next one that does takes the
    /// member as alive then.
    pub(crate) fn touch_untimed(&mut self, member: MemberId) {
        self.members.touch(member);
    }

    /// One more read of this member blocks. It is alive while one does.
    ///
    /// # Errors
    /// [`Error::NotAMember`].
    pub(crate) fn block(&mut self, member: MemberId) -> Result<()> {
        let member = self.members.get_mut(member)?;
        member.blocked = member.blocked.saturating_add(1);
        Ok(())
    }

    /// One read of this member blocks no longer.
    pub(crate) fn unblock(&mut self, now: Moment, member: MemberId) {
        let alive_until = after(now, self.policy.session_timeout);
        if let Ok(member) = self.members.get_mut(member) {
            member.blocked = member.blocked.saturating_sub(1);
            member.seen = now;
            member.alive_until = member.alive_until.max(alive_until);
            let ends = member.alive_until;
            self.members.wake = self.members.wake.min(ends);
        }
    }
}
