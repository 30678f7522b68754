//! Entries as they are shown: a line or a block for people, an object for programs.

use std::fmt::Write as _;
use std::time::SystemTime;

use millstream::{Entry, EntryId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::{Form, Shown};
use super::exit::Failure;
use super::json::{self, Layout};
use super::screen::{BOLD, DIM, Screen};
use super::words::{self, plain, plain_bytes};

/// How many bytes stand in a line of a hexadecimal dump.
const HEX_COLUMNS: usize = 16;

/// An entry for programs. Bytes that are no text are hexadecimal, in fields of their own.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: EntryId,
    timestamp: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(flatten)]
    key: Option<Key<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<SystemTime>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header<'a>>,
    payload_bytes: usize,
    #[serde(flatten)]
    payload: Payload<'a>,
}

#[derive(Debug, Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(&'a str),
    #[serde(rename = "key_hex")]
    Hex(String),
}

#[derive(Debug, Serialize)]
struct Header<'a> {
    name: &'a str,
    #[serde(flatten)]
    value: Value<'a>,
}

#[derive(Debug, Serialize)]
enum Value<'a> {
    #[serde(rename = "value")]
    Text(&'a str),
    #[serde(rename = "value_hex")]
    Hex(String),
}

#[derive(Debug, Serialize)]
enum Payload<'a> {
    #[serde(rename = "payload")]
    Text(&'a str),
    #[serde(rename = "payload_hex")]
    Hex(String),
    #[serde(rename = "payload_json")]
    Json(Box<RawValue>),
}

/// Shows an entry. Where `shown` does not say how much of a payload, it is `cut` bytes for people
/// and all for programs.
pub(crate) fn show(
    screen: &mut Screen,
    entry: &Entry,
    shown: Shown,
    cut: usize,
) -> Result<(), Failure> {
    let most = match shown.cut {
        Some(0) => usize::MAX,
        Some(most) => most,
        None if screen.is_json() => usize::MAX,
        None => cut,
    };
    let whole = entry.payload();
    let part = &whole[..whole.len().min(most)];
    if screen.is_json() {
        return screen.object(&row(entry, part, shown.form));
    }
    let head = head(screen, entry);
    let left = whole.len() - part.len();
    let rest = if left == 0 {
        String::new()
    } else {
        screen
            .paint(DIM, format!(" \u{2026} {} more", words::counted(left as u64, "byte", "bytes")))
    };
    match shown.form {
        Form::Text => screen.line(format!("{head}  {}{rest}", plain_bytes(part))),
        Form::Hex => {
            screen.line(format!("{head}{rest}"))?;
            part.chunks(HEX_COLUMNS)
                .enumerate()
                .try_for_each(|(index, bytes)| screen.line(hex_line(index * HEX_COLUMNS, bytes)))
        }
        Form::Json => match json::lay_out(part, Layout::Pretty) {
            Some(text) => screen.line(format!("{head}\n{text}")),
            None => screen.line(format!("{head}  {}{rest}", plain_bytes(part))),
        },
    }
}

/// What stands before the payload.
fn head(screen: &Screen, entry: &Entry) -> String {
    let mut head = screen.paint(BOLD, entry.id());
    let mut add = |text: String| {
        let _ = write!(head, "  {text}"); // a string takes everything
    };
    add(screen.paint(DIM, words::moment(entry.timestamp())));
    if let Some(subject) = entry.subject() {
        add(plain(subject));
    }
    if let Some(key) = entry.key() {
        add(screen.paint(DIM, format!("key={}", plain_bytes(key))));
    }
    if let Some(due) = entry.due() {
        add(screen.paint(DIM, format!("due={}", words::moment(due))));
    }
    for (name, value) in entry.headers() {
        add(screen.paint(DIM, format!("{}={}", plain(name), plain_bytes(value))));
    }
    head
}

fn row<'a>(entry: &'a Entry, payload: &'a [u8], form: Form) -> Row<'a> {
    let headers = entry.headers().map(|(name, value)| Header {
        name,
        value: match std::str::from_utf8(value) {
            Ok(text) => Value::Text(text),
            Err(_) => Value::Hex(hex(value)),
        },
    });
    let text = || match std::str::from_utf8(payload) {
        Ok(text) => Payload::Text(text),
        Err(_) => Payload::Hex(hex(payload)),
    };
    Row {
        id: entry.id(),
        timestamp: entry.timestamp(),
        subject: entry.subject(),
        key: entry.key().map(|key| match std::str::from_utf8(key) {
            Ok(text) => Key::Text(text),
            Err(_) => Key::Hex(hex(key)),
        }),
        due: entry.due(),
        headers: headers.collect(),
        payload_bytes: entry.payload().len(),
        payload: match form {
            Form::Text => text(),
            Form::Hex => Payload::Hex(hex(payload)),
            Form::Json => json::raw(payload).map_or_else(text, Payload::Json),
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
    }
    text
}

/// A line as `hexdump -C` writes it.
fn hex_line(at: usize, bytes: &[u8]) -> String {
    let mut line = format!("{at:08x} ");
    for column in 0..HEX_COLUMNS {
        if column % 8 == 0 {
            line.push(' ');
        }
        match bytes.get(column) {
            Some(byte) => {
                let _ = write!(line, "{byte:02x} "); // a string takes everything
            }
            None => line.push_str("   "),
        }
    }
    let shown = bytes.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    });
    line.push_str(" |");
    line.extend(shown);
    line.push('|');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_lines_are_those_of_hexdump() {
        let line = hex_line(16, b"order 1001\n\x00\xff");
        let known = "00000010  6f 72 64 65 72 20 31 30  30 31 0a 00 ff           |order 1001...|";
        assert_eq!(line, known);
        assert_eq!(hex_line(0, &[b'x'; 16]).len(), 78);
    }
}
