//! `_filter` (R4 search_filter.html): what its tests ask is asked as search parameters, and joined by `and`, `or`, `not`.
//!
//! What cannot be answered is an error under any handling: a filter without one of its tests is another question.

mod syntax;

use anamnesis_fhir::search::SearchParameterKind as Kind;

use super::chain::{self, Link};
use super::parse::{Parser, sanitised, unknown};
use crate::search::atom::{Atom, Criterion, Join};
use crate::search::full_text;
use crate::search::span::DateEquals;
use crate::search::value::{Refusal, split};
use syntax::{Filter, Test};

/// The parameter.
pub(super) const NAME: &str = "_filter";
/// From this length on a text could be longer than what is indexed of it, so that the two cannot be told to be equal.
const EQUAL_LENGTH_MAX: usize = 199;
/// Namespaces that have a short name in filters.
const NAMESPACES: [(&str, &str); 4] = [
    ("loinc|", "http://loinc.org|"),
    ("snomed|", "http://snomed.info/sct|"),
    ("rxnorm|", "http://www.nlm.nih.gov/research/umls/rxnorm|"),
    ("ucum|", "http://unitsofmeasure.org|"),
];

/// A test as a search parameter.
struct Form {
    /// Follows the path.
    modifier: &'static str,
    value: String,
    /// Texts are meant as a whole, not how they begin.
    is_whole: bool,
    /// Dates that have some time in common are meant.
    overlaps: bool,
}

impl Parser<'_> {
    /// The criteria of a filter, all of which have to hold.
    pub(super) fn filter(&mut self, text: &str) -> Result<Vec<Criterion>, Refusal> {
        let filter = syntax::parse(text).map_err(Refusal::BadValue)?;
        self.all_of(&filter)
    }

    /// The depth is bounded by the syntax.
    fn all_of(&mut self, filter: &Filter) -> Result<Vec<Criterion>, Refusal> {
        match filter {
            Filter::Test(test) => {
                let why = |reason| format!("{} {}: {reason}", sanitised(&test.path), shown(&test.operator));
                self.of_test(test).map_err(|refusal| match refusal {
                    Refusal::BadValue(reason) => Refusal::BadValue(why(reason)),
                    Refusal::Unsupported(reason) | Refusal::Modifier(reason) => {
                        Refusal::Modifier(why(reason))
                    }
                })
            }
            Filter::And(all) => {
                let mut criteria = Vec::new();
                for filter in all {
                    criteria.extend(self.all_of(filter)?);
                }
                Ok(criteria)
            }
            Filter::Or(any) => {
                let any = any.iter().map(|filter| self.all_of(filter)).collect::<Result<_, _>>()?;
                Ok(vec![Criterion::any_of(any)])
            }
            Filter::Not(filter) => Ok(vec![Criterion::not_all(self.all_of(filter)?)]),
        }
    }

    fn of_test(&mut self, Test { path, operator, value }: &Test) -> Result<Vec<Criterion>, Refusal> {
        let kind = self.kind_of(&self.types.clone(), path, 0)?;
        let form = form(kind, operator, value)?;
        let equals = self.options.date_equals;
        if form.overlaps {
            self.options.date_equals = DateEquals::Overlaps;
        }
        let criterion = self.criterion_of_search(&format!("{path}{}", form.modifier), &form.value);
        self.options.date_equals = equals;
        let criterion = criterion?;
        Ok(if form.is_whole { whole(criterion) } else { vec![criterion] })
    }

    /// The type of the parameter that a path ends in.
    fn kind_of(&self, types: &[String], path: &str, depth: usize) -> Result<Kind, Refusal> {
        if depth > self.catalogue.chain_depth_max {
            let most = self.catalogue.chain_depth_max;
            return Err(Refusal::BadValue(format!("a path has at most {most} links on this server")));
        }
        match chain::link(path)? {
            Some(Link::Forward { code, target, rest }) => {
                let (mut targets, mut refused) = (Vec::new(), None);
                for source in types {
                    match self.targets(source, code, target) {
                        Ok(of_type) => targets.extend(of_type),
                        Err(refusal) => refused = Some(refusal),
                    }
                }
                if let (true, Some(refusal)) = (targets.is_empty(), refused) {
                    return Err(refusal);
                }
                targets.sort_unstable();
                targets.dedup();
                self.kind_of(&targets, rest, depth + 1)
            }
            Some(Link::Reverse { source, rest, .. }) => self.kind_of(&[source.to_owned()], rest, depth + 1),
            None if path.contains(':') => {
                Err(Refusal::Modifier("modifiers are not taken: the operator says what is meant".to_owned()))
            }
            None if full_text::asks_for_words(path) => Err(Refusal::Modifier(
                "it has a syntax of its own: it can stand beside a filter, and not within one".to_owned(),
            )),
            None => {
                let of_type = |name: &String| Some(self.catalogue.get(name, path)?.kind());
                let mut kinds: Vec<Kind> = types.iter().filter_map(of_type).collect();
                kinds.dedup();
                match kinds.as_slice() {
                    [kind] => Ok(*kind),
                    [] => Err(unknown("any type that is meant")),
                    _ => Err(Refusal::Modifier(
                        "it is of several types: say which resources are meant, as in subject:Patient.name"
                            .to_owned(),
                    )),
                }
            }
        }
    }
}

/// What an operator asks of a parameter of this type (R4 search_filter.html#ops).
fn form(kind: Kind, operator: &str, value: &str) -> Result<Form, Refusal> {
    let form = |modifier, value| Form { modifier, value, is_whole: false, overlaps: false };
    Ok(match (operator, kind) {
        ("pr", _) => match value {
            "true" => form(":missing", "false".to_owned()),
            "false" => form(":missing", "true".to_owned()),
            _ => return Err(Refusal::BadValue("true or false is wanted".to_owned())),
        },
        ("sw", Kind::String) => form("", text(value)),
        ("co", Kind::String) => form(":contains", text(value)),
        ("eq", Kind::String) if value.chars().count() > EQUAL_LENGTH_MAX => {
            let most = format!("texts of up to {EQUAL_LENGTH_MAX} characters are compared");
            return Err(Refusal::BadValue(most));
        }
        ("eq", Kind::String) => Form { is_whole: true, ..form("", text(value)) },
        (
            "eq" | "ne" | "gt" | "lt" | "ge" | "le" | "sa" | "eb" | "ap",
            Kind::Date | Kind::Number | Kind::Quantity,
        ) => form("", format!("{operator}{}", single(value))),
        ("po", Kind::Date) => Form { overlaps: true, ..form("", format!("eq{}", single(value))) },
        ("eq", Kind::Token) => form("", single(value)),
        ("in", Kind::Token) => form(":in", single(value)),
        ("ni", Kind::Token) => form(":not-in", single(value)),
        ("ss", Kind::Token) => form(":below", single(value)),
        ("sb", Kind::Token) => form(":above", single(value)),
        ("eq" | "re", Kind::Reference) | ("eq", Kind::Uri | Kind::Composite | Kind::Special) => {
            form("", single(value))
        }
        _ => {
            let text = format!("this operator is not supported for parameters of type {}", kind.code());
            return Err(Refusal::Modifier(text));
        }
    })
}

/// A text in the syntax of search parameters, where everything stands for itself.
fn text(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '|' | '$') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A value whose parts mean what they mean in search parameters, but which is no list of alternatives.
fn single(value: &str) -> String {
    let short = NAMESPACES.iter().find_map(|(short, long)| Some((long, value.strip_prefix(short)?)));
    let value = short.map_or(value.to_owned(), |(long, rest)| format!("{long}{rest}"));
    split(&value, ',').join("\\,")
}

/// The same of texts as a whole, also where it is asked of joined resources: the beginning leads to the texts, and of
/// those count the ones that end there.
fn whole(criterion: Criterion) -> Vec<Criterion> {
    let all_whole = |all: Vec<Criterion>| all.into_iter().flat_map(whole).collect();
    let of_atom = |atom| match atom {
        Atom::Starts { key, text } => Atom::Is { key, text },
        Atom::All(all) => Atom::All(all_whole(all)),
        Atom::Join(join) => Atom::Join(Join { criteria: all_whole(join.criteria), ..join }),
        other => other,
    };
    let is_of_texts = criterion.any.iter().any(|atom| matches!(atom, Atom::Starts { .. }));
    let beginning = is_of_texts.then(|| criterion.clone());
    let any = criterion.any.into_iter().map(of_atom).collect();
    beginning.into_iter().chain([Criterion { any, ..criterion }]).collect()
}

/// An operator that a client gave, fit to be shown again; one that is none may be a value in its place.
fn shown(operator: &str) -> &str {
    let is_operator = operator.len() == 2 && operator.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_operator { operator } else { "(no operator)" }
}
