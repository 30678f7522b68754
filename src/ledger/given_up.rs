//! The stored form of the events that tell what becomes of entries whose attempts are over. The
//! table of all events stands in `codec`.

use super::codec::{put_run, read_run};
use super::doom::{put_intent, put_reason, read_intent, read_reason};
use super::event::Event;
use super::replay::{Inconsistent, ensure};
use super::times::Now;
use super::wire::{Reader, put};

/// Stores one of them; others are `codec`'s.
pub(super) fn put_given_up(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Parked { run, wall, reason } => {
            put_run(out, 10, *run);
            put(out, *wall);
            put_reason(out, reason);
        }
        Event::Doomed { run, reason } => {
            put_run(out, 23, *run);
            put_reason(out, reason);
        }
        Event::Intended { run, intent } => {
            put_run(out, 24, *run);
            put_intent(out, *intent);
        }
        Event::Buried { run } => put_run(out, 25, *run),
        Event::Revived { run, .. } => put_run(out, 26, *run),
        _ => {}
    }
}

/// What [`put_given_up`] wrote.
pub(super) fn read_given_up(
    tag: u8,
    reader: &mut Reader<'_>,
    now: Now,
) -> Result<Event, Inconsistent> {
    ensure(matches!(tag, 10 | 23..=26), "no such event")?;
    let run = read_run(reader)?;
    Ok(match tag {
        10 => Event::Parked { run, wall: reader.number()?, reason: read_reason(reader)? },
        23 => Event::Doomed { run, reason: read_reason(reader)? },
        24 => Event::Intended { run, intent: read_intent(reader)? },
        25 => Event::Buried { run },
        _ => Event::Revived { run, due: now.at },
    })
}
