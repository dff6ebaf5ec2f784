//! What an operation takes: the names of its parameters. Others are left out with a warning, where the answer can hold
//! one, or refused where the client or the configuration wants that, as in searches.

use std::collections::BTreeMap;

use anamnesis_fhir::json::{Kind, Value};

use super::Input;
use crate::api::as_of;
use crate::api::call::Call;
use crate::api::parameters::with_modifier;
use crate::api::query::{GENERAL, encode};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// The parameters of an operation.
pub(in crate::api) struct Takes {
    /// Its name, with the dollar sign.
    pub(in crate::api) operation: &'static str,
    /// Those that are given once.
    pub(in crate::api) once: &'static [&'static str],
    /// Those that may be given several times.
    pub(in crate::api) often: &'static [&'static str],
    /// Those of R4 that it does not have, and that must not be left out: the answer would be another one.
    pub(in crate::api) refused: &'static [&'static str],
    /// Whether unknown ones are refused whoever asks: it writes, or its answer has no place for a warning.
    pub(in crate::api) refuses_others: bool,
    /// Whether a body may be a resource of its own instead of Parameters.
    pub(in crate::api) takes_resource: bool,
    /// Whether its query is that of a search, which says itself what it does not know.
    pub(in crate::api) searches: bool,
    /// Those that are more than a string, a number, a code or the like.
    pub(in crate::api) forms: &'static [(&'static str, Form)],
}

/// What a parameter in a body consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Form {
    /// A value that is one word: a string, a code, a uri, a date, a number, true or false.
    Word,
    /// A value of elements, as a Coding is.
    Elements,
    /// A value of either sort.
    Value,
    /// A resource.
    Resource,
    /// Parts.
    Parts,
    /// A value or parts.
    ValueOrParts,
    /// It is looked for in the query alone.
    OfQuery,
}

/// Parameters that have the same form in all operations that have them.
const FORMS: &[(&str, Form)] = &[
    ("resource", Form::Resource),
    ("valueSet", Form::Resource),
    ("codeSystem", Form::Resource),
    ("conceptMap", Form::Resource),
    ("coding", Form::Elements),
    ("codingA", Form::Elements),
    ("codingB", Form::Elements),
    ("codeableConcept", Form::Elements),
    ("dependency", Form::Parts),
];

impl Takes {
    /// An operation that knows nothing.
    pub(in crate::api) const NOTHING: Self = Self {
        operation: "",
        once: &[],
        often: &[],
        refused: &[],
        refuses_others: false,
        takes_resource: false,
        searches: false,
        forms: &[],
    };

    /// Looks at the names of all that was given, and tells what is left out; where others are refused, these are errors to
    /// refuse the request with, together with what else is wrong.
    ///
    /// # Errors
    /// 400 for a resource where Parameters are expected, for a parameter that is given too often, without what it consists
    /// of, or with a modifier; for one that R4 has and this server does not, and for unknown ones where they are refused.
    pub(in crate::api) fn check(&self, call: &Call, input: &Input<'_>) -> Result<Vec<Issue>, Failure> {
        if input.is_resource() && !self.takes_resource {
            let text =
                format!("The body of {} is a Parameters resource; this is another one.", self.operation);
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, text).at("resourceType"));
        }
        self.check_forms(input)?;
        let of_query = call.query.others(&GENERAL).map(|(name, _)| name.clone());
        let (of_query, of_body) = (counted(of_query.collect()), counted(input.names()));
        let is_own =
            |name: &str| self.has(name) || self.once.contains(&name.split(':').next().unwrap_or(name));
        let of_query = of_query.into_iter().filter(|(name, _)| !self.searches || is_own(name));
        let mut left_out = Vec::new();
        for (name, count) in of_query.chain(of_body) {
            if self.once.contains(&name.as_str()) && count > 1 {
                let text = format!("{} takes {name} once; it is given {count} times.", self.operation);
                return Err(Failure::new(FailureKind::Invalid, IssueCode::Duplicate, text));
            }
            if self.has(&name) {
                continue;
            }
            if name == as_of::PARAMETER {
                return Err(as_of::not_understood());
            }
            if as_of::is_nearly(&name) {
                return Err(as_of::misspelt(&name));
            }
            if name.split_once(':').is_some_and(|(code, _)| self.has(code)) {
                return Err(with_modifier(&name));
            }
            let shown = encode(&name);
            if self.refuses_others {
                let text = format!("{} does not know the parameter {shown}.", self.operation);
                left_out.push(Issue::error(IssueCode::NotSupported, text));
                continue;
            }
            if self.refused.contains(&name.as_str()) || call.refuses_unknown() {
                let text = format!("{} does not know the parameter {shown}.", self.operation);
                return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
            }
            let text = format!("{} does not know the parameter {shown}, which is left out.", self.operation);
            left_out.push(Issue::warning(IssueCode::NotSupported, text));
        }
        Ok(left_out)
    }

    /// A parameter that does not consist of what it should would be passed over, and the answer be that to another question.
    fn check_forms(&self, input: &Input<'_>) -> Result<(), Failure> {
        for (index, entry) in input.entries().enumerate() {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
            let form = self.forms.iter().chain(FORMS).find(|(known, _)| *known == name);
            let form = form.map_or(Form::Word, |(_, form)| *form);
            if !self.has(&name) || form.is_that_of(entry) {
                continue;
            }
            let text = match form {
                Form::Word => "takes a value: one string, code, uri, date, number, true or false",
                Form::Elements => "takes one value that has elements",
                Form::Value => "takes one value",
                Form::Resource => "takes a resource",
                Form::Parts => "takes parts",
                Form::ValueOrParts => "takes one value, or parts",
                Form::OfQuery => "is taken in the query only",
            };
            let text = format!("{}: the parameter {name} {text}.", self.operation);
            let place = format!("Parameters.parameter[{index}]");
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, text).at(place));
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.once.contains(&name) || self.often.contains(&name)
    }
}

impl Form {
    /// Whether an entry consists of this, and of nothing else (R4 parameters.html, inv-1).
    fn is_that_of(self, entry: Value<'_>) -> bool {
        let mut values =
            entry.members().filter(|(name, _)| name.starts_with("value")).map(|(_, value)| value);
        let (value, is_more) = (values.next(), values.next().is_some());
        let of = (value.map(Value::kind), entry.get("resource"), entry.get("part"));
        let is_word = |kind| matches!(kind, Kind::String | Kind::Number | Kind::Bool);
        let is_parts = |parts: Value<'_>| parts.kind() == Kind::Array && !parts.is_empty();
        match (self, of) {
            _ if is_more => false,
            (Self::Word, (Some(kind), None, None)) => is_word(kind),
            (Self::Elements, (Some(kind), None, None)) => kind == Kind::Object,
            (Self::Value | Self::ValueOrParts, (Some(kind), None, None)) => {
                is_word(kind) || kind == Kind::Object
            }
            (Self::Resource, (None, Some(resource), None)) => resource.kind() == Kind::Object,
            (Self::Parts | Self::ValueOrParts, (None, None, Some(parts))) => is_parts(parts),
            _ => false,
        }
    }
}

fn counted(names: Vec<String>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for name in names {
        *counted.entry(name).or_insert(0) += 1;
    }
    counted
}
