//! Properties: a damaged resource has an issue where the damage is, and no document makes validation panic.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{fixtures, issues_in, issues_of};
use crate::definitions::r4;
use crate::json::{Document, Limits};
use crate::validate::{Options, validate};

/// The ways to all members of a resource, as JSON pointers.
fn pointers(value: &Json, at: &str, found: &mut Vec<String>) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                let pointer = format!("{at}/{name}");
                pointers(member, &pointer, found);
                found.push(pointer);
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The FHIRPath expression of a pointer, without the last name: `/name/0/given` is in `Patient.name[0]`.
fn parent_expression(resource: &Json, pointer: &str) -> String {
    let mut expression = resource["resourceType"].as_str().unwrap().to_owned();
    let (parent, _) = pointer.rsplit_once('/').unwrap();
    for step in parent.split('/').skip(1) {
        match step.parse::<usize>() {
            Ok(index) => expression.push_str(&format!("[{index}]")),
            Err(_) => expression.push_str(&format!(".{}", element_name(step))),
        }
    }
    expression
}

/// `valueQuantity` is `value` in an expression, and `_given` is `given`.
fn element_name(member: &str) -> String {
    let plain = member.trim_start_matches('_');
    let choices =
        ["value", "effective", "deceased", "multipleBirth", "medication", "asNeeded", "bounds", "dose"];
    let choice = choices.iter().filter(|_| plain != "doseAndRate").find(|choice| {
        plain
            .strip_prefix(**choice)
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    });
    choice.map_or(plain, |choice| *choice).to_owned()
}

fn any_member() -> impl Strategy<Value = (Json, String)> {
    let fixtures = fixtures::all();
    let all: Vec<(usize, String)> = fixtures
        .iter()
        .enumerate()
        .flat_map(|(index, resource)| {
            let mut found = Vec::new();
            pointers(resource, "", &mut found);
            found.into_iter().map(move |pointer| (index, pointer))
        })
        .filter(|(_, pointer)| pointer != "/resourceType")
        .collect();
    proptest::sample::select(all).prop_map(move |(index, pointer)| (fixtures[index].clone(), pointer))
}

fn object_of<'r>(resource: &'r mut Json, pointer: &str) -> (&'r mut Map<String, Json>, String) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    (resource.pointer_mut(parent).unwrap().as_object_mut().unwrap(), name.to_owned())
}

/// Whether an issue stands at the place or below it.
fn has_issue_at(resource: &Json, place: &str) -> bool {
    let issues = issues_in(&resource.to_string(), &Options { issues_max: 1000, ..Options::default() });
    issues.iter().any(|issue| issue.severity.is_error() && issue.expression.starts_with(place))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_renamed_member_is_an_issue_at_its_parent((mut resource, pointer) in any_member()) {
        let place = parent_expression(&resource, &pointer);
        let (object, name) = object_of(&mut resource, &pointer);
        let member = object.remove(&name).unwrap();
        object.insert(format!("{name}Xyz"), member);
        prop_assert!(has_issue_at(&resource, &place), "{pointer} renamed");
    }

    #[test]
    fn a_member_of_another_kind_is_an_issue_at_its_place((mut resource, pointer) in any_member()) {
        let place = parent_expression(&resource, &pointer);
        let (object, name) = object_of(&mut resource, &pointer);
        let other = match &object[&name] {
            Json::String(_) => json!(5),
            Json::Number(_) | Json::Bool(_) => json!("five"),
            Json::Array(_) | Json::Object(_) => json!(true),
            Json::Null => json!({}),
        };
        object.insert(name, other);
        prop_assert!(has_issue_at(&resource, &place), "{pointer} changed");
    }

    #[test]
    fn a_wrapped_or_unwrapped_member_is_an_issue((mut resource, pointer) in any_member()) {
        let place = parent_expression(&resource, &pointer);
        let (object, name) = object_of(&mut resource, &pointer);
        let other = match object[&name].clone() {
            Json::Array(items) => items[0].clone(),
            single => json!([single]),
        };
        object.insert(name, other);
        prop_assert!(has_issue_at(&resource, &place), "{pointer} wrapped");
    }

    #[test]
    fn any_document_is_survived(value in any_json(), type_name in any_type()) {
        let mut resource = json!({"resourceType": type_name});
        if let (Some(members), Json::Object(more)) = (resource.as_object_mut(), &value) {
            members.extend(more.clone());
        }
        for text in [value.to_string(), resource.to_string()] {
            let document = Document::parse(text.clone(), &Limits::default()).unwrap();
            for issue in validate(document.root(), &Options::default()) {
                prop_assert!(text.get(issue.offset..).is_some() && issue.line == 1);
                prop_assert!(!issue.expression.is_empty() && !issue.diagnostics.is_empty());
            }
        }
    }

    #[test]
    fn any_narrative_is_survived(text in "(<(/?(div|p|b|a|img)|!--|!)( (xmlns|href|x) ?= ?['\"][a-z:&;#]*['\"]?)* ?/?>?|&[a-z#0-9]*;?|[a-z \u{e9}]|-->){0,12}") {
        let div = format!("<div xmlns='http://www.w3.org/1999/xhtml'>{text}</div>");
        let (plain, inside) = (crate::validate::narrative::check(&text), crate::validate::narrative::check(&div));
        prop_assert!(plain.is_ok() || plain.is_err());
        prop_assert!(!(text.contains("href='javascript:") && inside.is_ok()));
    }
}

/// Every required element of the fixtures, removed one after the other.
#[test]
fn a_removed_required_element_is_an_issue_at_its_place() {
    let mut removed = 0;
    for resource in fixtures::all() {
        let mut found = Vec::new();
        pointers(&resource, "", &mut found);
        for pointer in found {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            if !is_required(&resource, parent, name) {
                continue;
            }
            let mut damaged = resource.clone();
            damaged.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            let place = format!("{}.{}", parent_expression(&resource, &pointer), element_name(name));
            let issues = issues_of(&damaged);
            assert!(
                issues.iter().any(|issue| issue.expression == place && issue.code.code() == "required")
                    || damaged.pointer(parent).unwrap().as_object().unwrap().is_empty(),
                "{pointer} removed: {issues:?}"
            );
            removed += 1;
        }
    }
    assert!(removed >= 50, "only {removed} required elements in the fixtures");
}

/// Walks the definitions beside the resource; an oracle that shares only the table with the validator.
fn is_required(resource: &Json, parent: &str, name: &str) -> bool {
    let mut structure = r4().structure(resource["resourceType"].as_str().unwrap()).unwrap();
    let mut value = resource;
    for step in parent.split('/').skip(1) {
        value = match step.parse::<usize>() {
            Ok(index) => &value[index],
            Err(_) => {
                let Some(found) = structure.element(step) else { return false };
                structure = r4().structure_of(found.element_type);
                &value[step]
            }
        };
        if let (true, Some(name)) = (structure.is_resource(), value["resourceType"].as_str()) {
            structure = r4().structure(name).unwrap();
        }
    }
    structure.element(name).is_some_and(|found| found.element.min > 0)
}

fn any_type() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(r4().resource_types()).prop_map(str::to_owned),
        Just("patient".to_owned()),
        any::<String>()
    ]
}

/// Documents with names that R4 has, so that the walk goes deep.
fn any_json() -> impl Strategy<Value = Json> {
    let names = [
        "id",
        "meta",
        "text",
        "div",
        "status",
        "contained",
        "extension",
        "url",
        "valueString",
        "valueReference",
        "code",
        "coding",
        "system",
        "subject",
        "reference",
        "type",
        "name",
        "given",
        "_given",
        "_id",
        "entry",
        "resource",
        "resourceType",
        "parameter",
        "valueQuantity",
        "value",
        "comparator",
        "identifier",
        "period",
        "start",
        "language",
    ];
    let name = prop_oneof![9 => proptest::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let text = prop_oneof![
        any::<String>(),
        proptest::sample::select(vec![
            "#",
            "#x",
            "x",
            "Patient/1",
            "Patient",
            "Bundle",
            "2020-02-30",
            "<div>",
            "urn:oid:1.2",
            " "
        ])
        .prop_map(str::to_owned)
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        text.prop_map(Json::from)
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}
