//! What is out: the parcels that were handed to each member and are still alive. A member that goes
//! while one of them lies unopened has not taken what is in it, so that is released, not counted.
//!
//! 1. A parcel that was dropped is forgotten at the latest when there are twice as many as were
//!    alive the last time; so there are never more than twice as many as batches in use, and a few.

use std::sync::{Arc, Weak};

use super::parcel::Parcel;
use crate::ledger::{Claim, MemberId};

/// Parcels are not looked through for dropped ones before there are this many.
const LOOK_THROUGH_MIN: usize = 16;

/// The parcels of one group's members.
#[derive(Debug, Default)]
pub(super) struct Out {
    parcels: Vec<(MemberId, Weak<Parcel>)>,
    look_through_at: usize,
}

impl Out {
    /// Remembers what was handed to a member.
    pub(super) fn note(&mut self, member: MemberId, parcel: &Arc<Parcel>) {
        if self.parcels.len() >= self.look_through_at {
            self.parcels.retain(|(_, parcel)| parcel.strong_count() > 0);
            self.look_through_at = (self.parcels.len() * 2).max(LOOK_THROUGH_MIN);
        }
        self.parcels.push((member, Arc::downgrade(parcel)));
    }

    /// What was handed to the member of a slot and nobody looked at.
    pub(super) fn unseen(&self, slot: u16) -> Vec<Claim> {
        let own = self.parcels.iter().filter(|(member, _)| member.slot == slot);
        let alive = own.filter_map(|(_, parcel)| parcel.upgrade());
        alive.flat_map(|parcel| parcel.claims(parcel.taken()..parcel.len())).collect()
    }

    /// Forgets what was handed to the member of a slot.
    pub(super) fn forget(&mut self, slot: u16) {
        self.parcels.retain(|(member, _)| member.slot != slot);
    }
}
