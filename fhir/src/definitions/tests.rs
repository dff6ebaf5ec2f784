//! The built-in table says what R4 says.

use super::*;

#[test]
fn the_table_holds_all_of_r4() {
    let r4 = r4();
    assert_eq!(r4.fhir_version(), "4.0.1");
    assert_eq!(r4.resource_types().len(), 146);
    assert!(!r4.is_resource("Resource") && !r4.is_resource("DomainResource") && !r4.is_resource("HumanName"));
    assert!(!r4.is_resource("MoneyQuantity") && !r4.is_resource("Patient.contact"));
    assert_eq!(r4.search_parameters().len(), 1397);
    assert_eq!(r4.compartments().len(), 5);
    assert_eq!(r4.operations().len(), 46);
    let primitives = r4.structures().iter().filter(|structure| structure.kind == StructureKind::Primitive);
    assert_eq!(primitives.clone().count(), 20);
    assert!(primitives.clone().all(|structure| structure.primitive.is_some()));
    let widest = r4.structures().iter().map(|structure| structure.elements().len()).max();
    assert!(widest <= Some(128), "the mask of required elements has 128 bits");
}

#[test]
fn every_element_has_a_type_and_is_found_by_its_name() {
    for structure in r4().structures() {
        for element in structure.elements() {
            assert!(!element.types.is_empty(), "{}.{}", structure.name, element.name);
            assert_eq!(element.types.len() > 1, element.is_choice, "{}.{}", structure.name, element.name);
            for element_type in &element.types {
                let found = structure.element(element_type.json_name).unwrap();
                assert!(std::ptr::eq(found.element, element));
                assert!(std::ptr::eq(found.element_type, element_type));
            }
            assert!(std::ptr::eq(structure.element_by_path_name(element.name).unwrap(), element));
        }
    }
}

#[test]
fn choices_companions_and_backbones_are_found() {
    let observation = r4().structure("Observation").unwrap();
    let value = observation.element("valueDateTime").unwrap();
    assert_eq!(
        (value.element.name, value.element_type.code, value.is_companion),
        ("value", "dateTime", false)
    );
    assert!(observation.element("_valueDateTime").unwrap().is_companion);
    assert!(observation.element("_valueQuantity").is_none());
    assert!(observation.element("value").is_none() && observation.element("valueAge").is_none());
    let component = observation.element("component").unwrap();
    assert_eq!(r4().structure_of(component.element_type).name, "Observation.component");
    let range = r4().structure_of(component.element_type).element("referenceRange").unwrap();
    assert_eq!(range.element.content_reference, Some("Observation.referenceRange"));
    assert_eq!(r4().structure_of(range.element_type).name, "Observation.referenceRange");
    let subject = observation.element("subject").unwrap();
    assert_eq!(subject.element_type.targets, ["Patient", "Group", "Device", "Location"]);
    assert!(observation.element("focus").unwrap().element_type.targets.is_empty());
    assert_eq!(observation.element("id").unwrap().element_type.code, "id");
    assert_eq!(r4().structure("Extension").unwrap().element("url").unwrap().element_type.code, "uri");
    assert_eq!(r4().structure("string").unwrap().elements().len(), 2);
}

#[test]
fn bindings_know_their_codes() {
    let patient = r4().structure("Patient").unwrap();
    let gender = patient.element("gender").unwrap().element.binding.as_ref().unwrap();
    assert_eq!(gender.strength, BindingStrength::Required);
    assert_eq!(gender.value_set.unwrap().lists(None, "unknown"), Some(true));
    assert_eq!(gender.value_set.unwrap().lists(None, "Male"), Some(false));
    let language = patient.element("language").unwrap().element.binding.as_ref().unwrap();
    assert!(matches!(language.max_value_set.unwrap().members, Members::Grammar(Grammar::Language)));
    // A nested concept, and a set over three code systems.
    let status = r4().value_set("http://hl7.org/fhir/ValueSet/condition-clinical|4.0.1").unwrap();
    assert_eq!(status.lists(None, "remission"), Some(true));
    let types = r4().value_set("http://hl7.org/fhir/ValueSet/all-types").unwrap();
    assert!(["Any", "Patient", "dateTime"].iter().all(|code| types.lists(None, code) == Some(true)));
    let unknown: Vec<&str> = r4()
        .structures()
        .iter()
        .flat_map(|structure| structure.elements())
        .filter_map(|element| element.binding.as_ref()?.value_set)
        .filter(|set| matches!(set.members, Members::Unknown))
        .map(|set| set.url)
        .collect();
    assert_eq!(unknown, ["http://loinc.org/vs/LL379-9"], "LOINC is not part of R4's package");
}

#[test]
fn invariants_stand_where_r4_puts_them() {
    let keys = |constraints: &[&Constraint]| constraints.iter().map(|row| row.key).collect::<Vec<_>>();
    let observation = r4().structure("Observation").unwrap();
    assert_eq!(
        keys(&observation.constraints),
        ["dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "obs-6", "obs-7"]
    );
    assert_eq!(keys(&r4().structure("Patient.contact").unwrap().constraints), ["pat-1"]);
    assert!(r4().structures().iter().flat_map(|row| row.elements()).all(|element| {
        element.constraints.iter().all(|constraint| constraint.key != "ele-1" && constraint.key != "ext-1")
    }));
    let all = r4().structures().iter().flat_map(|row| {
        row.constraints.iter().chain(row.elements().iter().flat_map(|element| &element.constraints))
    });
    let distinct: std::collections::BTreeSet<&str> = all.map(|constraint| constraint.key).collect();
    assert_eq!(distinct.len(), 236, "237 with ele-1");
}

#[test]
fn search_parameters_are_found_by_type_and_code() {
    let birthdate = r4().search_parameter("Patient", "birthdate").unwrap();
    assert_eq!(birthdate.kind, SearchParameterKind::Date);
    assert!(birthdate.expression.unwrap().contains("Patient.birthDate"));
    assert_eq!(birthdate.comparators.len(), 9);
    assert!(
        r4().search_parameter("Patient", "_id").is_some() && r4().search_parameter("Binary", "_id").is_some()
    );
    assert!(r4().search_parameter("Patient", "_text").is_some());
    assert!(r4().search_parameter("Binary", "_text").is_none(), "Binary is no DomainResource");
    let subject = r4().search_parameter("Condition", "subject").unwrap();
    assert_eq!(subject.url, "http://hl7.org/fhir/SearchParameter/Condition-subject");
    assert!(r4().search_parameters_of("Nobody").is_empty());
    for parameter in r4().search_parameters() {
        for component in &parameter.components {
            assert!(
                r4().search_parameter_by_url(component.definition).is_some()
                    || KNOWN_BROKEN_COMPONENTS.contains(&component.definition),
                "{} of {}",
                component.definition,
                parameter.url
            );
        }
    }
}

/// Components that R4 itself names wrongly.
const KNOWN_BROKEN_COMPONENTS: &[&str] = &[];

#[test]
fn compartments_keep_the_order_of_their_parameters() {
    let patient = r4().compartment("Patient").unwrap();
    assert_eq!(patient.parameters("AllergyIntolerance").unwrap(), ["patient", "recorder", "asserter"]);
    assert_eq!(patient.parameters("Patient").unwrap(), ["link"]);
    assert!(patient.parameters("Organization").is_none());
    assert_eq!(r4().compartment("Encounter").unwrap().parameters("Encounter").unwrap(), ["{def}"]);
}

#[test]
fn types_know_their_ancestors() {
    assert!(r4().is_a("Age", "Quantity") && r4().is_a("Patient", "DomainResource"));
    assert!(r4().is_a("Patient", "Resource") && r4().is_a("code", "string"));
    assert!(r4().is_a("Patient.contact", "Element"));
    assert!(!r4().is_a("Binary", "DomainResource") && !r4().is_a("Nobody", "Resource"));
}
