//! `ConceptMap/$translate` (R4 conceptmap-operation-translate.html).

use std::sync::Arc;

use anamnesis_fhir::json::Value as Read;
use anamnesis_fhir::terminology::{ConceptMap, Dependency, MapQuery, Match, Translation, translate};
use serde_json::{Value, json};

use super::terminology::{answer, ask, codings, flag, given, parameter, parts, required};
use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::error::Failure;

const TAKES: Takes = Takes {
    operation: "$translate",
    once: &[
        "url",
        "conceptMap",
        "conceptMapVersion",
        "code",
        "system",
        "version",
        "source",
        "target",
        "coding",
        "codeableConcept",
        "targetsystem",
        "targetSystem",
        "reverse",
    ],
    often: &["dependency"],
    takes_resource: true,
    ..Takes::NOTHING
};

/// `GET` and `POST /ConceptMap/$translate`, `/ConceptMap/1/$translate`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(translated(call, invocation))
}

async fn translated(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let input = Input::read(call, invocation.body).await?;
    TAKES.check(call, &input)?;
    let given: Option<Arc<ConceptMap>> = given(call, &invocation.level, &input, "conceptMap").await?;
    let text = |name| input.text(name).map(std::borrow::Cow::into_owned);
    let query = MapQuery {
        url: text("url"),
        version: text("conceptMapVersion"),
        source: text("source"),
        target: text("target"),
    };
    if given.is_none() && query.url.is_none() && query.source.is_none() && query.target.is_none() {
        return Err(required("A map is needed: its url, its id in the path, or its source or target."));
    }
    let codings = codings(&input, "system")?;
    // "If a code is provided, a system must be provided" (R4 conceptmap-operation-translate.html).
    if input.text("code").is_some() && input.text("system").is_none() {
        return Err(required("A code is translated with its code system: system is missing."));
    }
    let asked = Translation {
        codings: codings.into_iter().map(|coded| (coded.system, coded.code)).collect(),
        target_system: text("targetsystem").or_else(|| text("targetSystem")),
        is_reverse: flag(&input, "reverse")?,
        depends_on: input.named("dependency").map(dependency).collect(),
    };
    let found = ask(call, move |engine| match &given {
        Some(map) => engine.translate_by(std::slice::from_ref(map), &asked),
        None => translate(engine.library(), &query, &asked),
    })
    .await?;
    Ok(matches_answer(&found))
}

fn dependency(entry: Read<'_>) -> Dependency {
    let mut dependency = Dependency::default();
    for (name, value) in parts(entry) {
        let text = |value: Read<'_>| value.as_str().map(std::borrow::Cow::into_owned).unwrap_or_default();
        match name.as_str() {
            "element" => dependency.property = text(value),
            "concept" => {
                let coding = value.get("coding").and_then(|codings| codings.items().next());
                let coded = coding.and_then(super::terminology::coded);
                dependency.system = coded.as_ref().and_then(|coded| coded.system.clone());
                dependency.value = coded.map(|coded| coded.code).unwrap_or_default();
            }
            _ => {}
        }
    }
    dependency
}

fn matches_answer(found: &[Match]) -> Answer {
    let is_mapped = found.iter().any(Match::is_mapped);
    let mut parameters = vec![parameter("result", "valueBoolean", is_mapped)];
    if !is_mapped {
        parameters.push(parameter("message", "valueString", "There is no translation for the code."));
    }
    parameters.extend(found.iter().map(|found| json!({ "name": "match", "part": match_parts(found) })));
    answer(parameters)
}

fn match_parts(found: &Match) -> Vec<Value> {
    let mut all = vec![parameter("equivalence", "valueCode", found.equivalence.as_str())];
    if let Some(code) = &found.code {
        let mut coding = serde_json::Map::new();
        coding.extend(found.system.as_ref().map(|system| ("system".to_owned(), json!(system))));
        coding.insert("code".to_owned(), json!(code));
        coding.extend(found.display.as_ref().map(|display| ("display".to_owned(), json!(display))));
        all.push(parameter("concept", "valueCoding", coding));
    }
    all.extend(found.product.iter().map(|product| {
        let mut coding = serde_json::Map::new();
        coding.extend(product.system.as_ref().map(|system| ("system".to_owned(), json!(system))));
        coding.insert("code".to_owned(), json!(product.value));
        let parts = [
            parameter("element", "valueUri", product.property.as_str()),
            parameter("concept", "valueCoding", coding),
        ];
        json!({ "name": "product", "part": parts })
    }));
    if !found.map.is_empty() {
        all.push(parameter("source", "valueUri", found.map.as_str()));
    }
    all
}
