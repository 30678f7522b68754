//! What a model makes of looks and keys.

use super::*;
use crate::watch::sight::Partition;

const SECOND: Duration = Duration::from_secs(1);

fn model() -> Model {
    Model::new("/srv/orders".to_owned(), SECOND / 2)
}

fn partitions(ends: &[u64]) -> Vec<Partition> {
    let partition =
        |end: &u64| Partition { start: 0, end: *end, segments: 1, bytes: 0, held_by: None };
    ends.iter().map(partition).collect()
}

fn group(name: &str, acked: u64, lag: u64) -> Group {
    let standing = Standing { lag, acked, ..Standing::default() };
    Group { name: name.to_owned(), standing: Ok(standing) }
}

fn sight(ends: &[u64], groups: Vec<Group>) -> Sight {
    Sight { partitions: partitions(ends), groups, ..Sight::default() }
}

fn number(rate: Option<Rate>) -> Option<u64> {
    rate.map(|rate| rate.number)
}

#[test]
fn rates_are_of_all_partitions_and_groups_together() {
    let mut model = model();
    model.take(SECOND, sight(&[100, 50], vec![group("a", 7, 3), group("b", 0, 9)]));
    assert_eq!((model.appended.0, model.acked.0), (None, None));
    model.take(SECOND * 3, sight(&[110, 70], vec![group("a", 9, 5), group("b", 4, 0)]));
    assert_eq!(model.appended.0, Some(Rate { number: 30, time: SECOND * 2 }));
    assert_eq!(number(model.ends[1].rate()), Some(20));
    assert_eq!(number(model.acked.0), Some(6));
    let track = model.track("a").expect("it is there");
    assert_eq!(number(track.acked.rate()), Some(2));
    assert_eq!(track.lag.bars(2), "▆█");
}

#[test]
fn an_added_partition_counts_from_nothing() {
    let mut model = model();
    model.take(SECOND, sight(&[100], vec![]));
    model.take(SECOND * 2, sight(&[100, 40], vec![]));
    assert_eq!(number(model.appended.0), Some(40));
    model.take(SECOND * 3, sight(&[101], vec![]));
    assert_eq!(number(model.appended.0), Some(1), "a stream that was made anew with fewer");
}

#[test]
fn a_group_made_anew_counts_from_its_own_start() {
    let mut model = model();
    model.take(SECOND, sight(&[], vec![group("a", 1000, 0)]));
    model.take(SECOND * 2, sight(&[], vec![group("a", 5, 0)]));
    assert_eq!(model.acked.0, None);
    model.take(SECOND * 3, sight(&[], vec![group("a", 6, 0)]));
    assert_eq!(number(model.acked.0), Some(1));
}

#[test]
fn a_pause_is_part_of_the_time_that_a_rate_is_over() {
    let mut model = model();
    model.take(SECOND, sight(&[0], vec![]));
    model.act(Act::Pause);
    assert!(model.paused);
    model.act(Act::Pause);
    model.take(SECOND * 101, sight(&[500], vec![]));
    assert_eq!(model.appended.0.map(Rate::thousandths), Some(5000));
}

#[test]
fn a_group_that_goes_leaves_the_choice_to_its_neighbour_and_says_so() {
    let three = || ["a", "b", "c"].map(|name| group(name, 0, 0)).to_vec();
    let mut model = model();
    model.take(SECOND, sight(&[], three()));
    assert_eq!(model.row(), Some(0));
    model.act(Act::Down);
    model.act(Act::Details);
    model.take(SECOND * 2, sight(&[], vec![group("a", 0, 0), group("c", 0, 0)]));
    assert_eq!(model.chosen().map(|group| group.name.as_str()), Some("c"));
    assert_eq!((model.page, model.notice.as_deref()), (Page::All, Some("the group b is gone")));
    assert!(model.track("b").is_none());
    model.act(Act::Help);
    assert_eq!(model.notice, None);
    model.take(SECOND * 3, sight(&[], vec![]));
    assert_eq!((model.row(), model.notice.as_deref()), (None, Some("the group c is gone")));
    model.take(SECOND * 4, sight(&[], three()));
    assert_eq!(model.row(), Some(0));
}

#[test]
fn the_choice_stays_with_a_group_whose_row_changes() {
    let mut model = model();
    model.take(SECOND, sight(&[], vec![group("b", 0, 0), group("c", 0, 0)]));
    model.act(Act::Down);
    let all = ["a", "b", "c", "d"].map(|name| group(name, 0, 0));
    model.take(SECOND * 2, sight(&[], all.to_vec()));
    assert_eq!((model.row(), &model.notice), (Some(2), &None));
}

#[test]
fn the_choice_ends_at_the_first_and_the_last_group() {
    let mut model = model();
    for act in [Act::Up, Act::Down, Act::Details] {
        model.act(act);
        assert_eq!((model.row(), model.page), (None, Page::All), "there is no group");
    }
    model.take(SECOND, sight(&[], vec![group("a", 0, 0), group("b", 0, 0)]));
    model.act(Act::Up);
    assert_eq!(model.row(), Some(0));
    (0..3).for_each(|_| model.act(Act::Down));
    assert_eq!(model.row(), Some(1));
}

#[test]
fn a_closed_group_has_no_rate_and_keeps_its_track() {
    let mut model = model();
    model.take(SECOND, sight(&[], vec![group("a", 5, 0)]));
    let closed = Group { name: "a".to_owned(), standing: Err("damaged".to_owned()) };
    model.take(SECOND * 2, sight(&[], vec![closed]));
    assert_eq!(model.acked.0, None);
    model.take(SECOND * 3, sight(&[], vec![group("a", 9, 0)]));
    assert_eq!(model.acked.0, Some(Rate { number: 4, time: SECOND * 2 }));
}

#[test]
fn what_was_seen_stays_when_a_look_fails() {
    let mut model = model();
    model.take(SECOND, sight(&[7], vec![group("a", 0, 0)]));
    model.fail("it is gone".to_owned());
    assert_eq!((model.sight.entries(), model.row()), (7, Some(0)));
    assert_eq!(model.trouble.as_deref(), Some("it is gone"));
    model.take(SECOND * 2, sight(&[8], vec![]));
    assert_eq!(model.trouble, None);
}

#[test]
fn keys_turn_pages_and_turn_them_back() {
    let mut model = model();
    model.take(SECOND, sight(&[], vec![group("a", 0, 0)]));
    let rows = [
        (Act::Details, Page::Details),
        (Act::Help, Page::Help),
        (Act::Help, Page::All),
        (Act::Details, Page::Details),
        (Act::Details, Page::All),
        (Act::Help, Page::Help),
        (Act::Back, Page::All),
    ];
    for (act, page) in rows {
        model.act(act);
        assert_eq!(model.page, page, "{act:?}");
    }
    assert!(!model.over);
    model.act(Act::Quit);
    assert!(model.over);
}

#[test]
fn intervals_go_by_steps_and_end_at_the_bounds() {
    let mut model = Model::new(String::new(), Duration::from_millis(700));
    model.act(Act::Slower);
    assert_eq!(model.every, SECOND);
    model.act(Act::Faster);
    assert_eq!(model.every, SECOND / 2);
    (0..9).for_each(|_| model.act(Act::Faster));
    assert_eq!(model.every, EVERY_MIN);
    (0..19).for_each(|_| model.act(Act::Slower));
    assert_eq!(model.every, EVERY_MAX);
    assert_eq!(Model::new(String::new(), SECOND * 900).every, EVERY_MAX);
}
