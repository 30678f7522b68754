//! [`Corruption`]: where and how stored bytes are wrong.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Where and how stored bytes are wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Corruption {
    /// The file. It is serialized as text, with a replacement character for what is none.
    #[serde(serialize_with = "path_as_text")]
    pub file: PathBuf,
    /// The first byte that could not be believed.
    pub position: u64,
    /// The first offset affected, where known.
    pub first: Option<u64>,
    /// One past the last offset affected, where known.
    pub end: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}: {}", self.file.display(), self.position, self.what)
    }
}

/// A path as text. One that is not Unicode must not cost the rest of what is told.
pub(crate) fn path_as_text<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}
