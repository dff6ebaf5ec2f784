//! Validation, case by case: what is wrong, where it is said to be, and under which code.

mod cases;
mod fixtures;
mod invariants;
mod properties;

use serde_json::{Value as Json, json};

use super::{Issue, IssueCode, Options, Severity, validate};
use crate::json::{Document, Limits};

fn issues_of(resource: &Json) -> Vec<Issue> {
    issues_in(&resource.to_string(), &Options::default())
}

fn issues_in(text: &str, options: &Options) -> Vec<Issue> {
    let document = Document::parse(text, &Limits::default()).unwrap();
    validate(document.root(), options)
}

/// The issues as `code expression`, in order; warnings have a `~` before them.
fn short(issues: &[Issue]) -> Vec<String> {
    let mark = |issue: &Issue| if issue.severity.is_error() { "" } else { "~" };
    issues.iter().map(|issue| format!("{}{} {}", mark(issue), issue.code.code(), issue.expression)).collect()
}

#[test]
fn the_fixtures_are_valid() {
    for resource in fixtures::all() {
        assert_eq!(short(&issues_of(&resource)), Vec::<String>::new(), "{resource}");
    }
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let text = "{\"resourceType\":\"Patient\",\n \"gender\":\"x\",\n  \"birthDate\":\"2024-02-30\",\n\"name\":[{\"given\":[\"a\",\"\"]}]}";
    let issues = issues_in(text, &Options::default());
    assert_eq!(
        short(&issues),
        ["code-invalid Patient.gender", "value Patient.birthDate", "value Patient.name[0].given[1]"]
    );
    let places: Vec<(usize, usize)> = issues.iter().map(|issue| (issue.line, issue.column)).collect();
    assert_eq!(places, [(2, 2), (3, 3), (4, 23)]);
    assert!(issues.iter().all(|issue| text[issue.offset..].starts_with('"')));
    assert_eq!(
        issues[0].diagnostics,
        "the code is not in the required value set: female | male | other | unknown"
    );
}

#[test]
fn values_of_the_client_are_not_repeated() {
    let resource = json!({
        "resourceType": "Patient", "gender": "secret", "birthDate": "secret", "id": "se cret", "x y": "secret",
        "managingOrganization": {"reference": "secret"}, "name": [{"use": "secret", "given": "secret"}],
        "text": {"status": "secret", "div": "secret"}, "active": "secret", "generalPractitioner": [{"type": "secret?"}]
    });
    let issues = issues_of(&resource);
    assert!(issues.len() >= 10);
    for issue in issues {
        assert!(!issue.diagnostics.contains("secret"), "{}", issue.diagnostics);
    }
}

#[test]
fn the_list_is_bounded_and_says_what_is_beyond_it() {
    let names: Vec<Json> = (0..30).map(|_| json!({"given": [" "]})).collect();
    let resource = json!({"resourceType": "Patient", "name": names, "gender": "x"});
    let issues = issues_in(&resource.to_string(), &Options { issues_max: 10, ..Options::default() });
    assert_eq!(issues.len(), 11);
    assert!(issues[..10].iter().all(|issue| issue.severity == Severity::Warning));
    // The error is among those that are not listed, and must not be lost.
    assert_eq!((issues[10].severity, issues[10].code), (Severity::Error, IssueCode::Processing));
    assert_eq!(issues[10].diagnostics, "21 more issues are not listed");
    assert_eq!(issues[10].expression, "Patient");
}

#[test]
fn nesting_is_bounded() {
    let mut extension = json!({"url": "http://example.org/x", "valueString": "end"});
    for _ in 0..30 {
        extension = json!({"url": "http://example.org/x", "extension": [extension]});
    }
    let resource = json!({"resourceType": "Patient", "extension": [extension]});
    assert_eq!(issues_of(&resource), []);
    let options = Options { depth_max: 20, ..Options::default() };
    let issues = issues_in(&resource.to_string(), &options);
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].code, IssueCode::TooLong);
}

#[test]
fn a_conditional_reference_needs_a_transaction_or_the_option() {
    let patient = json!({"resourceType": "Patient", "managingOrganization": {"reference": "Organization?identifier=a|b"}});
    assert_eq!(short(&issues_of(&patient)), ["value Patient.managingOrganization.reference"]);
    let options = Options { conditional_references: true, ..Options::default() };
    assert_eq!(issues_in(&patient.to_string(), &options), []);
    let bundle = |kind: &str| {
        json!({
            "resourceType": "Bundle", "type": kind,
            "entry": [{"resource": patient, "request": {"method": "POST", "url": "Patient"}}]
        })
    };
    assert_eq!(issues_of(&bundle("transaction")), []);
    assert_eq!(
        short(&issues_of(&bundle("collection"))),
        // A collection has no requests either.
        ["value Bundle.entry[0].resource.managingOrganization.reference", "invariant Bundle"]
    );
}

#[test]
fn hints_name_what_was_meant() {
    let told = |resource: Json| issues_of(&resource)[0].diagnostics.clone();
    assert_eq!(
        told(json!({"resourceType": "patient", "id": "1"})),
        "'patient' is no resource type of R4; is 'Patient' meant?"
    );
    assert_eq!(
        told(json!({"resourceType": "Patient", "birthdate": "2020"})),
        "Patient has no element 'birthdate'; is 'birthDate' meant?"
    );
    assert_eq!(
        told(json!({"resourceType": "Patient", "managingOrganization": {"reference": "organization/1"}})),
        "the reference must be Type/id, an absolute URL, a urn or #id; is 'Organization' meant?"
    );
}

/// Each of these took hours when a list was searched for each item of another.
#[test]
fn hostile_bodies_take_no_longer_than_their_length() {
    const COUNT: usize = 60_000;
    let repeat = |item: &str| vec![item; COUNT].join(",");
    let numbered = |item: &str| {
        (0..COUNT).map(|index| item.replace('#', &index.to_string())).collect::<Vec<_>>().join(",")
    };
    let nulls = repeat("null");
    let codings = numbered(r##"{"code":"#"}"##);
    let entries = numbered(r##"{"fullUrl":"urn:x:#","request":{}}"##);
    let bodies = [
        format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#),
        format!(
            r#"{{"resourceType":"Questionnaire","item":[{}]}}"#,
            numbered(r##"{"linkId":"#","type":"string"}"##)
        ),
        format!(r#"{{"resourceType":"Patient","name":[{{"given":[{nulls}],"_given":[{nulls}]}}]}}"#),
        format!(r#"{{"resourceType":"Patient",{}}}"#, numbered(r##""birthDat#":1"##)),
        format!(
            r#"{{"resourceType":"Patient","contained":[{}]}}"#,
            numbered(r##"{"resourceType":"Basic","id":"#"}"##)
        ),
        format!(
            r#"{{"resourceType":"Patient","contained":[{}]}}"#,
            repeat(r#"{"resourceType":"Basic","id":"a"}"#)
        ),
        format!(
            r#"{{"resourceType":"Observation","valueInteger":1,"code":{{"coding":[{codings}]}},"component":[{}]}}"#,
            numbered(r##"{"code":{"coding":[{"code":"x#"}]}}"##)
        ),
    ];
    let start = std::time::Instant::now();
    for body in bodies {
        assert!(!issues_in(&body, &Options::default()).is_empty());
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
