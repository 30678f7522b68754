//! The quick start of the README, word for word.

use std::time::Duration;

use millstream::{NewEntry, Start, Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?; // any directory will do
    let stream = Stream::open(dir.path().join("orders"))?; // makes it, or recovers what is there
    stream.append("order 1001")?;
    stream.append(NewEntry::new(r#"{"cents":990}"#).subject("order.created").key("customer-7"))?;
    stream.append_batch(["order 1002", "order 1003"])?; // survives a crash as a whole, or not at all

    let billing = stream.group("billing").lease(Duration::from_secs(60)).open(Start::Earliest)?;
    let worker = billing.join("worker-1")?;
    for delivery in worker.read_timeout(100, Duration::from_secs(1))? {
        charge(delivery.payload())?; // on an early return or a panic the entry comes again
        delivery.ack()?;
    }
    assert_eq!(billing.lag()?, 0);
    Ok(())
}

fn charge(order: &[u8]) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::io::stdout(), &[order, b"\n"].concat())
}
