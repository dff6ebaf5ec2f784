//! Compositions that R4 itself does not have.

use std::sync::Arc;

use super::*;
use crate::json::{Document, Limits};

/// A library of a few definitions.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) systems: Vec<Arc<CodeSystem>>,
    pub(super) sets: Vec<Arc<ValueSet>>,
}

impl Library for Shelf {
    fn value_set(&self, canonical: &Canonical) -> Found<ValueSet> {
        let found = self.sets.iter().find(|set| set.url == canonical.url);
        found.cloned().map_or(Found::Absent, Found::Here)
    }

    fn code_system(&self, canonical: &Canonical, _extent: &Extent) -> Found<CodeSystem> {
        let found = self.systems.iter().find(|system| system.url == canonical.url);
        found.cloned().map_or(Found::Absent, Found::Here)
    }

    fn concept_maps(&self, _query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
        Found::Absent
    }
}

impl Shelf {
    pub(super) fn add(&mut self, json: &str) {
        let document = Document::parse(json, &Limits::default()).unwrap();
        let root = document.root();
        match root.get("resourceType").unwrap().as_str().unwrap().as_ref() {
            "CodeSystem" => self.systems.push(Arc::new(CodeSystem::read(root))),
            _ => self.sets.push(Arc::new(ValueSet::read(root))),
        }
    }
}

const BODY: &str = r#"{"resourceType":"CodeSystem","url":"urn:body","content":"complete","concept":[
    {"code":"body","display":"Body","property":[{"code":"notSelectable","valueBoolean":true}],"concept":[
        {"code":"arm","display":"Upper limb","property":[{"code":"side","valueCode":"both"}],"concept":[
            {"code":"hand","display":"Hand","designation":[{"language":"de","value":"Die Hand"}]},
            {"code":"elbow","display":"Elbow","property":[{"code":"inactive","valueBoolean":true}]}]},
        {"code":"leg","display":"Lower limb"}]},
    {"code":"thumb","display":"Thumb","property":[{"code":"parent","valueCode":"hand"}]}]}"#;

fn shelf(compose: &str) -> Shelf {
    let mut shelf = Shelf::default();
    shelf.add(BODY);
    shelf.add(&format!(
        r#"{{"resourceType":"ValueSet","url":"urn:set","status":"active","compose":{compose}}}"#
    ));
    shelf
}

fn codes(compose: &str) -> Result<String, ListError> {
    list(compose, &ExpansionRequest::default())
}

fn list(compose: &str, request: &ExpansionRequest) -> Result<String, ListError> {
    let shelf = shelf(compose);
    let engine = Engine::new(&shelf);
    let expansion = engine.expand(engine.value_set("urn:set")?.as_ref(), request)?;
    let codes: Vec<String> = expansion.contains.into_iter().map(|row| row.code).collect();
    Ok(codes.join(" "))
}

fn filtered(property: &str, op: &str, value: &str) -> Result<String, ListError> {
    codes(&format!(
        r#"{{"include":[{{"system":"urn:body","filter":[{{"property":"{property}","op":"{op}","value":"{value}"}}]}}]}}"#
    ))
}

#[test]
fn filters_do_what_their_names_say() {
    for (property, op, value, expected) in [
        ("concept", "is-a", "arm", "arm hand elbow thumb"),
        ("concept", "descendent-of", "arm", "hand elbow thumb"),
        ("concept", "is-not-a", "arm", "body leg"),
        ("concept", "generalizes", "thumb", "body arm hand thumb"),
        ("concept", "in", "leg, hand", "hand leg"),
        ("concept", "not-in", "leg,hand", "body arm elbow thumb"),
        ("concept", "=", "leg", "leg"),
        ("code", "regex", "(arm|le.)", "arm leg"),
        ("code", "regex", "le", ""),
        ("display", "regex", ".*limb", "arm leg"),
        ("side", "=", "both", "arm"),
        ("side", "exists", "true", "arm"),
        ("side", "exists", "false", "body hand elbow leg thumb"),
        ("side", "in", "left,both", "arm"),
        ("parent", "=", "body", "arm leg"),
        ("child", "=", "thumb", "hand"),
        ("concept", "is-a", "none", ""),
    ] {
        assert_eq!(filtered(property, op, value).as_deref(), Ok(expected), "{property} {op} {value}");
    }
    for (property, op, value) in [("concept", "near", "x"), ("side", "is-a", "x"), ("code", "regex", "(")] {
        assert!(matches!(filtered(property, op, value), Err(ListError::Unsupported(_))), "{op}");
    }
}

#[test]
fn the_request_narrows_the_list() {
    let all = r#"{"include":[{"system":"urn:body"}]}"#;
    let request = ExpansionRequest::default();
    assert_eq!(list(all, &request).unwrap(), "body arm hand elbow leg thumb");
    let active = ExpansionRequest { active_only: true, ..request.clone() };
    assert_eq!(list(all, &active).unwrap(), "body arm hand leg thumb");
    let chosen = ExpansionRequest { without_abstract: true, ..request.clone() };
    assert_eq!(list(all, &chosen).unwrap(), "arm hand elbow leg thumb");
    let limbs = ExpansionRequest { filter: Some("LIM up".to_owned()), ..request.clone() };
    assert_eq!(list(all, &limbs).unwrap(), "arm");
    let few = ExpansionRequest { codes_max: 5, ..request.clone() };
    assert_eq!(list(all, &few), Err(ListError::TooCostly(5)));
    let page = ExpansionRequest { codes_max: 5, count: Some(2), offset: 4, ..request };
    assert_eq!(list(all, &page).unwrap(), "leg thumb");
    assert_eq!(
        codes(r#"{"inactive":false,"include":[{"system":"urn:body"}]}"#).unwrap(),
        "body arm hand leg thumb"
    );
}

#[test]
fn displays_come_in_the_language_that_is_asked_for() {
    let shelf = shelf(
        r#"{"include":[{"system":"urn:body","concept":[{"code":"hand","display":"A hand"},{"code":"leg"}]}]}"#,
    );
    let engine = Engine::new(&shelf);
    let set = engine.value_set("urn:set").unwrap();
    let displays = |language: Option<&str>| {
        let language = language.map(str::to_owned);
        let expansion = engine.expand(&set, &ExpansionRequest { language, ..ExpansionRequest::default() });
        expansion.unwrap().contains.into_iter().map(|row| row.display.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(displays(None), ["A hand", "Lower limb"]);
    assert_eq!(displays(Some("de-CH")), ["Die Hand", "Lower limb"]);
}

#[test]
fn what_is_excluded_is_not_in_it_and_imports_meet() {
    let both = r#"{"include":[{"system":"urn:body"}],"exclude":[{"system":"urn:body","concept":[{"code":"leg"}]},
        {"system":"urn:body","filter":[{"property":"concept","op":"is-a","value":"hand"}]}]}"#;
    assert_eq!(codes(both).unwrap(), "body arm elbow");
    let mut shelf = shelf(both);
    shelf.add(
        r#"{"resourceType":"ValueSet","url":"urn:arms","compose":{"include":[{"system":"urn:body",
            "filter":[{"property":"concept","op":"is-a","value":"arm"}]}]}}"#,
    );
    shelf.add(
        r#"{"resourceType":"ValueSet","url":"urn:met","compose":{"include":[{"valueSet":["urn:set","urn:arms"]}]}}"#,
    );
    let engine = Engine::new(&shelf);
    let rows = engine.codes("urn:met", 10).unwrap();
    assert_eq!(rows.iter().map(|row| row.code.as_str()).collect::<Vec<_>>(), ["arm", "elbow"]);
    assert_eq!(engine.validate_code("urn:met", Some("urn:body"), "hand"), Membership::NotMember);
    assert_eq!(engine.validate_code("urn:met", None, "arm"), Membership::Member);
}

#[test]
fn a_set_that_draws_on_itself_is_refused() {
    let shelf = shelf(r#"{"include":[{"valueSet":["urn:set"]}]}"#);
    let engine = Engine::new(&shelf);
    assert!(matches!(engine.codes("urn:set", 10), Err(ListError::Unsupported(_))));
    assert_eq!(engine.validate_code("urn:set", None, "arm"), Membership::Unknown);
}

#[test]
fn concepts_above_themselves_end() {
    let mut shelf = Shelf::default();
    shelf.add(
        r#"{"resourceType":"CodeSystem","url":"urn:c","content":"complete","concept":[
            {"code":"a","property":[{"code":"parent","valueCode":"b"}]},
            {"code":"b","property":[{"code":"parent","valueCode":"a"},{"code":"parent","valueCode":"b"}]}]}"#,
    );
    let engine = Engine::new(&shelf);
    assert_eq!(engine.related("urn:c", "a", Direction::Below, 9).unwrap(), ["a", "b"]);
    assert_eq!(engine.subsumption(&Canonical::parse("urn:c"), "a", "b").unwrap().code(), "equivalent");
}

#[test]
fn what_is_unknown_is_not_called_wrong() {
    let shelf =
        shelf(r#"{"include":[{"system":"urn:other"},{"system":"urn:body","concept":[{"code":"leg"}]}]}"#);
    let engine = Engine::new(&shelf);
    assert_eq!(engine.validate_code("urn:set", Some("urn:body"), "leg"), Membership::Member);
    assert_eq!(engine.validate_code("urn:set", Some("urn:body"), "arm"), Membership::NotMember);
    assert_eq!(engine.validate_code("urn:set", Some("urn:other"), "x"), Membership::Unknown);
    assert!(matches!(engine.codes("urn:set", 10), Err(ListError::UnknownCodeSystem(_))));
}
