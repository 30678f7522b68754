//! Tables for people: [`Table`].
//!
//! Numbers stand at the right of their column, text at its left. Where a width is given, the widest
//! texts are cut until a row fits it; numbers never are.

use unicode_width::UnicodeWidthStr;

use super::exit::Failure;
use super::screen::{BOLD, Screen};
use super::words;

/// What stands between two columns.
const GAP: &str = "  ";
/// No text is cut to less than this.
const TEXT_MIN: usize = 8;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Rows under heads.
#[derive(Debug, Default)]
pub(crate) struct Table {
    heads: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a column of text.
    pub(crate) fn text(mut self, head: &'static str) -> Self {
        self.heads.push((head, Side::Left));
        self
    }

    /// Adds columns of numbers.
    pub(crate) fn numbers<const N: usize>(mut self, heads: [&'static str; N]) -> Self {
        self.heads.extend(heads.map(|head| (head, Side::Right)));
        self
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.heads.len(), "a cell for each column");
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn print(&self, screen: &mut Screen) -> Result<(), Failure> {
        let mut lines = self.lines(screen.width()).into_iter();
        if let Some(heads) = lines.next() {
            let heads = screen.paint(BOLD, heads);
            screen.line(heads)?;
        }
        lines.try_for_each(|line| screen.line(line))
    }

    /// The heads, and a line for each row.
    fn lines(&self, fit: Option<usize>) -> Vec<String> {
        let widths = self.widths(fit);
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        std::iter::once(&heads).chain(&self.rows).map(|row| self.lay(row, &widths)).collect()
    }

    fn lay(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, side)) in row.iter().zip(widths).zip(&self.heads) {
            let cell = words::cut(cell, *width);
            let space = " ".repeat(width - cell.width());
            let (before, behind) = if *side == Side::Left { ("", &*space) } else { (&*space, "") };
            if !line.is_empty() {
                line.push_str(GAP);
            }
            line.extend([before, &cell, behind]);
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn widths(&self, fit: Option<usize>) -> Vec<usize> {
        let columns = self.heads.iter().enumerate();
        let mut widths: Vec<usize> = columns
            .map(|(index, (head, _))| {
                let cells = self.rows.iter().map(|row| row[index].width());
                cells.max().unwrap_or(0).max(head.width())
            })
            .collect();
        let Some(fit) = fit else { return widths };
        loop {
            let total = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
            let texts = (0..widths.len()).filter(|index| self.heads[*index].1 == Side::Left);
            let widest = texts.max_by_key(|index| widths[*index]);
            match widest.filter(|index| widths[*index] > TEXT_MIN) {
                Some(index) if total > fit => widths[index] -= 1,
                _ => return widths,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Table {
        let mut table = Table::new().text("group").numbers(["lag", "parked"]).text("why");
        table.row([name.to_owned(), "1,200".to_owned(), "3".to_owned(), String::new()]);
        table.row(["b".to_owned(), "7".to_owned(), "0".to_owned(), "paused".to_owned()]);
        table
    }

    #[test]
    fn numbers_stand_right_and_texts_left() {
        let lines = sample("billing").lines(None);
        assert_eq!(lines[0], "group      lag  parked  why");
        assert_eq!(lines[1], "billing  1,200       3");
        assert_eq!(lines[2], "b            7       0  paused");
    }

    #[test]
    fn long_texts_are_cut_until_rows_fit() {
        let lines = sample(&"\u{65e5}".repeat(90)).lines(Some(80));
        assert!(lines.iter().all(|line| line.width() <= 80), "{lines:?}");
        assert!(lines[1].contains("1,200") && lines[1].contains('\u{2026}'));
        let whole = sample(&"x".repeat(90)).lines(None);
        assert!(whole[1].starts_with(&"x".repeat(90)));
    }
}
