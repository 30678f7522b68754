//! `RoundRobin`: partitions in turn.
//!
//! Partition p goes to member p mod N, in the order of their names. The source is Kafka's
//! `RoundRobinAssignor`.
//!
//! Invariants
//! 1. Partitions p and p + N have the same owner.
//! 2. Two members differ by one at most; who has more comes first.

use super::strategy::{Assign, Assignment};
use super::view::View;

/// Partitions in turn, in the order of the members' names.
///
/// Easy to foresee, and neighbouring partitions come to different members. A member that comes or
/// goes moves nearly all partitions; see [`Sticky`](super::Sticky).
///
/// ```
/// use millstream::assign::{Assign, Assignment, RoundRobin, View};
///
/// let view = View::new(5).member("a", [], []).member("b", [], []);
/// assert_eq!(RoundRobin.assign(&view), Assignment::Owners(vec![0, 1, 0, 1, 0]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Assign for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn assign(&self, view: &View) -> Assignment {
        let turns = (0..view.members().len()).cycle();
        Assignment::Owners(turns.take(view.partitions() as usize).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_take_turns_by_name() {
        let table: [(u32, usize, &[usize]); 5] = [
            (7, 3, &[0, 1, 2, 0, 1, 2, 0]),
            (2, 3, &[0, 1]),
            (3, 1, &[0, 0, 0]),
            (0, 2, &[]),
            (2, 0, &[]),
        ];
        for (partitions, members, owners) in table {
            let names = ["c", "a", "b"].into_iter().take(members);
            let view = names.fold(View::new(partitions), |view, name| view.member(name, [], []));
            assert_eq!(RoundRobin.assign(&view), Assignment::Owners(owners.into()));
        }
    }
}
