//! A process dies in mid-work; the next one finds every entry that was not acked, with its count.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::path::Path;
use std::process::Command;

use millstream::{Start, Stream};

/// Tells the program that it is the one to crash, and where.
const CRASH_IN: &str = "MILLSTREAM_EXAMPLE_CRASH_IN";

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(path) = std::env::var_os(CRASH_IN) {
        work_and_crash(Path::new(&path))?;
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("orders");
    let status = Command::new(std::env::current_exe()?).env(CRASH_IN, &path).status()?;
    println!("the first process ended with: {status}");
    assert!(!status.success());

    let stream = Stream::open(&path)?;
    let group = stream.group("billing").open_existing()?;
    println!("left to do: {}", group.lag()?);
    let worker = group.join("worker")?; // the name is free: nobody is a member after reopening
    let mut orders = Vec::new();
    loop {
        // Entries that were leased when the process died come one per read: if one of them is what
        // killed it, the others are not counted together with it.
        let batch = worker.try_read(100)?;
        if batch.is_empty() {
            break;
        }
        for delivery in batch {
            let order = String::from_utf8_lossy(delivery.payload()).into_owned();
            println!("{order}, attempt {}", delivery.attempt());
            orders.push((order, delivery.attempt()));
            delivery.ack()?;
        }
    }
    // 0 to 3 were acked, 4 to 6 were in hand, 7 to 9 were never handed out.
    let expected = (4..10).map(|n| (format!("order {n}"), if n < 7 { 2 } else { 1 }));
    assert!(expected.eq(orders));
    assert_eq!(group.lag()?, 0);
    Ok(())
}

fn work_and_crash(path: &Path) -> Result<(), Box<dyn Error>> {
    let stream = Stream::open(path)?;
    for n in 0..10 {
        stream.append(&format!("order {n}"))?;
    }
    let worker = stream.group("billing").open(Start::Earliest)?.join("worker")?;
    for delivery in worker.try_read(4)? {
        delivery.ack()?;
    }
    let _in_hand = worker.try_read(3)?;
    std::process::abort() // as a kill would: no destructor runs, nothing is flushed
}
