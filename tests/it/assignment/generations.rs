//! The generation: it grows at every change, and never goes back, whatever happens to the process.

use crate::crew::{PARTITIONED, STRATEGIES, copied, crew, crew_on};

#[test]
fn it_grows_at_every_change_and_at_nothing_else() {
    for (name, choose) in STRATEGIES {
        let crew = crew(4, 4, choose);
        let mut last = crew.group.info().unwrap().generation;
        let mut grown = |what: &str| {
            let before = std::mem::replace(&mut last, crew.group.info().unwrap().generation);
            assert!(last > before, "{name}: {what}");
        };
        let first = crew.join("first");
        grown("a join");
        let second = crew.join("second");
        grown("another");
        second.leave().unwrap();
        grown("a leave");
        let third = crew.join("third");
        grown("a third");
        crew.group.remove_consumer("third").unwrap();
        grown("a removal");
        crew.stream.add_partitions(1).unwrap();
        grown("a new partition");
        drop(third);
        let before = first.generation().unwrap();
        assert_eq!(before, crew.group.info().unwrap().generation);
        assert!(first.try_read(99).unwrap().ack_all().unwrap().is_complete());
        first.heartbeat().unwrap();
        assert_eq!(first.generation().unwrap(), before, "{name}");
    }
}

#[test]
fn it_grows_across_reopening_and_after_a_kill() {
    for (_, choose) in PARTITIONED {
        let dir = tempfile::tempdir().unwrap();
        let mut last = 0;
        for _ in 0..3 {
            let crew = crew_on(dir.path(), 3, choose);
            let opened = crew.group.info().unwrap().generation;
            assert!(last == 0 || opened > last);
            let _members = crew.join_all(2);
            let joined = crew.group.info().unwrap().generation;
            assert!(joined > opened);
            let killed = copied(dir.path());
            let after = crew_on(killed.path(), 3, choose);
            assert!(after.group.info().unwrap().generation > joined);
            last = joined;
            crew.stream.close().unwrap();
        }
    }
}
