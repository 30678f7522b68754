//! The page of all groups: a table of them, what a read of the chosen one finds, and the partitions.

use ratatui::text::{Line, Span};

use super::{BOLD, CHOSEN, DIM, Paint, sentence, speed};
use crate::group::in_a_word;
use crate::watch::grid::Grid;
use crate::watch::history::History;
use crate::watch::model::{Model, Track};
use crate::watch::sight::{Group, Standing};
use crate::words::{count, lasting, plain, size};

/// So many rows of groups are shown in any case, before anything else gets room.
const ROWS_MIN: usize = 3;

pub(super) fn lines(model: &Model, paint: Paint, width: usize, room: usize) -> Vec<Line<'static>> {
    let groups = &model.sight.groups;
    if groups.is_empty() {
        let mut lines = vec![Line::from("no groups")];
        lines.extend(partitions(model, width, room.saturating_sub(1)));
        return lines;
    }
    // Half for the groups if something else needs the rest, and all that they need if nothing does.
    let rows = groups.len().min(ROWS_MIN.max(room / 2));
    let rows = rows.min(room.saturating_sub(1)).max(1);
    let mut lines = table(model, paint, width, rows);
    lines.extend(why(model, paint, width, room.saturating_sub(lines.len())));
    lines.extend(partitions(model, width, room.saturating_sub(lines.len())));
    lines
}

/// The groups around the chosen one, in so many rows.
fn table(model: &Model, paint: Paint, width: usize, rows: usize) -> Vec<Line<'static>> {
    let (groups, chosen) = (&model.sight.groups, model.row().unwrap_or(0));
    let first = (chosen + 1).saturating_sub(rows);
    let shown = &groups[first..(first + rows).min(groups.len())];
    let mut lines = grid(model, shown).lines(width.saturating_sub(2)).into_iter();
    let head = lines.next().unwrap_or_default();
    let mut table = vec![Line::styled(format!("  {head}"), BOLD)];
    for (index, (group, line)) in shown.iter().zip(lines).enumerate() {
        let style =
            if group.standing.is_err() { paint.bad() } else { ratatui::style::Style::new() };
        if first + index == chosen {
            let pad = " ".repeat(width.saturating_sub(Line::raw(&line).width() + 2));
            table.push(Line::styled(format!("> {line}{pad}"), style.patch(CHOSEN)));
        } else {
            table.push(Line::styled(format!("  {line}"), style));
        }
    }
    table
}

fn grid(model: &Model, shown: &[Group]) -> Grid {
    let numbers = |of: fn(&Standing) -> u64| -> Vec<String> {
        let cell =
            |group: &Group| group.standing.as_ref().map_or(String::new(), |it| count(of(it)));
        shown.iter().map(cell).collect()
    };
    let track = |group: &Group| model.track(&group.name);
    let acked = |group: &Group| track(group).map_or(String::new(), |it| speed(it.acked.rate()));
    let lags =
        |group: &Group| track(group).map_or_else(History::default, |it: &Track| it.lag.clone());
    let oldest = |group: &Group| {
        let standing = group.standing.as_ref().ok();
        standing.and_then(|it| it.oldest).map_or(String::new(), lasting)
    };
    Grid::default()
        .text(0, "group", 12, shown.iter().map(|group| plain(&group.name)).collect())
        .numbers(7, "members", numbers(|it| it.members.len() as u64))
        .numbers(0, "lag", numbers(|it| it.lag))
        .bars(4, "over time", (9, 24), shown.iter().map(lags).collect())
        .numbers(2, "acked", shown.iter().map(acked).collect())
        .numbers(3, "leased", numbers(|it| it.leased))
        .numbers(5, "waiting", numbers(|it| it.waiting))
        .numbers(6, "parked", numbers(|it| it.parked))
        .numbers(8, "oldest", shown.iter().map(oldest).collect())
        .text(1, "finds", 15, shown.iter().map(finds).collect())
}

/// What a group's next read finds, in a word or two.
fn finds(group: &Group) -> String {
    let Ok(standing) = &group.standing else { return "closed".to_owned() };
    if standing.paused {
        return "paused".to_owned();
    }
    let mut members = standing.members.iter();
    let Some(first) = members.next() else { return "no members".to_owned() };
    let finds_some = first.blocked.is_none() || members.any(|member| member.blocked.is_none());
    in_a_word(if finds_some { None } else { first.blocked }).to_owned()
}

/// What a read of the chosen group finds, with a line above.
fn why(model: &Model, paint: Paint, width: usize, room: usize) -> Vec<Line<'static>> {
    let Some(group) = model.chosen() else { return Vec::new() };
    let name = plain(&group.name);
    let mut lines =
        vec![Line::default(), Line::styled(format!("what a read of {name} finds"), BOLD)];
    match &group.standing {
        Err(words) => lines.extend(sentence(&format!("it is closed: {words}"), 2, width)),
        Ok(standing) => {
            for words in &standing.why {
                let told = sentence(words, 2, width);
                lines.extend(told.into_iter().map(|line| line.patch_style(paint.odd())));
            }
            for member in &standing.members {
                let words = format!("{}: {}", plain(&member.name), member.why);
                lines.extend(sentence(&words, 2, width));
            }
        }
    }
    shortened(lines, room)
}

fn partitions(model: &Model, width: usize, room: usize) -> Vec<Line<'static>> {
    let shown = &model.sight.partitions;
    let column = |of: fn(&crate::watch::sight::Partition) -> String| shown.iter().map(of).collect();
    let grid = Grid::default()
        .numbers(0, "partition", (0..shown.len()).map(|number| number.to_string()).collect())
        .numbers(3, "start", column(|it| count(it.start)))
        .numbers(0, "end", column(|it| count(it.end)))
        .numbers(1, "appended", model.ends.iter().map(|end| speed(end.rate())).collect())
        .numbers(4, "segments", column(|it| count(it.segments as u64)))
        .numbers(2, "files", column(|it| size(it.bytes)))
        .text(5, "held by", 8, column(|it| it.held_by.as_deref().map_or(String::new(), plain)));
    let mut lines = vec![Line::default()];
    for (index, line) in grid.lines(width).into_iter().enumerate() {
        lines.push(if index == 0 { Line::styled(line, BOLD) } else { Line::from(line) });
    }
    shortened(lines, room)
}

/// What fits of some lines, of which the first two say what they are about; nothing if that would
/// be all. The last one says how many are missing.
fn shortened(mut lines: Vec<Line<'static>>, room: usize) -> Vec<Line<'static>> {
    const TITLE: usize = 2;
    if lines.len() <= TITLE || room <= TITLE + 1 && lines.len() > room {
        return Vec::new();
    }
    if lines.len() <= room {
        return lines;
    }
    let missing = lines.len() - room + 1;
    lines.truncate(room - 1);
    let words = format!("  … {}", crate::words::counted(missing as u64, "more line", "more lines"));
    lines.push(Line::from(Span::styled(words, DIM)));
    lines
}
