//! Processes of their own: the test binary started once more, to run one ignored test.
//!
//! What such a process has to tell it writes to its standard output, one line at a time, as soon
//! as it is so. A line that begins with the mark is for the parent; the rest is the harness's.

use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

const MARK: &str = "> ";
const DIRECTORY: &str = "MILLSTREAM_CHILD_DIRECTORY";
const TASK: &str = "MILLSTREAM_CHILD_TASK";

/// A process that was started. It is killed when this is dropped.
pub(crate) struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What the process was started for.
pub(crate) struct Order {
    pub(crate) directory: PathBuf,
    pub(crate) task: String,
}

impl Helper {
    /// Starts the ignored test of that name.
    pub(crate) fn start(test: &str, directory: &Path, task: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .env(TASK, task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next thing it said; `None` once it is gone. A line that was cut short was not said.
    pub(crate) fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            let line = line.strip_suffix('\n')?;
            if let Some(said) = line.strip_prefix(MARK) {
                return Some(said.to_owned());
            }
        }
    }

    /// Ends it as `kill -9` does. What it said before can still be heard.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to go, and waits until it has.
    pub(crate) fn finish(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What this process was started for; `None` if nobody did.
pub(crate) fn order() -> Option<Order> {
    let (directory, task) = (env::var_os(DIRECTORY)?, env::var(TASK).ok()?);
    // The harness has begun a line.
    stdout().write_all(b"\n").unwrap();
    Some(Order { directory: directory.into(), task })
}

/// Tells the parent. Fails, and so ends the process, if there is none any more.
pub(crate) fn say(what: &str) {
    let mut out = stdout().lock();
    out.write_all(format!("{MARK}{what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Waits until the parent tells this process to go, or is gone itself.
pub(crate) fn wait_to_go() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}
