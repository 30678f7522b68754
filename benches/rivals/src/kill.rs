//! What a kill leaves of each peer: whether it belongs into the first table.
//!
//! A child adds entries, acks some, and aborts with others in hand: no destructor runs, no buffer is
//! written. What was acked may not come again, and all the rest has to come.

use std::path::Path;
use std::process::Command;

use crate::payloads::{drain, payloads};
use crate::peers::{PEERS, Peer};
use crate::queue::{BATCH, Level, Outcome};

/// The argument with which this program calls itself to leave a queue behind.
pub(crate) const LEAVE: &str = "--leave-unclosed";

/// One by one first, then in batches.
const SINGLE: usize = 150;
const ENTRIES: usize = SINGLE + 5 * BATCH;
/// Takes that end with an ack; one more does not.
const ACKED: usize = 3;

/// Kills each peer and prints what was left. Fails if one keeps less than it promised.
pub(crate) fn table() -> Outcome {
    println!("{:<24} after a kill in mid-work", "peer");
    for peer in PEERS {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("queue");
        let mut child = Command::new(std::env::current_exe()?);
        let left = child.args([LEAVE, peer.name]).arg(&path).status()?;
        if left.success() || left.code() == Some(1) {
            return Err(format!("{}: the child was not killed", peer.name).into());
        }
        let rest = payloads(0, ENTRIES).split_off(ACKED * BATCH);
        let kept = (peer.open)(&path, Level::Kill).and_then(|mut queue| drain(&mut *queue, &rest));
        match kept {
            Ok(()) => println!("{:<24} all that was not acked came, and nothing else", peer.name),
            Err(error) if peer.survives_kill => return Err(error),
            Err(error) => println!("{:<24} {error}", peer.name),
        }
    }
    Ok(())
}

/// Fills the queue of a peer, takes some of it, and dies within the next take.
pub(crate) fn leave(name: &str, dir: &Path) -> Outcome {
    let named = |peer: &&Peer| peer.name == name;
    let peer = PEERS.iter().find(named).ok_or("no such peer")?;
    let mut queue = (peer.open)(dir, Level::Kill)?;
    let entries = payloads(0, ENTRIES);
    let (single, batched) = entries.split_at(SINGLE);
    for payload in single {
        queue.push(payload)?;
    }
    for batch in batched.chunks(BATCH) {
        queue.push_batch(batch)?;
    }
    for _ in 0..ACKED {
        queue.take_and_ack(BATCH, &mut |_| ())?;
    }
    queue.take_and_ack(BATCH, &mut |_| std::process::abort())?;
    Ok(())
}
