//! What a strategy sees: members, partitions, who owns what, and who owned it before.
//!
//! Invariants
//! 1. Members are sorted by name, and no name is there twice.
//! 2. Each partition is owned by at most one member, and was owned before by at most one.
//! 3. Each list of partitions is sorted, without repetition, and below `partitions`.
//! 4. The lists of the members and the tables by partition say the same.
//!
//! So equal groups have equal views, in whatever order their members came, and a strategy that
//! is a function of the view needs no sorting of its own.

/// Members and partitions of a group, as a strategy sees them.
///
/// Who owns what is as it was before the rebalance, in eager hand-overs too, where all of it is
/// taken away meanwhile. A group makes its own view; you make one to try a strategy:
///
/// ```
/// use millstream::assign::{Assign, Assignment, Sticky, View};
///
/// let view = View::new(4)
///     .member("old", [0, 1, 2, 3], [])
///     .member("new", [], [1]); // it was here before, and owned 1 then
/// assert_eq!(view.members()[0].name(), "new");
/// assert_eq!(view.owner(3), Some(1));
/// assert_eq!(view.owned_before(1), Some(0));
/// assert_eq!(Sticky.assign(&view), Assignment::Owners(vec![1, 0, 1, 0]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    members: Vec<Candidate>,
    owners: Vec<Option<usize>>,
    owned_before: Vec<Option<usize>>,
}

/// One member, as a strategy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    name: Box<str>,
    owns: Vec<u32>,
    owned_before: Vec<u32>,
}

impl View {
    /// A view without members. Partitions are numbered from 0; a stream has at most 16,384.
    pub fn new(partitions: u32) -> Self {
        let none = vec![None; partitions as usize];
        Self { members: Vec::new(), owners: none.clone(), owned_before: none }
    }

    /// Adds a member, with the partitions it owns now and those that its name owned before.
    ///
    /// The order of calls makes no difference. Partitions that do not exist are left out. Of two
    /// members that own the same one, the first by name has it, and likewise of two that owned it
    /// before. A name given twice is one member with both lists.
    ///
    /// ```
    /// # use millstream::assign::View;
    /// let view = View::new(2).member("b", [1, 0, 7], []).member("a", [0], []);
    /// assert_eq!(view.members()[0].owns(), [0]);
    /// assert_eq!(view.members()[1].owns(), [1]);
    /// ```
    #[must_use]
    pub fn member(
        mut self,
        name: &str,
        owns: impl IntoIterator<Item = u32>,
        owned_before: impl IntoIterator<Item = u32>,
    ) -> Self {
        let index = match self.members.binary_search_by(|member| (*member.name).cmp(name)) {
            Ok(index) => index,
            Err(index) => {
                self.members.insert(index, Candidate::new(name.into()));
                for held in self.owners.iter_mut().chain(&mut self.owned_before).flatten() {
                    *held += usize::from(*held >= index);
                }
                index
            }
        };
        claim(&mut self.owners, index, owns);
        claim(&mut self.owned_before, index, owned_before);
        self.list();
        self
    }

    /// The same from parts that are in order already: names are sorted and unique, and the tables
    /// hold, for each partition, the index of a name. Takes time in proportion to both.
    pub(crate) fn from_tables(
        names: Vec<Box<str>>,
        owners: Vec<Option<usize>>,
        owned_before: Vec<Option<usize>>,
    ) -> Self {
        debug_assert!(names.is_sorted_by(|one, next| one < next), "names are sorted and unique");
        debug_assert_eq!(owners.len(), owned_before.len(), "both tables are by partition");
        let mut held = owners.iter().chain(&owned_before).flatten();
        debug_assert!(held.all(|index| *index < names.len()), "tables hold indexes of names");
        let members = names.into_iter().map(Candidate::new).collect();
        let mut view = Self { members, owners, owned_before };
        view.list();
        view
    }

    /// How many partitions there are.
    #[expect(clippy::missing_panics_doc, reason = "the tables are made for a u32 of partitions")]
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.owners.len()).expect("partitions are numbered by a u32")
    }

    /// The members, sorted by name.
    pub fn members(&self) -> &[Candidate] {
        &self.members
    }

    /// The index in [`members`](Self::members) of the owner of a partition. None if nobody owns
    /// it, or there is no such partition.
    pub fn owner(&self, partition: u32) -> Option<usize> {
        *self.owners.get(partition as usize)?
    }

    /// The index in [`members`](Self::members) of the member whose name owned a partition before.
    /// None if that was nobody, or somebody who is no member.
    pub fn owned_before(&self, partition: u32) -> Option<usize> {
        *self.owned_before.get(partition as usize)?
    }

    /// Writes the members' lists anew from the tables.
    fn list(&mut self) {
        for member in &mut self.members {
            member.owns.clear();
            member.owned_before.clear();
        }
        for (partition, (owner, before)) in (0..).zip(self.owners.iter().zip(&self.owned_before)) {
            if let Some(index) = owner {
                self.members[*index].owns.push(partition);
            }
            if let Some(index) = before {
                self.members[*index].owned_before.push(partition);
            }
        }
    }
}

impl Candidate {
    fn new(name: Box<str>) -> Self {
        Self { name, owns: Vec::new(), owned_before: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The partitions it owns now, in order.
    pub fn owns(&self) -> &[u32] {
        &self.owns
    }

    /// The partitions its name owned before, in order: when it last went, or before the stream was
    /// opened again. They may have an owner by now, and that may be the member itself.
    pub fn owned_before(&self) -> &[u32] {
        &self.owned_before
    }
}

/// Where two claim a partition, the lower index has it. Later calls may shift indexes, but never
/// change which of two is lower.
fn claim(table: &mut [Option<usize>], index: usize, partitions: impl IntoIterator<Item = u32>) {
    for partition in partitions {
        if let Some(held) = table.get_mut(partition as usize) {
            *held = Some(held.map_or(index, |other| other.min(index)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(view: &View) -> Vec<(&str, &[u32], &[u32])> {
        let members = view.members().iter();
        members.map(|member| (member.name(), member.owns(), member.owned_before())).collect()
    }

    #[test]
    fn members_and_lists_are_sorted_without_repetition() {
        let view = View::new(5).member("b", [4, 0, 4], [3, 3]).member("a", [2, 1], [4, 0]);
        assert_eq!(lists(&view), [("a", &[1, 2][..], &[0, 4][..]), ("b", &[0, 4], &[3])]);
        assert_eq!(view.partitions(), 5);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|p| view.owner(p)), [1, 0, 0, 9, 1, 9].map(known));
        assert_eq!([0, 1, 3, 4, 5].map(|p| view.owned_before(p)), [0, 9, 1, 0, 9].map(known));
    }

    fn known(index: usize) -> Option<usize> {
        (index != 9).then_some(index)
    }

    #[test]
    fn what_two_own_is_the_first_ones_by_name() {
        let expected = [("a", &[1][..], &[2][..]), ("b", &[], &[]), ("c", &[0], &[0])];
        let calls: [(&str, &[u32], &[u32]); 3] =
            [("a", &[1, 9], &[2]), ("b", &[1], &[2, 3]), ("c", &[0, 1], &[0, 2])];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let add = |view: View, call: usize| {
                let (name, owns, before) = calls[call];
                view.member(name, owns.iter().copied(), before.iter().copied())
            };
            let view = order.into_iter().fold(View::new(3), add);
            assert_eq!(lists(&view), expected, "{order:?}");
        }
    }

    #[test]
    fn a_name_given_twice_is_one_member() {
        let twice = View::new(3).member("a", [0], []).member("b", [2], []).member("a", [1], [2]);
        assert_eq!(twice, View::new(3).member("b", [2], []).member("a", [0, 1], [2]));
    }

    #[test]
    fn tables_and_calls_make_the_same_view() {
        let tables = View::from_tables(
            vec!["a".into(), "b".into()],
            vec![Some(1), None, Some(0)],
            vec![None, Some(0), Some(0)],
        );
        assert_eq!(tables, View::new(3).member("b", [0], []).member("a", [2], [1, 2]));
    }
}
