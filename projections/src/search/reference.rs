//! Reference parameters (R4 search.html#reference): references, canonical addresses and uris of resources.

use anamnesis_fhir::definitions;
use anamnesis_fhir::json::Value;
use anamnesis_fhir::references::{self, each_reference, is_id};
use anamnesis_fhir::search::Extracted;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::label;
use super::target::Target;
use super::value::{Asked, Refusal, split, unescape};

/// Adds what a value is found by.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    let value = extracted.value;
    if let Some(address) = value.as_str() {
        let target = Target::of(key.log(), &address);
        let plain = if is_local(&address) { target.target() } else { target.target_address() };
        entries.tokens.extend([plain, target.referred_by(key.references())]);
        // Asked for without its version it is found as well, but leads to that version alone.
        if let Some((without_version, _)) = address.rsplit_once('|') {
            entries.token(key, Class::AnyVersion, &[without_version]);
        }
        return;
    }
    let reference = value.get("reference").and_then(Value::as_str);
    let target = reference.and_then(|reference| target_of(key.log(), &reference, &entries.container));
    entries.tokens.extend(target.map(|target| target.referred_by(key.references())));
    label::index_reference(key, value, entries);
    let identifier = value.get("identifier");
    let part = |name| identifier.and_then(|identifier| identifier.get(name)).and_then(Value::as_str);
    if let Some(value) = part("value") {
        let system = part("system").unwrap_or_default();
        entries.token(key, Class::IdentifierSystemValue, &[&system, &value]);
        entries.token(key, Class::IdentifierValue, &[&value]);
    }
}

/// Adds what a resource itself is found by where others refer to it, and what refers to others, by a parameter or not.
pub(super) fn index_targets(log: i16, resource_type: &str, id: &str, root: Value<'_>, entries: &mut Entries) {
    entries.tokens.push(Target::resource(log, resource_type, id).own());
    if let Some(url) = root.get("url").and_then(Value::as_str) {
        entries.tokens.push(Target::of(log, &url).own_address());
        if let Some(version) = root.get("version").and_then(Value::as_str) {
            entries.tokens.push(Target::of(log, &format!("{url}|{version}")).own_address());
        }
    }
    index_references(log, resource_type, root, entries);
}

/// Adds what refers to others, by a parameter or not.
pub(super) fn index_references(log: i16, resource_type: &str, root: Value<'_>, entries: &mut Entries) {
    each_reference(root, resource_type, &mut |reference| {
        if is_local(&reference) || reference.starts_with('#') {
            let target = target_of(log, &reference, &entries.container);
            entries.tokens.extend(target.map(Target::target));
        }
    });
}

/// What a query asks: `id`, `Type/id`, an address; with `:Type` an id of that type, with `:identifier` the token of
/// the reference's own identifier, with `:text` how its display begins.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier == Modifier::Text {
        return label::criterion(asked);
    }
    let mut atoms = Vec::new();
    for value in asked.values {
        match asked.modifier {
            Modifier::None => targets(asked, &unescape(value), None, &mut atoms)?,
            Modifier::Type(name) => targets(asked, &unescape(value), Some(name), &mut atoms)?,
            Modifier::Identifier => atoms.push(identifier(asked.key, value)?),
            _ => return Err(asked.unsupported_modifier()),
        }
    }
    Ok(Criterion::any(atoms, Yield::Few))
}

/// The token of a resource on this server, by which compartments are found too.
pub(super) fn target_token(key: &ParameterKey, resource_type: &str, id: &str) -> i64 {
    Target::resource(key.log(), resource_type, id).referred_by(key.references())
}

fn targets(
    asked: &Asked<'_>,
    value: &str,
    wanted_type: Option<&str>,
    atoms: &mut Vec<Atom>,
) -> Result<(), Refusal> {
    let value = asked.options.base_url.as_deref().map_or(value, |base| relative_to(base, value));
    let value = without_history(value);
    if is_id(value) {
        let named = wanted_type.map(|name| vec![name]);
        let types = named.unwrap_or_else(|| target_types(asked));
        atoms.extend(types.iter().map(|name| Atom::Token(target_token(asked.key, name, value))));
        return Ok(());
    }
    let of_other_type = |name: &str| !value.starts_with(&format!("{name}/"));
    if let Some(name) = wanted_type
        && of_other_type(name)
    {
        return Err(Refusal::BadValue(format!("with modifier :{name} an id is wanted")));
    }
    if !is_address(value) {
        let wanted = "an id, Type/id or an absolute address is wanted";
        return Err(Refusal::BadValue(wanted.to_owned()));
    }
    let target = Target::of(asked.key.log(), value);
    atoms.push(Atom::Token(target.referred_by(asked.key.references())));
    atoms.push(Atom::Token(asked.key.of(Class::AnyVersion, &[value])));
    Ok(())
}

/// Whether a reference can say this: the type and id of a resource, or something absolute.
fn is_address(text: &str) -> bool {
    match text.split_once(':') {
        Some((scheme, rest)) => !scheme.is_empty() && !scheme.contains('/') && !rest.is_empty(),
        None => {
            text.split_once('/').is_some_and(|(name, id)| definitions::r4().is_resource(name) && is_id(id))
        }
    }
}

/// The types that an id alone may stand for.
fn target_types<'a>(asked: &Asked<'a>) -> Vec<&'a str> {
    match asked.parameter.targets() {
        [] => definitions::r4().resource_types().to_vec(),
        targets => targets.iter().map(String::as_str).collect(),
    }
}

fn identifier(key: &ParameterKey, value: &str) -> Result<Atom, Refusal> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    match parts.as_slice() {
        [value] => Ok(Atom::Token(key.of(Class::IdentifierValue, &[value]))),
        [system, value] if !value.is_empty() => {
            Ok(Atom::Token(key.of(Class::IdentifierSystemValue, &[system, value])))
        }
        _ => Err(Refusal::BadValue("an identifier is value or system|value".to_owned())),
    }
}

/// Where a reference leads that is said in this container: `#id` leads to what that contains. `#` alone leads nowhere.
fn target_of(log: i16, reference: &str, container: &str) -> Option<Target> {
    match reference.strip_prefix('#') {
        None => Some(Target::of(log, without_history(reference))),
        Some("") => None,
        Some(id) => Some(Target::contained(log, container, id)),
    }
}

/// The reference without a version: searches are about resources (R4 search.html#reference).
pub(super) fn without_history(reference: &str) -> &str {
    reference.split_once("/_history/").map_or(reference, |(resource, _)| resource)
}

/// Whether a reference leads to a resource of this server, whatever address it has.
fn is_local(reference: &str) -> bool {
    references::Target::parse(reference).is_some_and(|target| target.base.is_none())
}

/// Takes this server's own address off.
pub(super) fn relative_to<'a>(base: &str, address: &'a str) -> &'a str {
    let rest = address.strip_prefix(base.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    rest.unwrap_or(address)
}
