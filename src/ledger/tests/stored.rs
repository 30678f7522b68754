//! The stored form: what is written reads back, and what nobody wrote is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::event::{Last, Reopening, Round, Settle, Skip, Totals, Wait};
use super::super::{Exhausted, Inconsistent};
use super::*;
use crate::error::Gone;

fn now() -> Now {
    Now { at: Moment(7 * SECOND), wall: 1_600_000_000 * SECOND }
}

/// One event of each stored kind.
fn all() -> Vec<Event> {
    let (run, due, never) = (Run::new(3, 1 << 40, 100), now().at, super::super::times::NEVER);
    let last = Last { attempt: 16, then: Exhausted::Discard };
    let waits = |why, delay| {
        let wall = if delay > 0 { now().wall } else { 0 };
        Event::Waits { run, why, due: later(due, delay), delay, wall }
    };
    vec![
        Event::Joined { slot: 300, join: 9, alive_until: never, name: "worker-é".into() },
        Event::Left { slot: 300, why: Gone::Expired, due, last },
        Event::HandedOut { run, lease: 1 << 37, slot: 2, deadline: never, alive_until: never },
        Event::Extended { run, deadline: never, late: true },
        Event::Settled { run, how: Settle::Acked },
        Event::Settled { run, how: Settle::Discarded },
        waits(Wait::Time, 30 * SECOND),
        waits(Wait::Nack, 0),
        waits(Wait::Nack, 1),
        waits(Wait::Release, 0),
        Event::Parked { run },
        Event::Redriven { run, due },
        Event::Dropped { run },
        Event::Skipped { partition: 1, first: 5, end: 1 << 50, why: Skip::Asked },
        Event::Skipped { partition: 1, first: 5, end: 1 << 50, why: Skip::Trimmed },
        Event::SettledThrough { partition: 1, end: 1 << 50, slot: 300 },
        Event::Reset { partition: 1, to: 1 << 50 },
        round(true, &[], &[], None),
        round(false, &[1, 300], &[(2, 5), (9, 300)], Some(1 << 20)),
        Event::Evicted { partition: 300, due, last },
        Event::Reopened(Box::new(Reopening {
            ends: [4, 0, u64::MAX].into(),
            unclean: true,
            next_lease: 77,
            generation: 12,
            totals: Totals {
                acked: 1,
                discarded: 2,
                lost: 3,
                trimmed: 4,
                redelivered: 5,
                rebalances: 6,
                rebalancing: 7,
            },
            last,
            due,
        })),
    ]
}

fn round(open: bool, revoked: &[u32], given: &[(u32, u16)], took: Option<u64>) -> Event {
    let (revoked, given, until) = (revoked.into(), given.into(), super::super::times::NEVER);
    Event::Round(Box::new(Round { generation: 300, open, revoked, given, took, until }))
}

fn encoded(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(events, &mut bytes);
    bytes
}

#[test]
fn events_read_back_as_they_were_written() {
    assert_eq!(decode(&encoded(&all()), now()).unwrap(), all());
    for event in all() {
        let bytes = encoded(std::slice::from_ref(&event));
        assert_eq!(decode(&bytes, now()).unwrap(), [event]);
    }
}

#[test]
fn stored_bytes_of_each_event_are_as_the_format_says() {
    let run = Run::new(1, 300, 100);
    let first: BTreeMap<u8, &str> =
        all().iter().map(|event| (encoded(std::slice::from_ref(event))[0], "")).collect();
    assert_eq!(first.into_keys().collect::<Vec<_>>(), (1..=19).collect::<Vec<u8>>());
    let never = super::super::times::NEVER;
    let out = Event::HandedOut { run, lease: 200, slot: 5, deadline: never, alive_until: never };
    assert_eq!(encoded(&[out]), [3, 1, 0xac, 0x02, 100, 0xc8, 0x01, 5]);
    let settled = Event::Settled { run, how: Settle::Acked };
    assert_eq!(encoded(&[settled]), [5, 1, 0xac, 0x02, 100]);
    let waits = Event::Waits { run, why: Wait::Nack, due: never, delay: 3, wall: 128 };
    assert_eq!(encoded(&[waits]), [8, 1, 0xac, 0x02, 100, 3, 0x80, 0x01]);
}

#[test]
fn extending_a_lease_that_runs_is_not_stored() {
    let mut bytes = Vec::new();
    let event = Event::Extended { run: Run::new(0, 0, 1), deadline: Moment(1), late: false };
    assert!(!encode(&[event], &mut bytes));
    assert_eq!(bytes, []);
}

#[test]
fn every_cut_of_a_record_is_refused_or_a_shorter_one() {
    let bytes = encoded(&all());
    let mut whole = 0;
    for end in 0..bytes.len() {
        match decode(&bytes[..end], now()) {
            Ok(events) => {
                assert_eq!(events, all()[..events.len()]);
                whole += 1;
            }
            Err(Inconsistent(why)) => assert!(!why.is_empty()),
        }
    }
    assert_eq!(whole, all().len());
}

/// A ledger in which there is something of everything, with its journal.
fn busy() -> Desk {
    let mut desk = Desk::new(policy(), &[250, 0]);
    let (a, b) = (desk.join("a"), desk.join("b"));
    let claim = desk.read(a, 40)[0];
    desk.ack(&[one(&claim, 251), one(&claim, 255), one(&claim, 280)]);
    let mut lost = Vec::new();
    let (nacked, rejected) = ([one(&claim, 252), one(&claim, 253)], [one(&claim, 260)]);
    desk.run(|l, now, out| l.nack(now, &nacked, super::super::Again::Backoff, out, &mut lost));
    desk.run(|l, now, out| l.nack(now, &rejected, super::super::Again::Never, out, &mut lost));
    desk.snapshot();
    desk.run(|l, now, out| l.release(now.at, &[one(&claim, 262)], out, &mut lost));
    desk.run(|l, _, out| l.extend(&nacked[..1], Moment(90 * SECOND), out, &mut lost));
    desk.read(b, 3);
    desk.run(|l, now, out| l.redrive_all(now.at, 9, out));
    desk.run(|l, _, out| l.skip(1, 0, 1_000, out)).unwrap();
    desk.run(|l, now, out| l.leave(now.at, b, out)).unwrap();
    desk.advance(31);
    desk.expire();
    assert!(lost.is_empty());
    desk
}

#[test]
fn snapshot_reads_back_as_it_was_written() {
    let mut desk = busy();
    desk.snapshot();
    let restored = desk.restored(desk.now, &[300, 1_000, 9]);
    assert_eq!(Desk::bytes(&restored, desk.now), desk.base);
    assert_eq!(restored.totals, desk.ledger.totals);
    assert_eq!(restored.counts(desk.now.at), desk.ledger.counts(desk.now.at));
}

#[test]
fn snapshot_of_another_version_is_refused() {
    let mut bytes = busy().base;
    bytes[0] = 2;
    let decoded = Ledger::decode_snapshot(&bytes, policy(), now(), &[300, 0]);
    assert_eq!(decoded.err(), Some(Inconsistent("a snapshot of another version")));
}

#[test]
fn claims_of_a_snapshot_cost_no_memory() {
    // One run over 2^61 entries, of which the log has none.
    let head = [1, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0];
    let (members, open) = ([1, 0, 0, 1, 1, b'a'], [0, 1, 0, 1, 0, 0, 0]);
    let mut bytes = [&head[..], &members, &open].concat();
    for part in [1_u64 << 61, 1] {
        super::super::wire::put(&mut bytes, part);
    }
    bytes.push(2);
    for part in [0_u64, 1 << 61, 1, 1, 0] {
        super::super::wire::put(&mut bytes, part);
    }
    bytes.push(0);
    let ledger = Ledger::decode_snapshot(&bytes, policy(), now(), &[10]).unwrap();
    ledger.validate();
    assert_eq!((ledger.cursor(0), ledger.pending(0, 0).count()), (Some(10), 10));
    assert!(ledger.cut);
}

#[test]
fn hostile_hand_out_is_cut_to_the_log() {
    let mut ledger = Ledger::new(policy(), &[0]);
    let never = super::super::times::NEVER;
    let joined = Event::Joined { slot: 0, join: 0, alive_until: never, name: "a".into() };
    ledger.replay(joined, &[5]).unwrap();
    ledger.replay(round(true, &[], &[], None), &[5]).unwrap();
    let run = Run::new(0, 0, u32::MAX);
    let out = Event::HandedOut { run, lease: 1, slot: 0, deadline: never, alive_until: never };
    ledger.replay(out, &[5]).unwrap();
    assert_eq!(ledger.pending(0, 0).count(), 5);
    ledger.replay(round(false, &[], &[(0, 0)], None), &[5]).unwrap_err();
    let skipped = Event::Skipped { partition: 0, first: 0, end: u64::MAX, why: Skip::Asked };
    ledger.replay(skipped, &[5]).unwrap();
    assert_eq!(ledger.floor(0), Some(5));
    ledger.validate();
}

#[test]
fn impossible_events_are_refused_and_change_nothing() {
    let (never, due) = (super::super::times::NEVER, Moment(0));
    let desk = busy();
    let before = Desk::bytes(&desk.ledger, desk.now);
    let mut ledger = desk.ledger;
    let ends = [1 << 40; 3];
    let hand_out = |run, lease, slot| Event::HandedOut {
        run,
        lease,
        slot,
        deadline: never,
        alive_until: never,
    };
    let joined = |slot, join, name: &str| Event::Joined {
        slot,
        join,
        alive_until: never,
        name: name.into(),
    };
    let last = Last { attempt: 16, then: Exhausted::Discard };
    let reopened = |ends: &[u64], next_lease| {
        let (ends, totals) = (ends.into(), Totals::default());
        let (unclean, generation) = (false, 99);
        let reopening = Reopening { ends, unclean, next_lease, generation, totals, last, due };
        Event::Reopened(Box::new(reopening))
    };
    let settled = Run::new(0, 251, 1);
    for event in [
        joined(5, 99, "c"),
        joined(1, 0, "c"),
        joined(1, 99, "a"),
        joined(1, 99, ""),
        joined(1, u64::MAX, "c"),
        Event::Left { slot: 1, why: Gone::Left, due, last },
        hand_out(Run::new(0, 291, 5), 3, 0),
        hand_out(settled, 3, 0),
        hand_out(Run::new(0, 290, 5), 1, 0),
        hand_out(Run::new(0, 290, 5), 3, 7),
        hand_out(Run::new(0, 290, 5), u64::MAX, 0),
        hand_out(Run::new(9, 0, 5), 3, 0),
        Event::Extended { run: settled, deadline: never, late: true },
        Event::Settled { run: settled, how: Settle::Acked },
        Event::Settled { run: Run::new(0, 289, 2), how: Settle::Acked },
        Event::Waits { run: Run::new(0, 262, 1), why: Wait::Release, due, delay: 0, wall: 0 },
        Event::Parked { run: settled },
        Event::Redriven { run: settled, due },
        Event::Dropped { run: settled },
        Event::Skipped { partition: 0, first: 291, end: 300, why: Skip::Asked },
        Event::Skipped { partition: 9, first: 0, end: 1, why: Skip::Trimmed },
        Event::SettledThrough { partition: 9, end: 1, slot: 0 },
        Event::Reset { partition: 9, to: 1 },
        Event::Evicted { partition: 0, due, last },
        round(true, &[0], &[], None),
        reopened(&[300, 0, 0], 99),
        reopened(&[300, 0], 0),
    ] {
        assert!(ledger.replay(event.clone(), &ends).is_err(), "{event:?}");
        assert_eq!(Desk::bytes(&ledger, desk.now), before, "{event:?}");
    }
}

/// Replays what may be anything; the result is a sound ledger or an error.
fn feed(base: &[u8], journal: &[Vec<u8>], ends: &[u64]) {
    let Ok(mut ledger) = Ledger::decode_snapshot(base, policy(), now(), ends) else { return };
    ledger.validate();
    for record in journal {
        let Ok(events) = decode(record, now()) else { return };
        for event in events {
            if ledger.replay(event, ends).is_err() {
                return;
            }
            ledger.validate();
        }
    }
    let (mut out, at) = (Vec::new(), now().at);
    ledger.reopen(at, &[0; 3], ends, true, &mut out);
    for event in &out {
        ledger.apply(event);
        ledger.validate();
    }
}

proptest! {
    #[test]
    fn random_bytes_are_never_more_than_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(&bytes, now());
        feed(&bytes, &[], &[100, 100, 100]);
        feed(&busy_parts().0, &[bytes], &[300, 1_000, 9]);
    }

    #[test]
    fn flipped_bytes_are_never_more_than_an_error(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        ends in prop::sample::select(vec![[300, 1_000, 9], [260, 3, 0], [1 << 62; 3]]),
    ) {
        let (mut base, mut journal) = busy_parts();
        let total = base.len() + journal.iter().map(Vec::len).sum::<usize>();
        for (place, byte) in flips {
            let place = place.index(total);
            let mut bytes = base.iter_mut().chain(journal.iter_mut().flatten());
            // Small numbers meet more of the checks than large ones.
            *bytes.nth(place).unwrap() ^= byte & if place % 2 == 0 { 0x1f } else { 0xff };
        }
        if let Some(cut) = cut {
            base.truncate(cut.index(base.len()) + 1);
        }
        feed(&base, &journal, &ends);
    }
}

/// The stored form of a busy ledger, made once.
fn busy_parts() -> (Vec<u8>, Vec<Vec<u8>>) {
    static PARTS: std::sync::OnceLock<(Vec<u8>, Vec<Vec<u8>>)> = std::sync::OnceLock::new();
    let parts = || {
        let desk = busy();
        (desk.base, desk.journal)
    };
    PARTS.get_or_init(parts).clone()
}
