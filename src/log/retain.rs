//! Which segments may go: a choice made of plain numbers, oldest first, and never the last segment,
//! which says where the ids go on.

use std::time::Duration;

/// How much of a partition is kept; what is `None` sets no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// All segments together, with the last, take no more than this, once the others could go.
    pub(crate) bytes: Option<u64>,
    /// A segment goes once its newest entry is older than this.
    pub(crate) age: Option<Duration>,
    /// A segment goes if so many entries stay.
    pub(crate) entries: Option<u64>,
}

/// A segment that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Its first entry's offset.
    pub(crate) first: u64,
    /// The offset behind its last entry.
    pub(crate) end: u64,
    /// What its file takes.
    pub(crate) bytes: u64,
    /// The greatest time of any entry up to here, in microseconds since 1970: as clocks jump, an
    /// older segment is never taken for a newer one.
    pub(crate) newest: u64,
}

/// What a log keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// All segments but the last, oldest first.
    pub(crate) sealed: Vec<Sealed>,
    /// What the last segment's file takes.
    pub(crate) last_bytes: u64,
    /// The offset behind the last entry.
    pub(crate) end: u64,
}

/// The offset to trim to, at the time `now` (in microseconds since 1970), if anything is to go. A
/// segment goes if any of the limits says so, and all before it go.
pub(crate) fn choose(limits: &Limits, stored: &Stored, now: u64) -> Option<u64> {
    let sealed_bytes: u64 = stored.sealed.iter().map(|segment| segment.bytes).sum();
    let mut bytes = sealed_bytes + stored.last_bytes;
    let age = limits.age.map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
    let mut chosen = None;
    for segment in &stored.sealed {
        let too_much = limits.bytes.is_some_and(|most| bytes > most);
        let too_old = age.is_some_and(|most| now.saturating_sub(segment.newest) > most);
        let stay = stored.end.saturating_sub(segment.end);
        let too_many = limits.entries.is_some_and(|least| stay >= least);
        if !(too_much || too_old || too_many) {
            break;
        }
        bytes -= segment.bytes;
        chosen = Some(segment.end);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Limits = Limits { bytes: None, age: None, entries: None };

    /// Three sealed segments of ten entries and 100 bytes, and a last one of 50 bytes with five.
    fn stored() -> Stored {
        let sealed = |first: u64, newest| Sealed { first, end: first + 10, bytes: 100, newest };
        let sealed = vec![sealed(10, 1_000), sealed(20, 2_000), sealed(30, 3_000)];
        Stored { sealed, last_bytes: 50, end: 45 }
    }

    #[track_caller]
    fn assert_chosen(limits: Limits, now: u64, chosen: Option<u64>) {
        assert_eq!(choose(&limits, &stored(), now), chosen, "{limits:?} at {now}");
    }

    #[test]
    fn without_a_limit_nothing_goes() {
        assert_chosen(NONE, u64::MAX, None);
    }

    #[test]
    fn bytes_go_until_the_rest_is_within_the_bound() {
        let table = [(0, Some(40)), (149, Some(40)), (150, Some(30)), (249, Some(30))];
        let table = table.into_iter().chain([(250, Some(20)), (349, Some(20)), (350, None)]);
        for (bytes, chosen) in table {
            assert_chosen(Limits { bytes: Some(bytes), ..NONE }, 0, chosen);
        }
    }

    #[test]
    fn a_segment_is_as_old_as_its_newest_entry() {
        let limits = Limits { age: Some(Duration::from_micros(500)), ..NONE };
        let table = [(0, None), (1_500, None), (1_501, Some(20)), (2_501, Some(30))];
        for (now, chosen) in table.into_iter().chain([(u64::MAX, Some(40))]) {
            assert_chosen(limits, now, chosen);
        }
        assert_chosen(Limits { age: Some(Duration::ZERO), ..NONE }, 3_000, Some(30));
        assert_chosen(Limits { age: Some(Duration::MAX), ..NONE }, u64::MAX, None);
    }

    #[test]
    fn so_many_entries_stay_at_least() {
        let table = [(0, Some(40)), (5, Some(40)), (6, Some(30)), (15, Some(30)), (16, Some(20))];
        for (entries, chosen) in table.into_iter().chain([(25, Some(20)), (26, None)]) {
            assert_chosen(Limits { entries: Some(entries), ..NONE }, 0, chosen);
        }
    }

    #[test]
    fn any_limit_is_enough() {
        let limits = Limits { bytes: Some(250), entries: Some(15), age: None };
        assert_chosen(limits, 0, Some(30));
        let age = Some(Duration::from_micros(500));
        assert_chosen(Limits { age, ..limits }, 3_600, Some(40));
        assert_eq!(choose(&limits, &Stored::default(), 0), None);
    }

    /// How many segments one limit takes, found by trying all numbers.
    fn naive(limits: &Limits, stored: &Stored, now: u64) -> usize {
        let sealed = &stored.sealed;
        let bytes_of = |rest: &[Sealed]| rest.iter().map(|one| one.bytes).sum::<u64>();
        let all = sealed.len();
        let by_bytes = limits.bytes.map(|most| {
            let fits = |count: &usize| bytes_of(&sealed[*count..]) + stored.last_bytes <= most;
            (0..=all).find(fits).unwrap_or(all)
        });
        let by_age = limits.age.map(|age| {
            let age = u64::try_from(age.as_micros()).unwrap();
            sealed.iter().filter(|one| one.newest + age < now).count()
        });
        let by_entries = limits.entries.map(|least| {
            let stays = |count: &usize| *count == 0 || stored.end - sealed[count - 1].end >= least;
            (0..=all).rev().find(stays).unwrap()
        });
        [by_bytes, by_age, by_entries].into_iter().flatten().max().unwrap_or(0)
    }

    fn any_stored() -> impl Strategy<Value = Stored> {
        let one = (0_u64..5, 0_u64..200, 0_u64..50);
        let segments = prop::collection::vec(one, 0..12);
        (segments, 0_u64..100, 0_u64..300, 0_u64..5).prop_map(|(some, first, last_bytes, more)| {
            let (mut end, mut newest) = (first, 0);
            let sealed = some.into_iter().map(|(entries, bytes, later)| {
                let first = end;
                (end, newest) = (end + entries, newest + later);
                Sealed { first, end, bytes, newest }
            });
            let sealed = sealed.collect();
            Stored { sealed, last_bytes, end: end + more }
        })
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_the_greediest_limit(
            stored in any_stored(),
            bytes in prop::option::of(0_u64..1500),
            age in prop::option::of((0_u64..400).prop_map(Duration::from_micros)),
            entries in prop::option::of(0_u64..60),
            now in 0_u64..800,
        ) {
            let limits = Limits { bytes, age, entries };
            let count = naive(&limits, &stored, now);
            let wanted = count.checked_sub(1).map(|last| stored.sealed[last].end);
            prop_assert_eq!(choose(&limits, &stored, now), wanted);
        }
    }
}
