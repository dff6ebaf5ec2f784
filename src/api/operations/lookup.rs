//! `CodeSystem/$lookup` (R4 codesystem-operation-lookup.html).

use anamnesis_fhir::terminology::{Canonical, CodeSystem, Coded, Concept, Designation, Looked};
use serde_json::{Map, Value, json};

use super::terminology::{answer_of, ask, coded, parameter, required};
use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Work};
use crate::error::Failure;

const TAKES: Takes = Takes {
    operation: "$lookup",
    once: &["code", "system", "version", "coding", "displayLanguage"],
    often: &["property"],
    refused: &["date"],
    ..Takes::NOTHING
};

/// `GET` and `POST /CodeSystem/$lookup`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(lookup(call, invocation))
}

async fn lookup(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let input = Input::read(call, invocation.body).await?;
    TAKES.check(call, &input)?;
    let (canonical, code) = asked(&input)?;
    let properties = input.texts("property");
    let language = input.text("displayLanguage");
    let asked = (canonical.clone(), code.clone());
    let looked = ask(call, move |engine| engine.lookup(&asked.0, &asked.1)).await?;
    let is_wanted =
        |name: &str| properties.is_empty() || properties.iter().any(|wanted| wanted == name || wanted == "*");
    Ok(answer_of(&match looked {
        Looked::Concept(system, concept) => describe(&system, &concept, language.as_deref(), &is_wanted),
        _ => {
            let all =
                [parameter("name", "valueString", canonical.url), parameter("display", "valueString", code)];
            all.iter().map(Value::to_string).collect()
        }
    }))
}

/// The code that is asked about, as `code` and `system` or as `coding`.
fn asked(input: &Input<'_>) -> Result<(Canonical, String), Failure> {
    let text = |name| input.text(name).map(std::borrow::Cow::into_owned);
    let coding = input.value("coding").and_then(coded);
    let Coded { system, version, code, .. } = match (text("code"), coding) {
        (Some(code), _) => Coded { system: text("system"), version: text("version"), code, display: None },
        (None, Some(coding)) => coding,
        (None, None) => return Err(required("A code is needed: code and system, or coding.")),
    };
    let system = system.ok_or_else(|| required("The code system of the code is needed."))?;
    let mut canonical = Canonical::parse(&system);
    canonical.version = version.or(canonical.version);
    Ok((canonical, code))
}

/// The parameters of the answer as JSON: values of properties are written as they were read, so that decimals keep
/// their digits (R4 datatypes.html#decimal).
fn describe(
    system: &CodeSystem,
    concept: &Concept,
    language: Option<&str>,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let name = system.name.as_deref().unwrap_or(&system.url);
    let mut all = vec![parameter("name", "valueString", name).to_string()];
    let version = system.version.as_deref();
    all.extend(version.map(|version| parameter("version", "valueString", version).to_string()));
    let display = concept.display_in(language).unwrap_or(&concept.code);
    all.push(parameter("display", "valueString", display).to_string());
    let mut property = |code: &str, member: &str, value: &str| {
        if is_wanted(code) {
            let (code, member) = (parameter("code", "valueCode", code), json!(member));
            all.push(format!(r#"{{"name":"property","part":[{code},{{"name":"value",{member}:{value}}}]}}"#));
        }
    };
    let quoted = |text: &str| json!(text).to_string();
    if let Some(definition) = &concept.definition {
        property("definition", "valueString", &quoted(definition));
    }
    let has = |code: &str| concept.properties.iter().any(|known| known.code == code);
    for known in &concept.properties {
        property(&known.code, &known.member, &known.json);
    }
    if concept.is_inactive && !has("inactive") {
        property("inactive", "valueBoolean", "true");
    }
    for code in system.codes(&concept.parents) {
        property("parent", "valueCode", &quoted(code));
    }
    for code in system.codes(&concept.children) {
        property("child", "valueCode", &quoted(code));
    }
    if is_wanted("designation") {
        all.extend(concept.designations.iter().map(|known| {
            let parts: Vec<Value> = designation(known)
                .into_iter()
                .map(|(name, value)| {
                    let member = match name.as_str() {
                        "language" => "valueCode",
                        "use" => "valueCoding",
                        _ => "valueString",
                    };
                    parameter(&name, member, value)
                })
                .collect();
            json!({ "name": "designation", "part": parts }).to_string()
        }));
    }
    all
}

/// A designation as JSON.
pub(super) fn designation(known: &Designation) -> Map<String, Value> {
    let usage = known.usage.as_deref().and_then(|json| serde_json::from_str::<Value>(json).ok());
    let members = [
        ("language", known.language.as_ref().map(|tag| json!(tag))),
        ("use", usage),
        ("value", Some(json!(known.value))),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
