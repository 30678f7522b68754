//! The runs: trims, power cuts and calls that fail.
//!
//! `MILLSTREAM_CUTS` says how many cuts are made, here as elsewhere.

use std::io;
use std::time::Duration;

use super::{ROUNDS_MAX, Tale, Verdict};
use crate::error::Error;
use crate::id::EntryId;
use crate::storage::simulated::FailMode;
use crate::stream::Stream;

impl Tale {
    /// Trims a partition, so that letters are left whose originals are gone.
    pub(super) fn trim(&mut self, orders: &Stream) -> Verdict {
        let partitions = orders.partitions() as usize;
        let partition = u32::try_from(self.random.below(partitions)).expect("there are few");
        let Some(info) = self.forgive("info", orders.info())? else { return Ok(()) };
        let end = usize::try_from(info.partitions[partition as usize].end).expect("it is small");
        let aim = if self.random.coin() { end } else { self.random.below(end + 1) };
        let aim = EntryId::new(partition, aim as u64);
        let trimmed = self.forgive("trim", orders.trim_before(aim))?;
        let start = orders.info().map_or(0, |info| info.partitions[partition as usize].start);
        self.owed.retain(|id, owed| {
            owed.doubtful |= trimmed.is_none() && *id < aim;
            id.partition() != partition || id.offset() >= start
        });
        Ok(())
    }

    /// One life of both, to its end or to a cut.
    fn live(&mut self, steps: usize) -> Verdict {
        let opened = self.open();
        let Some(open) = self.forgive("open", opened)? else { return Ok(()) };
        self.look(&open)?;
        self.act(&open, steps)?;
        if self.random.coin() {
            // What the handles do when they are dropped no longer reaches the disk.
            let killed = self.disk.crash_process();
            self.disk.cut();
            drop(open);
            self.disk = killed;
        }
        Ok(())
    }

    /// Whether what a call finds has to be right. Behind the moment in which the power went nobody is left to
    /// look: a store that it cut short is there in part.
    pub(super) fn judges(&self) -> bool {
        !self.tolerant && !self.disk.is_off()
    }

    /// The power went, or a failed flush may have cost as much.
    fn lose_power(&mut self) {
        self.owed.values_mut().for_each(|owed| owed.doubtful |= !owed.safe);
    }

    /// The last life: all that is left is given out, and what is owed is among it.
    fn settle(&mut self) -> Verdict {
        let failed = |error: Error| error.to_string();
        let open = self.open().map_err(failed)?;
        self.look(&open)?;
        let worker = open.group.join("w").map_err(failed)?;
        for _ in 0..ROUNDS_MAX {
            if open.group.lag().map_err(failed)? == 0 {
                break;
            }
            for delivery in worker.try_read(100).map_err(failed)? {
                self.owed.remove(&delivery.id());
                delivery.ack().map_err(failed)?;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        let info = open.group.info().map_err(failed)?;
        if info.lag > 0 || info.partitions.iter().any(|p| p.floor != p.end) {
            return Err(format!("something is stuck: {info:?}"));
        }
        match self.owed.first_key_value() {
            Some((id, owed)) => Err(format!("{id} never came: {owed:?}")),
            None => self.look(&open),
        }
    }
}

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
    assert!(outcomes.iter().all(|count| *count > 50), "too few to tell anything: {outcomes:?}");
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
    for (seed, mode, kind) in [
        (0, FailMode::Once, io::ErrorKind::Other),
        (1, FailMode::Forever, io::ErrorKind::Other),
        (2, FailMode::Once, io::ErrorKind::StorageFull),
    ] {
        let (calls, came) = fail(seed, None).expect("nothing fails");
        (0..3).for_each(|kind| outcomes[kind] += came[kind]);
        for nth in 1..=calls {
            let verdict = fail(seed, Some((nth, mode, kind)));
            assert!(verdict.is_ok(), "seed {seed}, call {nth} {mode:?}: {verdict:?}");
        }
    }
    assert!(outcomes.iter().all(|count| *count > 5), "too few to tell anything: {outcomes:?}");
}
