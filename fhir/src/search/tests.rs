//! Search parameters: every construct of R4's expressions, on resources made for it.

use std::collections::BTreeSet;

use super::*;
use crate::definitions::r4;
use crate::json::{Document, Limits};

fn parse(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

/// The values of a parameter as `type raw`.
fn values(code: &str, text: &str) -> Vec<String> {
    let document = parse(text);
    let root = document.root();
    let resource_type = root.get("resourceType").unwrap().as_str().unwrap();
    let registry = SearchRegistry::r4();
    let parameter = registry.get(&resource_type, code).unwrap_or_else(|| panic!("{resource_type}.{code}"));
    let show = |found: Extracted<'_>| format!("{} {}", found.fhir_type, found.value.raw());
    let alone: Vec<String> = parameter.extract(root).into_iter().map(show).collect();
    let mut together = Vec::new();
    registry.extract_all(&resource_type, root, |other, found| {
        if other.code() == code {
            together.push(show(found));
        }
    });
    assert_eq!(
        alone.iter().collect::<BTreeSet<_>>(),
        together.iter().collect::<BTreeSet<_>>(),
        "alone and in one walk"
    );
    alone
}

#[test]
fn every_search_parameter_of_r4_with_an_expression_finds_something() {
    let registry = SearchRegistry::r4();
    let mut fruitless = Vec::new();
    let mut compiled = BTreeSet::new();
    for resource_type in r4().resource_types().iter().chain(&["Resource", "DomainResource"]) {
        for parameter in registry.parameters(resource_type) {
            compiled.insert(parameter.url().to_owned());
            if parameter.definition().expression.is_some() && !parameter.has_expression() {
                fruitless.push(format!("{resource_type}.{} {}", parameter.code(), parameter.url()));
            }
            for component in parameter.components() {
                assert!(!component.walker.is_fruitless(), "{resource_type}.{}", parameter.code());
            }
        }
    }
    let with_base = r4().search_parameters().iter().filter(|row| !row.bases.is_empty());
    let expected: BTreeSet<String> = with_base.map(|row| row.url.to_owned()).collect();
    let missing: Vec<_> = expected.difference(&compiled).collect();
    assert_eq!((fruitless, missing), (vec![], vec![]));
}

#[test]
fn plain_paths_give_every_item() {
    let patient = r#"{"resourceType":"Patient","id":"a","name":[{"family":"F","given":["x",null,"y"]},{"given":["z"]}],
        "_birthDate":{"extension":[]},"meta":{"tag":[{"code":"t"}]}}"#;
    assert_eq!(values("given", patient), ["string \"x\"", "string \"y\"", "string \"z\""]);
    assert_eq!(values("_id", patient).len(), 1);
    assert_eq!(values("_tag", patient), ["Coding {\"code\":\"t\"}"]);
    assert_eq!(values("birthdate", patient), [""; 0]);
}

#[test]
fn choices_are_found_under_their_json_names() {
    let with = |value: &str| format!(r#"{{"resourceType":"Observation",{value}}}"#);
    let quantity = with(r#""valueQuantity":{"value":1.0}"#);
    assert_eq!(values("value-quantity", &quantity), [r#"Quantity {"value":1.0}"#]);
    assert_eq!(values("combo-value-quantity", &quantity).len(), 1);
    assert_eq!(values("value-date", &quantity), [""; 0]);
    assert_eq!(values("date", &with(r#""effectiveDateTime":"2013""#)), [r#"dateTime "2013""#]);
    assert_eq!(
        values("date", &with(r#""effectivePeriod":{"start":"2013"}"#)),
        [r#"Period {"start":"2013"}"#]
    );
    assert_eq!(values("date", &with(r#""effective":"2013""#)), [""; 0]);
    // Of (Observation.value as CodeableConcept).text.
    let concept = with(r#""valueCodeableConcept":{"text":"t"}"#);
    assert_eq!(values("value-string", &concept), [r#"string "t""#]);
}

#[test]
fn a_cast_to_a_primitive_type_takes_only_that_type() {
    let text = r#"{"resourceType":"ConceptMap","sourceCanonical":"a","targetUri":"b"}"#;
    assert_eq!(values("source-uri", text), [""; 0]);
    assert_eq!(values("source", text), [r#"canonical "a""#]);
    assert_eq!(values("target-uri", text), [r#"uri "b""#]);
}

#[test]
fn alternatives_come_in_the_order_of_the_expression() {
    let text = r#"{"resourceType":"AllergyIntolerance","reaction":[{"substance":{"text":"b"}}],"code":{"text":"a"}}"#;
    let expected = [r#"CodeableConcept {"text":"a"}"#, r#"CodeableConcept {"text":"b"}"#];
    assert_eq!(values("code", text), expected);
}

#[test]
fn criteria_choose_among_the_items() {
    let text = r#"{"resourceType":"Patient","telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"},
        {"value":"3"}]}"#;
    assert_eq!(values("phone", text), [r#"ContactPoint {"system":"phone","value":"1"}"#]);
    assert_eq!(values("telecom", text).len(), 3);
}

#[test]
fn references_are_chosen_by_the_type_that_they_lead_to() {
    let subject = |reference: &str| {
        let text = format!(
            r##"{{"resourceType":"Observation","subject":{reference},
            "contained":[{{"resourceType":"Patient","id":"p"}},{{"resourceType":"Group","id":"g"}}]}}"##
        );
        assert_eq!(values("subject", &text).len(), 1, "every subject is a subject");
        values("patient", &text).len()
    };
    for patient in [
        r#"{"reference":"Patient/1"}"#,
        r#"{"reference":"Patient/1/_history/2"}"#,
        r#"{"reference":"https://a.example/fhir/Patient/1"}"#,
        r##"{"reference":"#p"}"##,
        r#"{"type":"Patient","identifier":{"value":"1"}}"#,
        r#"{"type":"http://hl7.org/fhir/StructureDefinition/Patient"}"#,
        r#"{"reference":"urn:uuid:1","type":"Patient"}"#,
    ] {
        assert_eq!(subject(patient), 1, "{patient}");
    }
    for other in [
        r#"{"reference":"Group/1"}"#,
        r#"{"reference":"Group/1","type":"Patient"}"#,
        r##"{"reference":"#g"}"##,
        r##"{"reference":"#nobody"}"##,
        r#"{"reference":"urn:uuid:1"}"#,
        r#"{"display":"Patient"}"#,
        r#"{}"#,
    ] {
        assert_eq!(subject(other), 0, "{other}");
    }
}

#[test]
fn a_question_gives_a_truth_value() {
    let deceased = |member: &str| values("deceased", &format!(r#"{{"resourceType":"Patient"{member}}}"#));
    assert_eq!(deceased(""), ["boolean false"]);
    assert_eq!(deceased(r#","deceasedBoolean":false"#), ["boolean false"]);
    assert_eq!(deceased(r#","deceasedBoolean":true"#), ["boolean true"]);
    assert_eq!(deceased(r#","deceasedDateTime":"2013""#), ["boolean true"]);
}

#[test]
fn extensions_are_found_by_url() {
    let url = "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition";
    let text = format!(
        r#"{{"resourceType":"DiagnosticReport","extension":[{{"url":"other"}},
        {{"url":"{url}","valueReference":{{"reference":"Condition/1"}}}}]}}"#
    );
    let found = values("assessed-condition", &text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("Extension {\"url\":\"http"), "{found:?}");
    let text = r#"{"resourceType":"QuestionnaireResponse","item":[
        {"answer":[{"valueReference":{"reference":"Patient/1"}}]},
        {"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"}],
         "answer":[{"valueReference":{"reference":"Patient/2"}},{"valueString":"x"}]}]}"#;
    assert_eq!(values("item-subject", text), [r#"Reference {"reference":"Patient/2"}"#]);
}

#[test]
fn an_index_takes_one_item() {
    let text = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Composition"}},
        {"resource":{"resourceType":"Patient"}}]}"#;
    assert_eq!(values("composition", text), [r#"Resource {"resourceType":"Composition"}"#]);
    assert_eq!(values("composition", r#"{"resourceType":"Bundle","entry":[]}"#), [""; 0]);
}

/// The values of a composite: for each element those of each part.
fn groups(code: &str, text: &str) -> Vec<Vec<Vec<String>>> {
    let document = parse(text);
    let root = document.root();
    let resource_type = root.get("resourceType").unwrap().as_str().unwrap();
    let parameter = SearchRegistry::r4().get(&resource_type, code).unwrap();
    let of_part = |element: Extracted<'_>, part: &Component| {
        let found = part.extract(root, element.value);
        found.iter().map(|one| format!("{} {}", one.fhir_type, one.value.raw())).collect()
    };
    let elements = parameter.extract(root).into_iter();
    elements
        .map(|element| parameter.components().iter().map(|part| of_part(element, part)).collect())
        .collect()
}

#[test]
fn the_parts_of_a_composite_are_taken_from_one_element() {
    let text = r#"{"resourceType":"Observation","code":{"text":"p"},"component":[
        {"code":{"text":"a"},"valueQuantity":{"value":1}},{"code":{"text":"b"},"valueString":"2"}]}"#;
    let concept = |text: &str| vec![format!(r#"CodeableConcept {{"text":"{text}"}}"#)];
    let quantity = vec![r#"Quantity {"value":1}"#.to_owned()];
    let in_components = vec![vec![concept("a"), quantity], vec![concept("b"), vec![]]];
    assert_eq!(groups("component-code-value-quantity", text), in_components);
    let mut with_root = vec![vec![concept("p"), vec![]]];
    with_root.extend(in_components);
    assert_eq!(groups("combo-code-value-quantity", text), with_root);
    assert_eq!(
        groups("code-value-date", r#"{"resourceType":"Observation","valueDateTime":"2013"}"#)[0][1].len(),
        1
    );
}

#[test]
fn a_part_may_lie_elsewhere_in_the_resource() {
    let text = r#"{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":{"text":"1"}},
        "variant":[{"start":5,"end":6}]}"#;
    let found = groups("chromosome-variant-coordinate", text);
    assert_eq!(found, [[vec![r#"CodeableConcept {"text":"1"}"#], vec!["integer 5"], vec!["integer 6"]]]);
}

#[test]
fn the_exchanged_parts_of_r4_are_put_right() {
    let text = r#"{"resourceType":"DocumentReference","relatesTo":[{"code":"replaces",
        "target":{"reference":"DocumentReference/1"}}]}"#;
    let target = r#"Reference {"reference":"DocumentReference/1"}"#.to_owned();
    assert_eq!(groups("relationship", text), [[vec![target], vec![r#"code "replaces""#.to_owned()]]]);
    let parameter = SearchRegistry::r4().get("DocumentReference", "relationship").unwrap();
    let kinds: Vec<_> = parameter.components().iter().map(Component::kind).collect();
    assert_eq!(kinds, [SearchParameterKind::Reference, SearchParameterKind::Token]);
}

#[test]
fn the_parts_say_which_parameter_they_are() {
    let parameter = SearchRegistry::r4().get("Observation", "code-value-quantity").unwrap();
    let parts: Vec<_> = parameter.components().iter().map(|part| (part.code(), part.kind())).collect();
    assert_eq!(
        parts,
        [("code", SearchParameterKind::Token), ("value-quantity", SearchParameterKind::Quantity)]
    );
}

fn custom(code: &str, base: &str, expression: &str) -> ParameterDefinition {
    ParameterDefinition {
        url: format!("http://example.org/{code}"),
        code: code.into(),
        bases: vec![base.into()],
        kind: SearchParameterKind::Token,
        expression: Some(expression.into()),
        targets: vec![],
        comparators: vec![],
        modifiers: vec![],
        usage: None,
        components: vec![],
    }
}

#[test]
fn added_parameters_are_compiled_beside_the_known_ones() {
    let race = "Patient.extension.where(url = 'http://race').extension.value.code";
    let registry = SearchRegistry::r4().with_parameters([
        custom("race", "Patient", race),
        custom("birth-time", "Patient", "Patient.birthDate.extension('http://time').value as dateTime"),
        custom("inner", "Bundle", "Bundle.entry.resource.ofType(Patient).gender"),
        custom("active", "Patient", "Patient.active = true or Patient.active.empty()"),
        custom("name", "Patient", "Patient.name.where(use = 'official' and period.exists().not())"),
        custom("nickname", "Patient", "(Patient.name | Patient.contact.name).where(use = 'nickname').given"),
    ]);
    let registry = registry.unwrap();
    let document = parse(
        r#"{"resourceType":"Patient","birthDate":"2013","_birthDate":{"extension":[{"url":"http://time",
        "valueDateTime":"2013-01-01"}]},"extension":[{"url":"http://race","extension":[{"url":"a",
        "valueCoding":{"code":"c"}},{"url":"b","valueString":"s"}]}],"name":[{"use":"official","given":["x"]},
        {"use":"official","period":{}}],"contact":[{"name":{"use":"nickname","given":["y"]}}]}"#,
    );
    let found = |code: &str| -> Vec<String> {
        let found = registry.get("Patient", code).unwrap().extract(document.root());
        found.iter().map(|one| format!("{} {}", one.fhir_type, one.value.raw())).collect()
    };
    assert_eq!(found("race"), [r#"code "c""#]);
    assert_eq!(found("birth-time"), [r#"dateTime "2013-01-01""#]);
    assert_eq!(found("active"), ["boolean true"]);
    assert_eq!(found("name"), [r#"HumanName {"use":"official","given":["x"]}"#]);
    assert_eq!(found("nickname"), [r#"string "y""#]);
    assert_eq!(found("birthdate"), [r#"date "2013""#]);
    let document = parse(
        r#"{"entry":[{"resource":{"resourceType":"Patient","gender":"male"}},{"resource":{"gender":"x"}}]}"#,
    );
    assert_eq!(registry.get("Bundle", "inner").unwrap().extract(document.root()).len(), 1);
    assert!(SearchRegistry::r4().get("Patient", "race").is_none(), "the old registry is as it was");
}

#[test]
fn criteria_compare_collections_as_fhirpath_does() {
    let registry = SearchRegistry::r4()
        .with_parameters([
            custom("other", "Patient", "Patient.name.where(given != 'x').family"),
            custom("self", "Patient", "Patient.link.other.where(resolve() is Patient)"),
        ])
        .unwrap();
    let document = parse(
        r##"{"resourceType":"Patient","link":[{"other":{"reference":"#"}}],"name":[{"family":"one","given":["x"]},
        {"family":"two","given":["x","y"]},{"family":"none"}]}"##,
    );
    let found = |code: &str| -> Vec<String> {
        let found = registry.get("Patient", code).unwrap().extract(document.root());
        found.iter().map(|one| one.value.raw().to_owned()).collect()
    };
    // Two values never equal one, and nothing compares to nothing (FHIRPath 2.0.0 section 6.1.1).
    assert_eq!(found("other"), [r#""two""#]);
    // R4 references.html#contained: a lone number sign is the resource itself.
    assert_eq!(found("self").len(), 1);
}

#[test]
fn what_a_walker_cannot_do_is_left_to_the_engine() {
    let registry = SearchRegistry::r4()
        .with_parameters([
            custom("first", "Bundle", "Bundle.entry.resource.ofType(Patient).name.first().given"),
            custom(
                "twins",
                "Patient",
                "(Patient.multipleBirth.as(integer) > 1) | (Patient.name.given as string).skip(1)",
            ),
            custom("broken", "Patient", "Patient.name.given + 1"),
        ])
        .unwrap();
    let found = |resource_type: &str, code: &str, text: &str| -> Vec<String> {
        let document = parse(text);
        let mut together = Vec::new();
        registry.extract_all(resource_type, document.root(), |parameter, one| {
            if parameter.code() == code {
                together.push(format!("{} {}", one.fhir_type, one.value.raw()));
            }
        });
        let alone = registry.get(resource_type, code).unwrap().extract(document.root());
        let alone: Vec<_> =
            alone.iter().map(|one| format!("{} {}", one.fhir_type, one.value.raw())).collect();
        assert_eq!(alone, together);
        alone
    };
    let bundle = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}},
        {"resource":{"resourceType":"Patient","name":[{"given":["a"]},{"given":["b"]}]}}]}"#;
    assert_eq!(found("Bundle", "first", bundle), [r#"string "a""#]);
    let patient = r#"{"resourceType":"Patient","multipleBirthInteger":2,"name":[{"given":["a","b"]}]}"#;
    assert_eq!(found("Patient", "twins", patient), ["boolean true", r#"string "b""#]);
    assert_eq!(found("Patient", "broken", patient), [""; 0]);
}

#[test]
fn what_cannot_be_compiled_is_refused_with_its_reason() {
    let refusal = |base: &str, expression: &str| {
        SearchRegistry::r4().with_parameters([custom("x", base, expression)]).unwrap_err().to_string()
    };
    assert!(refusal("Patient", "Patient.name.").contains("cannot be read"));
    assert!(refusal("Patient", "Patient.name.conjure('a')").contains("conjure()"));
    assert!(refusal("Nobody", "Nobody.name").contains("Nobody"));
    let mut composite = custom("x", "Patient", "Patient.name.skip(1)");
    composite.components = vec![("http://example.org/x".into(), "given".into())];
    let refused = SearchRegistry::r4().with_parameters([composite]).unwrap_err();
    assert!(matches!(refused, SearchParameterError::Unsupported { .. }));
    let mut composite = custom("x", "Patient", "Patient");
    composite.components = vec![("http://nowhere".into(), "name".into())];
    let refused = SearchRegistry::r4().with_parameters([composite]).unwrap_err();
    assert!(matches!(refused, SearchParameterError::UnknownComponent { .. }));
}

mod arbitrary {
    use super::*;
    use proptest::prelude::*;

    /// JSON out of the member names that the walkers look for, with values of any kind behind them.
    fn any_resource() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "Patient/1|#a|phone|\\PC{0,4}".prop_map(Into::into),
        ];
        let name = prop::sample::select(vec![
            "resourceType",
            "id",
            "meta",
            "extension",
            "url",
            "code",
            "subject",
            "reference",
            "component",
            "name",
            "valueQuantity",
            "effectiveDateTime",
            "performer",
            "contained",
            "type",
            "entry",
            "resource",
            "category",
            "_status",
            "status",
            "telecom",
            "system",
            "deceasedBoolean",
            "link",
            "other",
            "é",
        ]);
        leaf.prop_recursive(6, 80, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec((name.clone(), inner), 0..8).prop_map(|members| {
                    serde_json::Value::Object(
                        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn extraction_takes_any_json(value in any_resource()) {
            let document = parse(&value.to_string());
            let root = document.root();
            for resource_type in ["Observation", "Patient", "Bundle", "Nobody"] {
                let registry = SearchRegistry::r4();
                let mut together = Vec::new();
                registry.extract_all(resource_type, root, |parameter, found| {
                    together.push((parameter.url().to_owned(), found.value.raw()));
                });
                let mut alone = Vec::new();
                for parameter in registry.parameters(resource_type) {
                    for found in parameter.extract(root) {
                        prop_assert!(!found.value.is_null() || root.is_null());
                        alone.push((parameter.url().to_owned(), found.value.raw()));
                        for part in parameter.components() {
                            let _values = part.extract(root, found.value);
                        }
                    }
                }
                together.sort();
                alone.sort();
                prop_assert_eq!(together, alone);
            }
        }
    }
}

#[test]
fn it_is_known_what_every_resource_has() {
    let of = |resource_type, code| {
        let parameter = SearchRegistry::r4().get(resource_type, code).unwrap();
        (parameter.is_mandatory(), parameter.is_primitive())
    };
    assert_eq!(of("Observation", "status"), (true, true));
    assert_eq!(of("Observation", "code"), (true, false));
    assert_eq!(of("Observation", "subject"), (false, false));
    assert_eq!(of("Observation", "value-string"), (false, true));
    assert_eq!(of("Condition", "patient"), (false, false), "a condition may be a group's");
    assert_eq!(of("AllergyIntolerance", "patient"), (true, false));
    assert_eq!(of("Patient", "email"), (false, false));
    assert_eq!(of("Patient", "deceased"), (false, false));
}
