//! SearchParameter resources of clients: read, checked against what is known, and told what becomes of them (R4
//! searchparameter.html).

mod clash;
mod element;
mod fit;
mod part;
#[cfg(test)]
mod tests;

use super::{ParameterDefinition, SearchRegistry};
use crate::json::Value;

/// What becomes of a SearchParameter that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It takes part in searches as soon as an index was built with it. The bases are those for which no known parameter
    /// says the same.
    Added(ParameterDefinition),
    /// It says what a known parameter says, which serves it: it is that one itself, finds the same, or is derived from it.
    Served {
        /// Canonical address of the known parameter.
        by: String,
    },
    /// It takes no part in searches.
    Unused(Unused),
}

/// Why a SearchParameter takes no part in searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// Its status is neither `active` nor `draft`.
    Status,
    /// Its type is `special`: only prose says what it means.
    Special,
    /// It has no expression, so that nobody knows what it finds.
    NoExpression,
}

/// What is wrong with a SearchParameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What sort of fault it is.
    pub kind: FaultKind,
    /// FHIRPath of the element: `SearchParameter.component[0].definition`.
    pub expression: String,
    /// What is wrong, a whole sentence. Names codes, addresses and types, which are no health data.
    pub text: String,
}

/// What sort of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The element is missing.
    Missing,
    /// It is not what it has to be.
    Invalid,
    /// It is R4, but this server cannot search by it.
    Unsupported,
    /// Another parameter has taken its name or address.
    Taken,
}

/// A SearchParameter as it was read: small, whatever else the resource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    url: Option<String>,
    /// Its status is one of those that take part in searches.
    is_in_use: bool,
    /// `None` where one of its elements is wrong, or where it is not in use.
    definition: Option<ParameterDefinition>,
    /// Canonical address of the parameter that it is derived from.
    derived_from: Option<String>,
    faults: Vec<Fault>,
}

/// What becomes of several SearchParameters beside each other.
#[derive(Debug, Clone)]
pub struct Composed {
    /// Of each, in their order.
    pub standings: Vec<Result<Standing, Vec<Fault>>>,
    /// The parameters of R4, and those that take part in searches.
    pub registry: SearchRegistry,
}

/// Reads a SearchParameter and checks that it can be searched by, beside the parameters that are `known`. `reserved` are
/// names that mean something else in a query.
///
/// ```
/// use anamnesis_fhir::json::{Document, Limits};
/// use anamnesis_fhir::search::{SearchRegistry, custom};
/// let text = r#"{"resourceType":"SearchParameter","url":"http://example.org/nickname","status":"active","code":"nickname",
///     "base":["Patient"],"type":"date","expression":"Patient.name.where(use = 'nickname').given"}"#;
/// let document = Document::parse(text, &Limits::default())?;
/// let faults = custom::read(document.root(), SearchRegistry::r4(), &[]).unwrap_err();
/// assert_eq!(faults[0].expression, "SearchParameter.expression");
/// assert!(faults[0].text.contains("finds string"));
/// # Ok::<(), anamnesis_fhir::json::ParseError>(())
/// ```
///
/// # Errors
/// All that is wrong with it.
pub fn read(resource: Value<'_>, known: &SearchRegistry, reserved: &[&str]) -> Result<Standing, Vec<Fault>> {
    Submitted::read(resource).standing(known, reserved)
}

impl Submitted {
    /// Reads a resource; what is wrong with single elements is kept with it.
    #[must_use]
    pub fn read(resource: Value<'_>) -> Self {
        element::read(resource)
    }

    /// Canonical address, where it has one.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Whether its status is one of those that take part in searches.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    /// What it says, where it is in use and none of its elements is wrong.
    #[must_use]
    pub fn definition(&self) -> Option<&ParameterDefinition> {
        self.definition.as_ref()
    }

    /// What becomes of it beside the parameters that are `known`, see [`read`].
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn standing(&self, known: &SearchRegistry, reserved: &[&str]) -> Result<Standing, Vec<Fault>> {
        let mut faults = Faults(self.faults.clone());
        let Some(definition) = &self.definition else { return faults.or(Standing::Unused(Unused::Status)) };
        if let Some(same) = known.by_url(&definition.url) {
            if clash::is_same(definition, same) {
                return faults.or(Standing::Served { by: definition.url.clone() });
            }
            faults.add(FaultKind::Taken, "url", clash::other_content(same));
        }
        if definition.kind == super::SearchParameterKind::Special {
            return faults.or(Standing::Unused(Unused::Special));
        }
        if definition.expression.is_none() {
            return faults.or(Standing::Unused(Unused::NoExpression));
        }
        let new = match clash::check(definition, self.derived_from.as_deref(), known, &mut faults) {
            clash::Outcome::Served { by } => return faults.or(Standing::Served { by }),
            clash::Outcome::New { bases } => ParameterDefinition { bases, ..definition.clone() },
        };
        element::check_code(&new, reserved, &mut faults);
        fit::check(&new, &mut faults);
        part::check(&new, known, &mut faults);
        faults.or(Standing::Added(new))
    }
}

/// What becomes of these beside R4's and each other, the earlier ones first; but composites behind all others, whose parts
/// these may be.
#[must_use]
pub fn compose(all: &[&Submitted], reserved: &[&str]) -> Composed {
    let is_composite = |one: &Submitted| {
        one.definition().is_some_and(|definition| definition.kind == super::SearchParameterKind::Composite)
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| all.get(*at).is_some_and(|one| is_composite(one)));
    let mut registry = SearchRegistry::r4().clone();
    let mut standings: Vec<_> = all.iter().map(|_| Ok(Standing::Unused(Unused::Status))).collect();
    for at in order {
        let (Some(one), Some(standing)) = (all.get(at), standings.get_mut(at)) else { continue };
        *standing = one.standing(&registry, reserved);
        if let Ok(Standing::Added(definition)) = standing {
            registry = registry.with_checked(definition.clone());
        }
    }
    Composed { standings, registry }
}

/// Faults as they are found.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault of an element, named by its path below the resource.
    fn add(&mut self, kind: FaultKind, element: &str, text: impl Into<String>) {
        let fault = Fault { kind, expression: format!("SearchParameter.{element}"), text: text.into() };
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    fn or(self, standing: Standing) -> Result<Standing, Vec<Fault>> {
        if self.0.is_empty() { Ok(standing) } else { Err(self.0) }
    }
}
