//! What goes in, and whether it comes out: each entry once, and in order.

use crate::queue::{BATCH, Outcome, Payload, Queue};

/// The payload of the entry of that number; no two are alike.
fn payload(number: u64) -> Payload {
    let mut payload = [number.to_le_bytes()[0] ^ 0x5A; size_of::<Payload>()];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload
}

/// The payloads of `count` entries from `first` on.
pub(crate) fn payloads(first: u64, count: usize) -> Vec<Payload> {
    (first..).take(count).map(payload).collect()
}

/// Takes everything there is, and fails unless it is exactly `expected`.
pub(crate) fn drain(queue: &mut dyn Queue, expected: &[Payload]) -> Outcome {
    let mut rest = expected.iter();
    let mut wrong = 0_usize;
    loop {
        let taken = queue.take_and_ack(BATCH, &mut |payload| {
            if rest.next().map(Payload::as_slice) != Some(payload) {
                wrong += 1;
            }
        })?;
        if wrong > 0 {
            return Err(format!("{wrong} entries came out of order, or again").into());
        }
        if taken == 0 {
            break;
        }
    }
    match rest.len() {
        0 => Ok(()),
        lost => Err(format!("{lost} entries did not come out").into()),
    }
}
