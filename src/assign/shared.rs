//! `Shared`: no partition has an owner, and whoever reads gets what is due next.
//!
//! This is how a group of Redis Streams or a work queue of NATS works. Nothing is ever rebalanced.
//!
//! Invariants
//! 1. The answer is `Everyone`, whatever the view.

use super::strategy::{Assign, Assignment};
use super::view::View;

/// First come, first served: each member reads from all partitions. The default.
///
/// A slow member holds up nobody, and there may be more members than partitions. What it does not
/// give is order: entries of one partition are worked off by several members at a time.
///
/// ```
/// use millstream::assign::{Assign, Assignment, Shared, View};
///
/// let view = View::new(2).member("a", [], []).member("b", [], []);
/// assert_eq!(Shared.assign(&view), Assignment::Everyone);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared;

impl Assign for Shared {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn assign(&self, _view: &View) -> Assignment {
        Assignment::Everyone
    }
}
