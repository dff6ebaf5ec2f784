//! Default slices, aggregation, the clock, and constraints that nobody can evaluate.

use super::*;

#[test]
fn the_default_slice_takes_what_is_in_no_other() {
    let elements = r#"{"path":"Patient.identifier","slicing":{"rules":"closed","discriminator":[{"type":"value","path":"system"}]}},
        {"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a"},
        {"id":"Patient.identifier:a.system","path":"Patient.identifier.system","min":1,"fixedUri":"http://a"},
        {"id":"Patient.identifier:@default","path":"Patient.identifier","sliceName":"@default","max":"1"},
        {"id":"Patient.identifier:@default.value","path":"Patient.identifier.value","min":1}"#;
    let of = |identifiers: &str| {
        by("Patient", elements, &format!(r#"{{"resourceType":"Patient","identifier":[{identifiers}]}}"#))
    };
    assert_eq!(of(r#"{"system":"http://a"},{"system":"http://q","value":"1"}"#), [""; 0]);
    assert_eq!(of(r#"{"system":"http://q"}"#), ["error required Patient.identifier[0].value"]);
    let two = r#"{"system":"http://q","value":"1"},{"system":"http://r","value":"1"},{"system":"http://a"}"#;
    assert_eq!(of(two), ["error structure Patient.identifier"]);
}

#[test]
fn a_slice_by_profile_has_no_resource_of_another_type() {
    let elements = r#"{"path":"Observation.performer","slicing":{"rules":"open","discriminator":[{"type":"profile","path":"$this.resolve()"}]}},
        {"id":"Observation.performer:prac","path":"Observation.performer","sliceName":"prac","min":1,
         "type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/Practitioner"]}]}"#;
    let of = |reference: &str| {
        let resource =
            format!(r#"{{"resourceType":"Observation","performer":[{{"reference":"{reference}"}}]}}"#);
        by("Observation", elements, &resource)
    };
    assert_eq!(of("Organization/1"), ["error required Observation.performer"]);
    assert_eq!(of("Practitioner/1"), [""; 0], "nobody can tell what it conforms to");
}

#[test]
fn references_lead_to_their_targets_in_the_ways_that_are_allowed() {
    let of = |ways: &str, reference: &str| {
        let elements = format!(
            r#"{{"path":"Observation.subject","type":[{{"code":"Reference","aggregation":[{ways}]}}]}}"#
        );
        let resource = format!(
            r#"{{"resourceType":"Observation","id":"o","contained":[{{"resourceType":"Patient","id":"p"}}],
            "subject":{{"reference":"{reference}"}}}}"#
        );
        let alone = by("Observation", &elements, &resource);
        let resource = resource.replace(r#""id":"o""#, r#""meta":{"profile":["http://example.org/p"]}"#);
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{resource}}},
            {{"resource":{{"resourceType":"Patient","id":"1"}}}}]}}"#
        );
        let bundled = told(&Made(vec![profile("Observation", &elements)]), &[], &bundle);
        (alone.len(), bundled.len())
    };
    assert_eq!(of(r#""contained""#, "#p"), (0, 0));
    assert_eq!(of(r#""contained""#, "Patient/1"), (1, 1));
    assert_eq!(of(r#""referenced""#, "#p"), (1, 1));
    assert_eq!(of(r#""referenced""#, "Patient/1"), (0, 0));
    assert_eq!(of(r#""bundled""#, "Patient/1"), (0, 0));
    assert_eq!(of(r#""bundled""#, "Patient/2"), (0, 1), "only the Bundle shows that it is not in it");
    assert_eq!(of(r#""referenced","bundled","contained""#, "Patient/2"), (0, 0));
}

#[test]
fn constraints_know_what_day_it_is() {
    let elements = r#"{"path":"Patient","constraint":[{"key":"born-1","severity":"error","human":"h","expression":"birthDate <= today()"}]}"#;
    let made = Made(vec![profile("Patient", elements)]);
    let around = Surroundings { profiles: &made, terminology: &terminology::Published };
    let demands = Demands {
        profiles: vec!["http://example.org/p".to_owned()],
        now: chrono::DateTime::parse_from_rfc3339("2026-11-27T12:00:00Z").ok(),
        ..Demands::default()
    };
    let keys = |born: &str| {
        let resource = document(&format!(r#"{{"resourceType":"Patient","birthDate":"{born}"}}"#));
        let issues = check(resource.root(), &demands, &around);
        issues.iter().map(|issue| format!("{} {:?}", issue.severity.code(), issue.key())).collect::<Vec<_>>()
    };
    assert_eq!(keys("2026-11-28"), [r#"error Some("born-1")"#]);
    assert_eq!(keys("2026-11-27"), [""; 0]);
}

#[test]
fn a_constraint_that_does_not_compile_is_told() {
    let elements = r#"{"path":"Patient","constraint":[{"key":"odd-1","severity":"error","human":"h","expression":"bogus(("}]},
        {"path":"Patient.name","constraint":[{"key":"odd-2","severity":"error","human":"h","expression":"foo()"}]}"#;
    let resource = r#"{"resourceType":"Patient","name":[{"text":"a"},{"text":"b"}]}"#;
    assert_eq!(
        by("Patient", elements, resource),
        ["warning invariant Patient odd-1", "warning invariant Patient.name[0] odd-2"]
    );
    let definition = format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://example.org/p","type":"Patient",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{{"element":[{elements}]}}}}"#
    );
    assert_eq!(told(&Made(vec![]), &[], &definition), ["warning not-supported StructureDefinition"; 2]);
}

#[test]
fn a_definition_with_broken_elements_is_not_used() {
    let broken = document(
        r#"{"resourceType":"StructureDefinition","url":"http://example.org/b","type":"Patient",
        "differential":5,"snapshot":{"element":[{"path":3}]}}"#,
    );
    assert_eq!(compile(broken.root(), None).unwrap_err(), CompileError::NoPath);
}
