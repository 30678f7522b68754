//! A handle in a forked child: everything is refused, nothing is touched.

use std::sync::Arc;

use crate::engine::Trial;
use crate::error::Error;
use crate::options::StreamOptions;
use crate::start::Start;
use crate::storage::simulated::Simulated;

#[test]
fn a_handle_that_was_carried_over_a_fork_does_nothing() {
    let disk = Simulated::new(1);
    let options = StreamOptions::default();
    let stream = options.on_trial(Arc::new(disk.clone()), Trial::default()).unwrap();
    stream.append("parent").unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    let delivery = worker.try_read(1).unwrap().into_iter().next().unwrap();
    let before = disk.files();
    disk.set_forked(true);
    let forked = |error: Error| matches!(error, Error::Forked);
    assert!(forked(stream.append("child").unwrap_err()));
    assert!(forked(stream.sync().unwrap_err()));
    assert!(forked(worker.try_read(1).unwrap_err()));
    assert!(forked(group.join("x").unwrap_err()));
    assert!(delivery.ack().is_err());
    assert!(forked(stream.clone().close().unwrap_err()));
    assert_eq!(disk.files(), before);
    disk.set_forked(false);
    stream.append("parent").unwrap();
}
