//! The rules of the source tree itself: what a reader may count on in every file.
//!
//! | rule | bound |
//! |---|---|
//! | a file opens with a `//!` header | |
//! | a file is short | 400 lines before its tests, 600 for a file of tests |
//! | a function fits a screen | 70 lines |
//! | imports point down | `LAYERS`, `APART` |
//! | unsafe code is in one file of the crate | `UNSAFE` |
//! | no notes to self | `NOTES` |
//! | nothing sleeps | |
//!
//! Files are read by a few lines of lexing and not by a parser: comments and literals are blanked
//! first, and the rest is matched as words and braces. Each check takes text and gives faults
//! back, and `samples.rs` shows that it can fail.

mod lexer;
mod samples;

use std::fs;
use std::path::Path;

use lexer::{bare, functions, lines_before_tests, names_after, words};

/// Modules of `src`, lowest layer first. A module may name those of lower layers and itself; its
/// peers too where the layer says so. A root file and a folder of the same name are one module.
const LAYERS: &[Layer] = &[
    Layer { modules: &["error", "id", "observe"], peers: true },
    Layer {
        modules: &[
            "assign",
            "binary",
            "blocked",
            "clock",
            "durability",
            "hash",
            "latch",
            "limits",
            "loss",
            "recovery",
            "retention",
            "start",
            "subject",
            "tally",
        ],
        peers: false,
    },
    Layer { modules: &["storage", "waiters"], peers: false },
    Layer { modules: &["ledger", "log"], peers: false },
    Layer { modules: &["backup", "entry", "events", "info", "letter", "parked"], peers: false },
    Layer { modules: &["letters"], peers: false },
    Layer { modules: &["engine"], peers: false },
    Layer {
        modules: &[
            "backoff", "batch", "claim", "consumer", "delivery", "entries", "group", "history",
            "options", "pending", "policy", "reader", "stream", "typed",
        ],
        peers: true,
    },
    Layer { modules: &["simulation"], peers: false },
];

/// What a layer below holds, and a module must not know all the same: `(module, other, why)`.
const APART: &[(&str, &str, &str)] = &[
    ("ledger", "storage", "the ledger is pure"),
    ("ledger", "waiters", "the ledger is pure"),
    ("log", "waiters", "the log knows nothing of groups"),
];

/// The files with unsafe code: one of the crate, and what no user ever builds.
const UNSAFE: &[(&str, &str)] = &[
    ("src/storage/mapping.rs", "copies in and out of maps"),
    ("benches/throughput/floor.rs", "the floor maps a file without the crate's code between"),
    ("benches/pending.rs", "an allocator that counts is an unsafe trait"),
];

/// Notes to self, which are written down elsewhere or acted on. Pasted together here, since this
/// file is checked too.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// What is longer than its bound, and why it has to be: `(path, "file" or a function, reason)`.
const EXCUSED: &[(&str, &str, &str)] = &[];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 400;
const TESTS_LINES_MAX: usize = 600;

struct Layer {
    modules: &'static [&'static str],
    /// Whether modules of this layer may name each other.
    peers: bool,
}

/// One file: its path from the root of the package, and its text as it is and without comments
/// and literals (these are blanked, so lines and columns agree).
struct Source {
    path: String,
    text: String,
    bare: String,
}

/// What is wrong, in words that tell where and what to do.
type Faults = Vec<String>;

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), bare: bare(text) }
    }

    /// The line of a byte position, counted from 1.
    fn line(&self, position: usize) -> usize {
        self.bare[..position].matches('\n').count() + 1
    }

    fn at(&self, position: usize) -> String {
        format!("{}:{}", self.path, self.line(position))
    }

    /// The module of `src` that the file belongs to; none for `lib.rs` and files elsewhere. Binaries
    /// are crates of their own.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?;
        let name = name.strip_suffix(".rs").unwrap_or(name);
        (!matches!(name, "lib" | "bin")).then_some(name)
    }

    /// Whether the file's parent module is the crate's root.
    fn is_root(&self) -> bool {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.trim_end_matches("/mod.rs").matches('/').count() == 0
    }

    fn holds_tests_only(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs")
    }
}

fn header(source: &Source) -> Faults {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!("{}: opens without a `//!` header that says what it owns", source.path)]
}

fn file_length(source: &Source) -> Faults {
    let max = if source.holds_tests_only() { TESTS_LINES_MAX } else { FILE_LINES_MAX };
    let lines = lines_before_tests(&source.text);
    if lines <= max || excused(&source.path, "file") {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines before its tests; the bound is {max}", source.path)]
}

fn function_length(source: &Source) -> Faults {
    let mut faults = Vec::new();
    for (name, start, end) in functions(&source.bare) {
        let lines = source.line(end) - source.line(start) + 1;
        if lines > FUNCTION_LINES_MAX && !excused(&source.path, name) {
            let at = source.at(start);
            faults.push(format!("{at}: `{name}` has {lines} lines; the bound is 70"));
        }
    }
    faults
}

fn imports(source: &Source) -> Faults {
    let Some(module) = source.module() else { return Vec::new() };
    if layer_of(module).is_none() {
        let path = &source.path;
        return vec![format!(
            "{path}: `{module}` has no layer; add it to LAYERS in tests/tidy/main.rs"
        )];
    }
    let mut named = names_after(&source.bare, "crate::");
    // `super` says `crate` in a root file, and two of them in a folder's files. A child may have
    // the name of a root module, so here only known names count.
    let up = if source.is_root() { "super::" } else { "super::super::" };
    let climbed = names_after(&source.bare, up);
    named.extend(climbed.into_iter().filter(|(name, _)| layer_of(name).is_some()));
    let mut faults = Vec::new();
    for (name, position) in named {
        if let Some(fault) = judge_import(module, name) {
            faults.push(format!("{}: {fault}", source.at(position)));
        }
    }
    faults
}

fn judge_import(module: &str, named: &str) -> Option<String> {
    if module == named {
        return None;
    }
    let Some(layer) = layer_of(named) else {
        return Some(format!(
            "`crate::{named}` is no module in LAYERS of tests/tidy/main.rs; add it there, or name the \
             item by the module that defines it"
        ));
    };
    let apart = APART.iter().find(|(from, to, _)| *from == module && *to == named);
    if let Some((_, _, why)) = apart {
        return Some(format!("`{module}` names `{named}`, but {why}"));
    }
    let own = layer_of(module)?;
    let may = layer < own || layer == own && LAYERS[own].peers;
    (!may).then(|| format!("`{module}` names `{named}`, which is not below it; see LAYERS"))
}

fn unsafe_code(source: &Source) -> Faults {
    if UNSAFE.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    let places = words(&source.bare, "unsafe");
    places.map(|at| format!("{}: unsafe code belongs to {}", source.at(at), UNSAFE[0].0)).collect()
}

fn notes(source: &Source) -> Faults {
    let mut faults = Vec::new();
    for note in NOTES {
        for position in words(&source.text, note) {
            faults.push(format!("{}: {note} is left in the code", source.at(position)));
        }
    }
    faults
}

fn sleeps(source: &Source) -> Faults {
    let named = names_after(&source.bare, "thread::");
    let sleeps = named.into_iter().filter(|(name, _)| *name == "sleep");
    sleeps.map(|(_, at)| format!("{}: nothing sleeps; wait on the clock", source.at(at))).collect()
}

fn excused(path: &str, what: &str) -> bool {
    EXCUSED.iter().any(|(file, part, _)| *file == path && *part == what)
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.modules.contains(&module))
}

/// Every Rust file of the package, and of the one that fuzzes it; not what is built or found there.
/// A directory with a manifest of its own is another package.
fn tree() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for top in ["src", "tests", "examples", "benches", "fuzz/src", "fuzz/fuzz_targets"] {
        if root.join(top).is_dir() {
            collect(root, &root.join(top), &mut sources);
        }
    }
    sources
}

fn collect(root: &Path, dir: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("a directory of the package can be listed") {
        let path = entry.expect("a directory of the package can be listed").path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() {
                collect(root, &path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("source files are text");
            let inside = path.strip_prefix(root).expect("it was found below the root");
            sources.push(Source::new(&inside.to_string_lossy().replace('\\', "/"), &text));
        }
    }
}

fn assert_tidy(check: fn(&Source) -> Faults) {
    let mut faults: Faults = tree().iter().flat_map(check).collect();
    faults.sort();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_file_opens_with_a_header() {
    assert_tidy(header);
}

#[test]
fn files_are_short() {
    assert_tidy(file_length);
}

#[test]
fn functions_fit_a_screen() {
    assert_tidy(function_length);
}

#[test]
fn imports_point_down() {
    assert_tidy(imports);
}

#[test]
fn unsafe_code_is_in_one_file() {
    assert_tidy(unsafe_code);
}

#[test]
fn no_notes_to_self_are_left() {
    assert_tidy(notes);
}

#[test]
fn nothing_sleeps() {
    assert_tidy(sleeps);
}

#[test]
fn excuses_are_still_needed() {
    for (path, part, _) in EXCUSED {
        let source = tree().into_iter().find(|source| source.path == *path);
        let source = source.unwrap_or_else(|| panic!("{path} is excused, but not there"));
        let long = match *part {
            "file" => lines_before_tests(&source.text) > FILE_LINES_MAX,
            name => functions(&source.bare).iter().any(|(found, start, end)| {
                *found == name && source.line(*end) - source.line(*start) >= FUNCTION_LINES_MAX
            }),
        };
        assert!(long, "{path}: {part} needs no excuse");
    }
}

#[test]
fn the_whole_tree_is_read() {
    let paths: Vec<String> = tree().into_iter().map(|source| source.path).collect();
    for known in [
        "src/lib.rs",
        "src/storage/mod.rs",
        "tests/tidy/main.rs",
        "fuzz/src/lib.rs",
        "fuzz/fuzz_targets/entry.rs",
    ] {
        assert!(paths.iter().any(|path| path == known), "{known} is missing in {paths:?}");
    }
}
