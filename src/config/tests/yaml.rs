//! Tests of files in YAML: the same settings, the same errors with their places.

use super::*;

fn yaml(text: &str) -> Result<Settings, String> {
    read(".yaml", text, &[], vec![]).map(|loaded| loaded.settings)
}

#[test]
fn a_file_in_yaml_says_the_same_as_one_in_toml() {
    let text = "
listen: 127.0.0.1:9090
fhir:
  page_size: 20
  update_creates: false
search:
workspaces:
  clinic:
    feed: { age_max_days: 7 }
    services:
      fhir:
        kind: fhir
        public_url: 'https://example.org/clinic'
        fhir:
          versioning:
            types: { Device: no-version }
        corsConfiguration:
          allowedOrigins: [https://app.example.org]
  lab:
";
    let same = "
listen = '127.0.0.1:9090'
[fhir]
page_size = 20
update_creates = false
[workspaces.clinic.feed]
age_max_days = 7
[workspaces.clinic.services.fhir]
kind = 'fhir'
public_url = 'https://example.org/clinic'
fhir.versioning.types.Device = 'no-version'
corsConfiguration.allowedOrigins = ['https://app.example.org']
[workspaces.lab]
";
    assert_eq!(yaml(text).unwrap(), load(same, &[], vec![]).unwrap());
    assert_eq!(yaml("").unwrap(), Settings::default());
    assert_eq!(yaml("# nothing\n").unwrap(), Settings::default());
}

#[test]
fn mistakes_in_yaml_are_told_with_their_places() {
    let text = "listen: 7\nhttp:\n  worker: 3\n  workers: many\nfhir:\n  page_size: 5\n  page_size: 6\n";
    let told = yaml(text).unwrap_err();
    let lines: BTreeSet<&str> = told.lines().collect();
    let expected = BTreeSet::from([
        "FILE:1:9: listen: expected text, found a whole number",
        "FILE:3:3: http.worker: there is no setting `worker` here; did you mean `workers`?",
        "FILE:4:12: http.workers: expected a whole number that is not negative, found text",
        "FILE:7:3: fhir.page_size: this is set twice",
    ]);
    assert_eq!(lines, expected, "{told}");
    for (text, place) in [
        ("a: [1\nb: 2\n", "FILE:2:"),
        ("a: &x 1\nb: *x\n", "FILE:2:4: b: aliases are not supported"),
        ("data: !!binary aGk=\n", "anchors and tags are not supported"),
        ("data: a\n---\ndata: b\n", "FILE:2:1: only one document is read"),
        ("? [a]\n: b\n", "a name was expected"),
        ("- a\n", "FILE:1:1: expected a table, found a list"),
    ] {
        let told = yaml(text).unwrap_err();
        assert!(told.contains(place), "{text}: {told}");
    }
    let deep = format!("data: {}{}\n", "[".repeat(200), "]".repeat(200));
    assert!(yaml(&deep).unwrap_err().contains("deeper than any setting"));
}

#[test]
fn words_without_quotes_are_what_yaml_1_2_says() {
    assert_eq!(yaml("data: no\n").unwrap().data, PathBuf::from("no"), "a country, not false");
    assert_eq!(yaml("data: '42'\n").unwrap().data, PathBuf::from("42"));
    assert!(yaml("data: 42\n").unwrap_err().contains("expected text, found a whole number"));
    assert!(!fhir(&yaml("fhir: { update_creates: False }\n").unwrap()).update_creates);
    assert!(
        yaml("fhir: { update_creates: no }\n").unwrap_err().contains("expected true or false, found text")
    );
    assert_eq!(fhir(&yaml("fhir: { page_size: 0x10 }\n").unwrap()).page_size, 16);
    assert!(yaml("fhir: { page_size: 5.5 }\n").unwrap_err().contains("found a number with a fraction"));
    assert_eq!(yaml("database: { url: ~ }\n").unwrap().database.url, None);
}
