//! Making a segment's file.
//!
//! The order is what makes a bad header mean rot and never a torn creation: allocate under a
//! draft name, store the header, sync the file, rename, sync the directory. Only then does
//! anything refer to it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

use super::header::{FRAMES_AT, Floor, Head};
use super::segment::{draft_name, file_name};
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::storage::Region;

/// Where salts and identities come from: random, or a fixed sequence where a test must repeat.
#[derive(Debug, Default)]
pub(crate) enum Salts {
    /// The standard library's per-process random keys, hashed anew for each salt.
    #[default]
    Random,
    /// A counter that is scrambled.
    #[cfg(test)]
    Seeded(AtomicU64),
}

impl Salts {
    pub(crate) fn next(&self) -> u64 {
        match self {
            Self::Random => RandomState::new().build_hasher().finish(),
            #[cfg(test)]
            Self::Seeded(counter) => {
                let mut mixed = counter.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                mixed ^ (mixed >> 31)
            }
        }
    }
}

/// Makes the file of a segment and leaves it durable, with a header and no frame.
///
/// On an error nothing is left but, at worst, a draft that the next opening removes. A failed sync
/// trips the latch.
pub(crate) fn create(settings: &Settings, head: &Head) -> Result<Arc<dyn Region>> {
    let draft = settings.path(&draft_name(head.sequence));
    let region = allocate(settings, &draft, head)?;
    let outcome = name_it(settings, head, &*region, &draft);
    if outcome.is_err() {
        // The draft is ours alone; if it cannot be removed now, the next opening does it.
        drop(region);
        let _ = settings.storage.remove(&draft);
        return outcome.map(|()| unreachable!("the outcome is an error"));
    }
    Ok(region)
}

fn allocate(settings: &Settings, draft: &str, head: &Head) -> Result<Arc<dyn Region>> {
    let storage = &settings.storage;
    let bytes = head.capacity;
    if head.sequence == 1 {
        make_dir(settings)?;
    }
    let made = match storage.create(draft, bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // A draft that an earlier failure could not remove.
            let removed = storage.remove(draft);
            removed.map_err(|error| Error::io("remove", storage.locate(draft), 0, error))?;
            storage.create(draft, bytes)
        }
        other => other,
    };
    made.map_err(|error| Error::io("allocate", storage.locate(draft), bytes, error))
}

/// Makes the log's directory. One that is there already may have been made by a process that was
/// killed before it could sync the name, so that is done in any case.
fn make_dir(settings: &Settings) -> Result<()> {
    let dir = &settings.dir;
    let made = settings.storage.create_dir(dir);
    made.map_err(|error| Error::io("make", settings.storage.locate(dir), 0, error))?;
    sync_dir(settings, dir.rsplit_once('/').map_or("", |(parent, _)| parent))
}

fn name_it(settings: &Settings, head: &Head, region: &dyn Region, draft: &str) -> Result<()> {
    let path = settings.path(&file_name(head.sequence));
    let position = u32::try_from(FRAMES_AT).expect("the first frame stands at 128");
    region.store(0, &[&head.encode(Floor { offset: 0, position })]);
    sync(settings, region, draft)?;
    let storage = &settings.storage;
    let renamed = storage.rename(draft, &path);
    renamed.map_err(|error| Error::io("rename", storage.locate(draft), 0, error))?;
    sync_dir(settings, &settings.dir)
}

/// Syncs a region; a failure is final for the stream.
pub(crate) fn sync(settings: &Settings, region: &dyn Region, path: &str) -> Result<()> {
    region.sync().map_err(|error| {
        settings.latch.trip(&Error::io("sync", settings.storage.locate(path), 0, error))
    })
}

/// Syncs a directory; a failure is final for the stream.
pub(crate) fn sync_dir(settings: &Settings, dir: &str) -> Result<()> {
    settings.storage.sync_dir(dir).map_err(|error| {
        settings.latch.trip(&Error::io("sync", settings.storage.locate(dir), 0, error))
    })
}
