//! `Sticky`: balanced to within one, with the fewest moves, and of those one that returns the most.
//!
//! # Algorithm
//!
//! P partitions over N members: each owns `share` = P / N in the end, and `larger` = P mod N of
//! them one more.
//!
//! 1. What can go back to a name that owned it before goes back, as much of it as possible
//!    (`returns.rs`).
//! 2. Who owns one more: those for whom the returns settled that; then those who own the most; then
//!    those whose name owned more before; then by name.
//! 3. Who owns too much gives up the highest numbers.
//! 4. What has no owner goes, from the lowest number, to the member that owns the fewest; then by name.
//!
//! A partition that changes from one owner to another is a move; one without owner has to go
//! somewhere and is none. Each member that owns more than its end has to give the difference up, so
//! there are at least as many moves as those differences, and here there are no more: who gives never
//! takes. The sum is least if as many as possible of those who own more than `share` are among
//! the larger. It does not matter which ones are, and that is what leaves a choice to 1 and 2.
//!
//! Steps 2 to 4 take O(P log N + N log N); `returns.rs` says what the first one takes.
//!
//! # Invariants
//!
//! 1. Two members differ by one at most.
//! 2. No balanced assignment has fewer moves.
//! 3. No balanced assignment with as few moves gives more partitions to the name that owned them
//!    before.
//! 4. The answer depends on the view alone, and the view not on the order in which it was made.
//!
//! # Sources
//!
//! Kafka's KIP-54 (the sticky assignor) and KIP-341 (its assignments by user data of old
//! generations, which may claim a partition twice; here one ledger knows who owns what, as the
//! coordinator of KIP-848 does). Kafka's assignor improves an assignment swap by swap, because its
//! members may want different topics; here all want all, so the counts are known at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::returns;
use super::strategy::{Assign, Assignment};
use super::view::View;

/// Balanced to within one, and of the balanced assignments one with the fewest moves.
///
/// Of these it takes one that gives as many partitions as possible back to the name that owned
/// them before, so a member that was away finds its own again as far as balance allows without a
/// further move. The idea is that of Kafka's KIP-54.
///
/// ```
/// use millstream::assign::{Assign, Assignment, Sticky, View};
///
/// // A third member joins: one partition moves from each of the two.
/// let view = View::new(6).member("a", [0, 1, 2], []).member("b", [3, 4, 5], []).member("c", [], []);
/// assert_eq!(Sticky.assign(&view), Assignment::Owners(vec![0, 0, 2, 1, 1, 2]));
///
/// // It was here before, and owned 0 and 4.
/// let view = View::new(6).member("a", [0, 1, 2], []).member("b", [3, 4, 5], []).member("c", [], [0, 4]);
/// assert_eq!(Sticky.assign(&view), Assignment::Owners(vec![2, 0, 0, 1, 2, 1]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sticky;

impl Assign for Sticky {
    fn name(&self) -> &'static str {
        "sticky"
    }

    fn assign(&self, view: &View) -> Assignment {
        Assignment::Owners(balance(view))
    }
}

/// The owner of each partition; none at all without members.
pub(super) fn balance(view: &View) -> Vec<usize> {
    let members = view.members();
    if members.is_empty() {
        return Vec::new();
    }
    let partitions = view.partitions() as usize;
    let (share, larger) = (partitions / members.len(), partitions % members.len());
    let mut owners: Vec<_> =
        (0..view.partitions()).map(|partition| view.owner(partition)).collect();
    let mut counts: Vec<_> = members.iter().map(|member| member.owns().len()).collect();
    for partition in returns::choose(view, share, larger) {
        let home = view.owned_before(partition);
        let home = home.expect("only what has a former owner returns");
        if let Some(owner) = owners[partition as usize].replace(home) {
            counts[owner] -= 1;
        }
        counts[home] += 1;
    }
    let targets = targets(view, &counts, share, larger);
    give_up(&mut owners, &mut counts, &targets);
    hand_out(owners, &counts, &targets)
}

/// How many partitions each member is to own. `counts` is what it owns after the returns.
fn targets(view: &View, counts: &[usize], share: usize, larger: usize) -> Vec<usize> {
    let rank = |index: &usize| {
        let member = &view.members()[*index];
        let owned = member.owns().len();
        // Returns that took the one more, or gave it away, have settled who is first and last.
        let settled = match counts[*index] {
            count if owned <= share && count > share => 0,
            count if owned > share && count <= share => 2,
            _ => 1,
        };
        (settled, Reverse(owned), Reverse(member.owned_before().len()), *index)
    };
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_unstable_by_key(rank);
    let mut targets = vec![share; counts.len()];
    for index in &order[..larger] {
        targets[*index] += 1;
    }
    targets
}

/// Takes the highest numbers from who owns more than its target. What has returned stays: no
/// return goes beyond a target.
fn give_up(owners: &mut [Option<usize>], counts: &mut [usize], targets: &[usize]) {
    for owner in owners.iter_mut().rev() {
        if let Some(index) = *owner
            && counts[index] > targets[index]
        {
            counts[index] -= 1;
            *owner = None;
        }
    }
}

/// Gives what has no owner to the member that owns the fewest and is below its target.
fn hand_out(owners: Vec<Option<usize>>, counts: &[usize], targets: &[usize]) -> Vec<usize> {
    let wanting = (0..counts.len()).filter(|index| counts[*index] < targets[*index]);
    let mut wanting: BinaryHeap<_> = wanting.map(|index| Reverse((counts[index], index))).collect();
    let mut give = || {
        let fewest = wanting.pop().expect("the targets add up to the partitions");
        let Reverse((count, index)) = fewest;
        if count + 1 < targets[index] {
            wanting.push(Reverse((count + 1, index)));
        }
        index
    };
    owners.into_iter().map(|owner| owner.unwrap_or_else(&mut give)).collect()
}
