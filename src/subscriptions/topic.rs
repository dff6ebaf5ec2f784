//! Topics: what the server can tell of, by canonical address. They stand in the configuration: R4 has no
//! SubscriptionTopic, and the backport leaves to the server how its topics come to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use anamnesis_events::Operation;
use anamnesis_projections::search::SearchQuery;
use chrono::{DateTime, Utc};

use super::definition::Reader;

/// A topic as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicRule {
    /// The resource type.
    pub resource: String,
    /// Which writes are told of.
    pub on: Vec<Operation>,
    /// Criteria that the version before has to meet, as a query without the type.
    pub previous: Option<String>,
    /// Criteria that the version after has to meet.
    pub current: Option<String>,
    /// Search parameters by which subscribers may narrow it.
    pub filters: Vec<String>,
}

/// A topic, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) canonical: Arc<str>,
    pub(crate) resource: Arc<str>,
    pub(crate) on: Vec<Operation>,
    pub(crate) previous: Option<SearchQuery>,
    pub(crate) current: Option<SearchQuery>,
    pub(crate) filters: Vec<String>,
}

impl Topic {
    /// Whether the version before has to be looked at.
    pub(crate) fn needs_previous(&self) -> bool {
        self.previous.is_some() || self.on.contains(&Operation::Delete)
    }
}

/// The topics of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topics(Vec<Arc<Topic>>);

impl Topics {
    /// Reads the configured topics.
    ///
    /// # Errors
    /// The topic that cannot be used, and why.
    pub(crate) fn read(
        reader: &Reader,
        rules: &BTreeMap<String, TopicRule>,
        now: DateTime<Utc>,
    ) -> Result<Self, String> {
        let topics = rules.iter().map(|(canonical, rule)| {
            let query = |criteria: &Option<String>| {
                let criteria = criteria.as_ref().map(|criteria| format!("{}?{criteria}", rule.resource));
                criteria.map(|criteria| reader.query(&criteria, now)).transpose()
            };
            let wrong = |reason: String| format!("the topic {canonical}: {reason}");
            // Also where there are no criteria, the type has to be one.
            reader.query(&rule.resource, now).map_err(wrong)?;
            Ok(Arc::new(Topic {
                canonical: canonical.as_str().into(),
                resource: rule.resource.as_str().into(),
                on: rule.on.clone(),
                previous: query(&rule.previous).map_err(wrong)?,
                current: query(&rule.current).map_err(wrong)?,
                filters: rule.filters.clone(),
            }))
        });
        topics.collect::<Result<_, String>>().map(Self)
    }

    /// The topic with this canonical address; a version behind it (`|1.0`) is not compared.
    pub(crate) fn find(&self, canonical: &str) -> Option<&Arc<Topic>> {
        let canonical = canonical.split('|').next().unwrap_or_default();
        self.0.iter().find(|topic| *topic.canonical == *canonical)
    }
}
