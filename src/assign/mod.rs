//! Which member of a group owns which partition.
//!
//! A *strategy* is a pure function: it gets a [`View`] of the members and what they own, and
//! returns an [`Assignment`], the final target. Reaching it is the group's work, in the way that
//! [`Assign::handover`] says.
//!
//! | strategy | name | who owns what | for |
//! |---|---|---|---|
//! | [`Shared`], the default | `shared` | nobody owns anything: first come, first served | work queues |
//! | [`Range`] | `range` | runs of neighbouring partitions, by name | partitions that belong together |
//! | [`RoundRobin`] | `round-robin` | partitions in turn, by name | the simplest to foresee |
//! | [`Sticky`] | `sticky` | balanced, with the fewest moves | members that keep something for each partition |
//! | [`CooperativeSticky`] | `cooperative-sticky` | as `Sticky`, and only what moves is interrupted | the same, without a pause |
//!
//! With any but `Shared`, a member that finds no partition left is idle until one is free; that is
//! no error.
//!
//! # A strategy of your own
//!
//! The one here has a single active member; the others stand by. It stays with who is active.
//!
//! ```
//! use millstream::assign::{Assign, Assignment, View};
//!
//! #[derive(Debug)]
//! struct Active;
//!
//! impl Assign for Active {
//!     fn name(&self) -> &str {
//!         "active"
//!     }
//!
//!     fn assign(&self, view: &View) -> Assignment {
//!         let active = view.owner(0).unwrap_or(0);
//!         Assignment::Owners(vec![active; view.partitions() as usize])
//!     }
//! }
//!
//! let first = View::new(2).member("a", [], []).member("b", [], []);
//! assert_eq!(Active.assign(&first), Assignment::Owners(vec![0, 0]));
//! let later = View::new(2).member("a", [], []).member("b", [0, 1], []);
//! assert_eq!(Active.assign(&later), Assignment::Owners(vec![1, 1]));
//! ```
//!
//! It is called with no lock held and nothing half changed. If it panics (where panics unwind) or
//! answers with what cannot be, the group stays as it was, and the call that asked for it gives
//! [`Error::StrategyFailed`](crate::Error::StrategyFailed).

mod cooperative_sticky;
mod decide;
mod flow;
mod range;
mod returns;
mod round_robin;
mod shared;
mod sticky;
#[cfg(test)]
mod sticky_tests;
mod strategy;
mod view;

pub use cooperative_sticky::CooperativeSticky;
pub use range::Range;
pub use round_robin::RoundRobin;
pub use shared::Shared;
pub use sticky::Sticky;
pub use strategy::{Assign, Assignment, Handover};
pub use view::{Candidate, View};

pub(crate) use decide::{decide, handover_of, name_of};

const _: () = {
    const fn shared<T: Send + Sync + ?Sized>() {}
    shared::<View>();
    shared::<dyn Assign>();
};
