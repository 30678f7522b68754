//! Draws a [`Model`] into a frame, whatever its size.
//!
//! Everything is lines of text: the title and the totals at the top, one page below, and the keys at
//! the bottom. What does not fit is left out, the least telling first; `…` or a number says so.

mod all;
mod details;

use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::grid::wrapped;
use super::history::{History, Rate};
use super::keys::KEYS;
use super::model::{Model, Page};
use crate::words::{self, entries, lasting, plain, size};

/// With fewer lines than that, the totals go, and the line below them.
const HEIGHT_TOTALS: usize = 12;
/// At most so many lines tell what is wrong.
const TROUBLE_LINES_MAX: usize = 3;
/// How wide the bars of a total are at most.
const BARS_MAX: usize = 120;

/// The styles, with colors or without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) colors: bool,
}

impl Paint {
    fn style(self, modifier: Modifier, color: Color) -> Style {
        let style = Style::new().add_modifier(modifier);
        if self.colors { style.fg(color) } else { style }
    }

    pub(super) fn bad(self) -> Style {
        self.style(Modifier::BOLD, Color::Red)
    }

    pub(super) fn odd(self) -> Style {
        self.style(Modifier::empty(), Color::Yellow)
    }

    pub(super) fn good(self) -> Style {
        self.style(Modifier::empty(), Color::Green)
    }
}

pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(super) const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws the model. Says how far its details can be scrolled.
pub(crate) fn draw(model: &Model, paint: Paint, frame: &mut Frame<'_>) -> usize {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let (lines, scroll_max) = lines(model, paint, width, height);
    for (line, row) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
    scroll_max
}

fn lines(model: &Model, paint: Paint, width: usize, height: usize) -> (Vec<Line<'static>>, usize) {
    let mut lines = vec![title(model, paint, width)];
    if height >= HEIGHT_TOTALS && model.page != Page::Help {
        lines.extend(totals(model, paint, width));
    }
    lines.extend(troubles(model, paint, width, height));
    if height >= HEIGHT_TOTALS && model.page != Page::Help {
        lines.push(Line::default());
    }
    let keys = usize::from(height > 2);
    let room = height.saturating_sub(lines.len() + keys);
    let mut page = match model.page {
        Page::All => all::lines(model, paint, width, room),
        Page::Details => details::lines(model, paint, width),
        Page::Help => help(width),
    };
    let scroll_max = if model.page == Page::All { 0 } else { page.len().saturating_sub(room) };
    page.drain(..model.scroll.min(scroll_max));
    page.truncate(room);
    page.resize(room, Line::default());
    lines.extend(page);
    if keys > 0 {
        lines.push(foot(model, width));
    }
    (lines, scroll_max)
}

fn title(model: &Model, paint: Paint, width: usize) -> Line<'static> {
    let (state, style) = if model.paused {
        ("paused".to_owned(), paint.odd())
    } else {
        (format!("every {}", lasting(model.every)), DIM)
    };
    let left = width.saturating_sub(state.width() + 2);
    let dir = words::cut(&format!("millstream {}", plain(&model.dir)), left);
    let gap = " ".repeat(width.saturating_sub(dir.width() + state.width()));
    Line::from(vec![Span::styled(dir, BOLD), Span::raw(gap), Span::styled(state, style)])
}

/// What is in the stream, and how fast it grows and shrinks.
fn totals(model: &Model, paint: Paint, width: usize) -> Vec<Line<'static>> {
    let sight = &model.sight;
    let text = format!(
        "{} in {}, {}, {}",
        entries(sight.entries()),
        words::counted(sight.partitions.len() as u64, "partition", "partitions"),
        size(sight.bytes),
        words::counted(sight.groups.len() as u64, "group", "groups"),
    );
    vec![
        Line::from(words::cut(&text, width)),
        with_bars("appended", &speed(model.appended.0), &model.appended.1, paint.good(), width),
        with_bars("acked", &speed(model.acked.0), &model.acked.1, paint.good(), width),
    ]
}

/// What a number was over time.
pub(super) fn with_bars(
    name: &str,
    number: &str,
    history: &History,
    style: Style,
    width: usize,
) -> Line<'static> {
    let text = format!("{name:<8} {number:>11} ");
    let bars = history.bars(width.saturating_sub(text.width()).min(BARS_MAX));
    Line::from(vec![Span::raw(text), Span::styled(bars, style)])
}

/// A rate for people.
pub(super) fn speed(rate: Option<Rate>) -> String {
    rate.map_or("-".to_owned(), |rate| words::rate(rate.number, rate.time))
}

/// What is wrong, if anything is.
fn troubles(model: &Model, paint: Paint, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut told: Vec<Line> = Vec::new();
    if let Some(words) = &model.trouble {
        let words = format!("{words}; shown is what was there before, and it is tried again");
        told.extend(wrapped(&words, width).into_iter().map(|line| Line::styled(line, paint.bad())));
    }
    for words in &model.sight.damage {
        told.extend(wrapped(words, width).into_iter().map(|line| Line::styled(line, paint.bad())));
    }
    told.truncate(TROUBLE_LINES_MAX.min(height / 4).max(1));
    told.extend(model.notice.as_ref().map(|words| Line::styled(words.clone(), paint.odd())));
    told
}

/// The keys that count most, as many as fit.
fn foot(model: &Model, width: usize) -> Line<'static> {
    let pages = match model.page {
        Page::Details => [("enter", "back"), ("pgdn", "scroll")],
        Page::Help => [("esc", "back"), ("pgdn", "scroll")],
        Page::All => [("↑↓", "group"), ("enter", "details")],
    };
    let pause = ("p", if model.paused { "go on" } else { "pause" });
    let keys = [("q", "quit"), pages[0], pages[1], pause, ("+-", "interval"), ("?", "help")];
    let mut line = Line::default();
    for (key, what) in keys {
        if line.width() + key.width() + what.width() + 1 > width {
            break;
        }
        line.push_span(Span::styled(key, BOLD));
        line.push_span(Span::styled(format!(" {what}  "), DIM));
    }
    line
}

fn help(width: usize) -> Vec<Line<'static>> {
    const WORDS: [(&str, &str); 6] = [
        ("lag", "entries that are neither settled nor set aside"),
        ("leased", "of these, those in somebody's hands"),
        ("waiting", "of these, those that come again, now or later"),
        ("parked", "entries set aside after their last attempt"),
        ("acked", "entries acked a second, since the last look"),
        ("finds", "what the next read finds, or why it finds nothing"),
    ];
    let mut lines = vec![Line::default()];
    for (key, what) in KEYS {
        lines.push(explained(key, what, width));
    }
    lines.push(Line::default());
    for (word, what) in WORDS {
        lines.push(explained(word, what, width));
    }
    lines
}

fn explained(name: &str, what: &str, width: usize) -> Line<'static> {
    let what = words::cut(what, width.saturating_sub(12));
    Line::from(vec![Span::styled(format!("  {name:<10}"), BOLD), Span::raw(what)])
}

/// A sentence in lines that stand in by so much.
pub(super) fn sentence(text: &str, indent: usize, width: usize) -> Vec<Line<'static>> {
    let lines = wrapped(text, width.saturating_sub(indent));
    lines.into_iter().map(|line| Line::from(format!("{:indent$}{line}", ""))).collect()
}

#[cfg(test)]
mod tests;
