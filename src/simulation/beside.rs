//! A stream is copied and verified by who only reads it, and its owner is at work in the middle of that: before any
//! one of the calls that reading makes, it appends, settles, rolls and trims. What is copied is whole all the
//! same, and nothing that the owner does is taken for damage.

use std::fmt::{self, Debug};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::ManualClock;
use crate::consumer::Consumer;
use crate::durability::Durability;
use crate::engine::{Made, Trial};
use crate::options::StreamOptions;
use crate::retention::Retention;
use crate::start::Start;
use crate::storage::simulated::Simulated;
use crate::storage::{Access, Region, Storage};
use crate::stream::Stream;

/// What comes in between.
type Act = Mutex<Option<Box<dyn FnMut() + Send>>>;

/// A disk on which somebody else acts before one of the calls that read it.
#[derive(Clone)]
struct Busy {
    disk: Simulated,
    call: Arc<Call>,
}

struct Call {
    count: AtomicU64,
    /// Before which call.
    at: AtomicU64,
    act: Act,
}

impl Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Busy").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Busy {
    fn called(&self) {
        let count = self.call.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count == self.call.at.load(Ordering::Relaxed)
            && let Some(act) = &mut *self.call.act.lock()
        {
            act();
        }
    }
}

impl Storage for Busy {
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.disk.lock(make)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.called();
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.disk.create(path, bytes)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        self.called();
        let (file, busy) = (self.disk.open(path, access)?, self.clone());
        Ok(Arc::new(BusyFile { file, busy, path: path.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.disk.locate(path)
    }

    fn forked(&self) -> bool {
        false
    }
}

/// A file of it. It is found by its name at each read, as one is whose descriptor was given up.
#[derive(Debug)]
struct BusyFile {
    file: Arc<dyn Region>,
    busy: Busy,
    path: String,
}

impl Region for BusyFile {
    fn len(&self) -> u64 {
        self.busy.called();
        self.busy.disk.open(&self.path, Access::Look).map_or(0, |file| file.len())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.busy.called();
        self.busy.disk.open(&self.path, Access::Look)?.read(at, into)
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        self.busy.called();
        self.file.load(at, len, into);
    }

    fn store(&self, at: u64, parts: &[&[u8]]) {
        self.file.store(at, parts);
    }

    fn populate(&self, at: u64, len: u64) -> io::Result<()> {
        self.file.populate(at, len)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn shrink(&self, bytes: u64) -> io::Result<()> {
        self.file.shrink(bytes)
    }

    fn grow(&self, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.file.grow(bytes)
    }
}

fn owner(disk: &Simulated, durability: Durability) -> (Stream, Consumer) {
    let trial = Trial { salts: Some(7), ..Trial::default() };
    let options = StreamOptions::default().partitions(2).segment_bytes(4096).durability(durability);
    let options = options.retention(Retention::settled()).clock(ManualClock::new());
    let stream = options.on_trial(Arc::new(disk.clone()), trial).unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    (stream, worker)
}

/// Appends, settles, and by that rolls and trims.
fn work(stream: &Stream, worker: &Consumer, rounds: u64) {
    for _ in 0..rounds {
        let end = stream.info().unwrap().entries();
        stream.append(&[u8::try_from(end % 251).unwrap(); 700]).unwrap();
        stream.append_batch([&[1; 400], &[2; 400]]).unwrap();
        assert!(worker.try_read(3).unwrap().ack_all().unwrap().is_complete());
    }
}

/// A stream at work, and the same to look at; the owner does more before the call `at`.
fn scene(durability: Durability, rounds: u64) -> (Busy, Stream, Stream) {
    let disk = Simulated::new(7);
    let (stream, worker) = owner(&disk, durability);
    work(&stream, &worker, 12);
    for n in 0..9 {
        stream.append(&[n; 600]).unwrap();
    }
    let own = stream.clone();
    let act: Box<dyn FnMut() + Send> = Box::new(move || work(&own, &worker, rounds));
    let (count, at) = (AtomicU64::new(0), AtomicU64::new(0));
    let busy = Busy { disk, call: Arc::new(Call { count, at, act: Mutex::new(Some(act)) }) };
    let onlooker = StreamOptions::default().clock(ManualClock::new());
    let onlooker = onlooker.on(Arc::new(busy.clone()), Made::ReadOnly).unwrap();
    busy.call.count.store(0, Ordering::Relaxed);
    (busy, stream, onlooker)
}

fn judge(to: &Simulated, owner: &Stream, at: u64) {
    let copy = Simulated::new(1);
    for (path, bytes) in to.files() {
        copy.put(path.strip_prefix("copy/").unwrap(), bytes);
    }
    let options = StreamOptions::default().clock(ManualClock::new());
    let stream = options.on(Arc::new(copy), Made::Before).unwrap();
    assert!(stream.recovery().is_clean(), "call {at}");
    stream.verify().unwrap();
    let (has, its) = (stream.info().unwrap(), owner.info().unwrap());
    for (has, its) in has.partitions.iter().zip(&its.partitions) {
        assert!(has.end <= its.end, "call {at}");
    }
    let group = stream.group("g").open_existing().unwrap();
    let info = group.info().unwrap();
    assert_eq!((info.leased, info.trimmed), (0, crate::loss::Loss::default()), "call {at}");
    let rest = group.join("judge").unwrap().try_read(1_000).unwrap();
    assert_eq!(rest.len() as u64, info.lag, "call {at}");
}

/// Does something with the onlooker while the owner acts before each call in turn.
fn each_call(durability: Durability, rounds: u64, check: impl Fn(&Stream, &Stream, u64)) {
    let mut at = 1;
    loop {
        let (busy, owner, onlooker) = scene(durability, rounds);
        busy.call.at.store(at, Ordering::Relaxed);
        check(&onlooker, &owner, at);
        busy.call.act.lock().take();
        if busy.call.count.load(Ordering::Relaxed) < at {
            break;
        }
        at += 1;
    }
    assert!(at > 30, "there are more calls than {at}");
}

#[test]
fn a_copy_is_whole_whenever_its_owner_acts() {
    for (durability, rounds) in
        [(Durability::Os, 1), (Durability::Os, 40), (Durability::Always, 20)]
    {
        each_call(durability, rounds, |onlooker, owner, at| {
            let to = Simulated::new(1);
            drop(to.lock(true).unwrap());
            let parent: Arc<dyn Storage> = Arc::new(to.clone());
            let mut tell = |_: crate::backup::Progress<'_>| ControlFlow::Continue(());
            let copied = onlooker.handle.mill.copy(&parent, "copy", &mut tell);
            copied.unwrap_or_else(|error| panic!("{durability:?}, {rounds}, call {at}: {error}"));
            judge(&to, owner, at);
        });
    }
}

#[test]
fn nothing_an_owner_does_is_taken_for_damage() {
    for rounds in [1, 40] {
        each_call(Durability::Os, rounds, |onlooker, _, at| {
            let report = onlooker.verify_with(|_| ControlFlow::Continue(())).unwrap();
            let damage = report.damage().next();
            assert!(report.complete && damage.is_none(), "{rounds}, call {at}: {damage:?}");
        });
    }
}

#[test]
fn where_only_durable_entries_show_a_still_ends_at_the_floor() {
    let disk = Simulated::new(3);
    let options = StreamOptions::default().segment_bytes(4096).clock(ManualClock::new());
    let stream = options.clone().on(Arc::new(disk.clone()), Made::New).unwrap();
    let onlooker = options.on(Arc::new(disk), Made::ReadOnly).unwrap();
    let log = onlooker.handle.mill.ground.log(0).unwrap();
    let mut durable = 0;
    for _ in 0..4 {
        stream.append_batch(["a", "b", "c"]).unwrap();
        stream.sync().unwrap();
        durable = stream.info().unwrap().partitions[0].end;
        // In the same segment and in later ones.
        for n in 0..10 {
            stream.append(&[n; 700]).unwrap();
        }
        let _ = log.follow().unwrap();
        log.show_durable(false);
        assert_eq!(log.still_beside().unwrap().end, durable + 10);
        log.show_durable(true);
        assert_eq!(log.still_beside().unwrap().end, durable);
    }
    assert_eq!(durable, 42);
}
