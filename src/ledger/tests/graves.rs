//! Burying and reviving, in the ledger and in the model.

use std::collections::BTreeSet;

use super::super::{Intent, Revival};
use super::model::{Entry, What};
use super::ops::Op;
use super::versus::Pair;
use super::*;

impl Pair {
    /// What is done with entries that were set aside, or that the group was done with.
    pub(super) fn set_aside(&mut self, op: &Op) {
        let now = self.now();
        match op {
            Op::Redrive(picks) => {
                let ids: Vec<EntryId> = self.picked(picks).iter().map(|(id, _)| *id).collect();
                self.desk.run(|ledger, now, out| ledger.redrive(now.at, &ids, out));
                self.unpark(&ids, |lease| What::Waiting {
                    lease,
                    join: 0,
                    due: now,
                    void: Some(Lost::Settled),
                    suspect: false,
                    fenced: false,
                });
            }
            Op::Drop(picks) => {
                let ids: Vec<EntryId> = self.picked(picks).iter().map(|(id, _)| *id).collect();
                self.desk.run(|ledger, _, out| ledger.discard_parked(&ids, out));
                self.unpark(&ids, |_| What::Settled);
            }
            Op::Bury(picks, whole) => self.bury(&self.picked(picks), *whole),
            Op::Revive(picks) => self.revive(&self.picked(picks)),
            other => panic!("{other:?} sets nothing aside"),
        }
    }

    fn bury(&mut self, ids: &[(EntryId, u64)], whole: bool) {
        let ids: BTreeSet<EntryId> = ids.iter().map(|(id, _)| *id).collect();
        let intent = Intent { stream: 1, partition: 0, end: ids.len() as u64 };
        for id in &ids {
            let doomed = self.desk.run(|ledger, _, out| ledger.intend(*id, intent, out));
            let entry = self.model.entries.get(id);
            let expected = entry.is_some_and(|e| matches!(e.what, What::Doomed { .. }));
            assert_eq!(doomed, expected, "{id}");
        }
        // One that was meant to go elsewhere stays.
        let other = Intent { end: 99, ..intent };
        let settled = |id| self.model.entries[id].what;
        let done: Vec<EntryId> = ids
            .iter()
            .filter(|id| self.model.entries.contains_key(id))
            .filter(|id| whole && matches!(settled(id), What::Doomed { .. }))
            .copied()
            .collect();
        for id in ids {
            let intent = if whole { intent } else { other };
            self.desk.run(|ledger, _, out| ledger.bury(id, intent, out));
        }
        for id in done {
            self.model.entries.get_mut(&id).unwrap().what = What::Settled;
        }
    }

    fn revive(&mut self, ids: &[(EntryId, u64)]) {
        let due = self.now();
        let back = |lease| What::Waiting {
            lease,
            join: if lease == 0 { u64::MAX } else { 0 },
            due,
            void: Some(Lost::Settled),
            suspect: false,
            fenced: false,
        };
        // What was trimmed, nobody asks for.
        let stored = |id: EntryId| id.offset() >= self.model.log_starts[id.partition() as usize];
        let ids: Vec<EntryId> = ids.iter().map(|(id, _)| *id).filter(|id| stored(*id)).collect();
        for id in &ids {
            let revival = self.desk.run(|ledger, now, out| ledger.revive(now.at, *id, out));
            let entry = self.model.entries.get_mut(id);
            let (expected, what) = match entry.as_ref().map(|entry| entry.what) {
                Some(What::Settled) => (Revival::Due, Some(back(0))),
                Some(What::Parked { lease }) => (Revival::Due, Some(back(lease))),
                Some(What::Doomed { .. }) => (Revival::Exhausted, None),
                _ => (Revival::Open, None),
            };
            assert_eq!(revival, expected, "{id}");
            if let (Some(entry), Some(what)) = (entry, what) {
                // Of one that was settled nobody knows any more when it was handed out.
                let touched = if matches!(what, What::Waiting { lease: 0, .. }) {
                    self.model.opened
                } else {
                    entry.handed
                };
                *entry = Entry { what, attempts: 0, touched, handed: touched };
            }
        }
    }
}
