//! Tests of secrets: from variables and files, and shown nowhere.

use std::os::unix::fs::PermissionsExt;

use super::*;

const ADDRESS: &str = "postgresql://u:geheim@h/d";

#[test]
fn a_secret_is_taken_from_a_variable_or_a_file() {
    let environment = [("DATABASE", ADDRESS)];
    let loaded = read(".toml", "[database]\nurl = { env = 'DATABASE' }\n", &environment, vec![]).unwrap();
    assert_eq!(loaded.settings.database.url, Some(Secret::new(ADDRESS)));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{ADDRESS}").unwrap();
    let text = format!("database:\n  url: {{ file: '{}' }}\n", file.path().display());
    let loaded = read(".yml", &text, &[], vec![]).unwrap();
    assert_eq!(loaded.settings.database.url, Some(Secret::new(ADDRESS)), "without the newline");
    assert_eq!(loaded.warnings, [], "only its owner can read it");
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = read(".yml", &text, &[], vec![]).unwrap().warnings;
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.to_string().contains("database.url: everybody on this machine can read"), "{warning}");
}

#[test]
fn a_secret_that_cannot_be_had_is_told_with_its_place() {
    for (value, told) in [
        ("{ env = 'NOT_THERE' }", "FILE:2:7: database.url: the variable NOT_THERE is not set"),
        ("{ file = '/nonexistent/x' }", "FILE:2:7: database.url: cannot read /nonexistent/x: "),
        ("{ file = '/' }", "FILE:2:7: database.url: / is no file"),
        (
            "{ vault = 'x' }",
            "FILE:2:7: database.url: expected text, { env = \"NAME\" } or { file = \"/path\" }",
        ),
        ("{ env = 'A', file = '/b' }", "FILE:2:7: database.url: expected text, {"),
        ("7", "FILE:2:7: database.url: expected text, {"),
    ] {
        let refused = load(&format!("[database]\nurl = {value}\n"), &[], vec![]).unwrap_err();
        assert!(refused.starts_with(told), "{refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
}

#[test]
fn secrets_are_shown_nowhere() {
    let environment = [("ANAMNESIS_DATABASE_URL", ADDRESS), ("ANAMNESIS_NATS_URL", "nats://x:geheim@h")];
    let settings = load("", &environment, vec![]).unwrap();
    let shown = format!("{settings:?}{}", toml::to_string(&settings).unwrap());
    assert!(shown.contains("(hidden)") && !shown.contains("geheim"), "{shown}");
    // Nor in errors, wherever they stand by mistake.
    for file in [
        "[database]\nurl = 'postgres://u:geheim@h:port:port'\n[nats]\nurl = 'nats://x:geheim@h:99999999'\n",
        "[database]\nconnections_max = 'geheim'\n",
        "listen = 'geheim'\n[log]\nfilter = 'geheim=geheim=geheim'\n",
        "[workspaces.a.services.b]\nkind = 'fhir'\npublic_url = 'ftp://u:geheim@h'\n",
    ] {
        let refused = load(file, &[], vec![]).unwrap_err();
        assert!(!refused.contains("geheim"), "{refused}");
    }
}
