//! Every byte flipped and every length cut, of a log that was closed and of one that was killed, trimmed
//! before or not: opening and reading give what was appended or a typed error, never a wrong entry, never less
//! than what was safe in silence, and never a panic.

use super::{ALL, Cursor, Item, Log, OwnerKind, Setup, Staging, append, new_disk, read_from};
use crate::error::Error;
use crate::log::header::{Floor, Footer, HEADER_BYTES, Head, Mark, Opening, Owner};
use crate::log::segment::file_name;
use crate::log::{Kind, frame};
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;

/// What became of a victim before it was harmed.
#[derive(Clone, Copy, Debug)]
struct Past {
    closed: bool,
    trimmed: bool,
}

const PASTS: [Past; 4] = [
    Past { closed: true, trimmed: false },
    Past { closed: false, trimmed: false },
    Past { closed: true, trimmed: true },
    Past { closed: false, trimmed: true },
];

/// A log in several segments, and what stands in it.
struct Victim {
    setup: Setup,
    files: Vec<(String, Vec<u8>)>,
    items: Vec<Item>,
    /// The first offset in each of the files.
    starts: Vec<u64>,
    /// So many were flushed, and the floor says so.
    safe: usize,
}

fn victim(past: Past) -> Victim {
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 9);
    let disk = new_disk(1);
    let (log, _) = setup.open(&disk).unwrap();
    let mut random = Random::new(4);
    let mut items: Vec<Item> = Vec::new();
    let mut safe = 0;
    for number in 0..40_u64 {
        let count = if number % 5 == 4 { 3 } else { 1 };
        let call: Vec<Item> = (0..count)
            .map(|_| Item { time: number, ..Item::random(number, false, &mut random) })
            .collect();
        append(&log, &call).unwrap();
        items.extend(call);
        if number == 30 {
            log.flush_all().unwrap();
            safe = items.len();
        }
    }
    assert!(safe >= 40 && disk.files().len() >= 3, "{safe}, {}", disk.files().len());
    if past.trimmed {
        let second = log.stored().sealed[1];
        assert_eq!(log.trim_to(second.first).unwrap().end, second.first);
    }
    let stored = log.stored();
    let starts = stored.sealed.iter().map(|segment| segment.first);
    let starts = starts.chain(stored.sealed.last().map(|last| last.end)).collect();
    if past.closed {
        log.close().unwrap();
        safe = items.len();
    }
    Victim { setup, files: disk.files(), items, starts, safe }
}

impl Victim {
    /// The disk with the bytes of one file changed.
    fn with(&self, index: usize, change: impl FnOnce(&mut Vec<u8>)) -> Simulated {
        let disk = new_disk(1);
        let mut files = self.files.clone();
        change(&mut files[index].1);
        for (path, bytes) in files {
            disk.put(&path, bytes);
        }
        disk
    }

    fn check(&self, disk: &Simulated, context: &str) {
        let log = match self.setup.open(disk) {
            Ok((log, _)) => log,
            Err(error) => return assert_typed(&error, context),
        };
        let start = log.start();
        assert_eq!(start, self.starts[0], "{context}");
        let (found, error) = read_from(&log, Cursor::at(0), ALL);
        self.compare(&found, start, context);
        let end = usize::try_from(start).unwrap() + found.len();
        match error {
            Some(error) => assert_typed(&error, context),
            None => assert!(end >= self.safe, "{context}: it ends at {end}"),
        }
        for offset in (0..log.visible()).step_by(23) {
            let (found, error) = read_from(&log, Cursor::at(offset), ALL);
            self.compare(&found, offset.max(start), context);
            if let Some(error) = error {
                assert_typed(&error, context);
            }
        }
        self.check_since(&log, context);
    }

    /// No entry that is found is another than the one appended.
    fn compare(&self, found: &[(u64, Item)], first: u64, context: &str) {
        for (expected, (offset, item)) in (first..).zip(found) {
            let appended = usize::try_from(expected).ok().and_then(|at| self.items.get(at));
            assert_eq!((*offset, Some(item)), (expected, appended), "{context}");
        }
    }

    fn check_since(&self, log: &Log, context: &str) {
        for time in [1, 20, 99] {
            match log.since(time) {
                Ok(offset) => {
                    let older = self.items.iter().take_while(|item| item.time < time).count();
                    let expected = (older as u64).clamp(log.start(), log.visible());
                    assert_eq!(offset, expected, "{context}");
                }
                Err(error) => assert_typed(&error, context),
            }
        }
        assert!(log.visible() <= self.items.len() as u64, "{context}");
    }
}

fn assert_typed(error: &Error, context: &str) {
    let typed = matches!(error, Error::Corrupt(_) | Error::NewerFormat { .. });
    assert!(typed, "{context}: {error}");
}

#[test]
fn every_flipped_byte_gives_the_entries_or_a_typed_error() {
    for past in PASTS {
        let victim = victim(past);
        let mut random = Random::new(8);
        for (index, (path, bytes)) in victim.files.iter().enumerate() {
            for at in 0..bytes.len() {
                let flip = if random.coin() { 0xFF } else { 1 << random.below(8) };
                let disk = victim.with(index, |bytes| bytes[at] ^= flip);
                victim.check(&disk, &format!("{past:?}, {path} byte {at} by {flip:#x}"));
            }
        }
    }
}

#[test]
fn every_cut_length_gives_the_entries_or_a_typed_error() {
    for past in PASTS {
        let victim = victim(past);
        for (index, (path, bytes)) in victim.files.iter().enumerate() {
            for length in 0..bytes.len() {
                let disk = victim.with(index, |bytes| bytes.truncate(length));
                victim.check(&disk, &format!("{past:?}, {path} cut to {length}"));
            }
        }
    }
}

#[test]
fn every_zeroed_sector_gives_the_entries_or_a_typed_error() {
    for past in PASTS {
        let victim = victim(past);
        for (index, (path, bytes)) in victim.files.iter().enumerate() {
            for at in (0..bytes.len()).step_by(512) {
                let disk = victim.with(index, |bytes| {
                    let end = bytes.len().min(at + 512);
                    bytes[at..end].fill(0);
                });
                victim.check(&disk, &format!("{past:?}, {path} sector at {at}"));
            }
        }
    }
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    for past in PASTS {
        let mut victim = victim(past);
        // Without its newest file a log looks as it did before that was made.
        for index in 1..victim.files.len() - 1 {
            let gone = victim.files.remove(index);
            let disk = victim.with(0, |_| ());
            victim.check(&disk, &format!("{past:?}, {} is gone", gone.0));
            victim.files.insert(index, gone);
        }
    }
}

#[test]
fn a_log_without_its_first_file_starts_with_the_second() {
    for past in PASTS {
        let mut victim = victim(past);
        let gone = victim.files.remove(0);
        victim.starts.remove(0);
        let disk = victim.with(0, |_| ());
        victim.check(&disk, &format!("{past:?}, {} is gone", gone.0));
        let (log, _) = victim.setup.open(&disk).unwrap();
        assert_eq!(log.start(), victim.starts[0]);
        assert_eq!(log.end(), victim.items.len() as u64);
    }
}

/// A segment made by somebody who knows the format, with whatever numbers they like.
struct Forged {
    sequence: u64,
    base: u64,
    floor: Floor,
    footer: Option<Footer>,
    frames: Vec<(frame::Header, Vec<u8>)>,
}

const OWNER: Owner = Owner { kind: OwnerKind::Partition, stream: 7, number: 0 };

fn frame_of(kind: Kind, offset: u64, count: u32, body: &[u8]) -> (frame::Header, Vec<u8>) {
    let body_bytes = u32::try_from(body.len()).unwrap();
    let header = frame::Header {
        sum: 0,
        body_bytes,
        offset,
        floor: 0,
        time: u64::MAX,
        count,
        kind,
        more: false,
    };
    (header, body.to_vec())
}

impl Forged {
    fn bytes(&self) -> Vec<u8> {
        let head = Head {
            owner: OWNER,
            sequence: self.sequence,
            salt: 3,
            capacity: u64::MAX,
            created: u64::MAX,
        };
        let mut bytes = head.encode(self.floor).to_vec();
        let opening = Opening { time_max: 0, ..Opening::default() }.encode();
        let first = frame_of(Kind::Opening, self.base, 0, &opening);
        for (header, body) in [first].iter().chain(&self.frames) {
            bytes.extend(header.encode(3, frame::body_sum(body)));
            bytes.extend(body);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes.extend(self.footer.iter().flat_map(|footer| footer.encode(3)));
        bytes
    }

    /// Opens, reads and appends; nothing may panic, whatever comes of it.
    fn try_out(&self, context: &str) {
        let disk = new_disk(1);
        disk.put(&format!("log/{}", file_name(self.sequence)), self.bytes());
        let setup = Setup::new(OwnerKind::Partition, Staging::Off, 9);
        let log = match setup.open(&disk) {
            Ok((log, _)) => log,
            Err(error) => return assert_typed(&error, context),
        };
        for offset in [0, self.base, self.base + 1, log.visible().saturating_sub(1)] {
            let (_, error) = read_from(&log, Cursor::at(offset), ALL);
            if let Some(error) = error {
                assert_typed(&error, context);
            }
        }
        for time in [1, u64::MAX] {
            if let Err(error) = log.since(time) {
                assert_typed(&error, context);
            }
        }
        append(&log, &[Item::default()]).unwrap();
        let files = disk.files();
        assert!(files.iter().all(|(_, bytes)| bytes.len() <= 4096), "{context}: a file grew");
        log.close().unwrap();
    }
}

#[test]
fn forged_numbers_give_a_typed_error_or_nonsense_but_no_panic() {
    let opening_end = u32::try_from(HEADER_BYTES + 64).unwrap();
    let large = [0, 1, 1 << 31, u64::from(u32::MAX), 1 << 61, 1 << 62, u64::MAX - 1, u64::MAX];
    for number in large {
        for (sequence, base) in [(1, number), (number.max(1), 0), (1, 0)] {
            for position in [0, 128, opening_end, opening_end + 48, u32::MAX] {
                for offset in [0, base, base.saturating_add(1), number] {
                    let floor = Floor { offset, position };
                    let mark = Mark { offset: u32::MAX, position: u32::MAX, time_max: 0 };
                    let marks = vec![Mark { offset: 0, position: 128, time_max: 0 }, mark];
                    let footer = Footer { end: offset, time_max: number, marks, subjects: None };
                    let frames = vec![
                        frame_of(Kind::Plain, base, 1, b"payload!"),
                        frame_of(Kind::Entries, base.saturating_add(1), u32::MAX, &[255; 64]),
                        frame_of(Kind::Snapshot, base.saturating_add(1), u32::MAX, &[]),
                    ];
                    let forged = Forged { sequence, base, floor, footer: Some(footer), frames };
                    forged.try_out(&format!("{sequence} {base} {floor:?}"));
                    let few = forged.frames[..1].to_vec();
                    Forged { frames: few, ..forged }
                        .try_out(&format!("{sequence} {base} {floor:?}"));
                }
            }
        }
    }
}

#[test]
fn a_segment_that_is_said_to_end_in_its_header_or_behind_its_file_is_refused() {
    let start = Floor { offset: 0, position: 128 };
    let one = Forged { sequence: 1, base: 0, floor: start, footer: None, frames: Vec::new() };
    // The second is synced, so that nobody walks the first one to its end.
    let synced = Floor { offset: 0, position: u32::try_from(HEADER_BYTES + 64).unwrap() };
    for previous_end in [0, 120, 127, 1 << 20, u64::MAX] {
        let head =
            Head { owner: OWNER, sequence: 2, salt: 4, capacity: u64::MAX, created: u64::MAX };
        let opening = Opening { previous_end, previous_salt: 3, time_max: 0 }.encode();
        let (header, body) = frame_of(Kind::Opening, 0, 0, &opening);
        let mut two = head.encode(synced).to_vec();
        two.extend(header.encode(4, frame::body_sum(&body)));
        two.extend(body);
        let disk = new_disk(1);
        disk.put(&format!("log/{}", file_name(1)), one.bytes());
        disk.put(&format!("log/{}", file_name(2)), two);
        let refused = Setup::new(OwnerKind::Partition, Staging::Off, 9).open(&disk);
        assert!(refused.is_err_and(|error| error.is_corrupt()), "{previous_end}");
    }
}
