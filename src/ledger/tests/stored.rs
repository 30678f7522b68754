//! The stored form: what is written reads back, and what nobody wrote is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::event::{Last, Pass, Pause, Reopening, Round, Settle, Skip, Totals, Wait};
use super::super::owner::Owner;
use super::super::{Exhausted, Inconsistent, Intent, NOBODY};
use super::*;
use crate::error::Gone;
use crate::loss::Loss;

fn now() -> Now {
    Now { at: Moment(7 * SECOND), wall: 1_600_000_000 * SECOND }
}

/// One event of each stored kind.
fn all() -> Vec<Event> {
    let (run, due, never) = (Run::new(3, 1 << 40, 100), now().at, super::super::times::NEVER);
    let last = Last { attempt: 16, then: Exhausted::Discard, wall: 9 };
    let intent = Intent { stream: u64::MAX, partition: 300, end: 1 << 50 };
    let waits = |why, delay| {
        let wall = if delay > 0 { now().wall } else { 0 };
        Event::Waits { run, why, due: later(due, delay), delay, wall }
    };
    vec![
        Event::Joined { slot: 300, join: 9, alive_until: never, name: "worker-é".into() },
        Event::Left { slot: 300, why: Gone::Expired, due, last },
        handed_out(run, 1 << 37, 2),
        claimed(run, 1 << 37, 2),
        Event::Extended { run, deadline: never, late: true, at: due },
        Event::Settled { run, how: Settle::Acked },
        Event::Settled { run, how: Settle::AckedById },
        Event::Settled { run, how: Settle::Discarded(None) },
        waits(Wait::Time, 30 * SECOND),
        waits(Wait::Nack, 0),
        waits(Wait::Nack, 1),
        waits(Wait::Release, 0),
        Event::Parked { run, wall: 1 << 40, reason: None },
        Event::Parked { run, wall: 0, reason: Some("bad".into()) },
        Event::Deferred { run, due: later(due, SECOND), delay: SECOND, wall: now().wall },
        Event::Redriven { run, due },
        Event::Dropped { run },
        Event::Skipped { partition: 1, first: 5, end: 1 << 50, why: Skip::Asked },
        Event::Skipped { partition: 1, first: 5, end: 1 << 50, why: Skip::Trimmed },
        Event::SettledThrough { partition: 1, end: 1 << 50, slot: 300 },
        Event::Reset { partition: 1, to: 1 << 50 },
        Event::Passed { partition: 1, end: 1 << 50, how: Pass::Filtered },
        Event::Passed { partition: 1, end: 1 << 50, how: Pass::Acked(1 << 20) },
        Event::Passed { partition: 1, end: 1 << 50, how: Pass::Lost(1) },
        Event::Passed { partition: 1, end: 1 << 50, how: Pass::Trimmed(0) },
        round(true, &[], &[], None),
        round(false, &[1, 300], &[(2, 5), (9, 300)], Some(1 << 20)),
        Event::Evicted { partition: 300, due, last },
        Event::Paused(Pause { until: never, timed: None }),
        Event::Paused(Pause { until: later(due, 9), timed: Some((9, now().wall)) }),
        Event::Resumed,
        Event::Reopened(Box::new(Reopening {
            ends: [4, 0, u64::MAX].into(),
            unclean: true,
            next_lease: 77,
            generation: 12,
            totals: Totals {
                acked: 1,
                discarded: 2,
                lost: 3,
                trimmed: Loss { unread: 4, pending: 8, delayed: 9, parked: 10 },
                redelivered: 5,
                rebalances: 6,
                rebalancing: 7,
                dead_lettered: 8,
            },
            last,
            due,
        })),
        Event::Doomed { run, reason: None },
        Event::Doomed { run, reason: Some("bad".into()) },
        Event::Intended { run, intent },
        Event::Buried { run },
        Event::Revived { run, due },
    ]
}

fn handed_out(run: Run, lease: u64, slot: u16) -> Event {
    let (never, at) = (super::super::times::NEVER, now().at);
    Event::HandedOut { run, lease, slot, deadline: never, alive_until: never, at, wall: 300 }
}

fn claimed(run: Run, lease: u64, slot: u16) -> Event {
    let (never, at) = (super::super::times::NEVER, now().at);
    Event::Claimed { run, lease, slot, deadline: never, alive_until: never, at, wall: 300 }
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
    assert_eq!(
        first.into_keys().collect::<Vec<_>>(),
        (1..=21).chain(23..=26).chain(28..=30).collect::<Vec<u8>>()
    );
    let never = super::super::times::NEVER;
    let fields = [1, 0xac, 0x02, 100, 0xc8, 0x01, 5, 0xac, 0x02];
    assert_eq!(encoded(&[handed_out(run, 200, 5)]), [&[3][..], &fields].concat());
    assert_eq!(encoded(&[claimed(run, 200, 5)]), [&[20][..], &fields].concat());
    let by_id = Event::Settled { run, how: Settle::AckedById };
    assert_eq!(encoded(&[by_id]), [21, 1, 0xac, 0x02, 100]);
    let settled = Event::Settled { run, how: Settle::Acked };
    assert_eq!(encoded(&[settled]), [5, 1, 0xac, 0x02, 100]);
    let waits = Event::Waits { run, why: Wait::Nack, due: never, delay: 3, wall: 128 };
    assert_eq!(encoded(&[waits]), [8, 1, 0xac, 0x02, 100, 3, 0x80, 0x01]);
    let passed = |how| Event::Passed { partition: 1, end: 300, how };
    assert_eq!(encoded(&[passed(Pass::Filtered)]), [28, 1, 0xac, 0x02, 0]);
    assert_eq!(encoded(&[passed(Pass::Trimmed(128))]), [28, 1, 0xac, 0x02, 3, 0x80, 0x01]);
    let deferred = Event::Deferred { run, due: never, delay: 3, wall: 128 };
    assert_eq!(encoded(&[deferred]), [29, 1, 0xac, 0x02, 100, 3, 0x80, 0x01]);
}

#[test]
fn extending_a_lease_that_runs_is_not_stored() {
    let mut bytes = Vec::new();
    let event =
        Event::Extended { run: Run::new(0, 0, 1), deadline: Moment(1), late: false, at: Moment(0) };
    assert!(!encode(&[event], &mut bytes));
    assert!(bytes.is_empty());
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
    desk.run(|l, now, out| l.nack(now, &nacked, Again::Backoff, out, &mut lost));
    desk.run(|l, now, out| l.nack(now, &rejected, Again::Never("bad"), out, &mut lost));
    desk.snapshot();
    desk.run(|l, now, out| l.release(now.at, &[one(&claim, 262)], out, &mut lost));
    desk.run(|l, now, out| l.extend(now.at, &nacked[..1], Moment(90 * SECOND), out, &mut lost));
    desk.read(b, 3);
    defer(&mut desk, &[Run::new(0, 290, 4), Run::new(0, 294, 1)], 100);
    desk.run(|l, now, out| l.redrive_all(now.at, 9, out));
    desk.run(|l, _, out| l.skip(1, 0, 500, out)).unwrap();
    desk.run(|l, _, out| l.skip_own(1, 500, 1_000, |range| range.end - range.start, out)).unwrap();
    desk.run(|l, now, out| l.leave(now, b, out)).unwrap();
    let ids: Vec<EntryId> = [265, 266].map(|offset| EntryId::new(0, offset)).into();
    let claims = desk.ledger.claimable(desk.now.at, a, Duration::ZERO, ids).unwrap();
    desk.run(|l, now, out| l.claim(now, a, &claims.runs, out)).unwrap();
    assert_eq!(desk.run(|l, _, out| l.ack_ids(vec![EntryId::new(0, 267)], out)), 1);
    desk.advance(31);
    desk.expire();
    assert!(lost.is_empty());
    desk
}

/// The same where partitions have owners, and are on their way from one to the other: of five, the
/// first is the one's, the second the other's, the third is leaving and busy, the fourth was evicted
/// from and given, and nobody has the last.
fn moving() -> Desk {
    let mut desk = Desk::new(policy(), &[250, 0, 0, 0, 0]);
    let [a, b] =
        ["a", "b"].map(|name| desk.run(|ledger, now, out| ledger.join(now.at, name, out)).unwrap());
    let plan = |desk: &mut Desk, eager, slots: [u16; 5]| {
        let target = Target { open: false, eager, slots: slots.into() };
        desk.run(|ledger, now, out| ledger.plan(now.at, target, out));
        desk.run(|ledger, now, out| ledger.move_on(now, out));
    };
    plan(&mut desk, true, [a.slot, b.slot, a.slot, a.slot, b.slot]);
    let runs = [0, 2, 3].map(|p| Run::new(p, if p == 0 { 250 } else { 0 }, 20));
    let claims = desk.lease(a, &runs, Duration::from_secs(200)).unwrap();
    desk.lease(b, &[Run::new(1, 0, 20)], LEASE).unwrap();
    nack(&mut desk, &[one(&claims[2], 7)], Again::Backoff);
    plan(&mut desk, false, [a.slot, b.slot, a.slot, b.slot, b.slot]);
    desk.snapshot();
    desk.advance(59);
    plan(&mut desk, false, [a.slot, b.slot, b.slot, b.slot, a.slot]);
    desk.advance(1);
    for _ in 0..2 {
        desk.run(|ledger, now, out| ledger.move_on(now, out));
    }
    nack(&mut desk, &[one(&claims[1], 3)], Again::Backoff);
    let seen = desk.ledger.generation();
    let id = EntryId::new(2, 5);
    assert_eq!(desk.run(|l, _, out| l.settle_through(a, seen, id, out)).unwrap(), 6);
    desk.run(|ledger, _, out| ledger.reset(1, 4, out)).unwrap();
    assert_eq!(desk.run(|ledger, _, out| ledger.trimmed(0, 255, 300, out)).entries(), 5);
    let last = desk.ledger.owners.list.clone();
    assert_eq!(last[..2], [Owner::Member(a.slot), Owner::Member(b.slot)]);
    assert_eq!(last[2..4], [Owner::Leaving(Some(a.slot)), Owner::Member(b.slot)]);
    desk.ledger.grow(&[0]);
    desk
}

#[test]
fn snapshot_reads_back_as_it_was_written() {
    for mut desk in [busy(), moving()] {
        desk.snapshot();
        let restored = desk.restored(desk.now, &[300, 1_000, 9, 9, 9, 9]);
        assert_eq!(restored.owners.list, desk.ledger.owners.list);
        assert_eq!(restored.totals, desk.ledger.totals);
    }
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
    let head = [1, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (members, open) = ([1, 0, 0, 1, 1, b'a'], [0, 1, 0, 1, 0, 0, 0]);
    let mut bytes = [&head[..], &members, &open].concat();
    for part in [1_u64 << 61, 1] {
        super::super::wire::put(&mut bytes, part);
    }
    bytes.push(2);
    for part in [0_u64, 1 << 61, 1, 1, 0] {
        super::super::wire::put(&mut bytes, part);
    }
    bytes.extend([0; 6]);
    let ledger = Ledger::decode_snapshot(&bytes, policy(), now(), &[10]).unwrap();
    ledger.validate();
    assert_eq!((ledger.cursor(0), ledger.all_pending(0).count()), (Some(10), 10));
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
    ledger.replay(handed_out(run, 1, 0), &[5]).unwrap();
    assert_eq!(ledger.all_pending(0).count(), 5);
    ledger.replay(round(false, &[], &[(0, 0)], None), &[5]).unwrap_err();
    let skipped = Event::Skipped { partition: 0, first: 0, end: u64::MAX, why: Skip::Asked };
    ledger.replay(skipped, &[5]).unwrap();
    assert_eq!(ledger.floor(0), Some(5));
    ledger.validate();
}

fn reopened(ends: &[u64], next_lease: u64, last: Last) -> Event {
    let (ends, totals, due) = (ends.into(), Totals::default(), Moment(0));
    let (unclean, generation) = (false, 99);
    Event::Reopened(Box::new(Reopening {
        ends,
        unclean,
        next_lease,
        generation,
        totals,
        last,
        due,
    }))
}

#[test]
fn impossible_events_are_refused_and_change_nothing() {
    let (never, due) = (super::super::times::NEVER, Moment(0));
    let desk = busy();
    let before = Desk::bytes(&desk.ledger, desk.now);
    let mut ledger = desk.ledger;
    let ends = [1 << 40; 3];
    let joined = |slot, join, name: &str| Event::Joined {
        slot,
        join,
        alive_until: never,
        name: name.into(),
    };
    let last = Last { attempt: 16, then: Exhausted::Discard, wall: 9 };
    let settled = Run::new(0, 251, 1);
    let intent = Intent { stream: 1, partition: 0, end: 0 };
    let deferred = |run| Event::Deferred { run, due, delay: 1, wall: 1 };
    for event in [
        joined(5, 99, "c"),
        joined(1, 0, "c"),
        joined(1, 99, "a"),
        joined(1, 99, ""),
        joined(1, u64::MAX, "c"),
        Event::Left { slot: 1, why: Gone::Left, due, last },
        handed_out(Run::new(0, 296, 5), 3, 0),
        handed_out(settled, 3, 0),
        handed_out(Run::new(0, 295, 5), 1, 0),
        handed_out(Run::new(0, 295, 5), 3, 7),
        handed_out(Run::new(0, 295, 5), u64::MAX, 0),
        handed_out(Run::new(9, 0, 5), 3, 0),
        claimed(settled, 3, 0),
        claimed(Run::new(0, 294, 2), 3, 0),
        claimed(Run::new(0, 256, 2), 1, 0),
        claimed(Run::new(0, 256, 2), 3, 7),
        claimed(Run::new(9, 0, 1), 3, 0),
        Event::Extended { run: settled, deadline: never, late: true, at: due },
        Event::Settled { run: settled, how: Settle::Acked },
        Event::Settled { run: Run::new(0, 294, 2), how: Settle::Acked },
        Event::Settled { run: Run::new(0, 294, 2), how: Settle::AckedById },
        Event::Waits { run: Run::new(0, 262, 1), why: Wait::Release, due, delay: 0, wall: 0 },
        Event::Parked { run: settled, wall: 0, reason: None },
        Event::Redriven { run: settled, due },
        Event::Dropped { run: settled },
        Event::Doomed { run: settled, reason: None },
        Event::Intended { run: settled, intent },
        Event::Buried { run: settled },
        Event::Buried { run: Run::new(0, 254, 1) },
        Event::Revived { run: Run::new(0, 254, 1), due },
        Event::Revived { run: Run::new(0, 290, 1), due },
        Event::Skipped { partition: 0, first: 296, end: 300, why: Skip::Asked },
        deferred(settled),
        deferred(Run::new(0, 294, 1)),
        deferred(Run::new(0, 296, 1)),
        deferred(Run::new(9, 0, 1)),
        Event::Skipped { partition: 9, first: 0, end: 1, why: Skip::Trimmed },
        Event::SettledThrough { partition: 9, end: 1, slot: 0 },
        Event::Reset { partition: 9, to: 1 },
        Event::Passed { partition: 9, end: 1, how: Pass::Filtered },
        Event::Evicted { partition: 0, due, last },
        round(true, &[0], &[], None),
        reopened(&[300, 0, 0], 99, last),
        reopened(&[300, 0], 0, last),
    ] {
        assert!(ledger.replay(event.clone(), &ends).is_err(), "{event:?}");
        assert_eq!(Desk::bytes(&ledger, desk.now), before, "{event:?}");
    }
}

#[test]
fn impossible_hand_overs_are_refused_and_change_nothing() {
    let desk = moving();
    let before = Desk::bytes(&desk.ledger, desk.now);
    let mut ledger = desk.ledger;
    let (now, never) = (ledger.generation(), super::super::times::NEVER);
    let ends = [1 << 40; 6];
    let last = Last { attempt: 16, then: Exhausted::Discard, wall: 9 };
    let due = Moment(0);
    let at = |generation, open, revoked: &[u32], given: &[(u32, u16)]| {
        let (revoked, given) = (revoked.into(), given.into());
        let (took, until) = (None, never);
        Event::Round(Box::new(Round { generation, open, revoked, given, took, until }))
    };
    let next = |revoked: &[u32], given: &[(u32, u16)]| at(now + 1, false, revoked, given);
    let reopened = |generation| {
        let (ends, totals) = ([300].into(), Totals::default());
        let (unclean, next_lease) = (false, 99);
        let reopening = Reopening { ends, unclean, next_lease, generation, totals, last, due };
        Event::Reopened(Box::new(reopening))
    };
    for event in [
        at(now, false, &[], &[(5, 0)]),
        at(u64::MAX, false, &[], &[(5, 0)]),
        at(now + 1, true, &[0], &[]),
        at(now + 1, true, &[], &[(5, 0)]),
        next(&[1, 0], &[]),
        next(&[0, 0], &[]),
        next(&[2], &[]),
        next(&[5], &[]),
        next(&[6], &[]),
        next(&[u32::MAX], &[]),
        next(&[0], &[(0, 1)]),
        next(&[], &[(0, 1)]),
        next(&[], &[(2, 1)]),
        next(&[], &[(5, 0), (5, 1)]),
        next(&[], &[(5, 2)]),
        next(&[], &[(5, NOBODY)]),
        next(&[], &[(6, 0)]),
        Event::Evicted { partition: 0, due, last },
        Event::Evicted { partition: 5, due, last },
        Event::Evicted { partition: u32::MAX, due, last },
        handed_out(Run::new(0, 270, 1), 9, 1),
        handed_out(Run::new(2, 20, 1), 9, 0),
        handed_out(Run::new(5, 0, 1), 9, 0),
        claimed(Run::new(2, 20, 1), 9, 0),
        Event::Extended { run: Run::new(3, 7, 1), deadline: never, late: true, at: due },
        Event::SettledThrough { partition: 6, end: 1, slot: 0 },
        Event::Reset { partition: 6, to: 1 },
        reopened(now),
        reopened(u64::MAX),
    ] {
        assert!(ledger.replay(event.clone(), &ends).is_err(), "{event:?}");
        assert_eq!(Desk::bytes(&ledger, desk.now), before, "{event:?}");
    }
    // Beyond every log, where it is not cut to one.
    let past = u64::MAX;
    for event in [
        Event::SettledThrough { partition: 0, end: past, slot: 0 },
        Event::Reset { partition: 0, to: past },
        Event::Skipped { partition: 0, first: 0, end: past, why: Skip::Trimmed },
    ] {
        assert!(ledger.replay(event.clone(), &[past; 6]).is_err(), "{event:?}");
        ledger.replay(event, &[300; 6]).unwrap();
        ledger.validate();
        assert_eq!(ledger.floor(0), Some(300));
    }
}

#[test]
fn a_lease_in_what_is_nobodys_is_not_brought_back() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    nack(&mut desk, &[claim], Again::Backoff);
    // No ledger takes what is open from everybody without saying so.
    desk.ledger.replay(round(false, &[], &[], None), &[300]).unwrap();
    let extended =
        Event::Extended { run: claim.run, deadline: Moment(0), late: true, at: Moment(0) };
    desk.ledger.replay(extended, &[300]).unwrap_err();
    desk.ledger.validate();
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
    ledger.reopen(now(), &[0; 6], ends, true, &mut out);
    for event in out.drain(..) {
        ledger.apply(&event);
        ledger.validate();
    }
    // It goes on as any other.
    let member = ledger.join(at, "next", &mut out).unwrap();
    out.drain(..).for_each(|event| ledger.apply(&event));
    for eager in [false, true] {
        let slots = vec![member.slot; ledger.partitions()].into();
        ledger.plan(at, Target { open: false, eager, slots }, &mut out);
        while !out.is_empty() {
            out.drain(..).for_each(|event| ledger.apply(&event));
            ledger.validate();
            ledger.move_on(now(), &mut out);
        }
        assert!(!ledger.is_moving());
    }
}

proptest! {
    #[test]
    fn random_bytes_are_never_more_than_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode(&bytes, now());
        feed(&bytes, &[], &[100, 100, 100]);
        for (base, _) in parts() {
            feed(base, std::slice::from_ref(&bytes), &[300, 1_000, 9, 9, 9, 9]);
        }
    }

    #[test]
    fn flipped_bytes_are_never_more_than_an_error(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        ends in prop::sample::select(vec![
            [300, 1_000, 9, 9, 9, 9],
            [260, 3, 0, 3, 0, 0],
            [1 << 62; 6],
        ]),
        which in 0..2_usize,
    ) {
        let (mut base, mut journal) = parts()[which].clone();
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

type Parts = (Vec<u8>, Vec<Vec<u8>>);

/// The stored forms of ledgers in which much goes on, made once.
fn parts() -> &'static [Parts; 2] {
    static PARTS: std::sync::OnceLock<[Parts; 2]> = std::sync::OnceLock::new();
    PARTS.get_or_init(|| [busy(), moving()].map(|desk| (desk.base, desk.journal)))
}
