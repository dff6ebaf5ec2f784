//! `_typeFilter`: a search of a type, which the resources of that type in an export answer (Bulk Data Access IG 2.0,
//! "`_typeFilter` Query Parameter").

use std::sync::Arc;

use anamnesis_events::Event;
use anamnesis_projections::search::{
    Contained, Evaluator, Handling, ParseOptions, Scope, SearchQuery, Subject,
};

use super::walk::Sources;
use crate::clock;

/// Parameters that say how results are given: an export has its own way.
const OF_RESULTS: [&str; 12] = [
    "_count",
    "_sort",
    "_include",
    "_revinclude",
    "_summary",
    "_elements",
    "_total",
    "_contained",
    "_containedType",
    "_score",
    "_type",
    "_query",
];

/// A filter that was read.
pub(super) struct Filter {
    pub(super) resource_type: String,
    query: SearchQuery,
    evaluator: Arc<Evaluator>,
}

impl Filter {
    /// Reads `Type?criteria` with the search parameters of now. The error says what is wrong, without values.
    pub(super) fn read(sources: &Sources, base: &str, text: &str) -> Result<Self, String> {
        let (resource_type, criteria) = text.split_once('?').unwrap_or((text, ""));
        let pairs = url::form_urlencoded::parse(criteria.as_bytes());
        let parameters: Vec<(String, String)> =
            pairs.map(|(name, value)| (name.into(), value.into())).collect();
        if parameters.is_empty() {
            return Err("it is a type and criteria, such as Observation?status=final".to_owned());
        }
        let code = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        if let Some((name, _)) = parameters.iter().find(|(name, _)| OF_RESULTS.contains(&code(name).as_str()))
        {
            return Err(format!("{} has no meaning in it", code(name)));
        }
        let options = ParseOptions {
            handling: Handling::Strict,
            base_url: Some(base.to_owned()),
            date_equals: sources.date_equals,
            ..ParseOptions::at(clock::now())
        };
        let scope = Scope::Type(resource_type.to_owned());
        let (query, _) = sources
            .index
            .parse(&scope, &parameters, &options)
            .map_err(|issues| issues.first().map(|issue| issue.text.to_string()).unwrap_or_default())?;
        if query.joins_others() || query.contained() != Contained::None {
            return Err("what other resources have cannot be asked in it".to_owned());
        }
        let evaluator = sources.index.evaluator(&query).map_err(|error| error.to_string())?;
        Ok(Self { resource_type: resource_type.to_owned(), query, evaluator })
    }

    /// Whether a version answers it. What cannot be taken apart does not.
    pub(super) fn admits(&self, event: &Event) -> bool {
        let subject = Subject {
            resource_type: &event.key.resource_type,
            id: &event.key.id,
            payload: &event.payload,
            recorded_at: event.recorded_at,
        };
        self.evaluator.take_apart(&subject).is_ok_and(|found| found.matches(&self.query))
    }
}
