//! The code systems of codes that have none of their own: an element of type `code` is bound to a value set, which
//! says whose codes they are (R4 search.html#token).

use std::collections::BTreeSet;

use anamnesis_fhir::definitions::{Element, Members, r4};
use anamnesis_fhir::search::SearchParameter;

/// The system of truth values (R4 search.html#token).
const OF_BOOLEANS: &str = "http://terminology.hl7.org/CodeSystem/special-values";
/// Types whose elements every resource has.
const ABSTRACT: [&str; 2] = ["DomainResource", "Resource"];

/// Whether the codes that a parameter finds are of this system though they do not say so.
pub(super) fn is_system_of(parameter: &SearchParameter, system: &str) -> bool {
    parameter.is_primitive() && systems(parameter).contains(system)
}

fn systems(parameter: &SearchParameter) -> BTreeSet<&'static str> {
    let expression = parameter.definition().expression.as_deref().unwrap_or_default();
    let elements = expression.split('|').filter_map(|path| element(parameter.resource_type(), path.trim()));
    let mut systems = BTreeSet::new();
    for element in elements {
        if element.types.iter().any(|of_type| of_type.code == "boolean") {
            systems.insert(OF_BOOLEANS);
        }
        match element.binding.as_ref().and_then(|binding| binding.value_set).map(|set| &set.members) {
            Some(Members::Listed(listed)) => systems.extend(listed.iter().map(|codes| codes.system)),
            Some(Members::Grammar(grammar)) => {
                systems.insert(grammar.system());
            }
            Some(Members::Unknown) | None => {}
        }
    }
    systems
}

/// The element at a path of names; `None` where it is more than that, or of another type.
fn element(resource_type: &str, path: &str) -> Option<&'static Element> {
    let mut names = path.split('.');
    let first = names.next()?;
    if first != resource_type && !ABSTRACT.contains(&first) {
        return None;
    }
    let mut structure = r4().structure(resource_type)?;
    let mut found = None;
    for name in names {
        let element = structure.element_by_path_name(name)?;
        structure = r4().structure_of(element.types.first()?);
        found = Some(element);
    }
    found
}

#[cfg(test)]
mod tests {
    use anamnesis_fhir::search::SearchRegistry;

    use super::*;

    fn of(resource_type: &str, code: &str) -> Vec<&'static str> {
        systems(SearchRegistry::r4().get(resource_type, code).unwrap()).into_iter().collect()
    }

    #[test]
    fn bindings_say_whose_codes_they_are() {
        assert_eq!(of("Patient", "gender"), ["http://hl7.org/fhir/administrative-gender"]);
        assert_eq!(of("Person", "gender"), ["http://hl7.org/fhir/administrative-gender"]);
        assert_eq!(of("Observation", "status"), ["http://hl7.org/fhir/observation-status"]);
        assert_eq!(of("Patient", "active"), [OF_BOOLEANS]);
        assert_eq!(of("DocumentReference", "contenttype"), ["urn:ietf:bcp:13"]);
        assert_eq!(of("Group", "type"), ["http://hl7.org/fhir/group-type"]);
    }
}
