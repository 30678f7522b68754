//! The stored form of the events that are about a group or a partition as a whole: where it goes on,
//! who reads what, whether it is paused. The table of all events stands in `codec`.

use super::codec::{put_last, read_last};
use super::event::{Event, Pass, Pause, Reopening, Round, Skip, Totals};
use super::given_up::{put_given_up, read_given_up};
use super::replay::{Inconsistent, ensure};
use super::times::{NEVER, Now};
use super::wire::{Reader, put};
use crate::loss::Loss;

/// Stores one of them; others are `given_up`'s.
pub(super) fn put_turn(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Skipped { partition, first, end, why } => {
            out.push(if *why == Skip::Asked { 13 } else { 15 });
            put(out, *partition);
            put(out, *first);
            put(out, end - first);
        }
        Event::Reopened(reopening) => {
            out.push(14);
            put_reopening(out, reopening);
        }
        Event::SettledThrough { partition, end, slot } => {
            out.push(16);
            put(out, *partition);
            put(out, *end);
            put(out, *slot);
        }
        Event::Reset { partition, to } => {
            out.push(17);
            put(out, *partition);
            put(out, *to);
        }
        Event::Round(round) => {
            out.push(18);
            put_round(out, round);
        }
        Event::Paused(pause) => put_pause(pause, out),
        Event::Resumed => out.extend_from_slice(&[30, 0]),
        Event::Passed { partition, end, how } => put_passed(out, *partition, *end, *how),
        other => put_given_up(other, out),
    }
}

/// What [`put_turn`] wrote.
pub(super) fn read_turn(tag: u8, reader: &mut Reader<'_>, now: Now) -> Result<Event, Inconsistent> {
    Ok(match tag {
        13 => read_skipped(reader, Skip::Asked)?,
        14 => Event::Reopened(Box::new(read_reopening(reader, now)?)),
        15 => read_skipped(reader, Skip::Trimmed)?,
        16 => Event::SettledThrough {
            partition: reader.small()?,
            end: reader.number()?,
            slot: reader.small()?,
        },
        17 => Event::Reset { partition: reader.small()?, to: reader.number()? },
        18 => Event::Round(Box::new(read_round(reader)?)),
        28 => Event::Passed {
            partition: reader.small()?,
            end: reader.number()?,
            how: read_pass(reader)?,
        },
        30 => read_pause(reader, now)?,
        tag => return read_given_up(tag, reader, now),
    })
}

fn read_skipped(reader: &mut Reader<'_>, why: Skip) -> Result<Event, Inconsistent> {
    let (partition, first, count) = (reader.small()?, reader.number()?, reader.number()?);
    let end = first.checked_add(count).ok_or(Inconsistent("an offset wraps"))?;
    Ok(Event::Skipped { partition, first, end, why })
}

fn put_passed(out: &mut Vec<u8>, partition: u32, end: u64, how: Pass) {
    out.push(28);
    put(out, partition);
    put(out, end);
    let what = match how {
        Pass::Filtered => return out.push(0),
        Pass::Acked(_) => 1,
        Pass::Lost(_) => 2,
        Pass::Trimmed(_) => 3,
    };
    out.push(what);
    put(out, how.own());
}

fn read_pass(reader: &mut Reader<'_>) -> Result<Pass, Inconsistent> {
    Ok(match reader.byte()? {
        0 => Pass::Filtered,
        1 => Pass::Acked(reader.number()?),
        2 => Pass::Lost(reader.number()?),
        3 => Pass::Trimmed(reader.number()?),
        _ => return Err(Inconsistent("no such way to pass")),
    })
}

fn put_round(out: &mut Vec<u8>, round: &Round) {
    put(out, round.generation);
    out.push(u8::from(round.open) | u8::from(round.took.is_some()) << 1);
    if let Some(took) = round.took {
        put(out, took);
    }
    put(out, round.revoked.len() as u64);
    for partition in &round.revoked {
        put(out, *partition);
    }
    put(out, round.given.len() as u64);
    for (partition, slot) in &round.given {
        put(out, *partition);
        put(out, *slot);
    }
}

fn read_round(reader: &mut Reader<'_>) -> Result<Round, Inconsistent> {
    let generation = reader.number()?;
    let what = reader.byte()?;
    ensure(what <= 3, "no such round")?;
    let took = if what & 2 == 0 { None } else { Some(reader.number()?) };
    let revoked = (0..reader.count(1)?).map(|_| reader.small()).collect::<Result<_, _>>()?;
    let given = (0..reader.count(2)?).map(|_| Ok((reader.small()?, reader.small()?)));
    let given = given.collect::<Result<_, _>>()?;
    Ok(Round { generation, open: what & 1 != 0, revoked, given, took, until: NEVER })
}

fn put_pause(pause: &Pause, out: &mut Vec<u8>) {
    out.extend_from_slice(&[30, 1 + u8::from(pause.timed.is_some())]);
    if let Some((delay, wall)) = pause.timed {
        put(out, delay);
        put(out, wall);
    }
}

fn read_pause(reader: &mut Reader<'_>, now: Now) -> Result<Event, Inconsistent> {
    Ok(match reader.byte()? {
        0 => Event::Resumed,
        1 => Event::Paused(Pause { until: NEVER, timed: None }),
        2 => {
            let (delay, wall) = (reader.number()?, reader.number()?);
            Event::Paused(Pause { until: now.end_of(delay, wall), timed: Some((delay, wall)) })
        }
        _ => return Err(Inconsistent("neither paused nor resumed")),
    })
}

fn put_reopening(out: &mut Vec<u8>, reopening: &Reopening) {
    out.push(u8::from(reopening.unclean));
    put(out, reopening.next_lease);
    put(out, reopening.generation);
    put_totals(out, reopening.totals);
    put_last(out, reopening.last);
    put_list(out, &reopening.ends);
}

fn read_reopening(reader: &mut Reader<'_>, now: Now) -> Result<Reopening, Inconsistent> {
    Ok(Reopening {
        unclean: match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Inconsistent("neither clean nor unclean")),
        },
        next_lease: reader.number()?,
        generation: reader.number()?,
        totals: read_totals(reader)?,
        last: read_last(reader)?,
        ends: read_list(reader)?,
        due: now.at,
    })
}

pub(super) fn put_totals(out: &mut Vec<u8>, totals: Totals) {
    let Totals { acked, discarded, lost, trimmed, redelivered, rebalances, rebalancing, .. } =
        totals;
    let Loss { unread, pending, delayed, parked } = trimmed;
    for total in [acked, discarded, lost, unread, pending, delayed, parked] {
        put(out, total);
    }
    for total in [redelivered, rebalances, rebalancing] {
        put(out, total);
    }
    put(out, totals.dead_lettered);
}

pub(super) fn read_totals(reader: &mut Reader<'_>) -> Result<Totals, Inconsistent> {
    Ok(Totals {
        acked: reader.number()?,
        discarded: reader.number()?,
        lost: reader.number()?,
        trimmed: Loss {
            unread: reader.number()?,
            pending: reader.number()?,
            delayed: reader.number()?,
            parked: reader.number()?,
        },
        redelivered: reader.number()?,
        rebalances: reader.number()?,
        rebalancing: reader.number()?,
        dead_lettered: reader.number()?,
    })
}

fn put_list(out: &mut Vec<u8>, numbers: &[u64]) {
    put(out, numbers.len() as u64);
    for number in numbers {
        put(out, *number);
    }
}

fn read_list(reader: &mut Reader<'_>) -> Result<Box<[u64]>, Inconsistent> {
    let count = reader.count(1)?;
    (0..count).map(|_| reader.number()).collect()
}
