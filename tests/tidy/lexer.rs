//! Reads Rust source as far as the checks need it: words, paths, functions and braces.
//!
//! [`bare`] goes first, and everything else works on what it gives back, so that braces and words
//! in comments and literals do not count. Positions are bytes, the same in both texts.

/// `text` with comments, strings and characters blanked. Newlines stay.
pub(crate) fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after_word = out.ends_with(is_word);
        let literal = literal_length(rest, after_word);
        if literal == 0 {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            // One blank for each byte, so that positions agree.
            out.extend(rest[..literal].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
            rest = &rest[literal..];
        }
    }
    out
}

/// The length of the comment or literal that `rest` starts with; 0 if it starts with neither.
fn literal_length(rest: &str, after_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return 1 + quoted_length(inside, '"');
    }
    if rest.starts_with('\'') {
        return char_length(rest);
    }
    let raw = rest.trim_start_matches(['b', 'c']);
    if !after_word && raw.starts_with('r') {
        let prefix = rest.len() - raw.len() + 1;
        let hashes = raw[1..].bytes().take_while(|b| *b == b'#').count();
        let body = &raw[1 + hashes..];
        if let Some(inside) = body.strip_prefix('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
            return prefix + hashes + 1 + end;
        }
    }
    0
}

/// From behind an opening quote to behind the closing one.
fn quoted_length(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in inside.char_indices() {
        if !escaped && next == quote {
            return at + next.len_utf8();
        }
        escaped = !escaped && next == '\\';
    }
    inside.len()
}

/// A character literal; 0 for a lifetime, which has no quote behind its first character.
fn char_length(rest: &str) -> usize {
    let mut chars = rest[1..].chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => 1 + quoted_length(&rest[1..], '\''),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// Positions of `word` where it stands alone.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        !text[..*at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
    })
}

/// The names that follow `path` (such as `crate::`), one each or in braces, with positions.
pub(crate) fn names_after<'a>(bare: &'a str, path: &str) -> Vec<(&'a str, usize)> {
    let mut names = Vec::new();
    for (at, _) in bare.match_indices(path) {
        // A longer path that ends in this one is another path.
        if bare[..at].ends_with(|c: char| is_word(c) || c == ':' && path.starts_with("super")) {
            continue;
        }
        let start = at + path.len();
        let starts = match bare[start..].strip_prefix('{') {
            Some(group) => group_starts(group).map(|inner| start + 1 + inner).collect(),
            None => vec![start],
        };
        for start in starts {
            let name = bare[start..].split(|c| !is_word(c)).next().unwrap_or("");
            if !name.is_empty() && name != "super" {
                names.push((name, start));
            }
        }
    }
    names
}

/// Where the items of a braced list start; `group` begins behind the opening brace.
fn group_starts(group: &str) -> impl Iterator<Item = usize> {
    let (mut depth, mut starts, mut expects) = (0_u32, Vec::new(), true);
    for (at, next) in group.char_indices() {
        match next {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            _ if expects && !next.is_whitespace() => {
                starts.push(at);
                expects = false;
            }
            _ => {}
        }
    }
    starts.into_iter()
}

/// Functions with a body: name, position of `fn`, position of the closing brace.
pub(crate) fn functions(bare: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    for start in words(bare, "fn") {
        let rest = bare[start + 2..].trim_start();
        let name = rest.split(|c| !is_word(c)).next().unwrap_or("");
        if name.is_empty() {
            continue; // A function pointer's type.
        }
        if let Some(open) = body_start(&bare[start..])
            && let Some(length) = braces_length(&bare[start + open..])
        {
            found.push((name, start, start + open + length - 1));
        }
    }
    found
}

/// The brace that opens the body of a function; none if a `;` ends it first.
fn body_start(signature: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, next) in signature.char_indices() {
        match next {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn braces_length(body: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, next) in body.char_indices() {
        match next {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Lines up to the first test module at the left margin: one behind `#[cfg(test)]` whose name
/// ends in `tests`.
pub(crate) fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let opens_tests = |at: &usize| {
        let marked = lines[*at].starts_with("#[cfg(test)]");
        let behind = lines[*at + 1..].iter().find(|line| !line.starts_with("#["));
        let name = behind.and_then(|line| line.strip_prefix("mod "));
        marked && name.is_some_and(|name| name.trim_end_matches([' ', '{', ';']).ends_with("tests"))
    };
    (0..lines.len()).find(opens_tests).unwrap_or(lines.len())
}
