//! The tests that docs/features.md names, row by row: a feature whose test was renamed, moved or removed must not look shown.

use super::source::{Source, sources};

/// What is wrong with the page.
pub(crate) fn wrong(document: &str) -> Vec<String> {
    let files = sources();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with('|')).collect();
    let mut wrong: Vec<String> = rows.iter().flat_map(|row| faults(row, &files)).collect();
    if rows.len() < ROWS_MIN {
        wrong.push(format!("the page has {} rows", rows.len()));
    }
    wrong
}

/// Fewer rows than that are no table of features.
const ROWS_MIN: usize = 100;

/// What is wrong with a row: `| feature | Yes, Partly or No | remark | tests |`.
fn faults(row: &str, files: &[Source]) -> Vec<String> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [feature, here, remark, tests] = cells.as_slice() else {
        return vec![format!("{} cells: {row}", cells.len())];
    };
    if matches!(*here, "here" | "---") {
        return Vec::new();
    }
    let fault = |what: &str| format!("{feature}: {what}");
    let mut faults = Vec::new();
    let is_there = match *here {
        "Yes" | "Partly" => true,
        "No" => false,
        _ => return vec![fault("is it Yes, Partly or No?")],
    };
    if *here != "Yes" && remark.is_empty() {
        faults.push(fault("it does not say what is missing"));
    }
    let mut file: Option<&Source> = None;
    let mut named = 0;
    for quoted in tests.split('`').skip(1).step_by(2) {
        if quoted.ends_with(".rs") {
            file = files.iter().find(|file| file.name == quoted);
            if file.is_none() {
                faults.push(fault(&format!("there is no {quoted}")));
            }
        } else if file.is_none_or(|file| is_test(quoted, &file.text)) {
            named += usize::from(file.is_some());
        } else {
            faults.push(fault(&format!("{quoted} is no test there")));
        }
    }
    if is_there && named == 0 {
        faults.push(fault("no test shows it"));
    }
    faults
}

/// Whether a function is there, and a test: an attribute that says so stands right before it.
fn is_test(name: &str, text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = |line: &str| {
        line.trim_start_matches("pub(crate) ")
            .trim_start_matches("async ")
            .starts_with(&format!("fn {name}("))
    };
    lines.windows(2).any(|pair| {
        declared(pair[1])
            && (pair[0] == "#[test]"
                || pair[0].starts_with("#[tokio::test")
                || pair[0] == "#[actix_rt::test]")
    })
}

#[test]
fn what_is_not_shown_is_seen() {
    let files = sources();
    let row = |here: &str, remark: &str, tests: &str| {
        faults(&format!("| a | {here} | {remark} | {tests} |"), &files).len()
    };
    let own = "`tests/tidy/features.rs`: `what_is_not_shown_is_seen`";
    for (here, remark, tests, count) in [
        ("Yes", "", own, 0),
        ("No", "later", "", 0),
        ("No", "", "", 1),
        ("Yes", "", "", 1),
        ("Maybe", "", own, 1),
        ("Partly", "x", "`tests/tidy/features.rs`: `is_test`", 2),
        ("Yes", "", "`tests/tidy/features.rs`", 1),
        ("Yes", "", "`tests/tidy/nowhere.rs`: `what_is_not_shown_is_seen`", 2),
        ("Yes", "", "`tests/tidy/features.rs`: `what_is_not_shown_is_seen`, `what_is_not`", 1),
        ("Yes", "", "`what_is_not_shown_is_seen`", 1),
    ] {
        assert_eq!(row(here, remark, tests), count, "{here} {remark} {tests}");
    }
}
