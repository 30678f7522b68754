//! Which partitions go back to the name that owned them before.
//!
//! Of the balanced assignments with the fewest moves, `Sticky` takes one that returns as many
//! partitions as possible. To give each its own as long as there is room is not enough: of two
//! partitions that one member has to give up one of, the first may keep a third from returning
//! where the second would not; and it depends on the returns who is to own one more than the
//! others. Both are questions of the greatest flow in this network:
//!
//! ```text
//!         ┌─────── owns - share - 1 ──────► giver ──┐
//!         │                                ▲        │ 1 for each partition     ┌─ share - owns ─┐
//!  source ┼─ over - larger ► (one less) ─ 1┘        ├──────────────────► taker ┤                ├► sink
//!         │                                         │                          └1► (one more) ──┘
//!         └─ 1 for each partition without owner ────┘                              larger - over
//! ```
//!
//! With P partitions and N members, `share` is P / N and `larger` is P mod N: so many own one more.
//! `over` is how many own more than `share` now. These are the givers: all the rest are takers.
//! With the fewest moves a giver ends with `share + 1` or `share`, and never takes; a taker ends
//! with `share` or `share + 1`, and never gives. If there are more givers than `larger`, the
//! difference gives one more each; if there are fewer, the difference of takers takes one more each.
//! Any flow can be completed to such an assignment, since there are always other partitions to give.
//!
//! # Time
//!
//! Only partitions that could return have an arc, and without them there is no network. With R of them
//! a round of the flow takes time in proportion to R + N. There are two or three rounds unless the
//! histories of many members are entangled, and never more than about √(R + N).

use super::flow::Flow;
use super::view::View;

/// The partitions that return, in order.
pub(super) fn choose(view: &View, share: usize, larger: usize) -> Vec<u32> {
    let holds: Vec<usize> = view.members().iter().map(|member| member.owns().len()).collect();
    let over = holds.iter().filter(|owns| **owns > share).count();
    let (one_less, one_more) = (over.saturating_sub(larger), larger.saturating_sub(over));
    let gives = |giver: usize| holds[giver] > share + usize::from(one_less == 0);
    let takes = |taker: usize| holds[taker] < share + usize::from(one_more > 0);
    let could_return = |partition| {
        let (owner, home) = (view.owner(partition), view.owned_before(partition)?);
        // A taker is no giver, so who owns it and where it returns to are two.
        (takes(home) && owner.is_none_or(gives)).then_some((partition, owner, home))
    };
    let returning: Vec<_> = (0..view.partitions()).filter_map(could_return).collect();
    if returning.is_empty() {
        return Vec::new();
    }
    let members = holds.len();
    let [source, less, more, sink] = [0, 1, 2, 3].map(|node| members + node);
    let mut flow = Flow::new(members + 4);
    flow.arc(source, less, one_less);
    flow.arc(more, sink, one_more);
    for (member, owns) in holds.into_iter().enumerate() {
        if owns > share {
            flow.arc(less, member, 1);
            flow.arc(source, member, owns - share - 1);
        } else {
            flow.arc(member, more, 1);
            flow.arc(member, sink, share - owns);
        }
    }
    let mut arcs = Vec::with_capacity(returning.len());
    for (partition, owner, home) in returning {
        arcs.push((partition, flow.arc(owner.unwrap_or(source), home, 1)));
    }
    flow.run(source, sink);
    arcs.into_iter().filter(|(_, arc)| flow.is_full(*arc)).map(|(partition, _)| partition).collect()
}
