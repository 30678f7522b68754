//! What only a real directory shows: permissions, links, locks between openers, forks.

use std::fs;
use std::io::ErrorKind;

use super::super::{Access, Storage};
use super::Disk;

fn disk() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path().join("stream"));
    (dir, disk)
}

#[test]
fn a_root_that_is_a_file_is_refused() {
    let (dir, disk) = disk();
    fs::write(dir.path().join("stream"), b"").unwrap();
    assert_eq!(disk.lock(true).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.lock(false).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[test]
fn two_openers_of_a_directory_exclude_each_other() {
    let (dir, disk) = disk();
    let other = Disk::new(dir.path().join("stream"));
    let lock = disk.lock(true).unwrap();
    assert_eq!(other.lock(true).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(lock);
    drop(other.lock(false).unwrap());
    assert!(disk.list("").unwrap().is_empty(), "the lock file is not listed");
}

#[test]
fn a_region_of_a_file_that_was_replaced_does_not_read_the_other() {
    let (_dir, disk) = disk();
    let _lock = disk.lock(true).unwrap();
    disk.create("a", 8).unwrap().store(0, &[b"old"]);
    let region = disk.open("a", Access::Read).unwrap();
    disk.create("b", 8).unwrap();
    disk.rename("b", "a").unwrap();
    if cfg!(unix) {
        assert_eq!(region.read(0, &mut [0; 3]).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn a_file_cut_by_somebody_else_fails_the_next_sync() {
    let (dir, disk) = disk();
    let _lock = disk.lock(true).unwrap();
    let region = disk.create("a", 8192).unwrap();
    region.sync().unwrap();
    let other = fs::OpenOptions::new().write(true).open(dir.path().join("stream/a")).unwrap();
    if other.set_len(4096).is_ok() {
        assert_eq!(region.sync().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;
    use std::sync::Arc;

    use super::super::super::mapping::in_forked_child;
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn everything_made_is_private() {
        let (dir, disk) = disk();
        let _lock = disk.lock(true).unwrap();
        disk.create_dir("d").unwrap();
        disk.create("d/a", 8).unwrap();
        let root = dir.path().join("stream");
        assert_eq!([mode(&root), mode(&root.join("d"))], [0o700; 2]);
        assert_eq!([mode(&root.join("lock")), mode(&root.join("d/a"))], [0o600; 2]);
    }

    #[test]
    fn the_space_of_a_created_file_is_taken_and_a_cut_gives_it_back() {
        let (dir, disk) = disk();
        let _lock = disk.lock(true).unwrap();
        let region = disk.create("a", 1 << 20).unwrap();
        let path = dir.path().join("stream/a");
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
        let region = region.grow(2 << 20).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 2 << 20);
        region.shrink(4096).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn links_and_special_files_inside_are_refused() {
        let (dir, disk) = disk();
        let lock = disk.lock(true).unwrap();
        let root = dir.path().join("stream");
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("a"), b"secret").unwrap();
        symlink(outside.join("a"), root.join("link")).unwrap();
        symlink(&outside, root.join("dir")).unwrap();
        let refused = |result: std::io::Result<()>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidData);
        };
        for access in [Access::Read, Access::Write, Access::Look] {
            refused(disk.open("link", access).map(drop));
            refused(disk.open("dir/a", access).map(drop));
        }
        refused(disk.create("dir/b", 8).map(drop));
        refused(disk.create_dir("dir"));
        refused(disk.create_dir("dir/c"));
        refused(disk.remove("dir/a"));
        refused(disk.sync_dir("dir"));
        refused(disk.list("dir").map(drop));
        refused(disk.list("").map(drop));
        assert_eq!(disk.create("link", 8).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(outside.join("a")).unwrap(), b"secret");

        drop(lock);
        fs::remove_file(root.join("lock")).unwrap();
        symlink(outside.join("a"), root.join("lock")).unwrap();
        refused(disk.lock(true).map(drop));
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_its_other_end() {
        let (dir, disk) = disk();
        let _lock = disk.lock(true).unwrap();
        let pipe = dir.path().join("stream/pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|status| status.success()) {
            for access in [Access::Read, Access::Write, Access::Look] {
                let refused = disk.open("pipe", access).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidData);
            }
            assert_eq!(disk.list("").unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_file_with_a_second_name_is_refused() {
        let (dir, disk) = disk();
        let _lock = disk.lock(true).unwrap();
        disk.create("a", 8).unwrap();
        fs::hard_link(dir.path().join("stream/a"), dir.path().join("b")).unwrap();
        for access in [Access::Write, Access::Look] {
            assert_eq!(disk.open("a", access).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn the_path_to_the_root_may_pass_through_a_link() {
        let (dir, _) = disk();
        symlink(dir.path(), dir.path().join("here")).unwrap();
        let disk = Disk::new(dir.path().join("here/stream"));
        let _lock = disk.lock(true).unwrap();
        disk.create("a", 8).unwrap();
        assert!(dir.path().join("stream/a").exists());
    }

    /// The process's limit is lowered in a process of its own: going over it would end this one.
    #[test]
    fn a_file_over_the_limit_of_the_process_is_an_error_and_no_signal() {
        const INSIDE: &str = "MILLSTREAM_TEST_INSIDE_LIMIT";
        if std::env::var_os(INSIDE).is_some() {
            let (_dir, disk) = disk();
            let _lock = disk.lock(true).unwrap();
            assert_eq!(disk.create("a", 1 << 20).unwrap_err().kind(), ErrorKind::FileTooLarge);
            let region = disk.create("a", 4096).unwrap();
            assert_eq!(region.grow(1 << 20).unwrap_err().kind(), ErrorKind::FileTooLarge);
            return;
        }
        let name = "a_file_over_the_limit_of_the_process_is_an_error_and_no_signal";
        let run = std::process::Command::new("sh")
            .args(["-c", "ulimit -f 64 && exec \"$0\" \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
    }

    #[test]
    fn a_child_neither_uses_the_storage_nor_gives_up_the_lock() {
        let (dir, disk) = disk();
        let disk = Arc::new(disk);
        let mut lock = Some(Arc::new(std::sync::Mutex::new(Some(disk.lock(true).unwrap()))));
        let (child, in_child) = (Arc::clone(&disk), lock.clone());
        assert!(in_forked_child(move || {
            drop(in_child.as_ref().and_then(|lock| lock.lock().ok()?.take()));
            child.forked()
        }));
        assert!(!disk.forked());
        let other = Disk::new(dir.path().join("stream"));
        assert_eq!(other.lock(true).unwrap_err().kind(), ErrorKind::WouldBlock);
        lock.take();
        assert!(other.lock(true).is_ok());
    }
}

#[test]
fn syncing_while_a_file_is_cut_is_no_change_by_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path().join("stream"));
    let _lock = disk.lock(true).unwrap();
    for n in 0..50 {
        let region = disk.create(&n.to_string(), 1 << 16).unwrap();
        std::thread::scope(|scope| {
            let syncs = scope.spawn(|| (0..20).try_for_each(|_| region.sync()));
            for bytes in (1..100).rev() {
                region.shrink(bytes * 512).unwrap();
            }
            syncs.join().unwrap().unwrap();
        });
    }
}
