//! `millstream`: looks into a stream's directory from outside, and mends it.
//!
//! The verbs that look go through `open_read_only`: they change nothing, take no lock and work while
//! an owner writes. Those that mend open the stream as its owner.
//!
//! | file | what it owns |
//! |---|---|
//! | `args`, `place` | the command line: verbs, options, places and ranges |
//! | `info`, `groups`, `group`, `pending`, `letters`, `tail`, `dump`, `verify`, `backup` | one verb each, or a family |
//! | `watch` | the live view |
//! | `why` | in words, why a read of a group would find nothing |
//! | `mend` | the verbs that change something, and the question before |
//! | `payload`, `table`, `json`, `words`, `screen` | how things are shown |
//! | `bar`, `stop` | how far a long call is, and ctrl-c |
//! | `exit` | how a run ends, and its exit code |
//!
//! Nobody who embeds the crate compiles any of it: it is built with the feature `cli` alone.

mod args;
mod backup;
mod bar;
mod dump;
mod exit;
mod group;
mod groups;
mod info;
mod json;
mod letters;
mod look;
mod mend;
mod payload;
mod pending;
mod place;
mod screen;
mod stop;
mod table;
mod tail;
mod verify;
mod watch;
mod why;
mod words;

use std::process::ExitCode;

use args::{Line, Verb};
use clap::Parser;
use exit::{Failure, Outcome};
use screen::Screen;

fn main() -> ExitCode {
    let line = Line::parse();
    let mut screen = Screen::new(line.json);
    let ended = run(&line.verb, &mut screen);
    let ended = ended.and_then(|outcome| screen.flush().map(|()| outcome));
    if let Some(words) = ended.as_ref().err().and_then(Failure::words) {
        // What was shown before comes first; that it cannot be shown is told already.
        let _ = screen.flush();
        screen::tell(words::plain(&words));
    }
    exit::code(&ended)
}

fn run(verb: &Verb, screen: &mut Screen) -> Result<Outcome, Failure> {
    match verb {
        Verb::Info(args) => info::run(args, screen),
        Verb::Groups(args) => groups::run(args, screen),
        Verb::Group(args) => group::run(args, screen),
        Verb::Pending(args) => pending::pending(args, screen),
        Verb::Parked(args) => pending::parked(args, screen),
        Verb::Letters(args) => letters::run(args, screen),
        Verb::Tail(args) => tail::run(args, screen),
        Verb::Watch(args) => watch::run(args, screen),
        Verb::Dump(args) => dump::run(args, screen),
        Verb::Verify(args) => verify::run(args, screen),
        Verb::Backup(args) => backup::run(args, screen),
        Verb::Redrive(args) => mend::redrive::run(args, screen),
        Verb::Reset(args) => mend::reset::run(args, screen),
        Verb::Trim(args) => mend::trim::run(args, screen),
        Verb::DeleteGroup(args) => mend::delete::run(args, screen),
    }
}
