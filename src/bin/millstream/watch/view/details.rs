//! The page of one group: numbers over time, what its reads find, members, partitions.

use ratatui::text::{Line, Span};

use super::{BOLD, DIM, Paint, sentence, speed, with_bars};
use crate::group::in_a_word;
use crate::watch::grid::Grid;
use crate::watch::model::Model;
use crate::watch::sight::{Group, Member, Place, Standing};
use crate::words::{count, lasting, plain};

pub(super) fn lines(model: &Model, paint: Paint, width: usize) -> Vec<Line<'static>> {
    let Some(group) = model.chosen() else { return Vec::new() };
    let name = Span::styled(plain(&group.name), BOLD);
    let standing = match &group.standing {
        Ok(standing) => standing,
        Err(words) => {
            let mut lines = vec![Line::from(name)];
            let told = sentence(&format!("it is closed: {words}"), 2, width);
            lines.extend(told.into_iter().map(|line| line.patch_style(paint.bad())));
            return lines;
        }
    };
    let (generation, strategy) = (count(standing.generation), plain(&standing.strategy));
    let state = format!("  {}, generation {generation}, strategy {strategy}", standing.state);
    let mut lines = vec![Line::from(vec![name, Span::raw(state)])];
    lines.extend(numbers(model, group, standing, paint, width));
    lines.extend([Line::default(), Line::styled("what a read finds", BOLD)]);
    for words in &standing.why {
        let told = sentence(words, 2, width);
        lines.extend(told.into_iter().map(|line| line.patch_style(paint.odd())));
    }
    for member in &standing.members {
        lines.extend(sentence(&format!("{}: {}", plain(&member.name), member.why), 2, width));
    }
    if !standing.members.is_empty() {
        lines.extend(titled(members(&standing.members).lines(width)));
    }
    lines.extend(titled(partitions(&standing.partitions).lines(width)));
    lines
}

fn numbers(
    model: &Model,
    group: &Group,
    standing: &Standing,
    paint: Paint,
    width: usize,
) -> Vec<Line<'static>> {
    let Some(track) = model.track(&group.name) else { return Vec::new() };
    let (leased, waiting) = (count(standing.leased), count(standing.waiting));
    let (parked, again) = (count(standing.parked), speed(track.redelivered.rate()));
    let held = format!("{leased} leased, {waiting} waiting, {parked} parked, {again} redelivered");
    let oldest = standing.oldest.map(|age| format!(", the oldest pending is {} old", lasting(age)));
    let held = held + &oldest.unwrap_or_default();
    let mut lines = vec![
        with_bars("lag", &count(standing.lag), &track.lag, paint.odd(), width),
        with_bars("acked", &speed(track.acked.rate()), &track.acks, paint.good(), width),
    ];
    lines.extend(sentence(&held, 0, width).into_iter().map(|line| line.patch_style(DIM)));
    lines
}

/// A table with its heads, and a line above.
fn titled(lines: Vec<String>) -> Vec<Line<'static>> {
    let lines = lines.into_iter().enumerate();
    let lines = lines
        .map(|(index, line)| if index == 0 { Line::styled(line, BOLD) } else { Line::from(line) });
    std::iter::once(Line::default()).chain(lines).collect()
}

fn members(members: &[Member]) -> Grid {
    let column = |of: fn(&Member) -> String| members.iter().map(of).collect();
    Grid::default()
        .text(0, "member", 8, column(|it| plain(&it.name)))
        .numbers(1, "leased", column(|it| count(it.leased)))
        .numbers(3, "seen", column(|it| it.seen.clone()))
        .text(4, "partitions", 10, column(|it| it.reads.clone()))
        .text(2, "finds", 8, column(|it| in_a_word(it.blocked).to_owned()))
}

fn partitions(places: &[Place]) -> Grid {
    let column = |of: fn(&Place) -> String| places.iter().map(of).collect();
    Grid::default()
        .numbers(0, "partition", (0..places.len()).map(|number| number.to_string()).collect())
        .numbers(2, "floor", column(|it| count(it.floor)))
        .numbers(1, "next", column(|it| count(it.next)))
        .numbers(1, "end", column(|it| count(it.end)))
        .numbers(0, "lag", column(|it| count(it.lag)))
        .text(3, "owner", 8, column(|it| it.owner.as_deref().map_or(String::new(), plain)))
}
