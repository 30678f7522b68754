//! What a random history is made of. Entries are picked by how lately they were handed out.

use proptest::prelude::*;

use super::SECOND;
use crate::ledger::Exhausted;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Append(u32, u64),
    Join(usize),
    Leave(usize),
    Read {
        who: usize,
        max: usize,
        lease: u64,
    },
    /// Puts off the next entries of a partition.
    Defer(u32, u64, u64),
    Ack(Vec<usize>),
    AckRun(usize),
    Nack(Vec<usize>, Option<u64>),
    Reject(Vec<usize>),
    Release(Vec<usize>),
    Extend(Vec<usize>, u64),
    Claim {
        who: usize,
        picks: Vec<usize>,
        idle: u64,
    },
    Sweep {
        who: usize,
        from: usize,
        max: u32,
        idle: u64,
    },
    AckIds(Vec<usize>),
    Touch(usize),
    Block(usize, bool),
    Advance(u64),
    Skip(u32, u64),
    Pass(u32, u64),
    Sift {
        who: usize,
        max: usize,
        gap: usize,
    },
    Redrive(Vec<usize>),
    Drop(Vec<usize>),
    /// Settles a partition through an entry so far behind the cursor, by a member that knows of
    /// the generation so far back.
    Through {
        who: usize,
        partition: u32,
        back: u64,
        behind: u64,
    },
    SettleHeld(usize),
    Reset(u32, prop::sample::Index),
    Trim(u32, prop::sample::Index),
    Bury(Vec<usize>, bool),
    Revive(Vec<usize>),
    /// Hand-outs stop, for so long or until they are let go on.
    Pause(Option<u64>),
    Resume,
    Snapshot,
    Reopen {
        unclean: bool,
        cut: u64,
    },
    /// From now on that strategy is asked whenever it has to be; none is asked without one.
    Follow(Option<Strategist>),
    /// Somebody chose owners, or nobody, by hand: members are picked by number.
    Choose {
        table: Vec<Option<usize>>,
        eager: bool,
    },
    Open,
    Grow,
}

/// The strategies that assign partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategist {
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

/// What becomes of entries after their last attempt.
pub(super) fn exhausted() -> impl Strategy<Value = Exhausted> {
    prop_oneof![
        1 => Just(Exhausted::Park),
        1 => Just(Exhausted::Discard),
        2 => Just(Exhausted::DeadLetter),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let picks = || prop::collection::vec(0..80_usize, 1..12);
    let idle = || prop_oneof![1 => Just(0), 2 => 0..60 * SECOND];
    let lease = prop_oneof![3 => Just(30 * SECOND), 1 => 1..100 * SECOND];
    prop_oneof![
        3 => (0..6_u32, 1..40_u64).prop_map(|(p, n)| Op::Append(p, n)),
        3 => (0..4_usize).prop_map(Op::Join),
        1 => (0..4_usize).prop_map(Op::Leave),
        9 => (0..4_usize, 1..30_usize, lease)
            .prop_map(|(who, max, lease)| Op::Read { who, max, lease }),
        2 => (0..6_u32, 1..12_u64, 1..90 * SECOND).prop_map(|(p, n, d)| Op::Defer(p, n, d)),
        4 => picks().prop_map(Op::Ack),
        3 => (0..6_usize).prop_map(Op::AckRun),
        3 => (picks(), prop::option::of(0..90 * SECOND)).prop_map(|(c, d)| Op::Nack(c, d)),
        1 => picks().prop_map(Op::Reject),
        2 => picks().prop_map(Op::Release),
        2 => (picks(), 1..90 * SECOND).prop_map(|(c, until)| Op::Extend(c, until)),
        2 => (0..4_usize, picks(), idle()).prop_map(|(who, picks, idle)| Op::Claim { who, picks, idle }),
        2 => (0..4_usize, 0..80_usize, 1..30_u32, idle())
            .prop_map(|(who, from, max, idle)| Op::Sweep { who, from, max, idle }),
        1 => picks().prop_map(Op::AckIds),
        1 => (0..4_usize).prop_map(Op::Touch),
        1 => (0..4_usize, any::<bool>()).prop_map(|(who, on)| Op::Block(who, on)),
        5 => (0..40 * SECOND).prop_map(Op::Advance),
        1 => (0..6_u32, 0..20_u64).prop_map(|(p, n)| Op::Skip(p, n)),
        1 => (0..6_u32, 0..20_u64).prop_map(|(p, n)| Op::Pass(p, n)),
        3 => (0..4_usize, 1..30_usize, 1..5_usize)
            .prop_map(|(who, max, gap)| Op::Sift { who, max, gap }),
        1 => picks().prop_map(Op::Redrive),
        1 => picks().prop_map(Op::Drop),
        1 => (0..4_usize, 0..6_u32, 0..12_u64, 0..4_u64)
            .prop_map(|(who, partition, back, behind)| Op::Through {
                who, partition, back, behind
            }),
        1 => (0..4_usize).prop_map(Op::SettleHeld),
        1 => (0..6_u32, any::<prop::sample::Index>()).prop_map(|(p, to)| Op::Reset(p, to)),
        1 => (0..6_u32, any::<prop::sample::Index>()).prop_map(|(p, to)| Op::Trim(p, to)),
        2 => (picks(), any::<bool>()).prop_map(|(picks, whole)| Op::Bury(picks, whole)),
        1 => picks().prop_map(Op::Revive),
        1 => prop::option::weighted(0.8, 0..60 * SECOND).prop_map(Op::Pause),
        2 => Just(Op::Resume),
        1 => Just(Op::Snapshot),
        1 => (any::<bool>(), prop_oneof![2 => Just(0), 1 => 0..60_u64])
            .prop_map(|(unclean, cut)| Op::Reopen { unclean, cut }),
    ]
}

/// As [`op`], with what moves partitions between members.
pub(super) fn owned_op() -> impl Strategy<Value = Op> {
    let owner = prop_oneof![4 => (0..4_usize).prop_map(Some), 1 => Just(None)];
    let strategist = prop::sample::select(vec![
        Strategist::Range,
        Strategist::RoundRobin,
        Strategist::Sticky,
        Strategist::CooperativeSticky,
    ]);
    prop_oneof![
        40 => op(),
        3 => prop_oneof![6 => strategist.prop_map(Some), 1 => Just(None)].prop_map(Op::Follow),
        3 => (prop::collection::vec(owner, 6), any::<bool>())
            .prop_map(|(table, eager)| Op::Choose { table, eager }),
        1 => Just(Op::Open),
        1 => Just(Op::Grow),
    ]
}
