//! The syntax of search values: lists, parts and escapes (R4 search.html#escaping).

use std::borrow::Cow;

use super::Modifier;
use super::key::ParameterKey;
use super::query::ParseOptions;
use anamnesis_fhir::search::SearchParameter;

/// One criterion of a query, before its values are understood.
pub(crate) struct Asked<'a> {
    pub(crate) parameter: &'a SearchParameter,
    pub(crate) key: &'a ParameterKey,
    pub(crate) modifier: &'a Modifier,
    /// The alternatives, still with their escapes; none is empty.
    pub(crate) values: &'a [&'a str],
    pub(crate) options: &'a ParseOptions,
}

/// Why a criterion cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The value is not what the parameter takes: an error under any handling.
    BadValue(String),
    /// Not implemented: a warning, or an error under strict handling.
    Unsupported(String),
    /// A modifier that is not implemented: an error under any handling (R4 search.html#modifiers), because the
    /// parameter without it asks something else.
    Modifier(String),
}

impl Asked<'_> {
    /// The refusal for a modifier that the parameter's type does not have here.
    pub(crate) fn unsupported_modifier(&self) -> Refusal {
        let kind = self.parameter.kind().code();
        Refusal::Modifier(format!(
            "modifier :{} is not supported for parameters of type {kind}",
            self.modifier
        ))
    }
}

/// Splits at each `separator` that has no backslash before it. The escapes stay in the parts.
pub(crate) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == separator {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + separator.len_utf8();
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// Resolves `\,`, `\|`, `\$` and `\\`. A backslash before anything else stands for itself.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(&next @ (',' | '|' | '$' | '\\'))) => {
                plain.push(next);
                characters.next();
            }
            _ => plain.push(character),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_separators_do_not_split() {
        assert_eq!(split(r"a,b\,c,\\,d", ','), ["a", r"b\,c", r"\\", "d"]);
        assert_eq!(split("", ','), [""]);
        assert_eq!(split("|a|", '|'), ["", "a", ""]);
    }

    #[test]
    fn escapes_are_resolved_once() {
        assert_eq!(unescape(r"b\,c\|d\$e\\f\n"), r"b,c|d$e\f\n");
        assert_eq!(unescape(r"\\,"), r"\,");
        assert_eq!(unescape("\\"), "\\");
    }
}
