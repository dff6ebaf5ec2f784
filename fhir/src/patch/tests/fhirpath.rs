//! FHIRPath Patch: primitives with companions, choices, parts, and the rules for paths.

use super::*;

/// An operation as Parameters; `value` is the part `value` without its name.
fn operation(kind: &str, path: &str, rest: &str) -> String {
    format!(
        r#"{{"resourceType":"Parameters","parameter":[{{"name":"operation","part":[{{"name":"type","valueCode":"{kind}"}},{{"name":"path","valueString":"{path}"}}{rest}]}}]}}"#
    )
}

fn value(json: &str) -> String {
    format!(r#",{{"name":"value",{json}}}"#)
}

fn named(name: &str, json: &str) -> String {
    format!(r#",{{"name":"name","valueString":"{name}"}},{{"name":"value",{json}}}"#)
}

fn apply(text: &str, patch: &str) -> Result<String, PatchError> {
    patched(&Patch::fhirpath(&document(patch)), text)
}

fn gives(text: &str, patch: &str, wanted: &str) {
    assert_eq!(apply(text, patch).as_deref(), Ok(wanted), "{patch} on {text}");
}

fn kind(text: &str, patch: &str) -> PatchErrorKind {
    apply(text, patch).unwrap_err().kind
}

const EXTENSION: &str = r#"{"extension":[{"url":"u:x","valueCode":"y"}]}"#;

#[test]
fn a_primitive_goes_with_its_companion() {
    let text =
        format!(r#"{{"resourceType":"Patient","birthDate":"1920","_birthDate":{EXTENSION},"active":true}}"#);
    gives(
        &text,
        &operation("delete", "Patient.birthDate", ""),
        r#"{"resourceType":"Patient","active":true}"#,
    );
    gives(
        &text,
        &operation("replace", "Patient.birthDate", &value(r#""valueDate":"1930""#)),
        r#"{"resourceType":"Patient","birthDate":"1930","active":true}"#,
    );
    let new = format!(r#""valueDate":"1930","_valueDate":{EXTENSION}"#);
    gives(
        r#"{"resourceType":"Patient","birthDate":"1920"}"#,
        &operation("replace", "Patient.birthDate", &value(&new)),
        &format!(r#"{{"resourceType":"Patient","birthDate":"1930","_birthDate":{EXTENSION}}}"#),
    );
}

#[test]
fn lists_of_primitives_and_companions_stay_in_step() {
    let text =
        format!(r#"{{"resourceType":"Patient","name":[{{"given":["a","b"],"_given":[null,{EXTENSION}]}}]}}"#);
    let with = |given: &str| format!(r#"{{"resourceType":"Patient","name":[{{{given}}}]}}"#);
    gives(
        &text,
        &operation("delete", "Patient.name.given[0]", ""),
        &with(&format!(r#""given":["b"],"_given":[{EXTENSION}]"#)),
    );
    gives(&text, &operation("delete", "Patient.name.given[1]", ""), &with(r#""given":["a"]"#));
    let at = format!(r#",{{"name":"index","valueInteger":1}}{}"#, value(r#""valueString":"c""#));
    gives(
        &text,
        &operation("insert", "Patient.name.given", &at),
        &with(&format!(r#""given":["a","c","b"],"_given":[null,null,{EXTENSION}]"#)),
    );
    let ends = r#",{"name":"source","valueInteger":1},{"name":"destination","valueInteger":0}"#;
    gives(
        &text,
        &operation("move", "Patient.name.given", ends),
        &with(&format!(r#""given":["b","a"],"_given":[{EXTENSION},null]"#)),
    );
}

#[test]
fn an_extension_can_be_added_to_a_primitive() {
    let parts = r#""part":[{"name":"url","valueUri":"u:x"},{"name":"value","valueCode":"y"}]"#;
    gives(
        r#"{"resourceType":"Patient","birthDate":"1920"}"#,
        &operation("add", "Patient.birthDate", &named("extension", parts)),
        &format!(r#"{{"resourceType":"Patient","birthDate":"1920","_birthDate":{EXTENSION}}}"#),
    );
    gives(
        r#"{"resourceType":"Patient","name":[{"given":["a","b"]}]}"#,
        &operation("add", "Patient.name.given[1]", &named("extension", parts)),
        &format!(
            r#"{{"resourceType":"Patient","name":[{{"given":["a","b"],"_given":[null,{EXTENSION}]}}]}}"#
        ),
    );
    let with = format!(r#"{{"resourceType":"Patient","birthDate":"1920","_birthDate":{EXTENSION}}}"#);
    gives(
        &with,
        &operation("delete", "Patient.birthDate.extension[0]", ""),
        r#"{"resourceType":"Patient","birthDate":"1920"}"#,
    );
}

#[test]
fn a_choice_takes_its_type_from_the_value() {
    let text = r#"{"resourceType":"Observation","valueQuantity":{"value":1.10},"status":"final"}"#;
    gives(
        r#"{"resourceType":"Observation"}"#,
        &operation("add", "Observation", &named("value", r#""valueQuantity":{"value":1.10}"#)),
        r#"{"resourceType":"Observation","valueQuantity":{"value":1.10}}"#,
    );
    gives(
        text,
        &operation("replace", "Observation.value", &value(r#""valueString":"x""#)),
        r#"{"resourceType":"Observation","valueString":"x","status":"final"}"#,
    );
    gives(
        text,
        &operation("replace", "Observation.value.value", &value(r#""valueDecimal":1.20"#)),
        r#"{"resourceType":"Observation","valueQuantity":{"value":1.20},"status":"final"}"#,
    );
    let other = operation("add", "Observation", &named("value", r#""valueString":"x""#));
    assert_eq!(kind(text, &other), PatchErrorKind::Exists);
    let wrong = operation("replace", "Observation.value", &value(r#""valueAddress":{"text":"x"}"#));
    assert_eq!(kind(text, &wrong), PatchErrorKind::WrongType);
}

#[test]
fn parts_make_an_element_of_any_type() {
    let component = r#""part":[{"name":"code","valueCodeableConcept":{"text":"c"}},{"name":"value[x]","valueQuantity":{"value":2.0}},{"name":"interpretation","valueCodeableConcept":{"text":"i"}},{"name":"interpretation","valueCodeableConcept":{"text":"j"}},{"name":"referenceRange","part":[{"name":"text","valueString":"r"}]}]"#;
    gives(
        r#"{"resourceType":"Observation"}"#,
        &operation("add", "Observation", &named("component", component)),
        r#"{"resourceType":"Observation","component":[{"code":{"text":"c"},"valueQuantity":{"value":2.0},"interpretation":[{"text":"i"},{"text":"j"}],"referenceRange":[{"text":"r"}]}]}"#,
    );
}

#[test]
fn a_resource_can_be_put_where_resources_go() {
    let contained = r#""resource":{"resourceType":"Organization","id":"o","name":"n"}"#;
    let add = operation("add", "Patient", &named("contained", contained));
    gives(
        r#"{"resourceType":"Patient"}"#,
        &add,
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"n"}]}"#,
    );
    gives(
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"n"}]}"#,
        &operation("replace", "Patient.contained[0].name", &value(r#""valueString":"m""#)),
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"m"}]}"#,
    );
    let wrong = operation("add", "Patient", &named("name", contained));
    assert_eq!(kind(r#"{"resourceType":"Patient"}"#, &wrong), PatchErrorKind::WrongType);
}

#[test]
fn what_holds_nothing_else_goes_with_what_is_deleted() {
    let text =
        r#"{"resourceType":"Patient","active":true,"contact":[{"name":{"text":"x"}},{"gender":"male"}]}"#;
    gives(
        text,
        &operation("delete", "Patient.contact[0].name.text", ""),
        r#"{"resourceType":"Patient","active":true,"contact":[{"gender":"male"}]}"#,
    );
    gives(
        r#"{"resourceType":"Patient","contact":[{"name":{"text":"x"}}]}"#,
        &operation("delete", "Patient.contact[0].name.text", ""),
        r#"{"resourceType":"Patient"}"#,
    );
}

#[test]
fn a_delete_of_what_is_not_there_changes_nothing() {
    let text = r#"{ "resourceType" : "Patient" }"#;
    gives(text, &operation("delete", "Patient.birthDate", ""), text);
    let misspelt = operation("delete", "Patient.birthdate", "");
    assert!(matches!(kind(text, &misspelt), PatchErrorKind::Expression(_)));
}

#[test]
fn an_insert_makes_a_list_that_is_not_there() {
    let at = |index: usize| {
        format!(r#",{{"name":"index","valueInteger":{index}}}{}"#, value(r#""valueString":"a""#))
    };
    let text = r#"{"resourceType":"Patient","name":[{"family":"f"}]}"#;
    gives(
        text,
        &operation("insert", "Patient.name[0].given", &at(0)),
        r#"{"resourceType":"Patient","name":[{"family":"f","given":["a"]}]}"#,
    );
    assert_eq!(kind(text, &operation("insert", "Patient.name[0].given", &at(1))), PatchErrorKind::BadIndex);
    assert_eq!(kind(text, &operation("insert", "Patient.gender", &at(0))), PatchErrorKind::NotAList);
}

#[test]
fn a_path_names_one_element_or_one_whole_list() {
    let text = r#"{"resourceType":"Patient","id":"1","name":[{"given":["a"]},{"given":["b"]}]}"#;
    let with = value(r#""valueString":"x""#);
    let at = format!(r#",{{"name":"index","valueInteger":0}}{with}"#);
    assert_eq!(kind(text, &operation("replace", "Patient.name.given", &with)), PatchErrorKind::Several(2));
    assert_eq!(kind(text, &operation("delete", "Patient.name", "")), PatchErrorKind::Several(2));
    assert_eq!(kind(text, &operation("replace", "Patient.birthDate", &with)), PatchErrorKind::NotFound);
    assert_eq!(kind(text, &operation("insert", "Patient.name.given", &at)), PatchErrorKind::NotAList);
    assert_eq!(kind(text, &operation("insert", "Patient.name.skip(1)", &at)), PatchErrorKind::NotAList);
    assert_eq!(kind(text, &operation("delete", "Patient.name.count()", "")), PatchErrorKind::NoElement);
    assert_eq!(kind(text, &operation("delete", "Patient", "")), PatchErrorKind::WholeDocument);
    let ends = r#",{"name":"source","valueInteger":2},{"name":"destination","valueInteger":0}"#;
    assert_eq!(kind(text, &operation("move", "Patient.name", ends)), PatchErrorKind::BadIndex);
    let add = operation("add", "Patient", &named("nickname", r#""valueString":"x""#));
    assert_eq!(kind(text, &add), PatchErrorKind::UnknownElement);
}

#[test]
fn another_resource_cannot_be_changed() {
    let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"}}"#;
    let across = operation("delete", "Observation.subject.resolve().id", "");
    assert_eq!(kind(text, &across), PatchErrorKind::NoElement);
}

#[test]
fn what_is_no_patch_is_refused() {
    let parts = |parts: &str| {
        format!(r#"{{"resourceType":"Parameters","parameter":[{{"name":"operation","part":[{parts}]}}]}}"#)
    };
    let path = r#"{"name":"path","valueString":"Patient"}"#;
    for patch in [
        r#"{"resourceType":"Patient"}"#.to_owned(),
        r#"{"resourceType":"Parameters","parameter":{}}"#.to_owned(),
        r#"{"resourceType":"Parameters","parameter":[{"name":"operations"}]}"#.to_owned(),
        parts(""),
        parts(path),
        parts(&format!(r#"{{"name":"type","valueCode":"upsert"}},{path}"#)),
        parts(r#"{"name":"type","valueCode":"delete"}"#),
        parts(&format!(r#"{{"name":"type","valueCode":"delete"}},{path},{path}"#)),
        parts(&format!(r#"{{"name":"type","valueCode":"delete"}},{path},{{"name":"what"}}"#)),
        operation("add", "Patient", ""),
        operation("add", "Patient", &named("active", r#""valueBoolean":true,"valueCode":"x""#)),
        operation(
            "insert",
            "Patient.name",
            r#",{"name":"index","valueInteger":-1},{"name":"value","valueString":"x"}"#,
        ),
    ] {
        let error = apply(r#"{"resourceType":"Patient"}"#, &patch).unwrap_err();
        assert!(error.is_malformed(), "{patch}: {error}");
    }
}

#[test]
fn an_error_shows_the_path_without_its_literals() {
    let path = "Patient.identifier.where(value='secret').period";
    let error =
        apply(r#"{"resourceType":"Patient"}"#, &operation("replace", path, &value(r#""valueCode":"x""#)));
    assert_eq!(error.unwrap_err().to_string(), "operation 0: nothing is there (Patient.identifier.where…)");
}
