//! New entries that are not due yet.

use super::super::{OnTrimmed, Standing};
use super::*;
use crate::blocked::Unclaimed;
use crate::loss::Loss;

/// A desk whose partition 0 starts at 250, and a member.
fn desk() -> (Desk, MemberId) {
    let mut desk = Desk::plain();
    let member = desk.join("a");
    (desk, member)
}

/// Entries `first..end` of partition 0.
fn run(first: u64, end: u64) -> Run {
    Run::new(0, first, u32::try_from(end - first).unwrap())
}

#[test]
fn a_deferred_entry_is_passed_pending_and_due_in_its_time_as_a_first_attempt() {
    let (mut desk, member) = desk();
    defer(&mut desk, &[run(250, 253)], 60);
    assert_eq!((desk.ledger.cursor(0), desk.ledger.floor(0)), (Some(253), Some(250)));
    assert_eq!(desk.ledger.lag(0, 250, 260), 10);
    assert_eq!(desk.due(), []);
    let counts = desk.ledger.counts(desk.now.at);
    assert_eq!((counts.delayed, counts.deferred, counts.leased), (3, 3, 0));
    let due = later(desk.now.at, 60 * SECOND);
    assert_eq!(desk.ledger.next_moment(desk.now.at), due);
    desk.advance(60);
    assert_eq!(desk.due(), [(250, 3)]);
    let claim = desk.read(member, 10)[0];
    assert_eq!(desk.pending(), [(250, 1, true), (251, 1, true), (252, 1, true)]);
    let counts = desk.ledger.counts(desk.now.at);
    assert_eq!((counts.redelivered, counts.deferred), (0, 0));
    assert_eq!(desk.ack(&[claim]), []);
    assert_eq!(desk.ledger.floor(0), Some(253));
}

#[test]
fn deferrals_take_their_places_between_the_hand_outs_of_their_read() {
    let (mut desk, member) = desk();
    let until = desk.now.wall + 9 * SECOND;
    let now = desk.now;
    let deferrals: Vec<_> = [
        (250, 251, until, 0),
        (253, 255, until, 1),
        (255, 256, until, 1),
        (256, 257, until + 1, 1),
        (258, 260, until, 2),
    ]
    .into_iter()
    .flat_map(|(first, end, until, after)| {
        (first..end).map(move |n| Deferral::new(now, EntryId::new(0, n), until, after))
    })
    .collect();
    let runs = [run(251, 253), run(257, 258)];
    desk.run(|ledger, now, out| {
        ledger.hand_out_or_defer(now, member, LEASE, &runs, &deferrals, out).unwrap();
    });
    let out = |offset| (offset, 1, true);
    let not = |offset| (offset, 0, false);
    let expected = [
        not(250),
        out(251),
        out(252),
        not(253),
        not(254),
        not(255),
        not(256),
        out(257),
        not(258),
        not(259),
    ];
    assert_eq!(desk.pending(), expected);
    let told = desk.told.iter().filter(|event| matches!(event, Event::Deferred { .. }));
    assert_eq!(told.count(), 4, "neighbours that are due together are one event");
    let now = desk.now;
    assert_eq!(Desk::bytes(&desk.restored(now, &[300]), now), Desk::bytes(&desk.ledger, now));
}

#[test]
fn deferred_entries_come_by_due_time_among_all_others_that_wait() {
    let (mut desk, member) = desk();
    defer(&mut desk, &[run(250, 252)], 30);
    defer(&mut desk, &[run(252, 253)], 5);
    let claim = desk.read(member, 1)[0];
    assert_eq!(claim.run, run(253, 254));
    nack(&mut desk, &[claim], Again::After(Duration::from_secs(10)));
    desk.advance(30);
    assert_eq!(desk.due(), [(252, 1), (253, 1), (250, 2)]);
}

#[test]
fn nobody_has_a_token_of_a_deferred_entry() {
    let (mut desk, member) = desk();
    defer(&mut desk, &[run(250, 251)], 30);
    let forged = |lease| Claim { run: run(250, 251), lease };
    assert_eq!(reasons(&desk.ack(&[forged(0)])), [Lost::Reset]);
    assert_eq!(reasons(&desk.ack(&[forged(1)])), [Lost::Taken]);
    let held = desk.read(member, 1)[0];
    desk.run(|ledger, _, out| ledger.reset(0, 250, out)).unwrap();
    defer(&mut desk, &[run(250, 252)], 30);
    assert_eq!(reasons(&desk.ack(&[held])), [Lost::Reset]);
}

#[test]
fn nobody_can_claim_what_was_never_handed_out() {
    let (mut desk, member) = desk();
    defer(&mut desk, &[run(250, 252)], 30);
    desk.read(member, 1);
    desk.advance(29);
    let ids: Vec<EntryId> = (250..253).map(|offset| EntryId::new(0, offset)).collect();
    let claims = desk.ledger.claimable(desk.now.at, member, Duration::ZERO, ids).unwrap();
    assert_eq!(claims.runs, [run(252, 253)]);
    let why = |(id, why): &(EntryId, Unclaimed)| (id.offset(), *why);
    let refused: Vec<_> = claims.refused.iter().map(why).collect();
    assert_eq!(refused, [(250, Unclaimed::NotPending), (251, Unclaimed::NotPending)]);
    let mut claims = super::super::Claims::default();
    let (now, from) = (desk.now.at, EntryId::new(0, 0));
    for _ in 0..2 {
        claims.runs.clear();
        let found =
            desk.ledger.idle_claims(now, member, Duration::from_secs(1), from, 9, &mut claims);
        assert_eq!((found.unwrap(), claims.runs.as_slice()), (None, &[run(252, 253)][..]));
    }
    let idle = desk.ledger.all_pending(0).map(|entry| now.since(entry.touched));
    let second = Duration::from_secs(1);
    assert_eq!(idle.collect::<Vec<_>>(), [Duration::ZERO, Duration::ZERO, second * 29]);
}

#[test]
fn released_and_nacked_ones_are_like_all_others() {
    let (mut desk, member) = desk();
    defer(&mut desk, &[run(250, 252)], 1);
    desk.advance(1);
    let claim = desk.read(member, 2)[0];
    release(&mut desk, &[one(&claim, 250)]);
    nack(&mut desk, &[one(&claim, 251)], Again::Backoff);
    assert_eq!(desk.pending(), [(250, 0, false), (251, 1, false)]);
    assert_eq!(desk.ledger.counts(desk.now.at).deferred, 0);
    assert_eq!(reasons(&desk.ack(&[one(&claim, 250)])), [Lost::Released]);
}

#[test]
fn settling_through_an_offset_leaves_what_was_deferred() {
    let (mut desk, member) = desk();
    defer(&mut desk, &[run(250, 252)], 30);
    let claim = desk.read(member, 2)[0];
    let settle = |ledger: &mut Ledger, _, out: &mut Vec<Event>| {
        ledger.settle_through(member, 99, EntryId::new(0, 254), out)
    };
    assert_eq!(desk.run(settle).unwrap(), 3);
    assert_eq!(desk.pending(), [(250, 0, false), (251, 0, false)]);
    assert_eq!(reasons(&desk.ack(&[claim])), [Lost::Settled]);
    assert_eq!((desk.ledger.floor(0), desk.ledger.cursor(0)), (Some(250), Some(255)));
    assert_eq!(desk.run(settle).unwrap(), 0);
}

#[test]
fn skips_trims_and_resets_count_deferred_entries_as_lost() {
    let (mut desk, _) = desk();
    defer(&mut desk, &[run(250, 260)], 30);
    assert_eq!(desk.run(|ledger, _, out| ledger.skip(0, 250, 252, out)).unwrap(), 2);
    let lost = desk.run(|ledger, _, out| ledger.trimmed(0, 255, 300, out));
    assert_eq!(lost, Loss { delayed: 3, ..Loss::default() });
    desk.run(|ledger, _, out| ledger.reset(0, 258, out)).unwrap();
    let counts = desk.ledger.counts(desk.now.at);
    assert_eq!((counts.lost, counts.trimmed.delayed, counts.deferred), (5, 3, 0));
    assert_eq!(desk.ledger.policy().on_trimmed, OnTrimmed::Earliest);
    assert_eq!(desk.pending(), []);
}

#[test]
fn room_to_defer_is_what_the_policy_leaves() {
    let mut desk = Desk::new(Policy { delayed_max: 5, ..policy() }, &[250]);
    let member = desk.join("a");
    assert_eq!(desk.ledger.room_to_defer(), 5);
    defer(&mut desk, &[run(250, 253)], 30);
    let claim = desk.read(member, 4)[0];
    nack(&mut desk, &[claim], Again::Backoff);
    assert_eq!(desk.ledger.room_to_defer(), 2, "retries do not count");
    assert_eq!(desk.ledger.room(member).unwrap(), 10_000, "they are not in flight");
    desk.advance(30);
    assert_eq!(desk.ledger.room_to_defer(), 2, "one that is due still waits");
    desk.read(member, 10);
    assert_eq!(desk.ledger.room_to_defer(), 5);
    let policy = Policy { delayed_max: 0, ..desk.ledger.policy().clone() };
    desk.ledger.set_policy(policy);
    assert_eq!(desk.ledger.room_to_defer(), 0);
}

#[test]
fn delays_survive_a_reopening_and_are_clamped_to_their_length() {
    for (unclean, snapshot) in [(false, false), (true, false), (false, true), (true, true)] {
        for (passed, back, left) in [(20, 0, 40), (90, 0, 0), (0, 500, 60)] {
            let (mut desk, member) = desk();
            defer(&mut desk, &[run(250, 252)], 60);
            desk.read(member, 1);
            if snapshot {
                desk.snapshot();
            }
            let wall = desk.now.wall + passed * SECOND - back * SECOND;
            let now = Now { at: Moment(3), wall };
            desk.reopen(now, &[250], &[300], unclean);
            let standing = desk.ledger.all_pending(0).next().unwrap().standing;
            assert_eq!(standing, Standing::Waiting(Moment(3 + left * SECOND)));
            assert_eq!(desk.ledger.counts(now.at).deferred, 2);
            let member = desk.join("b");
            desk.advance(60);
            let claims = desk.read(member, 9);
            assert_eq!(claims.iter().map(|claim| claim.run.count).sum::<u32>(), 3);
            let attempts = desk.pending();
            assert_eq!(attempts, [(250, 1, true), (251, 1, true), (252, 2, true)]);
            assert_eq!(desk.ledger.counts(desk.now.at).redelivered, 1);
        }
    }
}

#[test]
fn what_the_log_lost_is_met_anew() {
    let (mut desk, _) = desk();
    defer(&mut desk, &[run(250, 256)], 60);
    desk.reopen(desk.now, &[250], &[252], true);
    assert_eq!(desk.ledger.cursor(0), Some(252));
    assert_eq!(desk.pending(), [(250, 0, false), (251, 0, false)]);
    defer(&mut desk, &[run(252, 253)], 5);
    assert_eq!(desk.ledger.counts(desk.now.at).deferred, 3);
}
