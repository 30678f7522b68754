//! What every storage does, run on each of them.

use std::io::ErrorKind;

use super::simulated::Simulated;
use super::{Access, Disk, Memory, Region, Storage, Within};

fn loaded(region: &dyn Region, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    region.load(at, len, &mut bytes);
    bytes
}

fn read(region: &dyn Region, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    region.read(at, &mut bytes).unwrap();
    bytes
}

fn panics(action: impl FnOnce()) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)).is_err()
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("it fails").kind()
}

/// Runs `check` on a locked storage of each kind.
fn on_each(check: impl Fn(&dyn Storage)) {
    let dir = tempfile::tempdir().unwrap();
    let storages: [Box<dyn Storage>; 3] = [
        Box::new(Disk::new(dir.path().join("a/b/stream"))),
        Box::new(Memory::new()),
        Box::new(Simulated::new(1)),
    ];
    for storage in storages {
        let _lock = storage.lock(true).unwrap();
        check(&*storage);
    }
}

#[test]
fn a_missing_root_is_found_missing_and_made_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let storages: [Box<dyn Storage>; 3] = [
        Box::new(Disk::new(dir.path().join("stream"))),
        Box::new(Memory::new()),
        Box::new(Simulated::new(1)),
    ];
    for storage in storages {
        assert_eq!(kind(storage.lock(false)), ErrorKind::NotFound, "{storage:?}");
        assert_eq!(kind(storage.list("")), ErrorKind::NotFound, "{storage:?}");
        drop(storage.lock(true).unwrap());
        assert!(storage.list("").unwrap().is_empty(), "{storage:?}");
        drop(storage.lock(false).unwrap());
    }
}

#[test]
fn a_second_lock_is_refused_until_the_first_is_dropped() {
    on_each(|storage| {
        assert_eq!(kind(storage.lock(true)), ErrorKind::WouldBlock);
        assert_eq!(kind(storage.lock(false)), ErrorKind::WouldBlock);
    });
    let memory = Memory::new();
    drop(memory.lock(true).unwrap());
    assert!(memory.lock(true).is_ok());
    assert!(!memory.forked());
}

#[test]
fn a_created_file_is_zero_and_shows_what_is_stored_by_map_and_by_file() {
    on_each(|storage| {
        let region = storage.create("a", 10_000).unwrap();
        assert_eq!(region.len(), 10_000);
        assert_eq!(loaded(&*region, 0, 10_000), vec![0; 10_000]);
        region.populate(0, 1 << 40).unwrap();
        region.store(9_990, &[b"01234", b"56789"]);
        region.write(20, b"written").unwrap();
        assert_eq!(read(&*region, 9_990, 10), b"0123456789");
        assert_eq!(loaded(&*region, 20, 7), b"written");
        region.sync().unwrap();
        region.drop_cache().unwrap();
        storage.sync_dir("").unwrap();
        assert_eq!(loaded(&*region, 9_990, 10), b"0123456789");
        let mut past = [0; 11];
        assert!(panics(|| drop(loaded(&*region, 9_990, 11))));
        assert!(panics(|| region.store(9_999, &[b"ab"])));
        assert!(panics(|| region.read(9_990, &mut past).unwrap()));
        assert!(panics(|| region.write(9_999, b"ab").unwrap()));
    });
}

#[test]
fn a_file_is_created_once_and_opened_as_it_is() {
    on_each(|storage| {
        assert_eq!(kind(storage.open("a", Access::Write)), ErrorKind::NotFound);
        storage.create("a", 100).unwrap().store(0, &[b"first"]);
        assert_eq!(kind(storage.create("a", 5)), ErrorKind::AlreadyExists);
        assert_eq!(kind(storage.create("none/a", 5)), ErrorKind::NotFound);
        let reader = storage.open("a", Access::Read).unwrap();
        let writer = storage.open("a", Access::Write).unwrap();
        assert_eq!((reader.len(), writer.len()), (100, 100));
        writer.store(0, &[b"again"]);
        assert_eq!(loaded(&*reader, 0, 5), b"again");
        assert_eq!(read(&*reader, 0, 5), b"again");
        assert!(panics(|| reader.store(0, &[b"x"])));
        assert!(panics(|| reader.populate(0, 1).unwrap()));
    });
}

#[test]
fn an_empty_file_is_an_empty_region() {
    on_each(|storage| {
        let region = storage.create("a", 0).unwrap();
        region.sync().unwrap();
        region.populate(0, 10).unwrap();
        region.drop_cache().unwrap();
        for access in [Access::Read, Access::Write] {
            let region = storage.open("a", access).unwrap();
            assert_eq!(region.len(), 0);
            assert!(loaded(&*region, 0, 0).is_empty());
        }
        let grown = region.grow(5).unwrap();
        grown.store(0, &[b"12345"]);
        assert_eq!(read(&*grown, 0, 5), b"12345");
    });
}

#[test]
fn a_cut_file_keeps_what_lies_before_and_refuses_what_lay_behind() {
    on_each(|storage| {
        let region = storage.create("a", 20_000).unwrap();
        region.store(0, &[&vec![7; 20_000]]);
        if matches!(region.shrink(5_000), Err(error) if error.kind() == ErrorKind::Unsupported) {
            return;
        }
        region.sync().unwrap();
        assert_eq!(region.len(), 20_000);
        assert_eq!(loaded(&*region, 0, 5_000), [7; 5_000]);
        assert!(panics(|| drop(loaded(&*region, 5_000, 1))));
        let again = storage.open("a", Access::Write).unwrap();
        assert_eq!(again.len(), 5_000);
        assert_eq!(loaded(&*again, 4_000, 1_000), [7; 1_000]);
    });
}

#[test]
fn a_grown_file_keeps_its_bytes_and_ends_in_zeros() {
    on_each(|storage| {
        let old = storage.create("a", 5_000).unwrap();
        old.store(0, &[&[7; 5_000]]);
        let new = old.grow(300_000).unwrap();
        assert_eq!((old.len(), new.len()), (5_000, 300_000));
        assert_eq!(loaded(&*new, 0, 5_000), [7; 5_000]);
        assert_eq!(loaded(&*new, 5_000, 295_000), vec![0; 295_000]);
        assert_eq!(loaded(&*old, 0, 5_000), [7; 5_000]);
        new.store(299_999, &[b"x"]);
        new.sync().unwrap();
        assert_eq!(storage.open("a", Access::Read).unwrap().len(), 300_000);
    });
}

#[test]
fn a_cut_and_grown_file_has_zeros_where_it_was_cut() {
    on_each(|storage| {
        let region = storage.create("a", 10_000).unwrap();
        region.store(0, &[&[7; 10_000]]);
        if region.shrink(5_000).is_ok() {
            let grown = region.grow(10_000).unwrap();
            assert_eq!(loaded(&*grown, 4_999, 5_001)[..3], [7, 0, 0]);
            assert_eq!(read(&*grown, 5_000, 5_000), [0; 5_000]);
        }
    });
}

#[test]
fn what_cannot_be_allocated_leaves_nothing() {
    on_each(|storage| {
        for bytes in [1 << 60, u64::MAX] {
            let refused = kind(storage.create("a", bytes));
            assert!(matches!(refused, ErrorKind::StorageFull | ErrorKind::FileTooLarge));
        }
        assert!(storage.list("").unwrap().is_empty());
        let region = storage.create("a", 5_000).unwrap();
        region.store(0, &[b"kept"]);
        assert!(region.grow(1 << 60).is_err());
        region.sync().unwrap();
        assert_eq!(storage.open("a", Access::Read).unwrap().len(), 5_000);
        assert_eq!(loaded(&*region, 0, 4), b"kept");
    });
}

#[test]
fn names_are_listed_in_order_by_directory() {
    on_each(|storage| {
        storage.create_dir("d").unwrap();
        storage.create_dir("d").unwrap();
        storage.create_dir("d/e").unwrap();
        for path in ["b", "a", "d/2", "d/1", "d/e/x", "da"] {
            storage.create(path, 8).unwrap();
        }
        assert_eq!(storage.list("").unwrap(), ["a", "b", "d", "da"]);
        assert_eq!(storage.list("d").unwrap(), ["1", "2", "e"]);
        assert_eq!(storage.list("d/e").unwrap(), ["x"]);
        assert_eq!(kind(storage.list("x")), ErrorKind::NotFound);
        assert_eq!(kind(storage.sync_dir("x")), ErrorKind::NotFound);
        assert_eq!(kind(storage.create_dir("x/y")), ErrorKind::NotFound);
        assert_eq!(kind(storage.open("d", Access::Read)), ErrorKind::InvalidData);
        assert_eq!(kind(storage.open("d", Access::Write)), ErrorKind::InvalidData);
        assert!(storage.remove("d").is_err());
        assert!(storage.rename("a", "d").is_err());
        assert_eq!(kind(storage.remove_dir("d/e")), ErrorKind::DirectoryNotEmpty);
        storage.remove("d/e/x").unwrap();
        storage.remove_dir("d/e").unwrap();
        storage.sync_dir("d").unwrap();
        assert_eq!(storage.list("d").unwrap(), ["1", "2"]);
    });
}

#[test]
fn a_rename_replaces_and_the_region_follows_the_file() {
    on_each(|storage| {
        storage.create("old", 8).unwrap().store(0, &[b"old"]);
        let region = storage.create("new", 8).unwrap();
        region.store(0, &[b"new"]);
        storage.rename("new", "old").unwrap();
        storage.sync_dir("").unwrap();
        assert_eq!(storage.list("").unwrap(), ["old"]);
        assert_eq!(kind(storage.rename("new", "old")), ErrorKind::NotFound);
        region.store(3, &[b"er"]);
        assert_eq!(loaded(&*storage.open("old", Access::Read).unwrap(), 0, 5), b"newer");
    });
}

#[test]
fn a_removed_file_stays_readable_through_its_region() {
    on_each(|storage| {
        storage.create("a", 8).unwrap().store(0, &[b"kept"]);
        let region = storage.open("a", Access::Read).unwrap();
        storage.remove("a").unwrap();
        assert_eq!(kind(storage.remove("a")), ErrorKind::NotFound);
        assert_eq!(kind(storage.open("a", Access::Read)), ErrorKind::NotFound);
        assert_eq!(loaded(&*region, 0, 4), b"kept");
        storage.create("a", 16).unwrap();
    });
}

#[test]
fn a_file_that_is_looked_at_shows_what_it_has_at_each_moment_and_zeros_behind() {
    on_each(|storage| {
        assert_eq!(kind(storage.open("a", Access::Look)), ErrorKind::NotFound);
        let region = storage.create("a", 10_000).unwrap();
        let looked = storage.open("a", Access::Look).unwrap();
        region.store(4_990, &[&[7; 20]]);
        assert_eq!((looked.len(), loaded(&*looked, 4_989, 2)), (10_000, vec![0, 7]));
        assert_eq!(read(&*looked, 5_009, 2), [7, 0]);
        assert_eq!(loaded(&*looked, 9_999, 3), [0; 3]);
        assert_eq!(read(&*looked, 1 << 40, 3), [0; 3]);
        if region.shrink(5_000).is_ok() {
            assert_eq!(looked.len(), 5_000);
            assert_eq!(loaded(&*looked, 4_999, 3), [7, 0, 0]);
            assert_eq!(read(&*looked, 4_998, 4), [7, 7, 0, 0]);
        }
        let grown = region.grow(300_000).unwrap();
        grown.store(299_999, &[b"x"]);
        assert_eq!((looked.len(), read(&*looked, 299_999, 1)), (300_000, b"x".to_vec()));
        storage.create("b", 8).unwrap().store(0, &[b"b"]);
        storage.rename("b", "a").unwrap();
        assert_eq!((looked.len(), loaded(&*looked, 299_999, 1)), (300_000, b"x".to_vec()));
        assert!(panics(|| looked.store(0, &[b"x"])));
        storage.create_dir("d").unwrap();
        assert_eq!(kind(storage.open("d", Access::Look)), ErrorKind::InvalidData);
    });
}

#[test]
fn a_directory_is_renamed_with_all_it_holds() {
    on_each(|storage| {
        for dir in ["a", "a/b", "ab", "taken"] {
            storage.create_dir(dir).unwrap();
        }
        storage.create("a/b/file", 8).unwrap().store(0, &[b"kept"]);
        storage.create("ab/other", 8).unwrap();
        storage.rename("a", "c").unwrap();
        assert_eq!(storage.list("").unwrap(), ["ab", "c", "taken"]);
        assert_eq!(storage.list("c/b").unwrap(), ["file"]);
        assert_eq!(kind(storage.list("a")), ErrorKind::NotFound);
        assert_eq!(kind(storage.rename("a", "d")), ErrorKind::NotFound);
        let region = storage.open("c/b/file", Access::Read).unwrap();
        assert_eq!(read(&*region, 0, 4), b"kept");
    });
}

#[test]
fn a_directory_of_a_storage_is_a_storage() {
    let memory = Memory::new();
    let _lock = memory.lock(true).unwrap();
    memory.create_dir("part").unwrap();
    let within = Within::new(std::sync::Arc::new(memory.clone()), "part".to_owned());
    within.create_dir("p0").unwrap();
    within.create("p0/a", 8).unwrap();
    within.rename("p0/a", "p0/b").unwrap();
    within.sync_dir("").unwrap();
    assert_eq!(within.list("").unwrap(), ["p0"]);
    assert_eq!(memory.list("part/p0").unwrap(), ["b"]);
    assert_eq!(within.locate("p0/b"), memory.locate("part/p0/b"));
    assert_eq!(kind(within.lock(true)), ErrorKind::Unsupported);
    within.remove("p0/b").unwrap();
    within.remove_dir("p0").unwrap();
    assert!(within.open("p0/b", Access::Read).is_err());
}
