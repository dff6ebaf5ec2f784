//! Which crate and which layer may know which: one way, from the outside in.

use std::fs;

use super::source::{root, sources};

/// The crates and those of ours that they may depend on.
const CRATES: [(&str, &[&str]); 6] = [
    ("audit", &[]),
    ("fhir", &[]),
    ("events", &[]),
    ("engines", &[]),
    ("smart", &[]),
    ("projections", &["anamnesis-events", "anamnesis-fhir"]),
];

/// The layers of the root crate and those that they must not mention.
const LAYERS: [(&str, &[&str]); 10] = [
    ("src/access", &["api", "app", "cli", "actors", "decide", "config", "error", "load", "synth"]),
    ("src/audit", &["api", "app", "actors", "cli", "config", "decide", "load", "synth"]),
    ("src/decide", &["api", "app", "actors", "cli", "config", "error", "telemetry", "load", "synth"]),
    ("src/actors", &["api", "app", "cli", "config", "error", "load", "synth"]),
    ("src/synth", &["api", "app", "cli", "actors", "decide", "config", "error", "telemetry"]),
    ("src/load", &["api", "app", "cli", "actors", "decide", "config", "error", "telemetry"]),
    ("src/config", &["api", "app", "cli", "actors", "decide", "error", "telemetry", "load", "synth"]),
    ("src/telemetry", &["api", "app", "cli", "actors", "decide", "error", "load", "synth"]),
    ("src/error", &["api", "app", "cli", "load", "synth"]),
    ("src/api", &["app", "cli", "load", "synth"]),
];

/// Every dependency that points the wrong way.
pub(crate) fn wrong_dependencies() -> Vec<String> {
    let mut wrong = wrong_crates();
    for file in sources().into_iter().filter(|file| !file.is_test) {
        for (layer, forbidden) in LAYERS {
            let inside = file.name.strip_prefix(layer).is_some_and(|rest| rest.starts_with(['/', '.']));
            if !inside {
                continue;
            }
            let mentions = |line: &str| {
                let code = line.split("//").next().unwrap_or_default();
                forbidden.iter().any(|name| mentions_module(code, name))
            };
            let lines = file.product().lines_with(mentions);
            wrong.extend(lines.into_iter().map(|line| format!("{}:{line} looks outward", file.name)));
        }
    }
    wrong
}

/// Whether a line names `crate::name`, and not only something that begins like it.
fn mentions_module(code: &str, name: &str) -> bool {
    let path = format!("crate::{name}");
    code.match_indices(&path).any(|(at, _)| {
        let next = code[at + path.len()..].chars().next();
        !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn wrong_crates() -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let dependencies =
            manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let ours = dependencies.keys().filter(|key| key.starts_with("anamnesis"));
        wrong.extend(
            ours.filter(|key| !allowed.contains(&key.as_str())).map(|key| format!("{name} depends on {key}")),
        );
    }
    wrong
}
