//! What we depend on: only under licences that let everybody use, change and share the whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Permissive licences, and the weak copyleft of MPL that ends at its own files.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];
/// Licences beyond those, for single crates, with the reason.
const EXCEPTIONS: [(&str, &str); 1] = [
    // OpenSSL's old licence on parts of AWS-LC's C sources: permissive, with an advertising clause.
    ("aws-lc-sys", "OpenSSL"),
];
/// How many crates may be there in more than one version. Each costs build time; some cannot be avoided, as
/// long as the crates we use do not agree.
const DUPLICATES_MAX: usize = 40;

fn packages() -> Vec<Value> {
    let cargo = env!("CARGO");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn every_licence_is_on_the_list() {
    let mut refused = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        let allowed = |one: &str| {
            ALLOWED.contains(&one) || EXCEPTIONS.iter().any(|(who, which)| *who == name && *which == one)
        };
        if !permits(licence, &allowed) {
            refused.push(format!("{name} {}: {licence}", package["version"].as_str().unwrap()));
        }
    }
    assert!(refused.is_empty(), "not permitted:\n  {}", refused.join("\n  "));
}

#[test]
fn few_crates_are_there_twice() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(twice.len() <= DUPLICATES_MAX, "{} crates are there more than once: {twice:?}", twice.len());
}

/// Whether an SPDX expression can be met with allowed licences alone. `AND` binds stronger than `OR`.
fn permits(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let Some(first) = words.get(*at) else { return false };
    *at += 1;
    if *first == "(" {
        let met = any(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let whole = format!("{first} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
        return allowed(&whole) || allowed(first);
    }
    allowed(first)
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = |one: &str| ["MIT", "Apache-2.0", "Unicode-3.0"].contains(&one);
    for good in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-2.0 OR MIT) AND Unicode-3.0", "Apache-2.0 WITH x"]
    {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none", "", "(MIT", "MIT MIT", "BUSL-1.1"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}
