//! Every published example is found by each value that its search parameters have: whatever the type of the
//! parameter, and however odd the value.

use std::collections::BTreeMap;

use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::search::{SearchParameterKind, SearchRegistry};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use crate::corpus;
use crate::json::Json;
use crate::server::{self, Server};

/// Texts are asked for up to this many characters.
const ASKED_MAX: usize = 100;

#[test]
fn every_example_is_found_by_each_of_its_values() {
    let examples = [("spec-examples", "spec-examples-dev"), ("us-core", "us-core-examples-dev")];
    let examples: Vec<_> =
        examples.into_iter().flat_map(|(folder, file)| corpus::lines(folder, file)).collect();
    server::test(|server| async move {
        let mut stored = BTreeMap::new();
        for example in &examples {
            let resource_type = example.json.text("resourceType").unwrap();
            let Some(id) = example.json.text("id") else { continue };
            let address = format!("{resource_type}/{id}");
            if server.send(Method::PUT, &address, &example.text).await.status < 300 {
                stored.insert(address, &example.text);
            }
        }
        let (mut asked, mut lost) = (0, Vec::new());
        for (address, text) in &stored {
            let document = Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
            for question in questions(address, document.root()) {
                asked += 1;
                lost.extend(ask(&server, address, &question).await);
            }
        }
        println!("{asked} searches for {} resources", stored.len());
        assert!(lost.is_empty(), "{} of {asked} searches\n{}", lost.len(), lost.join("\n"));
        assert!(asked > 5000, "{asked} searches");
    });
}

/// What is wrong with the answer to one question about a resource, if anything.
async fn ask(server: &Server, address: &str, question: &str) -> Option<String> {
    let (resource_type, id) = address.split_once('/').unwrap();
    let search = format!("{resource_type}?_id={id}&{question}");
    let answer = server.get(&search).await;
    if answer.status != 200 {
        return Some(format!("{search}: {}", answer.body));
    }
    let bundle = Json::parse(&answer.body);
    let found = bundle.texts("entry/fullUrl");
    let modes = bundle.texts("entry/search/mode");
    (found != [format!("{}/{address}", server.base)] || modes != ["match"])
        .then(|| format!("{search}: {found:?}, {modes:?}"))
}

/// Everything that a resource must be found by, as `name=value`.
fn questions(address: &str, root: Value<'_>) -> Vec<String> {
    let resource_type = address.split('/').next().unwrap();
    let mut questions = Vec::new();
    for parameter in SearchRegistry::r4().parameters(resource_type) {
        let before = questions.len();
        let mut add = |modifier: &str, value: &str| {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            questions.push(format!("{}{modifier}={value}", parameter.code()));
        };
        let found = parameter.extract(root);
        if found.is_empty() || matches!(parameter.code(), "_id" | "_lastUpdated") {
            continue;
        }
        for one in &found {
            let (value, fhir_type) = (one.value, one.fhir_type);
            match parameter.kind() {
                SearchParameterKind::Token => tokens(value, fhir_type).iter().for_each(|text| add("", text)),
                SearchParameterKind::String => {
                    for text in texts(value, fhir_type) {
                        let start: String = text.chars().take(ASKED_MAX).collect();
                        add("", &escaped(&start.to_uppercase()));
                        let piece: String = start.chars().skip(1).collect();
                        // Punctuation does not count (R4 search.html#string), so there is nothing in it to be found.
                        if piece.contains(char::is_alphanumeric) {
                            add(":contains", &escaped(&piece));
                        }
                        add(":exact", &escaped(&text));
                    }
                }
                SearchParameterKind::Date => dates(value, fhir_type).iter().for_each(|text| add("", text)),
                SearchParameterKind::Number => add("", value.raw()),
                SearchParameterKind::Quantity => quantities(value).iter().for_each(|text| add("", text)),
                SearchParameterKind::Reference => {
                    let reference = text(value, "reference").or(value.as_str().map(String::from));
                    if let Some(reference) = reference.filter(|reference| !reference.starts_with('#')) {
                        add("", &escaped(&reference));
                    }
                }
                SearchParameterKind::Uri => add("", &escaped(&value.as_str().unwrap())),
                SearchParameterKind::Composite | SearchParameterKind::Special => continue,
            }
        }
        // A date that is only described in words is none.
        if questions.len() > before {
            questions.push(format!("{}:missing=false", parameter.code()));
        }
    }
    questions.retain(|question| !question.ends_with('='));
    questions.sort();
    questions.dedup();
    questions
}

fn text(value: Value<'_>, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(String::from)
}

/// A value with what separates values made plain (R4 search.html#escaping).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if matches!(character, '\\' | ',' | '|' | '$') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// `code`, `system|code` or `|code`.
fn tokens(value: Value<'_>, fhir_type: &str) -> Vec<String> {
    let pair = |value: Value<'_>, name: &str| {
        let code = escaped(&text(value, name)?);
        let system = text(value, "system").map(|system| escaped(&system)).unwrap_or_default();
        Some([code.clone(), format!("{system}|{code}")])
    };
    let pairs: Vec<_> = match fhir_type {
        "CodeableConcept" => value
            .get("coding")
            .into_iter()
            .flat_map(Value::items)
            .filter_map(|one| pair(one, "code"))
            .collect(),
        "Coding" => pair(value, "code").into_iter().collect(),
        "Identifier" => pair(value, "value").into_iter().collect(),
        "ContactPoint" => return text(value, "value").iter().map(|text| escaped(text)).collect(),
        _ => return vec![value.as_str().map_or_else(|| value.raw().to_owned(), |text| escaped(&text))],
    };
    pairs.into_iter().flatten().collect()
}

/// The parts that a string parameter searches.
fn texts(value: Value<'_>, fhir_type: &str) -> Vec<String> {
    let names: &[&str] = match fhir_type {
        "HumanName" => &["family", "given", "text"],
        "Address" => &["line", "city", "state", "postalCode", "country", "text"],
        _ => return value.as_str().into_iter().map(String::from).collect(),
    };
    let parts = names.iter().filter_map(|name| value.get(name));
    // An array has items, a string is one.
    let parts =
        parts.flat_map(|part| part.items().chain([part]).filter_map(Value::as_str).collect::<Vec<_>>());
    parts.map(String::from).filter(|text| !text.trim().is_empty()).collect()
}

/// The date itself, and what lies around the ends of a period.
fn dates(value: Value<'_>, fhir_type: &str) -> Vec<String> {
    match fhir_type {
        "Period" => {
            let start = text(value, "start")
                .into_iter()
                .flat_map(|start| [format!("ge{start}"), format!("ap{start}"), "gt0001-01-01".to_owned()]);
            let end = text(value, "end").into_iter().flat_map(|end| [format!("le{end}"), format!("ap{end}")]);
            start.chain(end).collect()
        }
        "Timing" => {
            let events = value.get("event").into_iter().flat_map(Value::items);
            events.filter_map(|event| event.as_str().map(String::from)).collect()
        }
        _ => {
            let date = value.as_str().unwrap();
            ["", "ge", "le", "ap"].iter().map(|prefix| format!("{prefix}{date}")).collect()
        }
    }
}

/// The number, also with its unit.
fn quantities(value: Value<'_>) -> Vec<String> {
    let Some(number) = value.get("value").filter(|_| value.get("comparator").is_none()) else {
        return Vec::new();
    };
    let number = number.raw();
    let mut asked =
        vec![number.to_owned(), format!("ge{number}"), format!("le{number}"), format!("ap{number}")];
    let part = |name| text(value, name).map(|text| escaped(&text));
    if let Some(code) = part("code") {
        asked.push(format!("{number}|{}|{code}", part("system").unwrap_or_default()));
        asked.push(format!("{number}||{code}"));
    }
    if let Some(unit) = part("unit") {
        asked.push(format!("{number}||{unit}"));
    }
    if let Some(currency) = part("currency") {
        asked.push(format!("{number}|urn:iso:std:iso:4217|{currency}"));
    }
    asked
}
