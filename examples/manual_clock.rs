//! How to test what depends on time: with a clock that moves when it is told to, or by itself to
//! the next thing due. Nothing sleeps, and an hour passes in no time.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::time::Duration;

use millstream::{Backoff, Clock, ManualClock, Result, Start, Stream};

fn main() -> Result<()> {
    an_unacked_entry_comes_again_after_its_lease()?;
    an_entry_that_always_fails_is_parked_after_an_hour_of_backoff()?;
    println!("both hold");
    Ok(())
}

fn an_unacked_entry_comes_again_after_its_lease() -> Result<()> {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).in_memory()?;
    stream.append("order 1001")?;
    let group = stream
        .group("billing")
        .lease(Duration::from_secs(60))
        .backoff(Backoff::fixed(Duration::ZERO))
        .open(Start::Earliest)?;
    let (slow, other) = (group.join("slow")?, group.join("other")?);

    let taken = slow.try_read(1)?.into_iter().next().expect("it is there").detach();
    clock.advance(Duration::from_secs(59));
    assert!(other.try_read(1)?.is_empty(), "the lease still runs");

    clock.advance(Duration::from_secs(1));
    let again = other.try_read(1)?.into_iter().next().expect("the lease is over");
    assert_eq!(again.attempt(), 2);
    assert!(!slow.ack([taken])?.is_complete(), "it is in other hands now");
    again.ack()
}

fn an_entry_that_always_fails_is_parked_after_an_hour_of_backoff() -> Result<()> {
    let clock = ManualClock::self_advancing();
    let stream = Stream::options().clock(clock.clone()).in_memory()?;
    let id = stream.append("bad")?;
    let group = stream
        .group("billing")
        .max_deliveries(4)
        .backoff(Backoff::fixed(Duration::from_secs(20 * 60)))
        .open(Start::Earliest)?;
    let worker = group.join("worker")?;

    let mut attempts = 0;
    // A read that would block moves the clock instead; it is empty when nothing is ever due.
    while let Some(delivery) = worker.read(1)?.into_iter().next() {
        attempts += 1;
        delivery.nack()?;
    }
    assert_eq!(attempts, 4);
    assert_eq!(clock.monotonic(), Duration::from_secs(3600));
    assert_eq!(group.parked(10)?[0].id, id);
    Ok(())
}
