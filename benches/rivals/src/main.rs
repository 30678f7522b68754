//! Millstream beside other queues and stores that live in one process.
//!
//! ```text
//! cargo run --release --manifest-path benches/rivals/Cargo.toml              # a minute or two
//! cargo run --release --manifest-path benches/rivals/Cargo.toml -- --quick   # some seconds
//! ```
//!
//! Each peer is used as its documentation advises for a queue; its file says what the two levels
//! mean for it, and what it does not give. They take turns on each path within short rounds, so a
//! machine that is busy for a while slows all of them, and the ratio is the median over the rounds.
//! The queues live through all rounds, as a user's would. All are used from one thread; what a peer
//! does in threads of its own is not counted, but takes its turn on the same processors.
//!
//! Every entry that comes out is compared with the one that has to come next. Before anything is
//! measured, each peer is killed in mid-work and looked at afterwards, so that nobody is compared
//! for a promise that it does not keep.
//!
//! Not compared: sled, whose writes stay in its own buffer until a flush to the disk, so that it has
//! no `Level::Kill`; queues that are kept in memory; and servers.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod kill;
mod measure;
mod payloads;
mod peers;
mod queue;

use std::path::Path;

use crate::measure::Scale;
use crate::queue::{Level, Outcome, PAYLOAD_BYTES};

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [leave, peer, dir] = &args[..]
        && leave == kill::LEAVE
    {
        return kill::leave(peer, Path::new(dir));
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    println!("entries of {PAYLOAD_BYTES} bytes, one thread\n");
    kill::table()?;
    let (kill, power_cut) =
        if quick { (Scale::KILL_QUICK, Scale::POWER_QUICK) } else { (Scale::KILL, Scale::POWER) };
    measure::table("survives a killed process (no flush)", Level::Kill, kill)?;
    measure::table("survives a power cut (one flush a call)", Level::PowerCut, power_cut)
}
