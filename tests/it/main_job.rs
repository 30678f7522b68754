//! A stream, a group, a consumer: what most users do.

use std::time::Duration;

use millstream::{Blocked, Durability, ManualClock, NewEntry, Start, Stream};

#[test]
fn what_is_appended_is_read_acked_and_gone_after_reopening() {
    // Every call flushes under the last one, which takes its time.
    for (durability, singles) in [
        (Durability::Os, 1000),
        (Durability::Every(Duration::from_secs(1)), 1000),
        (Durability::Always, 50),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders");
        let stream = Stream::options().durability(durability).open(&path).unwrap();
        for n in 0..singles {
            stream.append(&format!("order {n}")).unwrap();
        }
        stream.append_batch((0..500).map(|_| NewEntry::new("batched").key("k"))).unwrap();
        let group = stream.group("billing").open(Start::Earliest).unwrap();
        let worker = group.join("worker-1").unwrap();
        let (mut seen, mut acked) = (0, Vec::new());
        loop {
            let batch = worker.try_read(100).unwrap();
            if batch.is_empty() {
                assert_eq!(batch.blocked(), Some(Blocked::Empty));
                break;
            }
            for delivery in batch {
                if seen < singles {
                    assert_eq!(delivery.payload(), format!("order {seen}").as_bytes());
                } else {
                    assert_eq!(delivery.key(), Some(&b"k"[..]));
                }
                seen += 1;
                if seen <= singles + 200 {
                    acked.push(delivery.detach());
                } else {
                    let _kept = delivery.detach();
                }
            }
        }
        assert_eq!(seen, singles + 500);
        assert!(group.ack(acked).unwrap().is_complete());
        assert_eq!(group.lag().unwrap(), 300);
        drop((worker, group, stream));
        let stream = Stream::open(&path).unwrap();
        assert!(stream.recovery().is_clean());
        stream.verify().unwrap();
        let group = stream.group("billing").open_existing().unwrap();
        assert_eq!(group.lag().unwrap(), 300);
        let worker = group.join("worker-1").unwrap();
        let batch = worker.try_read(1000).unwrap();
        assert_eq!(batch.len(), 300);
        assert_eq!(batch.iter().next().unwrap().attempt(), 2);
        assert!(batch.ack_all().unwrap().is_complete());
        assert_eq!(group.floors().unwrap(), [singles + 500]);
        stream.append("more").unwrap();
        assert_eq!(worker.read(10).unwrap().len(), 1);
    }
}

#[test]
fn a_self_advancing_clock_brings_a_retry_without_waiting() {
    let clock = ManualClock::self_advancing();
    let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
    stream.append("a").unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    worker.read(1).unwrap().into_iter().next().unwrap().nack().unwrap();
    let again = worker.read(1).unwrap().into_iter().next().unwrap();
    assert_eq!(again.attempt(), 2);
    again.ack().unwrap();
    assert!(worker.read(1).unwrap().is_empty());
}
