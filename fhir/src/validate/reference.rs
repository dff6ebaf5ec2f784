//! References: their form, where `#…` leads, and whether the type of the target is allowed.

use std::collections::HashMap;

use super::hint;
use super::issues::IssueCode;
use super::scope::Target;
use super::walk::{At, Walk};
use crate::definitions::{Definitions, ElementMatch, PrimitiveKind};
use crate::json::Value;
use crate::references::is_id;

/// What a literal reference is (R4 references.html#literal).
#[derive(Debug, PartialEq, Eq)]
enum Form<'t> {
    /// `#id` or `#`, within the resource.
    Fragment,
    /// `Type/id`, `Type/id/_history/version`, and addresses that end so.
    Typed(&'t str),
    /// `Type?criteria`, to be resolved by a transaction.
    Conditional(&'t str),
    /// Another absolute address: `urn:uuid:…`, a REST address of somebody who has other names.
    Absolute,
    /// None of them; says why.
    Bad(&'static str),
}

const FORM: &str = "must be Type/id, an absolute URL, a urn or #id";

/// Checks a Reference: its text, its `type`, and the type of the target against those that are allowed.
pub(super) fn check<'a>(walk: &mut Walk<'_>, value: Value<'a>, found: ElementMatch<'static>, at: At<'_, 'a>) {
    let literal = value.get("reference").and_then(|member| Some((member, member.as_str()?)));
    let mut target_type: Option<String> = None;
    if let Some((member, text)) = literal.as_ref().filter(|(_, text)| !text.is_empty()) {
        let path = at.path.child("reference");
        match form(text, walk.definitions) {
            Form::Fragment => match at.scope.follow(text, at.inside) {
                Target::Contained(contained) => {
                    target_type = contained.resource_type.as_deref().map(str::to_owned);
                }
                Target::Container => {}
                Target::Nothing => {
                    let message = format_args!("no contained resource has this id");
                    walk.issues.error(IssueCode::NotFound, &path, *member, message);
                }
            },
            Form::Typed(name) => target_type = Some(name.to_owned()),
            Form::Conditional(name) if at.scope.conditional_references => target_type = Some(name.to_owned()),
            Form::Conditional(_) => {
                let message = format_args!("a conditional reference is allowed in a transaction only");
                walk.issues.error(IssueCode::Value, &path, *member, message);
            }
            Form::Absolute => target_type = walk.names.get(&normal(text)).cloned(),
            Form::Bad(why) => {
                let meant = text.split('/').next().map(|name| hint::for_resource_type(walk, name));
                let message = format_args!("the reference {why}{}", meant.unwrap_or_default());
                walk.issues.error(IssueCode::Value, &path, *member, message);
            }
        }
    }
    declared_type(walk, value, &mut target_type, at);
    let targets = &found.element_type.targets;
    let Some(name) = target_type.filter(|_| !targets.is_empty()) else { return };
    if walk.definitions.is_resource(&name) && !targets.contains(&name.as_str()) {
        let (member, allowed) = (literal.map_or(value, |(member, _)| member), targets.join(" | "));
        let message = format_args!("must not point at {name}; allowed: {allowed}");
        walk.issues.error(IssueCode::Structure, at.path, member, message);
    }
}

/// The types of the resources that the entries of a Bundle name by a URN (R4 bundle.html#references). An address has its
/// type in itself.
pub(super) fn names(resource: Value<'_>) -> HashMap<String, String> {
    let is_bundle = resource.get("resourceType").and_then(Value::as_str).is_some_and(|name| name == "Bundle");
    let entries = resource.get("entry").filter(|_| is_bundle).into_iter().flat_map(Value::items);
    let named = entries.filter_map(|entry| {
        let name = entry.get("fullUrl")?.as_str().filter(|name| name.starts_with("urn:"))?;
        let of = entry.get("resource")?.get("resourceType")?.as_str()?;
        Some((normal(&name), of.into_owned()))
    });
    named.collect()
}

/// UUIDs are the same in capital letters (RFC 9562).
fn normal(name: &str) -> String {
    if name.starts_with("urn:uuid:") { name.to_ascii_lowercase() } else { name.to_owned() }
}

/// `Reference.type` must be a resource type and agree with the reference (R4 references.html#Reference).
fn declared_type<'a>(
    walk: &mut Walk<'_>,
    value: Value<'a>,
    target_type: &mut Option<String>,
    at: At<'_, 'a>,
) {
    let Some(member) = value.get("type") else { return };
    let Some(text) = member.as_str() else { return };
    let name = text.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or(&text);
    let path = at.path.child("type");
    if !walk.definitions.is_resource(name) {
        // An absolute address may be that of a logical model.
        if !text.contains(':') {
            let meant = hint::for_resource_type(walk, name);
            let message = format_args!("'{}' is no resource type of R4{meant}", hint::printable(name));
            walk.issues.error(IssueCode::Value, &path, member, message);
        }
        return;
    }
    match target_type {
        Some(known) if known != name => {
            let message = format_args!("says {name}, but the reference points at {}", hint::printable(known));
            walk.issues.error(IssueCode::Structure, &path, member, message);
        }
        Some(_) => {}
        None => *target_type = Some(name.to_owned()),
    }
}

/// Checks a uri, url or canonical that begins with `#`. Only a canonical must lead to a contained resource:
/// other URIs may name parts of something else.
pub(super) fn fragment<'a>(
    walk: &mut Walk<'_>,
    text: &str,
    value: Value<'a>,
    kind: PrimitiveKind,
    at: At<'_, 'a>,
) {
    let is_lost = matches!(at.scope.follow(text, at.inside), Target::Nothing);
    if is_lost && kind == PrimitiveKind::Canonical {
        let message = format_args!("no contained resource has this id");
        walk.issues.error(IssueCode::NotFound, at.path, value, message);
    }
}

fn form<'t>(text: &'t str, definitions: &Definitions) -> Form<'t> {
    if text.starts_with('#') {
        return Form::Fragment;
    }
    if text.bytes().any(|byte| byte <= b' ') {
        return Form::Bad("must not hold white space");
    }
    if has_scheme(text) {
        return absolute(text, definitions);
    }
    if let Some((name, criteria)) = text.split_once('?') {
        return match definitions.is_resource(name) && !criteria.is_empty() {
            true => Form::Conditional(name),
            false => Form::Bad(FORM),
        };
    }
    let mut parts = text.split('/');
    let (name, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let version = match parts.next() {
        None => Some("1"),
        Some("_history") => parts.next(),
        Some(_) => return Form::Bad(FORM),
    };
    if parts.next().is_some() {
        return Form::Bad(FORM);
    }
    match (definitions.is_resource(name), is_id(id), version.is_some_and(is_id)) {
        (true, true, true) => Form::Typed(name),
        (true, ..) => Form::Bad("must have an id of 1 to 64 letters, digits, '-' or '.' after the type"),
        (false, ..) => Form::Bad(FORM),
    }
}

/// Whether it begins with a scheme of RFC 3986 section 3.1.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && !rest.is_empty()
}

/// The type of the target, where the address is that of a RESTful server.
fn absolute<'t>(text: &'t str, definitions: &Definitions) -> Form<'t> {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return Form::Absolute;
    };
    let address = rest.split_once("/_history/").map_or(rest, |(address, _)| address);
    let mut parts = address.rsplit('/');
    let (id, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // The first part is the host, which is no type.
    let has_host = parts.next().is_some();
    if has_host && is_id(id) && definitions.is_resource(name) { Form::Typed(name) } else { Form::Absolute }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::r4;

    #[test]
    fn the_form_of_a_reference_is_recognised() {
        let cases = [
            ("#", Form::Fragment),
            ("#p1", Form::Fragment),
            ("Patient/1", Form::Typed("Patient")),
            ("Patient/1/_history/2", Form::Typed("Patient")),
            ("Patient?identifier=a|b", Form::Conditional("Patient")),
            ("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", Form::Absolute),
            ("http://example.org/fhir/Patient/1", Form::Typed("Patient")),
            ("https://example.org/fhir/Patient/1/_history/2", Form::Typed("Patient")),
            ("http://Patient/1", Form::Absolute),
            ("http://example.org/other/1", Form::Absolute),
            ("Patient/a b", Form::Bad("must not hold white space")),
            ("Patient/1/2", Form::Bad(FORM)),
            ("Patient/1/_history/2/3", Form::Bad(FORM)),
            ("patient/1", Form::Bad(FORM)),
            ("1", Form::Bad(FORM)),
            ("/Patient/1", Form::Bad(FORM)),
            ("http:", Form::Bad(FORM)),
            ("Nobody?x=1", Form::Bad(FORM)),
            ("Patient?", Form::Bad(FORM)),
        ];
        for (text, expected) in cases {
            assert_eq!(form(text, r4()), expected, "{text}");
        }
        assert!(matches!(form("Patient", r4()), Form::Bad(_)));
        assert!(matches!(form("Patient/", r4()), Form::Bad(_)));
        assert!(matches!(form("Patient/1/_history", r4()), Form::Bad(_)));
    }
}
