//! Who is in the group, and until when without a sign of life.
//!
//! Invariants
//! 1. `names` holds exactly the names of the live members, with their slots.
//! 2. A member's join number is below `next_join`, and no two members ever had the same.
//! 3. `wake` is not later than the end of any session that runs (no blocked read).
//!
//! Signs of life are volatile: they change nothing that a journal would have to know, because
//! reopening ends all memberships.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::event::MemberId;
use super::times::{NEVER, micros};
use crate::clock::Moment;
use crate::error::{Error, Gone, Result};

/// The most members at one time; a slot is 16 bits.
pub(super) const MEMBERS_MAX: usize = 65_535;

/// The longest name.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Of how many departed members it is remembered how they went.
const GONE_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) join: u64,
    /// The first lease number that can be this member's.
    pub(super) since: u64,
    pub(super) alive_until: Moment,
    /// When it last gave a sign of life.
    pub(super) seen: Moment,
    /// It gave a sign of life that read no clock; it is then in the list of such members, too.
    pub(super) touched: bool,
    /// Its blocked reads.
    pub(super) blocked: u32,
}

#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) slots: BTreeMap<u16, Member>,
    pub(super) names: BTreeMap<Arc<str>, u16>,
    pub(super) next_join: u64,
    pub(super) wake: Moment,
    touched: Vec<MemberId>,
    gone: VecDeque<(u64, Gone)>,
    /// When those who went were last heard of.
    last: Moment,
}

impl Members {
    pub(super) fn in_slot(&self, slot: u16) -> Option<&Member> {
        self.slots.get(&slot)
    }

    /// The member itself, or how it went.
    pub(super) fn get(&self, id: MemberId) -> Result<&Member> {
        let member = self.in_slot(id.slot).filter(|member| member.join == id.join);
        member.ok_or_else(|| self.departed(id))
    }

    pub(super) fn get_mut(&mut self, id: MemberId) -> Result<&mut Member> {
        self.get(id)?;
        Ok(self.slots.get_mut(&id.slot).expect("it was found just now"))
    }

    fn departed(&self, id: MemberId) -> Error {
        let how = self.gone.iter().find(|(join, _)| *join == id.join);
        Error::NotAMember { why: how.map_or(Gone::Left, |(_, why)| *why) }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        let slots = self.slots.iter();
        slots.map(|(slot, member)| (MemberId { slot: *slot, join: member.join }, member))
    }

    /// The lowest vacant slot.
    pub(super) fn vacant(&self) -> Result<u16> {
        let taken = (0..).zip(self.slots.keys()).take_while(|(n, slot)| n == *slot).count();
        match u16::try_from(taken) {
            Ok(slot) if taken < MEMBERS_MAX => Ok(slot),
            _ => Err(Error::LimitReached { what: "members", max: MEMBERS_MAX as u64 }),
        }
    }

    /// Puts a member into a vacant slot.
    pub(super) fn enter(&mut self, slot: u16, member: Member) {
        self.next_join = self.next_join.max(member.join.saturating_add(1));
        self.names.insert(Arc::clone(&member.name), slot);
        self.wake = if self.names.len() == 1 { NEVER } else { self.wake }.min(member.alive_until);
        self.slots.insert(slot, member);
    }

    /// Takes the member out of its slot, which was heard of at `sign`.
    pub(super) fn leave(&mut self, slot: u16, why: Gone, sign: Moment) {
        if let Some(member) = self.slots.remove(&slot) {
            self.last = self.last.max(sign);
            self.names.remove(&member.name);
            if self.gone.len() == GONE_MAX {
                self.gone.pop_front();
            }
            self.gone.push_back((member.join, why));
        }
    }

    /// Nobody is a member any more.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.names.clear();
        self.touched.clear();
    }

    /// A sign of life now, good until `alive_until`.
    pub(super) fn keep(&mut self, slot: u16, alive_until: Moment) {
        if let Some(member) = self.slots.get_mut(&slot) {
            member.alive_until = member.alive_until.max(alive_until);
        }
    }

    /// A sign of life at a time that the next call of [`Members::judge`] will know.
    pub(super) fn touch(&mut self, id: MemberId) {
        let member = self.slots.get_mut(&id.slot).filter(|member| member.join == id.join);
        if member.is_some_and(|member| !std::mem::replace(&mut member.touched, true)) {
            self.touched.push(id);
        }
    }

    /// Takes those that gave a sign of life as alive until `alive_until`, and returns the first
    /// whose sessions are over, at most `max` of them.
    pub(super) fn judge(&mut self, now: Moment, alive_until: Moment, max: usize) -> Vec<u16> {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            if let Ok(member) = self.get_mut(id) {
                member.touched = false;
                member.seen = now;
                member.alive_until = member.alive_until.max(alive_until);
            }
        }
        // Emptied and put back: the list keeps its memory.
        self.touched = touched;
        if now < self.wake || self.names.is_empty() {
            return Vec::new();
        }
        let mut over = Vec::new();
        for (slot, member) in &mut self.slots {
            if member.blocked > 0 {
                member.seen = now;
                member.alive_until = member.alive_until.max(alive_until);
            }
            if member.alive_until <= now && over.len() < max {
                over.push(*slot);
            }
        }
        self.wake = self.next_end();
        over
    }

    /// When the member in a slot last gave a sign of life. One that gave it untimed, one whose read
    /// blocks and one with a long lease of its own do so now.
    pub(super) fn sign(&self, slot: u16, now: Moment, session: Duration) -> Moment {
        let Some(member) = self.slots.get(&slot) else { return Moment::ZERO };
        if member.touched || member.blocked > 0 {
            return now;
        }
        let until = member.alive_until.0.saturating_sub(micros(session));
        member.seen.max(Moment(until)).min(now)
    }

    /// When any member last did.
    pub(super) fn last_sign(&self, now: Moment, session: Duration) -> Moment {
        let signs = self.slots.keys().map(|slot| self.sign(*slot, now, session));
        signs.fold(self.last, Moment::max)
    }

    /// When the first session ends, if nothing is heard.
    pub(super) fn next_end(&self) -> Moment {
        let running = self.live().filter(|(_, member)| member.blocked == 0);
        running.map(|(_, member)| member.alive_until).min().unwrap_or(NEVER)
    }
}
