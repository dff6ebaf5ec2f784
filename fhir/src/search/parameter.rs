//! A search parameter as it is defined, and as it is compiled for one resource type.

use std::sync::Arc;

use super::general::Finder;
use super::walker::Walker;
use super::{Extracted, Found, SearchParameterKind};
use crate::definitions;
use crate::json::Value;

/// Why a search parameter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchParameterError {
    /// The expression is no FHIRPath.
    #[error("the expression of search parameter {code} cannot be read: {reason}")]
    Syntax {
        /// Code of the parameter.
        code: String,
        /// What the parser says.
        reason: String,
    },
    /// The expression is FHIRPath, but more than search parameters can do.
    #[error("the expression of search parameter {code} uses {what}, which is not supported")]
    Unsupported {
        /// Code of the parameter.
        code: String,
        /// The construct.
        what: String,
    },
    /// A resource type that R4 does not have.
    #[error("search parameter {code} is for the unknown resource type {resource_type}")]
    UnknownBase {
        /// Code of the parameter.
        code: String,
        /// The type.
        resource_type: String,
    },
    /// A composite names a component that is not defined.
    #[error("search parameter {code} has the unknown component {definition}")]
    UnknownComponent {
        /// Code of the parameter.
        code: String,
        /// Canonical address of the component.
        definition: String,
    },
}

/// What a SearchParameter resource says (R4 searchparameter.html), whether from R4 itself or made later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterDefinition {
    /// Canonical address.
    pub url: String,
    /// The name in a query.
    pub code: String,
    /// Resource types that it applies to; `Resource` and `DomainResource` stand for all below them.
    pub bases: Vec<String>,
    /// How it is indexed and compared.
    pub kind: SearchParameterKind,
    /// FHIRPath over all bases; `None` where the server must know by itself (`_text`).
    pub expression: Option<String>,
    /// Resource types that a reference may point at; empty for any.
    pub targets: Vec<String>,
    /// Prefixes; empty where the definition names none.
    pub comparators: Vec<String>,
    /// Modifiers; empty where the definition names none.
    pub modifiers: Vec<String>,
    /// How the values are compared where it is not plainly: `phonetic` or `nearby`.
    pub usage: Option<String>,
    /// The parts of a composite: canonical address of the part's parameter, and the expression relative to the
    /// composite's own values.
    pub components: Vec<(String, String)>,
}

impl From<&definitions::SearchParameter> for ParameterDefinition {
    fn from(row: &definitions::SearchParameter) -> Self {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            url: row.url.to_owned(),
            code: row.code.to_owned(),
            bases: owned(&row.bases),
            kind: row.kind,
            expression: row.expression.map(str::to_owned),
            targets: owned(&row.targets),
            comparators: owned(&row.comparators),
            modifiers: owned(&row.modifiers),
            usage: row.usage.map(str::to_owned),
            components: row
                .components
                .iter()
                .map(|part| (part.definition.to_owned(), part.expression.to_owned()))
                .collect(),
        }
    }
}

/// A search parameter of one resource type.
#[derive(Debug)]
pub struct SearchParameter {
    pub(super) definition: Arc<ParameterDefinition>,
    pub(super) resource_type: &'static str,
    pub(super) finder: Option<Finder>,
    pub(super) is_mandatory: bool,
    pub(super) is_primitive: bool,
    pub(super) fhir_types: Option<Vec<&'static str>>,
    pub(super) components: Vec<Component>,
}

/// One part of a composite search parameter.
#[derive(Debug)]
pub struct Component {
    pub(super) definition: Arc<ParameterDefinition>,
    pub(super) walker: Walker,
    pub(super) fhir_types: Vec<&'static str>,
}

impl SearchParameter {
    /// The name in a query, such as `birthdate` or `_id`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.definition.code
    }

    /// How it is indexed and compared.
    #[must_use]
    pub fn kind(&self) -> SearchParameterKind {
        self.definition.kind
    }

    /// Canonical address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.definition.url
    }

    /// The resource type that this is compiled for; `Resource` for searches over all types.
    #[must_use]
    pub fn resource_type(&self) -> &'static str {
        self.resource_type
    }

    /// Resource types that a reference may point at; empty for any.
    #[must_use]
    pub fn targets(&self) -> &[String] {
        &self.definition.targets
    }

    /// The parts of a composite; empty for other kinds.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Whether [`Self::extract`] can ever give something. Not so for `_text`, `_content`, `_filter` and `_query`,
    /// which have no expression.
    #[must_use]
    pub fn has_expression(&self) -> bool {
        self.finder.is_some()
    }

    /// Whether every valid resource has a value, by the cardinalities of R4: `Observation.status`. Resources that were
    /// never validated may have none all the same.
    #[must_use]
    pub fn is_mandatory(&self) -> bool {
        self.is_mandatory
    }

    /// Whether all values are of primitive types: codes without a system of their own, texts, numbers.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        self.is_primitive
    }

    /// The types that the values may have, sorted; `None` where only the FHIRPath engine can find them. A choice gives all
    /// of its types.
    #[must_use]
    pub fn fhir_types(&self) -> Option<&[&'static str]> {
        self.fhir_types.as_deref()
    }

    /// What is found, in a form that is the same for parameters that find the same; `None` where only the engine knows.
    pub(super) fn ways(&self) -> Option<Vec<(String, &'static str)>> {
        match &self.finder {
            Some(Finder::Walker(walker)) => Some(indexed(walker)),
            Some(Finder::General(_)) => None,
            None => Some(Vec::new()),
        }
    }

    /// All that the definition says.
    #[must_use]
    pub fn definition(&self) -> &ParameterDefinition {
        &self.definition
    }

    /// The values that a resource has for this parameter, in the order of the expression. The same value may come
    /// twice. `root` must be a resource of [`Self::resource_type`].
    ///
    /// For a composite these are the elements that hold the parts; give each to [`Component::extract`]: parts match
    /// only within one element (R4 search.html#composite).
    #[must_use]
    pub fn extract<'a>(&self, root: Value<'a>) -> Found<'a> {
        let mut found = Found::new();
        self.extract_each(root, |extracted| found.push(extracted));
        found
    }

    /// As [`Self::extract`], handing over each value.
    pub fn extract_each<'a>(&self, root: Value<'a>, each: impl FnMut(Extracted<'a>)) {
        if let Some(finder) = &self.finder {
            finder.find(root, each);
        }
    }
}

impl Component {
    /// Code of the parameter that defines this part, such as `code`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.definition.code
    }

    /// How this part is indexed and compared.
    #[must_use]
    pub fn kind(&self) -> SearchParameterKind {
        self.definition.kind
    }

    /// All that the definition of the part's own parameter says; its expression is not the one used here.
    #[must_use]
    pub fn definition(&self) -> &ParameterDefinition {
        &self.definition
    }

    /// The types that the part's values may have, sorted.
    #[must_use]
    pub fn fhir_types(&self) -> &[&'static str] {
        &self.fhir_types
    }

    /// As [`SearchParameter::ways`].
    pub(super) fn ways(&self) -> Vec<(String, &'static str)> {
        indexed(&self.walker)
    }

    /// The values of this part in `element`, which [`SearchParameter::extract`] gave for `root`.
    #[must_use]
    pub fn extract<'a>(&self, root: Value<'a>, element: Value<'a>) -> Found<'a> {
        let mut found = Found::new();
        self.walker.walk(root, element, &mut |_, extracted| found.push(extracted));
        found
    }
}

/// The ways of a walker to values that say something: no single number can be told of a SampledData (R4
/// datatypes.html#SampledData), so that a parameter with it finds what one without it finds.
fn indexed(walker: &Walker) -> Vec<(String, &'static str)> {
    let mut ways = walker.ways();
    ways.retain(|(_, fhir_type)| *fhir_type != "SampledData");
    ways
}
