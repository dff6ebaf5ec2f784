//! Elements of resources: choices, primitives with companions, types, trees, extensions, narratives.

use super::{EvalErrorKind, gives_on, on};
use crate::fhirpath::{Checking, CompileError, Compiled, Context};

const PATIENT: &str = r##"{
    "resourceType": "Patient", "id": "p1",
    "contained": [{"resourceType": "Organization", "id": "o1", "name": "Ward"}],
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://e/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "name": [
        {"family": "A", "given": ["x", null], "_given": [null, {"id": "g2"}]},
        {"family": "B"}
    ],
    "_gender": {"extension": [{"url": "http://e/absent", "valueCode": "unknown"}]},
    "deceasedBoolean": false,
    "contact": [{"relationship": [{"text": "aunt"}], "name": {"family": "C"}}],
    "managingOrganization": {"reference": "#o1"}
}"##;

#[test]
fn choices_are_found_by_their_plain_name() {
    gives_on(PATIENT, "Patient.deceased", &["false"]);
    gives_on(PATIENT, "Patient.deceased is boolean", &["true"]);
    gives_on(PATIENT, "Patient.deceased.ofType(dateTime)", &[]);
    gives_on(PATIENT, "Patient.deceasedBoolean", &[]);
    gives_on(PATIENT, "Patient.birthDate.extension('http://e/time').value", &["1974-12-25T14:35:45-05:00"]);
}

#[test]
fn primitives_have_ids_and_extensions() {
    gives_on(PATIENT, "Patient.gender.exists()", &["true"]);
    gives_on(PATIENT, "Patient.gender.hasValue()", &["false"]);
    gives_on(PATIENT, "Patient.gender.getValue()", &[]);
    gives_on(PATIENT, "Patient.gender.extension('http://e/absent').value", &["unknown"]);
    gives_on(PATIENT, "Patient.gender.hasExtension('http://e/absent')", &["true"]);
    gives_on(PATIENT, "Patient.hasExtension('http://e/absent')", &["false"]);
    gives_on(PATIENT, "Patient.name.given.count()", &["2"]);
    gives_on(PATIENT, "Patient.name.given.id", &["g2"]);
    gives_on(PATIENT, "Patient.name.given.where(hasValue())", &["x"]);
    gives_on(PATIENT, "Patient.name.given[1].hasValue()", &["false"]);
    gives_on(PATIENT, "Patient.birthDate.getValue() is Date", &["true"]);
}

#[test]
fn types_are_those_of_the_definitions() {
    gives_on(PATIENT, "Patient.contact.type().name", &["BackboneElement"]);
    gives_on(PATIENT, "Patient.contact is BackboneElement", &["true"]);
    gives_on(PATIENT, "Patient is DomainResource", &["true"]);
    gives_on(PATIENT, "Patient.contained.type().name", &["Organization"]);
    gives_on(PATIENT, "Patient.contained.name", &["Ward"]);
    gives_on(PATIENT, "Resource.id", &["p1"]);
    gives_on(PATIENT, "Encounter.id", &[]);
    gives_on(PATIENT, "Patient.id is id", &["true"]);
    gives_on(PATIENT, "Patient.contact.relationship.text is markdown", &["false"]);
    assert!(Compiled::new("name is Nothing", None).is_err());
}

#[test]
fn as_filters_only_where_the_context_says_so() {
    let document = super::document(PATIENT);
    for expression in ["Patient.name.as(HumanName).family", "(Patient.name as HumanName).family"] {
        let compiled = Compiled::new(expression, Some("Patient")).unwrap();
        let context = Context::of(document.root());
        let error = compiled.evaluate(document.root(), &context).unwrap_err();
        assert_eq!(error.kind, EvalErrorKind::NotSingle);
        let found = compiled.evaluate(document.root(), &context.clone().with_filtering_as()).unwrap();
        assert_eq!(super::shown(&found), ["A", "B"]);
    }
}

#[test]
fn trees_hold_every_element_once() {
    gives_on(PATIENT, "Patient.name[0].children().count()", &["3"]);
    gives_on(PATIENT, "Patient.contained.children().count()", &["2"]);
    gives_on(PATIENT, "Patient.descendants().where($this is HumanName).family", &["A", "B", "C"]);
    gives_on(PATIENT, "Patient.descendants().ofType(Extension).url.count()", &["2"]);
    let scenario = r#"{"resourceType":"ExampleScenario",
        "instance":[{"resourceId":"i","resourceType":"Patient"}]}"#;
    gives_on(scenario, "instance.resourceType", &["Patient"]);
    gives_on(scenario, "children().count()", &["1"]);
    gives_on(scenario, "descendants().count()", &["3"]);
}

#[test]
fn unknown_members_are_nothing_to_find_and_an_error_to_compile() {
    gives_on(PATIENT, "Patient.name.nonsense", &[]);
    let error = Compiled::new("Patient.name.nonsense", Some("Patient")).unwrap_err();
    let CompileError::UnknownMember { offset, name, type_name } = error else { panic!("{error}") };
    assert_eq!((offset, &*name, &*type_name), (13, "nonsense", "HumanName"));
    for expression in ["Patient.name.where(use1 = 'x')", "Encounter.id", "(Patient.deceased as boolean).unit"]
    {
        assert!(Compiled::new(expression, Some("Patient")).is_err(), "{expression}");
        assert!(
            Compiled::with_checking(expression, Some("Patient"), Checking::Lenient).is_ok(),
            "{expression}"
        );
    }
    for expression in [
        "Resource.id",
        "contained.name",
        "managingOrganization.resolve().name",
        "name.trace('x', given).select(given | family)",
        "contact.relationship.coding.exists(system = 'x' and code = 'y')",
        "extension('u').value.unit",
        "%resource.anything",
        "name.aggregate($total | family)",
    ] {
        assert!(
            Compiled::with_checking(expression, Some("Patient"), Checking::Strict).is_ok(),
            "{expression}"
        );
    }
}

#[test]
fn expressions_start_from_data_types_and_backbone_elements() {
    let document = super::document(PATIENT);
    let contact = document.root().get("contact").unwrap().items().next().unwrap();
    let compiled =
        Compiled::new("name.family = 'C' and $this is BackboneElement", Some("Patient.contact")).unwrap();
    assert_eq!(compiled.evaluate_bool(contact, &Context::of(document.root())), Ok(Some(true)));
}

#[test]
fn every_invariant_of_r4_compiles_for_its_type() {
    let r4 = crate::definitions::r4();
    let mut failures = Vec::new();
    let mut count = 0;
    for structure in r4.structures() {
        let of_elements = structure.elements().iter().flat_map(|element| {
            element.constraints.iter().map(|constraint| {
                let structure = r4.structure_of(element.types.first().unwrap());
                let types = element.types.len();
                (constraint, (types == 1).then_some(structure.name))
            })
        });
        let own = structure.constraints.iter().map(|constraint| (constraint, Some(structure.name)));
        for (constraint, root) in own.chain(of_elements) {
            count += 1;
            // R4 has it so, though a ChargeItemDefinition has no name.
            if constraint.key == "cid-0" {
                continue;
            }
            if let Err(error) = Compiled::new(constraint.expression, root) {
                failures.push(format!("{} on {root:?}: {error}: {}", constraint.key, constraint.expression));
            }
        }
    }
    assert!(count > 400, "{count}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn modifier_extensions_must_be_named() {
    let text =
        r#"{"resourceType":"Patient","modifierExtension":[{"url":"http://m","valueBoolean":true}],"id":"a"}"#;
    gives_on(text, "Patient.checkModifiers('http://m').id", &["a"]);
    assert_eq!(on(text, "Patient.checkModifiers('http://n')"), Err(EvalErrorKind::UnknownModifier));
}

#[test]
fn narratives_are_checked() {
    let check = |div: &str| {
        let quoted = serde_json::to_string(div).unwrap();
        let text = format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":{quoted}}}}}"#);
        on(&text, "Patient.text.`div`.htmlChecks()").unwrap().concat()
    };
    let wrapped = |inner: &str| check(&format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>"));
    for allowed in
        ["Hello", "<p>a<br/>b &amp; c</p>", "<img src='#a' alt=\"x > y\"/>", "a<!-- b > -->", "<b>x</b>"]
    {
        assert_eq!(wrapped(allowed), "true", "{allowed}");
    }
    for refused in [
        "",
        "  ",
        "<p>a",
        "<script>x</script>",
        "<p onclick=\"x\">a</p>",
        "<a href='javascript:x'>a</a>",
        "<b>a</i></b>",
        "<p class=x>a</p>",
    ] {
        assert_eq!(wrapped(refused), "false", "{refused}");
    }
    assert_eq!(check("<p>a</p>"), "false");
    assert_eq!(check("<div>a</div><div>b</div>"), "false");
}
