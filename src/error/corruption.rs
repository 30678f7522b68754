//! [`Corruption`]: where and how stored bytes are wrong.

use std::path::PathBuf;

use serde::Serialize;

/// Where and how stored bytes are wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Corruption {
    /// The file.
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
