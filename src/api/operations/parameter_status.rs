//! `SearchParameter/$status`: which search parameters can be searched by, and switching them off and on (an operation of
//! AHDS).

use std::borrow::Cow;

use actix_web::http::Method;
use anamnesis_fhir::json::Value;
use serde_json::json;

use super::{Form, Input, Takes, value_of};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::error::{Failure, FailureKind, IssueCode};
use crate::search_parameters::{Status, Told};

const ENTRY: &str = "searchParameterStatus";
const TAKES: Takes = Takes {
    operation: "$status",
    once: &["url", "code", "resourceType", "resourcetype"],
    often: &[ENTRY],
    refuses_others: true,
    forms: &[(ENTRY, Form::Parts)],
    ..Takes::NOTHING
};

/// `GET /SearchParameter/$status?url=…&code=…&resourceType=…`; PUT or POST with what is to be switched.
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(answer(call, invocation))
}

async fn answer(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let keeper = call.service.keeper()?;
    let input = Input::read(call, invocation.body).await?;
    let unknown = TAKES.check(call, &input)?;
    if !unknown.is_empty() {
        return Err(Failure::with_issues(FailureKind::Invalid, unknown));
    }
    keeper.apply().await?;
    let switches = switches(&input, &keeper.told())?;
    if switches.is_empty() {
        if invocation.method == Method::PUT {
            let text = format!(
                "A PUT says what is to be switched, in parameters {ENTRY} with the parts url and status."
            );
            return Err(
                Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("Parameters.parameter")
            );
        }
        let kind = input.text("resourceType").or_else(|| input.text("resourcetype"));
        let filter = [input.text("url"), input.text("code"), kind];
        let told = keeper.told();
        return Ok(shown(told.iter().filter(|one| is_asked(one, &filter))));
    }
    keeper.switch(&switches, &call.provenance().agent).await?;
    let told = keeper.told();
    Ok(shown(told.iter().filter(|one| switches.iter().any(|(url, _)| *url == one.url))))
}

fn is_asked(told: &Told, [url, code, kind]: &[Option<Cow<'_, str>>; 3]) -> bool {
    let is = |wanted: &Option<Cow<'_, str>>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
    let is_for =
        |name: &str| told.bases.iter().any(|base| anamnesis_fhir::definitions::r4().is_a(name, base));
    is(url, &told.url) && is(code, &told.code) && kind.as_deref().is_none_or(is_for)
}

fn shown<'t>(told: impl Iterator<Item = &'t Told>) -> Answer {
    let group = |one: &Told| {
        let mut parts = vec![
            json!({ "name": "url", "valueString": one.url }),
            json!({ "name": "status", "valueString": one.status.word() }),
        ];
        parts.extend(one.note.as_ref().map(|note| json!({ "name": "note", "valueString": note })));
        json!({ "name": ENTRY, "part": parts })
    };
    let groups: Vec<_> = told.map(group).collect();
    let mut parameters = json!({ "resourceType": "Parameters" });
    if let (false, Some(members)) = (groups.is_empty(), parameters.as_object_mut()) {
        members.insert("parameter".to_owned(), groups.into());
    }
    Answer::ok(parameters.to_string())
}

/// What is to be switched off (true) or on. All is looked at before anything is done.
fn switches(input: &Input<'_>, known: &[Told]) -> Result<Vec<(String, bool)>, Failure> {
    let mut switches: Vec<(String, bool)> = Vec::new();
    for (index, entry) in input.named(ENTRY).enumerate() {
        let wrong = |text: String| {
            let place = format!("Parameters.parameter.where(name = '{ENTRY}')[{index}]");
            Err(Failure::new(FailureKind::Invalid, IssueCode::Value, text).at(place))
        };
        let part = |name: &str| {
            let parts = entry.get("part").into_iter().flat_map(Value::items);
            let is_named =
                |part: &Value<'_>| part.get("name").and_then(Value::as_str).as_deref() == Some(name);
            parts.filter(is_named).find_map(|part| value_of(part)?.as_str().map(Cow::into_owned))
        };
        let (Some(url), Some(status)) = (part("url"), part("status")) else {
            return wrong("It has the parts url and status.".to_owned());
        };
        let is_off = match status.to_ascii_lowercase().as_str() {
            "disabled" => true,
            "enabled" | "supported" => false,
            _ => return wrong("The status is enabled, supported or disabled.".to_owned()),
        };
        match known.iter().find(|one| one.url == url) {
            None => return wrong(format!("No search parameter is known by the address {url}.")),
            Some(one) if matches!(one.status, Status::Unsupported | Status::PendingDelete) => {
                return wrong(format!("{url} is {}: it cannot be switched.", one.status.word()));
            }
            Some(_) => {}
        }
        if switches.iter().any(|(other, _)| *other == url) {
            return wrong(format!("{url} is named more than once."));
        }
        switches.push((url, is_off));
    }
    Ok(switches)
}
