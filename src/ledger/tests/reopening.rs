//! What outlasts a process and what does not, and how entries go and come back out of turn.

use std::time::Duration;

use super::super::{Again, Policy, Then};
use super::*;

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
        assert_eq!(desk.ledger.due_runs(desk.now.at, 0, 9, &mut found), then);
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
    desk.run(|ledger, now, out| ledger.leave(now, a, out)).unwrap();
    let records = desk.journal.len();
    desk.reopen(desk.now, &[0], &[260], false);
    // One is of the assignment that the test makes itself.
    assert_eq!(desk.journal.len(), records + 1);
}

#[test]
fn what_the_log_lost_is_forgotten() {
    let mut desk = Desk::new(policy(), &[250, 0]);
    let a = desk.join("a");
    let claim = desk.read(a, 600)[0];
    desk.ack(&[Claim { run: Run::new(0, 300, 550), ..claim }]);
    nack(&mut desk, &[one(&claim, 299)], Again::Never(""));
    nack(&mut desk, &[one(&claim, 280)], Again::Never(""));
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
    assert_eq!(again.all_pending(0).count(), 500);
}

#[test]
fn what_the_log_lost_is_forgotten_by_a_ledger_with_live_leases() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    desk.read(a, 600);
    desk.run(|ledger, now, out| ledger.reopen(now, &[0], &[256], false, out));
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
    nack(&mut desk, &[one(&claim, 253)], Again::Never(""));
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
    nack(&mut desk, &[one(&claims[0], 250)], Again::Never(""));
    desk.reopen(desk.now, &[255], &[300], false);
    assert_eq!(desk.ledger.counts(desk.now.at).trimmed.entries(), 5);
    assert_eq!((desk.ledger.floor(0), desk.pending().len()), (Some(255), 5));
}

#[test]
fn partitions_are_added_between_and_before_what_is_stored() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    desk.read(a, 3);
    desk.reopen(desk.now, &[0], &[300], true);
    // Behind a snapshot and a reopening that knew of one partition.
    desk.ledger.grow(&[0, 0]);
    desk.ledger.validate();
    let b = desk.join("b");
    let runs = [Run::new(0, 253, 2), Run::new(1, 0, 5), Run::new(2, 0, 300)];
    let claims = desk.lease(b, &runs, LEASE).unwrap();
    assert_eq!(desk.ack(&claims[1..2]), []);
    let restored = desk.restored(desk.now, &[300, 9, 300]);
    assert_eq!(Desk::bytes(&restored, desk.now), Desk::bytes(&desk.ledger, desk.now));
    assert_eq!(
        (0..3).map(|p| restored.lag(p, 0, [300, 9, 300][p as usize])).sum::<u64>(),
        50 + 4 + 300
    );
    desk.reopen(desk.now, &[0; 3], &[300, 9, 300], true);
    assert_eq!(desk.ledger.floor(1), Some(5));
    assert_eq!(desk.ledger.counts(desk.now.at).due, 3 + 2 + 300);
}

#[test]
fn a_stored_reopening_leaves_nothing_in_partitions_that_it_does_not_know() {
    let mut desk = Desk::new(policy(), &[0, 0]);
    let a = desk.join("a");
    desk.lease(a, &[Run::new(0, 0, 4), Run::new(1, 0, 4)], LEASE).unwrap();
    // No ledger writes that.
    desk.run(|ledger, now, out| {
        ledger.reopen(now, &[0; 2], &[4, 4], false, out);
        for event in out {
            if let super::super::Event::Reopened(reopening) = event {
                reopening.ends = [4].into();
            }
        }
    });
    assert_eq!((desk.ledger.cursor(0), desk.ledger.cursor(1)), (Some(4), Some(0)));
    assert_eq!(desk.ledger.counts(desk.now.at).leased, 0);
}

#[test]
fn redriven_entries_start_again_from_zero_even_far_below_the_floor() {
    let mut desk = Desk::plain();
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    nack(&mut desk, &[claim], Again::Never(""));
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
