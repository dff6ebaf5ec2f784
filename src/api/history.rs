//! History: the versions of a resource, of a type, or of everything (R4 http.html section 3.1.0.9).
//!
//! Pages are cut by position in the log, which never changes: a version that comes while a client pages is neither
//! shown twice nor lets another one be missed.

use std::sync::Arc;

use anamnesis_events::{
    Event, HistoryPage, HistoryRange, HistoryScope, Operation, Period, Position, ResourceKey,
};
use anamnesis_fhir::datetime::DateTime as FhirDateTime;
use chrono::{DateTime, SecondsFormat, TimeZone, Utc};

use super::answer::Answer;
use super::as_of;
use super::call::Call;
use super::page::{Head, Link, Page};
use super::query::{self, GENERAL};
use super::read;
use crate::access::scope::Letter;
use crate::clock;
use crate::error::{Failure, FailureKind, Issue, IssueCode, outcome};

/// Parameters that a history understands; `_page` is ours, in links only.
const KNOWN: [&str; 7] = ["_since", "_before", "_at", "_count", "_sort", "_page", as_of::PARAMETER];

/// The one value of `_summary` that a history understands.
const COUNT_ONLY: &str = "count";

/// `GET /_history`
pub(crate) async fn system(call: &Call) -> Result<Answer, Failure> {
    Ok(page(call, HistoryScope::System, "").await?.answer())
}

/// `GET /Patient/_history`
pub(crate) async fn of_type(call: &Call, resource_type: Arc<str>) -> Result<Answer, Failure> {
    let path = format!("/{resource_type}");
    Ok(page(call, HistoryScope::Type(resource_type.to_string()), &path).await?.answer())
}

/// `GET /Patient/1/_history`
pub(crate) async fn of_instance(call: &Call, key: ResourceKey) -> Result<Answer, Failure> {
    let path = format!("/{key}");
    let made = page(call, HistoryScope::Instance(key.clone()), &path).await?;
    if made.is_empty {
        match made.as_of {
            Some(position) => {
                let then = call.service.log.current_at(&key, position).await?;
                let then = then.filter(|event| !event.is_gone()).ok_or_else(|| as_of::missing(position))?;
                if !call.can_read(&then).await? {
                    return Err(as_of::missing(position));
                }
            }
            None => {
                let current = call.service.compartments.reads().current(key).await?;
                let current = current.filter(|event| !event.is_gone()).ok_or_else(read::missing)?;
                if !call.can_read(&current).await? {
                    return Err(read::missing());
                }
            }
        }
    }
    Ok(made.answer())
}

/// A page of a history.
struct Made {
    bundle: Vec<u8>,
    is_empty: bool,
    /// The position at which the history ends, where one was asked for.
    as_of: Option<Position>,
}

impl Made {
    fn answer(self) -> Answer {
        Answer { position: self.as_of, ..Answer::ok(self.bundle) }
    }
}

/// What a client asks for.
struct Asked {
    range: HistoryRange,
    /// Only the number of versions is wanted.
    counts: bool,
    /// The parameters that were applied, but the page, for links.
    applied: Vec<(String, String)>,
}

async fn page(call: &Call, scope: HistoryScope, path: &str) -> Result<Made, Failure> {
    let Asked { mut range, counts, mut applied } = asked(call)?;
    let as_of = as_of::asked(call).await?;
    if let Some(position) = as_of {
        if range.at.is_some() {
            return Err(Failure::invalid("_asOf cannot be combined with _at."));
        }
        // As it was known then: up to that position, and not beyond.
        range.before_position = range.before_position.into_iter().chain([position.next()]).min();
        applied.push((as_of::PARAMETER.to_owned(), position.to_string()));
    }
    if let Some(position) = call.at {
        range.before_position = range.before_position.into_iter().chain([position.next()]).min();
    }
    let here = format!("{}{path}/_history", call.base);
    if counts && !knows_all(call, &scope) {
        return Err(Failure::forbidden(
            "Versions are not counted for tokens with scopes: each is seen by itself.",
        ));
    }
    if counts {
        let total = call.service.log.history_count(scope, range).await?;
        let links = [Link { relation: "self", url: url(call, &here, &applied, None) }];
        let head = Head { kind: "history", id: &call.correlation_id, total: Some(total), links: &links };
        return Ok(Made { bundle: Page::new(&head, 0).finish(), is_empty: total == 0, as_of });
    }
    let count = range.limit;
    range.limit = count + 1;
    let found = seen(call, &scope, range, count).await?;
    let Found { events, has_more, last } = found;
    let mut holes = match as_of {
        Some(position) if !events.is_empty() => {
            call.service.log.has_erased_since(scope, range, position).await?.then(as_of::erased_since)
        }
        _ => None,
    };
    let mut links = vec![Link { relation: "self", url: url(call, &here, &applied, call.query.get("_page")) }];
    if let (true, Some(last)) = (has_more, last) {
        let page = last.to_string();
        links.push(Link { relation: "next", url: url(call, &here, &applied, Some(&page)) });
    }
    let capacity = events.iter().map(|event| event.payload.len() + 384).sum();
    let head = Head { kind: "history", id: &call.correlation_id, total: None, links: &links };
    let mut bundle = Page::new(&head, capacity);
    for event in &events {
        call.access.finds(event);
        entry(&mut bundle, call, event, holes.take());
    }
    Ok(Made { bundle: bundle.finish(), is_empty: events.is_empty(), as_of })
}

/// Whether whoever asks can read all that there is of a history. Those of a type or of all are for nobody else.
fn knows_all(call: &Call, scope: &HistoryScope) -> bool {
    match (&call.bounds, scope) {
        (Some(bounds), HistoryScope::Instance(key)) => bounds.has_all(Letter::Read, &key.resource_type),
        _ => true,
    }
}

/// Versions of a page.
struct Found {
    events: Vec<Event>,
    has_more: bool,
    /// Behind which position the next page begins.
    last: Option<Position>,
}

/// The next versions, at most `count`; where each has to be tested whether it can be seen, there may be fewer, and none only
/// where there are no more.
async fn seen(
    call: &Call,
    scope: &HistoryScope,
    mut range: HistoryRange,
    count: usize,
) -> Result<Found, Failure> {
    loop {
        let HistoryPage { mut events, is_cut } = call.service.log.history(scope.clone(), range).await?;
        let has_more = is_cut || events.len() > count;
        events.truncate(count);
        let last = events.last().map(|event| event.position);
        if !call.is_unbounded() {
            let mut seen = Vec::with_capacity(events.len());
            for event in events {
                if call.can_read(&event).await? {
                    seen.push(event);
                }
            }
            events = seen;
        }
        if !events.is_empty() || !has_more || last.is_none() {
            return Ok(Found { events, has_more, last });
        }
        match range.ascending {
            true => range.after_position = last,
            false => range.before_position = last,
        }
    }
}

/// One version: a delete has no resource, but says so in its request (R4 http.html section 3.1.0.9).
/// What there is to say beside it stands in its response: a history holds nothing but versions.
fn entry(bundle: &mut Page, call: &Call, event: &Event, issue: Option<Issue>) {
    let Event { key, version, .. } = event;
    let full_url = call.full_url(key);
    let resource = (!event.payload.is_empty()).then_some(&event.payload[..]);
    let (method, url, status) = request_of(event);
    let request = format!(r#"{{"method":"{method}","url":"{url}"}}"#);
    let beside = issue.map_or(String::new(), |issue| {
        format!(r#","outcome":{}"#, String::from_utf8_lossy(&outcome(&call.correlation_id, &[issue])))
    });
    let modified = event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let response =
        format!(r#"{{"status":"{status}","etag":"W/\"{version}\"","lastModified":"{modified}"{beside}}}"#);
    bundle.entry(Some(&full_url), resource, &[("request", &request), ("response", &response)]);
}

/// The request that made a version, as an entry of a history has it: method, url and status.
pub(crate) fn request_of(event: &Event) -> (&'static str, String, &'static str) {
    let Event { key, version, operation, .. } = event;
    // A resource that begins under an id of the client's, or anew after a delete, was made by an update.
    match operation {
        Operation::Create if version.get() == 1 && clock::is_server_made(&key.id) => {
            ("POST", key.resource_type.to_string(), "201")
        }
        Operation::Create => ("PUT", key.to_string(), "201"),
        Operation::Update => ("PUT", key.to_string(), "200"),
        // What makes no version is shown to nobody.
        Operation::Delete | Operation::Purge | Operation::Hold | Operation::Release => {
            ("DELETE", key.to_string(), "204")
        }
    }
}

fn url<'a>(call: &'a Call, here: &str, applied: &'a [(String, String)], page: Option<&'a str>) -> String {
    let parameters = applied.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    call.link(here, parameters.chain(page.map(|page| ("_page", page))))
}

fn asked(call: &Call) -> Result<Asked, Failure> {
    let options = &call.service.options;
    let mut range = HistoryRange { limit: options.page_size, ..HistoryRange::default() };
    let mut applied = Vec::new();
    let mut page = None;
    let mut counts = false;
    for (name, value) in &call.query.0 {
        match name.as_str() {
            "_since" => range.since = Some(instant(name, value)?.0),
            "_before" => range.before = Some(before(value)?),
            "_at" => {
                let (from, until) = instant(name, value)?;
                range.at = Some(Period { from, until });
            }
            "_count" => range.limit = count(value, options.page_size_max)?,
            "_sort" => range.ascending = ascending(value)?,
            // Other summaries of versions there are none: they come whole.
            "_summary" if value == COUNT_ONLY => counts = true,
            "_page" => page = Some(position(value)?),
            _ => continue,
        }
        if name != "_page" {
            applied.push((name.clone(), value.clone()));
        }
    }
    if range.at.is_some() && (range.since.is_some() || range.before.is_some()) {
        return Err(Failure::invalid("_at cannot be combined with _since or _before."));
    }
    if call.refuses_unknown()
        && let Some((name, _)) = call.query.others(&KNOWN).find(|(name, value)| {
            !(GENERAL.contains(&name.as_str()) || name == "_summary" && value == COUNT_ONLY)
        })
    {
        let text = format!("A history does not understand the parameter {}.", query::encode(name));
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
    }
    match range.ascending {
        // The number is of all pages.
        _ if counts => {}
        true => range.after_position = page,
        false => range.before_position = page,
    }
    Ok(Asked { range, counts, applied })
}

/// The first and the last microsecond that a date or time covers.
pub(super) fn instant(name: &str, value: &str) -> Result<(DateTime<Utc>, DateTime<Utc>), Failure> {
    // An offset's plus sign arrives as a space where a client did not encode it.
    let value = value.replace(' ', "+");
    let bad = || Failure::invalid(format!("{name} is no FHIR date or time."));
    let interval = FhirDateTime::parse_date_time(&value).map_err(|_bad| bad())?.interval();
    let time = |microseconds| Utc.timestamp_micros(microseconds).single().ok_or_else(bad);
    Ok((time(interval.low)?, time(interval.high.saturating_sub(1))?))
}

fn before(value: &str) -> Result<DateTime<Utc>, Failure> {
    let (first, _) = instant("_before", value)?;
    match first > clock::now() {
        true => Err(Failure::invalid("_before cannot be in the future.")),
        false => Ok(first),
    }
}

fn count(value: &str, max: usize) -> Result<usize, Failure> {
    let number = value.parse::<u32>().map_err(|_bad| Failure::invalid("_count is a number."))?;
    Ok(usize::try_from(number).unwrap_or(max).min(max))
}

fn ascending(value: &str) -> Result<bool, Failure> {
    match value {
        "_lastUpdated" => Ok(true),
        "-_lastUpdated" => Ok(false),
        _ => Err(Failure::invalid("A history is sorted by _lastUpdated or -_lastUpdated only.")),
    }
}

fn position(value: &str) -> Result<Position, Failure> {
    let number =
        value.parse().map_err(|_bad| Failure::invalid("_page comes from the links of a page only."))?;
    Ok(Position::new(number))
}
