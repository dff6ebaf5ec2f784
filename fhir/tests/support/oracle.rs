//! The FHIRPath engine as the oracle of the walkers: two readings of the same expressions, made apart.
#![expect(clippy::unwrap_used, reason = "a broken expression fails the test")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::fhirpath::{Collection, Compiled, Context, Item, Node};
use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::{Found, SearchRegistry};

use expression::general;

#[path = "expression.rs"]
mod expression;

/// Type and text of each value, each once: a union keeps one of equal values.
type Values = BTreeSet<(String, String)>;

fn by_walker(found: &Found<'_>) -> Values {
    let type_name = |value: Value<'_>, name: &str| match name {
        "Resource" => value.get("resourceType").unwrap().as_str().unwrap().into_owned(),
        name => name.to_owned(),
    };
    found.iter().map(|one| (type_name(one.value, one.fhir_type), one.value.raw().to_owned())).collect()
}

fn by_engine(found: &Collection<'_>) -> Values {
    let shown = found.iter().filter_map(|item| match item {
        Item::Node(node) => Some((node.structure()?.name.to_owned(), node.value()?.raw().to_owned())),
        Item::Boolean(truth) => Some(("boolean".to_owned(), truth.to_string())),
        other => panic!("a search parameter computes {other:?}"),
    });
    shown.collect()
}

/// Compares both over resources and keeps the differences.
#[derive(Default)]
pub(crate) struct Oracle {
    compiled: HashMap<String, Compiled>,
    differences: BTreeMap<String, (Values, Values)>,
    values_count: usize,
    used: BTreeSet<String>,
}

impl Oracle {
    /// All parameters of one resource, and the parts of composites.
    pub(crate) fn compare(&mut self, resource_type: &str, root: Value<'_>) {
        for parameter in SearchRegistry::r4().parameters(resource_type) {
            let Some(text) = parameter.definition().expression.as_deref() else { continue };
            let name = format!("{resource_type}.{}", parameter.code());
            let node = Node::new(root, r4().structure(resource_type));
            let found = parameter.extract(root);
            self.compare_values(&name, text, root, node, by_walker(&found));
            for element in found {
                let node = Node::new(element.value, r4().structure(element.fhir_type));
                for (part, (_, text)) in parameter.components().iter().zip(&parameter.definition().components)
                {
                    let name = format!("{name}${}", part.code());
                    self.compare_values(
                        &name,
                        text,
                        root,
                        node,
                        by_walker(&part.extract(root, element.value)),
                    );
                }
            }
        }
    }

    fn compare_values(&mut self, name: &str, text: &str, root: Value<'_>, on: Node<'_>, found: Values) {
        let engine = self.compiled.entry(text.to_owned()).or_insert_with(|| general(text));
        let outcome = engine.evaluate_on(Collection::single(Item::Node(on)), &Context::of(root));
        let expected = by_engine(&outcome.unwrap());
        self.values_count += expected.len();
        if !expected.is_empty() {
            self.used.insert(name.to_owned());
        }
        if found != expected {
            self.differences.insert(name.to_owned(), (found, expected));
        }
    }

    /// Fails where there was a difference (walker first), or less to compare than there should be.
    pub(crate) fn finish(self, values_min: usize, parameters_min: usize) {
        assert!(self.values_count >= values_min, "{} values", self.values_count);
        assert!(self.used.len() >= parameters_min, "{} parameters with values", self.used.len());
        assert_eq!(self.differences, BTreeMap::new());
    }
}
