//! [`StandIn`]: takes the place of a strategy that only the user's own program has.
//!
//! A group is used only with its strategy, by name. Nobody joins while a group is mended, so this one is
//! never asked; and its name is that of the real one, so that the program opens the group as before.

use millstream::assign::{Assign, Assignment, View};

#[derive(Debug)]
pub(super) struct StandIn {
    name: Box<str>,
}

impl StandIn {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into() }
    }
}

impl Assign for StandIn {
    fn name(&self) -> &str {
        &self.name
    }

    fn assign(&self, _view: &View) -> Assignment {
        Assignment::Everyone
    }
}
