//! `$validate-code` of ValueSet and CodeSystem (R4 valueset-operation-validate-code.html and that of CodeSystem).

use std::sync::Arc;

use anamnesis_fhir::terminology::{Canonical, CodeSystem, Coded, ListError, Terms, ValueSet, Verdict};

use super::expand::address;
use super::terminology::{answer, ask, codings, flag, given, parameter, required};
use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::error::Failure;

const OF_VALUE_SET: Takes = Takes {
    operation: "$validate-code",
    once: &[
        "url",
        "valueSet",
        "valueSetVersion",
        "code",
        "system",
        "systemVersion",
        "version",
        "display",
        "coding",
        "codeableConcept",
        "abstract",
        "displayLanguage",
    ],
    refused: &["context", "date"],
    takes_resource: true,
    ..Takes::NOTHING
};

const OF_CODE_SYSTEM: Takes = Takes {
    once: &[
        "url",
        "system",
        "codeSystem",
        "code",
        "version",
        "systemVersion",
        "display",
        "coding",
        "codeableConcept",
        "abstract",
        "displayLanguage",
    ],
    refused: &["date"],
    ..OF_VALUE_SET
};

/// `GET` and `POST /ValueSet/$validate-code`, `/ValueSet/1/$validate-code`
pub(in crate::api) fn of_value_set(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(in_value_set(call, invocation))
}

/// `GET` and `POST /CodeSystem/$validate-code`, `/CodeSystem/1/$validate-code`
pub(in crate::api) fn of_code_system(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(in_code_system(call, invocation))
}

async fn in_value_set(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let input = Input::read(call, invocation.body).await?;
    OF_VALUE_SET.check(call, &input)?;
    let given: Option<Arc<ValueSet>> = given(call, &invocation.level, &input, "valueSet").await?;
    let url = address(&input, given.is_some())?;
    let (codings, terms) = (codings(&input, "system")?, terms(&input)?);
    let verdict = ask(call, move |engine| {
        let set = match &given {
            Some(set) => Arc::clone(set),
            None => engine.value_set(&url)?,
        };
        best(&codings, |coded| engine.validate_in_set(&set, coded, &terms))
    })
    .await?;
    Ok(verdict_answer(&verdict))
}

async fn in_code_system(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let input = Input::read(call, invocation.body).await?;
    OF_CODE_SYSTEM.check(call, &input)?;
    let given: Option<Arc<CodeSystem>> = given(call, &invocation.level, &input, "codeSystem").await?;
    let url = input.text("url").or_else(|| input.text("system")).map(std::borrow::Cow::into_owned);
    let (codings, terms) = (codings(&input, "url")?, terms(&input)?);
    let is_named = given.is_some() || url.is_some() || codings.iter().any(|coded| coded.system.is_some());
    if !is_named {
        return Err(required("A code system is needed: its url, its id in the path, or that of the coding."));
    }
    let verdict = ask(call, move |engine| {
        best(&codings, |coded| match (&given, &url) {
            (Some(system), _) => engine.judge_in(system, coded, &terms),
            (None, url) => {
                let Some(url) = url.as_ref().or(coded.system.as_ref()) else { return Ok(Verdict::default()) };
                let mut canonical = Canonical::parse(url);
                canonical.version = coded.version.clone().or(canonical.version);
                if coded.system.as_ref().is_some_and(|system| *system != canonical.url && system != url) {
                    let message = Some("The coding is of another code system.".to_owned());
                    return Ok(Verdict { message, ..Verdict::default() });
                }
                engine.validate_in_system(&canonical, coded, &terms)
            }
        })
    })
    .await?;
    Ok(verdict_answer(&verdict))
}

fn terms(input: &Input<'_>) -> Result<Terms, Failure> {
    let language = input.text("displayLanguage").map(std::borrow::Cow::into_owned);
    Ok(Terms { with_abstract: flag(input, "abstract")?, language })
}

/// Of several codings one has to be right. One that nobody can judge counts only where none is right.
fn best(
    codings: &[Coded],
    judge: impl Fn(&Coded) -> Result<Verdict, ListError>,
) -> Result<Verdict, ListError> {
    let (mut wrong, mut unknown) = (None, None);
    for coded in codings {
        match judge(coded) {
            Ok(verdict) if verdict.result => return Ok(verdict),
            Ok(verdict) => wrong = wrong.or(Some(verdict)),
            Err(ListError::Pending) => return Err(ListError::Pending),
            Err(error) => unknown = unknown.or(Some(error)),
        }
    }
    match (unknown, wrong) {
        (Some(error), _) => Err(error),
        (None, wrong) => Ok(wrong.unwrap_or_default()),
    }
}

fn verdict_answer(verdict: &Verdict) -> Answer {
    let mut parameters = vec![parameter("result", "valueBoolean", verdict.result)];
    let message = verdict.message.as_deref();
    parameters.extend(message.map(|text| parameter("message", "valueString", text)));
    let display = verdict.display.as_deref();
    parameters.extend(display.map(|text| parameter("display", "valueString", text)));
    if let Some(coded) = &verdict.code {
        parameters.push(parameter("code", "valueCode", coded.code.as_str()));
        let system = coded.system.as_deref();
        parameters.extend(system.map(|system| parameter("system", "valueUri", system)));
    }
    answer(parameters)
}
