//! Columns that fit a width: [`Grid`].
//!
//! Where there is too little room, the columns of the highest rank go first, and then text is cut.
//! Numbers never are. What is left over goes to text that was cut, and then to bars.

use unicode_width::UnicodeWidthStr;

use super::history::History;
use crate::words;

/// What stands between two columns.
const GAP: usize = 1;

/// What a column holds.
#[derive(Debug)]
enum Cells {
    Numbers(Vec<String>),
    /// Text, and to how much it may be cut.
    Text(Vec<String>, usize),
    /// Histories, and how wide they are at least and at most.
    Bars(Vec<History>, usize, usize),
}

#[derive(Debug)]
struct Column {
    head: &'static str,
    rank: u8,
    cells: Cells,
}

/// Columns, each with a rank: those of rank 0 always stay.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    columns: Vec<Column>,
}

impl Grid {
    pub(crate) fn numbers(self, rank: u8, head: &'static str, cells: Vec<String>) -> Self {
        self.with(rank, head, Cells::Numbers(cells))
    }

    /// A column of text that may be cut to `min`.
    pub(crate) fn text(self, rank: u8, head: &'static str, min: usize, cells: Vec<String>) -> Self {
        self.with(rank, head, Cells::Text(cells, min))
    }

    pub(crate) fn bars(
        self,
        rank: u8,
        head: &'static str,
        (min, max): (usize, usize),
        cells: Vec<History>,
    ) -> Self {
        self.with(rank, head, Cells::Bars(cells, min, max))
    }

    fn with(mut self, rank: u8, head: &'static str, cells: Cells) -> Self {
        self.columns.push(Column { head, rank, cells });
        self
    }

    /// The heads, and then a line for each row.
    pub(crate) fn lines(mut self, width: usize) -> Vec<String> {
        self.drop_what_does_not_fit(width);
        let widths = self.widths(width);
        let rows = self.columns.iter().map(Column::len).max().unwrap_or(0);
        let columns = || self.columns.iter().zip(&widths);
        let heads = columns().map(|(column, width)| column.lay(column.head, *width)).collect();
        let mut lines: Vec<Vec<String>> = vec![heads];
        for row in 0..rows {
            lines.push(columns().map(|(column, width)| column.cell(row, *width)).collect());
        }
        let joined = |cells: Vec<String>| cells.join(&" ".repeat(GAP)).trim_end().to_owned();
        lines.into_iter().map(joined).collect()
    }

    fn drop_what_does_not_fit(&mut self, width: usize) {
        while self.taken(Column::least) > width {
            let ranks = self.columns.iter().map(|column| column.rank);
            let Some(highest) = ranks.max().filter(|rank| *rank > 0) else { break };
            self.columns.retain(|column| column.rank != highest);
        }
    }

    fn taken(&self, of: impl Fn(&Column) -> usize) -> usize {
        let gaps = GAP * self.columns.len().saturating_sub(1);
        self.columns.iter().map(of).sum::<usize>() + gaps
    }

    fn widths(&self, width: usize) -> Vec<usize> {
        let mut left = width.saturating_sub(self.taken(Column::least));
        let mut widths: Vec<usize> = self.columns.iter().map(Column::least).collect();
        for bars in [false, true] {
            for (column, width) in self.columns.iter().zip(&mut widths) {
                if matches!(column.cells, Cells::Bars(..)) == bars {
                    let more = (column.most() - column.least()).min(left);
                    (*width, left) = (*width + more, left - more);
                }
            }
        }
        widths
    }
}

impl Column {
    fn len(&self) -> usize {
        match &self.cells {
            Cells::Numbers(cells) | Cells::Text(cells, _) => cells.len(),
            Cells::Bars(cells, ..) => cells.len(),
        }
    }

    /// How wide it is if nothing is cut.
    fn most(&self) -> usize {
        let head = self.head.width();
        match &self.cells {
            Cells::Numbers(cells) | Cells::Text(cells, _) => {
                cells.iter().map(|cell| cell.width()).fold(head, usize::max)
            }
            Cells::Bars(_, _, max) => head.max(*max),
        }
    }

    /// How wide it is at least.
    fn least(&self) -> usize {
        match &self.cells {
            Cells::Numbers(_) => self.most(),
            Cells::Text(_, min) => self.most().min(*min),
            Cells::Bars(_, min, _) => self.head.width().max(*min),
        }
    }

    fn cell(&self, row: usize, width: usize) -> String {
        match &self.cells {
            Cells::Numbers(cells) | Cells::Text(cells, _) => {
                self.lay(cells.get(row).map_or("", String::as_str), width)
            }
            Cells::Bars(cells, ..) => cells.get(row).map_or(String::new(), |it| it.bars(width)),
        }
    }

    /// Text in its column, numbers at the right.
    fn lay(&self, text: &str, width: usize) -> String {
        let text = words::cut(text, width);
        let pad = " ".repeat(width.saturating_sub(text.width()));
        if matches!(self.cells, Cells::Numbers(_)) { pad + &text } else { text + &pad }
    }
}

/// Text in lines of at most that width, broken between words where that is possible.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    // A word that is too long, such as a path, is cut.
    lines.into_iter().map(|line| words::cut(&line, width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let text = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let mut history = History::default();
        (0..3).for_each(|point| history.push(point));
        Grid::default()
            .text(0, "group", 4, text(["billing-eu", "audit"]))
            .numbers(0, "lag", text(["1,234", "7"]))
            .bars(2, "trend", (5, 8), vec![history.clone(), history])
            .numbers(1, "leased", text(["10", "2"]))
    }

    #[test]
    fn room_goes_to_text_and_then_to_bars() {
        assert_eq!(
            grid().lines(40),
            [
                "group        lag trend    leased",
                "billing-eu 1,234      ▁▅█     10",
                "audit          7      ▁▅█      2",
            ]
        );
    }

    #[test]
    fn without_room_columns_go_by_rank_and_text_is_cut() {
        assert_eq!(
            grid().lines(18),
            ["group   lag leased", "bill… 1,234     10", "audit     7      2"]
        );
        assert_eq!(grid().lines(12), ["group    lag", "billi… 1,234", "audit      7"]);
        assert_eq!(grid().lines(1), ["gro…   lag", "bil… 1,234", "aud…     7"]);
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("it is paused until noon", 12), ["it is paused", "until noon"]);
        assert_eq!(wrapped("/a/long/path is gone", 8), ["/a/long…", "is gone"]);
        assert_eq!(wrapped("", 8), [""]);
    }
}
