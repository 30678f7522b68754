//! Members that block in reads on threads of their own while others come and go: nothing is lost,
//! nothing comes to two at one time, and no wake is missed. A lost one would hang the test.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use millstream::{Consumer, EntryId, Error};

use crate::crew::{Choose, Crew, STRATEGIES, crew};
use crate::scene::fill;

const ENTRIES: usize = 2_000;

struct Work {
    crew: Crew,
    /// What is in somebody's hands, and what is done.
    held: Mutex<BTreeSet<EntryId>>,
    done: AtomicUsize,
}

impl Work {
    /// Reads and acks until the stream is closed, by whoever acked the last entry.
    fn run(&self, member: &Consumer, rounds: usize) {
        for _ in 0..rounds {
            let batch = match member.read(7) {
                Ok(batch) => batch,
                Err(error) => return assert!(error.is_closed(), "{error}"),
            };
            let ids: Vec<EntryId> = batch.iter().map(|held| held.id()).collect();
            for id in &ids {
                assert!(self.held.lock().unwrap().insert(*id), "{id} is in two hands");
            }
            if ids.is_empty() {
                continue;
            }
            // From the first ack on they may be another's, or done.
            for id in &ids {
                self.held.lock().unwrap().remove(id);
            }
            match batch.ack_all() {
                Ok(outcome) => assert!(outcome.is_complete(), "{outcome:?}"),
                Err(error) => return assert!(error.is_closed(), "{error}"),
            }
            let done = self.done.fetch_add(ids.len(), Ordering::SeqCst) + ids.len();
            assert!(done <= ENTRIES, "{done} were acked");
            if done == ENTRIES {
                self.crew.stream.clone().close().unwrap();
            }
        }
    }

    fn visit(&self, name: &str) -> bool {
        match self.crew.group.join(name) {
            Ok(member) => {
                // What is left in its hands goes back.
                let left = member.try_read(3);
                drop(member);
                drop(left);
                true
            }
            Err(Error::Closed) => false,
            Err(other) => panic!("{other}"),
        }
    }
}

fn play(choose: Choose) {
    let crew = crew(6, 0, |group| choose(group).max_deliveries(8_000));
    let work = Work { crew, held: Mutex::default(), done: AtomicUsize::new(0) };
    thread::scope(|scope| {
        for n in 0..3 {
            let work = &work;
            let member = work.crew.join(&format!("worker {n}"));
            scope.spawn(move || work.run(&member, usize::MAX));
        }
        let work = &work;
        scope.spawn(move || while work.visit("visitor") {});
        scope.spawn(move || {
            // One that reads, too, and goes again.
            for n in 0.. {
                match work.crew.group.join("guest") {
                    Ok(member) => {
                        if let Ok(batch) = member.try_read(5) {
                            let read = batch.len();
                            let settled = batch.ack_all();
                            if settled.is_ok_and(|outcome| outcome.is_complete()) {
                                let done = work.done.fetch_add(read, Ordering::SeqCst) + read;
                                if done == ENTRIES {
                                    work.crew.stream.clone().close().unwrap();
                                }
                            }
                        }
                        if n % 2 == 0 {
                            drop(member);
                        } else if let Err(error) = member.leave() {
                            assert!(error.is_closed(), "{error}");
                        }
                    }
                    Err(error) => return assert!(error.is_closed(), "{error}"),
                }
            }
        });
        for _ in 0..ENTRIES / 20 {
            fill(&work.crew.stream, 20);
            thread::yield_now();
        }
    });
    assert_eq!(work.done.into_inner(), ENTRIES);
}

#[test]
fn members_that_block_while_others_come_and_go_get_everything() {
    for (name, choose) in STRATEGIES {
        eprintln!("{name}");
        play(choose);
    }
}
