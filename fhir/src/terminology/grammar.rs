//! Code systems that are a grammar and no list: language tags, MIME types, currencies, units.

use crate::definitions::Grammar;

/// What is wrong with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether resources with it are common, R4's own examples among them: worth a warning only.
    pub is_tolerable: bool,
    /// What it must be.
    pub what: &'static str,
}

/// Whether a code follows its grammar.
pub fn takes(grammar: Grammar, code: &str) -> bool {
    fault(grammar, code).is_none()
}

/// Why a code does not follow its grammar.
pub fn fault(grammar: Grammar, code: &str) -> Option<Fault> {
    match grammar {
        Grammar::Language if !is_language(code) => {
            wrong("must be a language tag (BCP 47), such as en or de-CH")
        }
        Grammar::Currency if !(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())) => {
            wrong("must be a currency of ISO 4217, such as EUR")
        }
        // R4's own examples have `xml` and `json` in CapabilityStatement.format.
        Grammar::MimeType if !code.contains('/') => Some(Fault {
            is_tolerable: true,
            what: "is no MIME type (BCP 13), such as application/fhir+json",
        }),
        Grammar::MimeType if !is_mime_type(code) => {
            wrong("must be a MIME type (BCP 13), such as application/fhir+json")
        }
        _ => None,
    }
}

fn wrong(what: &'static str) -> Option<Fault> {
    Some(Fault { is_tolerable: false, what })
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
            assert_eq!(fault(grammar, code), None, "{code}");
        }
        for (grammar, code, is_tolerable) in [
            (Grammar::Language, "en_US", false),
            (Grammar::Language, "", false),
            (Grammar::Language, "1en", false),
            (Grammar::Currency, "eur", false),
            (Grammar::Currency, "EURO", false),
            (Grammar::MimeType, "json", true),
            (Grammar::MimeType, "a/b/c", false),
            (Grammar::MimeType, "/json", false),
        ] {
            assert_eq!(fault(grammar, code).map(|fault| fault.is_tolerable), Some(is_tolerable), "{code}");
        }
    }
}
