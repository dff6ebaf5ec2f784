//! What profiles ask for, kind by kind, with profiles made for the purpose and R4's own.

mod circles;
mod finer;

use proptest::prelude::*;

use super::*;
use crate::json::{Document, Limits};
use crate::terminology;

/// Profiles made by a test, over R4's own.
struct Made(Vec<Arc<Profile>>);

impl Profiles for Made {
    fn profile(&self, canonical: &str) -> Lookup {
        let own = self.0.iter().find(|profile| &*profile.url == canonical);
        own.map_or_else(|| Published.profile(canonical), |profile| Lookup::Known(Arc::clone(profile)))
    }
}

fn document(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

/// A profile `http://example.org/p` on a type with these elements.
fn profile(type_name: &str, elements: &str) -> Arc<Profile> {
    let text = format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://example.org/p","type":"{type_name}",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/{type_name}","differential":{{"element":[{elements}]}}}}"#
    );
    Arc::new(compile(document(&text).root(), None).unwrap())
}

/// What is wrong, as `severity code expression`, with the key of a constraint behind it.
fn told(profiles: &Made, asked: &[&str], resource: &str) -> Vec<String> {
    let around = Surroundings { profiles, terminology: &terminology::Published };
    let demands =
        Demands { profiles: asked.iter().map(|url| (*url).to_owned()).collect(), ..Demands::default() };
    let issues = check(document(resource).root(), &demands, &around);
    let line = |issue: &Issue| {
        let key = issue.key().map(|key| format!(" {key}")).unwrap_or_default();
        format!("{} {} {}{key}", issue.severity.code(), issue.code.code(), issue.expression)
    };
    issues.iter().map(line).collect()
}

/// What is wrong with a resource by one profile.
fn by(type_name: &str, elements: &str, resource: &str) -> Vec<String> {
    told(&Made(vec![profile(type_name, elements)]), &["http://example.org/p"], resource)
}

/// A profile by its elements, what breaks it, and what is told; what keeps to it.
struct Case {
    elements: &'static str,
    wrong: &'static str,
    told: &'static [&'static str],
    right: &'static str,
}

fn run(type_name: &str, cases: &[Case]) {
    for case in cases {
        let resource = |members: &str| format!(r#"{{"resourceType":"{type_name}",{members}}}"#);
        assert_eq!(by(type_name, case.elements, &resource(case.wrong)), case.told, "{}", case.wrong);
        assert_eq!(by(type_name, case.elements, &resource(case.right)), [""; 0], "{}", case.right);
    }
}

#[test]
fn cardinality_types_and_values_are_checked() {
    run(
        "Observation",
        &[
            Case {
                elements: r#"{"path":"Observation.subject","min":1}, {"path":"Observation.note","max":"1"}, {"path":"Observation.issued","max":"0"}"#,
                wrong: r#""note":[{"text":"a"},{"text":"b"}],"issued":"2024-01-01T00:00:00Z""#,
                told: &[
                    "error required Observation.subject",
                    "error structure Observation.note",
                    "error structure Observation.issued",
                ],
                right: r#""subject":{"reference":"Patient/1"},"note":[{"text":"a"}]"#,
            },
            Case {
                elements: r#"{"path":"Observation.value[x]","type":[{"code":"Quantity"},{"code":"string"}]}"#,
                wrong: r#""valueCodeableConcept":{"text":"a"}"#,
                told: &["error structure Observation.value"],
                right: r#""valueString":"a""#,
            },
            Case {
                elements: r#"{"path":"Observation.valueQuantity","type":[{"code":"Quantity"}]}, {"path":"Observation.valueQuantity.code","min":1,"fixedCode":"kg"}"#,
                wrong: r#""valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"g"}"#,
                told: &["error value Observation.value.code"],
                right: r#""valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"kg"}"#,
            },
            Case {
                elements: r#"{"path":"Observation.code","patternCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"1-8"}]}}"#,
                wrong: r#""code":{"coding":[{"system":"http://loinc.org","code":"2-6"}]}"#,
                told: &["error value Observation.code"],
                right: r#""code":{"coding":[{"code":"a"},{"code":"1-8","display":"x","system":"http://loinc.org"}],"text":"y"}"#,
            },
            Case {
                elements: r#"{"path":"Observation.code","fixedCodeableConcept":{"text":"y"}}"#,
                wrong: r#""code":{"text":"y","id":"1"}"#,
                told: &["error value Observation.code"],
                right: r#""code":{"text":"y"}"#,
            },
            Case {
                elements: r#"{"path":"Observation.note.text","maxLength":3}, {"path":"Observation.valueInteger","minValueInteger":2,"maxValueInteger":4},
                    {"path":"Observation.issued","minValueInstant":"2024-01-01T00:00:00Z"}"#,
                wrong: r#""note":[{"text":"abcd"}],"valueInteger":5,"issued":"2023-12-31T23:59:59Z""#,
                told: &[
                    "error too-long Observation.note[0].text",
                    "error value Observation.value",
                    "error value Observation.issued",
                ],
                right: r#""note":[{"text":"äöü"}],"valueInteger":4,"issued":"2024-01-01T00:00:00Z""#,
            },
            Case {
                elements: r#"{"path":"Observation","constraint":[{"key":"a-1","severity":"error","human":"x","expression":"code.exists()"},
                    {"key":"a-2","severity":"warning","human":"x","expression":"status = 'final'"}]}"#,
                wrong: r#""status":"amended""#,
                told: &["error invariant Observation a-1", "warning invariant Observation a-2"],
                right: r#""status":"final","code":{"text":"a"}"#,
            },
        ],
    );
}

#[test]
fn bindings_are_as_strong_as_they_say() {
    let element = |strength: &str, more: &str| {
        format!(
            r#"{{"path":"Patient.maritalStatus","binding":{{{more}"strength":"{strength}","valueSet":"http://hl7.org/fhir/ValueSet/administrative-gender"}}}}"#
        )
    };
    let patient = r#"{"resourceType":"Patient","maritalStatus":{"coding":[{"system":"http://hl7.org/fhir/administrative-gender","code":"blue"}]}}"#;
    let maximum = r#""extension":[{"url":"http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet","valueCanonical":"http://hl7.org/fhir/ValueSet/administrative-gender"}],"#;
    for (strength, more, expected) in [
        ("required", "", vec!["error code-invalid Patient.maritalStatus"]),
        ("extensible", "", vec!["warning code-invalid Patient.maritalStatus"]),
        ("preferred", "", vec!["information code-invalid Patient.maritalStatus"]),
        ("example", "", vec![]),
        (
            "preferred",
            maximum,
            vec![
                "error code-invalid Patient.maritalStatus",
                "information code-invalid Patient.maritalStatus",
            ],
        ),
    ] {
        assert_eq!(by("Patient", &element(strength, more), patient), expected, "{strength}");
        assert_eq!(by("Patient", &element(strength, more), &patient.replace("blue", "female")), [""; 0]);
    }
    let unknown = element("required", "").replace("administrative-gender", "nobody-has-it");
    assert_eq!(by("Patient", &unknown, patient), ["warning not-supported Patient.maritalStatus"]);
}

#[test]
fn slices_are_told_apart_counted_and_checked() {
    let sliced = |slicing: &str| {
        format!(
            r#"{{"id":"Patient.identifier","path":"Patient.identifier","slicing":{{{slicing}}}}},
            {{"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a","min":1,"max":"1"}},
            {{"id":"Patient.identifier:a.system","path":"Patient.identifier.system","min":1,"fixedUri":"urn:a"}},
            {{"id":"Patient.identifier:a.value","path":"Patient.identifier.value","min":1}},
            {{"id":"Patient.identifier:b","path":"Patient.identifier","sliceName":"b","min":0,"max":"1","patternIdentifier":{{"system":"urn:b"}}}},
            {{"id":"Patient.identifier:b.system","path":"Patient.identifier.system","fixedUri":"urn:b"}}"#
        )
    };
    let patient = |systems: &[&str]| {
        let rows: Vec<String> =
            systems.iter().map(|system| format!(r#"{{"system":"urn:{system}","value":"1"}}"#)).collect();
        format!(r#"{{"resourceType":"Patient","identifier":[{}]}}"#, rows.join(","))
    };
    let by_system = r#""discriminator":[{"type":"value","path":"system"}]"#;
    let cases: [(&str, &[&str], &[&str]); 8] = [
        (r#""rules":"open""#, &["a", "b", "c"], &[]),
        (r#""rules":"open""#, &["b", "c"], &["error required Patient.identifier"]),
        (r#""rules":"open""#, &["a", "a"], &["error structure Patient.identifier"]),
        (r#""rules":"closed""#, &["a", "c"], &["error structure Patient.identifier[1]"]),
        (r#""rules":"openAtEnd""#, &["a", "c"], &[]),
        (r#""rules":"openAtEnd""#, &["c", "a"], &["error structure Patient.identifier[1]"]),
        (r#""rules":"open","ordered":true"#, &["b", "a"], &["error structure Patient.identifier[1]"]),
        (r#""rules":"open","ordered":true"#, &["a", "b"], &[]),
    ];
    for (rules, systems, expected) in cases {
        assert_eq!(
            by("Patient", &sliced(&format!("{by_system},{rules}")), &patient(systems)),
            expected,
            "{rules}"
        );
    }
    let without_value = r#"{"resourceType":"Patient","identifier":[{"system":"urn:a"}]}"#;
    let open = sliced(&format!(r#"{by_system},"rules":"open""#));
    assert_eq!(by("Patient", &open, without_value), ["error required Patient.identifier[0].value"]);
}

#[test]
fn slices_are_told_by_existence_type_and_profile() {
    let sliced = |kind: &str, slices: &str| {
        format!(
            r#"{{"id":"Patient.contact","path":"Patient.contact","slicing":{{"discriminator":[{kind}],"rules":"closed"}}}}, {slices}"#
        )
    };
    let exists = sliced(
        r#"{"type":"exists","path":"name"}"#,
        r#"{"id":"Patient.contact:named","path":"Patient.contact","sliceName":"named"},
           {"id":"Patient.contact:named.name","path":"Patient.contact.name","min":1},
           {"id":"Patient.contact:named.gender","path":"Patient.contact.gender","min":1}"#,
    );
    let contact = |members: &str| format!(r#"{{"resourceType":"Patient","contact":[{{{members}}}]}}"#);
    assert_eq!(
        by("Patient", &exists, &contact(r#""gender":"male""#)),
        ["error structure Patient.contact[0]"]
    );
    assert_eq!(
        by("Patient", &exists, &contact(r#""name":{"text":"a"}"#)),
        ["error required Patient.contact[0].gender"]
    );
    let types = r#"{"id":"Observation.value[x]","path":"Observation.value[x]","slicing":{"discriminator":[{"type":"type","path":"$this"}],"rules":"closed"}},
        {"id":"Observation.value[x]:valueQuantity","path":"Observation.value[x]","sliceName":"valueQuantity","type":[{"code":"Quantity"}]},
        {"id":"Observation.value[x]:valueQuantity.unit","path":"Observation.value[x].unit","min":1}"#;
    assert_eq!(
        by("Observation", types, r#"{"resourceType":"Observation","valueString":"a"}"#),
        ["error structure Observation.value"]
    );
    assert_eq!(
        by("Observation", types, r#"{"resourceType":"Observation","valueQuantity":{"value":1}}"#),
        ["error required Observation.value.unit"]
    );
    let entries = r#"{"id":"Bundle.entry","path":"Bundle.entry","slicing":{"discriminator":[{"type":"profile","path":"resource"}],"rules":"open"}},
        {"id":"Bundle.entry:rate","path":"Bundle.entry","sliceName":"rate","min":1},
        {"id":"Bundle.entry:rate.resource","path":"Bundle.entry.resource","type":[{"code":"Observation","profile":["http://hl7.org/fhir/StructureDefinition/heartrate"]}]}"#;
    let bundle =
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]}"#;
    assert_eq!(by("Bundle", entries, bundle), ["error required Bundle.entry"]);
}

#[test]
fn extensions_are_held_against_their_definitions() {
    let made = Made(Vec::new());
    let patient = |extension: &str| format!(r#"{{"resourceType":"Patient",{extension}}}"#);
    let birth_time = r#""url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime""#;
    let cases = [
        (
            format!(
                r#""_birthDate":{{"extension":[{{{birth_time},"valueDateTime":"2024-01-01T00:00:00Z"}}]}}"#
            ),
            vec![],
        ),
        (
            format!(r#""_birthDate":{{"extension":[{{{birth_time},"valueString":"noon"}}]}}"#),
            vec!["error structure Patient.birthDate.extension[0].value"],
        ),
        (
            format!(r#""extension":[{{{birth_time},"valueDateTime":"2024-01-01T00:00:00Z"}}]"#),
            vec!["error structure Patient.extension[0]"],
        ),
        (
            format!(r#""_birthDate":{{"extension":[{{{birth_time}}}]}}"#),
            vec!["error required Patient.birthDate.extension[0].value"],
        ),
        (
            r#""extension":[{"url":"http://example.org/none","valueString":"a"}]"#.to_owned(),
            vec!["information not-found Patient.extension[0]"],
        ),
        (
            r#""modifierExtension":[{"url":"http://example.org/none","valueString":"a"}]"#.to_owned(),
            vec!["warning not-found Patient.modifierExtension[0]"],
        ),
    ];
    for (extension, expected) in cases {
        assert_eq!(told(&made, &[], &patient(&extension)), expected, "{extension}");
    }
    let doing = r#""url":"http://hl7.org/fhir/StructureDefinition/request-doNotPerform","valueBoolean":true"#;
    let request = |place: &str| format!(r#"{{"resourceType":"NutritionOrder","{place}":[{{{doing}}}]}}"#);
    assert_eq!(told(&made, &[], &request("extension")), ["error structure NutritionOrder.extension[0]"]);
    assert_eq!(told(&made, &[], &request("modifierExtension")), [""; 0]);
}

#[test]
fn references_point_at_what_the_profile_allows() {
    let element = |target: &str| {
        format!(
            r#"{{"path":"Observation.subject","type":[{{"code":"Reference","targetProfile":["{target}"]}}]}}"#
        )
    };
    let observation = |subject: &str, more: &str| {
        format!(r#"{{"resourceType":"Observation","subject":{{"reference":"{subject}"}}{more}}}"#)
    };
    let patient = "http://hl7.org/fhir/StructureDefinition/Patient";
    assert_eq!(
        by("Observation", &element(patient), &observation("Group/1", "")),
        ["error structure Observation.subject"]
    );
    assert_eq!(by("Observation", &element(patient), &observation("Patient/1", "")), [""; 0]);
    // What is contained is at hand, so it is held against the profile as well.
    let members = r#"{"path":"Observation.hasMember","type":[{"code":"Reference","targetProfile":["http://hl7.org/fhir/StructureDefinition/heartrate"]}]}"#;
    let contained = r##"{"resourceType":"Observation","contained":[{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"}}],"hasMember":[{"reference":"#a"}]}"##;
    assert_eq!(by("Observation", members, contained), ["error structure Observation.hasMember[0]"]);
}

#[test]
fn vital_signs_of_r4_are_checked() {
    let observation = |code: &str, unit: &str| {
        format!(
            r#"{{"resourceType":"Observation","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/heartrate"]}},"status":"final",
            "category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],
            "code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"subject":{{"reference":"Patient/1"}},
            "effectiveDateTime":"2024-01-01","valueQuantity":{{"value":80,"unit":"/min","system":"http://unitsofmeasure.org","code":"{unit}"}}}}"#
        )
    };
    let made = Made(Vec::new());
    assert_eq!(told(&made, &[], &observation("8867-4", "/min")), [""; 0]);
    assert_eq!(
        told(&made, &[], &observation("8867-5", "/min")),
        ["warning code-invalid Observation.code", "error required Observation.code.coding"]
    );
    assert_eq!(told(&made, &[], &observation("8867-4", "/h")), ["error value Observation.value.code"]);
    let without_value = observation("8867-4", "/min").replace("valueQuantity", "_note");
    assert!(told(&made, &[], &without_value).contains(&"error invariant Observation vs-2".to_owned()));
}

#[test]
fn content_references_are_under_the_rules_of_what_they_refer_to() {
    let elements = r#"{"path":"Questionnaire.item.text","min":1}"#;
    let resource = r#"{"resourceType":"Questionnaire","item":[{"text":"a","item":[{"linkId":"1","item":[{"linkId":"2"}]}]}]}"#;
    assert_eq!(
        by("Questionnaire", elements, resource),
        [
            "error required Questionnaire.item[0].item[0].text",
            "error required Questionnaire.item[0].item[0].item[0].text"
        ]
    );
}

#[test]
fn a_differential_is_checked_with_its_base() {
    let base = profile("Patient", r#"{"path":"Patient.name","min":1}"#);
    let text = r#"{"url":"http://example.org/q","type":"Patient","baseDefinition":"http://example.org/p",
        "differential":{"element":[{"path":"Patient.gender","min":1}]}}"#;
    let text = document(text);
    assert_eq!(
        compile(text.root(), None).err(),
        Some(CompileError::NoBase("http://example.org/p".to_owned()))
    );
    let derived = Arc::new(compile(text.root(), Some(&base)).unwrap());
    let made = Made(vec![base, derived]);
    assert_eq!(
        told(&made, &["http://example.org/q"], r#"{"resourceType":"Patient"}"#),
        ["error required Patient.name", "error required Patient.gender"]
    );
}

#[test]
fn entries_of_bundles_agree_with_their_addresses() {
    let made = Made(Vec::new());
    let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[
        {"fullUrl":"http://example.org/Patient/1","resource":{"resourceType":"Patient","id":"2"}},
        {"fullUrl":"urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a","resource":{"resourceType":"Basic","subject":{"reference":"urn:uuid:71ebe359-bfdc-4613-8bf2-c5e300945f0a"}}}]}"#;
    assert_eq!(
        told(&made, &[], bundle),
        [
            "error value Bundle.entry[0].fullUrl",
            "warning not-found Bundle.entry[1].resource.subject.reference"
        ]
    );
}

#[test]
fn profiles_that_go_in_circles_end() {
    let circle = profile(
        "Extension",
        r#"{"path":"Extension.extension","type":[{"code":"Extension","profile":["http://example.org/p"]}]},
           {"path":"Extension","constraint":[{"key":"c-1","severity":"error","human":"x","expression":"conformsTo('http://example.org/p')"}]}"#,
    );
    let mut nested = r#"{"url":"http://example.org/p","valueString":"a"}"#.to_owned();
    for _ in 0..40 {
        nested = format!(r#"{{"url":"http://example.org/p","extension":[{nested},{nested}]}}"#);
        if nested.len() > 100_000 {
            break;
        }
    }
    let patient = format!(r#"{{"resourceType":"Patient","extension":[{nested}]}}"#);
    let told = told(&Made(vec![circle]), &[], &patient);
    assert!(told.len() <= 101, "{}", told.len());
}

#[test]
fn unknown_profiles_are_as_bad_as_the_caller_says() {
    let patient = document(r#"{"resourceType":"Patient","meta":{"profile":["http://example.org/none"]}}"#);
    let around = Surroundings { profiles: &Published, terminology: &terminology::Published };
    for severity in [Severity::Warning, Severity::Error] {
        let demands = Demands { unknown_profile: severity, ..Demands::default() };
        let issues = check(patient.root(), &demands, &around);
        assert_eq!(issues.len(), 1);
        assert_eq!(
            (issues[0].severity, issues[0].expression.as_str()),
            (severity, "Patient.meta.profile[0]")
        );
    }
}

/// JSON that looks like definitions and resources, with anything in it.
fn any_json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Patient",
        "Patient.name",
        "Extension",
        "url",
        "value",
        "identifier",
        "Patient.extension:a",
        "Patient.identifier",
        "value[x]",
        "*",
        "1",
        "0",
        "required",
        "http://example.org/p",
        "$this",
        "resolve().code",
        "a/b",
        "closed",
        "code",
    ]);
    let name = prop::sample::select(vec![
        "path",
        "id",
        "sliceName",
        "min",
        "max",
        "type",
        "profile",
        "binding",
        "valueSet",
        "strength",
        "slicing",
        "discriminator",
        "rules",
        "constraint",
        "key",
        "expression",
        "fixedString",
        "patternCoding",
        "extension",
        "url",
        "name",
        "identifier",
        "system",
        "value",
        "valueString",
        "resourceType",
        "meta",
        "contained",
        "entry",
    ]);
    let leaf = prop_oneof![
        word.prop_map(|word| format!("\"{word}\"")),
        any::<i8>().prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::hash_map(name.clone(), inner, 0..6).prop_map(|members| {
                let rows: Vec<String> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", rows.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(elements in prop::collection::vec(any_json(), 0..8), members in any_json(), part in 0..2usize) {
        let part = ["snapshot", "differential"][part];
        let definition = format!(
            r#"{{"url":"http://example.org/p","type":"Patient","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","{part}":{{"element":[{}]}}}}"#,
            elements.join(",")
        );
        let definition = document(&definition);
        let compiled = compile(definition.root(), None).map(Arc::new);
        let patient = document(&format!(r#"{{"resourceType":"Patient","extension":[{members}],"identifier":{members},"contact":{members}}}"#));
        let made = Made(compiled.into_iter().collect());
        let around = Surroundings { profiles: &made, terminology: &terminology::Published };
        let demands = Demands { profiles: vec!["http://example.org/p".to_owned()], ..Demands::default() };
        let first = check(patient.root(), &demands, &around);
        prop_assert_eq!(first, check(patient.root(), &demands, &around));
    }
}
