//! Search values, compartments and links of published resources: R4's examples, US Core's, and patients by Synthea.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anamnesis_fhir::compartment::{Place, patient_compartments};
use anamnesis_fhir::json::{Document, Limits, Splice};
use anamnesis_fhir::references::{LinkKind, links, may_hold_indirect_links, rewrite};
use anamnesis_fhir::search::SearchRegistry;

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/oracle.rs"]
mod oracle;

use oracle::Oracle;

#[test]
fn one_walk_finds_what_each_parameter_finds() {
    let registry = SearchRegistry::r4();
    let mut count = 0;
    let mut used = BTreeSet::new();
    for document in corpus::resources() {
        let root = document.root();
        let resource_type = corpus::type_of(root);
        let mut together = Vec::new();
        registry.extract_all(&resource_type, root, |parameter, found| {
            together.push((parameter.code().to_owned(), found.fhir_type, found.value.raw()));
        });
        let mut alone = Vec::new();
        for parameter in registry.parameters(&resource_type) {
            for found in parameter.extract(root) {
                used.insert((resource_type.clone(), parameter.code().to_owned()));
                alone.push((parameter.code().to_owned(), found.fhir_type, found.value.raw()));
            }
        }
        together.sort();
        alone.sort();
        assert_eq!(together, alone, "{resource_type}");
        count += alone.len();
    }
    assert!(count > 18_000, "{count} values");
    assert!(used.len() > 900, "{} parameters of a type with values", used.len());
}

/// The general engine and the walkers are two readings of the same expressions, made apart.
#[test]
fn walkers_find_what_the_fhirpath_engine_finds() {
    let mut oracle = Oracle::default();
    for document in corpus::resources() {
        oracle.compare(&corpus::type_of(document.root()), document.root());
    }
    oracle.finish(15_000, 900);
}

#[test]
fn every_link_of_a_transaction_is_found_and_rewritten() {
    let mut narrative_count = 0;
    for bundle in corpus::synthea() {
        let root = bundle.root();
        let mut addresses: HashMap<String, String> = HashMap::new();
        for (number, entry) in root.get("entry").unwrap().items().enumerate() {
            let full_url = entry.get("fullUrl").unwrap().as_str().unwrap().into_owned();
            let resource_type = corpus::type_of(entry.get("resource").unwrap());
            addresses.insert(full_url, format!("{resource_type}/new-{number}"));
        }
        let mut splice = Splice::new();
        let mut rewritten_count = 0;
        for entry in root.get("entry").unwrap().items() {
            let resource = entry.get("resource").unwrap();
            let resource_type = corpus::type_of(resource);
            let textual = resource.raw().matches("\"reference\":\"urn:uuid:").count();
            let found = links(resource, &resource_type);
            let indirect = found.iter().filter(|link| addresses.contains_key(&*link.text));
            assert_eq!(indirect.clone().count(), textual, "{resource_type}");
            assert!(indirect.clone().all(|link| link.kind == LinkKind::Reference));
            assert!(textual == 0 || may_hold_indirect_links(resource.raw()));
            rewritten_count += textual;
            narrative_count += found.iter().filter(|link| link.kind == LinkKind::Narrative).count();
            let piece = Document::parse(resource.raw(), &Limits::default()).unwrap();
            let edits = rewrite(piece.root(), &resource_type, |link| addresses.get(&*link.text).cloned());
            splice.replace(resource.span(), edits.apply_to(&piece).unwrap());
        }
        let rewritten = String::from_utf8(splice.apply_to(&bundle).unwrap()).unwrap();
        assert_eq!(rewritten.matches("/new-").count(), rewritten_count);
        let mut undone = rewritten;
        for (full_url, address) in &addresses {
            undone = undone.replace(&format!("\"{address}\""), &format!("\"{full_url}\""));
        }
        assert!(undone == bundle.text(), "nothing else was touched");
    }
    assert_eq!(narrative_count, 8, "one for each patient");
}

#[test]
fn what_synthea_says_of_a_patient_is_in_that_patients_compartment() {
    let mut homes: BTreeMap<String, usize> = BTreeMap::new();
    for bundle in corpus::synthea() {
        for entry in bundle.root().get("entry").unwrap().items() {
            let resource = entry.get("resource").unwrap();
            let resource_type = corpus::type_of(resource);
            let text = resource.raw().replace("\"urn:uuid:", "\"Patient/");
            let document = Document::parse(text, &Limits::default()).unwrap();
            let place = Place { resource_type: &resource_type, id: "me", bases: &[] };
            let found = patient_compartments(&place, document.root());
            *homes.entry(format!("{resource_type} {}", found.is_empty())).or_default() += 1;
        }
    }
    let homeless: Vec<_> = homes.keys().filter_map(|key| key.strip_suffix(" true")).collect();
    assert_eq!(homeless, ["Organization", "Practitioner"]);
    assert!(homes.len() > 10, "{homes:?}");
}
