//! Where a reader or a group begins.

use std::time::SystemTime;

use crate::clock::wall_micros;
use crate::engine::Ground;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::log::Log;

/// Where to begin reading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// At the first entry that is stored.
    Earliest,
    /// After the last entry that is there now.
    Latest,
    /// At this entry, inclusive, in its own partition; in the others at their first.
    At(EntryId),
    /// At these entries, inclusive, each in its own partition; in the others at their first.
    Each(Vec<EntryId>),
    /// At the first entry that is at least as new as this, or that stands behind one.
    Since(SystemTime),
}

impl Start {
    /// The first offset of each partition.
    pub(crate) fn resolve(&self, ground: &Ground) -> Result<Vec<u64>> {
        match self {
            Self::Earliest => Ok(ground.logs.iter().map(Log::start).collect()),
            Self::Latest => Ok(ground.ends()),
            Self::At(id) => at(ground, &[*id]),
            Self::Each(ids) => at(ground, ids),
            Self::Since(time) => {
                let time = wall_micros(*time);
                ground.logs.iter().map(|log| log.since(time)).collect()
            }
        }
    }
}

fn at(ground: &Ground, ids: &[EntryId]) -> Result<Vec<u64>> {
    let mut starts: Vec<u64> = ground.logs.iter().map(Log::start).collect();
    let partitions = ground.partitions();
    for id in ids {
        let Some(start) = starts.get_mut(id.partition() as usize) else {
            return Err(Error::NoSuchPartition { partition: id.partition(), partitions });
        };
        let end = ground.logs[id.partition() as usize].visible();
        if id.offset() > end {
            return Err(Error::StartBeyondEnd { start: *id, end });
        }
        *start = id.offset().max(*start);
    }
    Ok(starts)
}
