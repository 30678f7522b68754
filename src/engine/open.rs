//! Opening a stream: the lock, the manifest, the partitions, the groups.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::desk::Desk;
use super::ground::{Ground, Terms};
use super::journal::{self, Origin};
use super::manifest::{self, GroupRecord, Manifest, StoredDurability, StoredRetention};
use super::mill::{Desks, Mill, batch_bytes_max};
use super::policy::{built_in, policy};
use super::retain::{Keeper, stored};
use super::unique::Unique;
use crate::clock::Time;
use crate::durability::Durability;
use crate::error::{Error, Result};
use crate::latch::Latch;
use crate::limits;
pub(crate) use crate::limits::micros;
use crate::log::{Log, Mode, OwnerKind, Salts};
use crate::observe::{self, Signal, Source, Span};
use crate::recovery::{PartitionRecovery, Recovery};
use crate::retention::Retention;
use crate::storage::{Onlooker, Storage};
use crate::tally::Tally;

/// Whether the stream has to be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    IfMissing,
    New,
    Before,
    /// It has to be, and is left as it is.
    ReadOnly,
}

/// What the options ask for; what is unset keeps the stored value.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) partitions: Option<u32>,
    pub(crate) segment_bytes: Option<u64>,
    pub(crate) entry_bytes_max: Option<u64>,
    pub(crate) durability: Option<Durability>,
    pub(crate) retention: Option<Retention>,
    pub(crate) unique_max: Option<u64>,
    pub(crate) time: Time,
    #[cfg(test)]
    pub(crate) trial: Trial,
}

/// What only tests set: a source of salts that repeats, and protections taken away.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Trial {
    pub(crate) salts: Option<u64>,
    pub(crate) controls: crate::log::Controls,
}

impl Plan {
    #[cfg(test)]
    fn salts(&self) -> Salts {
        self.trial.salts.map_or_else(Salts::default, |seed| Salts::Seeded(seed.into()))
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only trials bring salts of their own")]
    fn salts(&self) -> Salts {
        Salts::default()
    }

    /// The manifest of a new stream.
    fn found(&self, stream: u64) -> Result<Manifest> {
        let mut manifest = Manifest {
            stream,
            created: self.time.wall_micros(),
            partitions: self.partitions.unwrap_or(1),
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            entry_bytes_max: 0,
            durability: StoredDurability::Os,
            retention: StoredRetention::default(),
            next_group: 1,
            groups: Vec::new(),
            unique_max: limits::UNIQUE_DEFAULT,
            addressed: Vec::new(),
        };
        self.revise(&mut manifest)?;
        Ok(manifest)
    }

    /// Takes over what is set, and checks it against what is not.
    fn revise(&self, manifest: &mut Manifest) -> Result<()> {
        if let Some(given) = self.partitions.filter(|given| *given != manifest.partitions) {
            return Err(Error::OptionsDiffer {
                option: "partitions",
                stored: manifest.partitions.to_string().into(),
                given: given.to_string().into(),
            });
        }
        manifest.segment_bytes = self.segment_bytes.unwrap_or(manifest.segment_bytes);
        let entry_bound = limits::ENTRY_BYTES_MAX.min(manifest.segment_bytes / 4);
        match self.entry_bytes_max {
            Some(bytes) => {
                limits::within("entry_bytes_max", bytes, 1, entry_bound)?;
                manifest.entry_bytes_max = bytes;
            }
            None if manifest.entry_bytes_max == 0 || manifest.entry_bytes_max > entry_bound => {
                manifest.entry_bytes_max = entry_bound;
            }
            None => {}
        }
        manifest.unique_max = self.unique_max.unwrap_or(manifest.unique_max);
        match self.durability {
            Some(Durability::Os) => manifest.durability = StoredDurability::Os,
            Some(Durability::Always) => manifest.durability = StoredDurability::Always,
            Some(Durability::Every(interval)) => {
                manifest.durability = StoredDurability::Every(micros(interval));
            }
            None => {}
        }
        manifest.retention = self.retention.as_ref().map_or(manifest.retention, stored);
        Ok(())
    }
}

/// A stored duration.
pub(crate) fn duration(micros: u64) -> std::time::Duration {
    std::time::Duration::from_micros(micros)
}

impl Mill {
    /// Opens a stream, making it or recovering it as needed.
    pub(crate) fn open(storage: Arc<dyn Storage>, made: Made, plan: Plan) -> Result<Arc<Self>> {
        let source = Source::stream(&storage.locate(""));
        let _told = observe::within(&source, Span::Open);
        let storage = match made {
            Made::ReadOnly => Arc::new(Onlooker::new(storage)),
            Made::IfMissing | Made::New | Made::Before => storage,
        };
        refuse_foreign(&*storage, made)?;
        let lock = take_lock(&*storage, made)?;
        let latch = Arc::new(Latch::new(&source));
        let salts = Arc::new(plan.salts());
        let manifest = settle_manifest(&*storage, made, &plan, &latch, &salts)?;
        if made != Made::ReadOnly {
            remove_deleted(&*storage, &manifest)?;
        }
        let durability = match manifest.durability {
            StoredDurability::Os => Durability::Os,
            StoredDurability::Every(interval) => Durability::Every(duration(interval)),
            StoredDurability::Always => Durability::Always,
        };
        let terms = Terms {
            storage,
            latch,
            salts,
            tally: Tally::default(),
            stream: manifest.stream,
            segment_bytes: manifest.segment_bytes,
            durability,
            mode: if made == Made::ReadOnly { Mode::Read } else { Mode::Write },
            source,
            settled: Arc::default(),
            #[cfg(test)]
            controls: plan.trial.controls,
        };
        let (logs, recovery) = open_logs(&terms, 0..manifest.partitions)?;
        let looks_on = made == Made::ReadOnly;
        let time = if looks_on { plan.time.looking_back() } else { plan.time };
        let ground = Arc::new(Ground::new(&terms, time, logs, &manifest.addressed));
        // Who only looks opens those that are asked for.
        let groups = if ground.looks_on() { &[][..] } else { &manifest.groups };
        let desks = open_desks(&terms, &ground, groups)?;
        let mill = Self {
            desks: RwLock::new(desks),
            recovery,
            entry_bytes_max: manifest.entry_bytes_max,
            batch_bytes_max: batch_bytes_max(manifest.segment_bytes),
            turn: 0.into(),
            unique: Mutex::new(Unique::new(manifest.unique_max)),
            lock: Mutex::new(Some(lock)),
            keeper: Keeper::new(&manifest.retention),
            manifest: Mutex::new(manifest),
            manifest_bytes: Mutex::default(),
            terms,
            ground,
        };
        mill.judge();
        observe::note(&mill.ground.source, || Signal::Opened {
            partitions: mill.ground.logs.len(),
            groups: mill.desks.read().len(),
            unclean: mill.recovery.partitions.len(),
        });
        Ok(Arc::new(mill))
    }
}

/// Refuses a directory that holds something else, or nothing where a stream has to be, before
/// anything in it is touched.
fn refuse_foreign(storage: &dyn Storage, made: Made) -> Result<()> {
    let foreign = |reason| Error::NotAStream { path: storage.locate("").into(), reason };
    let names = match storage.list("") {
        Ok(names) => names,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => return Ok(()),
            io::ErrorKind::NotADirectory => return Err(foreign("it is not a directory")),
            io::ErrorKind::InvalidData => {
                return Err(foreign("it holds a symbolic link or a special file"));
            }
            _ => return Err(Error::io("list", storage.locate(""), 0, error)),
        },
    };
    let is_stream = names.iter().any(|name| name == manifest::NAME || name == manifest::DRAFT);
    match made {
        _ if is_stream => Ok(()),
        _ if !names.is_empty() => Err(foreign("it holds other files")),
        Made::Before | Made::ReadOnly => Err(missing(storage)),
        Made::IfMissing | Made::New => Ok(()),
    }
}

fn take_lock(storage: &dyn Storage, made: Made) -> Result<Box<dyn std::fmt::Debug + Send + Sync>> {
    let missing_is_made = matches!(made, Made::IfMissing | Made::New);
    storage.lock(missing_is_made).map_err(|error| {
        let path = storage.locate("");
        match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { path: path.into() },
            io::ErrorKind::NotFound => missing(storage),
            io::ErrorKind::NotADirectory | io::ErrorKind::InvalidData => {
                Error::NotAStream { path: path.into(), reason: "it is not a plain directory" }
            }
            _ => Error::io("lock", path, 0, error),
        }
    })
}

pub(super) fn missing(storage: &dyn Storage) -> Error {
    Error::NotFound { what: format!("a stream at {}", storage.locate("").display()).into() }
}

/// Loads the manifest, or makes it, and brings it up to date with the options.
fn settle_manifest(
    storage: &dyn Storage,
    made: Made,
    plan: &Plan,
    latch: &Latch,
    salts: &Salts,
) -> Result<Manifest> {
    match (Manifest::load(storage)?, made) {
        (Some(_), Made::New) => {
            let what = format!("a stream at {}", storage.locate("").display());
            Err(Error::AlreadyExists { what: what.into() })
        }
        (Some(stored), Made::ReadOnly) => Ok(stored),
        (Some(stored), _) => {
            let mut manifest = stored.clone();
            plan.revise(&mut manifest)?;
            if manifest != stored {
                manifest.save(storage, latch)?;
            }
            Ok(manifest)
        }
        (None, Made::Before | Made::ReadOnly) => Err(missing(storage)),
        (None, _) => {
            let manifest = plan.found(salts.next())?;
            manifest.save(storage, latch)?;
            Ok(manifest)
        }
    }
}

/// Removes the directories of groups that the manifest no longer names.
fn remove_deleted(storage: &dyn Storage, manifest: &Manifest) -> Result<()> {
    let names = storage.list("").map_err(|e| Error::io("list", storage.locate(""), 0, e))?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix('g')?.parse::<u64>().ok());
    for number in numbers {
        if manifest.groups.iter().all(|group| group.number != number) {
            remove_directory(storage, &format!("g{number}"))?;
        }
    }
    Ok(())
}

/// Removes a directory of ours with its files.
pub(crate) fn remove_directory(storage: &dyn Storage, dir: &str) -> Result<()> {
    let failed = |path: &str, error| Error::io("remove", storage.locate(path), 0, error);
    let names = match storage.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| failed(dir, error))?,
    };
    for name in names {
        let path = format!("{dir}/{name}");
        storage.remove(&path).map_err(|error| failed(&path, error))?;
    }
    storage.remove_dir(dir).map_err(|error| failed(dir, error))
}

/// Opens the logs of these partitions.
pub(super) fn open_logs(terms: &Terms, partitions: Range<u32>) -> Result<(Vec<Log>, Recovery)> {
    let mut logs = Vec::with_capacity(partitions.len());
    let mut recovery = Recovery::default();
    for partition in partitions {
        let settings = terms.settings(OwnerKind::Partition, u64::from(partition));
        let (log, found) = Log::open(settings)?;
        if found.unclean || found.damage.is_some() {
            let torn = found.torn.as_ref();
            recovery.partitions.push(PartitionRecovery {
                partition,
                end: log.end(),
                torn_bytes: torn.map_or(0, |torn| torn.bytes),
                dropped_segments: torn.map_or(0, |torn| torn.segments),
                damage: found.damage.as_deref().map(ToString::to_string),
            });
        }
        logs.push(log);
    }
    Ok((logs, recovery))
}

/// Opens all groups. A damaged one is closed, and not the stream. Any other failure fails the
/// opening: a group whose journal could not be cut to what the logs still have would take new
/// entries for the lost ones that it has seen.
fn open_desks(terms: &Terms, ground: &Arc<Ground>, records: &[GroupRecord]) -> Result<Desks> {
    let mut desks = Desks::new();
    for record in records {
        let desk = match open_desk(terms, ground, record) {
            Err(error @ (Error::Corrupt(_) | Error::NewerFormat { .. })) => {
                if error.is_corrupt() {
                    let source = ground.source.group(&record.name);
                    observe::note(&source, || Signal::Rot { what: error.to_string().into() });
                }
                Err(Arc::new(error))
            }
            other => Ok(other?),
        };
        desks.insert(record.name.clone(), desk);
    }
    Ok(desks)
}

/// Opens one group.
pub(crate) fn open_desk(
    terms: &Terms,
    ground: &Arc<Ground>,
    record: &GroupRecord,
) -> Result<Arc<Desk>> {
    let log_starts: Vec<u64> = ground.logs.iter().map(Log::start).collect();
    let origin = Origin {
        number: record.number,
        policy: policy(record),
        starts: &record.starts,
        log_starts: &log_starts,
        log_ends: &ground.ends(),
    };
    let opened = journal::open(terms, &ground.time, &origin)?;
    let strategy = built_in(&record.settings.strategy);
    Ok(Arc::new(Desk::new(record, Arc::clone(ground), opened, strategy)))
}
