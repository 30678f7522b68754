//! `millstream watch`: a live view of a stream and its groups, on a terminal.
//!
//! | file | what it owns |
//! |---|---|
//! | `eye`, `sight` | looking at the stream, and what one look gives |
//! | `model`, `history` | what is shown: looks and keys in, rates and histories out; pure |
//! | `keys` | which key does what |
//! | `view`, `grid` | a model as lines of text, whatever the size |
//!
//! Here is the loop, and the terminal: it is given back as it was when the view ends, fails or
//! panics. One thread does everything, so that a look is never shown while another is made. The
//! interval runs from the end of a look, so however long looks take, keys are heard in between.

mod eye;
mod grid;
mod history;
mod keys;
mod model;
mod sight;
mod view;

use std::io::{self, IsTerminal};
use std::time::Duration;

use millstream::{Clock, SystemClock};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use self::eye::Eye;
use self::model::{EVERY_MAX, EVERY_MIN, Model};
use self::view::Paint;
use super::args::Watch;
use super::exit::{Failure, Outcome};
use super::screen::Screen;
use super::stop::Stop;
use super::words::{lasting, plain};

/// How long a wait for a key may be, so that a signal is not overlooked for longer.
const WAIT_MAX: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &Watch, screen: &Screen) -> Result<Outcome, Failure> {
    if screen.is_json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let dir = args.dir.display();
        return Err(Failure::Usage(format!(
            "`watch` draws on a terminal, and this is none; for programs there are \
             `millstream groups {dir} --json` and `millstream group {dir} NAME --json`"
        )));
    }
    // What fails at once is told as by any other verb, before the terminal is taken.
    let mut eye = Eye::open(&args.dir)?;
    let mut model = Model::new(args.dir.display().to_string(), args.every);
    model.take(SystemClock.monotonic(), eye.look(None)?);
    let stop = Stop::listen()?;
    let mut canvas = Canvas::take(Paint { colors: screen.has_colors() })?;
    follow(&mut model, &mut eye, &mut canvas, &stop)?;
    Ok(eye.outcome())
}

/// Looks, draws and listens, until somebody has seen enough.
fn follow(
    model: &mut Model,
    eye: &mut Eye,
    canvas: &mut Canvas,
    stop: &Stop,
) -> Result<(), Failure> {
    let now = || SystemClock.monotonic();
    let mut looked = now();
    canvas.draw(model)?;
    while !model.over && !stop.is_asked() {
        let left = (looked + model.every).saturating_sub(now());
        let wait = if model.paused { WAIT_MAX } else { left.min(WAIT_MAX) };
        if event::poll(wait)? {
            if let Event::Key(key) = event::read()?
                && let Some(act) = keys::act(key)
            {
                model.act(act);
            }
            canvas.draw(model)?;
        } else if !model.paused && now() >= looked + model.every {
            look(model, eye);
            looked = now();
            canvas.draw(model)?;
        }
    }
    Ok(())
}

fn look(model: &mut Model, eye: &mut Eye) {
    let chosen = model.chosen().map(|group| group.name.clone());
    match eye.look(chosen.as_deref()) {
        Ok(sight) => model.take(SystemClock.monotonic(), sight),
        Err(failure) => model.fail(failure.words().map_or_else(String::new, |words| plain(&words))),
    }
}

/// The terminal, as long as the view has it.
struct Canvas {
    terminal: DefaultTerminal,
    paint: Paint,
}

impl Canvas {
    /// Takes the terminal. From now on a panic gives it back, too, before it says anything.
    fn take(paint: Paint) -> Result<Self, Failure> {
        let terminal = ratatui::try_init().inspect_err(|_| drop(ratatui::try_restore()))?;
        Ok(Self { terminal, paint })
    }

    fn draw(&mut self, model: &mut Model) -> Result<(), Failure> {
        let mut scroll_max = 0;
        self.terminal.draw(|frame| scroll_max = view::draw(model, self.paint, frame))?;
        model.scroll = model.scroll.min(scroll_max);
        Ok(())
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        // The panic's hook has done it already; done twice it would move the cursor onto its words.
        if !std::thread::panicking() {
            // That the terminal is gone is nothing to tell: there is nobody left.
            drop(ratatui::try_restore());
        }
    }
}

/// Reads an interval.
pub(crate) fn every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (EVERY_MIN..=EVERY_MAX).contains(&every) {
        return Ok(every);
    }
    Err(format!("it has to be from {} to {}", lasting(EVERY_MIN), lasting(EVERY_MAX)))
}
