//! Groups with a filter: what is passed, and what is counted when entries are given up unread.

use super::super::{AckMode, OnTrimmed, Pass};
use super::*;

/// Every third entry is the group's own.
fn own(range: std::ops::Range<u64>) -> u64 {
    range.filter(|offset| offset % 3 == 0).count() as u64
}

/// One partition whose first ten entries were read: 3 and 6 are leased, 9 is settled.
fn filtered(on_trimmed: OnTrimmed) -> (Desk, MemberId, Vec<Claim>) {
    let mut desk = Desk::new(Policy { on_trimmed, ..policy() }, &[0]);
    let member = desk.join("a");
    let runs = [3, 6, 9].map(|first| Run::new(0, first, 1));
    let claims = desk.lease(member, &runs, LEASE).unwrap();
    desk.ack(&claims[2..]);
    (desk, member, claims)
}

fn totals(desk: &Desk) -> (u64, u64, u64) {
    let counts = desk.ledger.counts(desk.now.at);
    (counts.acked, counts.lost, counts.trimmed.entries())
}

#[test]
fn what_lies_between_new_runs_is_passed_and_takes_no_room() {
    let (mut desk, _, claims) = filtered(OnTrimmed::Earliest);
    assert_eq!(desk.pending(), [(3, 1, true), (6, 1, true)]);
    assert_eq!((desk.ledger.floor(0), desk.ledger.cursor(0)), (Some(3), Some(10)));
    assert_eq!(totals(&desk), (1, 0, 0));
    desk.run(|l, _, out| l.pass(0, 300, Pass::Filtered, out));
    assert_eq!((desk.ledger.floor(0), desk.ledger.cursor(0)), (Some(3), Some(300)));
    desk.ack(&claims);
    assert_eq!(desk.ledger.floor(0), Some(300));
    assert_eq!(totals(&desk), (3, 0, 0));
}

#[test]
fn a_pass_that_goes_nowhere_is_no_event() {
    let (desk, _, _) = filtered(OnTrimmed::Earliest);
    let mut out = Vec::new();
    desk.ledger.pass(0, 10, Pass::Filtered, &mut out);
    desk.ledger.pass(7, 10, Pass::Filtered, &mut out);
    assert_eq!(out, []);
}

#[test]
fn due_entries_and_new_ones_go_out_under_one_lease() {
    let (mut desk, member, claims) = filtered(OnTrimmed::Earliest);
    release(&mut desk, &claims[..1]);
    let runs = [Run::new(0, 3, 1), Run::new(0, 10, 2), Run::new(0, 12, 1), Run::new(0, 15, 1)];
    desk.lease(member, &runs, LEASE).unwrap();
    let offsets: Vec<u64> = desk.pending().iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(offsets, [3, 6, 10, 11, 12, 15]);
    assert_eq!(desk.restored(desk.now, &[100]).cursor(0), Some(16));
}

#[test]
fn skipping_loses_only_what_is_the_groups_own() {
    let (mut desk, _, _) = filtered(OnTrimmed::Earliest);
    let lost = desk.run(|l, _, out| l.skip_own(0, 4, 20, own, out)).unwrap();
    // 6 was leased, 12, 15 and 18 were never read.
    assert_eq!((lost, totals(&desk)), (4, (1, 4, 0)));
    assert_eq!((desk.ledger.floor(0), desk.ledger.cursor(0)), (Some(3), Some(20)));
    assert!(desk.run(|l, _, out| l.skip_own(0, 21, 30, own, out)).is_err());
}

#[test]
fn settling_through_counts_only_what_is_the_groups_own() {
    let (mut desk, member, _) = filtered(OnTrimmed::Earliest);
    let through = |desk: &mut Desk, offset| {
        let id = EntryId::new(0, offset);
        desk.run(|l, _, out| l.settle_own_through(member, 0, id, own, out)).unwrap()
    };
    assert_eq!(through(&mut desk, 4), 1);
    assert_eq!(through(&mut desk, 20), 4);
    assert_eq!((totals(&desk), desk.ledger.floor(0)), ((6, 0, 0), Some(21)));
}

#[test]
fn a_reset_forward_loses_only_what_is_the_groups_own() {
    let (mut desk, _, _) = filtered(OnTrimmed::Earliest);
    desk.run(|l, _, out| l.reset_own(0, 20, own, out)).unwrap();
    assert_eq!((totals(&desk), desk.ledger.floor(0)), ((1, 5, 0), Some(20)));
    desk.run(|l, _, out| l.reset_own(0, 5, own, out)).unwrap();
    assert_eq!((totals(&desk), desk.ledger.cursor(0)), ((1, 5, 0), Some(5)));
}

#[test]
fn a_trim_counts_only_what_is_the_groups_own() {
    // Policy, start and end of the log, then: lost, the cursor behind it.
    for (policy, start, end, lost, cursor) in [
        (OnTrimmed::Earliest, 5, 40, 1, 10),
        (OnTrimmed::Earliest, 11, 40, 2, 11),
        (OnTrimmed::Earliest, 20, 40, 5, 20),
        (OnTrimmed::Latest, 20, 40, 12, 40),
        (OnTrimmed::Error, 20, 40, 2, 10),
        // Nothing that goes unread is the group's: it goes on as if nothing had happened.
        (OnTrimmed::Latest, 12, 40, 2, 12),
        (OnTrimmed::Error, 12, 40, 2, 12),
    ] {
        let (mut desk, _, _) = filtered(policy);
        let trimmed = desk.run(|l, _, out| l.trimmed_own(0, start, end, own, out));
        assert_eq!(trimmed.entries(), lost, "{policy:?} {start}");
        assert_eq!((totals(&desk), desk.ledger.cursor(0)), ((1, 0, lost), Some(cursor)));
    }
}

#[test]
fn what_a_log_lost_is_not_counted_as_passed() {
    let (mut desk, _, _) = filtered(OnTrimmed::Earliest);
    desk.run(|l, _, out| l.pass(0, 40, Pass::Lost(10), out));
    let restored = desk.restored(desk.now, &[14]);
    assert_eq!((restored.cursor(0), restored.counts(desk.now.at).lost), (Some(14), 4));
}

#[test]
fn reading_that_acks_settles_what_it_sifts() {
    let mut desk = Desk::new(Policy { ack: AckMode::OnRead, ..policy() }, &[0]);
    let member = desk.join("a");
    let runs = [Run::new(0, 2, 2), Run::new(0, 7, 1)];
    desk.run(|ledger, now, out| {
        ledger.hand_out(now, member, LEASE, &runs, out).unwrap();
        Ledger::settle_handed_out(&runs, out);
    });
    assert_eq!((totals(&desk), desk.ledger.floor(0)), ((3, 0, 0), Some(8)));
}
