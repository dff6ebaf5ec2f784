//! `DocumentReference/$docref`: the documents of a patient (US Core's operation, which AHDS offers).
//!
//! This server keeps documents and makes none: the answer is a search among those that there are.

use std::borrow::Cow;

use anamnesis_fhir::json::Value;
use anamnesis_projections::search::Scope;

use super::{Form, Input, Takes, care, escaped};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::api::page::Link;
use crate::api::search;
use crate::error::{Failure, FailureKind, Issue, IssueCode};
use anamnesis_fhir::references::is_id;

const TAKES: Takes = Takes {
    operation: "$docref",
    once: &["patient", "start", "end", "on-demand", "_count", "_summary", "_elements", "_total"],
    often: &["type"],
    // Others would be given than those that were asked for.
    refused: &["profile"],
    forms: &[
        ("type", Form::Value),
        ("_count", Form::OfQuery),
        ("_summary", Form::OfQuery),
        ("_elements", Form::OfQuery),
        ("_total", Form::OfQuery),
    ],
    ..Takes::NOTHING
};

/// `GET` and `POST DocumentReference/$docref`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async {
        let input = Input::read(call, invocation.body).await?;
        let left_out = TAKES.check(call, &input)?;
        let parameters = parameters(call, &input)?;
        match input.text("on-demand").as_deref() {
            None | Some("false") => {}
            Some("true") => return nothing_on_demand(call, &input, left_out),
            Some(_) => return Err(Failure::invalid("on-demand is true or false.")),
        }
        let scope = Scope::Type("DocumentReference".to_owned());
        search::of_parameters(call, scope, "/DocumentReference", &parameters, left_out).await
    })
}

/// The search that is asked for. The pages behind the first are pages of that search.
fn parameters(call: &Call, input: &Input<'_>) -> Result<Vec<(String, String)>, Failure> {
    let Some(patient) = input.text("patient").filter(|patient| !patient.is_empty()) else {
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, "$docref needs patient."));
    };
    let id = patient.strip_prefix("Patient/").unwrap_or(&patient);
    if !is_id(id) {
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Value, "patient is the id of a patient."));
    }
    let mut parameters = vec![("patient".to_owned(), format!("Patient/{id}"))];
    // Care dates, not those of the document.
    let date = |name: &'static str| input.text(name).filter(|value| !value.is_empty());
    let (start, end) = (date("start"), date("end"));
    care::span(start.as_deref(), end.as_deref())?;
    for (value, prefix) in [(start, "ge"), (end, "le")] {
        let value = value.map(|value| format!("{prefix}{}", value.replace(' ', "+")));
        parameters.extend(value.map(|value| ("period".to_owned(), value)));
    }
    let types: Vec<String> = types(input);
    if !types.is_empty() {
        parameters.push(("type".to_owned(), types.join(",")));
    }
    for name in ["_count", "_summary", "_elements", "_total"] {
        parameters.extend(call.query.get(name).map(|value| (name.to_owned(), value.to_owned())));
    }
    Ok(parameters)
}

/// The types of documents, as tokens: those of the query are tokens, those of a body codings.
fn types(input: &Input<'_>) -> Vec<String> {
    let mut types: Vec<String> = input.texts("type").into_iter().map(Cow::into_owned).collect();
    for value in input.named("type").filter_map(super::value_of) {
        let codings = value.get("coding").filter(|_| value.get("code").is_none());
        let codings = codings.map_or_else(|| vec![value], |codings| codings.items().collect());
        for coding in codings {
            let part = |name: &str| coding.get(name).and_then(Value::as_str).unwrap_or_default();
            if !part("code").is_empty() {
                types.push(format!("{}|{}", escaped(&part("system")), escaped(&part("code"))));
            }
        }
    }
    types
}

/// Who wants only what is made on demand gets nothing, and is told why.
fn nothing_on_demand(call: &Call, input: &Input<'_>, mut issues: Vec<Issue>) -> Result<Answer, Failure> {
    let given = ["patient", "start", "end", "on-demand"].map(|name| (name, input.text(name)));
    let given = given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let url = call.link(&format!("{}/DocumentReference/$docref", call.base), given);
    issues.push(Issue::information(
        "This server makes no documents on demand; leave on-demand out to get those that there are.",
    ));
    search::bundle_of(call, &[Link { relation: "self", url }], &[], &issues)
}
