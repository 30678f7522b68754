//! The rules of delivery, one fact a test.

use std::time::Duration;

use super::super::{Exhausted, OnTrimmed, Policy};
use super::*;
use crate::error::{Error, Gone};

#[test]
fn acked_entries_let_the_floor_pass_even_over_chunk_borders() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claims = desk.read(a, 600);
    assert_eq!((desk.ledger.floor(0), desk.ledger.cursor(0)), (Some(250), Some(850)));
    assert_eq!(desk.ack(&[Claim { run: Run::new(0, 251, 598), ..claims[0] }]), []);
    assert_eq!(desk.ledger.floor(0), Some(250));
    assert_eq!(desk.ledger.lag(0, 0, 900), 52);
    desk.ack(&[one(&claims[0], 250)]);
    assert_eq!(desk.ledger.floor(0), Some(849));
    desk.ack(&[one(&claims[0], 849)]);
    assert_eq!((desk.ledger.floor(0), desk.ledger.lag(0, 0, 900)), (Some(850), 50));
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
    assert_eq!(nack(&mut desk, &[claim], Again::Never("")), []);
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
            "leave" => desk.run(|ledger, now, out| ledger.leave(now, a, out)).unwrap(),
            "remove" => desk.run(|ledger, now, out| ledger.remove(now, "a", out)).unwrap(),
            _ => {
                extend(&mut desk, &[kept], 500);
                desk.advance(299);
                desk.expire();
                assert!(desk.ledger.room(a).is_ok());
                desk.advance(1);
                desk.expire();
            }
        }
        assert_eq!(desk.due(), [(254, 300)], "{how}");
        assert_eq!(desk.pending().len(), 304);
        assert_eq!(reasons(&desk.ack(&[leased, waiting])), [Lost::Left], "{how}");
        let again = desk.run(|ledger, now, out| ledger.leave(now, a, out));
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
    assert!(desk.ledger.room(a).is_ok());
    desk.advance(1);
    desk.expire();
    assert!(desk.ledger.room(a).is_err());
}

#[test]
fn last_attempt_of_a_member_that_leaves_is_exhausted() {
    let mut desk = Desk::new(Policy { max_deliveries: 1, ..policy() }, &[250]);
    let a = desk.join("a");
    desk.read(a, 10);
    desk.run(|ledger, now, out| ledger.leave(now, a, out)).unwrap();
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
    let unknown = desk.run(|ledger, now, out| ledger.remove(now, "b", out));
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
    assert!(matches!(desk.ledger.room(silent), Err(Error::NotAMember { why: Gone::Expired })));
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
fn tokens_of_trimmed_and_of_settled_neighbours_are_void_for_their_own_reasons() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    desk.ack(&[Claim { run: Run::new(0, 254, 6), ..claim }]);
    assert_eq!(desk.run(|ledger, _, out| ledger.trimmed(0, 256, 260, out)).entries(), 4);
    let lost = desk.ack(&[claim]);
    let why: Vec<Lost> = lost.iter().map(|(_, why)| *why).collect();
    assert_eq!(why, [[Lost::Trimmed; 6].as_slice(), &[Lost::Settled; 4]].concat());
}

#[test]
fn what_a_policy_passed_and_a_reset_brought_back_was_not_trimmed() {
    let latest = Policy { on_trimmed: OnTrimmed::Latest, ..policy() };
    let mut desk = Desk::new(latest, &[250]);
    let a = desk.join("a");
    assert_eq!(desk.run(|ledger, _, out| ledger.trimmed(0, 252, 300, out)).entries(), 50);
    desk.run(|ledger, _, out| ledger.reset(0, 252, out)).unwrap();
    let claim = desk.read(a, 10)[0];
    assert_eq!(desk.ack(&[claim]), []);
    assert_eq!(reasons(&desk.ack(&[claim])), [Lost::Settled]);
}
