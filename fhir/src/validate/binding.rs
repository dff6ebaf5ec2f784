//! Codes against the value sets of required bindings (R4 terminologies.html#strength).

use super::issues::{IssueCode, Severity};
use super::walk::{At, Walk};
use crate::definitions::{ElementMatch, Grammar, Members, ValueSet};
use crate::json::Value;

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
        Members::Grammar(grammar) => match check_grammar(*grammar, text) {
            None => {}
            Some((severity, fault)) => {
                walk.issues.add((severity, IssueCode::CodeInvalid), at.path, value, format_args!("{fault}"));
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
                system == grammar.system() && check_grammar(*grammar, &code).is_none()
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

fn check_grammar(grammar: Grammar, code: &str) -> Option<(Severity, &'static str)> {
    match grammar {
        Grammar::Language if !is_language(code) => {
            Some((Severity::Error, "must be a language tag (BCP 47), such as en or de-CH"))
        }
        Grammar::Currency if !(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())) => {
            Some((Severity::Error, "must be a currency of ISO 4217, such as EUR"))
        }
        // R4's own examples have `xml` and `json` in CapabilityStatement.format.
        Grammar::MimeType if !code.contains('/') => {
            Some((Severity::Warning, "is no MIME type (BCP 13), such as application/fhir+json"))
        }
        Grammar::MimeType if !is_mime_type(code) => {
            Some((Severity::Error, "must be a MIME type (BCP 13), such as application/fhir+json"))
        }
        _ => None,
    }
}

/// Subtags of one to eight letters or digits, the first of letters only (RFC 5646 section 2.1).
fn is_language(code: &str) -> bool {
    code.split('-').enumerate().all(|(index, subtag)| {
        (1..=8).contains(&subtag.len())
            && subtag.bytes().all(|byte| byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit()))
    })
}

/// Type, slash, subtype, and anything as parameters (RFC 6838 section 4.2); ranges such as `image/*` pass.
fn is_mime_type(code: &str) -> bool {
    let essence = code.split(';').next().unwrap_or_default().trim_end();
    let is_token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars_take_what_they_must() {
        for (grammar, code) in [
            (Grammar::Language, "en"),
            (Grammar::Language, "de-CH-1996"),
            (Grammar::Language, "i-klingon"),
            (Grammar::Currency, "EUR"),
            (Grammar::MimeType, "application/fhir+json"),
            (Grammar::MimeType, "text/plain; charset=utf-8"),
            (Grammar::MimeType, "image/*"),
            (Grammar::Unit, "mm[Hg]"),
        ] {
            assert_eq!(check_grammar(grammar, code), None, "{code}");
        }
        for (grammar, code, severity) in [
            (Grammar::Language, "en_US", Severity::Error),
            (Grammar::Language, "", Severity::Error),
            (Grammar::Language, "1en", Severity::Error),
            (Grammar::Currency, "eur", Severity::Error),
            (Grammar::Currency, "EURO", Severity::Error),
            (Grammar::MimeType, "json", Severity::Warning),
            (Grammar::MimeType, "a/b/c", Severity::Error),
            (Grammar::MimeType, "/json", Severity::Error),
        ] {
            assert_eq!(check_grammar(grammar, code).map(|(severity, _)| severity), Some(severity), "{code}");
        }
    }
}
