//! A group keeps its strategy: the built-in ones by themselves, those of a user with the user's
//! help.

use millstream::assign::{Assign, Assignment, Range, Sticky, View};
use millstream::{Error, Start};

use crate::crew::{PARTITIONED, crew, crew_on, drain, owned};
use crate::scene::fill;

/// All partitions to the last member by name.
#[derive(Debug)]
struct Last;

impl Assign for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn assign(&self, view: &View) -> Assignment {
        Assignment::Owners(vec![view.members().len() - 1; view.partitions() as usize])
    }
}

#[test]
fn a_built_in_strategy_is_stored() {
    for (name, choose) in PARTITIONED {
        let dir = tempfile::tempdir().unwrap();
        crew_on(dir.path(), 2, choose).stream.close().unwrap();
        let crew = crew_on(dir.path(), 2, |group| group);
        assert_eq!(crew.group.info().unwrap().strategy, name);
        let members = crew.join_all(2);
        assert!(members.iter().all(|member| owned(member).len() == 1));
    }
}

#[test]
fn a_strategy_of_ones_own_has_to_be_passed_at_each_opening() {
    let dir = tempfile::tempdir().unwrap();
    let crew = crew_on(dir.path(), 3, |group| group.strategy(Last));
    let members = crew.join_all(2);
    assert_eq!((owned(&members[0]), owned(&members[1])), (vec![], vec![0, 1, 2]));
    fill(&crew.stream, 3);
    let _kept = members[1].try_read(1).unwrap().into_iter().next().unwrap().detach();
    crew.stream.clone().close().unwrap();
    drop((crew, members));

    let stream = millstream::Stream::open(dir.path()).unwrap();
    for opened in [stream.group("g").open_existing(), stream.group("g").open(Start::Latest)] {
        let refused = opened.unwrap_err();
        let right =
            matches!(&refused, Error::StrategyMissing { strategy } if &**strategy == "last");
        assert!(right, "{refused}");
    }
    // The stream is none the worse for it, and the group is only waiting.
    stream.maintain().unwrap();
    stream.add_partitions(1).unwrap();
    let group = stream.group("g").strategy(Last).open_existing().unwrap();
    assert_eq!(group.info().unwrap().strategy, "last");
    let worker = group.join("worker").unwrap();
    assert_eq!((owned(&worker), drain(&worker).len()), (vec![0, 1, 2, 3], 3));
    // As long as somebody uses the group, it need not be passed.
    let same = stream.group("g").open_existing().unwrap();
    assert_eq!(owned(&same.join("zzz").unwrap()), [0, 1, 2, 3]);
    drop((worker, group, same));
    // Nor later in this process, which knows it.
    drop(stream.group("g").open_existing().unwrap());
    stream.close().unwrap();

    // Another one may be given instead, and is stored from then on.
    for _ in 0..2 {
        let stream = millstream::Stream::open(dir.path()).unwrap();
        let options = stream.group("g");
        let options = if stream.group("g").open_existing().is_ok() {
            options
        } else {
            options.strategy(Range)
        };
        let group = options.open_existing().unwrap();
        assert_eq!(group.info().unwrap().strategy, "range");
        stream.close().unwrap();
    }
}

#[test]
fn a_group_that_is_in_use_keeps_its_strategy() {
    let crew = crew(4, 1, |group| group.strategy(Range));
    let members = crew.join_all(2);
    let generation = crew.group.info().unwrap().generation;
    let same = crew.stream.group("g").strategy(Sticky).open_existing().unwrap();
    let info = same.info().unwrap();
    assert_eq!((info.strategy.as_str(), info.generation), ("range", generation));
    assert_eq!(owned(&members[0]), [0, 1]);
    drop((same, crew.group));
    // The members alone keep it, too.
    let same = crew.stream.group("g").strategy(Sticky).open_existing().unwrap();
    assert_eq!(same.info().unwrap().strategy, "range");
    drop((same, members));
    let other = crew.stream.group("g").strategy(Sticky).open_existing().unwrap();
    assert_eq!(other.info().unwrap().strategy, "sticky");
    let member = other.join("w").unwrap();
    assert_eq!((owned(&member), drain(&member).len()), (vec![0, 1, 2, 3], 4));
}
