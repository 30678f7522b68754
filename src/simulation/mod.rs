//! The whole stream on a simulated disk: what it promises has to hold whatever the disk does.
//!
//! | file | what it owns |
//! |---|---|
//! | `world` | the disk, and what the stream must hold: entries byte for byte |
//! | `item` | one entry |
//! | `groups` | what each group must know: who has what, how often, and what is settled |
//! | `rules` | what each group goes by |
//! | `modes` | what settles entries without a verdict |
//! | `sight` | what a group shows |
//! | `script` | a random workload: one life of the stream from opening to its end |
//! | `workers` | the part of the workload that consumers do |
//! | `positions` | the part that moves groups as a whole: resets, trims, skips |
//! | `writers` | the part that appends under conditions: once for each key, or behind a known entry |
//! | `drain` | that nothing is stuck: everything that is owed is delivered |
//! | `cuts` | the power is cut anywhere, recovery included |
//! | `faults` | the n-th call fails, for all n; a full disk |
//! | `growing` | partitions are added, and that is cut short anywhere |
//! | `retaining` | entries go by retention, and that is cut short anywhere |
//! | `letters` | a stream and its dead-letter stream, cut together |
//! | `redriving` | letters are brought back in bulk, and that is cut short anywhere |
//! | `reviving` | letters are brought back among all else, and that is cut short anywhere |
//! | `onlooking` | what somebody else sees meanwhile |
//! | `observed` | a full disk is told to who observes the process |
//! | `copying` | a stream is copied, and that is cut short anywhere |
//! | `beside` | a stream is copied and verified while another owns it |
//! | `fork` | a handle in a forked child |
//! | `rot` | every byte flipped, every length cut |
//! | `controls` | protections taken away: the oracle has to notice |
//!
//! The oracle gives its complaint back instead of panicking, so that the controls can show that it
//! does complain. One run is named by its seed.

mod beside;
mod controls;
mod copying;
mod cuts;
mod drain;
mod faults;
mod fork;
mod groups;
mod growing;
mod item;
mod letters;
mod modes;
#[cfg(feature = "tracing")]
mod observed;
mod onlooking;
mod positions;
mod redriving;
mod retaining;
mod reviving;
mod rot;
mod rules;
mod script;
mod sight;
mod steer;
mod workers;
mod world;
mod writers;
