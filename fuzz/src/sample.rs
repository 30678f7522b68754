//! The streams that inputs do harm to: the directories under `tests/data/v1`, which never change,
//! so that an input does the same harm every day.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use millstream::{ManualClock, Stream};
use tempfile::TempDir;

use crate::probe::{self, Content};

/// The files of a stream's directory, by their paths in it.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A stream as files, and what it holds.
pub(crate) struct Sample {
    pub(crate) files: Files,
    pub(crate) entries: BTreeMap<(u32, u64), Content>,
}

/// One of the two samples: closed, or as a kill left it.
pub(crate) fn sample(killed: bool) -> &'static Sample {
    static SAMPLES: OnceLock<[Sample; 2]> = OnceLock::new();
    &SAMPLES.get_or_init(|| ["closed", "killed"].map(Sample::load))[usize::from(killed)]
}

impl Sample {
    fn load(how: &str) -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/v1").join(how).join("orders");
        let files = contents(&root);
        assert!(!files.is_empty(), "{} is missing", root.display());
        let place = Place::new(&files);
        let stream = Stream::options().clock(clock()).open_read_only(place.path());
        let stream = stream.expect("a released directory opens");
        let entries = probe::everything(&stream);
        Self { files, entries }
    }
}

/// A clock that stands where the samples were written.
pub(crate) fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// A directory that goes with this value.
pub(crate) struct Place(TempDir);

impl Place {
    /// Writes the files into a fresh directory, in memory where there is such a place.
    pub(crate) fn new(files: &Files) -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("millstream-fuzz-").tempdir_in(base);
        let place = Self(dir.expect("there is a place for temporary files"));
        for (name, bytes) in files {
            let path = place.path().join(name);
            let parent = path.parent().expect("it is in the directory");
            fs::create_dir_all(parent).expect("directories can be made");
            fs::write(path, bytes).expect("files can be written");
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn contents(&self) -> Files {
        contents(self.path())
    }
}

/// Every file below a directory.
pub(crate) fn contents(root: &Path) -> Files {
    let mut found = Files::new();
    let mut dirs: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("the directory can be listed").path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy();
            let bytes = fs::read(&path).expect("files can be read");
            found.insert(name.replace('\\', "/"), bytes);
        }
    }
    found
}
