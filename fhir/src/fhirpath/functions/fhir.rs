//! Functions that FHIR adds (R4 fhirpath.html, section 2.1.9.1.5).

use super::Call;
use crate::definitions::r4;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::error::EvalErrorKind;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::{Item, Node};
use crate::fhirpath::navigate;
use crate::fhirpath::types::specialises;
use crate::validate::narrative;

/// Where the addresses of R4's own types begin.
const BASE_DEFINITION: &str = "http://hl7.org/fhir/StructureDefinition/";

fn member<'a>(item: &Item<'a>, name: &str) -> Collection<'a> {
    let mut found = Collection::empty();
    navigate::member(item, name, &mut found);
    found
}

fn text_member<'a>(item: &Item<'a>, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    member(item, name).first().and_then(Item::as_string)
}

/// The extensions with that address, of complex elements and of primitives.
pub(super) fn extension<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(url) = call.text_argument(0)? else { return Ok(Collection::empty()) };
    let mut found = Collection::empty();
    for item in &input {
        let extensions = member(item, "extension");
        call.step(extensions.len())?;
        found.extend(
            extensions
                .into_iter()
                .filter(|extension| text_member(extension, "url").is_some_and(|found| found == url)),
        );
    }
    Ok(found)
}

/// Whether there is an extension with that address. No standard defines it, but search parameters of R4 use it.
pub(super) fn has_extension<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(Collection::boolean(!extension(call, input)?.is_empty()))
}

/// True for one primitive that has a value and not only extensions.
pub(super) fn has_value<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let has = match (input.len(), input.first()) {
        (1, Some(Item::Node(node))) => node.system_value().is_some(),
        (1, Some(_)) => true,
        _ => false,
    };
    Ok(Collection::boolean(has))
}

/// The System value of one primitive.
pub(super) fn get_value<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let value = match (input.len(), input.first()) {
        (1, Some(Item::Node(node))) => node.system_value(),
        (1, Some(other)) => Some(other.clone()),
        _ => None,
    };
    Ok(value.into())
}

/// Fails where an item has a modifier extension that the arguments do not name.
pub(super) fn check_modifiers<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut known = Vec::new();
    for index in 0..call.operation.arguments.len() {
        known.extend(call.text_argument(index)?);
    }
    for item in &input {
        for modifier in member(item, "modifierExtension") {
            let url = text_member(&modifier, "url");
            if !url.is_some_and(|url| known.contains(&url)) {
                return call.error(EvalErrorKind::UnknownModifier);
            }
        }
    }
    Ok(input)
}

/// Whether a code, Coding or CodeableConcept is in a value set; empty where the set is not known.
pub(super) fn member_of<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(set) = call.text_argument(0)? else { return Ok(Collection::empty()) };
    let Some(item) = call.one(&input)? else { return Ok(Collection::empty()) };
    if let Item::String(code) = &item {
        return Ok(Collection::boolean(is_member(call, None, code, &set)));
    }
    let codings = match item.structure().map(|structure| structure.name) {
        Some("CodeableConcept") => member(&item, "coding"),
        Some("Coding") => Collection::single(item),
        _ => return call.wrong("a code, Coding or CodeableConcept"),
    };
    let mut answer = Some(false);
    for coding in &codings {
        let Some(code) = text_member(coding, "code") else { continue };
        let system = text_member(coding, "system");
        match is_member(call, Some(system.as_deref().unwrap_or("")), &code, &set) {
            Some(true) => return Ok(Collection::boolean(true)),
            Some(false) => {}
            None => answer = None,
        }
    }
    Ok(Collection::boolean(answer))
}

fn is_member(call: &Call<'_, '_>, system: Option<&str>, code: &str, set: &str) -> Option<bool> {
    let asked = call.machine.context.terminology.and_then(|known| known.member_of(system, code, set));
    asked.or_else(|| r4().value_set(set).and_then(|known| known.lists(system, code)))
}

/// Whether an element conforms to a profile. Without anybody to ask, the types of R4 are still known by address:
/// another type does not conform, and one of the type does as far as it could be read.
pub(super) fn conforms_to<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(profile) = call.text_argument(0)? else { return Ok(Collection::empty()) };
    if input.len() > 1 {
        return call.error(EvalErrorKind::NotSingle);
    }
    let Some(item) = input.first() else { return Ok(Collection::empty()) };
    let node: Option<&Node<'a>> = item.node();
    let asked =
        call.machine.context.profiles.zip(node).and_then(|(known, node)| known.conforms_to(node, &profile));
    if let Some(answer) = asked {
        return Ok(Collection::boolean(answer));
    }
    let plain = profile.split('|').next().unwrap_or(&profile);
    let target = plain.strip_prefix(BASE_DEFINITION).and_then(|name| r4().structure(name));
    match target {
        Some(target) => {
            let conforms = item.structure().is_some_and(|structure| specialises(structure, target));
            Ok(Collection::boolean(conforms))
        }
        None => call.error(EvalErrorKind::UnknownProfile),
    }
}

/// Whether a narrative keeps to the XHTML that R4 allows (invariants txt-1 and txt-2).
pub(super) fn html_checks<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let text = call.text(&input)?;
    Ok(Collection::boolean(text.map(|text| narrative::check(&text).is_ok())))
}
