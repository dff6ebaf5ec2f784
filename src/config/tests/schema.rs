//! Tests of the JSON Schema: it accepts what the server accepts, and the documentation tells of all that it names.

use serde_json::Value;

use super::*;
use crate::config::schema::{Leaf, leaves};

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// Files, and whether a server can start with them.
const SAMPLES: [(&str, bool); 52] = [
    ("", true),
    ("data = 'x'", true),
    ("data = 7", false),
    ("dat = 'x'", false),
    ("http = { workers = 3 }", true),
    ("http = { workers = 0 }", false),
    ("http = { workers = -1 }", false),
    ("http = { workers = 'three' }", false),
    ("http = { worker = 3 }", false),
    ("http = []", false),
    ("fhir = { page_size = 5, versioning = { default = 'versioned' } }", true),
    ("fhir = { versioning = { default = 'sometimes' } }", false),
    ("fhir = { versioning = { types = { Device = 'no-version' } } }", true),
    ("fhir = { versioning = { types = { Device = 'never' } } }", false),
    ("fhir = { packages = ['a.tgz'] }", true),
    ("fhir = { packages = 'a.tgz' }", false),
    ("resourceVersionPolicyConfiguration = { default = 'no-version' }", true),
    ("resourceVersionPolicyConfiguration = { resourceTypeOverrides = { Device = 'versioned' } }", true),
    ("resourceVersionPolicyConfiguration = { overrides = {} }", false),
    ("corsConfiguration = { allowedOrigins = ['https://a.example'], maxAge = 60 }", true),
    ("corsConfiguration = { origins = ['*'], headers = ['*'], methods = ['GET'] }", true),
    ("corsConfiguration = { allowed_origins = ['*'] }", false),
    ("corsConfiguration = { maxAge = 100000 }", false),
    ("exportConfiguration = { storageAccountName = 'bulk' }", true),
    ("exportConfiguration = { storageAccount = 'bulk' }", false),
    ("export = { kept_for_h = 48, jobs_max = 5 }", true),
    ("workspaces = { a = { export = { file_resources_max = 0 } } }", false),
    ("workspaces = {}", false),
    ("workspaces = { a = {} }", true),
    ("workspaces = { A = {} }", false),
    ("workspaces = { health = {} }", false),
    ("workspaces = { a = { fhir = { page_size = 5 }, feed = { replicas = 3 } } }", true),
    ("workspaces = { a = { database = { connections_max = 5 } } }", false),
    ("workspaces = { a = { services = {} } }", false),
    ("workspaces = { a = { services = { b = {} } } }", false),
    ("workspaces = { a = { services = { b = { kind = 'fhir' } } } }", true),
    ("workspaces = { a = { services = { b = { kind = 'ftp' } } } }", false),
    ("workspaces = { a = { services = { b = { kind = 'fhir', feed = { replicas = 3 } } } } }", false),
    (
        "workspaces = { a = { services = { b = { kind = 'fhir', corsConfiguration = { maxAge = 5 } } } } }",
        true,
    ),
    ("limits = { requests_per_second = 5, requests_burst = 9 }", true),
    ("workspaces = { a = { limits = { client_concurrent_max = 0 } } }", false),
    ("http = { tls = { certificate = '/nonexistent' } }", false),
    ("search = { criteria_max = 5, links_max = 0 }", true),
    ("database = { url = 'postgresql://u@h/d' }", true),
    ("database = { url = { vault = 'x' } }", false),
    ("smart = { open_registration = true, access_token_s = 60 }", true),
    ("smart = { access_token_s = 0 }", false),
    (
        "smart = { clients = [{ client_id = 'a', client_name = 'A', scope = 'launch/patient patient/*.rs', \
      redirect_uris = ['https://a.example/back'] }] }",
        true,
    ),
    (
        "smart = { clients = [{ client_id = 'a', client_name = 'A', scope = 'patient/*.rs', secret = 'x' }] }",
        false,
    ),
    ("smart = { clients = [{ client_id = 'a' }] }", false),
    (
        "workspaces = { a = { services = { b = { kind = 'fhir', smart = { open_registration = true } } } } }",
        false,
    ),
    ("subscriptions = { topics = { 'http://a' = { resource = 'Patient', on = ['create'] } } }", true),
];

fn validator() -> jsonschema::Validator {
    let schema = super::super::schema();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn as_json(file: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(file).unwrap()).unwrap()
}

#[test]
fn the_schema_accepts_what_the_server_accepts() {
    let validator = validator();
    for (file, is_fine) in SAMPLES {
        let read = load(file, &[], vec![]);
        assert_eq!(read.is_ok(), is_fine, "the server, {file}: {read:?}");
        let refused: Vec<String> =
            validator.iter_errors(&as_json(file)).map(|error| error.to_string()).collect();
        assert_eq!(refused.is_empty(), is_fine, "the schema, {file}: {refused:?}");
    }
}

#[test]
fn a_secret_may_stand_elsewhere_by_the_schema_too() {
    let validator = validator();
    for url in ["{ env = 'A' }", "{ file = '/a' }"] {
        assert!(validator.is_valid(&as_json(&format!("database = {{ url = {url} }}"))), "{url}");
    }
    assert!(!validator.is_valid(&as_json("database = { url = { env = 'A', file = '/b' } }")));
}

#[test]
fn every_setting_says_what_it_is() {
    let schema = super::super::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let leaves = leaves();
    assert!(leaves.iter().any(|leaf| leaf.path == "corsConfiguration.allowedOrigins"), "{leaves:#?}");
    assert!(leaves.iter().any(|leaf| leaf.path == "workspaces.NAME.services.NAME.kind"));
    for leaf in leaves {
        assert!(!leaf.description.is_empty(), "{} has no description", leaf.path);
    }
}

/// The beginning of the row of the documentation that a setting has to have.
fn row(leaf: &Leaf) -> String {
    let default = match &leaf.default {
        None => String::new(),
        Some(Value::String(text)) => format!("`{text}` "),
        Some(value) => format!("`{value}` "),
    };
    format!("| `{}` | {default}|", leaf.path)
}

#[test]
fn the_documentation_names_every_setting_with_its_default_and_no_other() {
    let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
    let leaves = leaves();
    let missing: Vec<String> = leaves
        .iter()
        // The number of workers is that of the cores.
        .filter(|leaf| leaf.path != "http.workers")
        .map(|leaf| (row(leaf), leaf))
        .filter(|(start, _)| !rows.iter().any(|row| row.starts_with(start)))
        .map(|(start, leaf)| format!("{start} {} |", leaf.description.replace('\n', " ")))
        .collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks, or tells otherwise:\n{}", missing.join("\n"));
    let paths: BTreeSet<&str> = leaves.iter().map(|leaf| leaf.path.as_str()).collect();
    for row in rows {
        let path = row.split('`').nth(1).unwrap();
        assert!(paths.contains(path), "docs/configuration.md tells of {path}, which is no setting");
    }
}

#[test]
fn the_examples_of_the_documentation_are_fine() {
    let validator = validator();
    let mut count = 0;
    for page in
        [PAGE, include_str!("../../../docs/running.md"), include_str!("../../../docs/subscriptions.md")]
    {
        let toml = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for example in toml {
            let refused: Vec<String> =
                validator.iter_errors(&as_json(example)).map(|error| error.to_string()).collect();
            assert!(refused.is_empty(), "{example}\n{refused:?}");
            let secrets = [("DATABASE_URL", "postgresql://u@h/d")];
            read(".toml", example, &secrets, vec![]).unwrap();
            count += 1;
        }
        let yaml = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for example in yaml {
            read(".yaml", example, &[("DATABASE_URL", "postgresql://u@h/d")], vec![]).unwrap();
            count += 1;
        }
    }
    assert!(count >= 3, "{count} examples");
}
