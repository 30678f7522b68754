//! Subjects: dot-separated names such as `order.created`, by the rules of NATS; and the filters
//! that choose by them.
//!
//! An entry's subject names one thing, so a token of it is never a wildcard. Inside a longer
//! token `*` and `>` are plain characters, as they are in a filter.
//!
//! Invariants of a filter
//! 1. It has 1 to [`PATTERNS_MAX`] patterns, sorted and without repetition, so filters given in
//!    different orders are equal.
//! 2. No token of a pattern is empty, and `>` is only ever the last one.
//!
//! Patterns are matched as the text they are, token by token: they are few, and nothing has to be
//! allocated or kept beside them. A filter is not made smaller than it was given (`a.>` beside
//! `a.b`), since a group's filter is compared with the one it is opened with again.

use std::fmt;

use crate::error::{Error, Result};

/// The longest subject, in bytes.
pub(crate) const SUBJECT_BYTES_MAX: usize = 255;
/// The longest pattern, in bytes: as long as a subject.
pub(crate) const PATTERN_BYTES_MAX: usize = SUBJECT_BYTES_MAX;
/// The most patterns of a filter.
pub(crate) const PATTERNS_MAX: usize = 64;

/// Checks the subject of an entry.
///
/// # Errors
/// [`Error::InvalidName`] with the rule it breaks.
pub(crate) fn validate(subject: &str) -> Result<()> {
    match broken_rule(subject) {
        None => Ok(()),
        Some(reason) => Err(Error::InvalidName { what: "subject", reason: reason.into() }),
    }
}

fn broken_rule(subject: &str) -> Option<String> {
    malformed(subject, SUBJECT_BYTES_MAX).or_else(|| {
        let wildcard = subject.split('.').find(|token| matches!(*token, "*" | ">"))?;
        Some(format!("the token {wildcard:?} is a wildcard, which only a filter has"))
    })
}

/// What subjects and patterns have in common.
fn malformed(text: &str, bytes_max: usize) -> Option<String> {
    let bytes = text.len();
    if bytes > bytes_max {
        return Some(format!("it has {bytes} bytes; the bound is {bytes_max}"));
    }
    if let Some(bad) = text.chars().find(|char| char.is_whitespace() || char.is_control()) {
        return Some(format!("it contains {bad:?}; white space and control characters may not"));
    }
    let empty = text.split('.').any(str::is_empty);
    empty.then(|| "it has an empty token; tokens are parted by single dots".into())
}

/// Which subjects a group or subscription takes: those that match any of its patterns.
///
/// A pattern is matched token by token. `*` takes exactly one token, whatever it is; `>` takes one
/// or more, up to the end. Each is a wildcard only where it is a whole token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    patterns: Box<[Box<str>]>,
}

impl Filter {
    /// # Errors
    /// [`Error::InvalidName`] with the pattern and the rule it breaks, or if there is no pattern
    /// or there are too many.
    pub(crate) fn parse(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut taken: Vec<Box<str>> = Vec::new();
        for pattern in patterns {
            if taken.len() == PATTERNS_MAX {
                return Err(refused(format!("it has more than {PATTERNS_MAX} patterns")));
            }
            let pattern = pattern.as_ref();
            if let Some(rule) = broken_pattern_rule(pattern) {
                // A pattern that is too long may be so by far.
                let shown: String = pattern.chars().take(PATTERN_BYTES_MAX).collect();
                return Err(refused(format!("the pattern {shown:?}: {rule}")));
            }
            taken.push(pattern.into());
        }
        if taken.is_empty() {
            return Err(refused(
                "it has no pattern; leave the filter away to take everything".into(),
            ));
        }
        taken.sort_unstable();
        taken.dedup();
        Ok(Self { patterns: taken.into() })
    }

    /// Whether an entry with this subject is chosen. One without never is.
    pub(crate) fn matches(&self, subject: Option<&str>) -> bool {
        let Some(subject) = subject else { return false };
        self.patterns.iter().any(|pattern| pattern_matches(pattern, subject))
    }

    /// The patterns, sorted and without repetition.
    pub(crate) fn patterns(&self) -> &[Box<str>] {
        &self.patterns
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.patterns.join(", "))
    }
}

fn refused(reason: String) -> Error {
    Error::InvalidName { what: "filter", reason: reason.into() }
}

fn broken_pattern_rule(pattern: &str) -> Option<String> {
    malformed(pattern, PATTERN_BYTES_MAX).or_else(|| {
        // The last token is the first of these.
        let early = pattern.rsplit('.').skip(1).any(|token| token == ">");
        early.then(|| "`>` takes all tokens up to the end, so it has to be the last".into())
    })
}

fn pattern_matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for expected in pattern.split('.') {
        match (expected, tokens.next()) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(token)) => {
                if expected != token {
                    return false;
                }
            }
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dotted_names_are_subjects() {
        let longest = "s".repeat(SUBJECT_BYTES_MAX);
        for subject in ["a", "order.created", "a.b*c.>d", "**.>>", "über.größe", &longest] {
            assert!(validate(subject).is_ok(), "{subject}");
        }
    }

    #[test]
    fn broken_subjects_are_refused_with_the_rule() {
        let long = "s".repeat(SUBJECT_BYTES_MAX + 1);
        let table = [
            ("", "empty token"),
            (".", "empty token"),
            ("a..b", "empty token"),
            (".a", "empty token"),
            ("a.", "empty token"),
            ("a b", "white space"),
            ("a.\u{a0}", "white space"),
            ("a\n", "'\\n'"),
            ("a\0", "control"),
            ("*", "wildcard"),
            ("a.*.b", "wildcard"),
            ("a.>", "wildcard"),
            (long.as_str(), "256 bytes; the bound is 255"),
        ];
        for (subject, rule) in table {
            let Err(Error::InvalidName { what: "subject", reason }) = validate(subject) else {
                panic!("{subject:?} was taken");
            };
            assert!(reason.contains(rule), "{subject:?}: {reason}");
        }
    }

    fn filter(patterns: &[&str]) -> Filter {
        Filter::parse(patterns).unwrap()
    }

    #[test]
    fn patterns_match_token_by_token() {
        // Pattern, what it takes, what it does not.
        let table: [(&str, &[&str], &[&str]); 11] = [
            ("a", &["a"], &["b", "a.a", "aa", "A"]),
            ("order.created", &["order.created"], &["order", "order.created.eu", "order.create"]),
            ("*", &["a", "abc"], &["a.b"]),
            (">", &["a", "a.b", "a.b.c"], &[]),
            ("a.*", &["a.b", "a.c*"], &["a", "a.b.c", "b.b"]),
            ("*.b", &["a.b"], &["b", "a.b.b", "a.c"]),
            ("a.*.c", &["a.b.c"], &["a.c", "a.b.b.c", "a.b"]),
            ("a.>", &["a.b", "a.b.c"], &["a", "b.a"]),
            ("*.>", &["a.b", "a.b.c"], &["a"]),
            ("a*.>b", &["a*.>b"], &["ax.>b", "a*.xb", "a*.b"]),
            ("**.>>", &["**.>>"], &["a.b", "*.>"]),
        ];
        for (pattern, taken, passed) in table {
            let filter = filter(&[pattern]);
            for subject in taken {
                assert!(filter.matches(Some(subject)), "{pattern} takes {subject}");
            }
            for subject in passed {
                assert!(!filter.matches(Some(subject)), "{pattern} passes {subject} by");
            }
        }
    }

    #[test]
    fn a_filter_takes_what_any_pattern_takes_and_nothing_without_a_subject() {
        let filter = filter(&["order.>", "*.created"]);
        for (subject, taken) in
            [("order.paid", true), ("user.created", true), ("user.paid", false), ("order", false)]
        {
            assert_eq!(filter.matches(Some(subject)), taken, "{subject}");
        }
        assert!(!filter.matches(None));
        assert!(!Filter::parse([">"]).unwrap().matches(None));
    }

    #[test]
    fn filters_are_equal_whatever_the_order_they_were_given_in() {
        let one = filter(&["b", "a.>", "b", "*"]);
        assert_eq!(one, filter(&["*", "a.>", "b"]));
        assert_eq!(one.patterns(), ["*", "a.>", "b"].map(Box::from));
        assert_ne!(one, filter(&["*", "a.>"]));
    }

    #[test]
    fn broken_filters_are_refused_with_the_rule() {
        let long = "p".repeat(PATTERN_BYTES_MAX + 1);
        let table = [
            ("", "\"\": it has an empty token"),
            (".", "empty token"),
            ("a..>", "empty token"),
            (".>", "empty token"),
            ("a.", "empty token"),
            ("a b", "white space"),
            ("*.\u{a0}", "white space"),
            ("a\t", "'\\t'"),
            ("a\0", "control"),
            (">.a", "has to be the last"),
            ("a.>.b", "has to be the last"),
            (">.>", "has to be the last"),
            (long.as_str(), "256 bytes; the bound is 255"),
        ];
        for (pattern, rule) in table {
            let Err(Error::InvalidName { what: "filter", reason }) = Filter::parse(["ok", pattern])
            else {
                panic!("{pattern:?} was taken");
            };
            assert!(reason.contains(rule), "{pattern:?}: {reason}");
            assert!(reason.len() < 400, "{reason}");
        }
    }

    #[test]
    fn a_filter_has_1_to_64_patterns() {
        let some = |count: usize| Filter::parse((0..count).map(|number| format!("a.{number}")));
        assert!(some(1).is_ok() && some(PATTERNS_MAX).is_ok());
        for (count, rule) in [(0, "no pattern"), (PATTERNS_MAX + 1, "more than 64")] {
            let error = some(count).unwrap_err().to_string();
            assert!(error.contains("filter refused") && error.contains(rule), "{error}");
        }
        assert!(Filter::parse(std::iter::repeat("a")).is_err());
        assert!(filter(&[&"p".repeat(PATTERN_BYTES_MAX)]).matches(Some(&"p".repeat(255))));
    }

    /// The rules, one after the other, on lists of tokens.
    fn model(pattern: &[&str], subject: &[&str]) -> bool {
        match (pattern, subject) {
            ([], []) | ([">"], [_, ..]) => true,
            (["*", pattern @ ..], [_, subject @ ..]) => model(pattern, subject),
            ([one, pattern @ ..], [other, subject @ ..]) => one == other && model(pattern, subject),
            _ => false,
        }
    }

    fn tokens() -> impl Strategy<Value = Vec<&'static str>> {
        let token = prop::sample::select(vec!["a", "b", "ab", "a*", ">b", "**", "*", ">"]);
        prop::collection::vec(token, 1..5)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_filter_matches_as_the_rules_say(
            patterns in prop::collection::vec(tokens(), 1..4),
            subject in tokens(),
        ) {
            let texts = patterns.iter().map(|pattern| pattern.join("."));
            let is_broken = |pattern: &Vec<&str>| pattern[..pattern.len() - 1].contains(&">");
            match Filter::parse(texts) {
                Err(_) => prop_assert!(patterns.iter().any(is_broken)),
                Ok(filter) => {
                    prop_assert!(!patterns.iter().any(is_broken));
                    let expected = patterns.iter().any(|pattern| model(pattern, &subject));
                    prop_assert_eq!(filter.matches(Some(&subject.join("."))), expected);
                }
            }
        }
    }
}
