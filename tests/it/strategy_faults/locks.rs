//! A strategy is asked with no lock held (A1), whatever call it is that has to ask.

use std::sync::{Arc, Mutex};

use millstream::assign::{Assign, Assignment, Range, View};
use millstream::{EntryId, ManualClock, Start, Stream};

use crate::scene::HOUR;

/// Makes a group whenever it is asked, which takes the stream's lock.
#[derive(Clone, Debug, Default)]
struct Founder {
    stream: Arc<Mutex<Option<Stream>>>,
    founded: Arc<Mutex<usize>>,
}

impl Assign for Founder {
    fn name(&self) -> &'static str {
        "founder"
    }

    fn assign(&self, view: &View) -> Assignment {
        if let Some(stream) = &*self.stream.lock().unwrap() {
            let mut founded = self.founded.lock().unwrap();
            stream.group(&format!("other-{founded}")).create(Start::Earliest).unwrap();
            *founded += 1;
        }
        Range.assign(view)
    }
}

#[test]
fn adding_partitions_and_trimming_ask_a_strategy_with_no_lock_held() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let founder = Founder::default();
    let options = stream.group("g").strategy(founder.clone()).session_timeout(HOUR);
    let group = options.open(Start::Earliest).unwrap();
    let (stays, silent) = (group.join("stays").unwrap(), group.join("silent").unwrap());
    *founder.stream.lock().unwrap() = Some(stream.clone());

    assert_eq!(stream.add_partitions(1).unwrap(), 2);
    assert_eq!(*founder.founded.lock().unwrap(), 1);
    assert_eq!(stays.assignment().unwrap().len() + silent.assignment().unwrap().len(), 2);

    clock.advance(HOUR / 2);
    stays.heartbeat().unwrap();
    clock.advance(HOUR / 2);
    stream.trim_before(EntryId::new(0, 0)).unwrap();
    assert_eq!(stays.assignment().unwrap(), [0, 1]);
    assert_eq!(*founder.founded.lock().unwrap(), 2);
    founder.stream.lock().unwrap().take();
}
