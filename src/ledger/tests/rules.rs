//! The rules of delivery, one fact a test.

use std::time::Duration;

use super::super::{Again, Exhausted, Policy, Then};
use super::*;
use crate::error::{Error, Gone};

fn nack(desk: &mut Desk, claims: &[Claim], again: Again) -> Vec<(EntryId, Lost)> {
    let mut lost = Vec::new();
    desk.run(|ledger, now, out| ledger.nack(now, claims, again, out, &mut lost));
    lost
}

fn release(desk: &mut Desk, claims: &[Claim]) -> Vec<(EntryId, Lost)> {
    let mut lost = Vec::new();
    desk.run(|ledger, now, out| ledger.release(now.at, claims, out, &mut lost));
    lost
}

fn extend(desk: &mut Desk, claims: &[Claim], seconds: u64) -> Vec<(EntryId, Lost)> {
    let (mut lost, until) = (Vec::new(), later(desk.now.at, seconds * SECOND));
    desk.run(|ledger, _, out| ledger.extend(claims, until, out, &mut lost));
    lost
}

fn reasons(lost: &[(EntryId, Lost)]) -> Vec<Lost> {
    let mut reasons: Vec<Lost> = lost.iter().map(|(_, why)| *why).collect();
    reasons.dedup();
    reasons
}

#[test]
fn acked_entries_let_the_floor_pass_even_over_chunk_borders() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claims = desk.read(a, 600);
    assert_eq!((desk.ledger.floor(0), desk.ledger.cursor(0)), (Some(250), Some(850)));
    assert_eq!(desk.ack(&[Claim { run: Run::new(0, 251, 598), ..claims[0] }]), []);
    assert_eq!(desk.ledger.floor(0), Some(250));
    assert_eq!(desk.ledger.lag(&[900]), 52);
    desk.ack(&[one(&claims[0], 250)]);
    assert_eq!(desk.ledger.floor(0), Some(849));
    desk.ack(&[one(&claims[0], 849)]);
    assert_eq!((desk.ledger.floor(0), desk.ledger.lag(&[900])), (Some(850), 50));
    assert_eq!(desk.ledger.counts(desk.now.at).acked, 600);
}

#[test]
fn one_bad_claim_costs_no_good_one() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    let stray = |partition, offset, lease| Claim { run: Run::new(partition, offset, 1), lease };
    let lost = desk.ack(&[
        one(&claim, 259),
        stray(7, 0, claim.lease),
        one(&claim, 255),
        stray(0, 251, claim.lease + 1),
        stray(0, 999, claim.lease),
        stray(0, u64::MAX, claim.lease),
        stray(0, 3, claim.lease),
        one(&claim, 255),
        one(&claim, 251),
    ]);
    let lost: Vec<_> = lost.iter().map(|(id, why)| (id.to_string(), *why)).collect();
    let void = |id: &str, why| (id.to_string(), why);
    assert_eq!(
        lost,
        [
            void("0-3", Lost::Settled),
            void("0-251", Lost::Taken),
            void("0-999", Lost::Reset),
            void("0-18446744073709551615", Lost::Reset),
            void("7-0", Lost::Reset),
        ]
    );
    assert_eq!(desk.ledger.counts(desk.now.at).acked, 3);
    assert_eq!(reasons(&desk.ack(&[one(&claim, 255)])), [Lost::Settled]);
}

#[test]
fn unacked_entry_returns_after_its_lease_and_its_backoff() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    desk.read(a, 10);
    assert_eq!(desk.ledger.next_moment(desk.now.at), later(desk.now.at, 30 * SECOND));
    desk.advance(29);
    desk.expire();
    assert_eq!(desk.pending()[0], (250, 1, true));
    // Nobody looks for nine seconds: the backoff counts from the end of the lease.
    desk.advance(10);
    desk.expire();
    assert_eq!((desk.pending()[9], desk.due()), ((259, 1, false), vec![]));
    assert_eq!(desk.ledger.next_moment(desk.now.at), later(desk.now.at, SECOND));
    desk.advance(1);
    assert_eq!(desk.due(), [(250, 10)]);
    assert_eq!(desk.read(a, 10)[0].run, Run::new(0, 250, 10));
    assert_eq!(desk.pending()[0], (250, 2, true));
    assert_eq!(desk.ledger.counts(desk.now.at).redelivered, 10);
}

#[test]
fn ended_leases_are_found_again_if_their_events_were_not_journaled() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    desk.read(a, 10);
    desk.advance(31);
    let (mut refused, mut journaled) = (Vec::new(), Vec::new());
    desk.ledger.expire(desk.now, &mut refused);
    desk.ledger.expire(desk.now, &mut journaled);
    assert_eq!(refused.len(), 1, "one event for a run over two chunks");
    assert_eq!(refused, journaled);
}

#[test]
fn late_ack_and_extend_count_until_somebody_else_is_given_the_entry() {
    let mut desk = Desk::plain();
    let (a, b) = (desk.join("a"), desk.join("b"));
    let by_time = desk.read(a, 4)[0];
    let by_nack = desk.read(a, 4)[0];
    assert_eq!(nack(&mut desk, &[by_nack], Again::Backoff), []);
    desk.advance(31);
    desk.expire();
    assert_eq!(desk.ack(&[one(&by_time, 250), one(&by_nack, 254)]), []);
    assert_eq!(extend(&mut desk, &[one(&by_time, 251), one(&by_nack, 255)], 60), []);
    assert_eq!(desk.pending()[0], (251, 1, true), "extending is not an attempt");
    desk.advance(20);
    let taken = desk.read(b, 10);
    assert_eq!(taken.iter().map(|claim| claim.run.count).sum::<u32>(), 4);
    let lost = desk.ack(&[one(&by_time, 252), one(&by_nack, 257), one(&by_time, 251)]);
    assert_eq!(reasons(&lost), [Lost::Taken]);
    assert_eq!(lost.len(), 2);
    desk.advance(41);
    desk.expire();
    assert_eq!(desk.pending().iter().filter(|(.., leased)| *leased).count(), 0);
}

#[test]
fn nack_waits_for_the_backoff_or_for_what_it_says() {
    for (again, seconds) in [
        (Again::Backoff, 10),
        (Again::After(Duration::from_secs(3)), 3),
        (Again::After(Duration::ZERO), 0),
    ] {
        let mut desk = Desk::plain();
        let a = desk.join("a");
        let claim = desk.read(a, 10)[0];
        nack(&mut desk, &[one(&claim, 252)], again);
        // A second nack finds it done already.
        assert_eq!(nack(&mut desk, &[one(&claim, 252)], Again::Backoff), []);
        for _ in 0..seconds {
            assert_eq!(desk.due(), [], "{again:?}");
            desk.advance(1);
        }
        assert_eq!(desk.due(), [(252, 1)], "{again:?}");
    }
}

#[test]
fn long_delay_never_holds_up_a_short_one() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 3)[0];
    for (offset, seconds) in [(250, 100), (252, 1), (251, 50)] {
        nack(&mut desk, &[one(&claim, offset)], Again::After(Duration::from_secs(seconds)));
    }
    desk.advance(100);
    assert_eq!(desk.due(), [(252, 1), (251, 1), (250, 1)]);
    assert_eq!(desk.ledger.counts(desk.now.at).due, 3);
    assert_eq!(desk.ledger.counts(Moment(0)).delayed, 3);
}

#[test]
fn exhausted_entries_go_where_the_policy_says() {
    for then in [Exhausted::Park, Exhausted::Discard] {
        let mut desk = Desk::new(Policy { on_exhausted: then, ..policy() }, &[250]);
        let a = desk.join("a");
        for attempt in 1..=3 {
            let claims = desk.read(a, 10);
            assert_eq!(desk.pending()[0], (250, attempt, true));
            nack(&mut desk, &claims[..1], Again::After(Duration::ZERO));
        }
        let counts = desk.ledger.counts(desk.now.at);
        let parked = then == Exhausted::Park;
        assert_eq!((counts.parked, counts.discarded), if parked { (10, 0) } else { (0, 10) });
        assert_eq!(desk.ledger.floor(0), Some(260), "the floor passes them");
        assert_eq!(desk.ledger.first_needed(0), Some(if parked { 250 } else { 260 }));
    }
}

#[test]
fn expired_lease_of_the_last_attempt_is_exhausted() {
    let mut desk = Desk::new(Policy { max_deliveries: 1, ..policy() }, &[250]);
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    desk.advance(30);
    desk.expire();
    assert_eq!(desk.ledger.counts(desk.now.at).parked, 10);
    assert_eq!(reasons(&desk.ack(&[claim])), [Lost::Settled]);
}

#[test]
fn rejected_entries_are_exhausted_at_once() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    nack(&mut desk, &[one(&claim, 253)], Again::Backoff);
    assert_eq!(nack(&mut desk, &[claim], Again::Never), []);
    assert_eq!(desk.ledger.counts(desk.now.at).parked, 10);
}

#[test]
fn release_is_not_counted_and_voids_the_token() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    assert_eq!(release(&mut desk, &[claim]), []);
    assert_eq!((desk.pending()[0], desk.due()), ((250, 0, false), vec![(250, 10)]));
    assert_eq!(reasons(&desk.ack(&[claim])), [Lost::Released]);
    assert_eq!(reasons(&extend(&mut desk, &[claim], 1)), [Lost::Released]);
    desk.read(a, 10);
    assert_eq!(desk.pending()[0], (250, 1, true));
    assert_eq!(reasons(&nack(&mut desk, &[claim], Again::Backoff)), [Lost::Taken]);
    assert_eq!(desk.ledger.counts(desk.now.at).redelivered, 0);
}

#[test]
fn what_was_taken_is_nacked_and_what_was_not_is_released() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 3)[0];
    desk.ack(&[one(&claim, 252)]);
    let back = [one(&claim, 250), one(&claim, 252)];
    desk.run(|ledger, now, out| ledger.hand_back(now, &back, true, out));
    let back = [one(&claim, 251), one(&claim, 250)];
    desk.run(|ledger, now, out| ledger.hand_back(now, &back, false, out));
    assert_eq!(desk.pending(), [(250, 1, false), (251, 0, false)]);
    assert_eq!(desk.due(), [(251, 1)]);
}

#[test]
fn leaving_hands_back_at_once_and_voids_all_tokens() {
    let gone: [(&str, Gone); 3] =
        [("leave", Gone::Left), ("remove", Gone::Removed), ("expire", Gone::Expired)];
    for (how, why) in gone {
        let lease = Duration::from_secs(400);
        let mut desk = Desk::new(Policy { lease, ..policy() }, &[250]);
        let (a, b) = (desk.join("a"), desk.join("b"));
        let waiting = desk.read(a, 2)[0];
        nack(&mut desk, &[waiting], Again::After(Duration::from_secs(1_000)));
        let kept = desk.read(b, 2)[0];
        let leased = desk.lease(a, &[Run::new(0, 254, 300)], lease).unwrap()[0];
        match how {
            "leave" => desk.run(|ledger, now, out| ledger.leave(now.at, a, out)).unwrap(),
            "remove" => desk.run(|ledger, now, out| ledger.remove(now.at, "a", out)).unwrap(),
            _ => {
                extend(&mut desk, &[kept], 500);
                desk.advance(299);
                desk.expire();
                assert!(desk.ledger.check_member(a).is_ok());
                desk.advance(1);
                desk.expire();
            }
        }
        assert_eq!(desk.due(), [(254, 300)], "{how}");
        assert_eq!(desk.pending().len(), 304);
        assert_eq!(reasons(&desk.ack(&[leased, waiting])), [Lost::Left], "{how}");
        let again = desk.run(|ledger, now, out| ledger.leave(now.at, a, out));
        assert!(matches!(again, Err(Error::NotAMember { why: found }) if found == why), "{how}");
        // A new member in the same slot does not inherit what the old one had.
        let next = desk.join("a");
        assert_eq!((next.slot, next == a), (a.slot, false));
        assert_eq!(reasons(&desk.ack(&[waiting])), [Lost::Left], "{how}");
        assert!(desk.lease(a, &[], LEASE).is_err());
        assert_eq!(desk.ack(&[kept]), []);
    }
}

#[test]
fn lease_of_its_own_length_keeps_its_member_alive() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let lease = Duration::from_secs(400);
    let claims = desk.lease(a, &[Run::new(0, 250, 1)], lease).unwrap();
    desk.advance(399);
    desk.expire();
    extend(&mut desk, &claims, 500);
    desk.advance(499);
    desk.expire();
    assert!(desk.ledger.check_member(a).is_ok());
    desk.advance(1);
    desk.expire();
    assert!(desk.ledger.check_member(a).is_err());
}

#[test]
fn last_attempt_of_a_member_that_leaves_is_exhausted() {
    let mut desk = Desk::new(Policy { max_deliveries: 1, ..policy() }, &[250]);
    let a = desk.join("a");
    desk.read(a, 10);
    desk.run(|ledger, now, out| ledger.leave(now.at, a, out)).unwrap();
    assert_eq!(desk.ledger.counts(desk.now.at).parked, 10);
}

#[test]
fn names_are_unique_among_the_living() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let twice = desk.run(|ledger, now, out| ledger.join(now.at, "a", out));
    assert!(matches!(twice, Err(Error::MemberExists { .. })));
    for name in ["", &"x".repeat(256)] {
        let refused = desk.run(|ledger, now, out| ledger.join(now.at, name, out));
        assert!(matches!(refused, Err(Error::InvalidName { .. })));
    }
    let unknown = desk.run(|ledger, now, out| ledger.remove(now.at, "b", out));
    assert!(matches!(unknown, Err(Error::NotFound { .. })));
    assert_eq!(desk.ledger.member("a"), Some(a));
}

#[test]
fn silent_members_go_and_those_that_stir_stay() {
    let mut desk = Desk::plain();
    let [silent, acks, blocks, reads] = ["silent", "acks", "blocks", "reads"].map(|n| desk.join(n));
    desk.ledger.block(blocks).unwrap();
    desk.advance(299);
    desk.ledger.touch_untimed(acks);
    desk.ledger.touch(desk.now.at, reads).unwrap();
    desk.expire();
    desk.advance(1);
    desk.expire();
    let live = |desk: &Desk| desk.ledger.members().count();
    assert!(matches!(
        desk.ledger.check_member(silent),
        Err(Error::NotAMember { why: Gone::Expired })
    ));
    assert_eq!(live(&desk), 3);
    desk.advance(297);
    desk.expire();
    assert_eq!(live(&desk), 3);
    desk.advance(1);
    desk.expire();
    desk.advance(1);
    desk.expire();
    assert_eq!(live(&desk), 1, "an ack counts from when it was first seen");
    desk.ledger.unblock(desk.now.at, blocks);
    assert_eq!(desk.ledger.next_moment(desk.now.at), later(desk.now.at, 300 * SECOND));
    desk.advance(300);
    desk.expire();
    assert_eq!(live(&desk), 0);
}

#[test]
fn limits_leave_no_room_and_waiting_entries_do_not_use_it() {
    let limits = Policy { max_in_flight: 10, max_in_flight_per_consumer: 6, ..policy() };
    let mut desk = Desk::new(limits, &[250]);
    let (a, b) = (desk.join("a"), desk.join("b"));
    let claim = desk.read(a, 5)[0];
    assert_eq!((desk.ledger.room(a).unwrap(), desk.ledger.room(b).unwrap()), (1, 5));
    desk.read(b, 4);
    assert_eq!((desk.ledger.room(a).unwrap(), desk.ledger.room(b).unwrap()), (1, 1));
    nack(&mut desk, &[claim], Again::Backoff);
    assert_eq!((desk.ledger.room(a).unwrap(), desk.ledger.room(b).unwrap()), (6, 2));
}

#[test]
fn suspect_before_its_last_attempt_goes_alone() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 6)[0];
    // 253 has one attempt less than its neighbours when the process dies.
    nack(&mut desk, &[claim], Again::After(Duration::ZERO));
    desk.lease(a, &[Run::new(0, 250, 3), Run::new(0, 254, 2)], LEASE).unwrap();
    desk.lease(a, &[Run::new(0, 253, 1)], LEASE).unwrap();
    let (mut unheard, last) = (Vec::new(), Claim { run: Run::new(0, 253, 1), lease: 3 });
    desk.run(|ledger, now, out| ledger.release(now.at, &[last], out, &mut unheard));
    desk.lease(a, &[Run::new(0, 256, 1)], LEASE).unwrap();
    desk.reopen(desk.now, &[0], &[300], true);
    assert_eq!(desk.due(), [(250, 1)]);
    let b = desk.join("b");
    for (runs, then) in [
        (vec![(250, 1)], Then::Nothing),
        (vec![(251, 1)], Then::Nothing),
        (vec![(252, 1)], Then::Nothing),
        (vec![(253, 1)], Then::Nothing),
        (vec![(254, 1)], Then::Nothing),
        (vec![(255, 1)], Then::Nothing),
        (vec![(256, 1)], Then::New),
    ] {
        let mut found = Vec::new();
        assert_eq!(desk.ledger.due_runs(desk.now.at, 9, &mut found), then);
        assert_eq!(found.iter().map(|r| (r.first, r.count)).collect::<Vec<_>>(), runs);
        desk.lease(b, &found, LEASE).unwrap();
    }
}

#[test]
fn reopening_ends_leases_and_keeps_delays() {
    for unclean in [false, true] {
        let mut desk = Desk::plain();
        let a = desk.join("a");
        let claim = desk.read(a, 10)[0];
        nack(&mut desk, &[one(&claim, 255)], Again::After(Duration::from_secs(100)));
        desk.advance(40);
        let next = desk.ledger.next_lease;
        let now = Now { at: Moment(7), ..desk.now };
        desk.reopen(now, &[0], &[300], unclean);
        assert_eq!(desk.due(), [(250, 5), (256, 4)]);
        assert_eq!(desk.ledger.next_moment(now.at), later(now.at, 60 * SECOND));
        assert_eq!(reasons(&desk.ack(&[claim])), [Lost::Reset]);
        assert_eq!(desk.ledger.members().count(), 0);
        assert_eq!(desk.ledger.next_lease > next, unclean, "lost numbers are not given again");
        assert!(desk.ledger.first_lease >= next);
        let b = desk.join("b");
        let again = desk.read(b, 10);
        assert!(again[0].lease >= next);
        assert_eq!(reasons(&desk.ack(&[one(&claim, 250)])), [Lost::Taken]);
        assert_eq!(desk.ack(&again), []);
    }
}

#[test]
fn jumping_wall_clock_neither_prolongs_a_delay_nor_hides_it() {
    for (wall, left) in [(0, 100), (-1_000, 100), (30, 70), (9_999, 0)] {
        let mut desk = Desk::plain();
        let a = desk.join("a");
        let claims = desk.read(a, 10);
        nack(&mut desk, &claims, Again::After(Duration::from_secs(100)));
        let wall = desk.now.wall.saturating_add_signed(wall * SECOND.cast_signed());
        desk.reopen(Now { at: Moment(0), wall }, &[0], &[300], false);
        assert_eq!(desk.due().is_empty(), left > 0, "{wall}");
        desk.advance(left);
        assert_eq!(desk.due(), [(250, 10)], "{wall}");
    }
}

#[test]
fn reopening_at_the_last_attempt_exhausts() {
    let mut desk = Desk::new(Policy { max_deliveries: 1, ..policy() }, &[250]);
    let a = desk.join("a");
    desk.read(a, 10);
    desk.reopen(desk.now, &[0], &[300], true);
    assert_eq!(desk.ledger.counts(desk.now.at).parked, 10);
}

#[test]
fn group_at_rest_writes_nothing_when_reopened() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claims = desk.read(a, 10);
    desk.ack(&claims);
    desk.run(|ledger, now, out| ledger.leave(now.at, a, out)).unwrap();
    let records = desk.journal.len();
    desk.reopen(desk.now, &[0], &[260], false);
    assert_eq!(desk.journal.len(), records);
}

#[test]
fn what_the_log_lost_is_forgotten() {
    let mut desk = Desk::new(policy(), &[250, 0]);
    let a = desk.join("a");
    let claim = desk.read(a, 600)[0];
    desk.ack(&[Claim { run: Run::new(0, 300, 550), ..claim }]);
    nack(&mut desk, &[one(&claim, 299)], Again::Never);
    nack(&mut desk, &[one(&claim, 280)], Again::Never);
    for (end, pending, floor) in [(290, 39, 250), (256, 6, 250), (250, 0, 250), (100, 0, 100)] {
        desk.reopen(desk.now, &[0, 0], &[end, 0], true);
        assert_eq!(desk.pending().len(), pending);
        assert_eq!((desk.ledger.cursor(0), desk.ledger.floor(0)), (Some(end), Some(floor)));
        assert_eq!(desk.ledger.counts(desk.now.at).parked, u64::from(end == 290));
    }
    // New entries in the place of lost ones are new, whatever the journal says of the old ones.
    let b = desk.join("b");
    desk.lease(b, &[Run::new(0, 100, 500)], LEASE).unwrap();
    assert_eq!(desk.pending().len(), 500);
    let again = desk.restored(desk.now, &[600, 0]);
    assert_eq!(again.pending(0, 0).count(), 500);
}

#[test]
fn what_the_log_lost_is_forgotten_by_a_ledger_with_live_leases() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    desk.read(a, 600);
    desk.run(|ledger, now, out| ledger.reopen(now.at, &[0], &[256], false, out));
    assert_eq!((desk.pending().len(), desk.ledger.cursor(0)), (6, Some(256)));
    let never = super::super::times::NEVER;
    assert_eq!(desk.ledger.next_moment(desk.now.at), never);
}

#[test]
fn skipping_loses_whatever_is_not_settled_and_counts_it() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 20)[0];
    desk.ack(&[one(&claim, 252)]);
    nack(&mut desk, &[one(&claim, 253)], Again::Never);
    nack(&mut desk, &[one(&claim, 254)], Again::Backoff);
    let mut skip =
        |first, end| desk.run(|ledger, _, out| ledger.skip(0, first, end, out)).unwrap_or(u64::MAX);
    assert_eq!(skip(0, 256), 5, "leased, parked and delayed ones");
    assert_eq!(skip(0, 256), 0);
    assert_eq!(skip(271, 300), u64::MAX, "a hole above the cursor");
    assert_eq!(skip(260, 1_000_000_000_000), 1_000_000_000_000 - 260);
    assert_eq!(desk.ledger.floor(0), Some(256));
    assert_eq!(reasons(&desk.ack(&[one(&claim, 262)])), [Lost::Settled]);
    desk.ack(&[Claim { run: Run::new(0, 256, 4), ..claim }]);
    assert_eq!(desk.ledger.floor(0), Some(1_000_000_000_000));
    assert_eq!(desk.ledger.counts(desk.now.at).parked, 0);
    let next = desk.read(a, 10)[0];
    assert_eq!(next.run.first, 1_000_000_000_000);
    assert_eq!(desk.ack(&[next]), []);
}

#[test]
fn trimmed_entries_are_lost_at_reopening() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claims = desk.read(a, 10);
    nack(&mut desk, &[one(&claims[0], 250)], Again::Never);
    desk.reopen(desk.now, &[255], &[300], false);
    assert_eq!(desk.ledger.counts(desk.now.at).lost, 5);
    assert_eq!((desk.ledger.floor(0), desk.pending().len()), (Some(255), 5));
}

#[test]
fn redriven_entries_start_again_from_zero_even_far_below_the_floor() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    nack(&mut desk, &[claim], Again::Never);
    let far = desk.read(a, 3_000);
    desk.ack(&far);
    assert_eq!(desk.ledger.floor(0), Some(3_260));
    let ids = [253, 251, 999, 251].map(|offset| EntryId::new(0, offset));
    assert_eq!(desk.run(|ledger, now, out| ledger.redrive(now.at, &ids, out)), 2);
    assert_eq!(desk.ledger.floor(0), Some(251));
    assert_eq!(desk.pending(), [(251, 0, false), (253, 0, false)]);
    assert_eq!(reasons(&desk.ack(&[one(&claim, 251)])), [Lost::Settled]);
    let again = desk.read(a, 10);
    assert_eq!(reasons(&desk.ack(&[one(&claim, 251)])), [Lost::Taken]);
    assert_eq!(desk.ack(&again), []);
    assert_eq!(desk.ledger.floor(0), Some(3_260));
    let ids: Vec<EntryId> = desk.ledger.parked(EntryId::new(0, 0)).map(|(id, _)| id).collect();
    assert_eq!(desk.run(|ledger, _, out| ledger.discard_parked(&ids[..3], out)), 3);
    assert_eq!(desk.run(|ledger, now, out| ledger.redrive_all(now.at, 100, out)), 5);
    assert_eq!(desk.ledger.counts(desk.now.at).discarded, 3);
}

#[test]
fn added_partitions_are_read_from_their_starts() {
    let mut desk = Desk::plain();
    desk.run(|ledger, _, out| ledger.grow(&[0, 7], out)).unwrap();
    let cursors: Vec<_> = (0..4).map(|p| desk.ledger.cursor(p)).collect();
    assert_eq!(cursors, [Some(250), Some(0), Some(7), None]);
    assert_eq!(desk.ledger.lag(&[251, 1, 8]), 3);
}

#[test]
fn sweep_ends_many_leases_in_bounded_steps() {
    // One entry in each of 1,100 chunks.
    let mut desk = Desk::new(Policy { max_in_flight: 1_000_000, ..policy() }, &[255]);
    let a = desk.join("a");
    let claim = desk.read(a, 1 + 256 * 1_100)[0];
    let end = claim.run.end();
    let settled = (256..end).step_by(256).map(|at| Claim { run: Run::new(0, at, 255), ..claim });
    desk.ack(&settled.collect::<Vec<_>>());
    desk.advance(31);
    assert!(desk.expire(), "more remain");
    assert!(desk.ledger.counts(desk.now.at).leased > 0);
    while desk.expire() {}
    assert_eq!(desk.ledger.counts(desk.now.at).leased, 0);
    assert_eq!(desk.ledger.counts(desk.now.at).delayed, 1_101);
}
