//! Reads the entries of a batch or transaction, and says what is wrong with them, all at once.

use std::time::SystemTime;

use actix_web::http::Method as HttpMethod;
use actix_web::http::header::HttpDate;
use anamnesis_fhir::datetime::DateTime as FhirDateTime;
use anamnesis_fhir::json::{Kind, Value};
use chrono::{TimeZone, Utc};

use super::own::Own;
use super::target::Target;
use super::unheard;
use crate::api::Query;
use crate::api::interaction::{Called, called};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// What kind of bundle it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BundleKind {
    /// Each entry by itself.
    Batch,
    /// All or nothing.
    Transaction,
}

impl BundleKind {
    /// Its code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Transaction => "transaction",
        }
    }
}

/// The methods that entries may have, in the order in which a transaction does them (R4 http.html#trules).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    /// `DELETE`
    Delete,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `GET`
    Get,
    /// `HEAD`
    Head,
}

impl Method {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "DELETE" => Self::Delete,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            _ => return None,
        })
    }

    /// The same as HTTP has it.
    pub(super) fn http(self) -> HttpMethod {
        match self {
            Self::Delete => HttpMethod::DELETE,
            Self::Post => HttpMethod::POST,
            Self::Put => HttpMethod::PUT,
            Self::Patch => HttpMethod::PATCH,
            Self::Get => HttpMethod::GET,
            Self::Head => HttpMethod::HEAD,
        }
    }

    fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    /// Its place in the bundle, from 0.
    pub index: usize,
    /// `fullUrl`: how other entries name its resource.
    pub full_url: Option<String>,
    /// What is to be done.
    pub method: Method,
    /// Where `request.url` points.
    pub target: Target,
    /// How it is to be written.
    pub own: Own,
    /// The resource.
    pub resource: Option<Value<'a>>,
    /// `request.ifMatch`
    pub if_match: Option<String>,
    /// `request.ifNoneMatch`
    pub if_none_match: Option<String>,
    /// `request.ifModifiedSince`, as the header has it.
    pub if_modified_since: Option<String>,
    /// `request.ifNoneExist`
    pub if_none_exist: Option<String>,
}

impl Entry<'_> {
    /// The FHIRPath of the entry.
    #[must_use]
    pub(super) fn path(&self) -> String {
        path(self.index)
    }

    /// Whether it writes resources of a type.
    #[must_use]
    pub(super) fn is_of(&self, resource_type: &str) -> bool {
        match &self.target {
            Target::Type(name) | Target::Instance(name, _) | Target::Conditional(name, _) => {
                name == resource_type
            }
            Target::Other(..) => false,
        }
    }
}

/// The FHIRPath of the n-th entry, from 0.
#[must_use]
pub(super) fn path(index: usize) -> String {
    format!("Bundle.entry[{index}]")
}

/// What an entry's problem is reported as.
pub(super) type Problem = (IssueCode, &'static str, &'static str);

/// The outcome of reading one entry.
pub(super) type EntryRead<'a> = Result<Entry<'a>, Failure>;

/// Reads a bundle that has been validated as a resource. An entry that cannot be understood is a failure of its own,
/// so that a batch can go on without it.
///
/// # Errors
/// The bundle is of another type, or has more than `entries_max` entries.
pub(super) fn read<'a>(
    bundle: Value<'a>,
    base: &str,
    entries_max: usize,
) -> Result<(BundleKind, Vec<EntryRead<'a>>), Failure> {
    let text = |name| bundle.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    if text("resourceType") != "Bundle" {
        let what = "Only a Bundle can be posted to the service itself; other resources go to their type.";
        return Err(Failure::invalid(what).at("Bundle"));
    }
    let kind = match text("type").as_ref() {
        "batch" => BundleKind::Batch,
        "transaction" => BundleKind::Transaction,
        _ => {
            let what = "Bundles of type batch and transaction are carried out; others are resources and go to Bundle.";
            return Err(Failure::invalid(what).at("Bundle.type"));
        }
    };
    if bundle.get("entry").is_some_and(|entry| entry.kind() != Kind::Array) {
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, "The entries are an array.")
            .at("Bundle.entry"));
    }
    let count = bundle.get("entry").map_or(0, Value::len);
    if count > entries_max {
        let what = format!("The bundle has {count} entries; this service takes {entries_max} at once.");
        return Err(Failure::new(FailureKind::Invalid, IssueCode::TooLong, what).at("Bundle.entry"));
    }
    let entries = bundle.get("entry").into_iter().flat_map(Value::items);
    Ok((kind, entries.enumerate().map(|(index, entry)| read_entry(kind, index, entry, base)).collect()))
}

fn read_entry<'a>(kind: BundleKind, index: usize, entry: Value<'a>, base: &str) -> EntryRead<'a> {
    let fail = |(code, what, element): Problem| {
        let mut issue = Issue::error(code, what);
        issue.expression.push(format!("{}.{element}", path(index)));
        Failure::with_issues(FailureKind::Invalid, vec![issue])
    };
    let Some(request) = entry.get("request").filter(|request| request.kind() == Kind::Object) else {
        return Err(fail((IssueCode::Required, "Every entry needs a request.", "request")));
    };
    let text =
        |name: &str| request.get(name).and_then(|value| value.as_str()).map(std::borrow::Cow::into_owned);
    let method = match text("method").as_deref().map(Method::parse) {
        Some(Some(method)) => method,
        Some(None) => {
            return Err(fail((IssueCode::CodeInvalid, "This is no HTTP verb of R4.", "request.method")));
        }
        None => return Err(fail((IssueCode::Required, "A request needs a method.", "request.method"))),
    };
    let Some(url) = text("url") else {
        return Err(fail((IssueCode::Required, "A request needs a url.", "request.url")));
    };
    let (url, own) = Own::take(method, &url).map_err(|what| fail((IssueCode::Value, what, "request.url")))?;
    let Some(target) = Target::parse(&url, base) else {
        let what = "This url is not below this service's address.";
        return Err(fail((IssueCode::Value, what, "request.url")));
    };
    let since = text("ifModifiedSince").map(|instant| {
        let what = "This is an instant: a date, a time with seconds, and a time zone.";
        http_date(&instant).ok_or_else(|| fail((IssueCode::Value, what, "request.ifModifiedSince")))
    });
    let entry = Entry {
        index,
        full_url: entry.get("fullUrl").and_then(|value| value.as_str()).map(std::borrow::Cow::into_owned),
        method,
        target,
        own,
        resource: entry.get("resource"),
        if_match: text("ifMatch"),
        if_none_match: text("ifNoneMatch"),
        if_modified_since: since.transpose()?,
        if_none_exist: text("ifNoneExist"),
    };
    let of_transaction =
        || if kind == BundleKind::Transaction { problem_in_transaction(&entry) } else { None };
    match problem(&entry).or_else(|| unheard::problem(&entry)).or_else(of_transaction) {
        Some(problem) => Err(fail(problem)),
        None => Ok(entry),
    }
}

/// An instant as the header If-Modified-Since has it, in whole seconds.
fn http_date(instant: &str) -> Option<String> {
    let microseconds = FhirDateTime::parse_instant(instant).ok()?.interval().low;
    let time = Utc.timestamp_micros(microseconds).single()?;
    Some(HttpDate::from(SystemTime::from(time)).to_string())
}

/// The first thing about an entry that cannot be carried out.
fn problem(entry: &Entry<'_>) -> Option<Problem> {
    let resource_type =
        entry.resource.and_then(|resource| resource.get("resourceType")).and_then(|t| t.as_str());
    match (entry.method, &entry.target) {
        (Method::Post, Target::Other(path, query)) => problem_of_call(entry, path, query),
        (Method::Delete, Target::Other(path, query)) if calls(entry.method, path).is_some() => {
            problem_of_call(entry, path, query)
        }
        _ if entry.method.has_body() && entry.resource.is_none() => {
            Some((IssueCode::Required, "This method needs a resource.", "resource"))
        }
        _ if !entry.method.has_body() && entry.resource.is_some() => {
            Some((IssueCode::Invalid, "This method takes no resource.", "resource"))
        }
        _ if entry.if_none_exist.is_some() && entry.method != Method::Post => {
            Some((IssueCode::NotSupported, "This is a condition of creates.", "request.ifNoneExist"))
        }
        (Method::Post, Target::Type(kind))
        | (Method::Put, Target::Instance(kind, _) | Target::Conditional(kind, _))
            if resource_type.as_deref() != Some(kind) =>
        {
            Some((IssueCode::Value, "The url names another type than the resource has.", "request.url"))
        }
        (Method::Post, Target::Type(_))
        | (Method::Put | Method::Delete, Target::Instance(..) | Target::Conditional(..))
        | (Method::Get | Method::Head, _) => None,
        (Method::Patch, Target::Instance(..) | Target::Conditional(..)) => {
            let is_patch = matches!(resource_type.as_deref(), Some("Parameters" | "Binary"));
            let what = "PATCH takes Parameters (FHIRPath Patch) or a Binary with a JSON Patch.";
            (!is_patch).then_some((IssueCode::Value, what, "resource"))
        }
        (Method::Patch, _) => {
            Some((IssueCode::Value, "PATCH goes to Type/id or Type?criteria.", "request.url"))
        }
        (Method::Post, Target::Conditional(..)) => {
            Some((IssueCode::NotSupported, "The criteria of a create stand in ifNoneExist.", "request.url"))
        }
        (Method::Post, _) => Some((IssueCode::Value, POST_GOES_TO, "request.url")),
        (Method::Put | Method::Delete, _) => {
            Some((IssueCode::Value, "PUT and DELETE go to Type/id or Type?criteria.", "request.url"))
        }
    }
}

const POST_GOES_TO: &str =
    "POST goes to a resource type, to an operation that is offered there, or to _search.";

/// What an entry calls that is no interaction with a resource.
pub(super) fn calls(method: Method, path: &str) -> Option<Called> {
    called(&method.http(), path)
}

/// The first thing about a call of an operation, or a search by POST, that cannot be carried out.
fn problem_of_call(entry: &Entry<'_>, path: &str, query: &str) -> Option<Problem> {
    match calls(entry.method, path) {
        None => Some((IssueCode::Value, POST_GOES_TO, "request.url")),
        Some(Called::Search) if entry.resource.is_some() => {
            Some((IssueCode::Invalid, "The parameters of a search stand in its url.", "resource"))
        }
        Some(Called::Purge(_)) if entry.resource.is_some() => {
            Some((IssueCode::Invalid, "$purge-history takes no resource.", "resource"))
        }
        Some(Called::Purge(_)) if !query.is_empty() || entry.own.hard => {
            Some((IssueCode::NotSupported, "$purge-history takes no parameters.", "request.url"))
        }
        _ if entry.if_none_exist.is_some() => {
            Some((IssueCode::NotSupported, "This is a condition of creates.", "request.ifNoneExist"))
        }
        _ => None,
    }
}

/// The first thing that a batch can do and a transaction cannot.
fn problem_in_transaction(entry: &Entry<'_>) -> Option<Problem> {
    if let Target::Other(path, _) = &entry.target
        && calls(entry.method, path) == Some(Called::Acting)
    {
        let what = "What this operation does could not be taken back if the transaction failed; it is called alone and in a batch.";
        return Some((IssueCode::NotSupported, what, "request.url"));
    }
    let (Method::Delete, Target::Conditional(_, query)) = (entry.method, &entry.target) else { return None };
    let counts = Query::parse(query).is_ok_and(|query| query.get("_count").is_some());
    let what = "An entry of a transaction is about one resource: _count is taken alone and in a batch.";
    counts.then_some((IssueCode::NotSupported, what, "request.url"))
}
