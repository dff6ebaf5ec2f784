//! `/_operations/reindex/{id}`: how a reindex stands, and giving it up (as AHDS has it).

use actix_web::http::StatusCode;
use anamnesis_projections::{State, Version};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::answer::Answer;
use super::call::Call;
use crate::error::{Failure, FailureKind, IssueCode};
use crate::search_parameters::Job;

/// The address of a job.
pub(super) fn address(call: &Call, id: &str) -> String {
    format!("{}/_operations/reindex/{id}", call.base)
}

/// `GET /_operations/reindex/{id}`
pub(super) async fn status(call: &Call, id: &str) -> Result<Answer, Failure> {
    let (job, version) = find(call, id).await?;
    Ok(Answer::ok(shown(call, &job, version.as_ref()).await?.to_string()))
}

/// `DELETE /_operations/reindex/{id}`
pub(super) async fn cancel(call: &Call, id: &str) -> Result<Answer, Failure> {
    let (job, _) = find(call, id).await?;
    if call.service.keeper()?.cancel(&job).await? {
        return Ok(Answer::new(StatusCode::ACCEPTED));
    }
    let text = "The reindex has ended; there is nothing to give up.";
    Err(Failure::new(FailureKind::Conflict, IssueCode::Conflict, text))
}

/// `GET /$reindex`: the jobs that are kept, the newest first.
pub(super) async fn list(call: &Call) -> Result<Answer, Failure> {
    let mut jobs = Vec::new();
    for (job, version) in call.service.keeper()?.jobs().await? {
        let resource = shown(call, &job, version.as_ref()).await?;
        jobs.push(json!({ "name": "reindexJob", "resource": resource }));
    }
    let mut parameters = json!({ "resourceType": "Parameters" });
    if let (false, Some(members)) = (jobs.is_empty(), parameters.as_object_mut()) {
        members.insert("parameter".to_owned(), jobs.into());
    }
    Ok(Answer::ok(parameters.to_string()))
}

async fn find(call: &Call, id: &str) -> Result<(Job, Option<Version>), Failure> {
    let found = call.service.keeper()?.job(id).await?;
    found.ok_or_else(|| Failure::not_found("There is no reindex job with this id."))
}

/// What has become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Queued,
    Running,
    Completed(Option<DateTime<Utc>>),
    Canceled(Option<DateTime<Utc>>),
    Failed,
}

impl Standing {
    fn of(version: Option<&Version>) -> Self {
        let Some(version) = version else { return Self::Failed };
        match version.state {
            State::Building if version.reached.get() == 0 => Self::Queued,
            State::Building => Self::Running,
            State::Cancelled => Self::Canceled(version.cancelled_at),
            State::Active | State::Retiring => Self::Completed(version.activated_at),
            _ if version.activated_at.is_some() => Self::Completed(version.activated_at),
            _ if version.cancelled_at.is_some() => Self::Canceled(version.cancelled_at),
            _ => Self::Failed,
        }
    }

    /// In the words of Azure.
    fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Completed(_) => "Completed",
            Self::Canceled(_) => "Canceled",
            Self::Failed => "Failed",
        }
    }

    fn ended_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Completed(at) | Self::Canceled(at) => at,
            _ => None,
        }
    }
}

/// A job as Parameters. What is counted are the events of the log that there were when it was asked for.
pub(super) async fn shown(call: &Call, job: &Job, version: Option<&Version>) -> Result<Value, Failure> {
    let standing = Standing::of(version);
    let reached = version.map_or(0, |version| i64::try_from(version.reached.get()).unwrap_or(i64::MAX));
    let done = if matches!(standing, Standing::Completed(_)) { job.head } else { reached.min(job.head) };
    let progress = match (job.head, standing) {
        (_, Standing::Completed(_)) => 100,
        (0, _) => 0,
        (head, _) => done.saturating_mul(100) / head,
    };
    let mut parameters = vec![
        text("id", &job.id),
        moment("queuedTime", job.asked_at),
        json!({ "name": "totalResourcesToReindex", "valueDecimal": job.head }),
        json!({ "name": "resourcesSuccessfullyReindexed", "valueDecimal": done }),
        json!({ "name": "progress", "valueDecimal": progress }),
        text("status", standing.word()),
    ];
    // The version is made before its job is noted.
    let started_at = version.map(|version| version.made_at.max(job.asked_at));
    let started_at = started_at.filter(|_| standing != Standing::Queued);
    parameters.extend(started_at.map(|at| moment("startTime", at)));
    parameters.extend(standing.ended_at().map(|at| moment("endTime", at)));
    let modified = standing.ended_at().or(started_at).unwrap_or(job.asked_at);
    parameters.push(moment("lastModified", modified));
    let listed = [("resources", &job.types), ("searchParams", &job.urls)];
    parameters
        .extend(listed.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| text(name, list)));
    if let Some(waits) = waits(call, job, standing).await? {
        parameters.push(text("failureDetails", &waits));
    }
    if let Ok(Value::Array(given)) = serde_json::from_str(&job.parameters) {
        parameters.extend(given);
    }
    Ok(json!({ "resourceType": "Parameters", "parameter": parameters }))
}

async fn waits(call: &Call, job: &Job, standing: Standing) -> Result<Option<String>, Failure> {
    match standing {
        Standing::Failed => {
            Ok(Some("The version of the index that was built for it is not known any more.".to_owned()))
        }
        Standing::Running => {
            let waits = call.service.keeper()?.waits(job.version).await?;
            Ok(waits.map(|resources| {
                format!("It is built, but has parked {resources} resource(s) that the index in use has not: un-park them, or cancel.")
            }))
        }
        _ => Ok(None),
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({ "name": name, "valueString": value })
}

fn moment(name: &str, at: DateTime<Utc>) -> Value {
    json!({ "name": name, "valueDateTime": at.to_rfc3339_opts(SecondsFormat::Millis, true) })
}
