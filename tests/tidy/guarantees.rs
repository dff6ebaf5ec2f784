//! The tests that docs/guarantees.md names: a promise whose test was renamed or removed must not look kept.

use super::source::sources;

/// The names of tests in the document that no file has. A test is named in code quotes, by its function.
pub(crate) fn missing(document: &str) -> Vec<String> {
    let functions: Vec<String> = sources()
        .iter()
        .flat_map(|file| file.text.lines())
        .filter_map(|line| Some(line.split_once("fn ")?.1.split_once('(')?.0.to_owned()))
        .collect();
    let is_known = |name: &str| functions.iter().any(|function| function == name);
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter(|text| is_test(text) && !is_known(text)).map(str::to_owned).collect()
}

/// Names of tests are sentences: four words or more.
fn is_test(text: &str) -> bool {
    text.matches('_').count() >= 3
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
