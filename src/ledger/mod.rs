//! Who holds what: the pure state machine of one group.
//!
//! A *command* looks at the ledger and the time and appends events; applying events is the only
//! way the state changes, and the journal is those events. Nothing here does I/O, reads a clock,
//! takes a lock or draws a random number.
//!
//! ```text
//!            hand out                  ack
//!  fresh ──────────────▶ leased ─────────────────▶ settled
//!                        ▲    │ ▲                     ▲ ▲
//!               hand out │    │ └── late extend ──┐   │ │ discard, skip
//!                        │    │ nack, lease ended │   │ │
//!                        │    ├──────────────▶ waiting┘ │     redrive
//!                        │    │ release, leave          │  ┌────────────┐
//!                        │    ├──────────────▶ withdrawn┤  ▼            │
//!                        │    │ unclean end        (last attempt) ──▶ parked
//!                        └────┴──────────────▶ suspect ─┘
//! ```
//!
//! A fresh entry that is not due yet goes to withdrawn first, and is leased from there.
//!
//! | file | holds |
//! |---|---|
//! | `event` | what can happen; runs, claims, member ids |
//! | `policy`, `backoff` | what the user chose: leases, waits, limits |
//! | `window`, `chunks` | one partition's entries, dense, in chunks |
//! | `hold` | what entries of one hand-out share |
//! | `due` | what waits, by time |
//! | `sizes` | how many bytes are in flight |
//! | `touch` | when entries were last handed out or extended |
//! | `defer` | new entries that say when they are to be handed out |
//! | `entries` | the windows with their indexes, kept in step |
//! | `glance` | looking at many entries at once |
//! | `member` | who is in the group, and for how long |
//! | `owner` | which member reads which partition |
//! | `book`, `pending` | the ledger itself, and what `info` and `pending` ask of it |
//! | `deliver`, `claim`, `settle`, `expire`, `session`, `rebalance`, `position`, `pass`, `park`, `pause`, `reopen` | the commands |
//! | `given` | when entries were handed out, for the dead letters |
//! | `doom` | what has to go to the dead letters, and what comes back from there |
//! | `need` | what retention asks: what is needed, what would be lost |
//! | `sight` | looking on at another process's group |
//! | `apply`, `replay` | how events change the state; how stored ones are checked first |
//! | `wire`, `codec`, `turn`, `given_up`, `snapshot`, `restore` | the stored form |
//! | `times` | arithmetic on moments |
//! | `validate` | every invariant, for tests |

mod apply;
mod backoff;
mod book;
mod chunks;
mod claim;
mod codec;
mod defer;
mod deliver;
mod doom;
mod due;
mod entries;
mod event;
mod expire;
mod given;
mod given_up;
mod glance;
mod hold;
mod member;
mod need;
mod owner;
mod park;
mod pass;
mod pause;
mod pending;
mod policy;
mod position;
mod rebalance;
mod reopen;
mod replay;
mod restore;
mod session;
mod settle;
mod sight;
mod sizes;
mod snapshot;
mod times;
mod touch;
mod turn;
#[cfg(test)]
mod validate;
mod window;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use backoff::{Backoff, Wait};
pub(crate) use book::{Ledger, PendingEntry, Spent, Standing};
pub(crate) use claim::Claims;
pub(crate) use codec::{decode, encode};
pub(crate) use defer::Deferral;
pub(crate) use deliver::Then;
pub(crate) use doom::{Doomed, Intent, Revival};
pub(crate) use event::{
    Claim, Event, MemberId, Pass, Round, Run, Settle, Skip, Totals, Wait as Waiting,
};
pub(crate) use owner::NOBODY;
pub(crate) use policy::{AckMode, Exhausted, OnTrimmed, Policy};
pub(crate) use rebalance::{Roster, Target};
pub(crate) use replay::Inconsistent;
pub(crate) use settle::Again;
pub(crate) use times::Now;
