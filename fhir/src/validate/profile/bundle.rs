//! Bundles: full URLs that agree with their resources, and references that must lead to another entry.

use std::borrow::Cow;
use std::collections::HashSet;

use super::check::{At, Check};
use super::targets::type_in;
use crate::json::Value;
use crate::validate::issues::{IssueCode, Severity};

/// What the entries of the outermost Bundle are called.
pub(super) struct Bundled<'a> {
    full_urls: HashSet<Cow<'a, str>>,
    /// `Type/id` of each.
    names: HashSet<String>,
    is_document: bool,
}

fn entries(bundle: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    bundle.get("entry").into_iter().flat_map(Value::items)
}

fn text<'a>(value: Value<'a>, name: &str) -> Option<Cow<'a, str>> {
    value.get(name).and_then(Value::as_str)
}

impl<'a> Bundled<'a> {
    /// The entries of a resource that is a Bundle.
    pub(super) fn of(resource: Value<'a>) -> Option<Self> {
        if text(resource, "resourceType").as_deref() != Some("Bundle") {
            return None;
        }
        let name = |entry: Value<'a>| {
            let resource = entry.get("resource")?;
            Some(format!("{}/{}", text(resource, "resourceType")?, text(resource, "id")?))
        };
        Some(Bundled {
            full_urls: entries(resource).filter_map(|entry| text(entry, "fullUrl")).collect(),
            names: entries(resource).filter_map(name).collect(),
            is_document: text(resource, "type").as_deref() == Some("document"),
        })
    }

    /// A `urn:` can only lead to another entry, and a document has all that it refers to (R4 documents.html).
    pub(super) fn reference(&self, check: &mut Check<'_, 'a>, value: Value<'a>, at: At<'_, 'a>) {
        let Some(reference) = text(value, "reference") else { return };
        let plain = reference.split("/_history/").next().unwrap_or(&reference);
        if reference.starts_with('#') || self.full_urls.contains(plain) || self.names.contains(plain) {
            return;
        }
        let is_urn = plain.starts_with("urn:uuid:") || plain.starts_with("urn:oid:");
        let is_relative = self.is_document && !plain.contains(':') && type_in(plain).is_some();
        if is_urn || is_relative {
            let message = format_args!("no entry of the Bundle is what this refers to");
            let place = at.path.child("reference");
            check.issues.add((Severity::Warning, IssueCode::NotFound), &place, value, message);
        }
    }
}

/// A full URL that ends like a RESTful address must name the type and the id of its resource (R4 bundle.html#bundle-unique).
pub(super) fn check<'a>(check: &mut Check<'_, 'a>, bundle: Value<'a>, at: At<'_, 'a>) {
    let path = at.path.child("entry");
    for (index, entry) in entries(bundle).enumerate() {
        let (Some(url), Some(resource)) = (text(entry, "fullUrl"), entry.get("resource")) else { continue };
        if !url.starts_with("http") {
            continue;
        }
        let Some(name) = type_in(&url) else { continue };
        let id = url.rsplit('/').next().unwrap_or_default();
        let is_other_type = text(resource, "resourceType").is_some_and(|own| own != name);
        let is_other_id = text(resource, "id").is_some_and(|own| own != id);
        if is_other_type || is_other_id {
            let entry = path.item(index);
            let message = format_args!("the fullUrl names another resource than the one in the entry");
            check.issues.error(IssueCode::Value, &entry.child("fullUrl"), resource, message);
        }
    }
}
