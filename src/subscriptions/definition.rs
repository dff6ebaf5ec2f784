//! A Subscription, read: what it asks for and where its notifications go (R4 subscription.html, and the Subscriptions R5
//! Backport 1.1 in its form for R4).

use std::sync::Arc;
use std::time::Duration;

use anamnesis_fhir::json::Value;
use anamnesis_projections::search::{
    Catalogue, CustomParameters, DateEquals, Handling, ParseOptions, Scope, SearchQuery, is_of_results,
};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::allow::Allow;
use super::topic::{Topic, Topics};

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";
/// Media types of a payload.
const JSON: [&str; 3] = ["application/fhir+json", "application/json", "text/json"];
/// Headers of a subscription: more is no use of them.
const HEADERS_MAX: usize = 32;
/// Filters of a subscription.
const FILTERS_MAX: usize = 32;
/// Events in one notification, whatever the client allows.
const EVENTS_MAX: usize = 20;
/// Heartbeats that come more often say nothing more.
const HEARTBEAT_MIN_S: u64 = 10;
/// Where criteria stand, and where filters of a topic do.
const CRITERIA: &str = "Subscription.criteria";
const FILTER: &str = "Subscription.criteria.extension";

/// What subscriptions are read with.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) catalogue: Catalogue,
    pub(crate) log: i16,
    pub(crate) base: Option<String>,
    /// As in searches.
    pub(crate) date_equals: DateEquals,
    pub(crate) topics: Topics,
    /// Where notifications may go. `None`: whoever sends looks, and what is owed is kept until they may.
    pub(crate) allow: Option<Allow>,
}

/// `Subscription.status`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Requested,
    Active,
    Error,
    Off,
}

impl Status {
    /// The status with this code; `requested` where there is none, which is no valid R4.
    pub(crate) fn of(code: Option<&str>) -> Self {
        match code {
            Some("active") => Self::Active,
            Some("error") => Self::Error,
            Some("off") => Self::Off,
            _ => Self::Requested,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Error => "error",
            Self::Off => "off",
        }
    }
}

/// What a subscription asks for.
#[derive(Debug, Clone)]
pub(crate) enum Asks {
    /// R4: resources that come to match a search.
    Criteria(Box<SearchQuery>),
    /// The backport: what a topic tells of, narrowed by filters.
    Topic { topic: Arc<Topic>, filters: Vec<SearchQuery> },
}

/// How much of a resource is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// That something has happened.
    Empty,
    /// Which resource.
    IdOnly,
    /// The resource.
    Full,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) status: Status,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) asks: Asks,
    pub(crate) endpoint: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) events_max: usize,
}

/// Why a subscription cannot be served: the element and the reason. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{element}: {reason}")]
pub(crate) struct Unusable {
    pub(crate) element: &'static str,
    pub(crate) reason: String,
}

impl Unusable {
    /// Whether other search parameters could make it usable.
    pub(super) fn is_of_criteria(&self) -> bool {
        [CRITERIA, FILTER].contains(&self.element)
    }
}

fn unusable<T>(element: &'static str, reason: impl Into<String>) -> Result<T, Unusable> {
    Err(Unusable { element, reason: reason.into() })
}

impl Definition {
    /// The one type whose resources are told of.
    pub(crate) fn resource_type(&self) -> &str {
        match &self.asks {
            Asks::Criteria(query) => query.types().first().map_or("", String::as_str),
            Asks::Topic { topic, .. } => &topic.resource,
        }
    }

    /// The topic, where there is one.
    pub(crate) fn topic(&self) -> Option<&Topic> {
        match &self.asks {
            Asks::Criteria(_) => None,
            Asks::Topic { topic, .. } => Some(topic),
        }
    }
}

impl Reader {
    /// The same with these search parameters beside R4's.
    pub(super) fn with(&self, parameters: &CustomParameters) -> Self {
        Self { catalogue: Catalogue::of(parameters), ..self.clone() }
    }

    /// Reads a Subscription that is valid R4. `now` is what relative criteria are measured from.
    ///
    /// # Errors
    /// The first thing that this server does not serve.
    pub(crate) fn read(&self, resource: Value<'_>, now: DateTime<Utc>) -> Result<Definition, Unusable> {
        let status = Status::of(text(resource, "status").as_deref());
        let end = text(resource, "end");
        let end = end.and_then(|end| DateTime::parse_from_rfc3339(&end).ok()).map(|end| end.to_utc());
        let criteria = text(resource, "criteria").unwrap_or_default();
        let is_topic = is_canonical(&criteria);
        let asks =
            if is_topic { self.topic(resource, &criteria, now)? } else { self.criteria(&criteria, now)? };
        let Some(channel) = resource.get("channel") else {
            return unusable("Subscription.channel", "there is none");
        };
        if text(channel, "type").as_deref() != Some("rest-hook") {
            return unusable("Subscription.channel.type", "this server notifies by rest-hook only");
        }
        let endpoint = self.endpoint(channel)?;
        let payload = text(channel, "payload");
        if payload
            .as_deref()
            .is_some_and(|kind| !JSON.contains(&kind.split(';').next().unwrap_or_default().trim()))
        {
            return unusable("Subscription.channel.payload", "payloads are JSON (application/fhir+json)");
        }
        let content = content(channel, is_topic)?;
        let seconds = |name, min: u64| {
            extension(channel, name).and_then(number).map(|seconds| Duration::from_secs(seconds.max(min)))
        };
        let events_max = extension(channel, "backport-max-count").and_then(number);
        Ok(Definition {
            status,
            end,
            asks,
            endpoint,
            headers: headers(channel)?,
            content,
            heartbeat: seconds("backport-heartbeat-period", HEARTBEAT_MIN_S).filter(|_| is_topic),
            timeout: seconds("backport-timeout", 1),
            events_max: events_max
                .and_then(|count| usize::try_from(count).ok())
                .map_or(EVENTS_MAX, |count| count.clamp(1, EVENTS_MAX)),
        })
    }

    fn criteria(&self, criteria: &str, now: DateTime<Utc>) -> Result<Asks, Unusable> {
        let query = self.query(criteria, now);
        query
            .map(|query| Asks::Criteria(Box::new(query)))
            .map_err(|reason| Unusable { element: CRITERIA, reason })
    }

    /// A search of one type that one resource alone answers.
    ///
    /// # Errors
    /// What is wrong with it, without its values.
    pub(crate) fn query(&self, criteria: &str, now: DateTime<Utc>) -> Result<SearchQuery, String> {
        let (name, parameters) = criteria.split_once('?').unwrap_or((criteria, ""));
        if !anamnesis_fhir::definitions::r4().is_resource(name) {
            return Err("it is no search of one resource type".to_owned());
        }
        let parameters: Vec<(String, String)> =
            url::form_urlencoded::parse(parameters.as_bytes()).into_owned().collect();
        for (name, value) in &parameters {
            let code = name.split(':').next().unwrap_or_default();
            if is_of_results(name) {
                return Err(format!(
                    "{code} says how a search is answered; it is no criterion of a subscription"
                ));
            }
            if code == "_has" || name.contains('.') || value.contains('\0') {
                return Err("one of its parameters cannot be tested on one resource alone".to_owned());
            }
        }
        let options = ParseOptions {
            handling: Handling::Strict,
            base_url: self.base.clone(),
            date_equals: self.date_equals,
            ..ParseOptions::at(now)
        };
        let scope = Scope::Type(name.to_owned());
        match SearchQuery::parse(&self.catalogue, self.log, &scope, &parameters, &options) {
            Ok((query, _)) if query.joins_others() => Err("it asks for what other resources have".to_owned()),
            Ok((query, _)) => Ok(query),
            Err(issues) => {
                let said = issues.into_iter().map(|issue| issue.text).collect::<Vec<_>>();
                Err(said.join("; "))
            }
        }
    }

    fn topic(&self, resource: Value<'_>, canonical: &str, now: DateTime<Utc>) -> Result<Asks, Unusable> {
        let Some(topic) = self.topics.find(canonical) else {
            return unusable(CRITERIA, "this server has no topic with this canonical address");
        };
        let mut filters = Vec::new();
        let element = FILTER;
        let given = resource.get("_criteria").and_then(|criteria| criteria.get("extension"));
        let all = given.into_iter().flat_map(Value::items);
        for filter in all.filter(|one| is_named(*one, "backport-filter-criteria")) {
            let filter = text(filter, "valueString").unwrap_or_default();
            let Some(parameters) = parameters_of(&filter, &topic.resource) else {
                return unusable(element, "a filter is about the type of the topic");
            };
            for (name, _) in url::form_urlencoded::parse(parameters.as_bytes()) {
                let code = name.split(':').next().unwrap_or_default();
                if !topic.filters.iter().any(|known| known == code) {
                    return unusable(element, "the topic cannot be filtered by this parameter");
                }
            }
            let query = self.query(&format!("{}?{parameters}", topic.resource), now);
            filters.push(query.map_err(|reason| Unusable { element, reason })?);
            if filters.len() > FILTERS_MAX {
                return unusable(element, format!("a subscription has at most {FILTERS_MAX} filters"));
            }
        }
        Ok(Asks::Topic { topic: Arc::clone(topic), filters })
    }

    fn endpoint(&self, channel: Value<'_>) -> Result<Url, Unusable> {
        let element = "Subscription.channel.endpoint";
        let Some(endpoint) = text(channel, "endpoint").and_then(|text| Url::parse(&text).ok()) else {
            return unusable(element, "a rest-hook needs an absolute address");
        };
        match self.allow.as_ref().map_or(Ok(()), |allow| allow.check(&endpoint)) {
            Ok(()) => Ok(endpoint),
            Err(reason) => unusable(element, reason),
        }
    }
}

/// The parameters of a filter, before which the type may stand; `None` where that is another one. A value may have a
/// question mark of its own, but before the first value there is an equals sign.
fn parameters_of<'f>(filter: &'f str, resource: &str) -> Option<&'f str> {
    match filter.split_once('?') {
        Some((name, parameters)) if !name.contains('=') => {
            (name.is_empty() || name == resource).then_some(parameters)
        }
        _ => Some(filter),
    }
}

/// How much a Subscription asks for, whatever else it says; ids alone where it does not say so.
pub(crate) fn content_of(resource: Value<'_>) -> Content {
    let is_topic = text(resource, "criteria").is_some_and(|criteria| is_canonical(&criteria));
    let content = resource.get("channel").map(|channel| content(channel, is_topic));
    content.and_then(Result::ok).unwrap_or(Content::IdOnly)
}

fn content(channel: Value<'_>, is_topic: bool) -> Result<Content, Unusable> {
    match is_topic {
        true => content_asked(channel),
        false => Ok(channel.get("payload").map_or(Content::Empty, |_| Content::Full)),
    }
}

fn content_asked(channel: Value<'_>) -> Result<Content, Unusable> {
    let payload = channel.get("_payload").and_then(|payload| payload.get("extension"));
    let mut asked = payload.into_iter().flat_map(Value::items);
    let asked = asked.find(|one| is_named(*one, "backport-payload-content"));
    match asked.and_then(|one| text(one, "valueCode")).as_deref() {
        Some("empty") => Ok(Content::Empty),
        Some("id-only") | None => Ok(Content::IdOnly),
        Some("full-resource") => Ok(Content::Full),
        Some(_) => unusable(
            "Subscription.channel.payload.extension",
            "the content is empty, id-only or full-resource",
        ),
    }
}

fn headers(channel: Value<'_>) -> Result<HeaderMap, Unusable> {
    /// What the server itself says about the message and the connection.
    const OURS: [&str; 8] = [
        "host",
        "content-length",
        "content-type",
        "connection",
        "transfer-encoding",
        "te",
        "upgrade",
        "expect",
    ];
    let element = "Subscription.channel.header";
    let mut headers = HeaderMap::new();
    for line in channel.get("header").into_iter().flat_map(Value::items).filter_map(Value::as_str) {
        let parts = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        match parts {
            Some((name, value)) if !OURS.contains(&name.as_str()) => {
                headers.append(name, value);
            }
            _ => {
                return unusable(
                    element,
                    "a header is `Name: value`, and none of those that the server sets",
                );
            }
        }
        if headers.len() > HEADERS_MAX {
            return unusable(element, format!("a subscription has at most {HEADERS_MAX} headers"));
        }
    }
    Ok(headers)
}

/// Whether criteria are the address of a topic, and no search. A search may hold addresses, but does not begin with one.
pub(crate) fn is_canonical(criteria: &str) -> bool {
    Url::parse(criteria).is_ok()
}

fn text(value: Value<'_>, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(|text| text.into_owned())
}

fn is_named(extension: Value<'_>, name: &str) -> bool {
    text(extension, "url").is_some_and(|url| url.strip_prefix(BACKPORT) == Some(name))
}

fn extension<'a>(element: Value<'a>, name: &str) -> Option<Value<'a>> {
    element.get("extension").into_iter().flat_map(Value::items).find(|one| is_named(*one, name))
}

fn number(extension: Value<'_>) -> Option<u64> {
    let value = ["valueUnsignedInt", "valuePositiveInt", "valueInteger"].iter();
    let value = value.filter_map(|name| extension.get(name)).next()?;
    value.raw().parse().ok()
}
