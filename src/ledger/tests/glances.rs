//! Lists of claims are looked up together, and come to the same as one by one.

use super::super::glance::Seen;
use super::super::window::Tag;
use super::*;

/// 600 entries handed out in reads of 7, from 200 on, and their leases in turn.
fn desk() -> (Desk, Vec<u64>) {
    let mut desk = Desk::new(policy(), &[200, 0]);
    let a = desk.join("a");
    let mut leases = Vec::new();
    while leases.len() < 600 {
        let most = u32::try_from(600 - leases.len()).unwrap().min(7);
        for claim in desk.read(a, most) {
            leases.extend(claim.run.ids().map(|_| claim.lease));
        }
    }
    (desk, leases)
}

#[test]
fn a_list_of_claims_in_any_order_comes_to_what_each_of_them_does_alone() {
    let (desk, leases) = desk();
    let ledger = &desk.ledger;
    let claim = |n: u64| {
        // Some are of the next lease, one partition further, or of nothing that was handed out.
        let lease = leases[(n % 600) as usize] + u64::from(n.is_multiple_of(11));
        let (partition, first) = (u32::from(n.is_multiple_of(13)), 200 + n % 640);
        Claim { run: Run::new(partition, first, 1), lease }
    };
    let claims: Vec<Claim> = (0..640).map(|n| claim(n * 239 % 640)).collect();
    let (mut events, mut lost) = (Vec::new(), Vec::new());
    ledger.ack(&claims, &mut events, &mut lost);
    let runs = events.iter().flat_map(|event| event.run().unwrap().ids());
    let settled: Vec<_> = runs.collect();

    let (mut one_by_one, mut alone) = (Vec::new(), Vec::new());
    for claim in &claims {
        ledger.ack(&[*claim], &mut one_by_one, &mut alone);
    }
    let mut expected: Vec<_> = one_by_one.iter().filter_map(Event::run).collect();
    expected.sort_unstable_by_key(|run| (run.partition, run.first));
    alone.sort_unstable_by_key(|(id, _)| *id);
    assert!(settled.len() > 400 && lost.len() > 100, "{} {}", settled.len(), lost.len());
    assert_eq!(settled, expected.iter().flat_map(|run| run.ids()).collect::<Vec<_>>());
    assert_eq!(lost, alone);
}

#[test]
fn a_glance_tells_what_single_claims_name_and_leaves_the_rest() {
    let (desk, _) = desk();
    let claim =
        |partition, first, count| Claim { run: Run::new(partition, first, count), lease: 1 };
    let claims = [
        claim(0, 300, 1),
        claim(0, 300, 2),
        claim(0, 199, 1),
        claim(0, 900, 1),
        claim(0, u64::MAX, 1),
        claim(1, 0, 1),
        claim(2, 0, 1),
    ];
    let seen: [Option<Seen>; 8] = desk.ledger.entries.glance::<8>(&claims);
    let told: Vec<bool> = seen.iter().map(Option::is_some).collect();
    // The chunk that the cursor is in knows 900, too: nobody was given it.
    assert_eq!(told, [true, false, true, true, false, false, false, false]);
    assert_eq!(seen[0].unwrap().hold.unwrap().lease, 15);
    let state = |n: usize| (seen[n].unwrap().tag, seen[n].unwrap().hold);
    assert_eq!(state(2), (Tag::SETTLED, None));
    assert_eq!(state(3), (Tag::FRESH, None));
}
