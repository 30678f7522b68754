//! Claims, acks by id and who holds what, in the ledger and in the naive model.

use super::super::Claims;
use super::model::{SESSION, What};
use super::versus::{NAMES, Pair};
use super::*;
use crate::blocked::Unclaimed;
use crate::error::Error;

impl Pair {
    /// How many more entries a member may have, of all and of its own.
    fn rooms(&self, member: MemberId) -> (usize, usize) {
        let all = self.model.leased(|_, _| true).len();
        let own = self.model.leased(|join, _| join == member.join).len();
        (120_usize.saturating_sub(all), 70_usize.saturating_sub(own))
    }

    pub(super) fn claim(&mut self, who: usize, ids: &[EntryId], idle: u64) {
        let Some(member) = self.member(who) else { return };
        let (min_idle, now) = (Duration::from_micros(idle), self.desk.now.at);
        let since = now.0.checked_sub(idle);
        let wanted = ids.iter().copied().collect();
        let expected =
            self.model.claim(&wanted, member.join, since, usize::MAX, self.rooms(member));
        let claims = self.desk.ledger.claimable(now, member, min_idle, ids.to_vec());
        let others = ids.iter().any(|id| !self.model.hands.may_read(member.join, id.partition()));
        let claims = match claims {
            Err(Error::NotAssigned { .. }) if others => return,
            claims => claims.unwrap(),
        };
        assert!(!others);
        assert_eq!(claims.refused, expected.2);
        self.hand_over(who, member, &claims, (expected.0, expected.1));
    }

    pub(super) fn sweep(&mut self, who: usize, from: EntryId, max: u32, idle: u64) {
        let Some(member) = self.member(who) else { return };
        let (min_idle, now) = (Duration::from_micros(idle), self.desk.now.at);
        let since = now.0.checked_sub(idle);
        let all = self.model.entries.range(from..).map(|(id, _)| *id);
        let all = all.filter(|id| self.model.hands.may_read(member.join, id.partition())).collect();
        let (most, rooms) = (max as usize, self.rooms(member));
        let (_, _, refused) = self.model.claim(&all, member.join, since, most, rooms);
        let stop = refused
            .into_iter()
            .find(|(_, why)| !matches!(why, Unclaimed::NotPending | Unclaimed::NotIdle));
        // What it does not come to, it does not take.
        let before = all.into_iter().filter(|id| stop.is_none_or(|(stop, _)| *id < stop));
        let before = before.collect();
        let (taken, spent, _) = self.model.claim(&before, member.join, since, most, rooms);
        let mut claims = Claims::default();
        let ledger = &mut self.desk.ledger;
        let stopped = ledger.idle_claims(now, member, min_idle, from, max, &mut claims).unwrap();
        assert_eq!(stopped, stop);
        self.desk.ledger.validate();
        self.hand_over(who, member, &claims, (taken, spent));
    }

    /// Takes what both say that a member may claim.
    fn hand_over(
        &mut self,
        who: usize,
        member: MemberId,
        claims: &Claims,
        (taken, spent): (Vec<EntryId>, Vec<EntryId>),
    ) {
        let ids = |runs: &[Run]| runs.iter().flat_map(|run| run.ids()).collect::<Vec<_>>();
        assert_eq!((ids(&claims.runs), ids(&claims.spent)), (taken.clone(), spent.clone()));
        let now = self.now();
        let number = self.desk.run(|ledger, now, out| {
            ledger.exhaust_all(now, &claims.spent, out);
            let some = !claims.runs.is_empty();
            some.then(|| ledger.claim(now, member, &claims.runs, out).unwrap())
        });
        for id in spent {
            self.model.exhaust(id);
        }
        let Some(number) = number else { return };
        let person = self.model.people.get_mut(NAMES[who]).unwrap();
        person.alive_until = person.alive_until.max(now + SESSION);
        self.model.hand_out(&taken, number, member.join, (now, now + 30 * SECOND));
        self.issued.push(taken.into_iter().map(|id| (id, number)).collect());
    }

    pub(super) fn ack_ids(&mut self, ids: &[EntryId]) {
        let acked = self.desk.run(|ledger, _, out| ledger.ack_ids(ids.to_vec(), out));
        let mut expected = 0;
        for id in ids {
            let Some(entry) = self.model.entries.get_mut(id) else { continue };
            if !matches!(entry.what, What::Settled | What::Parked { .. }) {
                entry.what = What::Settled;
                expected += 1;
            }
        }
        assert_eq!(acked, expected);
    }

    pub(super) fn compare_held(&self) {
        let (model, ledger) = (&self.model, &self.desk.ledger);
        let pending = model
            .entries
            .iter()
            .filter(|(_, entry)| !matches!(entry.what, What::Settled | What::Parked { .. }));
        let pending: Vec<EntryId> = pending.map(|(id, _)| *id).collect();
        let summary = ledger.summary();
        assert_eq!(summary.leased + summary.waiting, pending.len() as u64);
        assert_eq!(
            (summary.first, summary.last),
            (pending.first().copied(), pending.last().copied())
        );
        for member in ledger.members() {
            let from = pending.get(pending.len() / 3).copied().unwrap_or(EntryId::new(0, 0));
            let held = ledger.held_by(member.id, from, 20).unwrap();
            let held = held.iter().flat_map(|(run, lease)| run.ids().map(|id| (id, *lease)));
            let own = model.entries.range(from..).filter_map(|(id, entry)| match entry.what {
                What::Leased { lease, join, .. } if join == member.id.join => Some((*id, lease)),
                _ => None,
            });
            assert_eq!(held.collect::<Vec<_>>(), own.take(20).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_redriven_entry_is_found_in_a_chunk_that_was_looked_through_in_vain() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 6)[0];
    nack(&mut desk, &[one(&claim, 252)], Again::Never(""));
    desk.advance(10);
    let kept: Vec<Claim> = [250, 251, 253, 254, 255].map(|offset| one(&claim, offset)).into();
    extend(&mut desk, &kept, 60);
    let found = |desk: &mut Desk| {
        let (now, mut claims) = (desk.now.at, Claims::default());
        let (idle, from) = (Duration::from_secs(5), EntryId::new(0, 0));
        assert_eq!(desk.ledger.idle_claims(now, a, idle, from, 9, &mut claims).unwrap(), None);
        desk.ledger.validate();
        claims.runs
    };
    assert_eq!(found(&mut desk), []);
    desk.run(|ledger, now, out| ledger.redrive(now.at, &[EntryId::new(0, 252)], out));
    assert_eq!(found(&mut desk), [Run::new(0, 252, 1)]);
}
