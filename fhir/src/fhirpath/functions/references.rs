//! References: `resolve()` (R4 fhirpath.html) and the keys of SQL on FHIR v2.

use std::borrow::Cow;

use super::Call;
use crate::definitions::{Structure, r4};
use crate::fhirpath::collection::Collection;
use crate::fhirpath::context::resource_node;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::{Item, Unresolved};
use crate::fhirpath::navigate;
use crate::fhirpath::types::specialises;
use crate::json::Value;

/// Finds what references name: contained resources, entries of the Bundle, then the resolver of the context.
///
/// One that nobody has is given by its type alone where the reference says it, so that
/// `resolve() is Patient` has an answer without a fetch.
pub(super) fn resolve<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut found = Collection::empty();
    for item in &input {
        let (reference, stated_type) = match item {
            Item::Node(node) if node.structure.is_some_and(|structure| structure.name == "Reference") => {
                (text_member(item, "reference"), text_member(item, "type"))
            }
            other => (other.as_string(), None),
        };
        call.step(1)?;
        match reference {
            Some(reference) => found.extend(resolve_one(call, reference, stated_type.as_deref())?),
            None => found.extend(stated_type.and_then(|name| by_type(&name, Cow::Borrowed("")))),
        }
    }
    Ok(found)
}

fn text_member<'a>(item: &Item<'a>, name: &str) -> Option<Cow<'a, str>> {
    let mut found = Collection::empty();
    navigate::member(item, name, &mut found);
    found.first().and_then(Item::as_string)
}

fn resolve_one<'a>(
    call: &Call<'_, 'a>,
    reference: Cow<'a, str>,
    stated_type: Option<&str>,
) -> Result<Option<Item<'a>>, crate::fhirpath::error::EvalError> {
    let context = call.machine.context;
    let root = call.machine.resource(context.root_resource.or(context.resource));
    let root = root.first().and_then(Item::node).and_then(|node| node.value());
    if let Some(id) = reference.strip_prefix('#') {
        let container = root.and_then(|root| contained(root, id));
        return Ok(container.map(|value| Item::Node(resource_node(value))));
    }
    if let Some(root) = root {
        let entries = root.get("entry").map_or(0, Value::len);
        call.step(entries)?;
        if let Some(value) = bundled(root, &reference) {
            return Ok(Some(Item::Node(resource_node(value))));
        }
    }
    if let Some(value) = context.resolver.and_then(|resolver| resolver.resolve(&reference)) {
        return Ok(Some(Item::Node(resource_node(value))));
    }
    let name = type_in(&reference).or(stated_type).map(str::to_owned);
    Ok(name.and_then(|name| by_type(&name, reference)))
}

fn by_type<'a>(name: &str, reference: Cow<'a, str>) -> Option<Item<'a>> {
    let structure = r4().resource(name)?;
    Some(Item::Unresolved(Unresolved { structure, reference }))
}

/// The contained resource with that id; `#` alone is the container itself.
fn contained<'a>(root: Value<'a>, id: &str) -> Option<Value<'a>> {
    if id.is_empty() {
        return Some(root);
    }
    root.get("contained")?.items().find(|item| has_id(*item, id))
}

fn has_id(resource: Value<'_>, id: &str) -> bool {
    resource.get("id").and_then(Value::as_str).is_some_and(|found| found == id)
}

/// The entry of a Bundle by its full URL, or by type and id for a relative reference (R4 bundle.html#references).
fn bundled<'a>(root: Value<'a>, reference: &str) -> Option<Value<'a>> {
    let versionless = reference.split("/_history/").next().unwrap_or(reference);
    let mut relative = None;
    for entry in root.get("entry")?.items() {
        let Some(resource) = entry.get("resource") else { continue };
        if entry.get("fullUrl").and_then(Value::as_str).is_some_and(|url| url == versionless) {
            return Some(resource);
        }
        if relative.is_none()
            && let Some((name, id)) = versionless.split_once('/')
            && resource.get("resourceType").and_then(Value::as_str).is_some_and(|found| found == name)
            && has_id(resource, id)
        {
            relative = Some(resource);
        }
    }
    relative
}

/// The resource type in `Patient/1`, `https://host/fhir/Patient/1`, `Patient/1/_history/2`.
fn type_in(reference: &str) -> Option<&str> {
    let versionless = reference.split("/_history/").next().unwrap_or(reference);
    let mut parts = versionless.rsplit('/');
    parts.next().filter(|id| !id.is_empty())?;
    parts.next().filter(|name| r4().is_resource(name))
}

fn key<'a>(name: &str, id: &str) -> Item<'a> {
    Item::text(format!("{name}/{id}"))
}

/// The key of a resource: what `getReferenceKey()` gives for references to it (SQL on FHIR v2).
pub(super) fn resource_key<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(item) = call.one(&input)? else { return Ok(Collection::empty()) };
    let Some(structure) = item.structure().filter(|structure| structure.is_resource()) else {
        return Ok(Collection::empty());
    };
    Ok(text_member(&item, "id").map(|id| key(structure.name, &id)).into())
}

/// The key of the resource that a reference names, where it is of the type that is asked for.
pub(super) fn reference_key<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(item) = call.one(&input)? else { return Ok(Collection::empty()) };
    let reference = match &item {
        Item::String(text) => Some(text.clone()),
        _ => text_member(&item, "reference"),
    };
    let Some(reference) = reference else { return Ok(Collection::empty()) };
    let Some(structure) = type_in(&reference).and_then(|name| r4().resource(name)) else {
        return Ok(Collection::empty());
    };
    let wanted = call.operation.target.and_then(|target| target.fhir);
    if wanted.is_some_and(|wanted: &'static Structure| !specialises(structure, wanted)) {
        return Ok(Collection::empty());
    }
    let unresolved = Unresolved { structure, reference };
    let id = navigate::unresolved_id(&unresolved).and_then(|id| id.as_string());
    Ok(id.map(|id| key(structure.name, &id)).into())
}
