//! Configurations: whatever stands in the file, reading it ends with settings or with errors that have a place; and what is shown of the
//! settings is read as the same ones.

use std::path::Path;

use anamnesis::config::{Settings, Sources};

pub(crate) const WORDS: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    " = ",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n- ",
    "'",
    "\"",
    "\"\"\"",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: *a",
    "!!int ",
    "---\n",
    "# ",
    "~",
    "workspaces",
    "default",
    "services",
    "fhir",
    "kind = \"fhir\"",
    "kind: fhir",
    "limits",
    "requests_per_second",
    "principal_requests_per_second",
    "principal_requests_burst",
    "audit",
    "enabled",
    "trusted_proxies",
    "10.0.0.0/8",
    "authenticationConfiguration",
    "authority",
    "https://id.example/t",
    "http://127.0.0.1:1/t",
    "audience",
    "app_roles",
    "role_assignments",
    "role",
    "FHIR Data Reader",
    "principalId",
    "principalType",
    "User",
    "corsConfiguration",
    "allowedOrigins",
    "origins",
    "*",
    "https://a.example",
    "encryption",
    "master_key",
    "env",
    "file",
    "listen",
    "127.0.0.1:0",
    "data",
    "log.filter",
    "http",
    "workers",
    "tls",
    "subscriptions",
    "topics",
    "search",
    "feed",
    "true",
    "false",
    "0",
    "-1",
    "1e999",
    "9223372036854775808",
    "inf",
    "1979-05-27T07:32:00Z",
    "public_url",
    "versioning",
    "resourceVersionPolicyConfiguration",
    "types",
    "Patient",
    "no-version",
];

pub(crate) fn run(input: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let of = |suffix: &str| read(&folder.path().join(format!("settings.{suffix}")), input);
    let (toml, yaml) = (of("toml"), of("yaml"));
    format!("{toml} / {yaml}")
}

fn load(file: &Path, text: &[u8]) -> Result<Settings, String> {
    std::fs::write(file, text).unwrap();
    let sources = Sources { file: Some(file.to_owned()), ..Sources::default() };
    Settings::load(&sources).map_err(|error| error.to_string())
}

fn read(file: &Path, text: &[u8]) -> String {
    let settings = match load(file, text) {
        Ok(settings) => settings,
        Err(told) => {
            let name = file.display().to_string();
            let first = told.lines().next().unwrap();
            assert!(first.contains(&name), "it is not told where: {told}");
            return class(&told.replace(&name, ""));
        }
    };
    let shown = toml::to_string_pretty(&settings).unwrap();
    // What is hidden is not there to be read again.
    if shown.contains("(hidden)") {
        return "with secrets".to_owned();
    }
    let beside = |suffix: &str| file.with_file_name(format!("shown.{suffix}"));
    let again = load(&beside("toml"), shown.as_bytes());
    assert_eq!(again.as_ref(), Ok(&settings), "{shown}");
    let shown = serde_json::to_string(&settings).unwrap();
    let again = load(&beside("yaml"), shown.as_bytes());
    assert_eq!(again.as_ref(), Ok(&settings), "{shown}");
    if settings == Settings::default() { "the defaults" } else { "settings" }.to_owned()
}

/// The sort of the first two mistakes: their words, without names and numbers.
fn class(told: &str) -> String {
    let mut class = String::new();
    for line in told.lines().take(2) {
        let mut words = line.split('`').step_by(2).collect::<Vec<_>>().join("_");
        words.retain(|c| c.is_ascii_alphabetic() || c == ' ');
        class.push_str(words.get(..words.len().min(60)).unwrap_or_default());
        class.push('|');
    }
    class
}
