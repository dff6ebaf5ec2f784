//! `CodeSystem/$subsumes` (R4 codesystem-operation-subsumes.html).

use std::sync::Arc;

use anamnesis_fhir::terminology::{Canonical, CodeSystem, Coded, ListError, Subsumption};

use super::terminology::{answer, ask, coded, given, parameter, refuse, required};
use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::error::Failure;

const TAKES: Takes = Takes {
    operation: "$subsumes",
    once: &["codeA", "codeB", "system", "version", "codingA", "codingB", "codeSystem"],
    takes_resource: true,
    ..Takes::NOTHING
};

/// `GET` and `POST /CodeSystem/$subsumes`, `/CodeSystem/1/$subsumes`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(subsumes(call, invocation))
}

async fn subsumes(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let input = Input::read(call, invocation.body).await?;
    TAKES.check(call, &input)?;
    let given: Option<Arc<CodeSystem>> = given(call, &invocation.level, &input, "codeSystem").await?;
    let text = |name| input.text(name).map(std::borrow::Cow::into_owned);
    let one = |code: &'static str, coding: &'static str| {
        let of_coding = input.value(coding).and_then(coded);
        of_coding.or_else(|| text(code).map(|code| Coded { code, ..Coded::default() }))
    };
    let (Some(left), Some(right)) = (one("codeA", "codingA"), one("codeB", "codingB")) else {
        return Err(required("Two codes are needed: codeA and codeB, or codingA and codingB."));
    };
    let outcome = match given {
        Some(system) => within(&system, &left.code, &right.code).map_err(refuse)?,
        None => {
            let url = text("system").or_else(|| left.system.clone()).or_else(|| right.system.clone());
            let url = url.ok_or_else(|| required("The code system of the codes is needed."))?;
            let mut canonical = Canonical::parse(&url);
            canonical.version = text("version").or_else(|| left.version.clone()).or(canonical.version);
            let is_other = |coded: &Coded| coded.system.as_ref().is_some_and(|own| *own != canonical.url);
            if is_other(&left) || is_other(&right) {
                return Err(Failure::invalid("Both codes have to be of the same code system."));
            }
            ask(call, move |engine| engine.subsumption(&canonical, &left.code, &right.code)).await?
        }
    };
    Ok(answer(vec![parameter("outcome", "valueCode", outcome.code())]))
}

fn within(system: &CodeSystem, left: &str, right: &str) -> Result<Subsumption, ListError> {
    if system.get(left).is_none() || system.get(right).is_none() {
        return Err(ListError::UnknownCode(system.url.clone()));
    }
    Ok(match (system.subsumes(left, right), system.subsumes(right, left)) {
        (true, true) => Subsumption::Equivalent,
        (true, false) => Subsumption::Subsumes,
        (false, true) => Subsumption::SubsumedBy,
        (false, false) => Subsumption::NotSubsumed,
    })
}
