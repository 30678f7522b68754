//! Where the output goes: [`Screen`].
//!
//! # Invariants
//! 1. Nothing that came from a stream or the command line reaches a terminal unescaped: callers pass
//!    such text through [`words::plain`](super::words::plain) or [`json`](super::json).
//! 2. Colors are used only on a terminal, and never where `NO_COLOR` is set.
//! 3. Every write can fail, and its failure ends the run: a reader that goes is no panic. What stands
//!    aside, on the standard error, is told as far as anybody listens: the exit code says it, too.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::exit::Failure;
use super::json;

/// How wide a table may be on a terminal.
const COLUMNS: usize = 80;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const ODD: Style = AnsiColor::Yellow.on_default();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// The standard output, for people or for programs.
#[derive(Debug)]
pub(crate) struct Screen {
    out: BufWriter<StdoutLock<'static>>,
    json: bool,
    terminal: bool,
    colors: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let out = BufWriter::new(io::stdout().lock());
        Self { out, json, terminal, colors: terminal && !plain && !json }
    }

    /// Whether a program reads this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether colors are welcome.
    pub(crate) fn has_colors(&self) -> bool {
        self.colors
    }

    /// How wide a table may be; `None` if nothing has to be cut.
    pub(crate) fn width(&self) -> Option<usize> {
        self.terminal.then_some(COLUMNS)
    }

    /// Text in a style, where there are styles.
    pub(crate) fn paint(&self, style: Style, text: impl Display) -> String {
        if self.colors { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(Failure::from)
    }

    /// Writes an object as one line.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = json::line(value)?;
        self.line(text)
    }

    /// Tells something aside, behind what was written so far.
    pub(crate) fn aside(&mut self, text: impl Display) -> Result<(), Failure> {
        self.flush()?;
        tell(text);
        Ok(())
    }

    /// Hands out what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::from)
    }
}

/// Tells something on the standard error. Nobody may read that any more: no failure, and no panic.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "millstream: {text}");
}
