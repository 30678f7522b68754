//! `Range`: runs of neighbouring partitions.
//!
//! Of P partitions each of N members gets P / N in a row, in the order of their names; the first
//! P mod N get one more. The source is Kafka's `RangeAssignor`.
//!
//! Invariants
//! 1. Owners ascend with partitions.
//! 2. Two members differ by one at most; who has more comes first.

use std::iter;

use super::strategy::{Assign, Assignment};
use super::view::View;

/// Contiguous runs of partitions, in the order of the members' names.
///
/// Neighbouring partitions come to the same member. A member that comes or goes moves the borders
/// of all, so most changes move many partitions; see [`Sticky`](super::Sticky).
///
/// ```
/// use millstream::assign::{Assign, Assignment, Range, View};
///
/// let view = View::new(5).member("a", [], []).member("b", [], []);
/// assert_eq!(Range.assign(&view), Assignment::Owners(vec![0, 0, 0, 1, 1]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range;

impl Assign for Range {
    fn name(&self) -> &'static str {
        "range"
    }

    fn assign(&self, view: &View) -> Assignment {
        let (partitions, members) = (view.partitions() as usize, view.members().len());
        if members == 0 {
            return Assignment::Owners(Vec::new());
        }
        let (share, larger) = (partitions / members, partitions % members);
        let run = |member| iter::repeat_n(member, share + usize::from(member < larger));
        Assignment::Owners((0..members).flat_map(run).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_contiguous_and_the_first_are_longer() {
        let table: [(u32, usize, &[usize]); 6] = [
            (7, 3, &[0, 0, 0, 1, 1, 2, 2]),
            (6, 3, &[0, 0, 1, 1, 2, 2]),
            (2, 3, &[0, 1]),
            (3, 1, &[0, 0, 0]),
            (0, 2, &[]),
            (2, 0, &[]),
        ];
        for (partitions, members, owners) in table {
            let names = ["a", "b", "c"].into_iter().take(members);
            let view = names.fold(View::new(partitions), |view, name| view.member(name, [], []));
            assert_eq!(Range.assign(&view), Assignment::Owners(owners.into()));
        }
    }
}
