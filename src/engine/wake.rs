//! Waking blocked reads at a desk: the first that may read what became available.
//!
//! Whoever publishes an entry does not hold the group's lock, so what it needs to know of the
//! assignment stands beside it, in [`Readers`]. It is brought up to date under the group's lock;
//! who gets a partition is rung then, so an append that still saw the old owner costs nothing.

use std::cell::Cell;

use super::desk::{Desk, State};
use crate::clock::Moment;
use crate::ledger::{Claim, Event, Ledger, NOBODY, Now};
use crate::log::Log;

/// Who reads what.
#[derive(Debug, Default)]
pub(super) enum Readers {
    /// Everybody everything, or nobody knows yet.
    #[default]
    Open,
    /// The slot of who reads each partition.
    Owners(Vec<u16>),
}

impl Readers {
    /// Whether an event, that is about to be applied, changes who reads what.
    pub(super) fn change_by(ledger: &Ledger, event: &Event) -> bool {
        match event {
            Event::Round(round) => !(round.open && ledger.is_open()),
            Event::Left { .. } => !ledger.is_open(),
            Event::Evicted { .. } => true,
            _ => false,
        }
    }

    pub(super) fn of(ledger: &Ledger) -> Self {
        if ledger.is_open() { Self::Open } else { Self::Owners(ledger.readers().collect()) }
    }
}

/// A slot as a blocked read is tagged with it.
pub(super) fn tag(slot: u16) -> u64 {
    u64::from(slot)
}

impl Desk {
    /// Wakes the first blocked read that may read a partition in which something became available.
    pub(crate) fn ring(&self, partition: u32) {
        if self.waiters.is_empty() && self.ready.is_empty() {
            return;
        }
        match &*self.readers.read() {
            Readers::Open => {
                self.waiters.ring_first();
                self.ready.mark(|_| true);
            }
            Readers::Owners(owners) => {
                let slot = owners.get(partition as usize).copied().unwrap_or(NOBODY);
                self.waiters.ring_where(1, |read| read == tag(slot));
                self.ready.mark(|hook| hook == slot);
            }
        }
    }

    /// Wakes everybody: something changed that each must see.
    pub(super) fn ring_all(&self) {
        self.waiters.ring_all();
        self.ready.mark(|_| true);
    }

    /// The same, for good: the group, or the stream, has ended.
    pub(super) fn end_waits(&self) {
        self.ring_all();
        self.drains.ring_all();
        self.board.close();
    }

    /// The same for claims that were handed back. Where nobody waits who may read them, somebody has
    /// to look all the same: they may be what a hand-over waits for, or room that another needs.
    pub(super) fn ring_for(&self, claims: &[Claim]) {
        if claims.is_empty() || (self.waiters.is_empty() && self.ready.is_empty()) {
            return;
        }
        match &*self.readers.read() {
            Readers::Open => {
                self.waiters.ring_first();
                self.ready.mark(|_| true);
            }
            Readers::Owners(owners) => {
                let slot = |claim: &Claim| owners.get(claim.run.partition as usize).copied();
                let slots: Vec<u16> = claims.iter().map(|c| slot(c).unwrap_or(NOBODY)).collect();
                let mine = |read| slots.iter().any(|slot| tag(*slot) == read);
                let found = Cell::new(false);
                self.waiters.ring_where(usize::MAX, |read| {
                    found.set(found.get() || mine(read));
                    mine(read)
                });
                if slots.contains(&NOBODY) || !found.get() {
                    self.waiters.ring_first();
                }
                self.ready.mark(|hook| slots.contains(&hook));
            }
        }
    }

    /// Whether everybody reads everything.
    pub(super) fn is_shared(&self) -> bool {
        matches!(*self.readers.read(), Readers::Open)
    }

    /// Wakes who may read what there is, else sets the timer anew.
    pub(super) fn stir(&self, state: &mut State, now: Now) {
        state.limited = false;
        if !self.ready.is_empty() {
            self.ready.mark(|slot| self.has_more(state, now.at, slot));
        }
        if self.waiters.is_empty() {
            return;
        }
        if !state.ledger.is_open() {
            self.waiters.ring_where(usize::MAX, |read| {
                u16::try_from(read).is_ok_and(|slot| self.has_more(state, now.at, slot))
            });
        } else if self.has_more(state, now.at, NOBODY) {
            return self.waiters.ring_first();
        }
        self.waiters.rearm();
    }

    /// As [`stir`](Self::stir), after a read of the member in `slot` found nothing for itself. Who
    /// is at its limits waits for room: two such reads would wake each other without an end.
    pub(super) fn stir_others(&self, state: &mut State, now: Now, slot: u16) {
        let limited = Cell::new(state.limited);
        self.ready.mark(|other| other != slot && self.has_more(state, now.at, other));
        self.waiters.ring_where(usize::MAX, |read| {
            let other = u16::try_from(read).ok().filter(|other| *other != slot);
            let Some(other) = other.filter(|other| self.has_more(state, now.at, *other)) else {
                return false;
            };
            let room = state.ledger.room_of(other) > 0;
            limited.set(limited.get() || !room);
            room
        });
        state.limited = limited.get();
    }

    /// Whether a read of the member in `slot` would find an entry, but for its limits.
    pub(super) fn has_more(&self, state: &State, now: Moment, slot: u16) -> bool {
        let ledger = &state.ledger;
        if ledger.is_paused(now) {
            return false;
        }
        let fresh = |log: &Log, partition| {
            let cursor = ledger.cursor(partition).filter(|cursor| *cursor < log.visible());
            cursor.is_some_and(|cursor| !state.is_held_up(now, partition, cursor))
        };
        let logs = &self.ground.logs;
        ledger.has_due(now, slot)
            || if ledger.is_open() {
                logs.iter().zip(0..).any(|(log, partition)| fresh(log, partition))
            } else {
                let own = ledger.owned(slot);
                own.filter_map(|p| Some((logs.get(p as usize)?, p))).any(|(log, p)| fresh(log, p))
            }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::assign::CooperativeSticky;
    use crate::blocked::Blocked;
    use crate::clock::{ManualClock, Moment, time_of};
    use crate::engine::{
        Answer, GroupPlan, Handle, Made, Mill, Parcel, Plan, Post, Seat, StoredStrategy, Trial,
        Verb, Want, open_group,
    };
    use crate::entry::NewEntry;
    use crate::start::Start;
    use crate::storage::Memory;
    use crate::waiters::{Waiting, Woken};

    const ONE: Want = Want { max: 1, lease: None };

    /// A group of two members, each with a partition of two entries of which it holds one, and as
    /// many more as `plan` lets it.
    fn pair(plan: GroupPlan) -> (Arc<Seat>, [Arc<Post>; 2], [Arc<Parcel>; 2]) {
        let options = Plan {
            partitions: Some(2),
            segment_bytes: None,
            entry_bytes_max: None,
            durability: None,
            retention: None,
            unique_max: None,
            time: time_of(&ManualClock::self_advancing()),
            trial: Trial::default(),
        };
        let mill = Mill::open(Arc::new(Memory::new()), Made::New, options).unwrap();
        (0..4).for_each(|_| assert!(mill.append(&NewEntry::new("e")).is_ok()));
        let handle = Arc::new(Handle { mill });
        let strategy = (StoredStrategy::CooperativeSticky, Arc::new(CooperativeSticky) as _);
        let plan = GroupPlan { strategy: Some(strategy), ..plan };
        let seat = open_group(&handle, "g", Made::New, &plan, Some(&Start::Earliest)).unwrap();
        let join =
            |name| Arc::new(Post::new(Arc::clone(&seat), name, seat.desk.join(name).unwrap()));
        let posts = ["a", "b"].map(join);
        let held = [&posts[0], &posts[1]].map(|post| match seat.desk.lend(post, ONE).unwrap() {
            Answer::Lent(parcel) => parcel,
            Answer::Nothing(why) => panic!("{why:?}"),
        });
        (seat, posts, held)
    }

    fn is_limited(seat: &Seat, post: &Arc<Post>) -> bool {
        matches!(seat.desk.lend(post, ONE).unwrap(), Answer::Nothing(Blocked::InFlight))
    }

    fn is_rung(seat: &Seat, waiting: &Waiting<'_>) -> bool {
        waiting.park(&seat.desk.ground.time, Moment::ZERO, Moment::NEVER) == Woken::Rung
    }

    #[test]
    fn reads_of_partitions_that_are_held_up_do_not_wake_each_other() {
        let (seat, [a, b], _held) =
            pair(GroupPlan { delayed_max: Some(0), ..GroupPlan::default() });
        let lend = |post| seat.desk.lend(post, ONE).unwrap();
        let _rest = [&a, &b].map(lend);
        let later = NewEntry::new("e").deliver_after(Duration::from_secs(9));
        (0..2).for_each(|_| assert!(seat.handle.mill.append(&later).is_ok()));
        let waiting = [&a, &b].map(|post| seat.desk.waiters.enter(super::tag(post.member.slot)));
        for post in [&a, &b, &a, &b] {
            assert!(matches!(lend(post), Answer::Nothing(Blocked::Delayed)));
        }
        // The last one may have been rung once, before its own read had looked.
        let rung = waiting.iter().filter(|waiting| is_rung(&seat, waiting)).count();
        for post in [&a, &b, &a, &b] {
            assert!(matches!(lend(post), Answer::Nothing(Blocked::Delayed)));
        }
        assert!(rung <= 1 && !waiting.iter().any(|waiting| is_rung(&seat, waiting)));
    }

    #[test]
    fn reads_at_their_limits_do_not_wake_each_other_but_room_does() {
        let plan = GroupPlan { max_in_flight_per_consumer: Some(1), ..GroupPlan::default() };
        let (seat, [a, b], held) = pair(plan);
        let waiting = [&a, &b].map(|post| seat.desk.waiters.enter(super::tag(post.member.slot)));
        assert!(is_limited(&seat, &a) && is_limited(&seat, &b));
        assert!(is_limited(&seat, &a) && is_limited(&seat, &b));
        assert!(!waiting.iter().any(|waiting| is_rung(&seat, waiting)));
        let claims = held[1].claims(0..1);
        assert!(b.settle(&claims, Verb::Ack).unwrap().refused.is_empty());
        assert!(is_rung(&seat, &waiting[1]));
    }

    #[test]
    fn what_is_handed_back_wakes_who_waits_for_room_in_another_partition() {
        let (seat, [a, b], held) =
            pair(GroupPlan { max_in_flight: Some(2), ..GroupPlan::default() });
        let waiting = seat.desk.waiters.enter(super::tag(b.member.slot));
        assert!(is_limited(&seat, &b) && !is_rung(&seat, &waiting));
        assert_ne!(held[0].id(0).partition(), held[1].id(0).partition());
        seat.desk.hand_back(&held[0].claims(0..1), &[]);
        assert!(is_rung(&seat, &waiting));
        assert!(!is_limited(&seat, &b));
        drop(a);
    }

    #[test]
    fn a_session_that_runs_again_sets_the_timer() {
        let (seat, [a, b], held) = pair(GroupPlan::default());
        let waiting = seat.desk.waiters.enter(super::tag(a.member.slot));
        drop(seat.desk.stay_alive(b.member).unwrap());
        // Where nothing is due and nobody called, a self-advancing clock has nothing to wait for.
        let woken = waiting.park(&seat.desk.ground.time, Moment::NEVER, Moment::NEVER);
        assert_eq!(woken, Woken::Time);
        drop(held);
    }
}
