//! Starting the binary, and a stream for it to look at.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assert_cmd::assert::OutputAssertExt;
use assert_cmd::cargo::cargo_bin;
use millstream::{Consumer, NewEntry, Start, Stream};
use serde_json::Value;

/// What a run of the binary gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one object that it wrote.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// The objects that it wrote, one in each line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Requires that it ended so.
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// Requires that the output tells this.
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is missing in\n{}\n{}", self.out, self.err);
        self
    }
}

pub(crate) fn command(verb: &str, dir: &Path, rest: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("millstream"));
    command.arg(verb).arg(dir).args(rest).stdin(Stdio::null());
    command
}

/// Runs a verb on a directory, to its end.
pub(crate) fn millstream(verb: &str, dir: &Path, rest: &[&str]) -> Ran {
    let ran = command(verb, dir, rest).assert();
    let Output { status, stdout, stderr } = ran.get_output().clone();
    Ran {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A place for a stream, and the directory that goes with it.
pub(crate) fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders");
    (dir, path)
}

/// A stream, and a member of a group that holds entries of it.
pub(crate) struct Orders {
    pub(crate) stream: Stream,
    /// Dropping it would hand back what it holds.
    _worker: Consumer,
}

impl Orders {
    /// Closes the stream while the member is in it.
    pub(crate) fn close(self) {
        self.stream.close().unwrap();
    }
}

/// Ten orders in two partitions, of which a group has five in hand and two parked.
pub(crate) fn orders(path: &Path) -> Orders {
    let stream = Stream::options().partitions(2).open(path).unwrap();
    for number in 0..10 {
        let text = format!("order {number}");
        let subject = if number % 2 == 0 { "order.created" } else { "order.paid" };
        stream.append(NewEntry::new(&text).subject(subject)).unwrap();
    }
    let billing = stream.group("billing").open(Start::Earliest).unwrap();
    let worker = billing.join("worker-1").unwrap();
    let mut batch = worker.try_read(7).unwrap().into_iter();
    for delivery in batch.by_ref().take(2) {
        delivery.reject("no such \u{1b}[2Jcustomer").unwrap();
    }
    let held: Vec<_> = batch.map(millstream::Delivery::detach).collect();
    assert_eq!(held.len(), 5);
    Orders { stream, _worker: worker }
}
