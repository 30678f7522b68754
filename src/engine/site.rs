//! Where a copy is made: a directory of another name beside the place it is for, which it takes as the last
//! step. So whatever cuts the copying short, there is never half a stream where a whole one should be.
//!
//! # The order of the steps
//! 1. The place is looked at: it has to be free, or an empty directory.
//! 2. The draft is made, under a name that nobody else uses, and filled. Everything in it is synced.
//! 3. An empty directory in the place is removed, the draft is renamed, and that is synced.
//!
//! A site that is dropped before that is removed. If syncing the last step fails, the copy is renamed back, and
//! removed only once that is durable: a power cut must not keep the new name with half of the files. What a
//! killed process leaves is a directory whose name ends in `.copying-` and a number.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::storage::{Storage, Within};

/// A copy in the making.
#[derive(Debug)]
pub(super) struct Site {
    parent: Arc<dyn Storage>,
    name: String,
    draft: String,
    /// An empty directory stands in the place.
    taken: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Draft,
    Renamed,
    Done,
}

impl Site {
    /// Makes a draft for the place `name` in `parent`; `salt` makes its name one of its own.
    pub(super) fn new(parent: Arc<dyn Storage>, name: &str, salt: u64) -> Result<Self> {
        let taken = match parent.list(name) {
            Ok(names) if names.is_empty() => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) if !is_something(&error) => {
                return Err(Error::io("list", parent.locate(name), 0, error));
            }
            _ => {
                let what = format!("something at {}", parent.locate(name).display());
                return Err(Error::AlreadyExists { what: what.into() });
            }
        };
        let draft = format!("{name}.copying-{salt:016x}");
        let made = parent.create_dir(&draft);
        made.map_err(|error| Error::io("make", parent.locate(&draft), 0, error))?;
        Ok(Self { parent, name: name.to_owned(), draft, taken, stage: Stage::Draft })
    }

    /// The draft, to be filled.
    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(Within::new(Arc::clone(&self.parent), self.draft.clone()))
    }

    /// Gives the draft its name, durably.
    pub(super) fn finish(mut self) -> Result<()> {
        let (parent, name, taken) = (Arc::clone(&self.parent), self.name.clone(), self.taken);
        let failed = |doing, error| Error::io(doing, parent.locate(&name), 0, error);
        if taken {
            match parent.remove_dir(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", error));
                }
                _ => {}
            }
        }
        parent.rename(&self.draft, &name).map_err(|error| failed("rename", error))?;
        self.stage = Stage::Renamed;
        parent.sync_dir("").map_err(|error| failed("sync", error))?;
        self.stage = Stage::Done;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let Self { parent, name, draft, .. } = &*self;
        let outcome = match self.stage {
            Stage::Done => return,
            Stage::Draft => Ok(()),
            Stage::Renamed => parent.rename(name, draft).and_then(|()| parent.sync_dir("")),
        };
        // What cannot be removed is left under a name that tells what it is.
        let _ = outcome.and_then(|()| remove_tree(&**parent, draft));
    }
}

/// Whether a directory could not be listed because it is something else.
fn is_something(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory)
}

/// Removes a directory of ours: files, and directories of files.
fn remove_tree(storage: &dyn Storage, dir: &str) -> io::Result<()> {
    for name in storage.list(dir)? {
        let path = format!("{dir}/{name}");
        match storage.list(&path) {
            Ok(names) => {
                names.iter().try_for_each(|name| storage.remove(&format!("{path}/{name}")))?;
                storage.remove_dir(&path)?;
            }
            Err(_) => storage.remove(&path)?,
        }
    }
    storage.remove_dir(dir)
}
