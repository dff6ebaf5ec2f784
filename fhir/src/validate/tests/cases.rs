//! Bad resources as a table: the resource, and the issues that it must have, no more and no fewer.

use serde_json::{Value as Json, json};

use super::{fixtures, issues_in, issues_of, short};
use crate::validate::Options;

/// Checks a Patient with these members.
pub(super) fn patient(members: Json, expected: &[&str]) {
    let mut resource = json!({"resourceType": "Patient"});
    resource.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    assert_eq!(short(&issues_of(&resource)), expected, "{members}");
}

/// Checks an Observation with these members beside status and code.
pub(super) fn observation(members: Json, expected: &[&str]) {
    let mut resource = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    resource.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    assert_eq!(short(&issues_of(&resource)), expected, "{members}");
}

/// Checks a value of a primitive type in an extension.
fn value(name: &str, value: Json, is_valid: bool) {
    let resource = json!({"resourceType": "Basic", "code": {"text": "x"}, "extension": [{"url": "http://x", name: value}]});
    let found = short(&issues_of(&resource));
    let place = "Basic.extension[0].value";
    match is_valid {
        true => assert!(found.is_empty(), "{name}: {value} gives {found:?}"),
        false => assert!(
            found.len() == 1 && found[0].ends_with(place) && !found[0].starts_with('~'),
            "{name}: {value} gives {found:?}"
        ),
    }
}

/// A type, texts that it takes, and texts that it does not take.
type Forms<'t> = (&'t str, &'t [&'t str], &'t [&'t str]);

fn values(rows: &[Forms]) {
    for (name, good, bad) in rows {
        good.iter().for_each(|text| value(name, json!(text), true));
        bad.iter().for_each(|text| value(name, json!(text), false));
    }
}

#[test]
fn the_resource_type_is_known() {
    for (text, expected) in [
        ("[]", "structure Resource"),
        ("1", "structure Resource"),
        ("{}", "required Resource"),
        (r#"{"id":"1"}"#, "required Resource"),
        (r#"{"resourceType":1}"#, "structure Resource"),
        (r#"{"resourceType":null}"#, "structure Resource"),
        (r#"{"resourceType":"patient"}"#, "structure Resource"),
        (r#"{"resourceType":"Resource"}"#, "structure Resource"),
        (r#"{"resourceType":"DomainResource"}"#, "structure Resource"),
        (r#"{"resourceType":"HumanName"}"#, "structure Resource"),
        (r#"{"resourceType":"Patient.contact"}"#, "structure Resource"),
    ] {
        assert_eq!(short(&issues_in(text, &Options::default())), [expected], "{text}");
    }
    assert_eq!(issues_in(r#"{"resourceType":"Patient"}"#, &Options::default()), []);
}

#[test]
fn unknown_elements_are_refused() {
    patient(json!({"foo": 1}), &["structure Patient.foo"]);
    patient(json!({"name": [{"firstName": "x"}]}), &["structure Patient.name[0].firstName"]);
    patient(json!({"_name": [{"id": "x"}]}), &["structure Patient._name"]);
    patient(json!({"fhir_comments": ["x"]}), &["structure Patient.fhir_comments"]);
    patient(json!({"a b": 1}), &["structure Patient"]);
    patient(json!({"name": [{"resourceType": "HumanName"}]}), &["structure Patient.name[0].resourceType"]);
    patient(
        json!({"_birthDate": {"value": "2020"}}),
        &["structure Patient.birthDate.value", "invariant Patient.birthDate"],
    );
    observation(json!({"value": "x"}), &["structure Observation.value"]);
    observation(json!({"valueAddress": {}}), &["structure Observation.valueAddress"]);
    observation(
        json!({"component": [{"code": {"text": "x"}, "status": "final"}]}),
        &["structure Observation.component[0].status"],
    );
}

#[test]
fn the_kind_of_json_is_that_of_the_type() {
    patient(json!({"name": {"family": "x"}}), &["structure Patient.name"]);
    patient(json!({"name": "x"}), &["structure Patient.name", "structure Patient.name"]);
    patient(json!({"name": ["x"]}), &["structure Patient.name[0]"]);
    patient(json!({"birthDate": ["2020"]}), &["structure Patient.birthDate"]);
    patient(json!({"birthDate": {"x": 1}}), &["structure Patient.birthDate"]);
    patient(json!({"birthDate": 2020}), &["structure Patient.birthDate"]);
    patient(json!({"active": "true"}), &["structure Patient.active"]);
    patient(json!({"active": 1}), &["structure Patient.active"]);
    patient(json!({"multipleBirthInteger": "1"}), &["structure Patient.multipleBirth"]);
    patient(json!({"multipleBirthBoolean": 1}), &["structure Patient.multipleBirth"]);
    patient(json!({"maritalStatus": "M"}), &["structure Patient.maritalStatus"]);
    patient(json!({"_birthDate": "x"}), &["structure Patient.birthDate"]);
    patient(json!({"contained": [1]}), &["structure Patient.contained[0]"]);
    observation(json!({"valueQuantity": 5}), &["structure Observation.value"]);
}

#[test]
fn nothing_is_empty_and_null_stands_only_beside_extensions() {
    patient(json!({"name": []}), &["structure Patient.name"]);
    patient(json!({"name": [{}]}), &["invariant Patient.name[0]"]);
    patient(json!({"maritalStatus": {}}), &["invariant Patient.maritalStatus"]);
    patient(json!({"name": null}), &["structure Patient.name"]);
    patient(json!({"name": [null]}), &["structure Patient.name[0]"]);
    patient(json!({"birthDate": null}), &["structure Patient.birthDate"]);
    patient(json!({"birthDate": ""}), &["value Patient.birthDate"]);
    patient(json!({"_birthDate": {}}), &["invariant Patient.birthDate"]);
    patient(json!({"_birthDate": {"id": "x"}}), &["invariant Patient.birthDate"]);
    let mask = json!({"extension": [{"url": "http://x", "valueCode": "masked"}]});
    patient(json!({"_birthDate": mask}), &[]);
    patient(json!({"name": [{"given": [null, "x"]}]}), &["structure Patient.name[0].given[0]"]);
    patient(json!({"name": [{"given": [null, "x"], "_given": [mask, null]}]}), &[]);
    patient(json!({"name": [{"given": ["x"], "_given": [mask]}]}), &[]);
    patient(json!({"name": [{"_given": [mask]}]}), &[]);
    patient(json!({"name": [{"_given": [null]}]}), &["structure Patient.name[0].given[0]"]);
    patient(
        json!({"name": [{"given": ["x"], "_given": [mask, null]}]}),
        &["structure Patient.name[0].given"],
    );
    patient(json!({"name": [{"given": [null], "_given": [null]}]}), &["structure Patient.name[0].given[0]"]);
}

#[test]
fn required_elements_are_there() {
    let observation = json!({"resourceType": "Observation"});
    assert_eq!(short(&issues_of(&observation)), ["required Observation.status", "required Observation.code"]);
    patient(json!({"link": [{"other": {"display": "x"}}]}), &["required Patient.link[0].type"]);
    patient(json!({"communication": [{"preferred": true}]}), &["required Patient.communication[0].language"]);
    patient(json!({"extension": [{"valueString": "x"}]}), &["required Patient.extension[0].url"]);
    let request = json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"}});
    assert_eq!(short(&issues_of(&request)), ["required MedicationRequest.medication"]);
    // An extension in the place of a required primitive is enough.
    let absent = json!({"extension": [{"url": "http://x", "valueCode": "unknown"}]});
    let observation = json!({"resourceType": "Observation", "_status": absent, "code": {"text": "x"}});
    assert_eq!(issues_of(&observation), []);
}

#[test]
fn a_choice_has_one_type() {
    observation(json!({"valueString": "x", "valueInteger": 1}), &["structure Observation.value"]);
    observation(json!({"valueString": "x", "_valueString": {"id": "a"}}), &[]);
    observation(
        json!({"valueString": "x", "_valueInteger": {"id": "a"}}),
        &["structure Observation.value", "invariant Observation.value"],
    );
    observation(
        json!({"effectiveDateTime": "2020", "effectivePeriod": {"start": "2020"}, "valueInteger": 1}),
        &["structure Observation.effective"],
    );
    patient(json!({"deceasedBoolean": false, "deceasedDateTime": "2020"}), &["structure Patient.deceased"]);
}

#[test]
fn whole_numbers_have_their_ranges() {
    for (name, good, bad) in [
        (
            "valueInteger",
            &["0", "-0", "1", "-2147483648", "2147483647"][..],
            &["2147483648", "-2147483649", "1.0", "1e2", "99999999999999999999"][..],
        ),
        ("valueUnsignedInt", &["0", "2147483647"], &["-1", "2147483648", "0.5"]),
        ("valuePositiveInt", &["1", "2147483647"], &["0", "-1", "2147483648"]),
        ("valueDecimal", &["0", "-1.50", "1e-10", "1E+5", "12345678901234567890.123456789"], &[]),
    ] {
        for (literals, is_valid) in [(good, true), (bad, false)] {
            for literal in literals {
                let text = format!(
                    r#"{{"resourceType":"Basic","code":{{"text":"x"}},"extension":[{{"url":"http://x","{name}":{literal}}}]}}"#
                );
                let found = short(&issues_in(&text, &Options::default()));
                assert_eq!(found.is_empty(), is_valid, "{name} {literal}: {found:?}");
            }
        }
    }
    value("valueInteger", json!("1"), false);
    value("valueDecimal", json!("1.0"), false);
    value("valueBoolean", json!("true"), false);
    value("valueBoolean", json!(false), true);
}

#[test]
fn texts_have_their_forms() {
    let rows: &[Forms] = &[
        (
            "valueString",
            &["x", "a\u{a0}b", "\u{a0}", "line\n\ttab\r", "😀", " x "],
            &["", "\u{1}", "a\u{b}", "\u{0}"],
        ),
        ("valueMarkdown", &["# x\n"], &["", "\u{8}"]),
        ("valueCode", &["a", "a b", "a-b_c.d", "é"], &["", " a", "a ", "a  b", "a\tb", "a\nb", " "]),
        ("valueId", &["a", "A.b-9", &"x".repeat(64)], &["", "a b", "a_b", "é", "a/b", &"x".repeat(65)]),
        (
            "valueOid",
            &["urn:oid:1.2.3", "urn:oid:2.0.10", "urn:oid:0.0"],
            &[
                "1.2.3",
                "urn:oid:3.1",
                "urn:oid:1",
                "urn:oid:1.02",
                "urn:oid:1..2",
                "urn:oid:1.2.",
                "urn:OID:1.2",
            ],
        ),
        (
            "valueUuid",
            &["urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"],
            &[
                "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
                "urn:uuid:0C3151BD-1cbf-4d64-b04d-cd9187a4c6e0",
                "urn:uuid:0c3151bd1cbf-4d64-b04d-cd9187a4c6e0",
                "urn:uuid:",
            ],
        ),
        ("valueUri", &["http://x", "urn:oid:1", "a/b", "#x", "é"], &["", "a b", "http://x ", "a\tb"]),
        ("valueUrl", &["http://x"], &["http://a b"]),
        ("valueCanonical", &["http://x|1", "http://x|1#y"], &["http://x | 1", "#nowhere"]),
        (
            "valueBase64Binary",
            &["AAAA", "AA==", "AAA=", "AA AA\n", "+/+/"],
            &["", "A", "AAA", "AA=A", "A===", "====", "AA-_", "AA==A"],
        ),
    ];
    values(rows);
}

#[test]
fn dates_and_times_are_those_of_the_calendar() {
    let rows: &[Forms] = &[
        (
            "valueDate",
            &["2020", "2020-02", "2020-02-29", "0001-01-01"],
            &[
                "2021-02-29",
                "2020-13",
                "2020-00",
                "2020-1",
                "20",
                "0000",
                "2020-02-30",
                "2020-01-01T00:00:00Z",
                "2020-01-01 ",
                "02/03/2020",
            ],
        ),
        (
            "valueDateTime",
            &["2020", "2020-02-29", "2020-01-01T00:00:00Z", "2020-01-01T23:59:60.000001-14:00"],
            &[
                "2020-01-01T00:00:00",
                "2020-01-01T00:00Z",
                "2020-01-01T24:00:00Z",
                "2020-01-01T00:00:00+15:00",
                "2020-04-31",
                "2020-01-01T00:00:00.Z",
                "2020-01-01t00:00:00z",
            ],
        ),
        (
            "valueInstant",
            &["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5+01:00"],
            &["2020-01-01", "2020-01-01T00:00:00", "2020-01-01T00:00Z"],
        ),
        (
            "valueTime",
            &["00:00:00", "23:59:60", "12:30:00.25"],
            &["24:00:00", "12:30", "12:30:00Z", "1:2:3", "12:60:00"],
        ),
    ];
    values(rows);
}

#[test]
fn long_and_blank_strings_are_noticed() {
    value("valueString", json!("x".repeat(1024 * 1024)), true);
    value("valueString", json!("x".repeat(1024 * 1024 + 1)), false);
    patient(json!({"name": [{"family": " \n"}]}), &["~value Patient.name[0].family"]);
    patient(json!({"id": "a_b"}), &["value Patient.id"]);
}

#[test]
fn codes_come_from_required_value_sets() {
    patient(json!({"gender": "Male"}), &["code-invalid Patient.gender"]);
    patient(json!({"name": [{"use": "formal"}]}), &["code-invalid Patient.name[0].use"]);
    patient(json!({"language": "en_US"}), &["code-invalid Patient.language"]);
    patient(
        json!({"photo": [{"contentType": "image"}, {"contentType": "image/png"}]}),
        &["~code-invalid Patient.photo[0].contentType"],
    );
    observation(json!({"status": "done"}), &["code-invalid Observation.status"]);
    observation(
        json!({"valueQuantity": {"value": 1, "comparator": "<<"}}),
        &["code-invalid Observation.value.comparator"],
    );
    let condition = |status: Json| {
        let resource =
            json!({"resourceType": "Condition", "subject": {"display": "x"}, "clinicalStatus": status});
        short(&issues_of(&resource))
    };
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    assert!(condition(json!({"coding": [{"system": system, "code": "remission"}]})).is_empty());
    assert!(
        condition(
            json!({"coding": [{"code": "x", "system": "http://y"}, {"system": system, "code": "active"}]})
        )
        .is_empty()
    );
    for bad in [
        json!({"text": "active"}),
        json!({"coding": [{"code": "active"}]}),
        json!({"coding": [{"system": "http://y", "code": "active"}]}),
        json!({"coding": [{"system": system, "code": "Active"}]}),
    ] {
        assert_eq!(condition(bad), ["code-invalid Condition.clinicalStatus"]);
    }
    let unit = |system: &str| {
        let unit = json!({"coding": [{"system": system, "code": "mg"}]});
        let resource = json!({"resourceType": "RiskEvidenceSynthesis", "status": "draft", "population": {"display": "x"},
            "exposure": {"display": "x"}, "outcome": {"display": "x"}, "riskEstimate": {"unitOfMeasure": unit}});
        short(&issues_of(&resource))
    };
    assert!(unit("http://unitsofmeasure.org").is_empty());
    assert_eq!(unit("http://y"), ["code-invalid RiskEvidenceSynthesis.riskEstimate.unitOfMeasure"]);
    let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "m", "valueMoney": {"value": 1, "currency": "euro"}}]});
    assert_eq!(short(&issues_of(&parameters)), ["code-invalid Parameters.parameter[0].value.currency"]);
}

#[test]
fn references_have_a_form_and_a_target() {
    let subject = |reference: Json, expected: &[&str]| observation(json!({"subject": reference}), expected);
    subject(json!({"reference": "Patient/1"}), &[]);
    subject(json!({"display": "x"}), &[]);
    subject(json!({"reference": "Patient"}), &["value Observation.subject.reference"]);
    subject(json!({"reference": "Patient/a_b"}), &["value Observation.subject.reference"]);
    subject(json!({"reference": ""}), &["value Observation.subject.reference"]);
    subject(json!({"reference": 1}), &["structure Observation.subject.reference"]);
    subject(json!({"reference": "Practitioner/1"}), &["structure Observation.subject"]);
    subject(
        json!({"reference": "http://example.org/fhir/Practitioner/1"}),
        &["structure Observation.subject"],
    );
    subject(json!({"reference": "http://example.org/other"}), &[]);
    subject(json!({"reference": "#x"}), &["not-found Observation.subject.reference"]);
    subject(
        json!({"type": "Practitioner", "identifier": {"value": "x"}}),
        &["structure Observation.subject"],
    );
    subject(json!({"type": "Nobody", "identifier": {"value": "x"}}), &["value Observation.subject.type"]);
    subject(json!({"reference": "Patient/1", "type": "Group"}), &["structure Observation.subject.type"]);
    subject(
        json!({"reference": "Patient/1", "type": "http://hl7.org/fhir/StructureDefinition/Patient"}),
        &[],
    );
    observation(json!({"focus": [{"reference": "Practitioner/1"}]}), &[]);
}

#[test]
fn contained_resources_obey_their_rules() {
    let manager = json!({"reference": "#o"});
    let with = |organization: Json, expected: &[&str]| {
        patient(json!({"contained": [organization], "managingOrganization": manager}), expected);
    };
    with(json!({"resourceType": "Organization", "id": "o", "name": "x"}), &[]);
    with(
        json!({"resourceType": "Organization", "id": "o", "name": "x", "nam": "x"}),
        &["structure Patient.contained[0].nam"],
    );
    with(json!({"resourceType": "Practitioner", "id": "o"}), &["structure Patient.managingOrganization"]);
    with(
        json!({"resourceType": "Organization", "id": "o", "name": "x", "meta": {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z", "security": [{"code": "x"}]}}),
        &[
            "invariant Patient.contained[0].meta.versionId",
            "invariant Patient.contained[0].meta.lastUpdated",
            "invariant Patient.contained[0].meta.security",
        ],
    );
    with(
        json!({"resourceType": "Organization", "id": "o", "name": "x", "contained": [{"resourceType": "Patient", "id": "p"}]}),
        &["invariant Patient.contained[0].contained"],
    );
    with(
        json!({"resourceType": "Organization", "name": "x"}),
        &["required Patient.contained[0].id", "not-found Patient.managingOrganization.reference"],
    );
    patient(
        json!({"contained": [{"resourceType": "Organization", "id": "lost", "name": "x"}]}),
        &["~invariant Patient.contained[0]"],
    );
    patient(
        json!({"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}, {"resourceType": "Organization", "id": "o", "name": "x"}], "managingOrganization": manager}),
        &["invariant Patient.contained[1].id", "~invariant Patient.contained[1]"],
    );
    // One contained resource may refer to another, and to the container.
    patient(
        json!({
            "contained": [
                {"resourceType": "Organization", "id": "o", "name": "x", "partOf": {"reference": "#p"}},
                {"resourceType": "Organization", "id": "p", "name": "y"},
                {"resourceType": "Provenance", "id": "q", "target": [{"reference": "#"}], "recorded": "2020-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}]}
            ],
            "managingOrganization": manager
        }),
        &[],
    );
}

#[test]
fn resources_in_bundles_and_parameters_are_checked_on_their_own() {
    let mut bundle = fixtures::bundle();
    bundle["entry"][0]["resource"]["gender"] = json!("x");
    bundle["entry"][0]["resource"]["managingOrganization"] = json!({"reference": "#nobody"});
    bundle["entry"][1]["resource"]["resourceType"] = json!("condition");
    bundle["entry"][1]["request"]["method"] = json!("post");
    bundle["entry"][2]["resource"] = json!([]);
    assert_eq!(
        short(&issues_of(&bundle)),
        [
            "code-invalid Bundle.entry[0].resource.gender",
            "not-found Bundle.entry[0].resource.managingOrganization.reference",
            "~invariant Bundle.entry[0].resource.contained[0]",
            "structure Bundle.entry[1].resource",
            "code-invalid Bundle.entry[1].request.method",
            "structure Bundle.entry[2].resource",
        ]
    );
}

#[test]
fn extensions_have_a_value_or_extensions() {
    let extension = |members: Json, expected: &[&str]| patient(json!({"extension": [members]}), expected);
    extension(json!({"url": "http://x"}), &["invariant Patient.extension[0]"]);
    extension(
        json!({"url": "http://x", "valueString": "x", "extension": [{"url": "y", "valueCode": "z"}]}),
        &["invariant Patient.extension[0]"],
    );
    extension(
        json!({"url": "http://x", "valueString": "x", "valueCode": "y"}),
        &["structure Patient.extension[0].value"],
    );
    extension(json!({"url": "", "valueString": "x"}), &["value Patient.extension[0].url"]);
    patient(json!({"modifierExtension": [{"url": "http://x"}]}), &["invariant Patient.modifierExtension[0]"]);
}

#[test]
fn simple_quantities_have_no_comparator() {
    observation(
        json!({"referenceRange": [{"low": {"value": 1, "comparator": "<"}}]}),
        &["invariant Observation.referenceRange[0].low.comparator"],
    );
}

#[test]
fn narrative_is_checked() {
    let text = |div: &str, expected: &[&str]| {
        patient(json!({"text": {"status": "generated", "div": div}}), expected);
    };
    text(
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>",
        &["invariant Patient.text.div"],
    );
    text("plain", &["invariant Patient.text.div"]);
    patient(
        json!({"text": {"div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}}),
        &["required Patient.text.status"],
    );
}

#[test]
fn the_resource_type_of_an_example_scenario_is_an_element() {
    let mut scenario = fixtures::example_scenario();
    scenario["instance"][0]["resourceType"] = json!("patient");
    assert_eq!(short(&issues_of(&scenario)), ["code-invalid ExampleScenario.instance[0].resourceType"]);
}
