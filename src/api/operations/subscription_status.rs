//! `$status`: how subscriptions stand (Subscriptions R5 Backport 1.1).

use std::sync::Arc;

use anamnesis_events::{Event, HistoryRange, HistoryScope, ResourceKey};
use anamnesis_fhir::json::{Document, Limits, Value};

use crate::api::answer::Answer;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::operations::{Input, Takes};
use crate::api::page::{Head, Page};
use crate::api::{Call, read};
use crate::error::{Failure, FailureKind, IssueCode};
use crate::subscriptions::notification::{Kind, Told, status};
use crate::subscriptions::{Content, Status, Subscriptions, content_of, is_canonical};

const TYPE: &str = "Subscription";
/// Subscriptions in one answer.
const IDS_MAX: usize = 100;

const TAKES: Takes = Takes { operation: "$status", often: &["id", "status"], ..Takes::NOTHING };

/// `GET /Subscription/1/$status`, `GET /Subscription/$status?id=…`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(statuses(call, invocation))
}

async fn statuses(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let subscriptions = served(call)?;
    let input = Input::read(call, invocation.body).await?;
    let left_out = TAKES.check(call, &input)?;
    let wanted: Vec<String> = input.texts("status").iter().map(ToString::to_string).collect();
    let ids = match invocation.level {
        Level::Instance(key) => vec![key.id],
        _ => input.texts("id").iter().flat_map(|ids| ids.split(',')).map(str::to_owned).collect(),
    };
    if ids.len() > IDS_MAX {
        return Err(Failure::invalid(format!("At most {IDS_MAX} subscriptions are told of at once.")));
    }
    let events = if ids.is_empty() { all(call).await? } else { named(call, &ids).await? };
    let links = [crate::api::page::Link { relation: "self", url: own_address(call, &ids) }];
    let head = Head { kind: "searchset", id: &call.correlation_id, total: None, links: &links };
    let mut page = Page::new(&head, 1024 * events.len());
    for event in events {
        let told = Standing::of(subscriptions, &event).await?;
        if wanted.is_empty() || wanted.iter().any(|status| status == told.status.code()) {
            let parameters =
                status(&told.told(subscriptions, &event.key.id, Kind::QueryStatus), Content::Empty, &[]);
            page.entry(None, Some(parameters.to_string().as_bytes()), &[("search", r#"{"mode":"match"}"#)]);
        }
    }
    page.outcome(&call.correlation_id, &left_out);
    Ok(Answer::ok(page.finish()))
}

fn own_address(call: &Call, ids: &[String]) -> String {
    call.link(&format!("{}/Subscription/$status", call.base), ids.iter().map(|id| ("id", id.as_str())))
}

/// The subscriptions of this service.
///
/// # Errors
/// 400 where it serves none.
pub(super) fn served(call: &Call) -> Result<&Subscriptions, Failure> {
    call.service.subscriptions.as_ref().ok_or_else(|| {
        let text = "This service does not serve subscriptions.";
        Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
    })
}

async fn named(call: &Call, ids: &[String]) -> Result<Vec<Arc<Event>>, Failure> {
    let mut events = Vec::with_capacity(ids.len());
    for id in ids {
        events.push(read::living(call, &ResourceKey::new(TYPE, id)).await?);
    }
    Ok(events)
}

/// The newest versions of the subscriptions that were written last.
async fn all(call: &Call) -> Result<Vec<Arc<Event>>, Failure> {
    let range = HistoryRange { limit: 10 * IDS_MAX, ..HistoryRange::default() };
    let history = call.service.log.history(HistoryScope::Type(TYPE.to_owned()), range).await?;
    let mut seen = std::collections::BTreeSet::new();
    let newest = history.events.into_iter().filter(|event| seen.insert(event.key.id.clone()));
    Ok(newest.filter(|event| !event.payload.is_empty()).take(IDS_MAX).map(Arc::new).collect())
}

/// How a subscription stands, for its status.
pub(super) struct Standing {
    pub(super) status: Status,
    pub(super) topic: Option<String>,
    pub(super) events: i64,
    pub(super) error: Option<String>,
    pub(super) content: Content,
}

impl Standing {
    pub(super) async fn of(subscriptions: &Subscriptions, event: &Event) -> Result<Self, Failure> {
        let standing = subscriptions.register().standing(&event.key.id).await.map_err(|error| {
            tracing::error!(%error, "What is recorded of subscriptions cannot be read.");
            Failure::unavailable("What is recorded of subscriptions cannot be read now.")
        })?;
        let standing = standing.unwrap_or_default();
        let document = Document::parse(event.payload.to_vec(), &Limits::default())?;
        let said = document.root().get("error").and_then(Value::as_str).map(|error| error.into_owned());
        let text = |name| document.root().get(name).and_then(Value::as_str).map(|text| text.into_owned());
        let status = Status::of(text("status").as_deref());
        // What has led to the status counts; the last failure may be an older one.
        let error = match status {
            Status::Error => said.or(standing.reason),
            _ => standing.reason.or(said),
        };
        Ok(Self {
            status,
            topic: text("criteria").filter(|criteria| is_canonical(criteria)),
            events: standing.events,
            error,
            content: content_of(document.root()),
        })
    }

    pub(super) fn told<'a>(&'a self, subscriptions: &'a Subscriptions, id: &'a str, kind: Kind) -> Told<'a> {
        Told {
            kind,
            base: subscriptions.base(),
            id,
            status: self.status,
            topic: self.topic.as_deref(),
            events: self.events,
            error: self.error.as_deref(),
        }
    }
}
