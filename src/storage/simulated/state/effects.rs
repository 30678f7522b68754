//! The storage's side of a simulated disk: each call and store, counted first and then done.

use std::io;

use super::super::content::Content;
use super::super::names::{Names, Node};
use super::{State, checked_len};

impl State {
    pub(crate) fn lock(&mut self, make: bool) -> io::Result<()> {
        self.call()?;
        if !self.made && !make {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.made = true;
        self.locked = true;
        Ok(())
    }

    pub(crate) fn unlock(&mut self) {
        self.locked = false;
    }

    pub(crate) fn list(&mut self, dir: &str) -> io::Result<Vec<String>> {
        self.call()?;
        Ok(self.dirs[self.dir(dir)?].current().keys().cloned().collect())
    }

    pub(crate) fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.call()?;
        let (dir, name, found) = self.entry(path)?;
        match found {
            Some(Node::Dir(_)) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                self.dirs.push(Names::default());
                let made = Node::Dir(self.dirs.len() - 1);
                self.dirs[dir].bind(name, made);
                Ok(())
            }
        }
    }

    pub(crate) fn create(&mut self, path: &str, bytes: u64) -> io::Result<(usize, usize)> {
        self.call()?;
        let (dir, name, found) = self.entry(path)?;
        if found.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let len = checked_len(bytes)?;
        self.check_room(bytes)?;
        self.files.push(Content::created(len));
        let file = self.files.len() - 1;
        self.dirs[dir].bind(name, Node::File(file));
        Ok((file, len))
    }

    pub(crate) fn open(&mut self, path: &str) -> io::Result<(usize, usize)> {
        self.call()?;
        let file = self.file(path)?;
        Ok((file, self.files[file].len()))
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        let (from_dir, from, moved) = self.entry(from)?;
        let (dir, to, found) = self.entry(to)?;
        assert!(dir == from_dir, "a file keeps its directory");
        match (moved, found) {
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
            (_, Some(Node::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::Dir(_)), Some(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        self.dirs[dir].rename(from, to);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.call()?;
        self.file(path)?;
        let (dir, name, _) = self.entry(path)?;
        self.dirs[dir].unbind(name);
        Ok(())
    }

    pub(crate) fn remove_dir(&mut self, path: &str) -> io::Result<()> {
        self.call()?;
        if !self.dirs[self.dir(path)?].current().is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (dir, name, _) = self.entry(path)?;
        self.dirs[dir].unbind(name);
        Ok(())
    }

    pub(crate) fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        let called = self.call();
        if self.off {
            return called;
        }
        let dir = self.dir(path)?;
        if called.is_ok() && !self.controls.ignore_dir_syncs {
            self.dirs[dir].sync();
        } else if called.is_err() {
            self.dirs[dir].fail_sync(&mut self.random);
        }
        called
    }

    pub(crate) fn bytes(&self, file: usize) -> &[u8] {
        self.files[file].current()
    }

    pub(crate) fn store(&mut self, file: usize, at: usize, parts: &[&[u8]]) {
        if self.off {
            return;
        }
        self.newest = Some(file);
        if self.effect() {
            self.files[file].store_some(at, parts, &mut self.random);
        } else {
            self.files[file].store(at, parts, &mut self.random);
        }
    }

    pub(crate) fn write(&mut self, file: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        let was_off = self.off;
        let called = self.call();
        if called.is_ok() {
            self.files[file].store(at, &[bytes], &mut self.random);
        } else if !was_off {
            // Cut off or failed on the way: some of it may be there.
            self.files[file].store_some(at, &[bytes], &mut self.random);
        }
        if !was_off {
            self.newest = Some(file);
        }
        called
    }

    pub(crate) fn read(&mut self) -> io::Result<()> {
        self.call()
    }

    pub(crate) fn populate(&mut self) -> io::Result<()> {
        self.call()?;
        self.check_room(0)
    }

    pub(crate) fn sync(&mut self, file: usize) -> io::Result<()> {
        let called = self.call();
        if called.is_ok() && !self.controls.ignore_syncs {
            self.files[file].sync();
        } else if called.is_err() && !self.off {
            self.files[file].fail_sync(&mut self.random);
        }
        called
    }

    pub(crate) fn drop_cache(&mut self, file: usize) -> io::Result<()> {
        self.call()?;
        self.files[file].drop_cache();
        Ok(())
    }

    pub(crate) fn shrink(&mut self, file: usize, bytes: u64) -> io::Result<()> {
        self.call()?;
        let len = checked_len(bytes)?;
        assert!(len <= self.files[file].len(), "shrink makes a file no longer");
        self.files[file].resize(len, &mut self.random);
        Ok(())
    }

    pub(crate) fn grow(&mut self, file: usize, bytes: u64) -> io::Result<usize> {
        self.call()?;
        let len = checked_len(bytes)?;
        let before = self.files[file].len();
        assert!(len >= before, "grow makes a file no shorter");
        self.check_room(bytes - before as u64)?;
        self.files[file].resize(len, &mut self.random);
        Ok(len)
    }
}
