//! That the simulated disk loses each thing a real one may lose, and nothing else.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use super::{FailMode, Simulated};
use crate::storage::{Access, Region, Storage};

const SEEDS: u64 = 400;

fn disk() -> Simulated {
    let disk = Simulated::new(7);
    drop(disk.lock(true).unwrap());
    disk
}

/// A durable file of `len` bytes of `A`.
fn planted(len: usize) -> (Simulated, Arc<dyn Region>) {
    let disk = Simulated::new(7);
    disk.put("a", vec![b'A'; len]);
    let region = disk.open("a", Access::Write).unwrap();
    (disk, region)
}

fn names(disk: &Simulated) -> Vec<String> {
    disk.files().into_iter().map(|(name, _)| name).collect()
}

/// Every different outcome of a power cut over the seeds.
fn outcomes(disk: &Simulated) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    (0..SEEDS).map(|seed| disk.reboot(seed).files()).collect()
}

/// The bytes of `a` in every different outcome.
fn contents(disk: &Simulated) -> BTreeSet<Vec<u8>> {
    outcomes(disk).into_iter().map(|files| files[0].1.clone()).collect()
}

#[test]
fn what_is_synced_never_changes() {
    let disk = disk();
    disk.create_dir("d").unwrap();
    let region = disk.create("d/a", 3000).unwrap();
    region.store(100, &[&[1; 2000]]);
    region.sync().unwrap();
    disk.sync_dir("d").unwrap();
    disk.sync_dir("").unwrap();
    region.drop_cache().unwrap();
    let expected = BTreeSet::from([disk.files()]);
    assert_eq!(outcomes(&disk), expected);
    region.store(2560, &[&[2; 10]]);
    for files in outcomes(&disk) {
        assert_eq!(files[0].1[..2560], disk.files()[0].1[..2560]);
    }
}

#[test]
fn an_unsynced_sector_may_be_any_of_its_versions() {
    let (disk, region) = planted(512);
    for byte in *b"BC" {
        region.store(0, &[&[byte; 512]]);
    }
    let seen = contents(&disk);
    for byte in *b"ABC" {
        assert!(seen.contains(&vec![byte; 512]), "version {}", char::from(byte));
    }
    assert!(seen.iter().all(|bytes| bytes.iter().all(|byte| b"ABC".contains(byte))));
}

#[test]
fn a_sector_is_torn_at_eight_bytes_and_nowhere_else() {
    let (disk, region) = planted(512);
    region.store(0, &[&[b'B'; 512]]);
    let torn = |bytes: &Vec<u8>| bytes.contains(&b'A') && bytes.contains(&b'B');
    let seen = contents(&disk);
    assert!(seen.iter().any(torn));
    for bytes in seen {
        let (grains, _) = bytes.as_chunks::<8>();
        assert!(grains.iter().all(|grain| *grain == [b'A'; 8] || *grain == [b'B'; 8]));
    }
}

#[test]
fn sectors_are_lost_alone_and_by_the_page() {
    let (disk, region) = planted(16 * 512);
    for sector in 0..16 {
        region.store(sector * 512, &[&[b'B'; 512]]);
    }
    let whole = |bytes: &Vec<u8>| -> Vec<bool> {
        bytes.as_chunks::<512>().0.iter().map(|sector| *sector == [b'B'; 512]).collect()
    };
    let seen: BTreeSet<_> = contents(&disk).iter().map(whole).collect();
    assert!(seen.contains(&vec![true; 16]) && seen.contains(&vec![false; 16]));
    let page = [vec![false; 8], vec![true; 8]].concat();
    assert!(seen.contains(&page), "a page alone");
    let newest = [vec![false; 15], vec![true]].concat();
    assert!(seen.contains(&newest), "the newest store alone");
    assert!(seen.iter().any(|sectors| sectors[0] && !sectors[1] && sectors[2]), "any mixture");
}

#[test]
fn a_created_file_comes_back_whole_empty_in_part_or_not_at_all() {
    let disk = disk();
    let region = disk.create("a", 64 << 10).unwrap();
    region.store(0, &[b"begun"]);
    disk.sync_dir("").unwrap();
    let sizes: BTreeSet<_> = contents(&disk).iter().map(Vec::len).collect();
    assert!(sizes.contains(&0) && sizes.contains(&(64 << 10)) && sizes.len() > 2, "{sizes:?}");

    let unnamed = self::disk();
    unnamed.create("a", 512).unwrap().sync().unwrap();
    let counts: BTreeSet<_> = outcomes(&unnamed).iter().map(Vec::len).collect();
    assert_eq!(counts, BTreeSet::from([0, 1]));
}

#[test]
fn a_length_is_old_or_new_until_it_is_synced() {
    let (disk, region) = planted(4096);
    region.shrink(1000).unwrap();
    let sizes: BTreeSet<_> = contents(&disk).iter().map(Vec::len).collect();
    assert_eq!(sizes, BTreeSet::from([1000, 4096]));
    let region = region.grow(5000).unwrap();
    assert_eq!(disk.files()[0].1[1000..], [0; 4000]);
    region.sync().unwrap();
    let expected = [vec![b'A'; 1000], vec![0; 4000]].concat();
    assert_eq!(contents(&disk), BTreeSet::from([expected]));
}

#[test]
fn a_removed_name_may_come_back_until_the_directory_is_synced() {
    let (disk, _region) = planted(8);
    disk.remove("a").unwrap();
    assert!(disk.files().is_empty());
    let seen: BTreeSet<_> = (0..SEEDS).map(|seed| names(&disk.reboot(seed))).collect();
    assert_eq!(seen.len(), 2);
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk), BTreeSet::from([vec![]]));
}

#[test]
fn a_rename_is_old_or_new_but_never_both_or_neither() {
    let disk = Simulated::new(7);
    disk.put("m", b"old".to_vec());
    disk.put("tmp", b"new".to_vec());
    disk.rename("tmp", "m").unwrap();
    let old = vec![("m".to_owned(), b"old".to_vec()), ("tmp".to_owned(), b"new".to_vec())];
    let new = vec![("m".to_owned(), b"new".to_vec())];
    assert_eq!(outcomes(&disk), BTreeSet::from([old, new.clone()]));
    // The name taken again must not push the first file out of both names.
    disk.create("tmp", 0).unwrap();
    for files in outcomes(&disk) {
        assert!(files.iter().any(|(_, bytes)| bytes == b"new"), "{files:?}");
    }
    disk.remove("tmp").unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk), BTreeSet::from([new]));
}

#[test]
fn unrelated_names_are_lost_in_any_order() {
    let disk = disk();
    disk.create("a", 0).unwrap();
    disk.create("b", 0).unwrap();
    let seen: BTreeSet<_> = (0..SEEDS).map(|seed| names(&disk.reboot(seed))).collect();
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_file_goes_with_a_directory_whose_name_was_not_synced() {
    let disk = disk();
    disk.create_dir("d").unwrap();
    disk.create("d/a", 8).unwrap().sync().unwrap();
    disk.sync_dir("d").unwrap();
    let counts: BTreeSet<_> = outcomes(&disk).iter().map(Vec::len).collect();
    assert_eq!(counts, BTreeSet::from([0, 1]));
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk).len(), 1);
}

#[test]
fn a_killed_process_loses_nothing_and_makes_nothing_durable() {
    let (disk, region) = planted(512);
    let _lock = disk.lock(true).unwrap();
    region.store(0, &[b"BBBBBBBB"]);
    disk.create("b", 8).unwrap();
    let next = disk.crash_process();
    assert_eq!(next.files(), disk.files());
    assert_eq!((next.calls(), next.effects()), (0, 0));
    assert!(next.lock(true).is_ok());
    let seen = outcomes(&next);
    assert!(seen.iter().any(|files| files[0].1[0] == b'A'));
    assert!(seen.iter().any(|files| files.len() == 1));
}

#[test]
fn a_cut_within_a_store_keeps_any_grains_of_it_and_the_power_stays_off() {
    let mut kept = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = Simulated::new(seed);
        disk.put("a", vec![b'A'; 64]);
        let region = disk.open("a", Access::Write).unwrap();
        region.store(0, &[b"A"]);
        disk.cut_at(disk.effects() + 1);
        region.store(20, &[&[b'B'; 20]]);
        assert!(disk.is_off());
        region.store(0, &[b"C"]);
        assert!(region.sync().is_err() && disk.list("").is_err());
        assert_eq!(disk.effects(), 3);
        kept.insert(disk.files()[0].1.clone());
    }
    // The store covers half of one grain and the two behind it.
    let with = |grains: [bool; 3]| {
        let mut bytes = vec![b'A'; 64];
        for (there, range) in grains.into_iter().zip([20..24, 24..32, 32..40]) {
            bytes[range].fill(if there { b'B' } else { b'A' });
        }
        bytes
    };
    for grains in [[false; 3], [true; 3], [true, false, false], [false, true, false]] {
        assert!(kept.contains(&with(grains)), "{grains:?}");
    }
    assert_eq!(kept.len(), 8, "three grains, each there or not");
}

#[test]
fn a_cut_at_a_call_is_before_it() {
    let (disk, region) = planted(512);
    region.store(0, &[&[b'B'; 512]]);
    disk.cut_at(disk.effects() + 1);
    assert_eq!(region.sync().unwrap_err().to_string(), "power is off");
    assert!(contents(&disk).contains(&vec![b'A'; 512]));
}

#[test]
fn the_nth_call_fails_once_or_for_ever_and_changes_nothing() {
    for (mode, later) in [(FailMode::Once, true), (FailMode::Forever, false)] {
        let disk = disk();
        disk.fail_call(disk.calls() + 2, mode, ErrorKind::StorageFull);
        disk.create("a", 8).unwrap();
        assert_eq!(disk.create("b", 8).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(names(&disk), ["a"]);
        assert_eq!(disk.create("b", 8).is_ok(), later);
        disk.heal();
        assert!(disk.list("").is_ok());
    }
}

#[test]
fn after_a_failed_sync_the_next_ones_lie() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = Simulated::new(seed);
        disk.put("a", vec![b'A'; 512]);
        let region = disk.open("a", Access::Write).unwrap();
        region.store(0, &[&[b'B'; 512]]);
        disk.fail_call(disk.calls() + 1, FailMode::Once, ErrorKind::Other);
        region.sync().unwrap_err();
        region.sync().unwrap();
        assert_eq!(disk.files()[0].1, [b'B'; 512], "the cache shows what the disk may not have");
        let durable = disk.reboot(0).files()[0].1.clone();
        seen.insert(durable.clone());
        let rewritten = disk.crash_process();
        let again = rewritten.open("a", Access::Write).unwrap();
        again.store(0, &[b"C"]);
        again.drop_cache().unwrap();
        assert_eq!(rewritten.files()[0].1[..2], *b"CB", "a dirty sector stays in the cache");
        region.drop_cache().unwrap();
        assert_eq!(disk.files()[0].1, durable, "without the cache the truth shows");
        // Written again, it is synced again.
        region.store(0, &[&[b'C'; 512]]);
        region.sync().unwrap();
        assert_eq!(contents(&disk), BTreeSet::from([vec![b'C'; 512]]));
    }
    assert_eq!(seen, BTreeSet::from([vec![b'A'; 512], vec![b'B'; 512]]));
}

#[test]
fn after_a_failed_directory_sync_the_names_are_still_not_durable() {
    let disk = disk();
    disk.create("a", 0).unwrap();
    disk.create("b", 0).unwrap();
    let mut durable = BTreeSet::new();
    for _ in 0..20 {
        let next = disk.crash_process();
        next.fail_call(1, FailMode::Once, ErrorKind::Other);
        next.sync_dir("").unwrap_err();
        durable.extend((0..SEEDS).map(|seed| names(&next.reboot(seed))));
        next.sync_dir("").unwrap();
        assert_eq!(names(&next.reboot(0)), ["a", "b"]);
    }
    assert!(durable.len() > 1);
}

#[test]
fn a_full_disk_refuses_to_create_grow_and_populate() {
    let disk = disk();
    disk.set_capacity(1000);
    let region = disk.create("a", 600).unwrap();
    let full = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
    };
    full(disk.create("b", 401).map(drop));
    full(region.grow(1001).map(drop));
    assert_eq!(names(&disk), ["a"]);
    region.populate(0, 1).unwrap();
    disk.set_capacity(599);
    full(region.populate(0, 1));
    full(disk.reboot(0).create("b", 4000).map(drop));
    disk.remove("a").unwrap();
    disk.create("b", 500).unwrap();
}

#[test]
fn ignored_syncs_are_the_positive_controls() {
    let (disk, region) = planted(512);
    disk.ignore_syncs(true);
    disk.ignore_dir_syncs(true);
    region.store(0, &[&[b'B'; 512]]);
    region.sync().unwrap();
    disk.create("b", 8).unwrap();
    disk.sync_dir("").unwrap();
    let seen = outcomes(&disk);
    assert!(seen.iter().any(|files| files[0].1[0] == b'A'));
    assert!(seen.iter().any(|files| files.len() == 1));
}

#[test]
fn planted_damage_is_on_the_disk() {
    let disk = Simulated::new(7);
    disk.put("d/a", vec![0; 16]);
    disk.flip("d/a", 3, 7);
    disk.cut_file("d/a", 4);
    let expected = vec![("d/a".to_owned(), vec![0, 0, 0, 128])];
    assert_eq!(disk.files(), expected);
    assert_eq!(outcomes(&disk), BTreeSet::from([expected]));
}

#[test]
fn a_seed_names_one_outcome() {
    let (disk, region) = planted(64 << 10);
    for at in (0..64 << 10).step_by(1000) {
        region.store(at, &[b"some bytes"]);
    }
    for seed in 0..50 {
        assert_eq!(disk.reboot(seed).files(), disk.reboot(seed).files());
    }
    assert!(contents(&disk).len() > 100);
}
