//! `/_operations/export/{id}`: how an export stands, its files, and giving it up (Bulk Data Access IG 2.0, "Bulk Data Status
//! Request"; the addresses are those of AHDS).

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HttpDate};
use actix_web::{HttpRequest, HttpResponse};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::answer::{Answer, identify};
use super::audited;
use super::call::Call;
use super::operations::export::{exports, restriction};
use crate::error::{Failure, FailureKind, IssueCode};
use crate::exports::{Job, Lines, Owner, State};
use crate::telemetry::RequestIds;

/// When a client should ask again, in seconds: small exports are done by then, and large ones take longer anyway.
const RETRY_AFTER_S: u32 = 2;
/// The media type of files.
const NDJSON: &str = "application/fhir+ndjson";

/// The address of an export.
pub(super) fn address(call: &Call, id: &str) -> String {
    format!("{}/_operations/export/{id}", call.base)
}

/// `GET /_operations/export/{id}`
pub(super) async fn status(call: &Call, id: &str) -> Result<Answer, Failure> {
    let job = find(call, id).await?;
    call.access.reaches(job.order.position);
    match &job.state {
        State::Running => {
            let mut answer = Answer::new(StatusCode::ACCEPTED);
            let progress = format!("in-progress: {} %", job.percent.clamp(0, 99));
            answer.headers.push((HeaderName::from_static("x-progress"), progress));
            answer.headers.push((header::RETRY_AFTER, RETRY_AFTER_S.to_string()));
            Ok(answer)
        }
        State::Failed { status, reason } => Err(failed(*status, reason)),
        State::Done => {
            let (files, gone) = exports(call)?.files(&job).await?;
            let output: Vec<Value> = files
                .iter()
                .map(|file| {
                    let url = format!("{}/{}", address(call, &job.id), file.name());
                    json!({ "type": file.resource_type, "url": url, "count": file.resources })
                })
                .collect();
            let manifest = json!({
                "transactionTime": job.order.position_time.to_rfc3339_opts(SecondsFormat::Micros, true),
                "request": job.order.request,
                "requiresAccessToken": true,
                "output": output,
                "error": [],
                "extension": { "position": job.order.position.get(), "erased": gone },
            });
            let mut answer = Answer::ok(manifest.to_string());
            answer.content_type = Some("application/json".to_owned());
            let expires = HttpDate::from(SystemTime::from(job.expires_at));
            answer.headers.push((header::EXPIRES, expires.to_string()));
            Ok(answer)
        }
    }
}

/// `DELETE /_operations/export/{id}`: one that is being done is given up, the files of one that is done go.
pub(super) async fn cancel(call: &Call, id: &str) -> Result<Answer, Failure> {
    let job = find(call, id).await?;
    exports(call)?.remove(&job).await?;
    Ok(Answer::new(StatusCode::ACCEPTED))
}

/// `GET /_operations/export/{id}/Patient-1.ndjson`
pub(super) async fn file(call: &Call, id: &str, (name, number): (&str, u32)) -> Result<Answer, Failure> {
    let job = find(call, id).await?;
    let lines = match job.state {
        State::Done => exports(call)?.lines(&job, name, number).await?,
        _ => None,
    };
    let lines = lines.ok_or_else(|| Failure::not_found("The export has no such file."))?;
    call.access.reaches(job.order.position);
    Ok(Answer { lines: Some(lines), ..Answer::new(StatusCode::OK) })
}

/// A file on its way. Whose data it has been is put on record when it has ended.
pub(super) fn stream(request: &HttpRequest, lines: Lines, ids: &RequestIds) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    identify(&mut response, ids);
    response.content_type(NDJSON).insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let end = audited::End::of(request, "$export-file-end");
    response.streaming(lines.stream(move |event| {
        if let Some(end) = &end {
            end.gives(event);
        }
    }))
}

/// An export that whoever asks has begun, with a token that reached as far as this one. Of others nobody is told that
/// there are any.
async fn find(call: &Call, id: &str) -> Result<Job, Failure> {
    if !call.is_streamed {
        // Neither a manifest nor a file is a resource.
        let text = "Exports are asked after by requests of their own, not by entries of a bundle.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
    }
    let found = exports(call)?.find(id, &Owner::of(&call.principal), restriction(call).as_deref()).await?;
    found.ok_or_else(|| Failure::not_found("There is no export with this id."))
}

fn failed(status: u16, reason: &str) -> Failure {
    let (kind, code) = match status {
        413 => (FailureKind::TooLarge, IssueCode::TooCostly),
        422 => (FailureKind::Unprocessable, IssueCode::Processing),
        _ => (FailureKind::Internal, IssueCode::Exception),
    };
    Failure::new(kind, code, format!("The export could not be done: {reason}."))
}
