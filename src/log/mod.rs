//! The segmented log: one ordered, append-only sequence of entries in mapped segments. A
//! partition is one; a group's journal is another.
//!
//! | file | what it owns |
//! |---|---|
//! | `frame` | the bytes of one frame, and its checksum |
//! | `entry` | the bytes of one entry inside a frame |
//! | `header` | the bytes around frames: segment header, floor slots, opening, footer |
//! | `segment` | one segment: its region, its published end, its marks |
//! | `capacity` | how long a segment is made |
//! | `create` | making a segment so that its header is durable before anything refers to it |
//! | `index` | marks by offset and time, their footer, rebuilding them |
//! | `settings` | what a log is told when it is opened |
//! | `active` | the segment that is appended to |
//! | `append` | appending, rolling, sealing |
//! | `writer` | what only the appender touches |
//! | `conditional` | appending only if the log ends where it is believed to end |
//! | `placed` | what an append came to |
//! | `flush` | what is durable: flushing, group commit, closing |
//! | `cursor` | reading runs of frames in order |
//! | `follow` | seeing what another owner appends, seals and trims |
//! | `subjects` | how many entries of a segment have which subject |
//! | `count` | counting entries by their subjects |
//! | `run` | a copied run: checked, then taken apart into entries |
//! | `scan` | walking the frames of a file that nobody vouches for |
//! | `tail` | judging the first frame that cannot be believed: torn, or rot |
//! | `trim` | removing the oldest segments |
//! | `retain` | which of them may go |
//! | `start` | the place from which on opening looks |
//! | `adopt` | taking over what was found |
//! | `survey` | how long it is |
//! | `still` | a log as it was at one moment, and copying its files elsewhere |
//! | `beside` | the same of a log that somebody else goes on writing |
//! | `check` | comparing files with their sums, one by one, and going on after damage |
//! | `salvage` | opening for reading only, damaged or not |
//! | `view` | how far a log of another owner was seen |
//! | `recover` | opening: where the log ends, and what to do about a torn tail |

mod active;
mod adopt;
mod append;
mod beside;
mod capacity;
mod check;
mod conditional;
mod count;
mod create;
mod cursor;
mod entry;
mod flush;
mod follow;
mod frame;
mod header;
mod index;
mod placed;
mod recover;
pub(crate) mod retain;
mod run;
mod salvage;
mod scan;
mod segment;
mod settings;
mod start;
mod still;
mod subjects;
mod survey;
mod tail;
#[cfg(test)]
mod tests;
mod trim;
mod view;
mod writer;

pub(crate) use append::Log;
pub(crate) use capacity::room_behind;
pub(crate) use check::{Checked, Suspect};
pub(crate) use create::Salts;
pub(crate) use cursor::{Bounds, Cursor, Outcome};
pub(crate) use entry::{Draft, Field, Fields, Piece, due, fields};
pub(crate) use follow::{Followed, Place};
pub(crate) use frame::{Kind, frame_bytes};
pub(crate) use header::{Owner, OwnerKind};
pub(crate) use placed::Placed;

pub(crate) use run::{BadFrame, Run, Slot};
#[cfg(test)]
pub(crate) use settings::Controls;
pub(crate) use settings::{Mode, Settings, Staging};
pub(crate) use still::{Pin, Still};
pub(crate) use trim::Trimmed;
