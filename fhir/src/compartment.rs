//! Which compartments a resource is in (R4 compartmentdefinition.html).
//!
//! A resource is in the compartment of a patient when one of the search parameters that the definition lists for its
//! type leads to that patient. The resource in the middle of a compartment is in it as well.
//!
//! ```
//! use anamnesis_fhir::compartment::{Place, patient_compartments};
//! use anamnesis_fhir::json::{Document, Limits};
//! let text = r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"}}"#;
//! let document = Document::parse(text, &Limits::default())?;
//! let place = Place { resource_type: "Observation", id: "1", bases: &[] };
//! assert_eq!(patient_compartments(&place, document.root()), ["a"]);
//! # Ok::<(), anamnesis_fhir::json::ParseError>(())
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use crate::definitions::r4;
use crate::json::Value;
use crate::references::Target;
use crate::search::{SearchParameter, SearchRegistry};

/// The name that a definition uses for the resource in the middle, where it names it.
const ITSELF: &str = "{def}";

/// What is known of a resource beside its body.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// Its type.
    pub resource_type: &'p str,
    /// The id that it has or is about to get.
    pub id: &'p str,
    /// Addresses of this server, without a last slash: an absolute reference behind one of them is our own, behind
    /// any other it leads into no compartment.
    pub bases: &'p [&'p str],
}

/// One compartment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Compartment {
    /// `Patient`, `Encounter`, `RelatedPerson`, `Practitioner` or `Device`.
    pub kind: &'static str,
    /// Id of the resource in the middle.
    pub id: String,
}

impl std::fmt::Display for Compartment {
    /// As a reference: `Patient/1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// The patients in whose compartments a resource is, each once, in the order in which the definition lists the
/// parameters and the resource the values. The first is the resource's home; a patient's first is the patient itself.
#[must_use]
pub fn patient_compartments(place: &Place<'_>, root: Value<'_>) -> Vec<String> {
    let mut ids = Distinct::default();
    compartments_of_kind(place, root, "Patient", &mut |id| {
        ids.add(id);
    });
    ids.all
}

/// All compartments in which a resource is, each once, by kind.
#[must_use]
pub fn memberships(place: &Place<'_>, root: Value<'_>) -> Vec<Compartment> {
    let mut found: Vec<Compartment> = Vec::new();
    for compartment in r4().compartments() {
        let kind = compartment.code;
        let mut ids = Distinct::default();
        compartments_of_kind(place, root, kind, &mut |id| {
            ids.add(id);
        });
        found.extend(ids.all.into_iter().map(|id| Compartment { kind, id }));
    }
    found
}

/// Ids that are searched through one by one; nearly no resource has more.
const LOOKED_THROUGH_MAX: usize = 16;

/// Ids, each once, in the order in which they came.
#[derive(Default)]
struct Distinct {
    all: Vec<String>,
    /// All of them too, as soon as there are too many to look through: a group may list thousands.
    known: HashSet<String>,
}

impl Distinct {
    fn add(&mut self, id: &str) {
        if self.all.len() < LOOKED_THROUGH_MAX {
            if self.all.iter().any(|known| known == id) {
                return;
            }
        } else {
            if self.known.is_empty() {
                self.known.extend(self.all.iter().cloned());
            }
            if !self.known.insert(id.to_owned()) {
                return;
            }
        }
        self.all.push(id.to_owned());
    }
}

/// Codes of the search parameters that put a resource type into a kind of compartment, in the definition's order;
/// empty where the type is in none of that kind, or only by being in its middle.
#[must_use]
pub fn in_compartment_params(kind: &str, resource_type: &str) -> Vec<&'static str> {
    let codes = r4().compartment(kind).and_then(|compartment| compartment.parameters(resource_type));
    codes.unwrap_or_default().iter().copied().filter(|code| *code != ITSELF).collect()
}

/// The parameters of each kind of compartment for one resource type.
type Links = Vec<(&'static str, Vec<Arc<SearchParameter>>)>;

fn compartments_of_kind(place: &Place<'_>, root: Value<'_>, kind: &str, each: &mut impl FnMut(&str)) {
    static LINKS: LazyLock<HashMap<&'static str, Links>> = LazyLock::new(links);
    if place.resource_type == kind && !place.id.is_empty() {
        each(place.id);
    }
    let Some(links) = LINKS.get(place.resource_type) else { return };
    for (_, parameters) in links.iter().filter(|(known, _)| *known == kind) {
        for parameter in parameters {
            parameter.extract_each(root, |found| {
                let Some(text) = found.value.get("reference").and_then(Value::as_str) else { return };
                match Target::parse(&text) {
                    Some(target) if target.resource_type == kind && target.is_local(place.bases) => {
                        each(target.id)
                    }
                    _ => {}
                }
            });
        }
    }
}

fn links() -> HashMap<&'static str, Links> {
    let registry = SearchRegistry::r4();
    let links_of = |resource_type: &str| {
        let kinds = r4().compartments().iter().map(|compartment| {
            let codes = in_compartment_params(compartment.code, resource_type);
            let parameters = codes.into_iter().filter_map(|code| registry.get(resource_type, code).cloned());
            (compartment.code, parameters.collect::<Vec<_>>())
        });
        kinds.filter(|(_, parameters)| !parameters.is_empty()).collect()
    };
    r4().resource_types().iter().map(|resource_type| (*resource_type, links_of(resource_type))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Limits};
    use crate::search::SearchParameterKind;

    fn patients(text: &str) -> Vec<String> {
        let document = Document::parse(text, &Limits::default()).unwrap();
        let root = document.root();
        let resource_type = root.get("resourceType").unwrap().as_str().unwrap();
        let place = Place { resource_type: &resource_type, id: "me", bases: &["https://ours/fhir"] };
        patient_compartments(&place, root)
    }

    #[test]
    fn every_parameter_of_the_definitions_is_a_reference_that_is_searched() {
        let mut count = 0;
        for compartment in r4().compartments() {
            for (resource_type, _) in compartment.members() {
                for code in in_compartment_params(compartment.code, resource_type) {
                    let parameter = SearchRegistry::r4().get(resource_type, code);
                    let parameter = parameter.unwrap_or_else(|| panic!("{resource_type}.{code} is unknown"));
                    assert_eq!(parameter.kind(), SearchParameterKind::Reference, "{resource_type}.{code}");
                    assert!(parameter.has_expression(), "{resource_type}.{code}");
                    count += 1;
                }
            }
        }
        assert!(count > 250, "{count} parameters");
    }

    #[test]
    fn a_resource_is_in_the_compartments_that_its_parameters_lead_to() {
        let observation = r#"{"resourceType":"Observation","performer":[{"reference":"Practitioner/x"},
            {"reference":"Patient/b/_history/3"},{"reference":"Patient/a"}],
            "subject":{"reference":"https://ours/fhir/Patient/a"}}"#;
        // The definition lists subject before performer, whatever the text does.
        assert_eq!(patients(observation), ["a", "b"]);
    }

    #[test]
    fn what_leads_elsewhere_is_in_no_compartment() {
        for reference in
            ["https://theirs/Patient/a", "Group/a", "#a", "urn:uuid:a", "Patient?name=a", "Patient"]
        {
            let text = format!(r#"{{"resourceType":"Observation","subject":{{"reference":"{reference}"}}}}"#);
            assert_eq!(patients(&text), [""; 0], "{reference}");
        }
        assert_eq!(patients(r#"{"resourceType":"Organization","id":"a"}"#), [""; 0]);
        assert_eq!(patients(r#"{"resourceType":"Observation","subject":"Patient/a"}"#), [""; 0]);
    }

    #[test]
    fn a_patient_is_at_home_in_its_own_compartment() {
        let linked = r#"{"resourceType":"Patient","link":[{"other":{"reference":"Patient/twin"}}]}"#;
        assert_eq!(patients(linked), ["me", "twin"]);
    }

    #[test]
    fn memberships_are_of_every_kind() {
        let text = r#"{"resourceType":"Encounter","subject":{"reference":"Patient/a"},
            "participant":[{"individual":{"reference":"Practitioner/d"}},{"individual":{"reference":"RelatedPerson/r"}}]}"#;
        let document = Document::parse(text, &Limits::default()).unwrap();
        let place = Place { resource_type: "Encounter", id: "e", bases: &[] };
        let mut found: Vec<String> =
            memberships(&place, document.root()).iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(found, ["Encounter/e", "Patient/a", "Practitioner/d", "RelatedPerson/r"]);
    }

    #[test]
    fn many_patients_come_each_once_in_their_order() {
        let expected: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
        let twice: Vec<String> = expected
            .iter()
            .chain(&expected)
            .map(|id| format!(r#"{{"entity":{{"reference":"Patient/{id}"}}}}"#))
            .collect();
        let text = format!(r#"{{"resourceType":"Group","member":[{}]}}"#, twice.join(","));
        assert_eq!(patients(&text), expected);
    }
}
