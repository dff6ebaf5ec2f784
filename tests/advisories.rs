//! What is known of the versions that we depend on: none may have a vulnerability that is not lived with for a reason.
//!
//! The facts are those of a snapshot (advisories/snapshot.toml); `make advisories` asks the database itself where it can be had.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use semver::{Version, VersionReq};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Snapshot {
    gathered: String,
    newest: String,
    looked_up: BTreeSet<String>,
    advisories: Vec<Advisory>,
}

/// What is known of one crate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    package: String,
    id: String,
    #[serde(default = "vulnerability")]
    kind: String,
    patched: Vec<VersionReq>,
    #[serde(default)]
    unaffected: Vec<VersionReq>,
}

#[derive(Deserialize)]
struct Exceptions {
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    package: String,
    id: String,
    reason: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Clone, Deserialize)]
struct Locked {
    name: String,
    version: Version,
    /// None of our own crates.
    source: Option<String>,
}

fn vulnerability() -> String {
    "vulnerability".to_owned()
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Advisory {
    /// Whether a version is affected. A version before a release counts as the release: better one too many.
    fn affects(&self, locked: &Locked) -> bool {
        let Version { major, minor, patch, .. } = locked.version;
        let version = Version::new(major, minor, patch);
        let good = self.patched.iter().chain(&self.unaffected);
        self.package == locked.name && !good.into_iter().any(|range| range.matches(&version))
    }
}

/// What affects the crates that are locked.
fn found<'a>(locked: &'a [Locked], advisories: &'a [Advisory]) -> Vec<(&'a Locked, &'a Advisory)> {
    let of = |one: &'a Locked| {
        advisories.iter().filter(|advisory| advisory.affects(one)).map(move |advisory| (one, advisory))
    };
    locked.iter().flat_map(of).collect()
}

fn foreign() -> Vec<Locked> {
    let lock: Lock = read("Cargo.lock");
    lock.package.into_iter().filter(|locked| locked.source.is_some()).collect()
}

#[test]
fn no_dependency_has_a_vulnerability_that_is_known() {
    let (snapshot, locked): (Snapshot, _) = (read("advisories/snapshot.toml"), foreign());
    let Exceptions { exceptions } = read("advisories/exceptions.toml");
    let is_excepted = |advisory: &Advisory| {
        exceptions.iter().any(|known| known.id == advisory.id && known.package == advisory.package)
    };
    let found = found(&locked, &snapshot.advisories);
    let told: Vec<String> = found
        .iter()
        .filter(|(_, advisory)| !is_excepted(advisory))
        .map(|(one, advisory)| format!("{} {}: {} ({})", one.name, one.version, advisory.id, advisory.kind))
        .collect();
    assert!(
        told.is_empty(),
        "update these, or say in advisories/exceptions.toml why not:\n  {}",
        told.join("\n  ")
    );
    for exception in &exceptions {
        let is_needed = found.iter().any(|(_, advisory)| advisory.id == exception.id);
        assert!(is_needed, "{} of {} affects nothing any more", exception.id, exception.package);
        assert!(exception.reason.trim().len() > 80, "{} needs a reason", exception.id);
    }
    let names: BTreeSet<&String> = locked.iter().map(|one| &one.name).collect();
    let unknown = names.iter().filter(|name| !snapshot.looked_up.contains(**name)).count();
    println!(
        "Gathered {}, newest {}: {} facts; of {} crates {unknown} were not looked up.",
        snapshot.gathered,
        snapshot.newest,
        snapshot.advisories.len(),
        names.len()
    );
}

#[test]
fn the_facts_are_of_crates_that_we_have() {
    let (snapshot, locked): (Snapshot, _) = (read("advisories/snapshot.toml"), foreign());
    for advisory in &snapshot.advisories {
        let is_locked = locked.iter().any(|one| one.name == advisory.package);
        assert!(is_locked && snapshot.looked_up.contains(&advisory.package), "{advisory:?}");
        assert!(
            ["vulnerability", "unsound", "unmaintained"].contains(&advisory.kind.as_str()),
            "{advisory:?}"
        );
    }
}

#[test]
fn versions_that_are_known_to_be_vulnerable_are_found() {
    let snapshot: Snapshot = read("advisories/snapshot.toml");
    for (name, version, ids) in [
        ("rustls", "0.23.44", &["RUSTSEC-2026-0285"][..]),
        ("rustls", "0.23.45", &[]),
        ("rustls", "0.23.12", &[]),
        ("rustls", "0.23.17", &["RUSTSEC-2024-0399", "RUSTSEC-2026-0285"]),
        ("quick-xml", "0.40.1", &["RUSTSEC-2026-0194", "RUSTSEC-2026-0195"]),
        ("quick-xml", "0.41.0", &[]),
        ("tokio", "1.43.0", &["RUSTSEC-2025-0023"]),
        ("tokio", "1.43.1", &[]),
        ("rand", "0.8.5", &["RUSTSEC-2026-0097"]),
        ("rand", "0.8.6", &[]),
        ("ring", "0.16.20", &["RUSTSEC-2025-0009", "RUSTSEC-2025-0010"]),
        ("h2", "0.4.16", &[]),
        ("nobody", "0.1.0", &[]),
    ] {
        let locked = [Locked { name: name.to_owned(), version: version.parse().unwrap(), source: None }];
        let told: Vec<&str> =
            found(&locked, &snapshot.advisories).iter().map(|(_, advisory)| advisory.id.as_str()).collect();
        assert_eq!(told, ids, "{name} {version}");
    }
}
