//! What the ledger of a group with a filter does, beside the naive model: passing entries, and
//! handing out some of them only.

use super::super::Pass;
use super::model::{Entry, Model, SESSION, What};
use super::versus::{NAMES, Pair};
use super::*;

impl Pair {
    pub(super) fn pass(&mut self, partition: u32, count: u64) {
        let cursor = self.model.cursors[partition as usize];
        let end = (cursor + count).min(self.model.ends[partition as usize]);
        self.desk.run(|l, _, out| l.pass(partition, end, Pass::Filtered, out));
        self.model.pass(partition, end);
    }

    /// Hands out new entries only, every `gap`th one.
    pub(super) fn sift(&mut self, who: usize, max: usize, gap: usize) {
        let Some(member) = self.member(who) else { return };
        let now = self.now();
        let room = usize::try_from(self.desk.ledger.room(member).unwrap()).unwrap();
        let (mut runs, mut left) = (Vec::new(), max.min(room));
        for partition in 0..self.partitions() {
            let place = partition as usize;
            let (cursor, end) = (self.model.cursors[place], self.model.ends[place]);
            let stored = self.model.log_starts[place] <= cursor;
            if !stored || !self.model.hands.may_read(member.join, partition) {
                continue;
            }
            for first in (cursor..end).step_by(gap).skip(1).take(left) {
                runs.push(Run::new(partition, first, 1));
                left -= 1;
            }
        }
        if runs.is_empty() {
            return;
        }
        let (lease, deadline) = (Duration::from_micros(30 * SECOND), now + 30 * SECOND);
        let claims = self.desk.lease(member, &runs, lease).unwrap();
        let number = claims[0].lease;
        let person = self.model.people.get_mut(NAMES[who]).unwrap();
        person.alive_until = person.alive_until.max(now + SESSION);
        let ids: Vec<EntryId> = runs.iter().flat_map(|run| run.ids()).collect();
        for id in &ids {
            self.model.pass(id.partition(), id.offset());
            self.model.hand_out(&[*id], number, member.join, (now, deadline));
        }
        self.issued.push(ids.into_iter().map(|id| (id, number)).collect());
    }
}

impl Model {
    /// The cursor passes entries that are not for the group.
    fn pass(&mut self, partition: u32, end: u64) {
        let cursor = self.cursors[partition as usize];
        for offset in cursor..end {
            let settled = Entry { what: What::Settled, attempts: 0, handed: 0, touched: 0 };
            self.entries.insert(EntryId::new(partition, offset), settled);
        }
        self.cursors[partition as usize] = cursor.max(end);
    }
}
