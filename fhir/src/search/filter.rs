//! What an expression asks of a value: `where(…)`, casts of resources, and expressions that are true or false.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::walker::Walker;
use crate::json::{Document, Kind, Limits, Value};
use crate::references::Target;

/// A question about a value. Answers are three-valued as in FHIRPath: `None` is the empty collection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    /// The path finds something: `x.exists()`, `hasExtension(url)`.
    Exists(Walker),
    /// The path finds nothing: `x.empty()`.
    Empty(Walker),
    /// The one value at the path equals the literal: `x = 'phone'`.
    Equals(Walker, Literal),
    /// The one value at the path is `true`, or is something else than a boolean (FHIRPath, singleton evaluation).
    Truth(Walker),
    /// The reference leads to a resource of this type: `resolve() is Patient`.
    ResolvesTo(&'static str),
    /// The value is a resource of this type.
    IsResource(&'static str),
    /// `x and y`
    And(Box<(Filter, Filter)>),
    /// `x or y`
    Or(Box<(Filter, Filter)>),
    /// `x.not()`, `!=`
    Not(Box<Filter>),
}

/// A literal of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// `'phone'`
    String(Box<str>),
    /// `true`
    Boolean(bool),
}

impl Filter {
    /// Asks the question of `value`, which stands in the resource `root`.
    pub(super) fn holds(&self, root: Value<'_>, value: Value<'_>) -> Option<bool> {
        match self {
            Self::Exists(path) => Some(!matches!(only(path, root, value), Only::Nothing)),
            Self::Empty(path) => Some(matches!(only(path, root, value), Only::Nothing)),
            Self::Equals(path, literal) => match only(path, root, value) {
                Only::Nothing => None,
                Only::One(found) => Some(literal.equals(found)),
                Only::Many => Some(false),
            },
            Self::Truth(path) => match only(path, root, value) {
                Only::One(found) => Some(found.as_bool().unwrap_or(true)),
                Only::Nothing | Only::Many => None,
            },
            Self::ResolvesTo(resource_type) => {
                Some(resolved_type(root, value).is_some_and(|found| found == *resource_type))
            }
            Self::IsResource(resource_type) => {
                Some(type_of_resource(value).is_some_and(|found| found == *resource_type))
            }
            Self::And(parts) => match (parts.0.holds(root, value), parts.1.holds(root, value)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(parts) => match (parts.0.holds(root, value), parts.1.holds(root, value)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(inner) => inner.holds(root, value).map(|outcome| !outcome),
        }
    }
}

impl Literal {
    fn equals(&self, value: Value<'_>) -> bool {
        match self {
            Self::String(text) => value.as_str().is_some_and(|found| found == **text),
            Self::Boolean(truth) => value.as_bool() == Some(*truth),
        }
    }
}

/// What a path finds, as far as a question can tell the cases apart.
enum Only<'a> {
    Nothing,
    One(Value<'a>),
    Many,
}

fn only<'a>(path: &Walker, root: Value<'a>, value: Value<'a>) -> Only<'a> {
    let mut outcome = Only::Nothing;
    path.walk(root, value, &mut |_, extracted| {
        outcome = match outcome {
            Only::Nothing => Only::One(extracted.value),
            Only::One(_) | Only::Many => Only::Many,
        };
    });
    outcome
}

/// The type of the resource that a Reference leads to, as far as the resource itself tells: by the text of
/// `reference` (R4 references.html#literal), by the resource contained, or by `type`.
fn resolved_type<'a>(root: Value<'a>, reference: Value<'a>) -> Option<Cow<'a, str>> {
    let text = match reference.kind() {
        Kind::String => reference.as_str(),
        _ => reference.get("reference").and_then(Value::as_str),
    };
    let by_text = text.and_then(|text| match text.strip_prefix('#') {
        Some("") => type_of_resource(root),
        Some(fragment) => contained(root, fragment).and_then(type_of_resource),
        None => Target::parse(&text).map(|target| Cow::Owned(target.resource_type.to_owned())),
    });
    by_text.or_else(|| {
        let named = reference.get("type").and_then(Value::as_str)?;
        let plain = named.strip_prefix("http://hl7.org/fhir/StructureDefinition/").map(str::to_owned);
        Some(plain.map_or(named, Cow::Owned))
    })
}

/// How many contained resources are looked at for each reference: far more than are sensible, and few enough that
/// a resource full of both does no harm.
const CONTAINED_MAX: usize = 1_000;

fn contained<'a>(root: Value<'a>, id: &str) -> Option<Value<'a>> {
    let mut resources = root.get("contained")?.items().take(CONTAINED_MAX);
    resources.find(|resource| resource.get("id").and_then(Value::as_str).is_some_and(|found| found == id))
}

fn type_of_resource(resource: Value<'_>) -> Option<Cow<'_, str>> {
    resource.get("resourceType").and_then(Value::as_str)
}

/// `true` or `false` as a value of its own.
pub(super) fn truth(outcome: bool) -> Value<'static> {
    static TRUTHS: LazyLock<[Document; 2]> = LazyLock::new(|| {
        let document = |text: &str| match Document::parse(text, &Limits::default()) {
            Ok(document) => document,
            Err(error) => unreachable!("a JSON literal is JSON: {error}"),
        };
        [document("false"), document("true")]
    });
    let [no, yes] = &*TRUTHS;
    if outcome { yes.root() } else { no.root() }
}
