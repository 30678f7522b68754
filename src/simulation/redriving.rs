//! Dead letters come back in bulk, and that is cut short anywhere: by a power cut, or by a call that
//! fails.
//!
//! # Invariants
//! 1. Under `Always`, what was told to be brought back is there in the next life.
//! 2. Who goes on where the call ended, or where it began if it told nothing, gets every entry: one
//!    that its stream still holds once, one that was appended anew at most once more for each end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::world::Verdict;
use crate::clock::ManualClock;
use crate::consumer::Consumer;
use crate::durability::Durability;
use crate::engine::Trial;
use crate::error::Result;
use crate::group::Group;
use crate::id::EntryId;
use crate::letter::Redriven;
use crate::letters::LetterQuery;
use crate::options::StreamOptions;
use crate::policy::Exhausted;
use crate::start::Start;
use crate::storage::simulated::{FailMode, Simulated};
use crate::stream::Stream;

const ENTRIES: usize = 40;

/// A stream on a disk whose entries were all given up, and some of them trimmed since.
struct Scene {
    disk: Simulated,
    letters: Stream,
    trimmed: u64,
}

/// What cuts a call short.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Cut,
    Fails(FailMode, io::ErrorKind),
}

fn open(disk: &Simulated, letters: &Stream) -> Result<(Group, Consumer)> {
    let trial = Trial { salts: Some(7 + disk.effects()), ..Trial::default() };
    let options = StreamOptions::default().segment_bytes(4096).clock(ManualClock::new());
    let options = options.durability(Durability::Always);
    let stream = options.on_trial(Arc::new(disk.clone()), trial)?;
    let target = Exhausted::DeadLetter(letters.clone());
    let group = stream.group("g").on_exhausted(target).open(Start::Earliest)?;
    let worker = group.join("w")?;
    Ok((group, worker))
}

fn payload(n: usize) -> String {
    format!("{n:150}")
}

impl Scene {
    fn new() -> Result<Self> {
        let disk = Simulated::new(1);
        let letters = StreamOptions::default().in_memory()?;
        let (group, worker) = open(&disk, &letters)?;
        let stream = group.stream();
        for n in 0..ENTRIES {
            stream.append(&payload(n))?;
        }
        for delivery in worker.try_read(99)? {
            delivery.reject("bad")?;
        }
        let trimmed = stream.trim_before(EntryId::new(0, 25))?;
        drop((group, worker));
        stream.close()?;
        Ok(Self { disk: disk.crash_process(), letters, trimmed })
    }

    /// Redrives from a letter on, nine at a time, until all are back or something ends it. Says what
    /// was brought back, and where to go on.
    fn redrive(&self, group: &Group, first: EntryId) -> (Vec<Redriven>, Option<EntryId>) {
        let (mut all, mut next) = (Vec::new(), Some(first));
        while let Some(first) = next {
            let query = LetterQuery::new().max(9).range(first..);
            let Ok(done) = group.redrive_letters(&self.letters, &query) else { break };
            all.extend(done.redriven.into_iter().map(|(_, redriven)| redriven));
            next = done.next;
            if done.stopped.is_some() {
                break;
            }
        }
        (all, next)
    }

    /// Redrives with a fault at the `nth` effect or call, and once more. Says whether it came so far.
    fn run(&self, nth: u64, fault: Fault) -> Verdict<bool> {
        let failed = |error: crate::error::Error| error.to_string();
        let disk = self.disk.crash_process();
        let handles = open(&disk, &self.letters).map_err(failed)?;
        match fault {
            Fault::Cut => disk.cut_at(disk.effects() + nth),
            Fault::Fails(mode, kind) => disk.fail_call(disk.calls() + nth, mode, kind),
        }
        let reached = match fault {
            Fault::Cut => disk.effects() + nth,
            Fault::Fails(..) => disk.calls() + nth,
        };
        let (told, next) = self.redrive(&handles.0, EntryId::new(0, 0));
        let made = if let Fault::Cut = fault { disk.effects() } else { disk.calls() };
        let fired = made >= reached;
        if next.is_some() && !fired {
            return Err(format!("it stopped at {next:?} for nothing"));
        }
        disk.heal();
        let power = disk.is_off();
        let after = if power { disk.reboot(nth) } else { disk.crash_process() };
        disk.cut();
        drop(handles);

        let (group, worker) = open(&after, &self.letters).map_err(failed)?;
        let (mut seen, mut held) = (BTreeMap::<Vec<u8>, u64>::new(), Vec::new());
        let mut read = |held: &mut Vec<_>| -> Verdict {
            for delivery in worker.try_read(999).map_err(failed)? {
                *seen.entry(delivery.payload().to_vec()).or_default() += 1;
                held.push(delivery);
            }
            Ok(())
        };
        read(&mut held)?;
        for redriven in told {
            let (Redriven::Available(id) | Redriven::Appended(id) | Redriven::Open(id)) = redriven
            else {
                return Err(format!("{redriven:?}"));
            };
            if !held.iter().any(|delivery| delivery.id() == id) {
                return Err(format!("{redriven:?} was told, and is gone"));
            }
        }
        if let Some(next) = next {
            let (_, end) = self.redrive(&group, next);
            if let Some(end) = end {
                return Err(format!("it stopped again, at {end}"));
            }
            read(&mut held)?;
        }
        for n in 0..ENTRIES {
            let times = seen.get(payload(n).as_bytes()).copied().unwrap_or(0);
            let most = if (n as u64) < self.trimmed { 2 } else { 1 };
            if times == 0 || times > most {
                return Err(format!("entry {n} came back {times} times"));
            }
        }
        Ok(fired)
    }
}

#[test]
fn letters_that_came_back_stay_wherever_the_call_is_cut_short() {
    let scene = Scene::new().unwrap();
    assert!(scene.trimmed > 5 && scene.trimmed < 26, "{}", scene.trimmed);
    let faults = [
        Fault::Cut,
        Fault::Fails(FailMode::Once, io::ErrorKind::Other),
        Fault::Fails(FailMode::Once, io::ErrorKind::StorageFull),
        Fault::Fails(FailMode::Forever, io::ErrorKind::StorageFull),
    ];
    for fault in faults {
        let mut nth = 1;
        while scene.run(nth, fault).unwrap_or_else(|wrong| panic!("{fault:?} at {nth}: {wrong}")) {
            nth += 1;
        }
        assert!(nth > 20, "{fault:?} was met only {nth} times");
    }
}
