//! `ValueSet/$expand` (R4 valueset-operation-expand.html).

use std::sync::Arc;

use anamnesis_fhir::terminology::{Contained, Expansion, ExpansionRequest, ValueSet};
use serde_json::{Value, json};

use super::terminology::{ask, count, flag, given, required};
use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::clock;
use crate::error::Failure;

const TAKES: Takes = Takes {
    operation: "$expand",
    once: &[
        "url",
        "valueSet",
        "valueSetVersion",
        "filter",
        "offset",
        "count",
        "activeOnly",
        "includeDesignations",
        "displayLanguage",
        "excludeNotForUI",
        "excludeNested",
    ],
    refused: &[
        "context",
        "contextDirection",
        "date",
        "exclude-system",
        "system-version",
        "check-system-version",
        "force-system-version",
    ],
    takes_resource: true,
    ..Takes::NOTHING
};

const UNCLOSED: &str = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed";

/// `GET` and `POST /ValueSet/$expand`, `/ValueSet/1/$expand`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(expand(call, invocation))
}

async fn expand(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let input = Input::read(call, invocation.body).await?;
    TAKES.check(call, &input)?;
    let given: Option<Arc<ValueSet>> = given(call, &invocation.level, &input, "valueSet").await?;
    let request = ExpansionRequest {
        filter: input.text("filter").map(std::borrow::Cow::into_owned),
        offset: count(&input, "offset")?.unwrap_or(0),
        count: count(&input, "count")?,
        active_only: flag(&input, "activeOnly")?,
        without_abstract: flag(&input, "excludeNotForUI")?,
        designations: flag(&input, "includeDesignations")?,
        language: input.text("displayLanguage").map(std::borrow::Cow::into_owned),
        ..ExpansionRequest::default()
    };
    let url = address(&input, given.is_some())?;
    let asked = request.clone();
    let (set, expansion) = ask(call, move |engine| {
        let set = match &given {
            Some(set) => Arc::clone(set),
            None => engine.value_set(&url)?,
        };
        let expansion = engine.expand(&set, &asked)?;
        Ok((set, expansion))
    })
    .await?;
    Ok(Answer::ok(resource(&set, &request, &expansion).to_string()))
}

/// The canonical address of the value set; empty where the call brings it.
pub(super) fn address(input: &Input<'_>, is_given: bool) -> Result<String, Failure> {
    match (input.text("url"), input.text("valueSetVersion")) {
        (Some(url), Some(version)) if !url.contains('|') => Ok(format!("{url}|{version}")),
        (Some(url), _) => Ok(url.into_owned()),
        (None, _) if is_given => Ok(String::new()),
        (None, _) => {
            Err(required("A value set is needed: its url, its id in the path, or the resource as valueSet."))
        }
    }
}

fn resource(set: &ValueSet, request: &ExpansionRequest, expansion: &Expansion) -> Value {
    let mut resource = json!({ "resourceType": "ValueSet" });
    let head = [
        ("url", Some(&set.url).filter(|url| !url.is_empty())),
        ("version", set.version.as_ref()),
        ("name", set.name.as_ref()),
        ("title", set.title.as_ref()),
        ("status", Some(&set.status)),
    ];
    if let Value::Object(members) = &mut resource {
        for (name, value) in head {
            members.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        members.insert("expansion".to_owned(), expanded(request, expansion));
    }
    resource
}

fn expanded(request: &ExpansionRequest, expansion: &Expansion) -> Value {
    let mut parameters = Vec::new();
    for (system, version) in &expansion.used {
        let used = version.as_ref().map_or(system.clone(), |version| format!("{system}|{version}"));
        parameters.push(json!({ "name": "used-codesystem", "valueUri": used }));
    }
    parameters.extend(request.filter.iter().map(|text| json!({ "name": "filter", "valueString": text })));
    parameters.extend(request.count.map(|count| json!({ "name": "count", "valueInteger": count })));
    let language = request.language.iter();
    parameters.extend(language.map(|tag| json!({ "name": "displayLanguage", "valueCode": tag })));
    let flags = [
        ("activeOnly", request.active_only),
        ("includeDesignations", request.designations),
        ("excludeNotForUI", request.without_abstract),
        // The list is always flat, which excludeNested asks for.
        ("excludeNested", true),
    ];
    parameters.extend(
        flags
            .iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(name, _)| json!({ "name": name, "valueBoolean": true })),
    );
    let mut expanded = json!({
        "identifier": format!("urn:uuid:{}", clock::new_request_id()),
        "timestamp": clock::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "offset": request.offset,
        "parameter": parameters,
    });
    if let Value::Object(members) = &mut expanded {
        // It may be left out, and may not be wrong.
        members.extend(expansion.total.map(|total| ("total".to_owned(), json!(total))));
        // An array that is there has an item (R4 json.html).
        if !expansion.contains.is_empty() {
            members.insert("contains".to_owned(), expansion.contains.iter().map(contained).collect());
        }
        if expansion.is_unclosed {
            members.insert("extension".to_owned(), json!([{ "url": UNCLOSED, "valueBoolean": true }]));
        }
    }
    expanded
}

fn contained(row: &Contained) -> Value {
    let mut value = json!({ "system": row.system });
    if let Value::Object(members) = &mut value {
        let flags = [("abstract", row.is_abstract), ("inactive", row.is_inactive)];
        members.extend(
            flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| ((*name).into(), json!(true))),
        );
        members.insert("code".to_owned(), json!(row.code));
        members.extend(row.display.as_ref().map(|display| ("display".to_owned(), json!(display))));
        if !row.designations.is_empty() {
            let all = row.designations.iter().map(super::lookup::designation);
            members.insert("designation".to_owned(), all.map(Value::Object).collect());
        }
    }
    value
}
