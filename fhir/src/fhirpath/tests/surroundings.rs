//! What an evaluation asks of its context: references, variables, clock, terminology, profiles.

use super::{document, gives_on, now, on, shown};
use crate::fhirpath::{
    Collection, Compiled, Context, EvalErrorKind, Item, Node, Profiles, Resolver, Terminology,
};
use crate::json::{Document, Value};

const BUNDLE: &str = r##"{"resourceType":"Bundle","entry":[
    {"fullUrl":"http://h/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1","active":true}},
    {"fullUrl":"urn:uuid:5","resource":{"resourceType":"Practitioner","id":"5","active":false}},
    {"fullUrl":"http://h/fhir/Observation/2","resource":{"resourceType":"Observation","id":"2",
        "contained":[{"resourceType":"Device","id":"d"}],
        "subject":{"reference":"Patient/1"},
        "performer":[{"reference":"urn:uuid:5"},{"reference":"Organization/9"},{"display":"nobody"}],
        "device":{"reference":"#d"},
        "specimen":{"type":"Specimen","identifier":{"value":"s"}}}}
]}"##;

#[test]
fn references_resolve_in_the_bundle_in_the_resource_or_by_type() {
    let observation = "Bundle.entry.resource.ofType(Observation)";
    gives_on(BUNDLE, &format!("{observation}.subject.resolve().active"), &["true"]);
    gives_on(BUNDLE, &format!("{observation}.performer.resolve().active"), &["false"]);
    gives_on(
        BUNDLE,
        &format!("{observation}.performer.where(resolve() is Organization).reference"),
        &["Organization/9"],
    );
    gives_on(
        BUNDLE,
        &format!("{observation}.performer.resolve().type().name"),
        &["Practitioner", "Organization"],
    );
    gives_on(BUNDLE, &format!("{observation}.performer.resolve().ofType(Organization).id"), &["9"]);
    gives_on(BUNDLE, &format!("{observation}.specimen.resolve() is Specimen"), &["true"]);
    let document = document(BUNDLE);
    let entry = document.root().get("entry").unwrap().items().nth(2).unwrap().get("resource").unwrap();
    let compiled = Compiled::new("device.resolve() is Device", Some("Observation")).unwrap();
    assert_eq!(compiled.evaluate_bool(entry, &Context::of(entry)), Ok(Some(true)));
}

struct Store(Document);

impl Resolver for Store {
    fn resolve<'a>(&'a self, reference: &str) -> Option<Value<'a>> {
        (reference == "Organization/9").then(|| self.0.root())
    }
}

#[test]
fn the_resolver_is_asked_last() {
    let document = document(BUNDLE);
    let store = Store(super::document(r#"{"resourceType":"Organization","id":"9","name":"Clinic"}"#));
    let compiled = Compiled::new("Bundle.descendants().ofType(Reference).resolve().name", None).unwrap();
    let context = Context::of(document.root()).with_resolver(&store);
    assert_eq!(shown(&compiled.evaluate(document.root(), &context).unwrap()), ["Clinic"]);
}

#[test]
fn keys_of_resources_and_references_agree() {
    let patient = r#"{"resourceType":"Patient","id":"p1","link":[{"other":{"reference":"Patient/p1"}}]}"#;
    gives_on(patient, "getResourceKey() = link.other.getReferenceKey()", &["true"]);
    gives_on(patient, "getResourceKey() = link.other.getReferenceKey(Patient)", &["true"]);
    gives_on(patient, "getResourceKey() = link.other.getReferenceKey(Observation)", &[]);
    let absolute = r#"{"resourceType":"Patient","link":[{"other":{"reference":"http://h/fhir/Patient/p1/_history/3"}}]}"#;
    gives_on(absolute, "link.other.getReferenceKey(Patient)", &["Patient/p1"]);
    gives_on(absolute, "getResourceKey()", &[]);
}

#[test]
fn variables_come_from_the_context() {
    let document = document(r#"{"resourceType":"Patient","active":true}"#);
    let context = Context::of(document.root())
        .with_variable("limit", Collection::single(Item::Integer(7)))
        .with_variable("my var", Collection::single(Item::String("x".into())));
    let evaluate = |text: &str| {
        let compiled = Compiled::new(text, None).unwrap();
        compiled.evaluate(document.root(), &context).map(|found| shown(&found)).map_err(|error| error.kind)
    };
    assert_eq!(evaluate("%limit + 1").unwrap(), ["8"]);
    assert_eq!(evaluate("%`my var`").unwrap(), ["x"]);
    assert_eq!(evaluate("%'my var'").unwrap(), ["x"]);
    assert_eq!(evaluate("%resource.active").unwrap(), ["true"]);
    assert_eq!(
        evaluate("%vs-administrative-gender").unwrap(),
        ["http://hl7.org/fhir/ValueSet/administrative-gender"]
    );
    assert_eq!(evaluate("%other"), Err(EvalErrorKind::UnknownVariable { name: "other".into() }));
}

#[test]
fn the_clock_is_injected_and_stands_still() {
    gives_on("{}", "now()", &["2026-01-02T03:04:05.678+01:00"]);
    gives_on("{}", "today()", &["2026-01-02"]);
    gives_on("{}", "timeOfDay()", &["03:04:05.678"]);
    let document = document("{}");
    let compiled = Compiled::new("now()", None).unwrap();
    let error = compiled.evaluate(document.root(), &Context::new()).unwrap_err();
    assert_eq!(error.kind, EvalErrorKind::NoClock);
    assert!(compiled.evaluate(document.root(), &Context::new().with_now(now())).is_ok());
}

struct Known;

impl Terminology for Known {
    fn member_of(&self, system: Option<&str>, code: &str, value_set: &str) -> Option<bool> {
        (value_set == "http://v").then(|| system != Some("http://other") && code == "a")
    }
}

impl Profiles for Known {
    fn conforms_to(&self, node: &Node<'_>, profile: &str) -> Option<bool> {
        (profile == "http://p").then(|| node.structure().is_some_and(|structure| structure.name == "Patient"))
    }
}

#[test]
fn value_sets_and_profiles_are_asked_of_the_context() {
    let document = document(
        r#"{"resourceType":"Patient","gender":"male","maritalStatus":{"coding":[
            {"system":"http://other","code":"a"},{"system":"http://s","code":"a"}]}}"#,
    );
    let context = Context::of(document.root()).with_terminology(&Known).with_profiles(&Known);
    let evaluate = |text: &str| {
        let compiled = Compiled::new(text, Some("Patient")).unwrap();
        compiled.evaluate_bool(document.root(), &context).map_err(|error| error.kind)
    };
    assert_eq!(evaluate("maritalStatus.memberOf('http://v')"), Ok(Some(true)));
    assert_eq!(evaluate("maritalStatus.coding[0].memberOf('http://v')"), Ok(Some(false)));
    assert_eq!(evaluate("maritalStatus.memberOf('http://unknown')"), Ok(None));
    assert_eq!(
        evaluate("gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')"),
        Ok(Some(true))
    );
    assert_eq!(evaluate("conformsTo('http://p')"), Ok(Some(true)));
    assert_eq!(evaluate("maritalStatus.conformsTo('http://p')"), Ok(Some(false)));
    assert_eq!(evaluate("conformsTo('http://hl7.org/fhir/StructureDefinition/Person')"), Ok(Some(false)));
    assert_eq!(evaluate("conformsTo('http://q')"), Err(EvalErrorKind::UnknownProfile));
}

#[test]
fn trace_is_transparent() {
    assert_eq!(
        on(r#"{"resourceType":"Patient","id":"secret"}"#, "id.trace('t', $this)").unwrap(),
        ["secret"]
    );
}

#[test]
fn debug_output_holds_no_values() {
    let document = document(r#"{"resourceType":"Patient","id":"secret","birthDate":"1974-12-25"}"#);
    let compiled = Compiled::new("id | birthDate | id.toString() | id.length()", None).unwrap();
    let found = compiled.evaluate(document.root(), &Context::of(document.root())).unwrap();
    let debug = format!("{found:?}");
    assert!(!debug.contains("secret") && !debug.contains("1974"), "{debug}");
}
