//! Looking while the owner works as fast as it can: each look is of one moment that fits together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millstream::assign::CooperativeSticky;
use millstream::{Durability, EntryId, Error, GroupInfo, PendingQuery, Start, Stream};

const LOOKS: usize = 300;
const PARTITIONS_MAX: u32 = 4;

/// Appends, reads, settles, trims, adds partitions, and makes and deletes a group, until it is told
/// to stop.
fn work(stream: &Stream, stop: &AtomicBool) {
    let group = stream.group("g").strategy(CooperativeSticky).open(Start::Earliest).unwrap();
    let mut workers = Vec::new();
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        stream.append_batch([&[1; 100]; 7]).unwrap();
        if workers.len() < 3 {
            workers.push(group.join(&format!("w{round}")).unwrap());
        }
        for worker in &workers {
            let batch = worker.try_read(10).unwrap();
            for (n, delivery) in batch.into_iter().enumerate() {
                // What is dropped comes again.
                if n % 9 > 0 {
                    delivery.ack().unwrap();
                }
            }
        }
        match round % 97 {
            13 => drop(workers.remove(0)),
            31 if stream.partitions() < PARTITIONS_MAX => {
                stream.add_partitions(1).map(drop).unwrap();
            }
            47 => {
                let floor = group.floors().unwrap()[0];
                stream.trim_before(EntryId::new(0, floor)).map(drop).unwrap();
            }
            61 => {
                let brief = stream.group("brief").open(Start::Earliest).unwrap();
                let reader = brief.join("reader").unwrap();
                drop(reader.try_read(50).unwrap());
                drop(reader);
                brief.delete().unwrap();
            }
            _ => {}
        }
    }
}

/// Fails unless what is told of a group fits together.
fn assert_sound(info: &GroupInfo) {
    for partition in &info.partitions {
        assert!(partition.floor <= partition.next && partition.next <= partition.end, "{info:#?}");
        assert!(partition.lag >= partition.end - partition.next, "{info:#?}");
        assert!(partition.lag <= partition.end - partition.floor, "{info:#?}");
    }
    assert_eq!(info.lag, info.partitions.iter().map(|partition| partition.lag).sum::<u64>());
    let pending = info.leased + info.delayed + info.due + info.exhausted;
    assert_eq!(info.lag, info.undelivered + pending, "{info:#?}");
    assert_eq!(info.members.iter().map(|member| member.leased).sum::<u64>(), info.leased);
}

/// Looks on, and says how many acks it saw.
fn look(path: &std::path::Path) -> u64 {
    let mut onlooker = Stream::options().open_read_only(path).unwrap();
    let mut seen = onlooker.group("g").open_existing().unwrap();
    let mut acked = 0;
    for look in 0.. {
        // On a busy machine the owner may come to its first ack behind all looks.
        if look >= LOOKS && (acked > 0 || look >= LOOKS * 100) {
            break;
        }
        let info = seen.info().unwrap();
        assert_sound(&info);
        assert!(info.acked >= acked, "{} after {acked}", info.acked);
        acked = info.acked;
        assert!(seen.pending_entries(&PendingQuery::new().max(100)).is_ok());
        match onlooker.group("brief").open_existing().and_then(|brief| brief.info()) {
            Ok(info) => assert_sound(&info),
            Err(Error::NotFound { .. } | Error::GroupDeleted) => {}
            Err(other) => panic!("{other}"),
        }
        onlooker.info().unwrap();
        if look % 50 == 49 {
            onlooker = Stream::options().open_read_only(path).unwrap();
            seen = onlooker.group("g").open_existing().unwrap();
        }
    }
    acked
}

#[test]
fn each_look_beside_a_busy_owner_fits_together() {
    for durability in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stream");
        let options = Stream::options().segment_bytes(16 << 10).durability(durability);
        let stream = options.open(&path).unwrap();
        stream.group("g").strategy(CooperativeSticky).open(Start::Earliest).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let owner = scope.spawn(|| work(&stream, &stop));
            let looked = scope.spawn(|| look(&path)).join();
            stop.store(true, Ordering::Relaxed);
            owner.join().unwrap();
            // A flush for each ack may take longer than all looks together.
            assert!(looked.unwrap() > 0 || durability == Durability::Always);
        });
    }
}
