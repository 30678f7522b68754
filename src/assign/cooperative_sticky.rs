//! `CooperativeSticky`: the assignment of `Sticky`, and a hand-over that interrupts only what moves.
//!
//! The source is Kafka's KIP-429. There each member knows only its own part, so a strategy must
//! leave out what still has an owner and be asked again. Here one place knows all owners, as the
//! coordinator of KIP-848 does: the strategy names the final target, and the group gives no
//! partition to a new owner before the old one is done with it.
//!
//! Invariants
//! 1. The target is that of `Sticky`, for every view.

use super::sticky;
use super::strategy::{Assign, Assignment, Handover};
use super::view::View;

/// As [`Sticky`](super::Sticky), but partitions that do not move never stop being read.
///
/// The idea is that of Kafka's KIP-429.
///
/// ```
/// use millstream::assign::{Assign, CooperativeSticky, Handover, Sticky, View};
///
/// let view = View::new(4).member("a", [0, 1, 2, 3], []).member("b", [], []);
/// assert_eq!(CooperativeSticky.assign(&view), Sticky.assign(&view));
/// assert_eq!(CooperativeSticky.handover(), Handover::Cooperative);
/// assert_eq!(Sticky.handover(), Handover::Eager);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CooperativeSticky;

impl Assign for CooperativeSticky {
    fn name(&self) -> &'static str {
        "cooperative-sticky"
    }

    fn assign(&self, view: &View) -> Assignment {
        Assignment::Owners(sticky::balance(view))
    }

    fn handover(&self) -> Handover {
        Handover::Cooperative
    }
}
