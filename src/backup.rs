//! What copying and verifying a stream tell: how far they are, and what they came to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Corruption, path_as_text};

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Part {
    /// What the stream is, apart from its entries.
    Manifest,
    /// The entries of a partition.
    Partition(u32),
    /// The journal of the group of that name: who holds what, and what is settled.
    Group(String),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manifest => write!(f, "the manifest"),
            Self::Partition(partition) => write!(f, "partition {partition}"),
            Self::Group(name) => write!(f, "group {name:?}"),
        }
    }
}

/// How far a call is that reads all of a stream.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// How many bytes are done.
    pub done_bytes: u64,
    /// How many there are to do.
    pub total_bytes: u64,
    /// What it is at.
    pub part: &'a Part,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Copied {
    /// Where the copy is. It is serialized as text, with a replacement character for what is none.
    #[serde(serialize_with = "path_as_text")]
    pub path: PathBuf,
    /// How many bytes of entries and journals were read for it.
    pub bytes: u64,
    /// One for each partition, in order.
    pub partitions: Vec<CopiedPartition>,
    /// The names of the groups, in order.
    pub groups: Vec<String>,
}

impl Copied {
    /// How many entries were copied.
    pub fn entries(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.end - partition.start).sum()
    }
}

/// What was copied of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CopiedPartition {
    /// The first offset that the copy holds.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// How many segment files these are in.
    pub segments: usize,
}

/// What verifying a stream found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// One for each file that was looked at: the manifest, then the segments of partitions, then those of groups.
    pub files: Vec<FileReport>,
    /// Whether nobody broke it off.
    pub complete: bool,
}

impl VerifyReport {
    /// Whether all that was looked at is as it was written.
    pub fn is_sound(&self) -> bool {
        self.damage().next().is_none()
    }

    /// What is wrong, in the order of the files.
    pub fn damage(&self) -> impl Iterator<Item = &Corruption> {
        self.files.iter().filter_map(|file| file.damage.as_ref())
    }
}

/// What verifying one file found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileReport {
    /// What it belongs to.
    pub part: Part,
    /// The file, serialized likewise.
    #[serde(serialize_with = "path_as_text")]
    pub file: PathBuf,
    /// The number of the segment in its partition or journal; 0 for the manifest.
    pub sequence: u64,
    /// The first offset that it holds; of a journal, the number of its first record.
    pub first: u64,
    /// One past the last that was found sound.
    pub end: u64,
    /// How many bytes were found sound.
    pub bytes: u64,
    /// How many frames these are.
    pub frames: u64,
    /// How many entries, or records, are in them.
    pub entries: u64,
    /// The first thing that is wrong with it, if anything is.
    pub damage: Option<Corruption>,
}
