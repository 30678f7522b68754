//! An owner that is at work while somebody opens its log or looks at it: it acts between two reads
//! of whoever looks.

use std::fmt::{self, Debug};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Eye, Setup, append, looking_at, new_disk, numbered};
use crate::log::{Log, OwnerKind, Staging};
use crate::storage::simulated::Simulated;
use crate::storage::{Access, Region, Storage};

/// A storage whose owner acts after each read, listing and opening of whoever looks.
#[derive(Clone)]
struct Busy {
    disk: Simulated,
    act: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct Read {
    region: Arc<dyn Region>,
    busy: Busy,
}

impl Busy {
    /// The owner acts after the calls from number `first` on, `times` times.
    fn new(
        disk: &Simulated,
        first: usize,
        times: usize,
        act: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let calls = AtomicUsize::new(0);
        let act = move || {
            if (first..first + times).contains(&calls.fetch_add(1, Ordering::Relaxed)) {
                act();
            }
        };
        Self { disk: disk.clone(), act: Arc::new(act) }
    }

    fn after<T>(&self, outcome: T) -> T {
        (self.act)();
        outcome
    }
}

impl Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Busy")
    }
}

fn refused<T>() -> io::Result<T> {
    unreachable!("an onlooker changes nothing")
}

impl Storage for Busy {
    fn lock(&self, _make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        refused()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.after(self.disk.list(dir))
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn create(&self, _path: &str, _bytes: u64) -> io::Result<Arc<dyn Region>> {
        refused()
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        let region = self.after(self.disk.open(path, access))?;
        Ok(Arc::new(Read { region, busy: self.clone() }))
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &str) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.disk.locate(path)
    }

    fn forked(&self) -> bool {
        false
    }
}

impl Region for Read {
    fn len(&self) -> u64 {
        self.region.len()
    }

    fn store(&self, _at: u64, _parts: &[&[u8]]) {
        unreachable!("an onlooker stores nothing")
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        self.region.load(at, len, into);
    }

    fn populate(&self, _at: u64, _len: u64) -> io::Result<()> {
        refused()
    }

    fn write(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        refused()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.busy.after(self.region.read(at, into))
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn drop_cache(&self) -> io::Result<()> {
        refused()
    }

    fn shrink(&self, _bytes: u64) -> io::Result<()> {
        refused()
    }

    fn grow(&self, _bytes: u64) -> io::Result<Arc<dyn Region>> {
        refused()
    }
}

/// Opens a log while its owner does `act` after each call from number `first` on, then follows it to
/// the end, and compares.
fn open_beside(
    staging: Staging,
    first: usize,
    act: impl Fn(&Log, u64) + Send + Sync + 'static,
) -> Result<(), String> {
    let disk = new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, staging, 1);
    let (log, _) = setup.open(&disk).unwrap();
    let log = Arc::new(log);
    append(&log, &[numbered(0, 20)]).unwrap();
    let _ = log.flush_all().unwrap();
    let (owner, number) = (Arc::clone(&log), AtomicUsize::new(1));
    let busy = Busy::new(&disk, first, 40, move || {
        act(&owner, number.fetch_add(1, Ordering::Relaxed) as u64);
    });
    let opened = Log::open(looking_at(&setup, &busy));
    let (seen, recovery) = opened.map_err(|error| format!("not opened: {error}"))?;
    if let Some(damage) = recovery.damage {
        return Err(format!("taken for damage: {damage}"));
    }
    let mut eye = Eye::new(seen, (0..999).map(|number| (number, (number, 1))).collect());
    (0..50).try_for_each(|_| eye.look())?;
    eye.compare(&log)
}

#[test]
fn what_an_owner_writes_while_its_log_is_opened_is_no_damage() {
    for staging in [Staging::On, Staging::Off] {
        for first in 0..60 {
            let opened = open_beside(staging, first, |log, number| {
                // The second one says that the first was safe.
                for number in [2 * number - 1, 2 * number] {
                    append(log, &[numbered(number, 20)]).unwrap();
                    let _ = log.flush_all().unwrap();
                }
            });
            assert_eq!(opened, Ok(()), "{staging:?}, from call {first} on");
        }
    }
}

#[test]
fn an_owner_that_rolls_and_trims_at_each_read_is_followed() {
    for staging in [Staging::On, Staging::Off] {
        for first in 0..60 {
            let opened = open_beside(staging, first, |log, number| {
                append(log, &[numbered(number, 2500)]).unwrap();
                let _ = log.flush_all().unwrap();
                let _trimmed = log.trim_to(log.visible() - 1).unwrap();
            });
            assert_eq!(opened, Ok(()), "{staging:?}, from call {first} on");
        }
    }
}
