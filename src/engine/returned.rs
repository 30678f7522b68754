//! What dropped handles leave at a desk: a drop neither waits for a disk nor fails, so it puts its
//! claims on a list, and the next call of anybody deals with that first. The same list has the
//! members whose leaving could not be written when their last handle was dropped.

use super::desk::{Desk, State};
use super::journal::now_of;
use crate::error::Result;
use crate::ledger::{Claim, MemberId, Now};

/// What dropped handles left.
#[derive(Debug, Default)]
pub(super) struct Returned {
    /// With the time of the drop: the backoff counts from then, whenever it is dealt with.
    taken: Vec<(Now, Claim)>,
    untaken: Vec<Claim>,
    /// Who went, and when.
    pub(super) left: Vec<(Now, MemberId)>,
}

impl Returned {
    fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.untaken.is_empty() && self.left.is_empty()
    }
}

impl Desk {
    pub(super) fn take_returned(&self, state: &mut State) -> Result<()> {
        let returned = {
            let mut returned = self.returned.lock();
            if returned.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut *returned)
        };
        let outcome = self.apply_returned(state, &returned);
        if outcome.is_err() {
            // They stay on the list for the next call; what was settled before is void then.
            let mut list = self.returned.lock();
            list.taken.extend(&returned.taken);
            list.untaken.extend(&returned.untaken);
            list.left.extend(&returned.left);
        }
        outcome
    }

    fn apply_returned(&self, state: &mut State, returned: &Returned) -> Result<()> {
        for dropped in returned.taken.chunk_by(|(at, _), (next, _)| at == next) {
            let claims: Vec<Claim> = dropped.iter().map(|(_, claim)| *claim).collect();
            let State { ledger, events, .. } = &mut *state;
            ledger.hand_back(dropped[0].0, &claims, true, events);
            self.commit(state)?;
        }
        let State { ledger, events, .. } = &mut *state;
        ledger.hand_back(now_of(&self.ground.time), &returned.untaken, false, events);
        self.commit(state)?;
        returned.left.iter().try_for_each(|(at, member)| self.part(state, *at, *member))
    }

    /// Leaves claims for the next call to deal with, and wakes a blocked read to be that call.
    /// Never waits for a disk, never fails.
    pub(crate) fn hand_back(&self, taken: &[Claim], untaken: &[Claim]) {
        let now = now_of(&self.ground.time);
        let mut returned = self.returned.lock();
        returned.taken.extend(taken.iter().map(|claim| (now, *claim)));
        returned.untaken.extend_from_slice(untaken);
        drop(returned);
        self.drains.ring_all();
        self.ring_for(taken);
        self.ring_for(untaken);
        self.ready.call();
    }
}
