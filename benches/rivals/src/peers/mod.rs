//! One file for each peer, and the list of them.

mod fjall;
mod millstream;
mod redb;
mod sqlite;
mod yaque;

use std::path::Path;

use crate::queue::{Level, Outcome, Queue};

/// A peer, as the tables name it.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) open: fn(&Path, Level) -> Outcome<Box<dyn Queue>>,
    /// Whether it can flush what a call did before the call returns.
    pub(crate) survives_power_cut: bool,
    /// Whether a kill leaves what was done; one that does not is there for comparison only.
    pub(crate) survives_kill: bool,
}

/// Everybody who is compared. The first one is what the others are compared with.
pub(crate) const PEERS: &[Peer] = &[
    Peer::new("millstream", open::<millstream::Mill>),
    Peer { survives_power_cut: false, ..Peer::new("yaque", open::<yaque::Files>) },
    Peer::new("yaque, place not saved", open::<yaque::Unsaved>).for_comparison(),
    Peer::new("fjall", open::<fjall::Tree>),
    Peer::new("SQLite", open::<sqlite::Table>),
    Peer::new("redb", open::<redb::Table>),
    Peer::new("redb, Durability::None", open::<redb::Unpersisted>).for_comparison(),
];

impl Peer {
    const fn new(name: &'static str, open: fn(&Path, Level) -> Outcome<Box<dyn Queue>>) -> Self {
        Self { name, open, survives_power_cut: true, survives_kill: true }
    }

    /// The same, for one that keeps neither promise.
    const fn for_comparison(self) -> Self {
        Self { survives_power_cut: false, survives_kill: false, ..self }
    }

    pub(crate) fn is_measured_at(&self, level: Level) -> bool {
        level == Level::Kill || self.survives_power_cut
    }
}

fn open<Q: Queue + 'static>(dir: &Path, level: Level) -> Outcome<Box<dyn Queue>> {
    Ok(Box::new(Q::open(dir, level)?))
}
