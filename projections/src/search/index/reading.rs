//! With which search parameters queries are read: those of the version that answers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::SearchIndex;
use crate::search::evaluate::Evaluator;
use crate::search::issue::{Issue, IssueKind, Severity};
use crate::search::parameters::CustomParameters;
use crate::search::query::{Catalogue, ParseOptions, Scope, SearchQuery};
use crate::{Inputs, Progress, ProjectionError};

/// Sets of search parameters that are kept compiled: of the version in use, of the one that is built, and of some that
/// queries under way were read with.
const KEPT_MAX: usize = 4;

/// Sets of search parameters, compiled. Shared by all clones of an index.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings(Arc<Mutex<Vec<Arc<Reading>>>>);

/// A set of search parameters, compiled.
#[derive(Debug)]
struct Reading {
    parameters: CustomParameters,
    catalogue: Catalogue,
    /// Made when it is first asked for.
    evaluator: OnceLock<Arc<Evaluator>>,
}

/// The addresses of parameters that must not be used. Shared by all clones of an index.
#[derive(Debug, Clone, Default)]
pub(super) struct Hidden(Arc<RwLock<Arc<BTreeSet<String>>>>);

impl Readings {
    /// What a version is made from, compiled. That takes some milliseconds when it is asked for first.
    fn of(&self, inputs: &Inputs, version: i32) -> Result<Arc<Reading>, ProjectionError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|reading| reading.catalogue.inputs == *inputs) {
            return Ok(known.clone());
        }
        let unreadable = |reason| ProjectionError::Inputs { version, reason };
        let parameters =
            CustomParameters::from_inputs(inputs).map_err(|error| unreadable(error.to_string()))?;
        let (catalogue, evaluator) = (Catalogue::of(&parameters), OnceLock::new());
        let reading = Arc::new(Reading { parameters, catalogue, evaluator });
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(reading.clone());
        Ok(reading)
    }
}

impl SearchIndex {
    /// The search parameters that can be asked for now: R4's, and those that the version that answers has indexed beside
    /// them, without the [hidden](Self::hide) ones. Where no version can be read, R4's.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        self.shown(&self.reading())
    }

    /// The search parameters that the version that answers has indexed beside R4's, the hidden ones too.
    #[must_use]
    pub fn parameters(&self) -> CustomParameters {
        self.reading().parameters.clone()
    }

    /// From now on the parameters with these addresses, and no others, are unknown to clients, although they are indexed:
    /// nothing is read with them, by any clone of this index.
    pub fn hide(&self, urls: BTreeSet<String>) {
        *self.hidden.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(urls);
    }

    /// The addresses of the parameters that are hidden.
    #[must_use]
    pub fn hidden(&self) -> Arc<BTreeSet<String>> {
        self.hidden.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads a query with the parameters that can be asked for now, see [`SearchQuery::parse`].
    ///
    /// # Errors
    /// What is wrong with the parameters.
    pub fn parse(
        &self,
        scope: &Scope,
        parameters: &[(String, String)],
        options: &ParseOptions,
    ) -> Result<(SearchQuery, Vec<Issue>), Vec<Issue>> {
        SearchQuery::parse(&self.catalogue(), self.log, scope, parameters, options)
    }

    /// Tests resources that are not in the index, or not any more, with the search parameters that a query was read with.
    ///
    /// # Errors
    /// [`ProjectionError::Inputs`] where these cannot be compiled, which they could when the query was read.
    pub fn evaluator(&self, query: &SearchQuery) -> Result<Arc<Evaluator>, ProjectionError> {
        let reading = self.readings.of(query.inputs(), self.version())?;
        let evaluator = || Arc::new(Evaluator::of(&reading.catalogue, self.log));
        Ok(reading.evaluator.get_or_init(evaluator).clone())
    }

    /// The search parameters that can be asked for now, and what tests resources by them.
    pub(in crate::search) fn evaluator_of_now(&self) -> (Catalogue, Arc<Evaluator>) {
        let reading = self.reading();
        let evaluator = || Arc::new(Evaluator::of(&reading.catalogue, self.log));
        (self.shown(&reading), reading.evaluator.get_or_init(evaluator).clone())
    }

    /// The query as the version that answers understands it.
    pub(super) fn understood<'q>(
        &self,
        query: &'q SearchQuery,
        active: &Progress,
    ) -> Result<Cow<'q, SearchQuery>, ProjectionError> {
        if query.inputs() == active.inputs() {
            return Ok(Cow::Borrowed(query));
        }
        let reading = self.readings.of(active.inputs(), active.version())?;
        query.again(&self.shown(&reading)).map(Cow::Owned)
    }

    /// The search parameters that a query was read with.
    pub(super) fn catalogue_of(&self, query: &SearchQuery) -> Catalogue {
        match self.readings.of(query.inputs(), self.version()) {
            Ok(reading) => self.shown(&reading),
            Err(_) => self.catalogue(),
        }
    }

    fn reading(&self) -> Arc<Reading> {
        let r4 = || Reading {
            parameters: CustomParameters::none(),
            catalogue: Catalogue::r4(),
            evaluator: OnceLock::new(),
        };
        let active = self.active.now();
        let inputs = active.as_ref().map(|active| active.inputs().clone()).unwrap_or_default();
        // What runs was compiled before, so that this compiles too.
        self.readings.of(&inputs, self.version()).unwrap_or_else(|_| Arc::new(r4()))
    }

    fn version(&self) -> i32 {
        self.active.now().map_or(0, |active| active.version())
    }

    fn shown(&self, reading: &Reading) -> Catalogue {
        reading.catalogue.clone().with_chain_depth(self.chain_depth_max).without(self.hidden())
    }

    /// The same index, answering from the version that is being built: it has the resources up to the position that it
    /// has come to, which its pages say, and the search parameters that will be there when it is complete. `None` where no
    /// version is being built, or this index does not know of it ([`Self::with_building`]).
    #[must_use]
    pub fn partial(&self) -> Option<Self> {
        let building = self.building.as_ref()?.now()?;
        let (active, shown, memory) = (building.into(), Arc::default(), super::Memory::default());
        Some(Self { active, shown, memory, building: None, is_partial: true, ..self.clone() })
    }

    /// Whether the version that answers was being built when [`Self::partial`] was asked.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// What a page of a version that is being built says.
    pub(super) fn told_partial(&self, reached: anamnesis_events::Position) -> Option<Issue> {
        let text = format!(
            "the search index that has answered is being built: what was recorded after position {reached} is not in it yet"
        );
        let (severity, kind) = (Severity::Warning, IssueKind::Incomplete);
        self.is_partial.then_some(Issue { severity, kind, parameter: None, text })
    }
}
