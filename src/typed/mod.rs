//! Values instead of bytes: streams, groups and readers whose payloads are encoded and decoded by
//! serde. Behind the feature `typed`.
//!
//! [`Typed`] wraps a plain handle and derefs to it, so everything that is not about payloads is
//! where it was: [`TypedConsumer`] heartbeats, acks all and tells events as
//! [`Consumer`](crate::Consumer) does. What is appended and what is read is a value.
//!
//! ```
//! use std::time::Duration;
//! use millstream::typed::{NewValue, TypedConsumer, TypedStream};
//! use millstream::{Start, Stream};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     customer: String,
//!     cents: u64,
//! }
//!
//! # fn charge(_order: &Order) -> std::io::Result<()> { Ok(()) }
//! let stream = Stream::options().in_memory()?;
//! let orders: TypedStream<Order> = stream.typed();
//! let order = Order { customer: "customer-7".into(), cents: 990 };
//! orders.append(&order)?;
//! orders.append(NewValue::new(&order).subject("order.created").key(&order.customer))?;
//! stream.append("no order")?; // anybody can append any bytes
//!
//! let billing = stream.group("billing").open(Start::Earliest)?;
//! let worker: TypedConsumer<Order> = billing.join("worker-1")?.typed();
//! for delivery in worker.read_timeout(100, Duration::from_secs(1))? {
//!     match delivery.value() {
//!         Ok(order) => {
//!             charge(&order)?;
//!             delivery.ack()?;
//!         }
//!         Err(undecodable) => delivery.reject(undecodable.reason())?,
//!     }
//! }
//! assert_eq!(billing.parked(10)?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is stored
//!
//! The bytes of the [`Codec`] and nothing else: neither its name nor that of the type. So anything
//! that knows the encoding can read them, and one stream may hold values of several types, told apart
//! by their subjects: read plain [`Delivery`](crate::Delivery)s, and make each
//! [`typed`](crate::Delivery::typed) as what its subject says.
//!
//! # Bytes that are no value
//!
//! Payloads of an older version of a type, or of another program, may not decode. That is no error
//! of the read, and no panic: [`value`](Typed::value) gives an [`Undecodable`], which has the bytes and
//! says why, and the delivery is still there to be rejected to the dead letters, or handed back. One
//! bad entry never stops a worker.
//!
//! # What it costs
//!
//! What the codec costs. A thread encodes into one buffer that it keeps, and nothing is decoded
//! before [`value`](Typed::value) is called, and then each time: acking unseen is free, and whoever
//! needs a value twice keeps it.

mod append;
mod codec;
mod consumer;
mod handle;
#[cfg(feature = "json")]
mod json;
mod reader;
mod value;

pub use append::NewValue;
pub use codec::{Bincode, Codec, Reason};
pub use handle::{
    Typed, TypedBatch, TypedConsumer, TypedDelivery, TypedEntries, TypedEntry, TypedGroup,
    TypedHeld, TypedHistory, TypedReader, TypedStream, TypedSubscription, TypedView, Values,
};
#[cfg(feature = "json")]
pub use json::Json;
pub use value::{Payload, Undecodable};
