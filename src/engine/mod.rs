//! What stands behind the public handles, and where the parts come together: the only place that
//! locks and writes.
//!
//! | file | what it owns |
//! |---|---|
//! | `handle` | what keeps a stream open |
//! | `mill` | an open stream: waking, syncing, closing |
//! | `append` | appending to it |
//! | `open` | opening it |
//! | `ground` | what all its parts share |
//! | `shelf` | the list of the partitions' logs |
//! | `grow` | adding partitions |
//! | `groups` | making, finding and deleting groups |
//! | `manifest` | what the stream and its groups are, on disk |
//! | `policy` | what a group goes by |
//! | `desk` | one group: its ledger, its lock |
//! | `change` | changing it under its lock |
//! | `membership` | coming to it and going |
//! | `position` | what is done to it as a whole |
//! | `council` | asking its strategy who owns what |
//! | `tell` | telling those who listen |
//! | `turnover` | telling the same, and how much, to those who observe the process |
//! | `returned` | what dropped handles leave there |
//! | `wake`, `ready` | waking blocked reads, and telling those who do not block |
//! | `steer` | pausing, draining and altering it |
//! | `board` | who listens to a group, and what one consumer is told |
//! | `settle` | how they are taken back |
//! | `claim` | how a consumer takes them over, looks at its own, and how they are acked by id |
//! | `listing` | what is pending |
//! | `letters` | its dead letters in bulk, and the way back |
//! | `lend`, `basket` | how a read gets entries from a desk, and what it has so far |
//! | `retain` | what goes of the log, and when an append has to wait for that |
//! | `uncalled` | hooks that wait until no lock is held |
//! | `sift` | the same with a filter |
//! | `addressed` | entries that are for one group alone |
//! | `census` | how many it has still to give |
//! | `defer` | and what becomes of those that are not due yet |
//! | `draft` | where a thread encodes what it appends |
//! | `unique` | appending nothing twice |
//! | `conditional` | appending only behind what is believed to be the last entry |
//! | `point`, `copy`, `site` | the stream at one moment, copying it, and where the copy is made |
//! | `beside` | the same moment of a stream that has its owner elsewhere |
//! | `verify` | comparing all that is stored with its sums |
//! | `meter` | how far these are |
//! | `report` | what a desk tells of its group |
//! | `onlook` | what a stream is that was opened for reading only, and its groups |
//! | `sight`, `inspect` | how such a group is followed |
//! | `journal` | the ledger's events, on disk |
//! | `post` | one consumer's membership |
//! | `out` | which batches are alive |
//! | `tour` | reading without a group |
//! | `parcel`, `pool` | what a read brings back, and the buffers it lies in |

mod addressed;
mod append;
mod basket;
mod beside;
mod board;
mod bury;
mod census;
mod change;
mod claim;
mod conditional;
mod copy;
mod council;
mod defer;
mod desk;
mod draft;
mod ground;
mod groups;
mod grow;
mod handle;
mod inspect;
mod journal;
mod lend;
mod letters;
mod listing;
mod look;
mod manifest;
mod membership;
mod meter;
mod mill;
mod onlook;
mod open;
mod out;
mod parcel;
mod point;
mod policy;
mod pool;
mod position;
mod post;
mod ready;
mod redrive;
mod report;
mod retain;
mod returned;
mod settle;
mod shelf;
mod sift;
mod sight;
mod site;
mod steer;
mod tell;
mod tour;
mod turnover;
mod uncalled;
mod unique;
mod verify;
mod wake;

pub(crate) use claim::{Swept, TakenOver};
pub(crate) use groups::{GroupPlan, Seat, delete_group, open_group};
pub(crate) use handle::Handle;
pub(crate) use lend::{Answer, Want};
pub(crate) use listing::Sought;
pub(crate) use manifest::{
    StoredAckMode, StoredBackoff, StoredExhausted, StoredOnTrimmed, StoredStrategy, StoredWait,
};
pub(crate) use mill::Mill;
#[cfg(test)]
pub(crate) use open::Trial;
pub(crate) use open::{Made, Plan, micros};
pub(crate) use parcel::Parcel;
pub(crate) use post::Post;
pub(crate) use retain::check_retention;
pub(crate) use settle::{Outcome, Verb};
pub(crate) use steer::alter_group;
pub(crate) use tour::{Span, Tour};
