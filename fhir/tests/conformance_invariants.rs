//! The invariants of R4, evaluated on every element of published resources: what holds, and what is listed.

#![expect(clippy::unwrap_used, reason = "a broken corpus fails the test")]

use std::collections::{BTreeMap, HashMap};

use anamnesis_fhir::definitions::{Constraint, Structure, r4};
use anamnesis_fhir::fhirpath::{Collection, Compiled, Context, Item, Node};
use anamnesis_fhir::json::Value;
use chrono::DateTime;

#[path = "support/corpus.rs"]
mod corpus;

/// Invariants that published examples break, with how often and why.
const BROKEN: &[(&str, usize, &str)] = &[
    ("ref-1", 610, "neither true nor false for a reference without an address; R5 repaired the expression"),
    ("txt-1", 1, "the example of EventDefinition has an empty narrative"),
    ("txt-2", 1, "the example of EventDefinition has an empty narrative"),
];

/// Deepest nesting that is walked.
const DEPTH_MAX: usize = 100;

struct Walk<'s> {
    compiled: HashMap<(&'static str, &'static str), Compiled>,
    /// The step to an element, by its name.
    steps: &'s HashMap<&'static str, Compiled>,
    evaluated: usize,
    broken: BTreeMap<&'static str, (usize, String)>,
}

impl<'s> Walk<'s> {
    fn compile(&mut self, constraint: &'static Constraint) {
        let key = (constraint.key, constraint.expression);
        self.compiled.entry(key).or_insert_with(|| Compiled::new(constraint.expression, None).unwrap());
    }

    fn check(
        &mut self,
        constraint: &'static Constraint,
        node: Node<'_>,
        root: Value<'_>,
        resource: Value<'_>,
    ) {
        if constraint.is_warning {
            return;
        }
        self.compile(constraint);
        self.evaluated += 1;
        let now = DateTime::parse_from_rfc3339("2026-01-02T03:04:05.678+01:00").unwrap();
        let context = Context::of(resource).with_root_resource(root).with_now(now).with_filtering_as();
        let compiled = self.compiled.get(&(constraint.key, constraint.expression)).unwrap();
        let found = compiled.evaluate_on(Collection::single(Item::Node(node)), &context);
        let verdict = match found {
            Ok(found) => match (found.len(), found.first().and_then(Item::as_boolean)) {
                (1, Some(true)) => return,
                (1, Some(false)) => "false".to_owned(),
                (0, _) => "empty".to_owned(),
                _ => "no truth value".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let id = root.get("id").and_then(Value::as_str).unwrap_or_default().into_owned();
        let entry = self.broken.entry(constraint.key).or_default();
        entry.0 += 1;
        entry.1 = format!("{verdict} in {} {id}: {}", corpus::type_of(root), constraint.expression);
    }

    fn walk<'v: 's>(&mut self, node: Node<'v>, root: Value<'v>, resource: Value<'v>, depth: usize) {
        assert!(depth < DEPTH_MAX);
        let Some(structure): Option<&'static Structure> = node.structure() else { return };
        let resource = match node.value() {
            Some(value) if structure.is_resource() => value,
            _ => resource,
        };
        for constraint in &structure.constraints {
            self.check(constraint, node, root, resource);
        }
        for element in structure.elements() {
            let steps: &'s HashMap<_, _> = self.steps;
            let step = steps.get(element.name).unwrap();
            let found = step.evaluate_on(Collection::single(Item::Node(node)), &Context::new()).unwrap();
            let children: Vec<Node<'_>> = found.iter().map(|item| *item.node().unwrap()).collect();
            for child in children {
                // A contained resource refers to others in its container, an entry stands for itself.
                let root = match child.value() {
                    Some(value) if element.name == "resource" && structure.name == "Bundle.entry" => value,
                    _ => root,
                };
                for constraint in &element.constraints {
                    self.check(constraint, child, root, resource);
                }
                self.walk(child, root, resource, depth + 1);
            }
        }
    }
}

#[test]
fn published_resources_keep_the_invariants() {
    let names =
        r4().structures().iter().flat_map(|structure| structure.elements()).map(|element| element.name);
    let steps: HashMap<_, _> =
        names.map(|name| (name, Compiled::new(&format!("$this.`{name}`"), None).unwrap())).collect();
    let documents = corpus::resources();
    let mut walk = Walk { compiled: HashMap::new(), steps: &steps, evaluated: 0, broken: BTreeMap::new() };
    for document in &documents {
        let root = document.root();
        let structure = r4().resource(&corpus::type_of(root));
        walk.walk(Node::new(root, structure), root, root, 0);
    }
    println!("{} evaluations of {} invariants", walk.evaluated, walk.compiled.len());
    assert!(walk.evaluated > 25_000, "{}", walk.evaluated);
    for (key, count, _) in BROKEN {
        let found = walk.broken.remove(key).map_or(0, |found| found.0);
        assert_eq!(found, *count, "{key}");
    }
    let report: Vec<_> =
        walk.broken.iter().map(|(key, (count, example))| format!("{key} {count} times, {example}")).collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
}
