//! Places and ranges that somebody types: [`Place`], [`Ids`], [`Points`].

use std::ops::Bound;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use millstream::{EntryId, Start};

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start(Start),
    /// That long before now.
    Ago(Duration),
}

/// The two ends of a range.
pub(crate) type Ends<T> = (Bound<T>, Bound<T>);
pub(crate) type Ids = Ends<EntryId>;
pub(crate) type Points = Ends<Point>;

/// An end of a range of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Id(EntryId),
    /// In a partition that is named elsewhere.
    Offset(u64),
}

impl Place {
    /// The start that it means at `now`.
    pub(crate) fn start(&self, now: SystemTime) -> Start {
        match self {
            Self::Start(start) => start.clone(),
            Self::Ago(ago) => Start::Since(now.checked_sub(*ago).unwrap_or(SystemTime::UNIX_EPOCH)),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(Self::Start(Start::Earliest)),
            "latest" => return Ok(Self::Start(Start::Latest)),
            _ => {}
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Start(Start::At(id)));
        }
        if let Ok(time) = humantime::parse_rfc3339_weak(text) {
            return Ok(Self::Start(Start::Since(time)));
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| {
            "it is none of earliest, latest, an id such as 0-5, a time such as \
             2025-11-20T08:00:00Z, or how long ago, such as 10m"
                .to_owned()
        })
    }
}

/// Reads the id of an entry.
pub(crate) fn id(text: &str) -> Result<EntryId, String> {
    text.parse().map_err(|error: millstream::Error| error.to_string())
}

/// Reads a range of ids.
pub(crate) fn ids(text: &str) -> Result<Ids, String> {
    ends(text, id)
}

/// Reads a range of ids, or of offsets of one partition.
pub(crate) fn points(text: &str) -> Result<Points, String> {
    ends(text, |text| match text.parse() {
        Ok(offset) => Ok(Point::Offset(offset)),
        Err(_) => id(text).map(Point::Id),
    })
}

/// `A..B`, `A..=B`, `(A..B`, either end left out, or one of them alone.
fn ends<T: Copy>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Ends<T>, String> {
    let Some((first, end)) = text.split_once("..") else {
        let only = read(text)?;
        return Ok((Bound::Included(only), Bound::Included(only)));
    };
    let first = match first.strip_prefix('(') {
        _ if first.is_empty() => Bound::Unbounded,
        Some(before) => Bound::Excluded(read(before)?),
        None => Bound::Included(read(first)?),
    };
    let end = match end.strip_prefix('=') {
        _ if end.is_empty() => Bound::Unbounded,
        Some(last) => Bound::Included(read(last)?),
        None => Bound::Excluded(read(end)?),
    };
    Ok((first, end))
}

#[cfg(test)]
mod tests {
    use Bound::{Excluded, Included, Unbounded};

    use super::*;

    #[test]
    fn ranges_are_read_with_all_their_ends() {
        let [a, b] = [EntryId::new(0, 5), EntryId::new(1, 9)];
        let rows = [
            ("..", (Unbounded, Unbounded)),
            ("0-5..", (Included(a), Unbounded)),
            ("..1-9", (Unbounded, Excluded(b))),
            ("0-5..=1-9", (Included(a), Included(b))),
            ("(0-5..1-9", (Excluded(a), Excluded(b))),
            ("0-5", (Included(a), Included(a))),
        ];
        for (text, range) in rows {
            assert_eq!(ids(text), Ok(range), "{text}");
        }
        for text in ["", "5..9", "0-5...", "0-5..=", "(..0-5", "x..y"] {
            assert!(ids(text).is_err(), "{text}");
        }
        let offsets = (Included(Point::Offset(5)), Excluded(Point::Id(b)));
        assert_eq!(points("5..1-9"), Ok(offsets));
    }

    #[test]
    fn places_are_read_with_all_their_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let place = |text: &str| text.parse::<Place>().map(|place| place.start(now));
        assert_eq!(place("earliest"), Ok(Start::Earliest));
        assert_eq!(place("latest"), Ok(Start::Latest));
        assert_eq!(place("3-7"), Ok(Start::At(EntryId::new(3, 7))));
        assert_eq!(place("10m"), Ok(Start::Since(now - Duration::from_secs(600))));
        assert_eq!(place("1970-01-12T13:46:40Z"), Ok(Start::Since(now)));
        assert_eq!(place("1970-01-12 13:46:40"), Ok(Start::Since(now)));
        assert!(place("yesterday").is_err());
    }
}
