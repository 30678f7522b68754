//! The view against golden screens: `golden/PAGE_WIDTHxHEIGHT.txt`. With `MILLSTREAM_GOLDEN=write` they
//! are written anew, to be looked at before they are kept.

use std::path::Path;
use std::time::Duration;

use millstream::Blocked;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::watch::keys::Act;
use crate::watch::sight::{Group, Member, Partition, Place, Sight, Standing};

const SECOND: Duration = Duration::from_secs(1);
const SIZES: [(u16, u16); 4] = [(80, 24), (60, 15), (120, 40), (20, 5)];

fn member(name: &str, leased: u64, blocked: Option<Blocked>, why: &str) -> Member {
    let (seen, reads) = ("now".to_owned(), "all".to_owned());
    Member { name: name.to_owned(), leased, seen, reads, blocked, why: why.to_owned() }
}

fn places(lag: u64) -> Vec<Place> {
    let place = |number: u64| Place {
        floor: 1000 * number,
        next: 1500 * number,
        end: 1500 * number + lag,
        lag,
        owner: (number == 1).then(|| "worker-1".to_owned()),
    };
    (0..4).map(place).collect()
}

fn group(name: &str, standing: Standing) -> Group {
    let standing = Standing {
        state: if standing.paused { "paused" } else { "stable" }.to_owned(),
        strategy: "shared".to_owned(),
        generation: 3,
        partitions: places(standing.lag / 4),
        ..standing
    };
    Group { name: name.to_owned(), standing: Ok(standing) }
}

/// Three groups, as they are after so many seconds: one that is stuck, one that is paused, one that keeps
/// up.
fn groups(time: u64) -> Vec<Group> {
    let full = "the in-flight limit is reached: 100 entries leased, and max_in_flight is 100";
    let stuck = Standing {
        lag: 1000 * time,
        leased: 100,
        waiting: 7,
        parked: 2,
        acked: 50,
        oldest: Some(SECOND * 200),
        why: vec![format!("{} entries were never handed out", 1000 * time - 100)],
        members: vec![
            member("worker-1", 60, Some(Blocked::InFlight), full),
            member("worker-2", 40, Some(Blocked::InFlight), full),
        ],
        ..Standing::default()
    };
    let words = "it is paused until somebody resumes it".to_owned();
    let paused = Standing { lag: 700, paused: true, why: vec![words], ..Standing::default() };
    let done = "nothing is there: it is done with every entry that is for it";
    let keeps_up = Standing {
        lag: time % 3,
        acked: 1000 * time,
        why: vec![done.to_owned()],
        members: vec![member("audit\u{1b}[2J", 0, Some(Blocked::Empty), done)],
        ..Standing::default()
    };
    vec![group("billing", stuck), group("exports", paused), group("\u{1b}audit", keeps_up)]
}

fn sight(time: u64) -> Sight {
    let partition = |number: u64| Partition {
        start: 100 * number,
        end: 100 * number + 250 * time,
        segments: 2,
        bytes: 64 << 20,
        held_by: (number == 0).then(|| "billing".to_owned()),
    };
    let partitions = (0..4).map(partition).collect();
    Sight { partitions, bytes: 256 << 20, groups: groups(time), damage: Vec::new() }
}

fn model() -> Model {
    let mut model = Model::new("/srv/orders".to_owned(), SECOND / 2);
    (1..=12).for_each(|time| model.take(SECOND * u32::try_from(time).expect("small"), sight(time)));
    model
}

fn screen(model: &Model, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is in memory");
    terminal.draw(|frame| _ = draw(model, Paint { colors: true }, frame)).expect("likewise");
    let cells = terminal.backend().buffer().content();
    let mut text = String::new();
    for row in cells.chunks(usize::from(width.max(1))) {
        let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text += row.trim_end();
        text.push('\n');
    }
    text
}

/// Compares the model with the golden screens of a page, of each size.
fn golden(page: &str, model: &Model) {
    for size in SIZES {
        let shown = screen(model, size);
        let name = format!("{page}_{}x{}.txt", size.0, size.1);
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/bin/millstream/watch/view/golden")
            .join(&name);
        if std::env::var_os("MILLSTREAM_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, &shown).expect("the golden screen can be written");
        }
        let wanted = std::fs::read_to_string(&path).expect("there is a golden screen");
        assert_eq!(shown, wanted, "{name} differs; shown is\n{shown}");
    }
}

#[test]
fn the_page_of_all_groups() {
    golden("all", &model());
}

#[test]
fn the_page_of_a_group() {
    let mut model = model();
    model.act(Act::Details);
    golden("details", &model);
}

#[test]
fn the_help() {
    let mut model = model();
    model.act(Act::Help);
    golden("help", &model);
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let mut model = model();
    let mut sight = sight(13);
    sight.damage = vec!["partition 2 is damaged, and ends at 4711: sum differs".to_owned()];
    sight.groups[1].standing = Err("the journal of group exports is damaged".to_owned());
    model.take(SECOND * 13, sight);
    model.act(Act::Down);
    model.act(Act::Pause);
    model.fail("there is no stream at /srv/orders".to_owned());
    golden("trouble", &model);
}

#[test]
fn a_stream_without_anything() {
    let mut model = Model::new("/srv/orders".to_owned(), SECOND);
    model.take(SECOND, Sight::default());
    golden("empty", &model);
}

#[test]
fn no_size_and_no_model_is_a_panic() {
    let mut many = model();
    let mut sight = sight(13);
    let more = (0..300).map(|number| group(&format!("group-{number}"), Standing::default()));
    sight.groups.extend(more);
    many.take(SECOND * 13, sight);
    (0..200).for_each(|_| many.act(Act::Down));
    let mut empty = Model::new(String::new(), SECOND);
    empty.fail("gone".to_owned());
    for mut model in [many, empty, model()] {
        for act in [Act::Back, Act::Details, Act::Help] {
            model.act(act);
            model.scroll = 1000;
            for size in
                (0..=30).map(|edge| (edge * 3, edge)).chain([(1, 50), (200, 1), (0, 9), (9, 0)])
            {
                screen(&model, size);
            }
        }
    }
}

#[test]
fn the_chosen_group_is_on_the_screen_wherever_it_stands() {
    let mut model = model();
    let names = || (0..100).map(|number| group(&format!("group-{number}"), Standing::default()));
    model.take(SECOND * 13, Sight { groups: names().collect(), ..Sight::default() });
    for row in 0..100 {
        for size in SIZES {
            let shown = screen(&model, size);
            assert!(shown.contains(&format!("> group-{row}")), "{row} at {size:?}:\n{shown}");
        }
        model.act(Act::Down);
    }
}

#[test]
fn details_can_be_scrolled_to_their_end_and_no_further() {
    let mut model = model();
    model.act(Act::Details);
    (0..1000).for_each(|_| model.act(Act::ScrollDown));
    let shown = screen(&model, (60, 15));
    let last = shown.lines().nth(13).expect("there are 15 lines");
    assert!(last.trim_start().starts_with("3 "), "the last partition is missing:\n{shown}");
}

#[test]
fn without_colors_nothing_has_one() {
    let mut model = model();
    model.fail("gone".to_owned());
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("it is in memory");
    terminal.draw(|frame| _ = draw(&model, Paint { colors: false }, frame)).expect("likewise");
    let cells = terminal.backend().buffer().content();
    assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
}
