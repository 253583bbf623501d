//! The tables of `docs/mapping.md`, row by row: each names the tests that hold it.

/// Where these tests stand.
const SOURCES: [&str; 7] = [
    include_str!("aws/crossing.rs"),
    include_str!("aws/mapping.rs"),
    include_str!("aws/messages.rs"),
    include_str!("aws/queues.rs"),
    include_str!("core.rs"),
    include_str!("../clients/test_dead_letters.py"),
    include_str!("../clients/test_interop.py"),
];

/// Whether there is a test of this name: a function in Rust or Python, or a row of a macro that makes some.
fn is_test(name: &str) -> bool {
    let starts = [
        format!("\nfn {name}("),
        format!("\nasync fn {name}("),
        format!("\ndef {name}("),
        format!("\n    {name}: "),
    ];
    !name.is_empty()
        && SOURCES
            .iter()
            .any(|source| starts.iter().any(|start| source.contains(start)))
}

#[test]
fn every_row_of_the_mapping_tables_has_its_test() {
    let page = include_str!("../../docs/mapping.md");
    let (mut rows, mut above) = (0, "");
    for line in page.lines() {
        let is_row = line.starts_with("| ") && !line.starts_with("| ---");
        if is_row && above.starts_with('|') {
            rows += 1;
            let tests = line.rsplit('|').nth(1).unwrap();
            for test in tests.split(',') {
                let name = test.trim().trim_matches('`');
                assert!(is_test(name), "no test '{name}' for: {line}");
            }
        } else if is_row {
            assert!(line.ends_with("| Test |"), "a table without tests: {line}");
        }
        above = line;
    }
    assert!(rows > 50, "the tables are gone");
}
