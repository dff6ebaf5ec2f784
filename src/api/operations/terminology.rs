//! What the terminology operations share: asking the definitions, codes as clients give them, answers as Parameters.

use std::sync::Arc;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Kind, Limits, Value};
use anamnesis_fhir::terminology::{CodeSystem, Coded, ConceptMap, Engine, ListError, ValueSet};
use serde_json::json;

use super::Input;
use super::input::value_of;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::Level;
use crate::api::read;
use crate::api::validation::{self, Checked};
use crate::error::{Failure, FailureKind, IssueCode};

/// Codings of one CodeableConcept that are looked at.
const CODINGS_MAX: usize = 100;

/// Puts a question to the definitions: stored ones as they are now, and those of R4.
pub(super) async fn ask<T: Send + 'static>(
    call: &Call,
    question: impl Fn(&Engine<'_>) -> Result<T, ListError> + Send + Sync + 'static,
) -> Result<T, Failure> {
    call.service.terminology.ask(question).await?.map_err(refuse)
}

/// How a client is told that a question cannot be answered.
pub(super) fn refuse(error: ListError) -> Failure {
    let text = format!("{}.", capital(&error.to_string()));
    let (kind, code) = match error {
        ListError::UnknownValueSet(_)
        | ListError::UnknownCodeSystem(_)
        | ListError::PartOfCodeSystem(_)
        | ListError::UnknownCode(_)
        | ListError::UnknownConceptMap(_) => (FailureKind::NotFound, IssueCode::NotFound),
        ListError::TooCostly(_) | ListError::TooMuchWork => {
            (FailureKind::Unprocessable, IssueCode::TooCostly)
        }
        ListError::NotEnumerable(_) | ListError::Unsupported(_) => {
            (FailureKind::Unprocessable, IssueCode::NotSupported)
        }
        _ => return Failure::unavailable("The definitions could not be fetched."),
    };
    Failure::new(kind, code, text)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// 400 for a parameter that is missing.
pub(super) fn required(text: &'static str) -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::Required, text)
}

/// A definition that a call names by its place, its id, or brings along.
pub(super) trait Definition: Sized {
    /// Reads the resource.
    fn read(root: Value<'_>) -> Self;
    /// The resource type.
    const TYPE: &'static str;
}

impl Definition for ValueSet {
    const TYPE: &'static str = "ValueSet";
    fn read(root: Value<'_>) -> Self {
        Self::read(root)
    }
}

impl Definition for CodeSystem {
    const TYPE: &'static str = "CodeSystem";
    fn read(root: Value<'_>) -> Self {
        Self::read(root)
    }
}

impl Definition for ConceptMap {
    const TYPE: &'static str = "ConceptMap";
    fn read(root: Value<'_>) -> Self {
        Self::read(root)
    }
}

/// The resource that an operation is called on, or that comes in the parameter `inline`.
pub(super) async fn given<D: Definition>(
    call: &Call,
    level: &Level,
    input: &Input<'_>,
    inline: &str,
) -> Result<Option<Arc<D>>, Failure> {
    if let Level::Instance(key) = level {
        if input.text("url").is_some() || input.resource(inline).is_some() {
            let text = format!("The path names the {}; another one is given as well.", D::TYPE);
            return Err(Failure::invalid(text));
        }
        return stored(call, key).await.map(Some);
    }
    let Some(resource) = input.resource(inline) else { return Ok(None) };
    let name = resource.get("resourceType").and_then(Value::as_str);
    if name.as_deref() != Some(D::TYPE) {
        let text = format!("The resource of this operation is a {}.", D::TYPE);
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Invalid, text));
    }
    // What comes along was not checked when it was written, as what is stored was.
    validation::base(resource, Checked::Base)?;
    Ok(Some(Arc::new(D::read(resource))))
}

async fn stored<D: Definition>(call: &Call, key: &ResourceKey) -> Result<Arc<D>, Failure> {
    let event = read::living(call, key).await?;
    let document = Document::parse(event.payload.to_vec(), &Limits::default())?;
    Ok(Arc::new(D::read(document.root())))
}

/// The codes that a call asks about: `code` with its system, `coding`, or `codeableConcept`.
pub(super) fn codings(input: &Input<'_>, system: &str) -> Result<Vec<Coded>, Failure> {
    let text = |name| input.text(name).map(std::borrow::Cow::into_owned);
    let given =
        [text("code").is_some(), input.value("coding").is_some(), input.value("codeableConcept").is_some()];
    if given.into_iter().filter(|is_given| *is_given).count() > 1 {
        return Err(Failure::invalid("Of code, coding and codeableConcept one is given."));
    }
    if let Some(code) = text("code") {
        let (system, display) = (text(system), text("display"));
        let version = text("systemVersion").or_else(|| text("version"));
        return Ok(vec![Coded { system, version, code, display }]);
    }
    if let Some(coding) = input.value("coding") {
        return coded(coding).map(|coded| vec![coded]).ok_or_else(|| required("The coding has no code."));
    }
    if let Some(concept) = input.value("codeableConcept") {
        let codings = concept.get("coding").into_iter().flat_map(Value::items).take(CODINGS_MAX);
        let codings: Vec<Coded> = codings.filter_map(coded).collect();
        if codings.is_empty() {
            return Err(required("The codeableConcept has no coding with a code."));
        }
        return Ok(codings);
    }
    Err(required("One of code, coding and codeableConcept is needed."))
}

/// A Coding; none without a code.
pub(super) fn coded(coding: Value<'_>) -> Option<Coded> {
    let text = |name| coding.get(name).and_then(Value::as_str).map(std::borrow::Cow::into_owned);
    Some(Coded {
        system: text("system"),
        version: text("version"),
        code: text("code")?,
        display: text("display"),
    })
}

/// A parameter that is true or false.
pub(super) fn flag(input: &Input<'_>, name: &str) -> Result<bool, Failure> {
    match input.text(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Failure::invalid(format!("The parameter {name} is true or false."))),
    }
}

/// A parameter that counts something.
pub(super) fn count(input: &Input<'_>, name: &str) -> Result<Option<usize>, Failure> {
    let parse = |text: std::borrow::Cow<'_, str>| {
        let bad = |_| Failure::invalid(format!("The parameter {name} is a number from 0 on."));
        text.parse::<u32>().map(|number| number as usize).map_err(bad)
    };
    input.text(name).map(parse).transpose()
}

/// The parts of a parameter: one value each, by name.
pub(super) fn parts<'a>(entry: Value<'a>) -> impl Iterator<Item = (String, Value<'a>)> {
    let parts =
        entry.get("part").into_iter().flat_map(Value::items).filter(|part| part.kind() == Kind::Object);
    parts.filter_map(|part| Some((part.get("name").and_then(Value::as_str)?.into_owned(), value_of(part)?)))
}

/// One output parameter.
pub(super) fn parameter(name: &str, member: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
    json!({ "name": name, member: value.into() })
}

/// Answers with a Parameters resource of these parameters, each of them JSON.
pub(super) fn answer_of(parameters: &[String]) -> Answer {
    Answer::ok(format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, parameters.join(",")))
}

/// Answers with a Parameters resource.
pub(super) fn answer(parameters: Vec<serde_json::Value>) -> Answer {
    Answer::ok(json!({ "resourceType": "Parameters", "parameter": parameters }).to_string())
}
