//! What a strategy is: the trait, and the two kinds of answers it gives.
//!
//! A strategy returns a decision and somebody else applies it. So it needs no lock, can be tried
//! without a stream, and cannot leave a group half changed.

use std::fmt;

use super::view::View;

/// Decides which member owns which partition. See the [module](super) for an example.
///
/// `assign` is to be a pure function: the same view, the same answer. It is asked whenever a
/// member comes or goes or a partition is added, so what it takes from anywhere else (time, a
/// random number, a setting that changes) moves partitions without need.
///
/// The idea is that of Kafka's `ConsumerPartitionAssignor`; there, too, members and partitions go
/// in and an assignment comes out.
pub trait Assign: fmt::Debug + Send + Sync {
    /// What the strategy is called in infos and errors, such as `sticky`.
    fn name(&self) -> &str;

    /// The target for these members and partitions.
    ///
    /// It is not asked while a group has no member.
    fn assign(&self, view: &View) -> Assignment;

    /// How the group gets from what is owned now to the target. The default is
    /// [`Handover::Eager`].
    fn handover(&self) -> Handover {
        Handover::Eager
    }
}

/// How a group gets from one assignment to the next. The target is the same either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handover {
    /// All partitions are taken from all members, and given out once all are free. Nobody reads
    /// meanwhile, so no two members ever work by different assignments.
    Eager,
    /// Only partitions that move are taken from their owner, and each is given on once it is free;
    /// the others never stop. (KIP-429)
    Cooperative,
}

/// The answer of a strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assignment {
    /// No partition has an owner: each member reads from all of them.
    Everyone,
    /// `owners[p]` is the index in [`View::members`] of the owner of partition `p`. There is one
    /// for each partition.
    Owners(Vec<usize>),
}
