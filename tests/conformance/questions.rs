//! What a resource must be found by: for each value of each search parameter the searches that ask for it.

use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::{Extracted, SearchParameter, SearchParameterKind, SearchRegistry};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Texts are asked for up to this many characters.
const ASKED_MAX: usize = 100;
/// Texts of codes are, of which the index has the beginnings.
const LABEL_MAX: usize = 50;

/// What to ask of a resource.
pub(crate) struct Questions {
    /// As `name=value`.
    pub(crate) asked: Vec<String>,
    /// Parameters with a value that no question asks for, although nothing is known that would keep it from being found.
    pub(crate) silent: Vec<String>,
}

/// Everything that a resource must be found by.
pub(crate) fn questions(address: &str, root: Value<'_>) -> Questions {
    let resource_type = address.split('/').next().unwrap();
    let mut all = Questions { asked: Vec::new(), silent: Vec::new() };
    for parameter in SearchRegistry::r4().parameters(resource_type) {
        match parameter.code() {
            "_id" => continue,
            // The server's own time, not the example's.
            "_lastUpdated" => {
                all.asked.extend(["_lastUpdated=gt2020".to_owned(), "_lastUpdated:missing=false".to_owned()]);
                continue;
            }
            _ => {}
        }
        let before = all.asked.len();
        for one in &parameter.extract(root) {
            let asked = match parameter.kind() {
                SearchParameterKind::Composite => composites(parameter, root, one.value),
                SearchParameterKind::Special => places(one.value),
                kind => asked_of(kind, one),
            };
            if asked.is_empty() && !is_unsaid(parameter, one) {
                let raw: String = one.value.raw().chars().take(120).collect();
                all.silent.push(format!("{resource_type} {} ({}): {raw}", parameter.code(), one.fhir_type));
            }
            for (modifier, value) in asked.iter().filter(|(_, value)| !value.is_empty()) {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                all.asked.push(format!("{}{modifier}={value}", parameter.code()));
            }
        }
        let is_combined =
            matches!(parameter.kind(), SearchParameterKind::Composite | SearchParameterKind::Special);
        if all.asked.len() > before && !is_combined {
            all.asked.push(format!("{}:missing=false", parameter.code()));
        }
    }
    all.asked.sort();
    all.asked.dedup();
    all
}

/// Modifier and value of each search for one value.
type Asked = Vec<(&'static str, String)>;

fn asked_of(kind: SearchParameterKind, one: &Extracted<'_>) -> Asked {
    let (value, fhir_type) = (one.value, one.fhir_type);
    let plain = |texts: Vec<String>| texts.into_iter().map(|text| ("", text)).collect();
    match kind {
        SearchParameterKind::Token => {
            let mut asked: Asked = plain(tokens(value, fhir_type));
            asked.extend(labels(value, fhir_type));
            asked
        }
        SearchParameterKind::String => {
            texts(value, fhir_type).iter().flat_map(|text| strings(text)).collect()
        }
        SearchParameterKind::Date => plain(dates(value, fhir_type)),
        SearchParameterKind::Number => vec![("", value.raw().to_owned())],
        SearchParameterKind::Quantity => plain(quantities(value)),
        SearchParameterKind::Reference => references(value),
        SearchParameterKind::Uri => vec![("", escaped(&value.as_str().unwrap()))],
        SearchParameterKind::Composite | SearchParameterKind::Special => Vec::new(),
    }
}

/// Whether a value says nothing that could be asked for.
fn is_unsaid(parameter: &SearchParameter, one: &Extracted<'_>) -> bool {
    let (value, has) = (one.value, |name: &str| one.value.get(name).is_some());
    match (parameter.kind(), one.fhir_type) {
        // Described in words alone, or by what the code system's owner leaves out.
        (SearchParameterKind::Token, "CodeableConcept" | "Coding") => tokens(value, one.fhir_type).is_empty(),
        (SearchParameterKind::Token, "ContactPoint") => !has("value"),
        // A reference or a text of its own, of which only the first can be at an address.
        (SearchParameterKind::Reference, "Attachment") => true,
        // What is contained, or only named, is at no address.
        (SearchParameterKind::Reference, "Reference") => {
            !has("identifier") && text(value, "reference").is_none_or(|target| target.starts_with('#'))
        }
        // The resource itself, within a Bundle.
        (SearchParameterKind::Reference, _) => has("resourceType"),
        (SearchParameterKind::Quantity, _) => has("comparator") || !has("value"),
        // A schedule without a date.
        (SearchParameterKind::Date, "Timing") => !has("event"),
        (SearchParameterKind::Date, "Period") => !has("start") && !has("end"),
        // A part has no value.
        (SearchParameterKind::Composite, _) => true,
        _ => false,
    }
}

/// The first value of each part of an element together, and each other value of a part with the first ones of the others.
fn composites(parameter: &SearchParameter, root: Value<'_>, element: Value<'_>) -> Asked {
    let parts: Vec<Vec<String>> = parameter
        .components()
        .iter()
        .map(|part| {
            let found = part.extract(root, element);
            let asked = found.iter().flat_map(|one| asked_of(part.kind(), one));
            let asked = asked.filter(|(modifier, value)| modifier.is_empty() && !is_system_alone(value));
            asked.map(|(_, value)| value).collect()
        })
        .collect();
    let Some(first) = parts.iter().map(|part| part.first()).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let mut asked = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        for value in part {
            let mut combined = first.clone();
            combined[place] = value;
            let combined: Vec<&str> = combined.into_iter().map(String::as_str).collect();
            asked.push(("", combined.join("$")));
        }
    }
    asked
}

/// Around a place, and around one that is some kilometres away.
fn places(value: Value<'_>) -> Asked {
    let degrees = |name| value.get(name).map(|number| number.raw().to_owned());
    match (degrees("latitude"), degrees("longitude")) {
        (Some(latitude), Some(longitude)) => {
            let north: f64 = latitude.parse::<f64>().unwrap() + 0.1;
            vec![("", format!("{latitude}|{longitude}|10|m")), ("", format!("{north}|{longitude}|12|km"))]
        }
        _ => Vec::new(),
    }
}

/// The beginning of a text, a piece of it, and all of it.
fn strings(text: &str) -> Asked {
    let start: String = text.chars().take(ASKED_MAX).collect();
    let piece: String = start.chars().skip(1).collect();
    let mut asked = vec![("", escaped(&start.to_uppercase())), (":exact", escaped(text))];
    // Punctuation does not count (R4 search.html#string), so there is nothing in it to be found.
    if piece.contains(char::is_alphanumeric) {
        asked.push((":contains", escaped(&piece)));
    }
    asked
}

/// The address as it stands; of one of our own also its id, and that with the type; and the identifier.
fn references(value: Value<'_>) -> Asked {
    let reference = text(value, "reference").or(value.as_str().map(String::from));
    let reference = reference.filter(|reference| !reference.starts_with('#'));
    let mut asked: Asked = reference.iter().map(|reference| ("", escaped(reference))).collect();
    if let Some([_, id]) = reference.as_deref().map(|one| one.split('/').collect::<Vec<_>>()).as_deref() {
        asked.push(("", escaped(id)));
    }
    let identifier = value.get("identifier");
    let identifiers = identifier.map(|one| tokens(one, "Identifier")).unwrap_or_default();
    let identifiers = identifiers.into_iter().filter(|token| !is_system_alone(token));
    asked.extend(identifiers.map(|token| (":identifier", token)));
    asked.extend(labels(value, "Reference"));
    asked
}

/// The beginnings of the texts that go with a code or a reference.
fn labels(value: Value<'_>, fhir_type: &str) -> Asked {
    let of_coding = |coding: Value<'_>| text(coding, "display");
    let labels: Vec<String> = match fhir_type {
        "CodeableConcept" => {
            let codings = value.get("coding").into_iter().flat_map(Value::items).filter_map(of_coding);
            text(value, "text").into_iter().chain(codings).collect()
        }
        "Coding" | "Reference" => of_coding(value).into_iter().collect(),
        "Identifier" => value.get("type").and_then(|kind| text(kind, "text")).into_iter().collect(),
        _ => Vec::new(),
    };
    let begin = |label: &String| label.trim().chars().take(LABEL_MAX).collect::<String>();
    let labels = labels.iter().map(begin).filter(|label| label.contains(char::is_alphanumeric));
    labels.map(|label| (":text", escaped(&label))).collect()
}

/// `system|`, which parts of composites and `:identifier` do not take.
fn is_system_alone(token: &str) -> bool {
    token.ends_with('|') && !token.ends_with("\\|")
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
        let system = text(value, "system").map(|system| escaped(&system));
        let Some(code) = text(value, name).map(|code| escaped(&code)) else {
            return system.map(|system| vec![format!("{system}|")]);
        };
        let with_system = format!("{}|{code}", system.clone().unwrap_or_default());
        let mut asked = vec![code, with_system];
        asked.extend(system.map(|system| format!("{system}|")));
        Some(asked)
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
        // No token: a part of a composite may be one of several types.
        "Reference" => return Vec::new(),
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
