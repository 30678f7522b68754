//! How a lease was lost, and how a member went.

/// Why a lease is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Lost {
    /// The lease ended and the entry was given to another read.
    Taken,
    /// The entry is settled or set aside already.
    Settled,
    /// It was released, or returned unread.
    Released,
    /// Its partition was given to another member.
    Revoked,
    /// Its consumer left, was removed, or its session ended.
    Left,
    /// The group was reset, deleted and made again, or the stream was opened again.
    Reset,
    /// Retention took the entry.
    Trimmed,
}

/// How a member went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Gone {
    /// It left.
    Left,
    /// It was removed by `Group::remove_consumer`.
    Removed,
    /// It was silent for longer than the session timeout.
    Expired,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Taken => "it was given to another read",
            Self::Settled => "the entry is settled",
            Self::Released => "it was released",
            Self::Revoked => "its partition was given to another member",
            Self::Left => "its consumer left the group",
            Self::Reset => "the group was reset or opened again",
            Self::Trimmed => "retention took the entry",
        })
    }
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Left => "it left",
            Self::Removed => "it was removed",
            Self::Expired => "its session ended",
        })
    }
}
