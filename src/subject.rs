//! Subjects: dot-separated names such as `order.created`, by the rules of NATS.
//!
//! An entry's subject names one thing, so a token of it is never a wildcard. Inside a longer
//! token `*` and `>` are plain characters, as they are in a filter.

use crate::error::{Error, Result};

/// The longest subject, in bytes.
pub(crate) const SUBJECT_BYTES_MAX: usize = 255;

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
    let bytes = subject.len();
    if bytes > SUBJECT_BYTES_MAX {
        return Some(format!("it has {bytes} bytes; the bound is {SUBJECT_BYTES_MAX}"));
    }
    if let Some(bad) = subject.chars().find(|char| char.is_whitespace() || char.is_control()) {
        return Some(format!("it contains {bad:?}; white space and control characters may not"));
    }
    subject.split('.').find_map(|token| match token {
        "" => Some("it has an empty token; tokens are parted by single dots".into()),
        "*" | ">" => Some(format!("the token {token:?} is a wildcard, which only a filter has")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
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
}
