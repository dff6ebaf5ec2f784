//! The rules of the house that no lint knows: sizes, first lines, layers, purity, marks, frozen files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod tidy {
    pub(crate) mod features;
    pub(crate) mod frozen;
    pub(crate) mod guarantees;
    pub(crate) mod layers;
    pub(crate) mod source;
}

use tidy::source::{Source, sources};

/// A file stops here; it aims at 150 to 300.
const LINES_MAX: usize = 500;

/// Collects what breaks a rule, so that one run shows everything.
fn check(rule: &str, broken: impl IntoIterator<Item = String>) {
    let broken: Vec<String> = broken.into_iter().collect();
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn files_stop_at_500_lines() {
    let long = sources().into_iter().filter(|file| file.text.lines().count() > LINES_MAX);
    check(
        "a file has one idea and at most 500 lines; split it",
        long.map(|file| format!("{} has {}", file.name, file.text.lines().count())),
    );
}

#[test]
fn the_first_line_says_what_the_file_is() {
    let silent = sources().into_iter().filter(|file| {
        let first: Vec<&str> = file.text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        let sentence = first.join(" ");
        // A test file may be named by the interaction alone.
        first.is_empty() || !file.is_test && (!sentence.contains(['.', '?']) || sentence.len() < 15)
    });
    check("a file begins with `//! ` and one sentence that says what it is", silent.map(|file| file.name));
}

#[test]
fn modules_stand_beside_their_folders() {
    let old = sources().into_iter().filter(|file| file.name.ends_with("/mod.rs"));
    check("`foo.rs` stands beside `foo/`; there is no mod.rs", old.map(|file| file.name));
}

#[test]
fn nothing_is_left_unfinished_without_an_issue() {
    // Put together here, so that this file does not find itself.
    let marks = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let macros = ["todo", "unimplemented"].map(|name| format!("{name}!("));
    let marks: Vec<String> = marks.chain(macros).collect();
    let found = sources().into_iter().flat_map(|file| {
        let lines = file.lines_with(|line| marks.iter().any(|mark| has_word(line, mark)) && !has_issue(line));
        lines.into_iter().map(move |line| format!("{}:{line}", file.name))
    });
    check("an unfinished mark names its issue, as in #123", found.collect::<Vec<_>>());
}

/// Whether a mark stands in a line by itself, not inside a longer word.
fn has_word(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + mark.len()..].chars().next().filter(|_| !mark.ends_with('('));
        ![before, after].into_iter().flatten().any(|c| c.is_alphanumeric() || c == '_')
    })
}

fn has_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn no_test_is_skipped() {
    let mark = concat!("#[", "ignore");
    let found = sources().into_iter().flat_map(|file| {
        let lines = file.lines_with(|line| line.trim_start().starts_with(mark));
        lines.into_iter().map(move |line| format!("{}:{line}", file.name))
    });
    check("a test runs or is behind a feature; it is never skipped silently", found.collect::<Vec<_>>());
}

#[test]
fn a_task_has_an_owner() {
    const SPAWNS: [&str; 6] = [
        "tokio::spawn(",
        "tokio::task::spawn(",
        "actix_rt::spawn(",
        "actix_web::rt::spawn(",
        "std::thread::spawn(",
        "thread::spawn(",
    ];
    let bare = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("let _ = ").or_else(|| line.strip_prefix("drop(")).unwrap_or(line);
        SPAWNS.iter().any(|spawn| line.starts_with(spawn))
    };
    let found = sources().into_iter().filter(|file| !file.is_test).flat_map(|file| {
        let lines = file.product().lines_with(bare);
        lines.into_iter().map(move |line| format!("{}:{line}", file.name))
    });
    check("a task has an owner that stops it: keep the handle", found.collect::<Vec<_>>());
}

#[test]
fn only_the_config_reads_the_environment() {
    let reads = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
    check_words(&reads, |file| file.name == "src/config/sources.rs", "only src/config reads the environment");
}

#[test]
fn only_the_clock_reads_time_and_makes_ids() {
    let reads = ["Utc::now", "SystemTime::now", "Uuid::new_v4", "Uuid::now_v7", "thread_rng", "rand::rng("];
    // The logs and the projections take their clock as an option, whose default stands here.
    const WITH_CLOCK: [&str; 4] =
        ["src/clock.rs", "audit/src/options.rs", "events/src/options.rs", "projections/src/runner.rs"];
    let allowed = |file: &Source| WITH_CLOCK.contains(&file.name.as_str());
    let rule = "only src/clock.rs reads time and makes ids";
    check_words(&reads, allowed, rule);
    // The crates below measure their own time-outs.
    check_words(&["Instant::now"], |file| !file.name.starts_with("src/") || allowed(file), rule);
}

#[test]
fn the_pure_parts_are_pure() {
    const IMPURE: [&str; 12] = [
        "async fn",
        ".await",
        "tokio::",
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "Utc::now",
        "SystemTime::now",
        "Instant::now",
        "Uuid::new",
        "rand::",
    ];
    let pure = |file: &Source| {
        file.name.starts_with("fhir/src/") && !file.name.starts_with("fhir/src/bin/")
            || file.name.starts_with("src/decide")
    };
    check_words(&IMPURE, |file| !pure(file), "decide and fhir know no I/O, clock, randomness or async");
}

/// Finds words in the product code of all files but the allowed ones.
fn check_words(words: &[&str], allowed: impl Fn(&Source) -> bool, rule: &str) {
    let mut found = Vec::new();
    for file in sources().into_iter().filter(|file| !file.is_test && !allowed(file)) {
        let lines = file.product().lines_with(|line| {
            let code = line.split("//").next().unwrap_or_default();
            words.iter().any(|word| code.contains(word))
        });
        found.extend(lines.into_iter().map(|line| format!("{}:{line}", file.name)));
    }
    check(rule, found);
}

#[test]
fn crates_and_layers_depend_one_way() {
    check("dependencies point one way", tidy::layers::wrong_dependencies());
}

#[test]
fn frozen_files_are_as_they_were() {
    check(
        "fixtures and recordings are added to, never edited; new ones are listed in tests/tidy/frozen.sha256",
        tidy::frozen::differences(),
    );
}

#[test]
fn the_tests_that_the_guarantees_name_exist() {
    let document = include_str!("../docs/guarantees.md");
    let named = document.matches('`').count();
    assert!(named > 100, "the document names its tests in code quotes");
    check("docs/guarantees.md names tests that exist", tidy::guarantees::missing(document));
}

#[test]
fn the_tests_that_the_features_name_exist() {
    check(
        "docs/features.md names tests that exist",
        tidy::features::wrong(include_str!("../docs/features.md")),
    );
}
