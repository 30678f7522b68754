//! Looking at a stream again and again: [`Eye`].
//!
//! It reads through `open_read_only`, so it changes nothing, takes no lock, and does not mind an owner
//! that comes or goes. A look that fails lets go of the stream; the next one opens it afresh, and so
//! finds what has come in its place.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use millstream::{Error, GroupInfo, PartitionInfo, Stream};

use super::sight::{Group, Member, Partition, Place, Sight, Standing};
use crate::exit::{Failure, Outcome};
use crate::group::{Next, next, runs};
use crate::groups::state;
use crate::look;
use crate::why::Look;
use crate::words::{self, plain};

/// When the next one is due is told only of a group with no more pending entries than this: to find it,
/// all of them are read.
const PENDING_SEEN_MAX: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Eye {
    dir: PathBuf,
    stream: Option<Stream>,
    outcome: Outcome,
}

impl Eye {
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let stream = Some(look::open(dir)?);
        Ok(Self { dir: dir.to_owned(), stream, outcome: Outcome::Done })
    }

    /// Looks once. More is told of the chosen group than of others.
    pub(crate) fn look(&mut self, chosen: Option<&str>) -> Result<Sight, Failure> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => look::open(&self.dir)?,
        };
        let sight = see(&stream, chosen)?;
        let damaged = !sight.damage.is_empty();
        self.outcome = if damaged { Outcome::Damaged } else { Outcome::Done };
        self.stream = Some(stream);
        Ok(sight)
    }

    /// How the last look ended that gave anything.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }
}

fn see(stream: &Stream, chosen: Option<&str>) -> Result<Sight, Failure> {
    // Groups first: what is theirs is then never ahead of what the partitions have.
    let mut groups = Vec::new();
    let mut infos = Vec::new();
    for name in stream.groups() {
        match found(stream, &name, chosen) {
            Ok(found) => infos.push((name, Ok(found))),
            Err(Failure::Stream(error @ (Error::Corrupt(_) | Error::NewerFormat { .. }))) => {
                infos.push((name, Err(plain(&error.to_string()))));
            }
            // Its owner deleted it meanwhile.
            Err(Failure::Stream(Error::GroupDeleted | Error::NotFound { .. })) => {}
            Err(failure) => return Err(failure),
        }
    }
    let info = stream.info()?;
    let starts: Vec<u64> = info.partitions.iter().map(|partition| partition.start).collect();
    let now = look::now();
    let mut damage = Vec::new();
    for partition in &stream.recovery().partitions {
        if let Some(words) = &partition.damage {
            let (number, end) = (partition.partition, partition.end);
            damage.push(format!(
                "partition {number} is damaged, and ends at {end}: {}",
                plain(words)
            ));
        }
    }
    for (name, info) in infos {
        if let Err(words) = &info {
            damage.push(format!("{} is closed: {words}", plain(&name)));
        }
        let standing = info.map(|(info, next)| standing(&info, next, &starts, now));
        groups.push(Group { name, standing });
    }
    let partitions = info.partitions.iter().map(partition).collect();
    Ok(Sight { partitions, bytes: info.bytes, groups, damage })
}

/// A group, and what is due in it next, if that is asked for.
fn found(stream: &Stream, name: &str, chosen: Option<&str>) -> Result<(GroupInfo, Next), Failure> {
    let group = stream.group(name).open_existing()?;
    let info = group.info()?;
    let pending = info.leased + info.delayed;
    let told = chosen == Some(name) && (1..=PENDING_SEEN_MAX).contains(&pending);
    let next = if told { next(&group)? } else { Next::default() };
    Ok((info, next))
}

fn partition(info: &PartitionInfo) -> Partition {
    Partition {
        start: info.start,
        end: info.end,
        segments: info.segments,
        bytes: info.file_bytes,
        held_by: info.held_by.as_ref().map(|holder| holder.group.clone()),
    }
}

fn standing(info: &GroupInfo, next: Next, starts: &[u64], now: SystemTime) -> Standing {
    let why = Look { info, starts, next_due: next.due, next_end: next.end }.explain();
    let members = info.members.iter().zip(why.members);
    let members = members.map(|(member, told)| Member {
        name: member.name.clone(),
        leased: member.leased,
        seen: words::ago(member.last_seen, now),
        reads: reads(info, &member.partitions),
        blocked: member.blocked,
        why: told.why,
    });
    let partitions = info.partitions.iter().map(|partition| Place {
        floor: partition.floor,
        next: partition.next,
        end: partition.end,
        lag: partition.lag,
        owner: partition.owner.clone(),
    });
    Standing {
        state: state(info),
        paused: info.paused.is_some(),
        strategy: info.strategy.clone(),
        generation: info.generation,
        lag: info.lag,
        leased: info.leased,
        waiting: info.delayed + info.due + info.exhausted,
        parked: info.parked,
        acked: info.acked,
        redelivered: info.redelivered,
        oldest: info.oldest_pending_age,
        why: why.group,
        members: members.collect(),
        partitions: partitions.collect(),
    }
}

/// Which partitions a member reads.
fn reads(info: &GroupInfo, partitions: &[u32]) -> String {
    let shared = info.partitions.iter().all(|partition| partition.owner.is_none());
    match partitions.len() {
        0 => "none".to_owned(),
        all if shared && all == info.partitions.len() => "all".to_owned(),
        _ => runs(partitions),
    }
}
