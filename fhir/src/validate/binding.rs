//! Codes against the value sets of required bindings (R4 terminologies.html#strength).

use super::issues::{IssueCode, Severity};
use super::walk::{At, Walk};
use crate::definitions::{ElementMatch, Members, ValueSet};
use crate::json::Value;
use crate::terminology::grammar;

/// Most codes that a message lists.
const CODES_LISTED_MAX: usize = 12;

/// Checks an element of type `code`: only the code is there, the system follows from the binding.
pub(super) fn code<'a>(
    walk: &mut Walk<'_>,
    text: &str,
    value: Value<'a>,
    found: ElementMatch<'static>,
    at: At<'_, 'a>,
) {
    let Some(binding) = &found.element.binding else { return };
    let Some(set) = binding.value_set.or(binding.max_value_set) else { return };
    match &set.members {
        Members::Unknown => {}
        Members::Listed(_) => {
            if set.lists(None, text) == Some(false) {
                let message = format_args!("the code is not in the required value set{}", codes_of(set));
                walk.issues.error(IssueCode::CodeInvalid, at.path, value, message);
            }
        }
        Members::Grammar(grammar) => match grammar::fault(*grammar, text) {
            None => {}
            Some(fault) => {
                let severity = if fault.is_tolerable { Severity::Warning } else { Severity::Error };
                walk.issues.add(
                    (severity, IssueCode::CodeInvalid),
                    at.path,
                    value,
                    format_args!("{}", fault.what),
                );
            }
        },
    }
}

/// Checks a Coding or CodeableConcept: the coding, or one of the codings, must be in the value set.
pub(super) fn concept<'a>(
    walk: &mut Walk<'_>,
    value: Value<'a>,
    found: ElementMatch<'static>,
    at: At<'_, 'a>,
) {
    let Some(set) = found.element.binding.as_ref().and_then(|binding| binding.value_set) else { return };
    let is_in_set = match found.element_type.code {
        "Coding" => lists_coding(set, value),
        _ => value.get("coding").is_some_and(|list| list.items().any(|coding| lists_coding(set, coding))),
    };
    if !is_in_set {
        let message = format_args!("a coding from the value set {} is required{}", set.url, codes_of(set));
        walk.issues.error(IssueCode::CodeInvalid, at.path, value, message);
    }
}

/// Whether a coding is in the set. One without a system has no meaning (terminologies.html#4.1), so it is not.
fn lists_coding(set: &ValueSet, coding: Value<'_>) -> bool {
    let text = |name| coding.get(name).and_then(Value::as_str);
    match &set.members {
        Members::Unknown => true,
        Members::Listed(_) => match (text("system"), text("code")) {
            (Some(system), Some(code)) => set.lists(Some(&system), &code) == Some(true),
            _ => false,
        },
        Members::Grammar(grammar) => match (text("system"), text("code")) {
            (Some(system), Some(code)) => {
                system == grammar.system() && grammar::fault(*grammar, &code).is_none()
            }
            _ => false,
        },
    }
}

/// The codes of a set for a message, where they are few.
fn codes_of(set: &ValueSet) -> String {
    let Members::Listed(systems) = &set.members else { return String::new() };
    let codes: Vec<&str> = systems.iter().flat_map(|listed| listed.codes.iter().copied()).collect();
    if codes.len() > CODES_LISTED_MAX {
        return format!(" {} ({} codes)", set.url, codes.len());
    }
    format!(": {}", codes.join(" | "))
}
