//! What a group goes by.

use super::sight::State;
use crate::ledger::Exhausted;
use crate::policy::AckMode;

/// What a group was made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) max_deliveries: u16,
    pub(super) exhausted: Exhausted,
    /// What counts as an ack.
    pub(super) ack: AckMode,
    /// Which subjects it takes.
    pub(super) takes: fn(Option<&str>) -> bool,
}

impl Rules {
    /// What an entry is set to after its last attempt.
    pub(super) fn end(self) -> State {
        match self.exhausted {
            Exhausted::Park => State::Parked,
            Exhausted::Discard | Exhausted::DeadLetter => State::Done,
        }
    }

    /// Whether an entry that was in `state` may be seen as `seen` when the group is opened.
    pub(super) fn becomes(self, state: State, seen: State) -> bool {
        match state {
            State::Out(attempts) if attempts >= self.max_deliveries => seen == self.end(),
            State::Out(attempts) => seen == State::Back(attempts),
            other => seen == other,
        }
    }
}
