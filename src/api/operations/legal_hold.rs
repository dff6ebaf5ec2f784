//! `$legal-hold` and `$legal-hold-release`: nothing of a patient is erased while a hold stands; reads and writes go on.

use actix_web::http::{Method, StatusCode};
use anamnesis_events::{
    AppendError, ConflictKind, Draft, Erases, Event, Group, Operation, Recorded, ResourceKey,
};
use anamnesis_fhir::json::{Document, Limits};
use chrono::{NaiveDate, SecondsFormat};
use serde_json::{Value, json};

use super::{Input, Takes, purge, value_of};
use crate::actors::WriteError;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Level, Work};
use crate::error::{Failure, FailureKind, IssueCode};

const PLACE: Takes =
    Takes { operation: "$legal-hold", once: &["reason", "until"], refuses_others: true, ..Takes::NOTHING };
const RELEASE: Takes = Takes { operation: "$legal-hold-release", refuses_others: true, ..Takes::NOTHING };
/// The longest reason, in characters.
const REASON_MAX: usize = 2000;
/// How often it is tried while others write the patient.
const TRIES_MAX: u32 = 16;

/// `GET` and `POST /Patient/1/$legal-hold`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async move {
        let Level::Instance(key) = &invocation.level else { return Err(Failure::internal()) };
        if invocation.method != Method::POST {
            purge::read(call, invocation.body, &RELEASE).await?;
            return show(call, key).await;
        }
        purge::refuse_headers(call, "$legal-hold")?;
        let input = purge::read(call, invocation.body, &PLACE).await?;
        let body = told(&input)?;
        let recorded = record(call, key, Operation::Hold, body.into_bytes()).await?;
        let shown = show(call, key).await?;
        Ok(Answer { status: StatusCode::CREATED, position: Some(recorded.position), recorded: true, ..shown })
    })
}

/// `POST /Patient/1/$legal-hold-release`
pub(in crate::api) fn release(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async move {
        let Level::Instance(key) = &invocation.level else { return Err(Failure::internal()) };
        purge::refuse_headers(call, "$legal-hold-release")?;
        purge::read(call, invocation.body, &RELEASE).await?;
        let recorded = match record(call, key, Operation::Release, Vec::new()).await {
            Ok(recorded) => Some(recorded),
            // It was released before, or never placed: what is wanted is so.
            Err(Unrecorded::NotBegun) => None,
            Err(other) => return Err(other.into()),
        };
        let position = recorded.map(|recorded| recorded.position);
        let shown = show(call, key).await?;
        Ok(Answer { position, recorded: position.is_some(), ..shown })
    })
}

/// What is kept of a hold: its reason, and until when it is thought to last.
///
/// # Errors
/// 400 without a reason, or with a value that is none.
fn told(input: &Input<'_>) -> Result<String, Failure> {
    let wrong =
        |code, name: &'static str, text: String| Failure::new(FailureKind::Invalid, code, text).at(name);
    let reason = input.text("reason").map(|reason| reason.trim().to_owned()).unwrap_or_default();
    if reason.is_empty() {
        return Err(wrong(IssueCode::Required, "reason", "A legal hold has a reason.".to_owned()));
    }
    if reason.chars().count() > REASON_MAX {
        let text = format!("The reason has at most {REASON_MAX} characters.");
        return Err(wrong(IssueCode::TooLong, "reason", text));
    }
    let mut parameters = vec![json!({ "name": "reason", "valueString": reason })];
    if let Some(until) = input.text("until") {
        let is_day = until.len() == 10 && until.parse::<NaiveDate>().is_ok();
        if !is_day {
            return Err(wrong(IssueCode::Value, "until", "until is a day, as in 2027-01-31.".to_owned()));
        }
        parameters.push(json!({ "name": "until", "valueDate": until }));
    }
    Ok(json!({ "resourceType": "Parameters", "parameter": parameters }).to_string())
}

/// The hold that stands on a patient, or that none does.
async fn show(call: &Call, key: &ResourceKey) -> Result<Answer, Failure> {
    let log = &call.service.log;
    if log.heads(std::slice::from_ref(key)).await?.into_iter().flatten().next().is_none() {
        return Err(Failure::not_found("There is no such patient and never was."));
    }
    let hold = log.hold(&key.to_string()).await?;
    let mut shown = vec![json!({ "name": "held", "valueBoolean": hold.is_some() })];
    if let Some(hold) = &hold {
        shown.extend(details(&hold.event));
    }
    Ok(Answer::ok(json!({ "resourceType": "Parameters", "parameter": shown }).to_string()))
}

fn details(event: &Event) -> Vec<Value> {
    let since = event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut shown = vec![
        json!({ "name": "since", "valueInstant": since }),
        json!({ "name": "by", "valueString": &*event.agent }),
        json!({ "name": "position", "valueDecimal": event.position.get() }),
    ];
    let Ok(body) = Document::parse(event.payload.to_vec(), &Limits::default()) else { return shown };
    let parameters = body.root().get("parameter").into_iter().flat_map(|all| all.items());
    for parameter in parameters {
        let name = parameter.get("name").and_then(|name| name.as_str().map(|name| name.into_owned()));
        let value = value_of(parameter).and_then(|value| value.as_str().map(|text| text.into_owned()));
        match (name.as_deref(), value) {
            (Some("reason"), Some(text)) => shown.push(json!({ "name": "reason", "valueString": text })),
            (Some("until"), Some(text)) => shown.push(json!({ "name": "until", "valueDate": text })),
            _ => {}
        }
    }
    shown
}

/// Why an event of a hold was not recorded.
enum Unrecorded {
    /// There is no hold that could be released.
    NotBegun,
    Failed(Failure),
}

impl From<Unrecorded> for Failure {
    fn from(why: Unrecorded) -> Self {
        match why {
            Unrecorded::Failed(failure) => failure,
            Unrecorded::NotBegun => Failure::internal(),
        }
    }
}

/// Records an event about a patient's compartment that makes no version of the patient.
async fn record(
    call: &Call,
    key: &ResourceKey,
    operation: Operation,
    payload: Vec<u8>,
) -> Result<Recorded, Unrecorded> {
    let failed = |failure: Failure| Unrecorded::Failed(failure);
    let home = key.to_string();
    for _ in 0..TRIES_MAX {
        let heads = call.service.log.heads(std::slice::from_ref(key)).await;
        let head = heads.map_err(|error| failed(error.into()))?.into_iter().flatten().next();
        let Some(head) = head else {
            return Err(failed(Failure::not_found("There is no such patient and never was.")));
        };
        let draft = Draft {
            key: key.clone(),
            operation,
            erases: Erases::Nothing,
            version: head.version,
            home: home.clone(),
            touches: vec![home.clone()],
            payload: payload.clone(),
            stamp_at: None,
            identifiers: Vec::new(),
            require_no_identifier: Vec::new(),
            agent: call.provenance().agent,
            source: None,
        };
        match call.service.compartments.commit(&home, Group::single(draft), None).await {
            Ok(recorded) => {
                let recorded = recorded.into_iter().next();
                let recorded = recorded.ok_or_else(|| failed(Failure::internal()))?;
                call.access.writes(key, recorded.version, recorded.position, std::slice::from_ref(&home));
                return Ok(recorded);
            }
            // Somebody has written the patient meanwhile.
            Err(WriteError::Log(AppendError::Conflict { kind: ConflictKind::HeadMoved { .. }, .. })) => {}
            Err(WriteError::Log(AppendError::NotBegun { .. })) => return Err(Unrecorded::NotBegun),
            Err(other) => return Err(failed(other.into())),
        }
    }
    Err(failed(WriteError::Contended { tries: TRIES_MAX }.into()))
}
