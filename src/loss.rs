//! [`Loss`]: what a group lost to retention, by what it had made of the entries.

use serde::{Deserialize, Serialize};

/// How many entries went before a group was done with them, by what they were to it then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Loss {
    /// No read had come by them.
    pub unread: u64,
    /// They were in somebody's hands.
    pub pending: u64,
    /// They were to be handed out again, or for the first time at a time of their own.
    pub delayed: u64,
    /// They were set aside.
    pub parked: u64,
}

impl Loss {
    /// How many these are together.
    pub fn entries(&self) -> u64 {
        let Self { unread, pending, delayed, parked } = *self;
        [unread, pending, delayed, parked].into_iter().fold(0, u64::saturating_add)
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.entries() == 0
    }

    /// Adds another loss. Counts stop rather than wrap: a stored one may claim to be huge.
    pub(crate) fn add(&mut self, more: Self) {
        let Self { unread, pending, delayed, parked } = self;
        *unread = unread.saturating_add(more.unread);
        *pending = pending.saturating_add(more.pending);
        *delayed = delayed.saturating_add(more.delayed);
        *parked = parked.saturating_add(more.parked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_and_stop_at_the_top() {
        let one = Loss { unread: 1, pending: 2, delayed: 3, parked: u64::MAX };
        let mut sum = one;
        sum.add(one);
        assert_eq!(sum, Loss { unread: 2, pending: 4, delayed: 6, parked: u64::MAX });
        assert_eq!((sum.entries(), Loss::default().is_empty()), (u64::MAX, true));
        assert_eq!(Loss { parked: 4, ..one }.entries(), 10);
    }
}
