//! Where the output goes wrong, and where what was given is no text: no panic, and the exit code holds.

use std::fs;
use std::io::pipe;
use std::process::Stdio;

use millstream::Stream;

use crate::damage::segment;
use crate::run::{command, millstream, orders, place};

/// A verb, what it needs, and how it ends.
type Run<'a> = (&'a str, &'a [&'a str], i32);

#[test]
fn words_that_nobody_reads_are_no_failure() {
    let (_dir, path) = place();
    orders(&path).close();
    let file = segment(&path);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(7).position(|bytes| bytes == b"order 4").unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
    let runs: [Run<'_>; 3] = [("dump", &[], 1), ("group", &["none"], 3), ("trim", &[], 5)];
    for (verb, rest, code) in runs {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = command(verb, &path, rest).stderr(writer).stdout(Stdio::null()).status();
        assert_eq!(ended.unwrap().code(), Some(code), "{verb}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_the_output_is_a_failure() {
    let (_dir, path) = place();
    orders(&path).close();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command("info", &path, &[]).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(6));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("the output cannot be written"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_directory_whose_name_is_no_text_is_shown_to_people_and_programs() {
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"a\xff\x1b"));
    Stream::open(&path).unwrap().close().unwrap();
    let ran = millstream("info", &path, &[]).with(0).tells("a\u{fffd}\\u{1b}");
    drop(ran);
    let told = millstream("info", &path, &["--json"]).with(0).json();
    assert!(told["path"].as_str().unwrap().ends_with("a\u{fffd}\u{1b}"), "{told}");
}
