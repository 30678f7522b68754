//! What a simulated disk is made of: files, directories, the power, and the failures ordered.
//! What the storage does to it is in [`effects`].

mod effects;

use std::collections::BTreeMap;
use std::io;

use super::FailMode;
use super::content::{Content, Length, Loss};
use super::names::{Kept, Names, Node};
use super::random::Random;

/// The index of the root among the directories.
const ROOT: usize = 0;

#[derive(Clone, Debug)]
pub(super) struct State {
    files: Vec<Content>,
    dirs: Vec<Names>,
    /// Whether the root is there.
    made: bool,
    locked: bool,
    random: Random,
    /// The file of the newest store.
    newest: Option<usize>,
    calls: u64,
    effects: u64,
    failure: Option<Failure>,
    cut_at: Option<u64>,
    off: bool,
    controls: Controls,
}

/// What a test set; it outlives the power.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Controls {
    pub(super) capacity: Option<u64>,
    pub(super) ignore_syncs: bool,
    pub(super) ignore_dir_syncs: bool,
    pub(super) forked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    nth: u64,
    mode: FailMode,
    kind: io::ErrorKind,
}

/// The tests' side of the disk.
impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            files: Vec::new(),
            dirs: vec![Names::default()],
            made: false,
            locked: false,
            random: Random::new(seed),
            newest: None,
            calls: 0,
            effects: 0,
            failure: None,
            cut_at: None,
            off: false,
            controls: Controls::default(),
        }
    }

    pub(super) fn fail_call(&mut self, nth: u64, mode: FailMode, kind: io::ErrorKind) {
        self.failure = Some(Failure { nth, mode, kind });
    }

    pub(super) fn heal(&mut self) {
        self.failure = None;
    }

    pub(super) fn cut_at(&mut self, nth: u64) {
        self.cut_at = Some(nth);
    }

    pub(super) fn cut(&mut self) {
        self.off = true;
    }

    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn effects(&self) -> u64 {
        self.effects
    }

    pub(super) fn controls(&mut self) -> &mut Controls {
        &mut self.controls
    }

    /// The same disk under the next process: nothing locked, counted or ordered.
    pub(super) fn after_kill(&self) -> Self {
        Self {
            locked: false,
            controls: Controls { forked: false, ..self.controls },
            calls: 0,
            effects: 0,
            failure: None,
            cut_at: None,
            off: false,
            ..self.clone()
        }
    }

    /// One outcome of a power cut.
    pub(super) fn after_cut(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let loss = if random.one_in(4) { None } else { Some(random.pick(&Loss::ALL)) };
        let length = random.pick(&[Length::Old, Length::New, Length::Any, Length::Any]);
        let kept = random.pick(&[Kept::None, Kept::All, Kept::Some, Kept::Some]);
        let mut after = Self {
            made: self.made,
            controls: Controls { forked: false, ..self.controls },
            ..Self::new(0)
        };
        // Each directory that is still reachable, and where it goes.
        let mut reachable = vec![(ROOT, ROOT)];
        while let Some((from, to)) = reachable.pop() {
            let mut names = self.dirs[from].after_cut(kept, &mut random);
            for node in names.values_mut() {
                *node = match *node {
                    Node::Dir(dir) => {
                        after.dirs.push(Names::default());
                        reachable.push((dir, after.dirs.len() - 1));
                        Node::Dir(after.dirs.len() - 1)
                    }
                    Node::File(file) => {
                        // Without one loss for the whole disk each file has its own.
                        let loss = loss.unwrap_or_else(|| random.pick(&Loss::ALL));
                        let newest = self.newest == Some(file);
                        let bytes = self.files[file].after_cut(loss, newest, length, &mut random);
                        after.files.push(Content::planted(bytes));
                        Node::File(after.files.len() - 1)
                    }
                };
            }
            after.dirs[to] = Names::planted(names);
        }
        after.random = random;
        after
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![(String::new(), ROOT)];
        while let Some((path, dir)) = dirs.pop() {
            for (name, node) in self.dirs[dir].current() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                match *node {
                    Node::Dir(dir) => dirs.push((path, dir)),
                    Node::File(file) => {
                        found.insert(path, self.files[file].current().to_vec());
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    pub(super) fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.made = true;
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = ROOT;
        for name in dirs.split('/').filter(|name| !name.is_empty()) {
            dir = match self.dirs[dir].get(name) {
                Some(Node::Dir(below)) => below,
                Some(Node::File(_)) => panic!("{name} is a file"),
                None => {
                    self.dirs.push(Names::default());
                    let below = self.dirs.len() - 1;
                    self.dirs[dir].plant(name, Node::Dir(below));
                    below
                }
            };
        }
        self.files.push(Content::planted(bytes));
        let file = Node::File(self.files.len() - 1);
        self.dirs[dir].plant(name, file);
    }

    pub(super) fn flip(&mut self, path: &str, byte: usize, bit: u32) {
        let file = self.file(path).expect("a test flips a file that is there");
        self.files[file].flip(byte, bit);
    }

    pub(super) fn cut_file(&mut self, path: &str, len: usize) {
        let file = self.file(path).expect("a test cuts a file that is there");
        let mut bytes = self.files[file].current().to_vec();
        bytes.truncate(len);
        self.files[file] = Content::planted(bytes);
    }
}

/// Counting, failing and finding.
impl State {
    /// Counts one call, and fails it if that was ordered.
    fn call(&mut self) -> io::Result<()> {
        if self.off {
            return Err(power_is_off());
        }
        self.calls += 1;
        if self.effect() {
            return Err(power_is_off());
        }
        match self.failure {
            Some(Failure { nth, mode, kind })
                if nth == self.calls || (nth < self.calls && mode == FailMode::Forever) =>
            {
                Err(io::Error::new(kind, "injected failure"))
            }
            _ => Ok(()),
        }
    }

    /// Counts one effect. Whether the power went at it.
    fn effect(&mut self) -> bool {
        self.effects += 1;
        self.off = self.cut_at == Some(self.effects);
        self.off
    }

    fn dir(&self, path: &str) -> io::Result<usize> {
        if !self.made {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut dir = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            dir = match self.dirs[dir].get(name) {
                Some(Node::Dir(below)) => below,
                Some(Node::File(_)) => return Err(io::ErrorKind::InvalidData.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            };
        }
        Ok(dir)
    }

    /// The directory that holds `path`, the name in it, and what stands there.
    fn entry<'a>(&self, path: &'a str) -> io::Result<(usize, &'a str, Option<Node>)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.dir(dir)?;
        Ok((dir, name, self.dirs[dir].get(name)))
    }

    fn file(&self, path: &str) -> io::Result<usize> {
        match self.entry(path)?.2 {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether `more` bytes fit, counting the files that have a name.
    fn check_room(&self, more: u64) -> io::Result<()> {
        let Some(capacity) = self.controls.capacity else { return Ok(()) };
        let named = self.dirs.iter().flat_map(|dir| dir.current().values());
        let used: u64 = named
            .map(|node| match *node {
                Node::File(file) => self.files[file].len() as u64,
                Node::Dir(_) => 0,
            })
            .sum();
        match used.checked_add(more) {
            Some(wanted) if wanted <= capacity => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("power is off")
}

/// No simulated disk is larger, so that a wild length is an error and not an allocation.
const FILE_BYTES_MAX: u64 = 1 << 32;

fn checked_len(bytes: u64) -> io::Result<usize> {
    if bytes > FILE_BYTES_MAX {
        return Err(io::ErrorKind::StorageFull.into());
    }
    usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull.into())
}
