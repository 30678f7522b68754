//! What is to go, asked directly.

use std::sync::Arc;

use super::*;
use crate::clock::{ManualClock, time_of};
use crate::engine::{Made, Plan, Trial};
use crate::entry::NewEntry;
use crate::storage::simulated::Simulated;

fn open(disk: &Simulated, retention: Retention) -> Arc<Mill> {
    let plan = Plan {
        partitions: None,
        segment_bytes: Some(4096),
        entry_bytes_max: None,
        durability: None,
        retention: Some(retention),
        unique_max: None,
        time: time_of(&ManualClock::new()),
        trial: Trial { salts: Some(disk.effects()), ..Trial::default() },
    };
    Mill::open(Arc::new(disk.clone()), Made::IfMissing, plan).unwrap()
}

/// A disk on which the power took half of the only entry.
fn emptied() -> Simulated {
    let disk = Simulated::new(1);
    open(&disk, Retention::keep_all()).append(&NewEntry::new("lost")).unwrap();
    let disk = disk.crash_process();
    for (path, bytes) in disk.files() {
        if path.starts_with("p0/") {
            let payload = bytes.windows(4).position(|part| part == b"lost").unwrap();
            disk.flip(&path, payload, 0);
        }
    }
    disk
}

/// The start stays where it is when such a segment goes. If it stayed, limits would count it as
/// something that is to go, and the partition would be full for ever.
#[test]
fn a_first_segment_without_entries_is_to_go() {
    for retention in [
        Retention::settled(),
        Retention::keep_all().entries(1),
        Retention::settled().entries(1),
        Retention::keep_all().bytes(1),
    ] {
        let disk = emptied();
        let mill = open(&disk, Retention::keep_all());
        let id = mill.append(&NewEntry::new("kept")).unwrap();
        assert_eq!(id.offset(), 0, "what the cut took is no entry");
        mill.close().unwrap();

        let mill = open(&disk, retention);
        let log = &mill.ground.logs[0];
        assert_eq!((log.start(), log.segment_count()), (0, 2));
        assert_eq!(mill.aims(), [(0, 0)], "{retention:?}");
        assert!(mill.retain().unwrap().bytes() > 0);
        assert_eq!((log.start(), log.segment_count()), (0, 1));
        assert_eq!((mill.aims(), mill.keeper.full.load(Ordering::Relaxed)), (vec![], false));
        assert!(mill.get(id).unwrap().is_some());
        mill.close().unwrap();
    }
}
