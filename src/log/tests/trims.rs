//! Trimming: what it takes and what it leaves, whatever stops it and wherever; that ids go on where
//! they were; and that who reads meanwhile gets what was appended, or is told that it is gone.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{
    ALL, Bounds, Cursor, Draft, Item, Log, Outcome, OwnerKind, Run, Setup, Staging, append,
    new_disk, read_all, take,
};
use crate::log::{Mode, Piece, Settings};
use crate::storage::simulated::{FailMode, Simulated};
use crate::storage::{Disk, Memory, Storage};

const STAGINGS: [Staging; 2] = [Staging::Off, Staging::On];

/// An entry that fills more than half of a segment, so that each is in one of its own.
fn large(number: u8) -> Item {
    Item { payload: vec![number; 2500], ..Item::default() }
}

fn setup(staging: Staging) -> Setup {
    Setup::new(OwnerKind::Partition, staging, 1)
}

/// A log of so many segments with one entry each, none of them flushed.
fn log_of(setup: &Setup, disk: &Simulated, segments: u8) -> Log {
    let (log, _) = setup.open(disk).unwrap();
    for number in 0..segments {
        append(&log, &[large(number)]).unwrap();
    }
    assert_eq!(log.segment_count(), usize::from(segments));
    log
}

fn files(disk: &Simulated) -> Vec<String> {
    disk.list("log").unwrap()
}

/// Appends to an opened log and says under which offset it finds the entry again.
fn offset_of_next(log: &Log) -> u64 {
    append(log, &[large(99)]).unwrap();
    log.flush_all().unwrap();
    let end = log.end();
    let last = read_all(log).unwrap().pop().unwrap();
    assert_eq!((last, log.visible()), (large(99), end));
    end - 1
}

#[test]
fn whole_segments_go_up_to_the_offset_and_never_the_last_one() {
    for staging in STAGINGS {
        let disk = new_disk(1);
        let log = log_of(&setup(staging), &disk, 4);
        log.flush_all().unwrap();
        for (offset, start) in [(0, 0), (1, 1), (1, 1), (0, 1), (2, 2), (4, 3), (u64::MAX, 3)] {
            let first = log.start();
            let trimmed = log.trim_to(offset).unwrap();
            assert_eq!((trimmed.first, trimmed.end, log.start()), (first, start, start));
            assert_eq!(trimmed.bytes > 0, start > first);
            let start = u8::try_from(start).unwrap();
            assert_eq!(files(&disk).len(), usize::from(4 - start));
            let left: Vec<Item> = (start..4).map(large).collect();
            assert_eq!(read_all(&log).unwrap(), left);
        }
    }
}

#[test]
fn a_log_without_entries_has_nothing_to_trim() {
    let disk = new_disk(1);
    let (log, _) = setup(Staging::Off).open(&disk).unwrap();
    let trimmed = log.trim_to(u64::MAX).unwrap();
    assert_eq!((trimmed.first, trimmed.end, trimmed.bytes), (0, 0, 0));
    assert!(disk.list("log").is_err(), "no entries, no segment");
}

#[test]
fn a_segment_without_entries_goes_with_the_one_before() {
    let disk = new_disk(1);
    let log = log_of(&setup(Staging::Off), &disk, 1);
    for _ in 0..2 {
        log.roll_with(&Draft::default(), 0, 0).unwrap();
    }
    assert_eq!(log.trim_to(1).unwrap().end, 1);
    assert_eq!(files(&disk), ["0000000003.seg"]);
    assert_eq!((log.start(), log.visible()), (1, 1));
}

#[test]
fn the_next_id_is_the_same_however_the_log_was_left() {
    for staging in STAGINGS {
        let setup = setup(staging);
        let emptied = |disk: &Simulated| {
            let log = log_of(&setup, disk, 3);
            // As a roll leaves it whose append then found the disk full.
            log.roll_with(&Draft::default(), 0, 0).unwrap();
            assert_eq!(log.trim_to(u64::MAX).unwrap().end, 3);
            assert_eq!((log.start(), log.end(), files(disk).len()), (3, 3, 1));
            log
        };
        for seed in 0..20 {
            let disk = new_disk(seed);
            drop(emptied(&disk));
            let killed = disk.crash_process();
            let (log, _) = setup.open(&killed).unwrap();
            assert_eq!((log.start(), offset_of_next(&log)), (3, 3), "killed");
            let (log, _) = setup.open(&disk.reboot(seed)).unwrap();
            assert_eq!((log.start(), offset_of_next(&log)), (3, 3), "cut, seed {seed}");

            let disk = new_disk(seed);
            emptied(&disk).close().unwrap();
            let disk = disk.reboot(seed);
            let (log, recovery) = setup.open(&disk).unwrap();
            assert!(!recovery.unclean);
            assert_eq!((log.start(), log.end()), (3, 3), "closed");
            // It makes the file long again, and then the power goes.
            append(&log, &[large(4)]).unwrap();
            drop(log);
            let disk = disk.reboot(seed + 100);
            let (log, _) = setup.open(&disk).unwrap();
            let end = log.end();
            assert!(log.start() == 3 && (3..=4).contains(&end), "closed, then cut: {end}");
            assert_eq!(offset_of_next(&log), end, "closed, then cut");
        }
    }
}

#[test]
fn the_segment_that_a_crash_sealed_stays_until_there_is_another() {
    let disk = new_disk(1);
    let setup = setup(Staging::Off);
    drop(log_of(&setup, &disk, 2));
    let (log, recovery) = setup.open(&disk.crash_process()).unwrap();
    assert!(recovery.unclean);
    assert_eq!(log.trim_to(u64::MAX).unwrap().end, 1);
    assert_eq!(log.stored().sealed, []);
    assert_eq!(offset_of_next(&log), 2);
    assert_eq!(log.trim_to(u64::MAX).unwrap().end, 2);
}

#[test]
fn nothing_goes_before_what_stays_can_tell_where_the_ids_go_on() {
    for staging in STAGINGS {
        for seed in 0..50 {
            let disk = new_disk(seed);
            let setup = setup(staging);
            let log = log_of(&setup, &disk, 3);
            assert_eq!(log.durable(), 0);
            let trimmed = log.trim_to(2).unwrap();
            assert_eq!((trimmed.end, log.durable(), trimmed.ring), (2, 3, false));
            drop(log);
            let (log, _) = setup.open(&disk.reboot(seed)).unwrap();
            assert_eq!((log.start(), offset_of_next(&log)), (2, 3), "{staging:?}, seed {seed}");
        }
    }
}

#[test]
fn who_waits_is_to_be_woken_for_what_a_trim_made_visible() {
    let disk = new_disk(1);
    let setup = setup(Staging::On);
    let log = log_of(&setup, &disk, 2);
    log.settings.waiting.add();
    assert_eq!(log.visible(), 0);
    assert!(log.trim_to(1).unwrap().ring);
    assert_eq!(log.visible(), 2);
}

#[test]
fn a_trim_of_what_is_durable_costs_an_unlink_and_a_directory_sync_for_each_segment() {
    let disk = new_disk(1);
    let log = log_of(&setup(Staging::Off), &disk, 5);
    log.flush_all().unwrap();
    for (offset, calls) in [(1, 2), (3, 4), (3, 0)] {
        let before = disk.calls();
        let _ = log.trim_to(offset).unwrap();
        assert_eq!(disk.calls() - before, calls);
    }
}

#[test]
fn a_trim_can_be_cut_anywhere_and_leaves_no_gap() {
    for staging in STAGINGS {
        let setup = setup(staging);
        for effect in 1.. {
            let disk = new_disk(effect);
            let log = log_of(&setup, &disk, 6);
            disk.cut_at(disk.effects() + effect);
            let done = log.trim_to(5).is_ok();
            for seed in 0..40 {
                let context = format!("{staging:?}, effect {effect}, seed {seed}");
                let disk = disk.reboot(seed);
                let (log, _) = setup.open(&disk).unwrap_or_else(|e| panic!("{context}: {e}"));
                let (start, found) = (log.start(), read_all(&log).unwrap());
                let end = start + found.len() as u64;
                assert!((0..=5).contains(&start) && (start..=6).contains(&end), "{context}");
                assert!(!done || (start, end) == (5, 6), "{context}");
                assert!(start == 0 || end == 6, "what stays was durable first: {context}");
                let first = u8::try_from(start).unwrap();
                let wanted: Vec<Item> = (first..).take(found.len()).map(large).collect();
                assert_eq!(found, wanted, "{context}");
                assert_eq!(offset_of_next(&log), end, "{context}");
            }
            if done && !disk.is_off() {
                break;
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_removed_is_left_to_the_next_trim() {
    let disk = new_disk(1);
    let setup = setup(Staging::Off);
    let log = log_of(&setup, &disk, 5);
    log.flush_all().unwrap();
    // The second unlink.
    disk.fail_call(disk.calls() + 3, FailMode::Once, ErrorKind::Other);
    let refused = log.trim_to(3).unwrap_err();
    assert!(refused.to_string().contains("0000000002.seg"), "{refused}");
    assert_eq!((log.start(), log.stored().sealed.len()), (3, 1), "the start moved");
    assert_eq!(files(&disk)[0], "0000000002.seg", "and none behind it is gone");
    assert_eq!(read_all(&log).unwrap(), [large(3), large(4)]);

    // Opened now, it serves what is left once more.
    let other = disk.crash_process();
    let (again, _) = setup.open(&other).unwrap();
    assert_eq!((again.start(), again.end()), (1, 5));
    assert_eq!(again.trim_to(3).unwrap().end, 3);
    assert_eq!(files(&other)[0], "0000000004.seg");

    // Not opened, the next trim removes it, whatever that one asks for.
    let trimmed = log.trim_to(0).unwrap();
    assert_eq!((trimmed.first, trimmed.end), (3, 3));
    assert!(trimmed.bytes > 0);
    assert_eq!(files(&disk), ["0000000004.seg", "0000000005.seg"]);
}

#[test]
fn a_file_that_is_gone_already_holds_up_nothing() {
    let disk = new_disk(1);
    let log = log_of(&setup(Staging::Off), &disk, 3);
    disk.remove("log/0000000001.seg").unwrap();
    assert_eq!(log.trim_to(2).unwrap().end, 2);
    assert_eq!(files(&disk), ["0000000003.seg"]);
}

#[test]
fn a_full_disk_stops_no_trim() {
    for staging in STAGINGS {
        let disk = new_disk(1);
        let log = log_of(&setup(staging), &disk, 3);
        disk.set_capacity(0);
        assert!(append(&log, &[large(3)]).unwrap_err().is_disk_full());
        assert_eq!(log.trim_to(2).unwrap().end, 2);
        disk.set_capacity(8192);
        assert_eq!(offset_of_next(&log), 3);
    }
}

#[test]
fn a_closed_a_poisoned_and_a_read_only_log_are_left_as_they_are() {
    let setup = setup(Staging::Off);
    let disk = new_disk(1);
    let log = log_of(&setup, &disk, 2);
    log.close().unwrap();
    assert!(log.trim_to(1).unwrap_err().is_closed());
    let settings = Settings { mode: Mode::Read, ..setup.settings(&disk) };
    let (log, _) = Log::open(settings).unwrap();
    assert!(matches!(log.trim_to(1), Err(crate::error::Error::ReadOnly)));

    let (log, _) = setup.open(&disk).unwrap();
    append(&log, &[large(2)]).unwrap();
    disk.fail_call(disk.calls() + 1, FailMode::Once, ErrorKind::Other);
    assert!(log.trim_to(2).unwrap_err().is_poisoned(), "the flush failed");
    assert!(log.trim_to(1).unwrap_err().is_poisoned());
    assert_eq!((log.start(), files(&disk).len()), (0, 3));
}

#[test]
fn a_log_opened_for_reading_only_starts_where_it_was_trimmed_to() {
    let setup = setup(Staging::Off);
    let disk = new_disk(1);
    let log = log_of(&setup, &disk, 4);
    let _ = log.trim_to(2).unwrap();
    for disk in [disk.crash_process(), disk] {
        let settings = Settings { mode: Mode::Read, ..setup.settings(&disk) };
        let (log, recovery) = Log::open(settings).unwrap();
        assert_eq!((log.start(), log.end(), recovery.damage), (2, 4, None));
        assert_eq!(read_all(&log).unwrap(), [large(2), large(3)]);
        log.verify().unwrap();
    }
}

#[test]
fn a_cursor_in_a_trimmed_segment_is_told_where_the_log_goes_on() {
    for unlinked in [true, false] {
        let disk = new_disk(1);
        let setup = setup(Staging::Off);
        let (log, _) = setup.open(&disk).unwrap();
        let pair = [large(0), Item { payload: vec![1; 40], ..Item::default() }];
        for item in pair {
            append(&log, &[item]).unwrap();
        }
        append(&log, &[large(2)]).unwrap();
        log.flush_all().unwrap();
        let (mut inside, mut run) = (Cursor::at(0), Run::default());
        let one = Bounds { entries: 1, ..ALL };
        assert_eq!(log.read(&mut inside, one, &mut run).unwrap(), Outcome::Copied);
        assert_eq!(inside.offset, 1, "it stands in the first segment, which is mapped");
        if !unlinked {
            disk.fail_call(disk.calls() + 1, FailMode::Once, ErrorKind::Other);
        }
        assert_eq!(log.trim_to(2).is_ok(), unlinked);
        let behind = Cursor::at(1);
        for mut cursor in [inside, behind] {
            let outcome = log.read(&mut cursor, one, &mut run).unwrap();
            assert_eq!((outcome, run.count), (Outcome::Trimmed { start: 2 }, 0));
            cursor.seek(2);
            assert_eq!(log.read(&mut cursor, one, &mut run).unwrap(), Outcome::Copied);
            assert_eq!((run.first, run.count), (2, 1));
        }
        // Nothing is asked for below its end, so nothing is missed.
        let nothing = Bounds { before: 1, ..ALL };
        assert_eq!(log.read(&mut Cursor::at(1), nothing, &mut run).unwrap(), Outcome::Copied);
        assert!(log.mapped.lock().is_empty());
    }
}

#[test]
fn a_log_that_was_trimmed_is_searched_by_time_from_its_start() {
    let disk = new_disk(1);
    let setup = setup(Staging::Off);
    let (log, _) = setup.open(&disk).unwrap();
    for time in [10, 20, 30, 40] {
        append(&log, &[Item { time, ..large(1) }]).unwrap();
    }
    let _ = log.trim_to(2).unwrap();
    let (reopened, _) = setup.open(&disk.crash_process()).unwrap();
    for log in [log, reopened] {
        let found = [5, 15, 25, 30, 35, 40, 41].map(|time| log.since(time).unwrap());
        assert_eq!(found, [2, 2, 2, 2, 3, 3, 4]);
        assert_eq!(log.stored().sealed[0].newest, 30);
    }
}

#[test]
fn an_append_says_that_it_began_a_segment() {
    let disk = new_disk(1);
    let setup = setup(Staging::Off);
    let (log, _) = setup.open(&disk).unwrap();
    let append = |bytes: usize| {
        let body = vec![0; bytes];
        log.append_one(&Piece::record(&body), 0).unwrap().rolled
    };
    assert_eq!([2500, 10, 2500, 10].map(append), [true, false, true, false]);
    let mut draft = Draft::default();
    Item { payload: vec![1; 3000], ..Item::default() }.with_fields(|fields| draft.push(fields));
    draft.finish();
    assert!(log.append(&draft, 0).unwrap().rolled);
    // One that finds the disk full behind the roll leaves the news to the next.
    log.roll_with(&Draft::default(), 0, 0).unwrap();
    assert_eq!([10, 10].map(append), [true, false]);
}

/// Appends and trims, while others read from the start and from the end, each run once.
fn race(settings: Settings) {
    const ENTRIES: u64 = 3000;
    let (log, _) = Log::open(settings).unwrap();
    let done = AtomicBool::new(false);
    let read = |mut cursor: Cursor| {
        let (mut run, mut seen, mut missed) = (Run::default(), 0_u64, 0_u64);
        let first = cursor.offset;
        let bounds = Bounds { entries: 7, ..ALL };
        loop {
            // Asked first: nothing is appended behind it.
            let last = done.load(Ordering::Acquire);
            let before = cursor.offset;
            match log.read(&mut cursor, bounds, &mut run).unwrap() {
                Outcome::Trimmed { start } => {
                    missed += start - before;
                    cursor.seek(start);
                }
                Outcome::Copied if run.count == 0 && last => break,
                Outcome::Copied => {
                    let mut items = Vec::new();
                    take(&log, &run, &mut items).unwrap();
                    for ((found, item), offset) in items.iter().zip(before..) {
                        assert_eq!(
                            (*found, &item.payload[..8]),
                            (offset, &offset.to_le_bytes()[..])
                        );
                    }
                    assert_eq!(items.len() as u64, cursor.offset - before);
                    seen += items.len() as u64;
                }
            }
        }
        assert_eq!((cursor.offset, seen + missed), (ENTRIES, ENTRIES - first));
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read(Cursor::at(0)));
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                read_again(&log);
            }
        });
        let _done = SetOnDrop(&done);
        for offset in 0..ENTRIES {
            let mut payload = offset.to_le_bytes().to_vec();
            payload.resize(300, 0);
            append(&log, &[Item { payload, time: offset, ..Item::default() }]).unwrap();
            if offset % 50 == 49 {
                let _ = log.trim_to(offset - 30).unwrap();
            }
        }
    });
    assert!(log.start() > ENTRIES / 2);
    log.close().unwrap();
}

/// Ends the readers, even if the writer panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Whatever else looks at old segments.
fn read_again(log: &Log) {
    // Each entry's time is its offset.
    let time = log.start() + 5;
    assert!(log.since(time).unwrap() <= time.max(log.start()));
    assert!(log.since(0).unwrap() <= log.start());
    assert!(log.trim_point(0) <= log.start());
    log.verify().unwrap();
    let stored = log.stored();
    assert!(stored.sealed.windows(2).all(|two| two[0].end == two[1].first));
}

#[test]
fn readers_get_what_was_appended_or_hear_that_it_is_gone() {
    let setup = setup(Staging::Off);
    let memory = Memory::new();
    let _lock = memory.lock(true).unwrap();
    race(setup.settings(&memory));
    race(setup.settings(&new_disk(1)));
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::new(root.path().join("stream"));
    let _lock = disk.lock(true).unwrap();
    let storage = std::sync::Arc::new(disk);
    race(Settings { storage, ..setup.settings(&Memory::new()) });
}
