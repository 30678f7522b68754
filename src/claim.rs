//! What claiming brings: [`Claimed`], [`AutoClaimed`], and the [`ClaimCursor`] between two calls.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::blocked::Unclaimed;
use crate::engine::{Answer, Swept, TakenOver};
use crate::error::{Error, Result};
use crate::id::EntryId;

/// What became of entries that were claimed by their ids.
#[derive(Debug)]
#[must_use = "a batch that is dropped hands its entries back"]
#[non_exhaustive]
pub struct Claimed {
    /// What the caller holds now, in order of ids.
    pub batch: Batch,
    /// What was not claimed, and why, in order of ids.
    pub refused: Vec<(EntryId, Unclaimed)>,
    /// What retention took. The group has settled and counted it as trimmed.
    pub gone: Vec<EntryId>,
}

impl Claimed {
    pub(crate) fn new(taken: TakenOver) -> Self {
        let TakenOver { answer, refused, gone } = taken;
        Self { batch: batch(answer), refused, gone }
    }
}

/// What one step through the idle entries of a group brought.
#[derive(Debug)]
#[must_use = "a batch that is dropped hands its entries back"]
#[non_exhaustive]
pub struct AutoClaimed {
    /// What the caller holds now, in order of ids.
    pub batch: Batch,
    /// Where the next step goes on; the start again once all was looked through.
    pub next: ClaimCursor,
    /// What was idle and had its last attempt: parked or discarded, as the group says.
    pub exhausted: Vec<EntryId>,
}

impl AutoClaimed {
    pub(crate) fn new(swept: Swept, incarnation: u64) -> Self {
        let Swept { answer, exhausted, next } = swept;
        let place = next.map(|id| Place { incarnation, id });
        Self { batch: batch(answer), next: ClaimCursor { place }, exhausted }
    }
}

/// Where in a group's pending entries [`Consumer::auto_claim`](crate::Consumer::auto_claim) goes
/// on. Plain data: any consumer of the group can use it, and it can be stored. It is of one group,
/// and not of one of the same name that is made later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClaimCursor {
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Place {
    incarnation: u64,
    id: EntryId,
}

impl ClaimCursor {
    /// Before the first entry, of any group.
    pub const START: Self = Self { place: None };

    /// Whether it is at the start: of a cursor that was returned, whether all was looked through.
    pub const fn is_start(self) -> bool {
        self.place.is_none()
    }

    /// Where it is in the group of this incarnation.
    pub(crate) fn resolve(self, incarnation: u64) -> Result<EntryId> {
        match self.place {
            None => Ok(EntryId::new(0, 0)),
            Some(place) if place.incarnation == incarnation => Ok(place.id),
            Some(_) => Err(Error::ForeignCursor),
        }
    }
}

pub(crate) fn batch(answer: Answer) -> Batch {
    match answer {
        Answer::Lent(parcel) => Batch::new(parcel),
        Answer::Nothing(blocked) => Batch::empty(blocked),
    }
}
