//! Reads the entries of a batch or transaction, and says what is wrong with them, all at once.

use anamnesis_fhir::json::{Kind, Value};

use super::own::Own;
use super::target::Target;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// What kind of bundle it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BundleKind {
    /// Each entry by itself.
    Batch,
    /// All or nothing.
    Transaction,
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
    /// `request.ifModifiedSince`
    pub if_modified_since: Option<String>,
    /// `request.ifNoneExist`: the criteria, without a leading `?`.
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
    Ok((kind, entries.enumerate().map(|(index, entry)| read_entry(index, entry, base)).collect()))
}

fn read_entry<'a>(index: usize, entry: Value<'a>, base: &str) -> EntryRead<'a> {
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
    let entry = Entry {
        index,
        full_url: entry.get("fullUrl").and_then(|value| value.as_str()).map(std::borrow::Cow::into_owned),
        method,
        target,
        own,
        resource: entry.get("resource"),
        if_match: text("ifMatch"),
        if_none_match: text("ifNoneMatch"),
        if_modified_since: text("ifModifiedSince"),
        if_none_exist: text("ifNoneExist").map(|criteria| criteria.trim_start_matches('?').to_owned()),
    };
    match problem(&entry) {
        Some(problem) => Err(fail(problem)),
        None => Ok(entry),
    }
}

/// The first thing about an entry that cannot be carried out.
fn problem(entry: &Entry<'_>) -> Option<Problem> {
    let resource_type =
        entry.resource.and_then(|resource| resource.get("resourceType")).and_then(|t| t.as_str());
    match (entry.method, &entry.target) {
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
        (Method::Post, _) => Some((IssueCode::Value, "POST goes to a resource type.", "request.url")),
        (Method::Put | Method::Delete, _) => {
            Some((IssueCode::Value, "PUT and DELETE go to Type/id or Type?criteria.", "request.url"))
        }
    }
}
