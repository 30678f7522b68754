//! [`Placed`]: what an append came to.

/// Where a call's entries went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The first entry's offset.
    pub(crate) first: u64,
    /// The offset behind the last entry.
    pub(crate) end: u64,
    /// Whether somebody may be waiting for what just became visible.
    pub(crate) ring: bool,
    /// Whether so many sealed segments wait for a flush that the caller should do one.
    pub(crate) flush: bool,
    /// Whether these are the first entries of their segment, so that the one before, if there is
    /// one, was sealed: the moment to see what may go.
    pub(crate) rolled: bool,
}
