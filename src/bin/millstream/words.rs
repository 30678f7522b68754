//! Numbers, sizes, times and foreign text as people read them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// A number with a comma before every third digit from the end.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 entry`, `2 entries`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A number of entries.
pub(crate) fn entries(number: u64) -> String {
    counted(number, "entry", "entries")
}

/// A size in bytes, to three digits.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, 0);
    while whole >= 1024 {
        (whole, rest, unit) = (whole / 1024, whole % 1024, unit + 1);
    }
    if unit == 0 || whole >= 100 {
        return format!("{whole} {}", UNITS[unit]);
    }
    format!("{whole}.{} {}", rest * 10 / 1024, UNITS[unit])
}

/// A duration in its two greatest units.
pub(crate) fn lasting(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let two = |great: u64, unit: &str, small: u64, then: &str| {
        if small == 0 {
            format!("{great} {unit}")
        } else {
            format!("{great} {unit} {small} {then}")
        }
    };
    match seconds {
        0 if millis == 0 && !time.is_zero() => format!("{} \u{b5}s", time.as_micros()),
        0 if millis > 0 => format!("{millis} ms"),
        0..10 if millis >= 100 => format!("{seconds}.{} s", millis / 100),
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A moment, to the second, in UTC.
pub(crate) fn moment(time: SystemTime) -> String {
    let mut text = String::new();
    // A forged time may lie beyond every calendar.
    match write!(text, "{}", humantime::format_rfc3339_seconds(time)) {
        Ok(()) => text.replace('T', " ").replace('Z', " UTC"),
        Err(_) => "beyond the year 9999".to_owned(),
    }
}

/// How long before `now` something was, in words.
pub(crate) fn ago(time: SystemTime, now: SystemTime) -> String {
    match now.duration_since(time) {
        Ok(ago) if ago < Duration::from_secs(1) => "now".to_owned(),
        Ok(ago) => format!("{} ago", lasting(ago)),
        Err(ahead) => format!("in {}", lasting(ahead.duration())),
    }
}

/// So many in that time, for each second.
pub(crate) fn rate(number: u64, time: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to two digits")]
    let rate = number as f64 / time.as_secs_f64();
    match number {
        0 => "0/s".to_owned(),
        _ if rate < 10.0 => format!("{rate:.2}/s"),
        _ if rate < 1000.0 => format!("{rate:.0}/s"),
        _ => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate is positive, and below the number it is made of"
            )]
            let whole = rate as u64;
            format!("{}/s", count(whole))
        }
    }
}

/// Text that stays on its line and cannot command a terminal: control characters, invisible ones
/// and those that turn the direction of writing are escaped.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        push_plain(&mut shown, character);
    }
    shown
}

/// The same of bytes: what is no UTF-8 is shown as `\xNN`.
pub(crate) fn plain_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_plain(&mut shown, character));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}"); // a string takes everything
        }
    }
    shown
}

fn push_plain(shown: &mut String, character: char) {
    if is_shown(character) && character != '\\' {
        shown.push(character);
    } else {
        shown.extend(character.escape_debug());
    }
}

/// Whether a terminal shows it, and does nothing else with it.
pub(crate) fn is_shown(character: char) -> bool {
    let ascii = character == ' ' || character.is_ascii_graphic();
    // What Unicode calls printable, by the one door to that table: it is not escaped.
    ascii || character.is_alphanumeric() || character.escape_debug().len() == 1
}

/// Cuts text to a width, and says so.
pub(crate) fn cut(text: &str, width: usize) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut short = String::new();
    for character in text.chars() {
        let Some(rest) = left.checked_sub(character.width().unwrap_or(0)) else { break };
        short.push(character);
        left = rest;
    }
    short.push('\u{2026}');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_read_well() {
        let counts = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in counts {
            assert_eq!(count(number), text);
        }
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64.0 MiB"),
            (100 << 20, "100 MiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let rows = [
            (0, "0 s"),
            (7, "7 ms"),
            (1500, "1.5 s"),
            (12_345, "12 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (7_200_000, "2 h"),
            (360_000_000, "4 d 4 h"),
        ];
        for (millis, text) in rows {
            assert_eq!(lasting(Duration::from_millis(millis)), text);
        }
        assert_eq!(lasting(Duration::from_micros(12)), "12 \u{b5}s");
    }

    #[test]
    fn times_beyond_the_calendar_are_no_panic() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(moment(epoch), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(epoch + Duration::from_micros(u64::MAX)), "beyond the year 9999");
        assert_eq!(ago(epoch, epoch + Duration::from_secs(5)), "5 s ago");
        assert_eq!(ago(epoch + Duration::from_secs(5), epoch), "in 5 s");
    }

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n\u{9b}\u{202e}\u{7f}"), {
            "a\\u{1b}[2Jb\\r\\n\\u{9b}\\u{202e}\\u{7f}"
        });
        assert_eq!(plain("\u{e9}\u{65e5} \"it's\" \\"), "\u{e9}\u{65e5} \"it's\" \\\\");
        assert_eq!(plain_bytes(b"a\xffb\0"), "a\\xffb\\0");
        let shown = (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_shown(*c));
        assert_eq!(shown.filter(|character| character.is_control()).count(), 0);
    }

    #[test]
    fn cut_text_says_so_and_fits() {
        assert_eq!(cut("worker", 6), "worker");
        assert_eq!(cut("worker-1", 6), "worke\u{2026}");
        assert_eq!(cut("\u{65e5}\u{65e5}\u{65e5}", 4), "\u{65e5}\u{2026}");
    }

    #[test]
    fn rates_are_for_each_second() {
        assert_eq!(rate(0, Duration::from_secs(60)), "0/s");
        assert_eq!(rate(30, Duration::from_secs(60)), "0.50/s");
        assert_eq!(rate(6000, Duration::from_secs(60)), "100/s");
        assert_eq!(rate(600_000, Duration::from_secs(60)), "10,000/s");
    }
}
