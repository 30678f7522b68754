//! Every storage call failing, once and for ever, with several kinds of error: each failure is a
//! typed error and no panic, a failed flush is final until the log is opened again, and what was
//! flushed before is there afterwards, whether the process or the machine goes next; but for what
//! was trimmed, and that goes from the front.

use std::io::ErrorKind;

use super::{
    Draft, Error, Item, Log, OwnerKind, Result, Setup, Staging, append, new_disk, read_all,
};
use crate::log::Kind;
use crate::storage::Storage;
use crate::storage::simulated::random::Random;
use crate::storage::simulated::{FailMode, Simulated};

const KINDS: [ErrorKind; 3] = [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::Interrupted];

/// What the log said to a scripted workload.
#[derive(Default)]
struct Outcome {
    appended: Vec<Item>,
    flushed: usize,
    /// So many are gone for good.
    trimmed: usize,
    /// So many may be, since a trim failed.
    withdrawn: usize,
    /// A call that was not to fail did, and the log is none the worse for it.
    complaint: Option<String>,
}

impl Outcome {
    /// Notes an error of a write, and whether it was one that may come then.
    fn judge(&mut self, doing: &str, poisoned: &mut bool, outcome: &Result<()>) -> bool {
        let fine = match outcome {
            Ok(()) => !*poisoned,
            Err(Error::Poisoned { .. }) => true,
            Err(Error::Io { .. } | Error::DiskFull { .. }) => !*poisoned && doing != "flush",
            Err(_) => false,
        };
        if !fine {
            self.complaint = Some(format!("{doing} after poison={poisoned}: {outcome:?}"));
        }
        *poisoned |= outcome.as_ref().is_err_and(Error::is_poisoned);
        outcome.is_ok()
    }

    /// Trims all but the last segment.
    fn trim(&mut self, log: &Log, poisoned: &mut bool) {
        let trimmed = log.trim_to(u64::MAX).map(drop);
        self.withdrawn = usize::try_from(log.start()).unwrap();
        if self.judge("trim", poisoned, &trimmed) {
            self.trimmed = self.withdrawn;
            // What stays goes on where that ended.
            self.flushed = self.flushed.max(self.trimmed);
        }
    }

    fn flush(&mut self, log: &Log, poisoned: &mut bool) {
        if self.judge("flush", poisoned, &log.flush_all().map(drop)) {
            self.flushed = self.appended.len();
        }
    }
}

/// Opens, appends over several segments, flushes, closes, and all of it again.
fn script(setup: &Setup, disk: &Simulated) -> Outcome {
    let mut random = Random::new(5);
    let mut outcome = Outcome::default();
    for life in 0..2_u64 {
        let log = match setup.open(disk) {
            Ok((log, _)) => log,
            Err(Error::Io { .. } | Error::DiskFull { .. } | Error::Poisoned { .. }) => {
                return outcome;
            }
            Err(error) => {
                outcome.complaint = Some(format!("open: {error}"));
                return outcome;
            }
        };
        let poisoned = &mut false;
        for call in 0..24 {
            let items: Vec<Item> = (0..=call % 3)
                .map(|_| Item { time: 3, ..Item::random(life * 100 + call, false, &mut random) })
                .collect();
            if outcome.judge("append", poisoned, &append(&log, &items)) {
                outcome.appended.extend(items);
            }
            if call % 8 == 3 {
                outcome.flush(&log, poisoned);
            }
            if call == 10 {
                outcome.judge("prepare", poisoned, &log.prepare_spare(2000, 0));
            }
            if call == 9 || call == 21 {
                outcome.trim(&log, poisoned);
            }
        }
        if life == 0 {
            if outcome.judge("close", poisoned, &log.close()) {
                outcome.flushed = outcome.appended.len();
            }
            if *poisoned {
                return outcome;
            }
        } else {
            outcome.flush(&log, poisoned);
        }
    }
    outcome
}

/// What is there is a prefix of what was appended and no less than what was flushed.
fn check(setup: &Setup, disk: &Simulated, outcome: &Outcome, context: &str) {
    let (log, _) = setup.open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = read_all(&log).unwrap_or_else(|error| panic!("{context}: {error}"));
    let start = usize::try_from(log.start()).unwrap();
    let (least, most) = (outcome.trimmed, outcome.withdrawn);
    assert!((least..=most).contains(&start), "{context}: {start} is not {least} to {most}");
    let end = start + found.len();
    let (least, most) = (outcome.flushed, outcome.appended.len());
    assert!((least..=most).contains(&end), "{context}: {end} of {least}");
    assert!(found == outcome.appended[start..end], "{context}");
    // And it goes on from there.
    append(&log, &[Item::default()]).unwrap_or_else(|error| panic!("{context}: {error}"));
    log.flush_all().unwrap_or_else(|error| panic!("{context}: {error}"));
}

#[test]
fn whatever_call_fails_the_errors_are_typed_and_what_was_flushed_stays() {
    for staging in [Staging::Off, Staging::On] {
        let setup = Setup::new(OwnerKind::Partition, staging, 1);
        let disk = new_disk(1);
        let whole = script(&setup, &disk);
        assert!(whole.complaint.is_none() && whole.flushed == whole.appended.len());
        assert!(whole.trimmed > whole.appended.len() / 2, "{} were trimmed", whole.trimmed);
        for nth in 2..=disk.calls() {
            for (mode, kind) in [FailMode::Once, FailMode::Forever]
                .into_iter()
                .zip(KINDS)
                .chain([(FailMode::Once, KINDS[1]), (FailMode::Forever, KINDS[2])])
            {
                let context = format!("{staging:?}, call {nth}, {mode:?}, {kind}");
                let disk = new_disk(nth);
                disk.fail_call(nth, mode, kind);
                let outcome = script(&setup, &disk);
                assert_eq!(outcome.complaint, None, "{context}");
                check(&setup, &disk.crash_process(), &outcome, &context);
                check(&setup, &disk.reboot(nth), &outcome, &context);
                // Found again after the kill, it is durable, whatever the cache had shown.
                let killed = disk.crash_process();
                let (log, _) = setup.open(&killed).unwrap();
                let (start, served) = (log.start(), read_all(&log).unwrap());
                drop(log);
                let start = usize::try_from(start).unwrap();
                let flushed = start + served.len();
                let served = Outcome {
                    appended: outcome.appended[..flushed].to_vec(),
                    flushed,
                    trimmed: start,
                    withdrawn: start,
                    complaint: None,
                };
                check(&setup, &killed.reboot(nth), &served, &context);
            }
        }
    }
}

#[test]
fn after_a_failed_flush_every_write_is_refused_until_the_log_is_opened_again() {
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let disk = new_disk(1);
    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[Item::default()]).unwrap();
    disk.fail_call(disk.calls() + 1, FailMode::Once, ErrorKind::Other);
    assert!(log.flush_all().unwrap_err().is_poisoned());
    assert!(log.flush_all().unwrap_err().is_poisoned());
    assert!(append(&log, &[Item::default()]).unwrap_err().is_poisoned());
    assert!(log.roll_with(&Draft::default(), 0, 0).unwrap_err().is_poisoned());
    assert!(log.prepare_spare(0, 0).unwrap_err().is_poisoned());
    assert!(log.close().unwrap_err().is_poisoned());
    assert_eq!(read_all(&log).unwrap().len(), 1, "what is mapped can still be read");
    let (log, _) = setup.open(&disk.crash_process()).unwrap();
    append(&log, &[Item::default()]).unwrap();
    log.flush_all().unwrap();
}

#[test]
fn an_opening_that_a_failed_flush_lost_is_not_believed() {
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let large = Item { payload: vec![7; 3000], ..Item::default() };
    for seed in 0..100 {
        let disk = new_disk(seed);
        let (log, _) = setup.open(&disk).unwrap();
        for _ in 0..2 {
            append(&log, std::slice::from_ref(&large)).unwrap();
        }
        // The first segment is synced, the second is not.
        disk.fail_call(disk.calls() + 2, FailMode::Once, ErrorKind::Other);
        assert!(log.flush_all().unwrap_err().is_poisoned());
        let disk = disk.crash_process();
        let (log, _) = setup.open(&disk).unwrap();
        let served = read_all(&log).unwrap().len();
        append(&log, std::slice::from_ref(&large)).unwrap();
        log.flush_all().unwrap();
        drop(log);
        let (log, _) = setup.open(&disk).unwrap();
        assert_eq!(read_all(&log).unwrap().len(), served + 1, "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_and_changes_nothing_and_works_again_when_there_is_room() {
    for staging in [Staging::Off, Staging::On] {
        let setup = Setup::new(OwnerKind::Partition, staging, 1);
        let disk = new_disk(1);
        let (log, _) = setup.open(&disk).unwrap();
        let large = Item { payload: vec![7; 3000], ..Item::default() };
        append(&log, std::slice::from_ref(&large)).unwrap();
        log.flush_all().unwrap();
        disk.set_capacity(5000);
        let before = disk.files();
        for _ in 0..3 {
            let refused = append(&log, std::slice::from_ref(&large)).unwrap_err();
            assert!(refused.is_disk_full(), "{refused}");
        }
        assert_eq!(disk.files(), before, "nothing changed");
        disk.set_capacity(50_000);
        append(&log, std::slice::from_ref(&large)).unwrap();
        log.flush_all().unwrap();
        assert_eq!(read_all(&log).unwrap(), [large.clone(), large]);
    }
}

#[test]
fn a_spare_lets_a_journal_roll_on_a_full_disk() {
    let setup = Setup::new(OwnerKind::Journal, Staging::Off, 1);
    let disk = new_disk(1);
    let (log, _) = setup.open(&disk).unwrap();
    let mut snapshot = Draft::default();
    snapshot.push_frame(Kind::Snapshot, 0, b"state");
    log.roll_with(&snapshot, 100, 0).unwrap();
    log.prepare_spare(2000, 0).unwrap();
    let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
    disk.set_capacity(used as u64 - 1);
    assert!(log.roll_with(&snapshot, 100, 0).unwrap_err().is_disk_full(), "it cannot populate");
    disk.set_capacity(used as u64);
    log.roll_with(&snapshot, 100, 0).unwrap();
    log.flush_all().unwrap();
    log.keep_newest().unwrap();
    assert!(log.roll_with(&snapshot, 5000, 0).unwrap_err().is_disk_full());
    assert_eq!(disk.list("log").unwrap(), ["0000000002.seg"]);
}

#[test]
fn a_directory_that_a_killed_process_made_is_synced_by_the_next() {
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    for seed in 0..20 {
        let disk = new_disk(seed);
        disk.create_dir("log").unwrap();
        let disk = disk.crash_process();
        let (log, _) = setup.open(&disk).unwrap();
        append(&log, &[Item::default()]).unwrap();
        log.flush_all().unwrap();
        let (log, _) = setup.open(&disk.reboot(seed)).unwrap();
        assert_eq!(read_all(&log).unwrap().len(), 1, "seed {seed}");
    }
}
