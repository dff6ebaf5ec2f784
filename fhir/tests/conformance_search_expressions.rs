//! The compiled walkers of search parameters find what the FHIRPath engine finds for the same expressions.

#![expect(clippy::unwrap_used, reason = "a broken corpus fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::fhirpath::{Compiled, Context, Item};
use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::SearchRegistry;

#[path = "support/corpus.rs"]
mod corpus;

/// The texts of what the engine finds; primitives with nothing but extensions have none.
fn evaluated(expression: &Compiled, root: Value<'_>) -> BTreeSet<String> {
    let context = Context::of(root).with_filtering_as();
    let found = expression.evaluate(root, &context).unwrap();
    let text = |item: &Item<'_>| match item {
        Item::Node(node) => node.value().map(|value| value.raw().to_owned()),
        computed => Some(computed.to_string()),
    };
    found.iter().filter_map(text).collect()
}

#[test]
fn walkers_and_engine_agree() {
    let registry = SearchRegistry::r4();
    let mut compiled: BTreeMap<&str, Compiled> = BTreeMap::new();
    for parameter in r4().search_parameters() {
        if let Some(expression) = parameter.expression {
            compiled.insert(parameter.url, Compiled::new(expression, None).unwrap());
        }
    }
    let mut count = 0;
    for document in corpus::resources() {
        let root = document.root();
        let resource_type = corpus::type_of(root);
        for parameter in registry.parameters(&resource_type) {
            let Some(expression) = compiled.get(parameter.url()) else { continue };
            // The union of FHIRPath drops equal values at other places, so that only the sets can agree.
            let walked = parameter.extract(root);
            let walked: BTreeSet<_> = walked.iter().map(|found| found.value.raw().to_owned()).collect();
            let evaluated = evaluated(expression, root);
            assert_eq!(walked, evaluated, "{resource_type}: {}", parameter.code());
            count += evaluated.len();
        }
    }
    println!("{count} values agree");
    assert!(count > 18_000, "{count} values");
}
