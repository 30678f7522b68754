//! In plain words, why a read of a group would find nothing, for the group and for each member.
//!
//! Pure: it takes what was looked at and gives sentences back.

use std::time::Duration;

use millstream::{Blocked, GroupInfo, Member, Pause};
use serde::Serialize;

use super::words::{self, entries, lasting, plain};

/// What keeps a read of a member from finding anything. The library takes new entries for something
/// until a read has passed them; if none of them is for the group, there is nothing.
pub(crate) fn blocked(info: &GroupInfo, member: &Member) -> Option<Blocked> {
    let nothing = info.undelivered + info.due == 0;
    member.blocked.or_else(|| nothing.then_some(Blocked::Empty))
}

/// What was looked at.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) info: &'a GroupInfo,
    /// Where each partition starts.
    pub(crate) starts: &'a [u64],
    /// When the next of those that wait is due.
    pub(crate) next_due: Option<Duration>,
    /// When the next lease ends.
    pub(crate) next_end: Option<Duration>,
}

/// The sentences.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Why {
    pub(crate) group: Vec<String>,
    pub(crate) members: Vec<MemberWhy>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MemberWhy {
    pub(crate) name: String,
    pub(crate) why: String,
}

impl Look<'_> {
    pub(crate) fn explain(&self) -> Why {
        let members = self.info.members.iter();
        let members =
            members.map(|member| MemberWhy { name: member.name.clone(), why: self.member(member) });
        Why { group: self.group(), members: members.collect() }
    }

    fn group(&self) -> Vec<String> {
        let info = self.info;
        let mut told = Vec::new();
        if info.members.is_empty() {
            told.push("nobody reads it: it has no members".to_owned());
        }
        told.extend(self.paused());
        told.extend(self.trimmed());
        told.extend(info.strategy_failure.as_ref().map(|reason| {
            format!(
                "its strategy {} failed, so the group goes on as it was: {}",
                plain(&info.strategy),
                plain(reason)
            )
        }));
        if info.state == millstream::GroupState::Rebalancing {
            told.push(self.rebalancing());
        }
        if info.exhausted > 0 {
            let number = entries(info.exhausted);
            let reason = info.dead_letter_failure.as_ref();
            let reason = reason.map_or(String::new(), |reason| format!(": {}", plain(reason)));
            told.push(format!(
                "{number} had the last attempt and wait until their dead letters are safe{reason}"
            ));
        }
        told.push(self.left());
        told
    }

    fn paused(&self) -> Option<String> {
        Some(match self.info.paused? {
            Pause::For(time) => format!("it is paused, and goes on by itself in {}", lasting(time)),
            _ => "it is paused until somebody resumes it".to_owned(),
        })
    }

    /// Positions that retention took, where that is an error.
    fn trimmed(&self) -> Option<String> {
        if self.info.settings.on_trimmed != "Error" {
            return None;
        }
        let lost = self.info.partitions.iter().zip(self.starts).enumerate();
        let mut lost = lost.filter(|(_, (partition, start))| partition.next < **start);
        let (number, (partition, start)) = lost.next()?;
        let more = lost.count();
        let more = if more == 0 { String::new() } else { format!(", and {more} more like it") };
        let next = partition.next;
        Some(format!(
            "partition {number} was trimmed: the group was to go on at {number}-{next}, and what is left starts \
             at {start}{more}; reads that come there fail until `millstream reset` says where it goes on"
        ))
    }

    fn rebalancing(&self) -> String {
        let idle =
            self.info.partitions.iter().filter(|partition| partition.owner.is_none()).count();
        let timeout = lasting(self.info.settings.revocation_timeout);
        format!(
            "it is rebalancing: {} without a reader, until those who had them settle what they hold, \
             or {timeout} are over",
            words::counted(idle as u64, "partition is", "partitions are")
        )
    }

    /// What is left to be read, and when.
    fn left(&self) -> String {
        let info = self.info;
        let waiting = info.delayed + info.exhausted;
        if info.lag == 0 {
            return "nothing is there: it is done with every entry that is for it".to_owned();
        }
        if info.undelivered + info.due > 0 {
            let new = words::counted(info.undelivered, "entry was", "entries were");
            let due = words::counted(info.due, "is", "are");
            return match (info.undelivered, info.due) {
                (_, 0) => format!("{new} never handed out"),
                (0, _) => format!("of what was handed out, {due} due again"),
                _ => format!("{new} never handed out, and {due} due again"),
            };
        }
        let soon = |time: Option<Duration>, what: &str| {
            time.map_or(String::new(), |time| format!(" ({what} in {})", lasting(time)))
        };
        let leased = format!("{} leased", words::count(info.leased));
        let over = self.next_end.is_some_and(|end| end.is_zero());
        let leased = if over {
            // Only an owner ends a lease.
            leased + " (the lease is over; the next call of an owner takes it back)"
        } else {
            leased + &soon(self.next_end, "the next lease ends")
        };
        let delayed = format!("{} delayed", words::count(waiting));
        let delayed = delayed + &soon(self.next_due, "the next is due");
        match (info.leased > 0, waiting > 0) {
            (true, true) => format!("nothing that is left is free: {leased}, {delayed}"),
            (true, false) => format!("all that is left is in somebody's hands: {leased}"),
            _ => format!("all that is left waits for its time: {delayed}"),
        }
    }

    fn member(&self, member: &Member) -> String {
        let settings = &self.info.settings;
        match blocked(self.info, member) {
            None => "a read would find something".to_owned(),
            Some(Blocked::Paused) => {
                self.paused().unwrap_or_else(|| "the group is paused".to_owned())
            }
            Some(Blocked::InFlight) => self.in_flight(member),
            Some(Blocked::Delayed) => format!(
                "the next new entries are not due, and as many as delayed_max ({}) allows wait already",
                words::count(settings.delayed_max)
            ),
            Some(Blocked::NoPartition) => format!(
                "it has no partition: {} share {}",
                words::counted(self.info.members.len() as u64, "member", "members"),
                words::counted(self.info.partitions.len() as u64, "partition", "partitions"),
            ),
            Some(Blocked::Rebalancing) => {
                "it is rebalancing: the partitions it is to get are still \
                                           in the hands of others"
                    .to_owned()
            }
            Some(Blocked::Empty) if self.info.undelivered + self.info.due > 0 => {
                "nothing new and nothing due in its partitions".to_owned()
            }
            Some(_) => self.left(),
        }
    }

    /// Which of the limits is reached.
    fn in_flight(&self, member: &Member) -> String {
        let (info, settings) = (self.info, &self.info.settings);
        let reached = |name: &str, max: String, text: String| {
            format!("the in-flight limit is reached: {text} leased, and {name} is {max}")
        };
        match (settings.max_in_flight_per_consumer, settings.max_in_flight_bytes) {
            (Some(max), _) if member.leased >= max => reached(
                "max_in_flight_per_consumer",
                words::count(max),
                format!("it has {}", entries(member.leased)),
            ),
            (_, Some(max)) if info.leased_bytes >= max => {
                reached("max_in_flight_bytes", words::size(max), words::size(info.leased_bytes))
            }
            _ => {
                let max = words::count(settings.max_in_flight);
                reached("max_in_flight", max, entries(info.leased))
            }
        }
    }
}
