//! The normal form of criteria: those that are bound to match the same resources have the same one.
//!
//! It says whose turn is waited for, and which entries of a transaction are about one resource. What is asked of the index
//! is what was sent. Criteria that match the same only by what is stored (a code with its system and without, a name and
//! its beginning) have forms of their own.

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::references::is_id;
use anamnesis_fhir::search::{SearchParameter, SearchParameterKind, SearchRegistry};
use anamnesis_projections::search::{asks_for_words, folded};

use super::{one_identifier, sorted};
use crate::api::Query;

/// Criteria of a resource type in their normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Normal {
    resource_type: String,
    criteria: Vec<(String, String)>,
}

impl Normal {
    /// The normal form of criteria that were decoded. `addresses` are those of this service, without a last slash:
    /// references behind them are its own.
    ///
    /// It is made by the search parameters of R4, so that all servers of a log make the same.
    pub(crate) fn of(resource_type: &str, criteria: &Query, addresses: &[String]) -> Self {
        let plain = sorted(criteria).into_iter().map(|(name, value)| {
            let parameter =
                name.split(':').next().and_then(|code| SearchRegistry::r4().get(resource_type, code));
            match parameter {
                Some(parameter) => said_plainly(parameter, name, &value, addresses),
                None => (name, value),
            }
        });
        let mut criteria: Vec<_> = plain.collect();
        criteria.sort();
        criteria.dedup();
        Self { resource_type: resource_type.to_owned(), criteria }
    }

    /// The type of the resources that may match.
    pub(crate) fn resource_type(&self) -> &str {
        &self.resource_type
    }

    /// Parameters and values, in order.
    pub(crate) fn criteria(&self) -> &[(String, String)] {
        &self.criteria
    }

    /// Whether they are one identifier, which the log itself holds writers to.
    pub(crate) fn is_identifier(&self) -> bool {
        one_identifier(&self.resource_type, &self.criteria).is_some()
    }
}

/// The alternatives of a value in one order and each once; what is no list of alternatives stays as it is.
pub(super) fn ordered(name: &str, value: &str) -> String {
    let is_text = |part: &str| part == "_filter" || asks_for_words(part);
    if name.split(['.', ':']).any(is_text) { value.to_owned() } else { joined(alternatives(value)) }
}

fn joined(mut values: Vec<String>) -> String {
    values.sort();
    values.dedup();
    values.join(",")
}

/// Splits at each comma that has no backslash before it (R4 search.html#escaping).
fn alternatives(value: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut is_escaped = false;
    for character in value.chars() {
        match all.last_mut() {
            Some(last) if is_escaped || character != ',' => last.push(character),
            _ => all.push(String::new()),
        }
        is_escaped = !is_escaped && character == '\\';
    }
    all
}

fn said_plainly(
    parameter: &SearchParameter,
    name: String,
    value: &str,
    addresses: &[String],
) -> (String, String) {
    let modifier = name.split_once(':').map(|(_, modifier)| modifier);
    let values = alternatives(value);
    let is_number = matches!(
        parameter.kind(),
        SearchParameterKind::Date | SearchParameterKind::Number | SearchParameterKind::Quantity
    );
    match (parameter.kind(), modifier) {
        // R4 search.html#prefix: where there is no prefix, it is `eq`.
        (_, None) if is_number => {
            let plain = values.iter().map(|value| value.strip_prefix("eq").unwrap_or(value).to_owned());
            (name, joined(plain.collect()))
        }
        (SearchParameterKind::String, None) => {
            (name, joined(values.iter().map(|value| folded(value)).collect()))
        }
        (SearchParameterKind::Reference, None) => of_references(parameter, (name, None), &values, addresses),
        (SearchParameterKind::Reference, Some(of_type)) if r4().is_resource(of_type) => {
            let of_type = of_type.to_owned();
            of_references(parameter, (name, Some(of_type)), &values, addresses)
        }
        _ => (name, value.to_owned()),
    }
}

/// A reference to a resource of this service is `Type/id`, whether its type stands in the value, in the name, or in the
/// definition of the parameter; and of parameters that look at one element, as `patient` and `subject` do, the element is the
/// name.
fn of_references(
    parameter: &SearchParameter,
    (name, of_type): (String, Option<String>),
    values: &[String],
    addresses: &[String],
) -> (String, String) {
    let element = element(parameter);
    let only = match (&of_type, &element, parameter.targets()) {
        (Some(named), ..) => Some(named.as_str()),
        (None, Some((_, Some(of_element))), _) => Some(of_element.as_str()),
        (None, _, [one]) => Some(one.as_str()),
        _ => None,
    };
    let local = |value: &String| {
        let own = addresses.iter().find_map(|own| value.strip_prefix(own.as_str())?.strip_prefix('/'));
        let value = own.unwrap_or(value);
        let value = value.split_once("/_history/").map_or(value, |(resource, _)| resource);
        match only {
            Some(only) if is_id(value) => format!("{only}/{value}"),
            _ => value.to_owned(),
        }
    };
    let values: Vec<String> = values.iter().map(local).collect();
    // Of another type no reference is looked at, or the criterion is refused: it is not that of the element.
    let is_of = |of_type: &str| {
        values.iter().all(|value| value.strip_prefix(of_type).is_some_and(|rest| rest.starts_with('/')))
    };
    let name = match (element, &of_type) {
        (Some((path, of_element)), named)
            if of_element.as_deref().is_none_or(is_of) && named.as_deref().is_none_or(is_of) =>
        {
            path
        }
        (None, Some(named)) if is_of(named) => parameter.code().to_owned(),
        _ => name,
    };
    (name, joined(values))
}

/// The one element that a parameter of type reference looks at, and the type of what it has to lead to, where it says one:
/// `Observation.subject.where(resolve() is Patient)`.
fn element(parameter: &SearchParameter) -> Option<(String, Option<String>)> {
    let definition = SearchRegistry::r4().by_url(parameter.url())?;
    let of_type = format!("{}.", parameter.resource_type());
    let mut parts = definition.expression.as_deref()?.split('|').map(str::trim);
    let part = parts.find(|part| part.starts_with(&of_type))?;
    if parts.any(|part| part.starts_with(&of_type)) {
        return None;
    }
    let (path, of_type) =
        match part.strip_suffix(')').and_then(|part| part.split_once(".where(resolve() is ")) {
            Some((path, of_type)) => (path, Some(of_type.to_owned())),
            None => (part, None),
        };
    let is_plain = path.chars().all(|character| character.is_ascii_alphanumeric() || character == '.');
    is_plain.then(|| (path.to_owned(), of_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(criteria: &str) -> Normal {
        let own = ["http://h/default/fhir".to_owned()];
        Normal::of("Observation", &Query::parse(criteria).unwrap(), &own)
    }

    #[test]
    fn what_is_bound_to_match_the_same_has_one_form() {
        for (one, other) in [
            ("status=final&identifier=a|b", "identifier=a%7Cb&status=final"),
            ("status=final", "status=final&status=final&_format=json"),
            ("status=final,amended", "status=amended,final,amended"),
            ("date=2020-01-01", "date=eq2020-01-01"),
            ("value-quantity=5.4", "value-quantity=eq5.4"),
            ("value-string=M%C3%BCller", "value-string=muller"),
            ("subject=Patient/1", "subject:Patient=1"),
            ("subject=Patient/1", "patient=1"),
            ("subject=Patient/1", "patient:Patient=Patient/1"),
            ("subject=Patient/1", "subject=http://h/default/fhir/Patient/1"),
            ("specimen=1", "specimen=Specimen/1/_history/2"),
            ("specimen=1,2", "specimen=Specimen/2,Specimen/1"),
        ] {
            assert_eq!(normal(one), normal(other), "{one} {other}");
        }
    }

    #[test]
    fn what_may_match_other_resources_has_another_form() {
        for (one, other) in [
            ("status=final", "status=amended"),
            ("status=final", "status:not=final"),
            ("status=final", "status=final&code=a"),
            ("status=final&status=amended", "status=final,amended"),
            ("status=a,b", r"status=a\,b"),
            ("code=a,b", r"code=b\,a"),
            ("date=2020", "date=ge2020"),
            ("identifier=a|1", "identifier=1"),
            ("value-string=a", "value-string:exact=a"),
            ("value-string:exact=a", "value-string:exact=A"),
            ("code=a", "code=A"),
            ("subject=Patient/1", "subject=Group/1"),
            ("subject=1", "patient=1"),
            ("encounter=1", "encounter=Encounter/1"),
            ("subject=Group/1", "patient=Group/1"),
            ("subject=Group/1", "patient:Group=1"),
            ("subject=Patient/1", "performer=Patient/1"),
            ("subject=Patient/1", "subject=http://other/Patient/1"),
            ("subject.name=a", "subject.name=A"),
            ("_filter=status eq \"a,b\"", "_filter=b\",status eq \"a"),
        ] {
            assert_ne!(normal(one), normal(other), "{one} {other}");
        }
        let of_type = |name: &str| Normal::of(name, &Query::parse("identifier=a|1").unwrap(), &[]);
        assert_ne!(of_type("Patient"), of_type("Observation"));
    }

    #[test]
    fn an_identifier_is_one_however_often_it_is_said() {
        for criteria in ["identifier=a|1", "identifier=a%7C1&_format=json", "identifier=a|1,a|1"] {
            assert!(normal(criteria).is_identifier(), "{criteria}");
        }
        for criteria in ["identifier=a|1,a|2", "identifier=a|1&status=final", "identifier=1", ""] {
            assert!(!normal(criteria).is_identifier(), "{criteria}");
        }
    }
}
