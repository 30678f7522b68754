//! The README says what the examples do.

#[test]
fn the_quick_start_is_the_example_of_that_name() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../examples/quick_start.rs");
    let (_header, code) = example.split_once("\n\n").expect("a header and the code");
    assert!(readme.contains(code.trim_end()), "the README shows another quick start");
}
