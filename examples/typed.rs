//! Values instead of bytes: orders are appended and worked off as what they are, and a payload that
//! is none ends among the dead letters with its bytes and the reason.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::time::Duration;

use millstream::typed::{NewValue, TypedConsumer, TypedStream};
use millstream::{DeadLetter, Exhausted, Start, Stream};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    customer: String,
    items: Vec<(String, u32)>,
    cents: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?; // any directory will do
    let stream = Stream::open(dir.path().join("orders"))?;
    let letters = Stream::open(dir.path().join("letters"))?;
    let orders: TypedStream<Order> = stream.typed();

    let first = order("customer-7", 990);
    orders.append(&first)?;
    let urgent = order("customer-3", 120);
    orders.append(NewValue::new(&urgent).subject("order.urgent").key(&urgent.customer))?;
    orders.append_batch(&[order("customer-1", 500), order("customer-2", 250)])?;
    stream.append("order 1001, as some old program wrote it")?;

    let exhausted = Exhausted::DeadLetter(letters.clone());
    let billing = stream.group("billing").on_exhausted(exhausted).open(Start::Earliest)?;
    let worker: TypedConsumer<Order> = billing.join("worker-1")?.typed();
    let mut cents = 0;
    for delivery in worker.read_timeout(100, Duration::from_secs(1))? {
        match delivery.value() {
            Ok(order) => {
                println!("{}: {order:?}", delivery.id());
                cents += order.cents;
                delivery.ack()?;
            }
            Err(undecodable) => delivery.reject(undecodable.reason())?,
        }
    }
    assert_eq!((cents, billing.lag()?), (1860, 0));

    for entry in letters.reader(Start::Earliest)?.until_now().read(10)? {
        let letter = DeadLetter::of(&entry).ok_or("only letters are there")?;
        println!("{}: {:?}", letter.origin(), String::from_utf8_lossy(entry.payload()));
        println!("  given up: {}", letter.reason().unwrap_or("its attempts are over"));
    }
    Ok(())
}

fn order(customer: &str, cents: u64) -> Order {
    Order { customer: customer.into(), items: vec![("tea".into(), 2)], cents }
}
