//! The elements of a SearchParameter, each checked for itself.

use super::{FaultKind, Faults, Submitted};
use crate::definitions::r4;
use crate::json::{Kind, Value};
use crate::search::{ParameterDefinition, SearchParameterKind};

/// Longest address, in bytes; more is no address of a definition.
const URL_BYTES_MAX: usize = 1000;
/// Longest code, in bytes: it is typed into queries.
const CODE_BYTES_MAX: usize = 64;
/// Longest expression, in bytes: R4's longest has about 4,000.
const EXPRESSION_BYTES_MAX: usize = 10_000;
/// Parts of a composite: R4's have up to three.
const COMPONENTS_MAX: usize = 8;
/// Types that stand for all below them.
const ABSTRACT: [&str; 2] = ["Resource", "DomainResource"];

/// Lists of codes of which R4 has no more than these.
const CODES_MAX: usize = 20;

/// Reads a resource.
pub(super) fn read(resource: Value<'_>) -> Submitted {
    let status = text(resource, "status");
    if matches!(status.as_deref(), Some("retired" | "unknown")) {
        let url = text(resource, "url").filter(|url| url.len() <= URL_BYTES_MAX);
        return Submitted { url, is_in_use: false, definition: None, derived_from: None, faults: Vec::new() };
    }
    let mut faults = Faults::default();
    let derived_from = text(resource, "derivedFrom").map(|url| without_version(&url).to_owned());
    let url = url(resource, &mut faults);
    let code = text(resource, "code");
    if code.is_none() {
        faults.add(FaultKind::Missing, "code", "A search parameter needs a code: the name in a query.");
    }
    let kind = kind(resource, &mut faults);
    let bases = types(resource, "base", &mut faults);
    if resource.get("base").is_none_or(|base| base.items().next().is_none()) {
        faults.add(FaultKind::Missing, "base", "A search parameter needs a base: the types that it is for.");
    }
    let targets = types(resource, "target", &mut faults);
    let expression = expression(resource, &mut faults);
    let components = components(resource, kind, &mut faults);
    let definition = match (&url, code, kind) {
        (Some(url), Some(code), Some(kind)) if faults.0.is_empty() => Some(ParameterDefinition {
            url: url.clone(),
            code,
            bases,
            kind,
            expression,
            targets,
            comparators: texts(resource, "comparator"),
            modifiers: texts(resource, "modifier"),
            usage: text(resource, "xpathUsage").filter(|usage| usage != "normal"),
            components,
        }),
        _ => None,
    };
    let derived_from = derived_from.filter(|url| url.len() <= URL_BYTES_MAX);
    Submitted { url, is_in_use: true, definition, derived_from, faults: faults.0 }
}

/// Checks that a code can be asked for: letters, digits, `-` and `_`, none of which a query takes for something else.
pub(super) fn check_code(definition: &ParameterDefinition, reserved: &[&str], faults: &mut Faults) {
    let code = definition.code.as_str();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let begins = code.starts_with(|first: char| first.is_ascii_alphabetic());
    if code.starts_with('_') || reserved.contains(&code) {
        let text = format!(
            "The code {code} has a meaning of its own in every query: take one that does not begin with _."
        );
        faults.add(FaultKind::Invalid, "code", text);
    } else if code.len() > CODE_BYTES_MAX || !begins || !code.bytes().all(is_plain) {
        let text = format!(
            "The code of a search parameter begins with a letter and has at most {CODE_BYTES_MAX} letters, digits, - and _."
        );
        faults.add(FaultKind::Invalid, "code", text);
    }
}

fn url(resource: Value<'_>, faults: &mut Faults) -> Option<String> {
    let Some(url) = text(resource, "url") else {
        faults.add(
            FaultKind::Missing,
            "url",
            "A search parameter needs a url: the address that it is known by.",
        );
        return None;
    };
    // RFC 3986 section 3.1.
    let scheme = url.split_once(':').map(|(scheme, rest)| (scheme, rest.is_empty()));
    let is_absolute = scheme.is_some_and(|(scheme, is_all)| {
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_scheme)
            && !is_all
    });
    if !is_absolute || url.len() > URL_BYTES_MAX || url.contains(char::is_whitespace) || url.contains('|') {
        let text = format!(
            "The url of a search parameter is an absolute address without a version, of at most {URL_BYTES_MAX} bytes."
        );
        faults.add(FaultKind::Invalid, "url", text);
        return None;
    }
    Some(url)
}

fn kind(resource: Value<'_>, faults: &mut Faults) -> Option<SearchParameterKind> {
    let Some(code) = text(resource, "type") else {
        faults.add(
            FaultKind::Missing,
            "type",
            "A search parameter needs a type: how its values are compared.",
        );
        return None;
    };
    let kind = SearchParameterKind::from_code(&code);
    if kind.is_none() {
        faults.add(FaultKind::Invalid, "type", "R4 has no type of search parameters with this code.");
    }
    kind
}

/// The resource types of a list, each once.
fn types(resource: Value<'_>, name: &str, faults: &mut Faults) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for (index, item) in resource.get(name).into_iter().flat_map(Value::items).enumerate() {
        match item.as_str() {
            Some(one) if r4().is_resource(&one) || ABSTRACT.contains(&&*one) => {
                if !types.iter().any(|known| **known == *one) {
                    types.push(one.into_owned());
                }
            }
            _ => {
                let text = "R4 has no resource type of this name.";
                faults.add(FaultKind::Invalid, &format!("{name}[{index}]"), text);
            }
        }
    }
    types
}

fn expression(resource: Value<'_>, faults: &mut Faults) -> Option<String> {
    let text = text(resource, "expression")?;
    if text.len() > EXPRESSION_BYTES_MAX {
        let most = format!("The expression of a search parameter has at most {EXPRESSION_BYTES_MAX} bytes.");
        faults.add(FaultKind::Invalid, "expression", most);
        return None;
    }
    Some(text).filter(|text| !text.trim().is_empty())
}

fn components(
    resource: Value<'_>,
    kind: Option<SearchParameterKind>,
    faults: &mut Faults,
) -> Vec<(String, String)> {
    let items: Vec<Value<'_>> = resource.get("component").into_iter().flat_map(Value::items).collect();
    let is_composite = kind == Some(SearchParameterKind::Composite);
    if is_composite && !(2..=COMPONENTS_MAX).contains(&items.len()) {
        let text = format!("A composite search parameter has 2 to {COMPONENTS_MAX} components.");
        faults.add(FaultKind::Invalid, "component", text);
    } else if !is_composite && !items.is_empty() && kind.is_some() {
        faults.add(FaultKind::Invalid, "component", "Only composite search parameters have components.");
    }
    let mut components = Vec::new();
    for (index, item) in items.into_iter().enumerate().take(COMPONENTS_MAX) {
        let mut wanted = |name: &str| {
            let found = text(item, name);
            if found.is_none() {
                let element = format!("component[{index}].{name}");
                faults.add(FaultKind::Missing, &element, "A component needs a definition and an expression.");
            }
            found
        };
        if let (Some(definition), Some(expression)) = (wanted("definition"), wanted("expression")) {
            components.push((without_version(&definition).to_owned(), expression));
        }
    }
    components
}

/// The text of an element; `None` where there is none, or something else than a text.
fn text(value: Value<'_>, name: &str) -> Option<String> {
    let found = value.get(name).filter(|found| found.kind() == Kind::String)?;
    found.as_str().map(|text| text.into_owned()).filter(|text| !text.is_empty())
}

fn texts(value: Value<'_>, name: &str) -> Vec<String> {
    let items = value.get(name).into_iter().flat_map(Value::items);
    items.filter_map(Value::as_str).take(CODES_MAX).map(|text| text.into_owned()).collect()
}

/// A canonical address without the version behind it (R4 references.html#canonical).
fn without_version(canonical: &str) -> &str {
    canonical.split_once('|').map_or(canonical, |(url, _)| url)
}
