//! Entries counted by their subjects, against a count of what is read back.

use super::*;
use crate::log::segment::file_name;
use crate::storage::Access;

const SUBJECTS: [&str; 4] = ["order.created", "order.paid", "user.created", "x"];

/// An entry with one of the subjects, or without.
fn subjected(unique: u64, random: &mut Random) -> Item {
    let mut item = Item::random(unique, false, random);
    item.subject = (!random.one_in(4)).then(|| random.pick(&SUBJECTS).to_owned());
    if random.one_in(40) {
        // More of these than a small segment counts.
        item.subject = Some(format!("{unique}.{}", "long".repeat(30)));
    }
    item
}

fn is_order(subject: &str) -> bool {
    subject.starts_with("order.")
}

#[track_caller]
fn assert_counts(log: &Log, items: &[Item], range: std::ops::Range<u64>) {
    let place = |offset| usize::try_from(offset).unwrap();
    let of = place(range.start)..place(range.end);
    let picked = |item: &&Item| item.subject.as_deref().is_some_and(is_order);
    let expected = items[of].iter().filter(picked).count() as u64;
    assert_eq!(log.count(range.clone(), is_order).unwrap(), expected, "{range:?}");
}

#[test]
fn counts_are_those_of_what_is_read() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let setup = Setup::random(OwnerKind::Partition, &mut random);
        let disk = new_disk(seed);
        let mut items: Vec<Item> = Vec::new();
        for _ in 0..4 {
            let (log, _) = setup.open(&disk).unwrap();
            assert_eq!(read_all(&log).unwrap().len(), items.len());
            for _ in 0..random.below(60) {
                let count = if random.one_in(3) { 1 + random.below(30) } else { 1 };
                let first = items.len() as u64;
                let some = (0..count as u64).map(|n| subjected(first + n, &mut random));
                let some: Vec<Item> = some.collect();
                append(&log, &some).unwrap();
                items.extend(some);
            }
            log.flush_all().unwrap();
            for _ in 0..20 {
                let (one, other) = (random.below(items.len() + 1), random.below(items.len() + 1));
                assert_counts(&log, &items, one.min(other) as u64..one.max(other) as u64);
            }
            assert_counts(&log, &items, 0..items.len() as u64);
            if random.coin() {
                log.close().unwrap();
            }
        }
    }
}

#[test]
fn a_count_goes_on_where_the_last_one_ended() {
    let mut random = Random::new(5);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 5);
    let (log, _) = setup.open(&new_disk(5)).unwrap();
    let (mut cursor, mut count, mut items) = (Cursor::default(), 0, Vec::new());
    for n in 0..400 {
        let item = subjected(n, &mut random);
        append(&log, std::slice::from_ref(&item)).unwrap();
        items.push(item);
        if random.one_in(5) {
            while cursor.offset < log.visible() {
                count += log.count_on(&mut cursor, log.visible(), is_order).unwrap();
            }
            let picked = |item: &&Item| item.subject.as_deref().is_some_and(is_order);
            assert_eq!(count, items.iter().filter(picked).count() as u64);
        }
    }
    assert!(log.segment_count() > 5);
}

/// A log of several closed segments of known subjects, and where the second one begins and ends.
fn sealed(disk: &Simulated) -> (Log, Vec<Item>, std::ops::Range<u64>) {
    let mut random = Random::new(9);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 9);
    let (log, _) = setup.open(disk).unwrap();
    let mut items = Vec::new();
    for n in 0..200 {
        let mut item = Item::random(n, false, &mut random);
        item.subject = random.coin().then(|| random.pick(&SUBJECTS).to_owned());
        append(&log, std::slice::from_ref(&item)).unwrap();
        items.push(item);
    }
    log.close().unwrap();
    let (log, _) = setup.open(disk).unwrap();
    let second = log.stored().sealed[1];
    (log, items, second.first..second.end)
}

#[test]
fn a_whole_segment_is_counted_by_its_footer_and_rot_counts_as_picked() {
    let disk = new_disk(9);
    let (log, items, second) = sealed(&disk);
    let path = format!("log/{}", file_name(2));
    let region = disk.open(&path, Access::Write).unwrap();
    // The kind of the frame behind the opening.
    region.store(192 + 32, &[&[0xff; 8]]);
    assert!(read_from(&log, Cursor::at(second.start), ALL).1.unwrap().is_corrupt());
    assert_counts(&log, &items, second.clone());
    assert_counts(&log, &items, 0..items.len() as u64);
    let most = second.start..second.end - 1;
    let unread = most.end - most.start;
    assert_eq!(log.count(most.clone(), |_| false).unwrap(), unread);
    assert_eq!(log.count(most.start..items.len() as u64, |_| false).unwrap(), 0);
}

#[test]
fn a_count_behind_a_trim_starts_with_what_is_left() {
    let (log, items, second) = sealed(&new_disk(9));
    let _ = log.trim_to(second.start).unwrap();
    let mut cursor = Cursor::at(second.start - 3);
    assert_eq!(log.count_on(&mut cursor, second.end, |_| true).unwrap(), 0);
    assert_eq!(cursor.offset, second.start);
    assert_counts(&log, &items, second);
}
