//! Looking at a group in a stream that was opened for reading only: the desk follows the journal that
//! the owner writes, and hands out nothing.
//!
//! # The order of one look
//! 1. The journal: what was appended to it since the last look is copied.
//! 2. The partitions, and then the manifest.
//! 3. Only then what was copied is applied.
//!
//! The owner does it the other way round: it tells the manifest of a partition, then appends to that,
//! then journals what it hands out. So all that the journal speaks of is known by step 3, and where it
//! is not (the owner recovered meanwhile), the ledger says that it was cut.
//!
//! # Invariants
//! 1. Nothing is written, and nothing that time ends is ended.
//! 2. A ledger that was told something it cannot be sure of counts as `stale`: the next look reads it
//!    anew from the journal's newest snapshot.
//! 3. No entry counts as one that the partitions, as they are seen, do not hold.
//!
//! # Why damage is not remembered
//! What looks damaged may be a look in between two steps of the owner. It is told, and the next look
//! begins anew.

use std::sync::Arc;

use super::census::Census;
use super::desk::{Desk, State};
use super::groups::Seat;
use super::journal::{damaged, now_of};
use super::manifest::GroupRecord;
use super::mill::Mill;
use super::policy::policy;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::ledger::{Event, Inconsistent, Ledger, Now, decode};
use crate::log::{Kind, Log, Place};

/// So often one look goes round, if the owner was faster.
const ROUNDS_MAX: u32 = 4;

/// How far the journal of a group was followed.
#[derive(Debug, Default)]
pub(super) struct Sight {
    place: Place,
    /// What was copied and is not applied yet: a snapshot, if a segment began, and records.
    anew: bool,
    snapshot: Vec<u8>,
    /// With the wall time of each.
    records: Vec<(u64, Vec<u8>)>,
    /// The wall time of the snapshot.
    began: u64,
    /// That of the newest frame which was applied and has one; 0 before.
    wall: u64,
    /// When it was looked last: what was recorded since is not older.
    looked: Moment,
}

impl Sight {
    /// Forgets how far it got: the next round reads it all.
    fn forget(&mut self) {
        *self = Self::default();
    }
}

/// What the partitions hold, as they are seen.
struct Extent {
    starts: Vec<u64>,
    ends: Vec<u64>,
}

impl Seat {
    /// The desk to look at. In a stream that is open for reading only it is brought up to date with the
    /// owner's journal first.
    pub(crate) fn desk_now(&self) -> Result<&Arc<Desk>> {
        let mill = &self.handle.mill;
        if mill.ground.looks_on() {
            self.desk.follow(mill)?;
        }
        Ok(&self.desk)
    }
}

impl Desk {
    /// Brings what is seen of the group up to date.
    pub(super) fn follow(&self, mill: &Mill) -> Result<()> {
        self.check()?;
        let mut sight = self.sight.lock();
        for round in 1.. {
            let copied = self.copy_journal(&mut sight);
            mill.follow_partitions()?;
            let record = mill.record_of(self.incarnation);
            let Some(record) = record else { return Err(Error::GroupDeleted) };
            let (now, last) = (now_of(&self.ground.time), round == ROUNDS_MAX);
            match copied {
                Err(_) if !last => continue,
                other => other?,
            }
            let extent = self.extent();
            let mut state = self.lock();
            let applied = self.apply_copied(&mut state, &mut sight, &record, &extent, now);
            if applied.is_err() || state.ledger.outlives(&extent.ends) {
                sight.forget();
            }
            match applied {
                Err(_) if !last => continue,
                Err(error) => return Err(damaged(&self.journal, error)),
                Ok(()) if state.ledger.outlives(&extent.ends) && !last => continue,
                Ok(()) => {}
            }
            let gone = state.ledger.gone(&extent.starts, &extent.ends);
            if !gone.is_empty() {
                // The owner journals before it trims: another look at the journal shows it.
                if !last {
                    continue;
                }
                state.ledger.leave_out(&gone);
                sight.forget();
            }
            self.look_ahead(&mut state, now);
            break;
        }
        Ok(())
    }

    fn extent(&self) -> Extent {
        let logs = || self.ground.logs.iter();
        Extent {
            starts: logs().map(Log::start).collect(),
            ends: logs().map(Log::visible).collect(),
        }
    }

    /// Copies what the journal says since the last look.
    fn copy_journal(&self, sight: &mut Sight) -> Result<()> {
        // Whatever it says, what is new comes by its place.
        let _ = self.journal.follow().inspect_err(|_| sight.forget())?;
        let Sight { place, anew, snapshot, records, began, .. } = sight;
        let copied = self.journal.replay_timed_from(place, |kind, wall, body| {
            match kind {
                Kind::Opening => {
                    // It may have been stored ahead of its use, so its time tells nothing.
                    (*anew, *began) = (true, 0);
                    snapshot.clear();
                    records.clear();
                }
                Kind::Snapshot => {
                    *began = wall;
                    snapshot.extend_from_slice(body);
                }
                Kind::Plain => records.push((wall, body.to_vec())),
                Kind::Entries => {
                    let what = Inconsistent("a journal holds records only");
                    return Err(damaged(&self.journal, what));
                }
            }
            Ok(())
        });
        copied.inspect_err(|_| sight.forget())?;
        if self.journal.segment_count() == 0 {
            // Nothing was journaled, or nothing of it was safe when the owner recovered.
            sight.forget();
            sight.anew = true;
        }
        Ok(())
    }

    fn apply_copied(
        &self,
        state: &mut State,
        sight: &mut Sight,
        record: &GroupRecord,
        extent: &Extent,
        now: Now,
    ) -> Result<(), Inconsistent> {
        if std::mem::take(&mut sight.anew) {
            (sight.wall, sight.looked) = (sight.began, Moment::ZERO);
            let then = Now { at: now.back_to(sight.began), wall: sight.began };
            let snapshot = std::mem::take(&mut sight.snapshot);
            state.ledger = if snapshot.is_empty() {
                Ledger::new(policy(record), &record.starts)
            } else {
                Ledger::decode_snapshot(&snapshot, policy(record), then, &extent.ends)?
            };
            state.ledger.first_seen(then.at);
            state.census = Census::default();
            self.weigh_all(state);
        }
        if state.ledger.partitions() > record.starts.len() {
            return Err(Inconsistent("the journal is of more partitions than the stream"));
        }
        let added = &record.starts[state.ledger.partitions()..];
        if !added.is_empty() {
            state.ledger.grow(added);
        }
        for (wall, body) in sight.records.drain(..) {
            sight.wall = sight.wall.max(wall);
            // Without any, it counts from now on.
            let then = if sight.wall > 0 { now.back_to(sight.wall) } else { now.at };
            let then = then.max(sight.looked);
            for event in decode(&body, now)? {
                let given = match &event {
                    Event::HandedOut { run, lease, .. } | Event::Claimed { run, lease, .. } => {
                        Some((*lease, *run))
                    }
                    _ => None,
                };
                state.census.follow(&self.ground.logs, &state.ledger, &event);
                state.ledger.follow(event, &extent.ends, then)?;
                if let Some((lease, run)) = given {
                    self.weigh(state, lease, run);
                }
            }
        }
        sight.looked = now.at;
        Ok(())
    }
}
