//! Batch and transaction bundles (R4 http.html#transaction): many interactions in one request.
//!
//! A batch is many requests in one: each entry succeeds or fails by itself ([`batch`]). A transaction is one write:
//! its entries are read ([`entry`]), its conditions matched ([`conditions`]), its links resolved ([`resolve`]) and all
//! of it is decided and recorded together ([`transaction`]), in the order DELETE, POST, PUT, GET and all or nothing.

mod access;
mod audited;
mod batch;
mod conditions;
mod entry;
mod named;
mod own;
mod own_resources;
mod patch;
mod plan;
mod reads;
mod replay;
mod resolve;
mod response;
mod target;
mod transaction;
mod unheard;

use actix_web::http::StatusCode;
use anamnesis_audit::Action;
use anamnesis_events::{Position, Remembered};
use anamnesis_fhir::json::{Document, Limits, Value};

use crate::api::{Answer, Body, Call, idempotency};
use crate::error::{Failure, FailureKind, Issue, IssueCode};
use entry::BundleKind;

/// What would keep the entries of a Bundle from being carried out, if it is to be; beside what any Bundle has to be.
pub(crate) fn faults(bundle: Value<'_>, call: &Call) -> Vec<Issue> {
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(&*kind, "batch" | "transaction") {
        return Vec::new();
    }
    match entry::read(bundle, &call.base, call.service.options.bundle_entries_max) {
        Err(failure) => failure.issues().to_vec(),
        Ok((_, entries)) => {
            let refused = entries.into_iter().filter_map(Result::err);
            refused.flat_map(|failure| failure.issues().to_vec()).collect()
        }
    }
}

/// `POST /` with a Bundle.
///
/// # Errors
/// The bundle cannot be understood; for a transaction, whatever one of its entries fails with.
pub(crate) async fn run(call: &Call, body: Body) -> Result<Answer, Failure> {
    let document = receive(call, body).await?;
    let (kind, entries) = entry::read(document.root(), &call.base, call.service.options.bundle_entries_max)?;
    call.access.asks(kind.code(), Action::E, None);
    let outcome = match kind {
        BundleKind::Batch if call.once.is_some() => {
            let text =
                "A batch is several writes, which one Idempotency-Key cannot name. A transaction takes one.";
            return Err(idempotency::not_taken(text));
        }
        BundleKind::Batch => batch::run(call, entries).await,
        BundleKind::Transaction => transaction::run(call, &document, entries).await?,
    };
    let recorded = outcome.1.is_some();
    Ok(Answer { recorded, ..answer(call, kind, outcome) })
}

/// Answers a transaction that was recorded before, under its idempotency key.
///
/// # Errors
/// The log cannot be read.
pub(crate) async fn replay(call: &Call, remembered: Remembered) -> Result<Answer, Failure> {
    Ok(answer(call, BundleKind::Transaction, replay::answers(call, remembered).await?))
}

fn answer(call: &Call, kind: BundleKind, (answers, position): Outcome) -> Answer {
    let mut answer = Answer::new(StatusCode::OK);
    answer.position = position;
    answer.body = Some(response::bundle(kind, &call.correlation_id, &answers).into());
    answer
}

/// What a bundle comes to: an answer for each entry, and the last position that was written.
type Outcome = (Vec<response::Answer>, Option<Position>);

/// Parses the bundle, off the HTTP worker where it is large.
async fn receive(call: &Call, body: Body) -> Result<Document, Failure> {
    let bytes = match body {
        Body::Document(document) => return Ok(document),
        Body::Bytes(bytes) if !bytes.is_empty() => bytes,
        _ => {
            let text = "The body is empty; a Bundle is expected.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text));
        }
    };
    let parse = |bytes: Vec<u8>| Document::parse(bytes, &Limits::default());
    if bytes.len() <= call.service.options.inline_bytes_max {
        return Ok(parse(bytes)?);
    }
    let parsed = actix_web::web::block(move || parse(bytes)).await.map_err(|_stopped| Failure::internal())?;
    Ok(parsed?)
}
