//! What one look at a stream gave: [`Sight`]. Plain values, so that a model can be fed by hand.

use std::time::Duration;

use millstream::Blocked;

#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) partitions: Vec<Partition>,
    /// How much its files take.
    pub(crate) bytes: u64,
    /// By name.
    pub(crate) groups: Vec<Group>,
    /// What is damaged, in sentences.
    pub(crate) damage: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) segments: usize,
    pub(crate) bytes: u64,
    /// The group that keeps its oldest segment.
    pub(crate) held_by: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// How it stands, or why it is closed.
    pub(crate) standing: Result<Standing, String>,
}

/// How a group stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// In a word or two.
    pub(crate) state: String,
    pub(crate) paused: bool,
    pub(crate) strategy: String,
    pub(crate) generation: u64,
    pub(crate) lag: u64,
    pub(crate) leased: u64,
    /// What nobody holds, and was handed out or waits for its own time.
    pub(crate) waiting: u64,
    pub(crate) parked: u64,
    pub(crate) acked: u64,
    pub(crate) redelivered: u64,
    /// The age of the oldest that is pending.
    pub(crate) oldest: Option<Duration>,
    /// Why a read would find nothing, in sentences.
    pub(crate) why: Vec<String>,
    pub(crate) members: Vec<Member>,
    pub(crate) partitions: Vec<Place>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) leased: u64,
    /// When it last gave a sign of life, in words.
    pub(crate) seen: String,
    /// Which partitions it reads, in words.
    pub(crate) reads: String,
    pub(crate) blocked: Option<Blocked>,
    /// What its next read finds, in a sentence.
    pub(crate) why: String,
}

/// Where a group stands in a partition.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) floor: u64,
    pub(crate) next: u64,
    pub(crate) end: u64,
    pub(crate) lag: u64,
    pub(crate) owner: Option<String>,
}

impl Sight {
    /// How many entries are stored.
    pub(crate) fn entries(&self) -> u64 {
        self.partitions.iter().map(|part| part.end.saturating_sub(part.start)).sum()
    }
}
