//! The runs: power cuts and calls that fail.
//!
//! `MILLSTREAM_CUTS` says how many cuts are made, here as elsewhere.

use std::io;

use super::{Tale, Verdict};
use crate::storage::simulated::FailMode;

/// Several lives, each cut anywhere. Says how often the power was cut, and what redriving came to.
fn cut(seed: u64) -> Verdict<(u64, [u64; 3])> {
    let mut tale = Tale::new(seed);
    let mut cuts = 0;
    for _ in 0..4 {
        let reach = tale.random.pick(&[30, 100, 300]);
        let at = tale.disk.effects() + 1 + tale.random.below(reach) as u64;
        tale.disk.cut_at(at);
        let steps = tale.random.below(80);
        tale.live(steps)?;
        let (seed, power) = (tale.random.next(), tale.disk.is_off() || tale.random.coin());
        tale.disk = if power { tale.disk.reboot(seed) } else { tale.disk.crash_process() };
        if power {
            tale.lose_power();
        }
        cuts += u64::from(power);
    }
    tale.settle().map(|()| (cuts, tale.outcomes))
}

#[test]
fn letters_that_are_brought_back_come_once_wherever_the_power_is_cut() {
    let wanted = std::env::var("MILLSTREAM_CUTS").ok().and_then(|cuts| cuts.parse().ok());
    let (mut cuts, mut seed, mut outcomes) = (0, 0, [0; 3]);
    while cuts < wanted.unwrap_or(3_000) {
        let (more, came) = cut(seed).unwrap_or_else(|complaint| panic!("seed {seed}: {complaint}"));
        (0..3).for_each(|kind| outcomes[kind] += came[kind]);
        cuts += more;
        seed += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 100), "too few to tell anything: {outcomes:?}");
}

/// A life with an ordered failure, and the judgement. Says how many calls there were.
fn fail(seed: u64, nth: Option<(u64, FailMode, io::ErrorKind)>) -> Verdict<(u64, [u64; 3])> {
    let mut tale = Tale::new(seed);
    tale.tolerant = true;
    if let Some((nth, mode, kind)) = nth {
        tale.disk.fail_call(nth, mode, kind);
    }
    for _ in 0..2 {
        tale.live(50)?;
        tale.lose_power();
    }
    let calls = tale.disk.calls();
    tale.disk.heal();
    tale.disk = tale.disk.crash_process();
    tale.tolerant = false;
    tale.settle().map(|()| (calls, tale.outcomes))
}

#[test]
fn letters_that_are_brought_back_come_once_whichever_call_fails() {
    let mut outcomes = [0; 3];
    for (mode, kind) in [
        (FailMode::Once, io::ErrorKind::Other),
        (FailMode::Forever, io::ErrorKind::Other),
        (FailMode::Once, io::ErrorKind::StorageFull),
    ] {
        for seed in 0..2 {
            let (calls, came) = fail(seed, None).expect("nothing fails");
            (0..3).for_each(|kind| outcomes[kind] += came[kind]);
            for nth in 1..=calls {
                let verdict = fail(seed, Some((nth, mode, kind)));
                assert!(verdict.is_ok(), "seed {seed}, call {nth} {mode:?}: {verdict:?}");
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 5), "too few to tell anything: {outcomes:?}");
}
