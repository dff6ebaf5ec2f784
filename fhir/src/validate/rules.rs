//! Rules of base R4 over several elements that are checked without FHIRPath: ext-1, dom-2 to dom-5, sqty-1.

use super::issues::IssueCode;
use super::scope::Scope;
use super::walk::{At, Walk};
use crate::definitions::{ElementMatch, Structure};
use crate::json::{Kind, Value};

/// Rules on an object whose elements have been walked.
pub(super) fn after_object<'a>(walk: &mut Walk<'_>, value: Value<'a>, structure: &Structure, at: At<'_, 'a>) {
    if structure.name == "Extension" {
        extension(walk, value, at);
    }
}

/// ext-1: an extension has a value or extensions, not both and not none.
fn extension<'a>(walk: &mut Walk<'_>, value: Value<'a>, at: At<'_, 'a>) {
    let has_value = value.members().any(|(name, _)| name.trim_start_matches('_').starts_with("value"));
    let has_extensions = value.get("extension").is_some();
    let fault = match (has_value, has_extensions) {
        (true, true) => "both a value and extensions",
        (false, false) => "neither a value nor extensions",
        _ => return,
    };
    let message = format_args!("an extension cannot have {fault} (ext-1)");
    walk.issues.error(IssueCode::Invariant, at.path, value, message);
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
        Some(id) if at.scope.contained.iter().take(index).any(|other| other.id.as_ref() == Some(id)) => {
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
