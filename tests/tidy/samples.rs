//! A bad sample for each check, and good ones that look bad.

use super::lexer::{bare, functions, lines_before_tests, names_after};
use super::*;

fn faults(check: fn(&Source) -> Faults, path: &str, text: &str) -> Faults {
    check(&Source::new(path, text))
}

/// A file of `lines` lines.
fn lines(lines: usize) -> String {
    "//! Header.\n".to_owned() + &"\n".repeat(lines - 1)
}

#[test]
fn a_missing_header_is_found() {
    assert!(faults(header, "src/a.rs", "//! Owns a.\n").is_empty());
    assert_eq!(faults(header, "src/a.rs", "use std::fs;\n").len(), 1);
    assert_eq!(faults(header, "src/a.rs", "// Not a header.\n").len(), 1);
}

#[test]
fn a_long_file_is_found() {
    let tests = "#[cfg(test)]\nmod tests {\n}\n";
    assert!(faults(file_length, "src/a.rs", &(lines(400) + tests)).is_empty());
    assert_eq!(faults(file_length, "src/a.rs", &(lines(401) + tests)).len(), 1);
    assert_eq!(faults(file_length, "examples/a.rs", &lines(401)).len(), 1);
    for tests in ["tests/it/main.rs", "src/a/tests.rs", "src/a_tests.rs"] {
        assert!(faults(file_length, tests, &lines(600)).is_empty());
        assert_eq!(faults(file_length, tests, &lines(601)).len(), 1);
    }
}

#[test]
fn only_test_modules_end_the_count() {
    assert_eq!(lines_before_tests("a\n#[cfg(test)]\nmod tests;\nb\n"), 1);
    assert_eq!(lines_before_tests("a\n#[cfg(test)]\n#[expect(x)]\nmod crash_tests {\n}\n"), 1);
    assert_eq!(lines_before_tests("#[cfg(test)]\nmod simulated;\na\n"), 3);
    assert_eq!(lines_before_tests("    #[cfg(test)]\nmod tests;\n"), 2);
    assert_eq!(lines_before_tests("#[cfg(test)]"), 1);
}

#[test]
fn a_long_function_is_found() {
    let body = |lines: usize| format!("fn long(\n) -> [u8; 4] {{{}}}\n", "\n".repeat(lines - 2));
    assert!(faults(function_length, "src/a.rs", &body(70)).is_empty());
    let found = faults(function_length, "src/a.rs", &("\n".to_owned() + &body(71)));
    assert_eq!(found, ["src/a.rs:2: `long` has 71 lines; the bound is 70"]);
}

#[test]
fn functions_are_told_from_what_looks_like_them() {
    let text = bare(
        "trait T { fn declared(&self) -> [u8; 2]; }\n\
         fn one(f: fn(u8) -> u8) { let x = \"fn two() {\"; }\n\
         // fn three() {\n\
         fn four() { fn five() {} let brace = '{'; }\n",
    );
    let names: Vec<_> = functions(&text).into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, ["one", "four", "five"]);
}

#[test]
fn an_import_that_points_up_is_found() {
    let table = [
        ("src/log/frame.rs", "use crate::ledger::Ledger;", "not below"),
        ("src/ledger/mod.rs", "use crate::log::Log;", "not below"),
        ("src/ledger/mod.rs", "use crate::storage::Storage;", "pure"),
        ("src/clock.rs", "fn f(_: crate::waiters::Waiters) {}", "not below"),
        ("src/clock.rs", "use super::stream::Stream;", "not below"),
        ("src/log/frame.rs", "use super::super::group::Group;", "not below"),
        (
            "src/error.rs",
            "use crate::{\n    id::EntryId,\n    stream::{Stream, log},\n};",
            "not below",
        ),
        ("src/log/frame.rs", "use crate::Error;", "is no module"),
        ("src/novel.rs", "", "has no layer"),
    ];
    for (path, text, words) in table {
        let found = faults(imports, path, text);
        assert!(found.len() == 1 && found[0].contains(words), "{path} {text}: {found:?}");
    }
}

#[test]
fn imports_that_point_down_or_sideways_are_no_faults() {
    let table = [
        ("src/error.rs", "use crate::id::EntryId;"),
        ("src/log/frame.rs", "use crate::{error::Error, storage::{Region, group}};"),
        ("src/log/frame.rs", "use super::group; use crate::log::index;"),
        ("src/group.rs", "use crate::stream::Stream; use crate::ledger::Ledger;"),
        ("src/clock.rs", "// use crate::stream::Stream;\npub(crate) fn f() {}"),
        ("src/clock.rs", "mod manual; use manual::Face; use self::parker::Parker;"),
        ("src/lib.rs", "pub use crate::stream::Stream;"),
        ("tests/it/main.rs", "use crate::anything::at_all;"),
    ];
    for (path, text) in table {
        assert_eq!(faults(imports, path, text), Faults::new(), "{path} {text}");
    }
}

#[test]
fn no_module_is_in_two_layers_and_all_exceptions_name_one() {
    let all: Vec<_> = LAYERS.iter().flat_map(|layer| layer.modules).collect();
    for module in &all {
        assert_eq!(all.iter().filter(|other| other == &module).count(), 1, "{module}");
    }
    for (from, to, _) in APART {
        assert!(layer_of(from) > layer_of(to), "{from} may not name {to} anyway");
    }
}

#[test]
fn unsafe_code_elsewhere_is_found() {
    let text = "fn f() { unsafe { g() } }";
    assert_eq!(faults(unsafe_code, "src/log/frame.rs", text).len(), 1);
    assert!(faults(unsafe_code, UNSAFE[0].0, text).is_empty());
    let harmless = "#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";";
    assert!(faults(unsafe_code, "src/lib.rs", harmless).is_empty());
}

#[test]
fn a_note_to_self_is_found_in_comments_and_code() {
    for note in NOTES {
        assert_eq!(faults(notes, "src/a.rs", &format!("// {note}: later\n")).len(), 1);
        assert!(faults(notes, "src/a.rs", &format!("const {note}S: u8 = 1;\n")).is_empty());
    }
}

#[test]
fn a_sleep_is_found() {
    for text in [
        "fn f() { std::thread::sleep(d); }",
        "use std::thread::sleep;",
        "use std::{thread::{scope, sleep}};",
    ] {
        assert_eq!(faults(sleeps, "tests/it/main.rs", text).len(), 1, "{text}");
    }
    assert!(faults(sleeps, "src/a.rs", "fn f() { clock.sleep(); } // thread::sleep").is_empty());
}

#[test]
fn literals_and_comments_are_blanked_and_nothing_else() {
    let table = [
        ("a // b", "a     "),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("}\"}") g"#, "f(      ) g"),
        (r##"r#"a"b"# c"##, "         c"),
        (r#"br"\" c"#, "      c"),
        ("'{' + '\\'' + b'}'", "    +      + b   "),
        ("&'a str", "&'a str"),
        ("r#fn x", "r#fn x"),
        ("\"a\nb\" c", "  \n   c"),
        ("\"ü\" c", "     c"),
        ("number\"x\"", "number   "),
        ("\"open", "     "),
    ];
    for (text, expected) in table {
        assert_eq!(bare(text), expected, "{text}");
    }
}

#[test]
fn names_are_found_behind_a_path() {
    let names = |text| -> Vec<_> {
        names_after(text, "crate::").into_iter().map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(names("use crate::a::b; $crate::c!()"), ["a", "c"]);
    assert_eq!(names("use crate::{a, b::{c, d}, e::f};"), ["a", "b", "e"]);
    assert_eq!(names("use subcrate::a; pub(crate) use b::c;"), Vec::<String>::new());
}
