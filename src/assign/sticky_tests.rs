//! `Sticky` against counts that are known beforehand, against every assignment there is (of small
//! views), and in the changes that a group goes through.

use std::thread;

use super::sticky::balance;
use super::{Assign, Assignment, CooperativeSticky, Handover, Sticky, View};

/// A small deterministic source of numbers (`SplitMix64`), so that a seed names one run. It says
/// which one if the test fails.
struct Random {
    seed: u64,
    state: u64,
}

impl Drop for Random {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}", self.seed);
        }
    }
}

impl Random {
    fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("it is below a usize")
    }

    fn shuffled(&mut self, mut names: Vec<usize>) -> Vec<usize> {
        for last in (1..names.len()).rev() {
            names.swap(last, self.below(last + 1));
        }
        names
    }
}

/// A group whose strategy is `Sticky`. Names are numbers. Each partition knows its owner, and which
/// name owned it when that name went.
#[derive(Clone, Debug, Default)]
struct Group {
    live: Vec<usize>,
    owner: Vec<Option<usize>>,
    before: Vec<Option<usize>>,
}

impl Group {
    fn new(partitions: usize) -> Self {
        Self { live: Vec::new(), owner: vec![None; partitions], before: vec![None; partitions] }
    }

    fn join(&mut self, name: usize) {
        self.live.push(name);
        self.live.sort_unstable();
    }

    fn leave(&mut self, name: usize) {
        self.live.retain(|live| *live != name);
        for (owner, before) in self.owner.iter_mut().zip(&mut self.before) {
            if *owner == Some(name) {
                *before = owner.take();
            } else if *before == Some(name) {
                *before = None;
            }
        }
    }

    /// The view as a group makes it.
    fn view(&self) -> View {
        let index = |name: &Option<usize>| self.live.binary_search(&(*name)?).ok();
        View::from_tables(
            self.live.iter().map(|name| label(*name).into()).collect(),
            self.owner.iter().map(index).collect(),
            self.before.iter().map(index).collect(),
        )
    }

    /// The same with the members in another order, and their partitions as well.
    fn view_in(&self, order: &[usize]) -> View {
        let of = |table: &[Option<usize>], name| -> Vec<u32> {
            let theirs = (0..).zip(table).filter(|(_, held)| **held == Some(name));
            theirs.map(|(partition, _)| partition).collect()
        };
        order.iter().fold(View::new(u32::try_from(self.owner.len()).unwrap()), |view, name| {
            let (owns, before) = (of(&self.owner, *name), of(&self.before, *name));
            view.member(&label(*name), owns.into_iter().rev(), before.into_iter().rev())
        })
    }

    /// Rebalances, and says how many partitions moved from one member to another.
    fn rebalance(&mut self) -> usize {
        let mut moved = 0;
        for (partition, index) in balance(&self.view()).into_iter().enumerate() {
            let next = Some(self.live[index]);
            let owner = &mut self.owner[partition];
            if *owner != next {
                moved += usize::from(owner.is_some());
                *owner = next;
            }
        }
        moved
    }

    fn of(&self, name: usize) -> Vec<usize> {
        let partitions = 0..self.owner.len();
        partitions.filter(|partition| self.owner[*partition] == Some(name)).collect()
    }

    fn spread(&self) -> (usize, usize) {
        let counts = self.live.iter().map(|name| self.of(*name).len());
        (counts.clone().min().unwrap(), counts.max().unwrap())
    }
}

/// Names sort as their numbers do.
fn label(name: usize) -> String {
    format!("m{name:03}")
}

fn counts(view: &View, owners: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; view.members().len()];
    for owner in owners {
        counts[*owner] += 1;
    }
    counts
}

fn is_balanced(counts: &[usize]) -> bool {
    counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
}

fn moves(view: &View, owners: &[usize]) -> usize {
    let moved = |(partition, owner): &(u32, &usize)| {
        view.owner(*partition).is_some_and(|before| before != **owner)
    };
    (0..).zip(owners).filter(moved).count()
}

/// Whether a partition has come to the name that owned it before, from another or from nobody.
fn returned(view: &View, partition: u32, owner: usize) -> bool {
    view.owned_before(partition) == Some(owner) && view.owner(partition) != Some(owner)
}

fn returns(view: &View, owners: &[usize]) -> usize {
    (0..).zip(owners).filter(|(partition, owner)| returned(view, *partition, **owner)).count()
}

/// The largest owners keep one more; whatever is over has to move.
fn least_moves(view: &View) -> usize {
    let mut owned: Vec<_> = view.members().iter().map(|member| member.owns().len()).collect();
    owned.sort_unstable_by(|one, other| other.cmp(one));
    let partitions = view.partitions() as usize;
    let (share, larger) = (partitions / owned.len(), partitions % owned.len());
    let over = |(at, owns): (usize, usize)| owns.saturating_sub(share + usize::from(at < larger));
    owned.into_iter().enumerate().map(over).sum()
}

/// Whether two partitions that changed hands could be exchanged so that one more returns.
fn a_swap_returns_more(view: &View, owners: &[usize]) -> bool {
    // Of each member: whether it received something that is not its own.
    let mut strange = vec![false; view.members().len()];
    for (partition, owner) in (0..).zip(owners) {
        let received = view.owner(partition) != Some(*owner);
        strange[*owner] |= received && !returned(view, partition, *owner);
    }
    (0..).zip(owners).any(|(partition, owner)| {
        let received = view.owner(partition) != Some(*owner);
        let home = view.owned_before(partition);
        received && home.is_some_and(|home| home != *owner && strange[home])
    })
}

/// The fewest moves of all balanced assignments, and the most returns of those that have them.
fn best_of_all(view: &View) -> (usize, usize) {
    let (partitions, members) = (view.partitions() as usize, view.members().len());
    let mut owners = vec![0; partitions];
    let mut best = (usize::MAX, 0);
    loop {
        if is_balanced(&counts(view, &owners)) {
            let (moves, returns) = (moves(view, &owners), returns(view, &owners));
            if moves < best.0 || moves == best.0 && returns > best.1 {
                best = (moves, returns);
            }
        }
        // The next number, written to the base of `members`.
        let Some(digit) = owners.iter().position(|owner| owner + 1 < members) else { return best };
        owners[digit] += 1;
        owners[..digit].fill(0);
    }
}

fn check_against_all(view: &View) {
    let owners = balance(view);
    assert!(is_balanced(&counts(view, &owners)), "{view:?} {owners:?}");
    let reached = (moves(view, &owners), returns(view, &owners));
    assert_eq!(reached, best_of_all(view), "{view:?} {owners:?}");
}

/// Members with any past and any present.
fn any_group(partitions: usize, members: usize, random: &mut Random) -> Group {
    let mut any = |_| random.below(members + 1).checked_sub(1);
    let owner = (0..partitions).map(&mut any).collect();
    let before = (0..partitions).map(&mut any).collect();
    Group { live: (0..members).collect(), owner, before }
}

#[test]
fn nothing_beats_it_on_any_of_the_smallest_views() {
    for (partitions, members) in [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3)] {
        let states = (members + 1_usize).pow(partitions);
        let table = |mut state: usize| -> Vec<_> {
            let digit = |_| {
                let digit = state % (members + 1);
                state /= members + 1;
                digit.checked_sub(1)
            };
            (0..partitions).map(digit).collect()
        };
        for state in 0..states * states {
            let (owner, before) = (table(state / states), table(state % states));
            check_against_all(&Group { live: (0..members).collect(), owner, before }.view());
        }
    }
}

#[test]
fn nothing_beats_it_on_small_views() {
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let (partitions, members) = (1 + random.below(6), 1 + random.below(3));
        check_against_all(&any_group(partitions, members, &mut random).view());
    }
}

#[test]
fn nothing_beats_it_where_two_give_and_two_take() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut group = any_group(5 + random.below(3), 4, &mut random);
        // Two members own everything, and all is disputed.
        for owner in &mut group.owner {
            *owner = Some(random.below(2));
        }
        check_against_all(&group.view());
    }
}

/// One change: a name joins or goes, partitions are added, or somebody else assigned them.
fn change(group: &mut Group, random: &mut Random) {
    let partitions = group.owner.len();
    let name = random.below(10);
    match random.below(8) {
        0 if partitions < 40 => {
            group.owner.resize(partitions + 1 + random.below(3), None);
            group.before.resize(group.owner.len(), None);
        }
        1 => {
            let members = group.live.clone();
            for owner in &mut group.owner {
                *owner = members.get(random.below(members.len() + 1)).copied();
            }
        }
        _ if !group.live.contains(&name) => group.join(name),
        _ if group.live.len() > 1 => group.leave(name),
        _ => {}
    }
}

#[test]
fn it_is_balanced_with_the_fewest_moves_after_every_change() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut group = Group::new(1 + random.below(20));
        group.join(0);
        for _ in 0..50 {
            change(&mut group, &mut random);
            let view = group.view();
            let owners = balance(&view);
            assert_eq!(owners.len(), group.owner.len());
            assert!(is_balanced(&counts(&view, &owners)), "{group:?} {owners:?}");
            assert_eq!(moves(&view, &owners), least_moves(&view), "{group:?} {owners:?}");
            assert!(!a_swap_returns_more(&view, &owners), "{group:?} {owners:?}");
            group.rebalance();
        }
    }
}

#[test]
fn the_order_of_members_and_partitions_makes_no_difference() {
    for seed in 0..1_000 {
        let mut random = Random::new(seed);
        let (partitions, members) = (1 + random.below(30), 1 + random.below(9));
        let group = any_group(partitions, members, &mut random);
        let shuffled = group.view_in(&random.shuffled(group.live.clone()));
        assert_eq!(shuffled, group.view());
        assert_eq!(balance(&shuffled), balance(&group.view()));
    }
}

#[test]
fn sixteen_joins_get_one_of_sixteen_partitions_each() {
    let mut group = Group::new(16);
    for name in 0..16 {
        group.join(name);
        group.rebalance();
    }
    assert_eq!(group.spread(), (1, 1));
}

#[test]
fn six_partitions_are_balanced_after_each_of_six_joins() {
    let mut group = Group::new(6);
    for (name, spread) in [(6, 6), (3, 3), (2, 2), (1, 2), (1, 2), (1, 1)].into_iter().enumerate() {
        group.join(name);
        group.rebalance();
        assert_eq!(group.spread(), spread, "after {}", name + 1);
    }
}

#[test]
fn twenty_four_partitions_stay_within_one_while_members_come_and_go() {
    let mut random = Random::new(24);
    let mut group = Group::new(24);
    group.join(0);
    for _ in 0..500 {
        let name = random.below(8);
        if !group.live.contains(&name) {
            group.join(name);
        } else if group.live.len() > 1 {
            group.leave(name);
        }
        group.rebalance();
        let (min, max) = group.spread();
        assert!(max - min <= 1, "{group:?}");
    }
}

#[test]
fn more_members_than_partitions_leave_the_surplus_idle() {
    let mut group = Group::new(3);
    for name in [5, 6, 7, 0, 1] {
        group.join(name);
        let moved = group.rebalance();
        assert_eq!(moved, usize::from(matches!(name, 6 | 7)), "{name} joined");
    }
    assert_eq!([0, 1].map(|name| group.of(name).len()), [0, 0]);
    assert_eq!([5, 6, 7].map(|name| group.of(name).len()), [1, 1, 1]);
}

#[test]
fn a_name_that_comes_back_gets_its_own() {
    let mut group = Group::new(9);
    for name in 0..3 {
        group.join(name);
        group.rebalance();
    }
    for name in 0..3 {
        let own = group.of(name);
        group.leave(name);
        group.rebalance();
        group.join(name);
        assert_eq!(group.rebalance(), 3);
        assert_eq!(group.of(name), own);
    }
}

/// A name, what it owns, and what it owned before.
type Someone<'a> = (&'a str, &'a [u32], &'a [u32]);

/// The owners, by letter.
fn owners_of(partitions: u32, members: &[Someone]) -> String {
    let view = members.iter().fold(View::new(partitions), |view, (name, owns, before)| {
        view.member(name, owns.iter().copied(), before.iter().copied())
    });
    balance(&view).into_iter().map(|owner| view.members()[owner].name().to_owned()).collect()
}

#[test]
fn choices_are_made_in_the_order_that_is_promised() {
    let table: [(&str, u32, &[Someone], &str); 8] = [
        (
            "the highest numbers are given up",
            4,
            &[("a", &[0, 1, 2, 3], &[]), ("b", &[], &[])],
            "aabb",
        ),
        (
            "what returns is given up before",
            4,
            &[("a", &[0, 1, 2, 3], &[]), ("b", &[], &[1])],
            "abab",
        ),
        (
            "the largest owner keeps one more",
            4,
            &[("a", &[0], &[]), ("b", &[1, 2, 3], &[]), ("c", &[], &[])],
            "abbc",
        ),
        (
            "of equals the one whose name owned more before",
            5,
            &[("a", &[0, 1], &[]), ("b", &[2, 3], &[2]), ("c", &[], &[]), ("d", &[4], &[])],
            "acbbd",
        ),
        ("of equals the first by name", 3, &[("a", &[], &[]), ("b", &[], &[])], "aba"),
        ("ownerless partitions go to the fewest", 4, &[("a", &[2], &[]), ("b", &[], &[])], "baab"),
        (
            "of two that return to one, the one that lets a third return",
            8,
            &[
                ("a", &[0, 1, 2], &[]),
                ("b", &[3, 4, 5], &[]),
                ("c", &[6], &[0, 3]),
                ("d", &[7], &[1]),
            ],
            "adacbbcd",
        ),
        (
            "a smaller owner keeps one more if more returns by that",
            5,
            &[("a", &[0, 1, 2], &[]), ("b", &[3, 4], &[]), ("c", &[], &[0]), ("d", &[], &[1])],
            "cdabb",
        ),
    ];
    for (rule, partitions, members, owners) in table {
        assert_eq!(owners_of(partitions, members), owners, "{rule}");
    }
}

#[test]
fn the_cooperative_one_differs_in_its_hand_over_alone() {
    let group = any_group(20, 6, &mut Random::new(6));
    let Assignment::Owners(owners) = CooperativeSticky.assign(&group.view()) else {
        panic!("it names owners");
    };
    assert_eq!(owners, balance(&group.view()));
    assert_eq!(CooperativeSticky.name(), "cooperative-sticky");
    assert_eq!(CooperativeSticky.handover(), Handover::Cooperative);
    assert_eq!((Sticky.name(), Sticky.handover()), ("sticky", Handover::Eager));
    assert_eq!(Sticky.assign(&View::new(3)), Assignment::Owners(vec![]));
}
