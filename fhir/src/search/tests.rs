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
