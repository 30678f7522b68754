//! What retention asks of a group: what it needs, what it would lose, and who was heard of.

use super::*;
use crate::loss::Loss;

#[test]
fn a_loss_is_told_by_what_the_entries_were() {
    let mut desk = Desk::new(policy(), &[0]);
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    desk.ack(&[one(&claim, 0), one(&claim, 5)]);
    let mut lost = Vec::new();
    let claims: [Claim; 2] = [one(&claim, 1), one(&claim, 6)];
    desk.run(|l, now, out| l.nack(now, &claims, Again::Backoff, out, &mut lost));
    let parked = [one(&claim, 2)];
    desk.run(|l, now, out| l.nack(now, &parked, Again::Never(""), out, &mut lost));
    let all = Loss { unread: 5, pending: 5, delayed: 2, parked: 1 };
    assert_eq!(desk.ledger.loss(0, 0, 15), all);
    assert_eq!(desk.ledger.loss(0, 3, 6), Loss { pending: 2, ..Loss::default() });
    for (partition, first, end) in [(0, 5, 5), (0, 9, 2), (1, 0, 9)] {
        assert!(desk.ledger.loss(partition, first, end).is_empty());
    }
    let told = desk.run(|l, _, out| l.trimmed(0, 15, 15, out));
    assert_eq!((told, desk.ledger.counts(desk.now.at).trimmed), (all, all));
    desk.snapshot();
    let restored = desk.restored(desk.now, &[15]);
    assert_eq!(restored.counts(desk.now.at).trimmed, all);
}

#[test]
fn what_is_parked_below_the_floor_is_still_needed() {
    let mut desk = Desk::new(policy(), &[3, 0]);
    assert_eq!([0, 1, 2].map(|p| desk.ledger.first_needed(p)), [Some(3), Some(0), None]);
    let a = desk.join("a");
    let claim = desk.read(a, 10)[0];
    assert_eq!(claim.run, Run::new(0, 3, 10));
    let mut lost = Vec::new();
    let parked = [one(&claim, 5)];
    desk.run(|l, now, out| l.nack(now, &parked, Again::Never(""), out, &mut lost));
    assert_eq!(desk.ledger.first_needed(0), Some(3));
    desk.ack(&[Claim { run: Run::new(0, 3, 2), ..claim }]);
    desk.ack(&[Claim { run: Run::new(0, 6, 7), ..claim }]);
    assert_eq!((desk.ledger.floor(0), desk.ledger.first_needed(0)), (Some(13), Some(5)));
    // Redriven or not, it is needed; and then it is not.
    desk.run(|l, now, out| l.redrive_all(now.at, 9, out));
    assert_eq!((desk.ledger.floor(0), desk.ledger.first_needed(0)), (Some(5), Some(5)));
    let claim = desk.read(a, 1)[0];
    desk.ack(&[claim]);
    assert_eq!(desk.ledger.first_needed(0), Some(13));
}

#[test]
fn a_sign_of_life_is_a_call_a_blocked_read_a_long_lease_or_leaving() {
    let mut desk = Desk::new(policy(), &[0]);
    let sign = |desk: &Desk| desk.ledger.last_sign(desk.now.at).0 / SECOND;
    assert_eq!(sign(&desk), 0);
    let a = desk.join("a");
    desk.advance(4);
    assert_eq!(sign(&desk), 1);
    desk.ledger.touch_untimed(a);
    assert_eq!(sign(&desk), 5, "the time of such a sign is not known yet");
    desk.expire();
    desk.advance(5);
    assert_eq!(sign(&desk), 5);
    desk.ledger.block(a).unwrap();
    desk.advance(10);
    assert_eq!(sign(&desk), 20);
    desk.ledger.unblock(desk.now.at, a);
    desk.advance(1);
    assert_eq!(sign(&desk), 20);
    desk.lease(a, &[Run::new(0, 0, 1)], Duration::from_secs(1_000)).unwrap();
    desk.advance(100);
    assert_eq!(sign(&desk), 121, "a lease that was asked for keeps its member alive");
    desk.run(|l, now, out| l.leave(now, a, out)).unwrap();
    desk.advance(100);
    assert_eq!(sign(&desk), 121);
    // One that is heard of no more tells nothing by being sent away.
    let b = desk.join("b");
    desk.advance(1_000);
    while desk.expire() {}
    assert!(desk.ledger.touch(desk.now.at, b).is_err());
    assert_eq!(sign(&desk), 221);
}
