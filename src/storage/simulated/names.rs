//! The names in one simulated directory: those the process sees, those on the disk, and the changes
//! between the two.
//!
//! 1. `durable` with all of `pending` applied in order binds the names that `current` binds.
//! 2. A power cut keeps any set of pending changes that contains, with each change, every earlier
//!    one that speaks of one of its names: a journal may drop or reorder unrelated changes, but
//!    not those of one name.
//! 3. A rename is one change: its file is under the old name or under the new one, never under both
//!    or neither.

use std::collections::{BTreeMap, BTreeSet};

use super::random::Random;

/// What a name stands for: an index into the files or directories of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(usize),
    Dir(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Bind(String, Node),
    Unbind(String),
    Rename { from: String, to: String, node: Node },
}

/// Which pending changes a power cut keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    None,
    All,
    Some,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    current: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<Change>,
}

impl Names {
    /// Names that are on the disk.
    pub(super) fn planted(names: BTreeMap<String, Node>) -> Self {
        Self { current: names.clone(), durable: names, pending: Vec::new() }
    }

    pub(super) fn get(&self, name: &str) -> Option<Node> {
        self.current.get(name).copied()
    }

    pub(super) fn current(&self) -> &BTreeMap<String, Node> {
        &self.current
    }

    pub(super) fn bind(&mut self, name: &str, node: Node) {
        self.change(Change::Bind(name.to_owned(), node));
    }

    pub(super) fn unbind(&mut self, name: &str) {
        self.change(Change::Unbind(name.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let node = self.current[from];
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), node });
    }

    /// Binds a name on the disk at once.
    pub(super) fn plant(&mut self, name: &str, node: Node) {
        self.sync();
        self.bind(name, node);
        self.sync();
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed: some changes are on the disk, and the others still are not.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        let kept = self.kept(Kept::Some, random);
        let mut kept = kept.into_iter();
        self.pending.retain(|change| {
            let applied = kept.next().expect("one for each change");
            if applied {
                change.apply(&mut self.durable);
            }
            !applied
        });
    }

    /// The names on the disk once the power is back.
    pub(super) fn after_cut(&self, kept: Kept, random: &mut Random) -> BTreeMap<String, Node> {
        let mut names = self.durable.clone();
        for (change, kept) in self.pending.iter().zip(self.kept(kept, random)) {
            if kept {
                change.apply(&mut names);
            }
        }
        names
    }

    /// For each pending change whether it is kept (invariant 2).
    fn kept(&self, which: Kept, random: &mut Random) -> Vec<bool> {
        let mut needed = BTreeSet::new();
        let mut kept = vec![false; self.pending.len()];
        for (change, kept) in self.pending.iter().zip(&mut kept).rev() {
            let wanted = match which {
                Kept::None => false,
                Kept::All => true,
                Kept::Some => random.coin(),
            };
            let (name, other) = change.names();
            *kept = wanted || needed.contains(name) || needed.contains(other);
            if *kept {
                needed.extend([name, other]);
            }
        }
        kept
    }
}

impl Change {
    /// The one or two names it speaks of.
    fn names(&self) -> (&str, &str) {
        match self {
            Self::Bind(name, _) | Self::Unbind(name) => (name, name),
            Self::Rename { from, to, .. } => (from, to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Bind(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Unbind(name) => {
                names.remove(name);
            }
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}
