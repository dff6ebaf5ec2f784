//! Whether a concept meets one part of a composition: its system, its filters, the value sets that it must be in.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::library::{Branch, Canonical, Extent};
use super::value_set::{Filter, Part};
use super::{CodeSystem, Concept, ListError};
use crate::terminology::code_system::ConceptId;

/// Characters of a filter's pattern.
const PATTERN_CHARS_MAX: usize = 1000;
/// Memory of a compiled pattern. Matching takes time in proportion to the text, whatever the pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The filters of a part, made ready for many concepts.
pub(super) struct Sieve {
    tests: Vec<Test>,
}

enum Test {
    /// The concept is one of these, or is not.
    Within(HashSet<ConceptId>, bool),
    /// The concept lies below another, or does not.
    Under { top: Option<ConceptId>, with_top: bool, is_wanted: bool },
    /// The code is one of these, or is not.
    Codes(HashSet<String>, bool),
    /// Something of the concept equals one of these, or nothing does.
    Equal(Of, HashSet<String>, bool),
    /// Something of the concept matches.
    Matches(Of, Regex),
    /// The concept has this, or has it not.
    Exists(Of, bool),
}

/// What of a concept a filter looks at.
enum Of {
    Code,
    Display,
    Parent,
    Child,
    Property(String),
}

/// The concepts of its system that a part of a composition is about.
pub(super) fn extent(part: &Part, text: Option<&str>) -> Extent {
    for filter in part.filters.iter().filter(|filter| is_code(&filter.property)) {
        match filter.op.as_str() {
            "is-a" | "descendent-of" => return Extent::Below(filter.value.clone()),
            // What lies above a concept comes with it.
            "generalizes" => return Extent::Code(filter.value.clone()),
            _ => {}
        }
    }
    Extent::All(text.map(str::to_owned))
}

/// The branch that a filter asks for.
pub(super) fn branch(filter: &Filter) -> Option<Branch> {
    let with_itself = match filter.op.as_str() {
        "is-a" => true,
        "descendent-of" => false,
        _ => return None,
    };
    is_code(&filter.property).then(|| Branch { code: filter.value.clone(), with_itself })
}

/// The concepts of its system that say whether a part has a code.
pub(super) fn extent_of(part: &Part, code: &str) -> Extent {
    let generalizes = |filter: &&Filter| filter.op == "generalizes" && is_code(&filter.property);
    let above = part.filters.iter().find(generalizes).map(|filter| filter.value.clone());
    Extent::Code(above.unwrap_or_else(|| code.to_owned()))
}

/// The address of the part's system.
pub(super) fn canonical(part: &Part) -> Option<Canonical> {
    let system = part.system.as_deref()?;
    let mut canonical = Canonical::parse(system);
    canonical.version = part.version.clone().or(canonical.version);
    Some(canonical)
}

fn is_code(property: &str) -> bool {
    matches!(property, "concept" | "code")
}

impl Sieve {
    /// Prepares filters.
    ///
    /// # Errors
    /// For operations that R4 does not have, and patterns that do not compile.
    pub(super) fn new(filters: &[Filter], system: &Arc<CodeSystem>) -> Result<Self, ListError> {
        Ok(Self { tests: filters.iter().map(|filter| test(filter, system)).collect::<Result<_, _>>()? })
    }

    /// Prepares filters for one concept: what lies above it is walked, and not all that lies below a filter's.
    ///
    /// # Errors
    /// As [`Sieve::new`].
    pub(super) fn of_one(filters: &[Filter], system: &Arc<CodeSystem>) -> Result<Self, ListError> {
        let of_one = |filter: &Filter| {
            let is_wanted = match filter.op.as_str() {
                "is-a" | "descendent-of" => true,
                "is-not-a" => false,
                _ => return test(filter, system),
            };
            match Of::new(&filter.property) {
                Of::Code => Ok(Test::Under {
                    top: system.find(&filter.value),
                    with_top: filter.op != "descendent-of",
                    is_wanted,
                }),
                _ => test(filter, system),
            }
        };
        Ok(Self { tests: filters.iter().map(of_one).collect::<Result<_, _>>()? })
    }

    /// Whether a concept meets all of them.
    pub(super) fn takes(&self, system: &CodeSystem, id: ConceptId, concept: &Concept) -> bool {
        self.tests.iter().all(|test| match test {
            Test::Within(ids, wanted) => ids.contains(&id) == *wanted,
            Test::Under { top, with_top, is_wanted } => {
                let is_under = top
                    .is_some_and(|top| if top == id { *with_top } else { system.above(id).contains(&top) });
                is_under == *is_wanted
            }
            Test::Codes(codes, wanted) => codes.contains(&*system.key(&concept.code)) == *wanted,
            Test::Equal(of, values, wanted) => {
                of.values(system, concept).iter().any(|value| values.contains(&*of.key(system, value)))
                    == *wanted
            }
            Test::Matches(of, pattern) => {
                of.values(system, concept).iter().any(|value| pattern.is_match(value))
            }
            Test::Exists(of, wanted) => of.values(system, concept).is_empty() != *wanted,
        })
    }
}

fn test(filter: &Filter, system: &CodeSystem) -> Result<Test, ListError> {
    let of = Of::new(&filter.property);
    let value = filter.value.as_str();
    let key = |text: &str| of.key(system, text).into_owned();
    let list = || value.split(',').map(|code| key(code.trim())).collect::<HashSet<_>>();
    Ok(match (filter.op.as_str(), &of) {
        ("is-a", Of::Code) => Test::Within(below(system, value), true),
        ("is-not-a", Of::Code) => Test::Within(below(system, value), false),
        ("descendent-of", Of::Code) => {
            let mut ids = below(system, value);
            system.find(value).map(|id| ids.remove(&id));
            Test::Within(ids, true)
        }
        ("generalizes", Of::Code) => {
            Test::Within(system.find(value).map(|id| system.above(id)).unwrap_or_default(), true)
        }
        ("in", Of::Code) => Test::Codes(list(), true),
        ("not-in", Of::Code) => Test::Codes(list(), false),
        ("in" | "not-in", _) => {
            let values = list();
            Test::Equal(of, values, filter.op == "in")
        }
        ("=", _) => {
            let values = HashSet::from([key(value)]);
            Test::Equal(of, values, true)
        }
        ("regex", _) => Test::Matches(of, pattern(value)?),
        ("exists", _) => Test::Exists(of, value != "false"),
        (op, _) => {
            let text = format!("the filter {op} on {} is not supported", filter.property);
            return Err(ListError::Unsupported(text));
        }
    })
}

fn below(system: &CodeSystem, code: &str) -> HashSet<ConceptId> {
    system.find(code).map(|id| system.below(id)).unwrap_or_default()
}

/// A pattern for the whole text (R4 valueset-filter-operator.html, regex).
fn pattern(text: &str) -> Result<Regex, ListError> {
    if text.chars().count() > PATTERN_CHARS_MAX {
        let text = format!("the pattern of a filter has more than {PATTERN_CHARS_MAX} characters");
        return Err(ListError::Unsupported(text));
    }
    RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|_fault| ListError::Unsupported("the pattern of a filter cannot be used".to_owned()))
}

impl Of {
    fn new(property: &str) -> Self {
        match property {
            "concept" | "code" => Self::Code,
            "display" => Self::Display,
            "parent" => Self::Parent,
            "child" => Self::Child,
            other => Self::Property(other.to_owned()),
        }
    }

    /// A value as it is compared: codes of the system as the system has it.
    fn key<'v>(&self, system: &CodeSystem, value: &'v str) -> Cow<'v, str> {
        match self {
            Self::Code | Self::Parent | Self::Child => system.key(value),
            Self::Display | Self::Property(_) => Cow::Borrowed(value),
        }
    }

    fn values<'a>(&self, system: &'a CodeSystem, concept: &'a Concept) -> Vec<&'a str> {
        match self {
            Self::Code => vec![&concept.code],
            Self::Display => concept.display.as_deref().into_iter().collect(),
            Self::Parent => system.codes(&concept.parents).collect(),
            Self::Child => system.codes(&concept.children).collect(),
            Self::Property(code) => concept
                .properties
                .iter()
                .filter(|property| property.code == *code)
                .map(|property| property.text.as_str())
                .collect(),
        }
    }
}
