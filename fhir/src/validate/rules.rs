//! The invariants of R4 that are met often, or that grow with the square of the body, checked without FHIRPath.

mod bundle;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use super::issues::IssueCode;
use super::scope::Scope;
use super::walk::{At, Walk};
use crate::datetime::DateTime;
use crate::definitions::{ElementMatch, Structure};
use crate::json::{Kind, Value};

/// Rules on an object whose elements have been walked.
pub(super) fn after_object<'a>(walk: &mut Walk<'_>, value: Value<'a>, structure: &Structure, at: At<'_, 'a>) {
    let broken = match structure.name {
        "Extension" => extension(value),
        "Period" => period(value),
        "Quantity" | "Age" | "Count" | "Distance" | "Duration"
            if has(value, "code") && !has(value, "system") =>
        {
            Some("a coded unit needs the system of its code (qty-3)")
        }
        "ContactPoint" if has(value, "value") && !has(value, "system") => {
            Some("a contact with a value needs a system (cpt-2)")
        }
        "Attachment" if has(value, "data") && !has(value, "contentType") => {
            Some("an attachment with data needs a content type (att-1)")
        }
        "Ratio" => ratio(value),
        "Patient.contact"
            if !["name", "telecom", "address", "organization"].iter().any(|name| has(value, name)) =>
        {
            Some("a contact needs a name, a telecom, an address or an organization (pat-1)")
        }
        "Bundle.entry" => bundle::entry(value),
        "CodeSystem" => {
            repeated_below(value, "concept", "code").then_some("two concepts have the same code (csd-1)")
        }
        "Questionnaire" => {
            repeated_below(value, "item", "linkId").then_some("two items have the same linkId (que-2)")
        }
        "Bundle" => return bundle::check(walk, value, at),
        "Observation" => return observation(walk, value, at),
        _ => None,
    };
    if let Some(message) = broken {
        walk.issues.error(IssueCode::Invariant, at.path, value, format_args!("{message}"));
    }
}

/// Whether an object has an element, be it only an extension in its place.
fn has(value: Value<'_>, name: &str) -> bool {
    value.members().any(|(member, _)| member.strip_prefix('_').unwrap_or(&member) == name)
}

/// Whether an object has a choice of any type.
fn has_choice(value: Value<'_>, name: &str) -> bool {
    value.members().any(|(member, _)| {
        let plain = member.strip_prefix('_').unwrap_or(&member);
        plain
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    })
}

/// Whether an item comes twice.
fn is_any_repeated<T: Hash + Eq>(items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.into_iter().any(|item| !seen.insert(item))
}

/// Whether two members of a name, in the objects of a list of lists and so on, have the same text.
fn repeated_below<'a>(value: Value<'a>, list: &str, name: &str) -> bool {
    let items = |value: Value<'a>| value.get(list).into_iter().flat_map(Value::items);
    let mut open: Vec<Value<'a>> = items(value).collect();
    // Each object of the document comes up once.
    is_any_repeated(
        std::iter::from_fn(|| {
            let next = open.pop()?;
            open.extend(items(next));
            Some(next)
        })
        .filter_map(|item| item.get(name)?.as_str()),
    )
}

/// ext-1: an extension has a value or extensions, not both and not none.
fn extension(value: Value<'_>) -> Option<&'static str> {
    match (has_choice(value, "value"), has(value, "extension")) {
        (true, true) => Some("an extension cannot have both a value and extensions (ext-1)"),
        (false, false) => Some("an extension needs a value or extensions (ext-1)"),
        _ => None,
    }
}

/// per-1: the start is not after the end. As far as the precision goes: 2020 may begin and end in 2020.
fn period(value: Value<'_>) -> Option<&'static str> {
    let read = |name| DateTime::parse_date_time(&value.get(name)?.as_str()?).ok();
    let (start, end) = (read("start")?.interval(), read("end")?.interval());
    (start.low >= end.high).then_some("a period cannot end before it starts (per-1)")
}

/// rat-1: numerator and denominator are both there, or neither of them but an extension.
fn ratio(value: Value<'_>) -> Option<&'static str> {
    match (has(value, "numerator"), has(value, "denominator")) {
        (true, true) => None,
        (false, false) if has(value, "extension") => None,
        _ => Some("a ratio needs both numerator and denominator, or an extension (rat-1)"),
    }
}

fn observation<'a>(walk: &mut Walk<'_>, value: Value<'a>, at: At<'_, 'a>) {
    if !has_choice(value, "value") {
        return;
    }
    if has(value, "dataAbsentReason") {
        let message = format_args!("a value and a reason for its absence exclude each other (obs-6)");
        walk.issues.error(IssueCode::Invariant, at.path, value, message);
    }
    let codings = |object: Value<'a>| object.get("code").and_then(|code| code.get("coding"));
    let (Some(own), Some(components)) = (codings(value), value.get("component")) else { return };
    let own: HashSet<_> = own.items().map(meaning).collect();
    let path = at.path.child("component");
    for (index, component) in components.items().enumerate() {
        let mut parts = codings(component).into_iter().flat_map(Value::items);
        if parts.any(|part| own.contains(&meaning(part))) {
            let message =
                format_args!("a component cannot have the code of an Observation with a value (obs-7)");
            walk.issues.error(IssueCode::Invariant, &path.item(index), component, message);
        }
    }
}

/// What FHIRPath compares of two codings, but for extensions and `userSelected`.
fn meaning(coding: Value<'_>) -> [Option<Cow<'_, str>>; 4] {
    ["system", "version", "code", "display"].map(|name| coding.get(name).and_then(Value::as_str))
}

/// sqty-1: a SimpleQuantity has no comparator.
pub(super) fn quantity<'a>(
    walk: &mut Walk<'_>,
    value: Value<'a>,
    found: ElementMatch<'static>,
    at: At<'_, 'a>,
) {
    if found.element_type.profile != Some("SimpleQuantity") {
        return;
    }
    if let Some(comparator) = value.get("comparator") {
        let message = format_args!("a comparator is not allowed here (sqty-1)");
        walk.issues.error(IssueCode::Invariant, &at.path.child("comparator"), comparator, message);
    }
}

/// Rules on a contained resource (R4 references.html#contained, domainresource.html): it has an id of its
/// own, no contained resources, no version, no time of change and no security labels.
pub(super) fn contained<'a>(walk: &mut Walk<'_>, value: Value<'a>, index: usize, at: At<'_, 'a>) {
    if let Some(nested) = value.get("contained") {
        let message = format_args!("a contained resource cannot contain others (dom-2)");
        walk.issues.error(IssueCode::Invariant, &at.path.child("contained"), nested, message);
    }
    if let Some(meta) = value.get("meta").filter(|meta| meta.kind() == Kind::Object) {
        let path = at.path.child("meta");
        for (name, rule) in [("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")] {
            if let Some(member) = meta.get(name) {
                let message = format_args!("a contained resource cannot have meta.{name} ({rule})");
                walk.issues.error(IssueCode::Invariant, &path.child(name), member, message);
            }
        }
    }
    let Some(own) = at.scope.contained.get(index) else { return };
    let path = at.path.child("id");
    match &own.id {
        None => {
            let message = format_args!("a contained resource must have an id");
            walk.issues.error(IssueCode::Required, &path, value, message);
        }
        Some(_) if at.scope.is_repeated(index) => {
            let message = format_args!("another contained resource has the same id");
            walk.issues.error(IssueCode::Invariant, &path, value.get("id").unwrap_or(value), message);
        }
        Some(_) => {}
    }
}

/// dom-3: each contained resource is pointed at, or points at its container. It is a warning here: nothing is
/// lost by it, and published data break it. One without an id has been told of already.
pub(super) fn after_resource(walk: &mut Walk<'_>, scope: &Scope<'_>, path: &super::path::Path<'_>) {
    let contained = path.child("contained");
    for (index, lost) in scope
        .contained
        .iter()
        .enumerate()
        .filter(|(_, contained)| contained.id.is_some() && !contained.is_linked.get())
    {
        let message = format_args!("nothing in the resource refers to this contained resource (dom-3)");
        walk.issues.warning(IssueCode::Invariant, &contained.item(index), lost.value, message);
    }
}
