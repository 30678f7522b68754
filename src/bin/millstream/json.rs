//! JSON for programs, and payloads that are JSON laid out for people.
//!
//! 1. What is written is pure text: characters that could command a terminal are escaped as `\uNNNN`,
//!    which says the same to whoever parses it.
//! 2. A payload keeps its own order, numbers and escapes: only the white space between its tokens is
//!    made anew.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use super::exit::Failure;
use super::words::is_shown;

/// How deep a payload may be nested to be laid out; deeper ones are shown as text.
const DEPTH_MAX: usize = 128;

/// How a payload is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// On one line, without spaces.
    Dense,
    /// A line for each value.
    Pretty,
}

/// An object as one line.
pub(crate) fn line(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?;
    Ok(escaped(&text, |_| false))
}

/// A payload laid out anew; `None` if it is not JSON.
pub(crate) fn lay_out(payload: &[u8], layout: Layout) -> Option<String> {
    let raw: &RawValue = serde_json::from_slice(payload).ok()?;
    let text = spaced(raw.get(), layout)?;
    Some(escaped(&text, |character| character == '\n'))
}

/// A payload as a part of an object; `None` if it is not JSON.
pub(crate) fn raw(payload: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(lay_out(payload, Layout::Dense)?).ok()
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_shown(character) || keep(character) {
            shown.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}"); // a string takes everything
            }
        }
    }
    shown
}

/// Valid JSON with other spaces between its tokens; `None` if it is nested too deep.
fn spaced(text: &str, layout: Layout) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut quoted, mut escape) = (0_usize, false, false);
    let mut characters = text.chars().peekable();
    let pretty = layout == Layout::Pretty;
    let turn = |out: &mut String, depth: usize| {
        if pretty {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    while let Some(character) = characters.next() {
        if quoted {
            out.push(character);
            quoted = character != '"' || escape;
            escape = character == '\\' && !escape;
            continue;
        }
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return None;
                }
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if !matches!(characters.peek(), Some('}' | ']')) {
                    turn(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !out.ends_with(['{', '[']) {
                    turn(&mut out, depth);
                }
                out.push(character);
            }
            ',' => {
                out.push(',');
                turn(&mut out, depth);
            }
            ':' => out.push_str(if pretty { ": " } else { ":" }),
            '"' => {
                quoted = true;
                out.push('"');
            }
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_keep_their_order_numbers_and_escapes() {
        let payload = br#" {"b":12345678901234567890123, "a" : [1.0,{ } ,[ ]],"c":"x\"}\\"} "#;
        let dense = r#"{"b":12345678901234567890123,"a":[1.0,{},[]],"c":"x\"}\\"}"#;
        assert_eq!(lay_out(payload, Layout::Dense).unwrap(), dense);
        let pretty = "{\n  \"b\": 12345678901234567890123,\n  \"a\": [\n    1.0,\n    {},\n    []\n  ],\n  \
                      \"c\": \"x\\\"}\\\\\"\n}";
        assert_eq!(lay_out(payload, Layout::Pretty).unwrap(), pretty);
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_left_alone() {
        assert_eq!(lay_out(b"{", Layout::Pretty), None);
        assert_eq!(lay_out(b"\xff", Layout::Pretty), None);
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(lay_out(deep(DEPTH_MAX).as_bytes(), Layout::Pretty).is_some());
        for depth in [DEPTH_MAX + 1, 1 << 20] {
            assert_eq!(lay_out(deep(depth).as_bytes(), Layout::Pretty), None);
        }
    }

    #[test]
    fn lines_hold_no_control_characters_and_mean_the_same() {
        let text = "\u{1b}[2J\u{9b}\u{202e}\u{7f}\n\u{1f600}\u{e0001}";
        let line = line(&text).unwrap();
        assert!(line.chars().all(is_shown), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        let payload = format!("\"{}\"", "\u{202e}\u{e0001}");
        let shown = lay_out(payload.as_bytes(), Layout::Dense).unwrap();
        assert_eq!(shown, "\"\\u202e\\udb40\\udc01\"");
    }
}
