//! The stored form of events: one journal record holds all events of one call, one after another.
//!
//! Each is a tag byte and its fields. Numbers are LEB128, `u8` is one byte, a run is partition,
//! first offset and count (at least 1), text is its length and its bytes. Delays are microseconds,
//! walls are microseconds since the epoch.
//!
//! | tag | event | fields |
//! |---|---|---|
//! | 1 | joined | slot, join number, name (text) |
//! | 2 | left | slot, why (u8: 0 left, 1 removed, 2 session ended), last |
//! | 3 | handed out | run, lease number, slot, wall (0 if nobody has to know it) |
//! | 4 | extended, after its lease had ended | run |
//! | 5 | acked | run |
//! | 6 | discarded | run |
//! | 7 | waits: its lease ended | run, delay, wall of the start |
//! | 8 | waits: nacked | run, delay, wall of the start |
//! | 9 | waits: released | run |
//! | 10 | parked | run, wall, reason (text) |
//! | 11 | redriven | run |
//! | 12 | parked, now discarded | run |
//! | 13 | skipped as lost | partition, first offset, count |
//! | 14 | reopened | unclean (u8: 0, 1), next lease number, generation, totals, last, how many, end of each |
//! | 15 | trimmed before they were settled | partition, first offset, count |
//! | 16 | settled through an offset | partition, one past the last offset, slot |
//! | 17 | reset | partition, next offset |
//! | 18 | round | generation, what (u8: 1 everybody reads everything, 2 a rebalance ends), if it ends: how long it took, how many are revoked, each: partition, how many are given, each: partition and slot |
//! | 19 | evicted from a partition that was revoked | partition, last |
//! | 20 | claimed, whoever held it | run, lease number, slot, wall (as of 3) |
//! | 21 | acked by its id, whoever held it | run |
//! | 23 | exhausted, and to go to the dead letters | run, reason (text) |
//! | 24 | about to be appended to the dead letters | run, stream, partition and its end |
//! | 25 | dead-lettered | run |
//! | 26 | settled, now available again | run |
//! | 28 | passed by its filter | partition, one past the last offset, what is counted (u8: 0 nothing, 1 acked, 2 lost, 3 trimmed), if anything: how many |
//! | 29 | deferred: new, and not due yet | run, delay, wall of the start |
//! | 30 | paused or resumed | what (u8: 0 resumed, 1 paused, 2 paused for a time), if for a time: delay, wall of the start |
//!
//! Totals are the numbers of entries acked, discarded, lost, trimmed (unread, pending, delayed and
//! parked ones) and redelivered, of rebalances and the microseconds they took, and of entries
//! dead-lettered, since the group exists;
//! `last` is the number of the last attempt, what comes after it (u8: 0 parked, 1 discarded, 2 to
//! the dead letters) and the wall. A reason that nobody gave is empty.
//! The wall is left out where the delay is 0. Tag 0 is never used.
//!
//! Moments mean nothing to another process, so none is stored: a decoded lease never ends, as the
//! opening is going to end it, and a decoded delay is what is left of it.

use super::event::{Event, Last, Run, Settle, Wait};
use super::policy::Exhausted;
use super::replay::{Inconsistent, ensure};
use super::times::{NEVER, Now};
use super::turn::{put_turn, read_turn};
use super::wire::{Reader, put, put_bytes};
use crate::error::Gone;

/// Appends the stored form of the events. Returns whether there is anything to store.
pub(crate) fn encode(events: &[Event], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    for event in events {
        put_event(event, out);
    }
    out.len() > before
}

/// Reads a record back, at the time of opening.
pub(crate) fn decode(bytes: &[u8], now: Now) -> Result<Vec<Event>, Inconsistent> {
    let mut reader = Reader::new(bytes);
    let mut events = Vec::new();
    while !reader.is_empty() {
        events.push(read_event(&mut reader, now)?);
    }
    Ok(events)
}

fn put_event(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Joined { slot, join, name, .. } => {
            out.push(1);
            put(out, *slot);
            put(out, *join);
            put_bytes(out, name.as_bytes());
        }
        Event::Left { slot, why, last, .. } => {
            out.push(2);
            put(out, *slot);
            out.push(match why {
                Gone::Left => 0,
                Gone::Removed => 1,
                Gone::Expired => 2,
            });
            put_last(out, *last);
        }
        Event::HandedOut { run, lease, slot, wall, .. } => {
            put_lease(out, 3, *run, *lease, *slot, *wall);
        }
        Event::Claimed { run, lease, slot, wall, .. } => {
            put_lease(out, 20, *run, *lease, *slot, *wall);
        }
        Event::Extended { late: false, .. } | Event::Planned(_) => {}
        Event::Extended { run, .. } => put_run(out, 4, *run),
        Event::Settled { run, how: Settle::Acked } => put_run(out, 5, *run),
        Event::Settled { run, how: Settle::Discarded(_) } => put_run(out, 6, *run),
        Event::Settled { run, how: Settle::AckedById } => put_run(out, 21, *run),
        Event::Waits { run, why: Wait::Release, .. } => put_run(out, 9, *run),
        Event::Waits { run, why, delay, wall, .. } => {
            let tag = if *why == Wait::Time { 7 } else { 8 };
            put_waits(out, tag, *run, *delay, *wall);
        }
        Event::Deferred { run, delay, wall, .. } => put_waits(out, 29, *run, *delay, *wall),
        Event::Redriven { run, .. } => put_run(out, 11, *run),
        Event::Dropped { run } => put_run(out, 12, *run),
        Event::Evicted { partition, last, .. } => {
            out.push(19);
            put(out, *partition);
            put_last(out, *last);
        }
        other => put_turn(other, out),
    }
}

fn read_event(reader: &mut Reader<'_>, now: Now) -> Result<Event, Inconsistent> {
    Ok(match reader.byte()? {
        1 => Event::Joined {
            slot: reader.small()?,
            join: reader.number()?,
            alive_until: NEVER,
            name: reader.text()?.into(),
        },
        2 => Event::Left {
            slot: reader.small()?,
            why: match reader.byte()? {
                0 => Gone::Left,
                1 => Gone::Removed,
                2 => Gone::Expired,
                _ => return Err(Inconsistent("no such way to leave")),
            },
            due: now.at,
            last: read_last(reader)?,
        },
        3 => Event::HandedOut {
            run: read_run(reader)?,
            lease: reader.number()?,
            slot: reader.small()?,
            deadline: NEVER,
            alive_until: NEVER,
            at: now.at,
            wall: reader.number()?,
        },
        4 => Event::Extended { run: read_run(reader)?, deadline: NEVER, late: true, at: now.at },
        5 => Event::Settled { run: read_run(reader)?, how: Settle::Acked },
        6 => Event::Settled { run: read_run(reader)?, how: Settle::Discarded(None) },
        7 => read_waits(reader, Wait::Time, now)?,
        8 => read_waits(reader, Wait::Nack, now)?,
        9 => Event::Waits {
            run: read_run(reader)?,
            why: Wait::Release,
            due: now.at,
            delay: 0,
            wall: 0,
        },
        11 => Event::Redriven { run: read_run(reader)?, due: now.at },
        12 => Event::Dropped { run: read_run(reader)? },
        19 => Event::Evicted { partition: reader.small()?, due: now.at, last: read_last(reader)? },
        20 => Event::Claimed {
            run: read_run(reader)?,
            lease: reader.number()?,
            slot: reader.small()?,
            deadline: NEVER,
            alive_until: NEVER,
            at: now.at,
            wall: reader.number()?,
        },
        21 => Event::Settled { run: read_run(reader)?, how: Settle::AckedById },
        29 => {
            let run = read_run(reader)?;
            let (delay, wall) = read_delay(reader)?;
            Event::Deferred { run, due: now.end_of(delay, wall), delay, wall }
        }
        tag => return read_turn(tag, reader, now),
    })
}

fn put_lease(out: &mut Vec<u8>, tag: u8, run: Run, lease: u64, slot: u16, wall: u64) {
    put_run(out, tag, run);
    put(out, lease);
    put(out, slot);
    put(out, wall);
}

pub(super) fn put_run(out: &mut Vec<u8>, tag: u8, run: Run) {
    out.push(tag);
    put(out, run.partition);
    put(out, run.first);
    put(out, run.count);
}

pub(super) fn read_run(reader: &mut Reader<'_>) -> Result<Run, Inconsistent> {
    let run = Run::new(reader.small()?, reader.number()?, reader.small()?);
    ensure(run.count > 0, "an empty run")?;
    ensure(run.first.checked_add(run.count.into()).is_some(), "an offset wraps")?;
    Ok(run)
}

fn read_waits(reader: &mut Reader<'_>, why: Wait, now: Now) -> Result<Event, Inconsistent> {
    let run = read_run(reader)?;
    let (delay, wall) = read_delay(reader)?;
    Ok(Event::Waits { run, why, due: now.end_of(delay, wall), delay, wall })
}

fn put_waits(out: &mut Vec<u8>, tag: u8, run: Run, delay: u64, wall: u64) {
    put_run(out, tag, run);
    put_delay(out, delay, wall);
}

fn put_delay(out: &mut Vec<u8>, delay: u64, wall: u64) {
    put(out, delay);
    if delay > 0 {
        put(out, wall);
    }
}

fn read_delay(reader: &mut Reader<'_>) -> Result<(u64, u64), Inconsistent> {
    let delay = reader.number()?;
    Ok((delay, if delay > 0 { reader.number()? } else { 0 }))
}

pub(super) fn put_last(out: &mut Vec<u8>, last: Last) {
    put(out, last.attempt);
    out.push(match last.then {
        Exhausted::Park => 0,
        Exhausted::Discard => 1,
        Exhausted::DeadLetter => 2,
    });
    put(out, last.wall);
}

pub(super) fn read_last(reader: &mut Reader<'_>) -> Result<Last, Inconsistent> {
    let attempt = reader.small()?;
    let then = match reader.byte()? {
        0 => Exhausted::Park,
        1 => Exhausted::Discard,
        2 => Exhausted::DeadLetter,
        _ => return Err(Inconsistent("no such end of attempts")),
    };
    Ok(Last { attempt, then, wall: reader.number()? })
}
