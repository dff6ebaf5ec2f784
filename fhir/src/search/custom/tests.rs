//! Definitions that are taken, and what is wrong with others.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Fault, FaultKind, Standing, Submitted, Unused, compose, read};
use crate::definitions::r4;
use crate::json::{Document, Limits};
use crate::search::{ParameterDefinition, SearchRegistry};

const RESERVED: [&str; 2] = ["ct", "hardDelete"];

fn checked_with(resource: &Json, known: &SearchRegistry) -> Result<Standing, Vec<Fault>> {
    let document = Document::parse(resource.to_string(), &Limits::default()).unwrap();
    read(document.root(), known, &RESERVED)
}

fn checked(resource: &Json) -> Result<Standing, Vec<Fault>> {
    checked_with(resource, SearchRegistry::r4())
}

/// A parameter of Patient with what is given in place of, or beside, what it would have.
fn parameter(changes: Json) -> Json {
    let mut resource = json!({
        "resourceType": "SearchParameter", "url": "http://example.org/p", "name": "p", "status": "active",
        "description": "p", "code": "p", "base": ["Patient"], "type": "string", "expression": "Patient.name",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Json::Null => drop(resource.as_object_mut().unwrap().remove(name)),
            value => resource[name] = value.clone(),
        }
    }
    resource
}

fn added(resource: &Json) -> ParameterDefinition {
    match checked(resource) {
        Ok(Standing::Added(definition)) => definition,
        other => panic!("{other:?}"),
    }
}

/// The elements that are wrong, and how.
fn faults(resource: &Json) -> Vec<(String, FaultKind)> {
    let faults = checked(resource).expect_err("it should have faults");
    faults.into_iter().map(|fault| (fault.expression.replace("SearchParameter.", ""), fault.kind)).collect()
}

fn of_r4(row: &crate::definitions::SearchParameter) -> Json {
    let mut resource = parameter(json!({
        "url": row.url, "code": row.code, "base": row.bases, "type": row.kind.code(),
        "expression": row.expression,
    }));
    if !row.components.is_empty() {
        let component = |part: &crate::definitions::SearchComponent| json!({ "definition": part.definition, "expression": part.expression });
        resource["component"] = row.components.iter().map(component).collect();
    }
    resource
}

/// Its parts are exchanged in what R4 has published; the registry knows it put right.
const EXCHANGED: &str = "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship";

fn rows() -> impl Iterator<Item = &'static crate::definitions::SearchParameter> {
    r4().search_parameters().iter().filter(|row| !row.bases.is_empty())
}

#[test]
fn what_r4_has_published_is_known_already() {
    for row in rows() {
        assert_eq!(checked(&of_r4(row)), Ok(Standing::Served { by: row.url.to_owned() }), "{}", row.url);
        if row.url == EXCHANGED {
            continue;
        }
        let mut other = of_r4(row);
        other["url"] = json!("http://example.org/p");
        match (checked(&other), row.expression) {
            (Ok(Standing::Unused(Unused::Special)), _) => assert_eq!(row.kind.code(), "special"),
            (Ok(Standing::Unused(Unused::NoExpression)), None) => {}
            (Ok(Standing::Served { .. }), Some(_)) => {}
            other => panic!("{}: {other:?}", row.url),
        }
    }
}

/// The rules take everything that R4 itself has, but for these: what stands in an extension without `.value`, resources as
/// references, and three composites of which an index alone would not do.
#[test]
fn the_rules_are_those_that_r4_follows() {
    let mut refused = Vec::new();
    for row in rows().filter(|row| row.expression.is_some()) {
        let mut other = of_r4(row);
        other["url"] = json!("http://example.org/p");
        other["code"] = json!("a-code-of-its-own");
        if checked(&other).is_err() {
            refused.push(row.url.rsplit('/').next().unwrap());
        }
    }
    let expected = [
        "Bundle-composition",
        "Bundle-message",
        "DocumentReference-relationship",
        "Observation-code-value-string",
        "Observation-combo-code-value-concept",
        "Observation-combo-code-value-quantity",
        "device-extensions-Device-din",
        "diagnosticreport-genetic-DiagnosticReport-assessed-condition",
        "observation-genetic-Observation-amino-acid-change",
        "observation-genetic-Observation-dna-variant",
        "observation-genetic-Observation-gene-amino-acid-change",
        "observation-genetic-Observation-gene-dnavariant",
        "observation-genetic-Observation-gene-identifier",
        "patient-extensions-Patient-mothersMaidenName",
    ];
    refused.sort_unstable();
    assert_eq!(refused, expected);
}

#[test]
fn a_definition_is_read_whole() {
    let definition = added(&parameter(json!({
        "type": "reference", "expression": "Patient.link.other", "target": ["Patient", "RelatedPerson", "Patient"],
        "comparator": ["eq"], "modifier": ["missing"], "xpathUsage": "normal",
    })));
    assert_eq!(definition.targets, ["Patient", "RelatedPerson"]);
    assert_eq!((definition.url.as_str(), definition.code.as_str()), ("http://example.org/p", "p"));
    assert_eq!((definition.comparators.len(), definition.modifiers.len()), (1, 1));
    assert_eq!((definition.bases.as_slice(), definition.usage), (["Patient".to_owned()].as_slice(), None));
    assert!(SearchRegistry::r4().with_parameters([added(&parameter(json!({})))]).is_ok());
}

#[test]
fn every_element_is_checked() {
    use FaultKind::{Invalid, Missing, Unsupported};
    for (changes, element, kind) in [
        (json!({"url": null}), "url", Missing),
        (json!({"url": "p"}), "url", Invalid),
        (json!({"url": "http://a b"}), "url", Invalid),
        (json!({"url": "http://example.org/p|1"}), "url", Invalid),
        (json!({"code": null}), "code", Missing),
        (json!({"code": "_p"}), "code", Invalid),
        (json!({"code": "ct"}), "code", Invalid),
        (json!({"code": "a:b"}), "code", Invalid),
        (json!({"code": "a.b"}), "code", Invalid),
        (json!({"code": "a b"}), "code", Invalid),
        (json!({"code": "1a"}), "code", Invalid),
        (json!({"code": "a".repeat(65)}), "code", Invalid),
        (json!({"base": null}), "base", Missing),
        (json!({"base": ["Patient", "Pacient"]}), "base[1]", Invalid),
        (json!({"target": ["Nothing"]}), "target[0]", Invalid),
        (json!({"type": null}), "type", Missing),
        (json!({"type": "text"}), "type", Invalid),
        (json!({"type": "token"}), "expression", Invalid),
        (json!({"type": "date", "expression": "Patient.name.family"}), "expression", Invalid),
        (json!({"type": "number", "expression": "Patient.birthDate"}), "expression", Invalid),
        (json!({"type": "uri", "expression": "Patient.id"}), "expression", Invalid),
        (json!({"type": "quantity", "expression": "Patient.active"}), "expression", Invalid),
        (json!({"type": "reference", "expression": "Patient.contact"}), "expression", Invalid),
        (json!({"expression": "Patient.nmae"}), "expression", Invalid),
        (json!({"expression": "Patient.name | nmae"}), "expression", Invalid),
        (json!({"expression": "Patient.name | Patient.birthDate"}), "expression", Invalid),
        (json!({"expression": "Practitioner.name"}), "expression", Invalid),
        (json!({"expression": "Patient.name.("}), "expression", Invalid),
        (json!({"expression": "Patient.name.nothing()"}), "expression", Invalid),
        (json!({"expression": "x".repeat(10_001)}), "expression", Invalid),
        (json!({"component": [{"definition": "http://a", "expression": "b"}]}), "component", Invalid),
        (json!({"type": "composite", "expression": "Patient.link"}), "component", Invalid),
        (
            json!({"type": "composite", "expression": "iif(true, Patient.link, Patient.link)", "component": [
                {"definition": "http://hl7.org/fhir/SearchParameter/Patient-link", "expression": "other"},
                {"definition": "http://hl7.org/fhir/SearchParameter/Patient-link", "expression": "other"}]}),
            "expression",
            Unsupported,
        ),
    ] {
        assert_eq!(faults(&parameter(changes.clone())), [(element.to_owned(), kind)], "{changes}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_say_what_was_found() {
    let many = faults(&parameter(json!({"url": null, "type": "text", "base": ["X"], "code": null})));
    assert_eq!(
        many.iter().map(|(element, _)| element.as_str()).collect::<Vec<_>>(),
        ["url", "code", "type", "base[0]"]
    );
    let misfit = checked(&parameter(json!({"type": "token", "code": "a:b"}))).unwrap_err();
    assert_eq!(misfit.len(), 2);
    for word in ["a:b", "token", "Patient.name finds HumanName", "CodeableConcept"] {
        assert!(misfit[1].text.contains(word), "{}", misfit[1].text);
    }
}

#[test]
fn what_takes_no_part_is_taken_as_it_is() {
    for (changes, why) in [
        (json!({"status": "retired", "expression": "(", "url": null}), Unused::Status),
        (json!({"status": "unknown"}), Unused::Status),
        (
            json!({"expression": null, "type": "composite", "component": [
            {"definition": "a", "expression": "b"}, {"definition": "a", "expression": "b"}]}),
            Unused::NoExpression,
        ),
        (json!({"expression": " "}), Unused::NoExpression),
        (json!({"type": "special"}), Unused::Special),
    ] {
        assert_eq!(checked(&parameter(changes)), Ok(Standing::Unused(why)));
    }
}

#[test]
fn expressions_for_the_engine_are_taken() {
    for expression in [
        "Patient.name.given.first().upper()",
        "Patient.name.skip(1).family",
        "iif(active, name, contact.name)",
    ] {
        assert_eq!(
            added(&parameter(json!({"expression": expression}))).expression.as_deref(),
            Some(expression)
        );
    }
    added(&parameter(json!({"type": "token", "expression": "Patient.contact.exists()"})));
    assert_eq!(
        faults(&parameter(json!({"type": "date", "expression": "Patient.contact.exists()"}))),
        [("expression".to_owned(), FaultKind::Invalid)]
    );
}

#[test]
fn a_code_that_is_taken_is_refused_unless_it_says_the_same() {
    use FaultKind::Taken;
    let name = "http://hl7.org/fhir/SearchParameter/Patient-name";
    let served = Ok(Standing::Served { by: name.to_owned() });
    assert_eq!(checked(&parameter(json!({"code": "name"}))), served);
    assert_eq!(checked(&parameter(json!({"code": "name", "expression": "name"}))), served);
    let other = json!({"code": "name", "expression": "Patient.contact.name"});
    assert_eq!(faults(&parameter(other)), [("code".to_owned(), Taken)]);
    let derived =
        json!({"code": "name", "expression": "Patient.contact.name", "derivedFrom": format!("{name}|4.0.1")});
    assert_eq!(checked(&parameter(derived)), served);
    let kind = json!({"code": "name", "type": "token", "expression": "Patient.active", "derivedFrom": name});
    assert_eq!(faults(&parameter(kind)), [("code".to_owned(), Taken)]);
    let url = json!({"url": name, "code": "name", "expression": "Patient.contact.name"});
    assert_eq!(faults(&parameter(url)), [("url".to_owned(), Taken)]);
    // One alternative of a parameter over many types, alone.
    let code =
        json!({"code": "code", "base": ["Observation"], "type": "token", "expression": "Observation.code"});
    let clinical = "http://hl7.org/fhir/SearchParameter/clinical-code".to_owned();
    assert_eq!(checked(&parameter(code)), Ok(Standing::Served { by: clinical }));
    // Where it is known for one base, the other is new.
    let two = json!({"code": "name", "base": ["Patient", "RelatedPerson", "Basic"], "type": "string",
        "expression": "Patient.name | RelatedPerson.name | Basic.extension.value.as(string)"});
    assert_eq!(added(&parameter(two)).bases, ["Basic"]);
}

#[test]
fn parts_of_composites_are_checked() {
    use FaultKind::{Invalid, Unsupported};
    let of = |id: &str| format!("http://hl7.org/fhir/SearchParameter/{id}");
    let composite = |expression: &str, parts: &[(&str, &str)]| {
        let component =
            |(id, expression): &(&str, &str)| json!({"definition": of(id), "expression": expression});
        parameter(json!({"type": "composite", "base": ["Observation"], "expression": expression,
            "component": parts.iter().map(component).collect::<Vec<_>>()}))
    };
    let quantity = ("Observation-value-quantity", "value.as(Quantity)");
    added(&composite("Observation", &[("clinical-code", "code"), quantity]));
    added(&composite(
        "Observation",
        &[("Observation-status", "status"), ("clinical-date", "effective"), quantity],
    ));
    added(&composite(
        "Observation.component",
        &[
            ("Observation-component-code", "code"),
            ("Observation-component-value-quantity", "value.as(Quantity)"),
        ],
    ));
    for (resource, element, kind) in [
        (composite("Observation", &[("nothing", "code"), quantity]), "component[0].definition", Invalid),
        (
            composite("Observation", &[("Observation-code-value-date", "code"), quantity]),
            "component[0].definition",
            Unsupported,
        ),
        (
            composite("Observation", &[("Patient-active", "status"), quantity]),
            "component[0].definition",
            Invalid,
        ),
        (
            composite("Observation", &[("clinical-code", "nothing"), quantity]),
            "component[0].expression",
            Invalid,
        ),
        (
            composite("Observation", &[("clinical-code", "method"), quantity]),
            "component[0].expression",
            Unsupported,
        ),
        (
            composite("Observation", &[("clinical-code", "issued"), quantity]),
            "component[0].expression",
            Invalid,
        ),
        (
            composite("Observation.component", &[quantity, ("clinical-code", "code")]),
            "component",
            Unsupported,
        ),
        (
            composite("Observation.where(status = 'final')", &[("clinical-code", "code"), quantity]),
            "expression",
            Unsupported,
        ),
        (
            composite("Observation | Observation.component", &[("clinical-code", "code"), quantity]),
            "expression",
            Unsupported,
        ),
    ] {
        let found = faults(&resource);
        assert!(found.contains(&(element.to_owned(), kind)), "{resource}: {found:?}");
    }
}

#[test]
fn parameters_of_clients_are_known_as_well() {
    let known = SearchRegistry::r4().with_parameters([added(&parameter(json!({})))]).unwrap();
    let again = parameter(json!({"url": "http://example.org/q", "expression": "Patient.contact.name"}));
    let faults = checked_with(&again, &known).unwrap_err();
    assert_eq!((faults[0].kind, faults[0].expression.as_str()), (FaultKind::Taken, "SearchParameter.code"));
    let part = json!({"definition": "http://example.org/p", "expression": "name"});
    let link =
        json!({"definition": "http://hl7.org/fhir/SearchParameter/Patient-link", "expression": "link.other"});
    let composite = parameter(json!({"url": "http://example.org/c", "code": "c", "type": "composite",
        "expression": "Patient", "component": [link, part]}));
    assert!(matches!(checked_with(&composite, &known), Ok(Standing::Added(_))));
    assert!(checked(&composite).is_err(), "the part is not known there");
}

#[test]
fn several_are_composed_in_order_with_composites_behind() {
    let submitted = |changes| {
        let document = Document::parse(parameter(changes).to_string(), &Limits::default()).unwrap();
        Submitted::read(document.root())
    };
    let part = json!({"definition": "http://example.org/p", "expression": "name"});
    let link =
        json!({"definition": "http://hl7.org/fhir/SearchParameter/Patient-link", "expression": "link.other"});
    let composite = submitted(json!({"url": "http://example.org/c", "code": "c", "type": "composite",
        "expression": "Patient", "component": [link, part]}));
    let first = submitted(json!({}));
    let same = submitted(json!({"url": "http://example.org/same"}));
    let other = submitted(json!({"url": "http://example.org/other", "expression": "Patient.contact.name"}));
    let retired = submitted(json!({"url": "http://example.org/r", "status": "retired"}));
    let composed = compose(&[&composite, &first, &same, &other, &retired], &RESERVED);
    let [composite, first, same, other, retired] = composed.standings.as_slice() else { panic!() };
    assert!(matches!((composite, first), (Ok(Standing::Added(_)), Ok(Standing::Added(_)))));
    assert_eq!(same, &Ok(Standing::Served { by: "http://example.org/p".to_owned() }));
    assert_eq!(other.as_ref().unwrap_err()[0].kind, FaultKind::Taken);
    assert_eq!(retired, &Ok(Standing::Unused(Unused::Status)));
    assert_eq!(composed.registry.get("Patient", "c").unwrap().components().len(), 2);
    assert!(composed.registry.by_url("http://example.org/same").is_none());
}

/// The pointers to everything in a resource.
fn pointers(value: &Json, at: &str, found: &mut Vec<String>) {
    let mut inner = |name: String, value: &Json| {
        let pointer = format!("{at}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    };
    match value {
        Json::Object(members) => members.iter().for_each(|(name, value)| inner(name.clone(), value)),
        Json::Array(items) => items.iter().enumerate().for_each(|(at, value)| inner(at.to_string(), value)),
        _ => {}
    }
}

fn garbage() -> impl Strategy<Value = Json> {
    let words = prop::sample::select(vec![
        "Patient",
        "Resource",
        "date",
        "composite",
        "token",
        "active",
        "Patient.name",
        "Observation",
        "value",
        "code",
        "(",
        "%resource",
        "http://hl7.org/fhir/SearchParameter/clinical-code",
        "name | birthDate",
        "a.b.where($this = 1)",
    ]);
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        words.prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"definition": "x"}, null, 3])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is made of a definition, it is taken or its faults are told; and what is taken can be added.
    #[test]
    fn a_damaged_definition_is_refused_or_can_be_used(
        row in 0..rows().count(),
        code in prop::bool::ANY,
        changes in prop::collection::vec((any::<prop::sample::Index>(), garbage()), 0..4),
    ) {
        let mut resource = of_r4(rows().nth(row).unwrap());
        if code {
            resource["url"] = json!("http://example.org/p");
            resource["code"] = json!("a-code-of-its-own");
        }
        for (at, value) in changes {
            let mut found = Vec::new();
            pointers(&resource, "", &mut found);
            *resource.pointer_mut(&found[at.index(found.len())]).unwrap() = value;
        }
        match checked(&resource) {
            Ok(Standing::Added(definition)) => {
                prop_assert!(SearchRegistry::r4().with_parameters([definition]).is_ok(), "{}", resource);
            }
            Ok(_) => {}
            Err(faults) => prop_assert!(faults.iter().all(|fault| fault.text.ends_with('.')), "{:?}", faults),
        }
    }

    #[test]
    fn any_expression_is_read_or_refused(expression in "[a-zA-Z.()|'= $%0-9\\[\\]]{0,40}") {
        let _outcome = checked(&parameter(json!({"expression": expression})));
    }
}
