//! `watch`, on a terminal of its own: what stands on its screen, and how it leaves the terminal.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use millstream::{Clock, Start, Stream, SystemClock};
use pty_process::Size;
use pty_process::blocking::{Command, Pts, Pty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use crate::damage::contents;
use crate::run::{millstream, orders, place};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// How long something may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary on a terminal.
struct Shown {
    child: Child,
    /// Our end of the terminal.
    keyboard: Pty,
    /// The binary's end; it stays open so that its modes can be asked for in the end.
    terminal: Pts,
    before: Termios,
    parser: vt100::Parser,
}

impl Shown {
    fn start(dir: &Path) -> Self {
        let (keyboard, terminal) = pty_process::blocking::open().unwrap();
        keyboard.resize(Size::new(ROWS, COLUMNS)).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"))
            .args(["watch", "--every", "100ms"])
            .arg(dir)
            .env("TERM", "xterm-256color");
        let child = command.spawn_borrowed(&terminal).unwrap();
        let parser = vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0);
        Self { child, keyboard, terminal, before, parser }
    }

    fn text(&self) -> String {
        self.parser.screen().contents()
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Takes what was written within so long; says whether there was anything.
    fn hear(&mut self, millis: i64) -> bool {
        let timeout = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        let heard =
            poll(&mut [PollFd::new(&self.keyboard, PollFlags::IN)], Some(&timeout)).unwrap();
        if heard == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let read = self.keyboard.read(&mut bytes).unwrap();
        self.parser.process(&bytes[..read]);
        true
    }

    /// Waits until all of this stands on the screen.
    fn until(&mut self, wanted: &[&str]) {
        let deadline = SystemClock.monotonic() + PATIENCE;
        while !wanted.iter().all(|wanted| self.text().contains(wanted)) {
            let text = self.text();
            assert!(SystemClock.monotonic() < deadline, "{wanted:?} is not on the screen:\n{text}");
            self.hear(100);
        }
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        self.parser.screen_mut().set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        self.keyboard.resize(Size::new(rows, columns)).unwrap();
    }

    /// Requires that it ends so, and that the terminal is as it was.
    fn ends_with(mut self, code: i32) -> String {
        let deadline = SystemClock.monotonic() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(SystemClock.monotonic() < deadline, "it goes on:\n{}", self.text());
            self.hear(10);
        };
        while self.hear(0) {}
        assert_eq!(status.code(), Some(code), "{}", self.text());
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", self.text());
        let after = tcgetattr(&self.terminal).unwrap();
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        let modes = |of: &Termios| -> Box<dyn Debug> {
            Box::new((of.local_modes, of.input_modes, of.output_modes, of.control_modes))
        };
        assert_eq!(format!("{:?}", modes(&after)), format!("{:?}", modes(&self.before)));
        self.text()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // One that a test has given up.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_live_view_follows_its_owner_and_gives_the_terminal_back() {
    let (_dir, path) = place();
    let orders = orders(&path);
    let mut shown = Shown::start(&path);
    shown.until(&[
        "10 entries in 2 partitions",
        "> billing",
        "what a read of billing finds",
        "q quit",
    ]);
    orders.stream.append_each(["a", "b", "c"]).unwrap();
    shown.until(&["13 entries in 2 partitions", "appended"]);
    shown.press("\r");
    shown.until(&["5 leased, 0 waiting, 2 parked", "generation", "worker-1", "floor"]);
    shown.press("?");
    shown.until(&["quit, as does ctrl-c"]);
    shown.press("?");
    shown.until(&["> billing"]);
    shown.press("p");
    shown.until(&["paused", "p go on"]);
    shown.press("q");
    assert_eq!(shown.ends_with(0).trim(), "", "something is left on the screen");
}

#[test]
fn groups_come_and_go_and_partitions_are_added() {
    let (_dir, path) = place();
    let orders = orders(&path);
    let mut shown = Shown::start(&path);
    shown.until(&["> billing", "1 group"]);
    let audit = orders.stream.group("audit").open(Start::Earliest).unwrap();
    shown.until(&["audit", "no members", "2 groups"]);
    orders.stream.add_partitions(1).unwrap();
    shown.until(&["10 entries in 3 partitions"]);
    // The first row, which is the new group's.
    shown.press("k");
    shown.until(&["> audit"]);
    audit.delete().unwrap();
    shown.until(&["the group audit is gone", "> billing"]);
    shown.press("\u{3}");
    shown.ends_with(0);
}

#[test]
fn the_view_goes_by_the_size_of_the_terminal() {
    let (_dir, path) = place();
    let _orders = orders(&path);
    let mut shown = Shown::start(&path);
    shown.until(&["> billing", "? help"]);
    for (rows, columns) in [(15, 60), (5, 20), (1, 1), (40, 120)] {
        shown.resize(rows, columns);
        if rows > 1 {
            shown.until(&["> billing", "q quit"]);
        }
    }
    shown.press("q");
    shown.ends_with(0);
}

#[test]
fn a_stream_that_goes_is_told_and_one_that_comes_back_is_shown() {
    let (_dir, path) = place();
    orders(&path).close();
    let mut shown = Shown::start(&path);
    shown.until(&["10 entries"]);
    std::fs::remove_dir_all(&path).unwrap();
    shown.until(&["shown is what was there", "10 entries"]);
    let stream = Stream::options().open(&path).unwrap();
    stream.append("anew").unwrap();
    shown.until(&["1 entry in 1 partition, ", "no groups"]);
    shown.press("q");
    shown.ends_with(0);
}

#[test]
fn a_signal_ends_the_view_in_good_order() {
    let (_dir, path) = place();
    let _orders = orders(&path);
    let mut shown = Shown::start(&path);
    shown.until(&["> billing"]);
    let child = Pid::from_child(&shown.child);
    kill_process(child, Signal::TERM).unwrap();
    shown.ends_with(0);
}

#[test]
fn damage_is_on_the_screen_and_in_the_exit_code() {
    let (_dir, path) = place();
    orders(&path).close();
    for (file, mut bytes) in contents(&path) {
        if file.to_string_lossy().contains("/g1/") {
            bytes.iter_mut().skip(128).for_each(|byte| *byte ^= 0x55);
            std::fs::write(file, bytes).unwrap();
        }
    }
    let mut shown = Shown::start(&path);
    shown.until(&["billing is closed: corrupt", "> billing", "10 entries"]);
    shown.press("q");
    shown.ends_with(1);
}

#[test]
fn what_fails_at_once_leaves_the_terminal_alone() {
    let (dir, _path) = place();
    let mut shown = Shown::start(dir.path());
    shown.until(&["millstream: "]);
    assert!(shown.text().starts_with("millstream: "), "{}", shown.text());
    let told = shown.ends_with(3);
    assert!(told.contains("does not exist") && !told.contains("panicked"), "{told}");
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let (_dir, path) = place();
    let _orders = orders(&path);
    let ran = millstream("watch", &path, &[]).with(2);
    assert!(ran.err.contains("--json"), "{ran:?}");
    assert_eq!(ran.out, "");
    millstream("watch", &path, &["--every", "1ms"]).with(2);
    millstream("watch", &path, &["--every", "1h"]).with(2);
}
