//! Who looks on sees no more than the owner's own readers do, whatever becomes of the owner.

use std::io;
use std::sync::Arc;

use crate::durability::Durability;
use crate::engine::{Made, Trial};
use crate::options::StreamOptions;
use crate::start::Start;
use crate::storage::simulated::{FailMode, Simulated};
use crate::stream::Stream;

fn owner(disk: &Simulated, durability: Durability) -> Stream {
    let options = StreamOptions::default().durability(durability);
    options.on_trial(Arc::new(disk.clone()), Trial::default()).unwrap()
}

fn onlooker(disk: &Simulated) -> Stream {
    StreamOptions::default().on(Arc::new(disk.clone()), Made::ReadOnly).unwrap()
}

#[test]
fn an_owner_that_comes_again_and_stages_shows_durable_entries_only() {
    // The flush fails in each of its calls: what it wrote by then is in the file, and not durable.
    for call in 1..4 {
        let disk = Simulated::new(1);
        let stream = owner(&disk, Durability::Os);
        stream.append("not staged").unwrap();
        let seen = onlooker(&disk);
        let reader = seen.reader(Start::Earliest).unwrap();
        assert_eq!(reader.try_read(10).unwrap().len(), 1);
        stream.close().unwrap();
        let stream = owner(&disk, Durability::Always);
        stream.append("durable").unwrap();
        disk.fail_call(disk.calls() + call, FailMode::Once, io::ErrorKind::Other);
        let lost = stream.append("lost").is_err();
        let end = stream.info().unwrap().partitions[0].end;
        let read: Vec<Vec<u8>> = reader
            .try_read(10)
            .unwrap()
            .into_iter()
            .map(|entry| entry.payload().to_vec())
            .collect();
        assert_eq!(1 + read.len() as u64, end, "call {call}: {read:?}");
        assert_eq!(lost, end == 2, "call {call}");
    }
}
