//! The search parameters that queries are read with, and reading a query again with others.

use std::collections::BTreeSet;
use std::sync::Arc;

use anamnesis_fhir::search::{SearchParameter, SearchRegistry};

use super::{CHAIN_DEPTH_MAX, ParseOptions, Scope, SearchQuery};
use crate::search::alias::Aliases;
use crate::search::full_text;
use crate::search::parameters::CustomParameters;
use crate::{Inputs, ProjectionError};

/// The search parameters that queries are read with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(crate) registry: SearchRegistry,
    pub(crate) aliases: Aliases,
    pub(crate) chain_depth_max: usize,
    /// What the registry has beside R4.
    pub(crate) inputs: Inputs,
    has_full_text: bool,
    hidden: Arc<BTreeSet<String>>,
}

impl Catalogue {
    /// R4's search parameters.
    #[must_use]
    pub fn r4() -> Self {
        Self::of(&CustomParameters::none())
    }

    /// R4's search parameters and these.
    #[must_use]
    pub fn of(parameters: &CustomParameters) -> Self {
        Self {
            registry: parameters.registry().clone(),
            aliases: Aliases::r4(),
            chain_depth_max: CHAIN_DEPTH_MAX,
            inputs: parameters.to_inputs(),
            has_full_text: parameters.has_full_text(),
            hidden: Arc::default(),
        }
    }

    /// The same with another limit for the links of a chain, reverse ones included; 0 allows no chains.
    #[must_use]
    pub fn with_chain_depth(self, chain_depth_max: usize) -> Self {
        Self { chain_depth_max, ..self }
    }

    /// The same without the parameters that have these addresses: as if there were none such.
    #[must_use]
    pub fn without(self, hidden: Arc<BTreeSet<String>>) -> Self {
        Self { hidden, ..self }
    }

    /// The parameter of a resource type that can be asked for with a code.
    #[must_use]
    pub fn get(&self, resource_type: &str, code: &str) -> Option<&Arc<SearchParameter>> {
        self.registry.get(resource_type, code).filter(|parameter| self.is_shown(parameter))
    }

    /// The parameters of a resource type that can be asked for, by code; of `Resource` those that every type has.
    pub fn parameters(&self, resource_type: &str) -> impl Iterator<Item = &Arc<SearchParameter>> {
        self.registry.parameters(resource_type).iter().filter(|parameter| self.is_shown(parameter))
    }

    /// Whether the words of texts can be asked for, with `_text` and `_content`.
    #[must_use]
    pub fn has_full_text(&self) -> bool {
        self.has_full_text
    }

    /// Whether a parameter, which [`Self::get`] gives, is answered: it has an expression, or is one that asks for words where
    /// those are indexed.
    #[must_use]
    pub fn is_answered(&self, parameter: &SearchParameter) -> bool {
        parameter.has_expression() || self.has_full_text && full_text::asks_for_words(parameter.code())
    }

    /// Whether another one has the same parameters, and shows the same of them.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.inputs == other.inputs && self.hidden == other.hidden
    }

    fn is_shown(&self, parameter: &SearchParameter) -> bool {
        self.hidden.is_empty() || !self.hidden.contains(parameter.url())
    }
}

/// What a query was read from, and the search parameters that it was read with.
pub(crate) struct AskedFor {
    pub(super) inputs: Inputs,
    pub(super) log: i16,
    pub(super) scope: Scope,
    pub(super) parameters: Vec<(String, String)>,
    pub(crate) options: ParseOptions,
}

impl SearchQuery {
    /// The search parameters beside R4's that it was read with.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.asked.inputs
    }

    /// The same query, read with other search parameters: those of the version that answers, where readers were sent to
    /// another one after it was read. What is understood has to be the same.
    ///
    /// # Errors
    /// [`ProjectionError::ParametersChanged`] where it is not.
    pub(crate) fn again(&self, catalogue: &Catalogue) -> Result<Self, ProjectionError> {
        let AskedFor { log, scope, parameters, options, .. } = &*self.asked;
        let (again, _) = Self::parse(catalogue, *log, scope, parameters, options)
            .map_err(|_issues| ProjectionError::ParametersChanged)?;
        match again.applied == self.applied && again.fingerprint == self.fingerprint {
            true => Ok(Self { at: self.at, total: self.total, ..again }),
            false => Err(ProjectionError::ParametersChanged),
        }
    }
}
