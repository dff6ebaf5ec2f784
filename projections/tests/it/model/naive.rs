//! Search parameters read naively: the expression is evaluated by the FHIRPath engine, and what it finds is compared
//! with the value asked for as R4 search.html says, one resource after the other.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::fhirpath::{Collection, Compiled, Context, Item, Node};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::search::{SearchParameter, SearchParameterKind as Kind};
use serde_json::Value;

use super::expression::general;
use super::maker::{Dice, Maker};
use super::times::{Covered, EVER, NEVER, covered, holds};
use super::words::Few;

/// 2024-06-01, the time at which the world asks.
pub(crate) const NOW: i64 = 1_717_200_000_000_000;

/// A random resource.
pub(crate) struct Resource {
    pub(crate) resource_type: String,
    id: String,
    document: Document,
}

/// A type and a value of that type.
pub(crate) type Typed = (String, Value);

impl Resource {
    pub(crate) fn make(resource_type: &str, id: &str, seed: u64) -> Self {
        let mut maker = Maker { dice: Dice::new(seed), text: String::new(), words: Few };
        maker.resource(resource_type, &format!(r#""id":"{id}","#), 0);
        let document = Document::parse(maker.text, &Limits::default()).unwrap();
        Self { resource_type: resource_type.to_owned(), id: id.to_owned(), document }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(self.document.text()).unwrap()
    }

    /// What the parameter's expression finds.
    pub(crate) fn values(&self, parameter: &SearchParameter) -> Vec<Typed> {
        self.evaluated(expression_of(parameter), self.itself()).iter().filter_map(typed).collect()
    }

    /// What the parts of a composite find, element by element and part by part.
    pub(crate) fn elements(&self, parameter: &SearchParameter) -> Vec<Vec<Vec<Typed>>> {
        let elements = self.evaluated(expression_of(parameter), self.itself());
        let parts = &parameter.definition().components;
        let of_element = |element: &Item<'_>| {
            let part = |(_, text): &(String, String)| {
                let element = Collection::single(element.clone());
                self.evaluated(text, element).iter().filter_map(typed).collect()
            };
            parts.iter().map(part).collect()
        };
        elements.iter().map(of_element).collect()
    }

    /// What an expression finds in the resource.
    pub(crate) fn found(&self, text: &str) -> Vec<Typed> {
        self.evaluated(text, self.itself()).iter().filter_map(typed).collect()
    }

    fn itself(&self) -> Collection<'_> {
        let node = Node::new(self.document.root(), r4().structure(&self.resource_type));
        Collection::single(Item::Node(node))
    }

    fn evaluated<'a>(&'a self, text: &str, focus: Collection<'a>) -> Collection<'a> {
        // Kept to the end: what is found may borrow from the expression.
        static COMPILED: LazyLock<Mutex<HashMap<String, &'static Compiled>>> = LazyLock::new(Mutex::default);
        let mut compiled = COMPILED.lock().unwrap();
        let compiled: &'static Compiled =
            compiled.entry(text.to_owned()).or_insert_with(|| Box::leak(Box::new(general(text))));
        compiled.evaluate_on(focus, &Context::of(self.document.root())).unwrap()
    }
}

fn expression_of(parameter: &SearchParameter) -> &str {
    parameter.definition().expression.as_deref().unwrap()
}

fn typed(item: &Item<'_>) -> Option<Typed> {
    match item {
        Item::Node(node) => {
            let value = serde_json::from_str(node.value()?.raw()).unwrap();
            Some((node.structure()?.name.to_owned(), value))
        }
        Item::Boolean(truth) => Some(("boolean".to_owned(), Value::Bool(*truth))),
        other => panic!("a search parameter computes {other:?}"),
    }
}

/// One alternative of a criterion: whether one of the values is what is asked for. Of the parameter its type, and of a
/// reference the types that it leads to.
pub(crate) fn is_found(
    (kind, targets): (Kind, &[String]),
    modifier: &str,
    text: &str,
    values: &[Typed],
) -> bool {
    let any = |test: &dyn Fn(&Typed) -> bool| values.iter().any(test);
    match kind {
        Kind::Token | Kind::Reference if modifier == "text" => any(&|value| is_label(value, &plain(text))),
        Kind::Token => any(&|value| tokens(value).iter().any(|token| is_token(token, text))),
        Kind::String => any(&|value| texts(value).iter().any(|found| is_text(found, modifier, text))),
        Kind::Date => {
            let (prefix, text) = prefix_of(text);
            let search = covered(text).unwrap();
            any(&|value| times(value).into_iter().any(|found| holds(prefix, found, search, NOW)))
        }
        Kind::Number => {
            let (prefix, text) = prefix_of(text);
            any(&|value| number_range(value).is_some_and(|found| number_holds(prefix, found, text, 1.0)))
        }
        Kind::Quantity => any(&|value| is_quantity(value, text)),
        Kind::Reference => any(&|value| is_reference(targets, value, modifier, text)),
        Kind::Uri => any(&|value| is_uri(value, modifier, &plain(text))),
        kind => panic!("no reading of {kind:?}"),
    }
}

/// Whether `:missing=false` finds it.
pub(crate) fn is_there(parameter: &SearchParameter, values: &[Typed]) -> bool {
    match parameter.kind() {
        Kind::Date => values.iter().any(|value| !times(value).is_empty()),
        Kind::Number => values.iter().any(|value| number_range(value).is_some()),
        Kind::Quantity => values.iter().any(|value| quantity(value).is_some()),
        _ => !values.is_empty(),
    }
}

pub(crate) fn prefix_of(text: &str) -> (&str, &str) {
    const PREFIXES: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    let known = PREFIXES.iter().find(|prefix| text.starts_with(**prefix));
    known.map_or(("eq", text), |prefix| (prefix, &text[2..]))
}

/// Parts between separators that have no backslash before them.
fn parts(text: &str) -> Vec<String> {
    text.replace("\\|", "\u{1}").split('|').map(|part| plain(&part.replace('\u{1}', "\\|"))).collect()
}

pub(crate) fn plain(text: &str) -> String {
    ["\\,", "\\|", "\\$"].iter().fold(text.to_owned(), |text, escape| text.replace(escape, &escape[1..]))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

pub(crate) type Token = (Option<String>, Option<String>);

pub(crate) fn tokens((kind, value): &Typed) -> Vec<Token> {
    let pair = |value: &Value, code: &str| (text_of(&value["system"]), text_of(&value[code]));
    let tokens = match kind.as_str() {
        "Coding" => vec![pair(value, "code")],
        "Identifier" => vec![pair(value, "value")],
        "CodeableConcept" => {
            value["coding"].as_array().into_iter().flatten().map(|coding| pair(coding, "code")).collect()
        }
        "ContactPoint" => vec![(text_of(&value["use"]), text_of(&value["value"]))],
        _ => vec![(None, text_of(value))],
    };
    tokens.into_iter().filter(|token| *token != (None, None)).collect()
}

/// The texts of a code or of a reference.
pub(crate) fn labels((kind, value): &Typed) -> Vec<String> {
    let codings = value["coding"].as_array().into_iter().flatten().map(|coding| &coding["display"]);
    let texts: Vec<&Value> = match kind.as_str() {
        "Coding" | "Reference" => vec![&value["display"]],
        "CodeableConcept" => codings.chain([&value["text"]]).collect(),
        "Identifier" => vec![&value["type"]["text"]],
        _ => vec![],
    };
    texts.into_iter().filter_map(text_of).collect()
}

/// The words of a text.
pub(crate) fn words(text: &str) -> Vec<String> {
    let parts = text.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(folded).collect()
}

/// Whether one of the texts begins so, or goes on so from one of its words.
fn is_label(value: &Typed, text: &str) -> bool {
    let wanted = words(text).join(" ");
    labels(value).iter().any(|label| {
        let label = words(label);
        (0..label.len()).any(|from| label[from..].join(" ").starts_with(&wanted))
    })
}

fn is_token((system, code): &Token, text: &str) -> bool {
    let parts = parts(text);
    let is = |part: &Option<String>, text: &str| part.as_deref() == Some(text);
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [wanted] => is(code, wanted),
        ["", wanted] => system.is_none() && is(code, wanted),
        [wanted, ""] => is(system, wanted),
        [wanted, wanted_code] => is(system, wanted) && is(code, wanted_code),
        other => panic!("no token: {other:?}"),
    }
}

pub(crate) fn texts((kind, value): &Typed) -> Vec<String> {
    let names: &[&str] = match kind.as_str() {
        "HumanName" => &["family", "given", "prefix", "suffix", "text"],
        "Address" => &["line", "city", "district", "state", "postalCode", "country", "text"],
        _ => return text_of(value).into_iter().collect(),
    };
    let parts = names.iter().map(|name| &value[*name]);
    parts
        .flat_map(|part| part.as_array().map_or_else(|| vec![part], |all| all.iter().collect()))
        .filter_map(text_of)
        .collect()
}

/// Without case, accents, and spaces beyond one.
pub(crate) fn folded(text: &str) -> String {
    let text = text.to_lowercase();
    let text =
        [("ü", "u"), ("ß", "ss"), ("ø", "o")].iter().fold(text, |text, (from, to)| text.replace(from, to));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_text(found: &str, modifier: &str, text: &str) -> bool {
    match modifier {
        "" => folded(found).starts_with(&folded(text)),
        "exact" => found == text,
        "contains" => folded(found).contains(&folded(text)),
        other => panic!("no such modifier: {other}"),
    }
}

pub(crate) fn times((kind, value): &Typed) -> Vec<Covered> {
    let at = |value: &Value| value.as_str().and_then(covered);
    let period = |value: &Value| {
        let (start, end) = (at(&value["start"]), at(&value["end"]));
        let is_there = start.is_some() || end.is_some();
        let from = start.map_or(NEVER, |start| start.from);
        is_there.then(|| Covered { from, until: end.map_or(EVER, |end| end.until) })
    };
    match kind.as_str() {
        "Period" => period(value).into_iter().collect(),
        // From the first to the last of what it names.
        "Timing" => {
            let events = value["event"].as_array().into_iter().flatten().filter_map(at);
            let all: Vec<Covered> = events.chain(period(&value["repeat"]["boundsPeriod"])).collect();
            let (first, last) = (all.iter().map(|one| one.from).min(), all.iter().map(|one| one.until).max());
            first.zip(last).map(|(from, until)| Covered { from, until }).into_iter().collect()
        }
        _ => at(value).into_iter().collect(),
    }
}

/// From where to where; both ends are in it.
pub(crate) fn number_range((kind, value): &Typed) -> Option<(f64, f64)> {
    let range = |low: Option<f64>, high: Option<f64>| {
        let is_there = low.is_some() || high.is_some();
        is_there.then(|| (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY)))
    };
    match kind.as_str() {
        "Range" => range(value["low"]["value"].as_f64(), value["high"]["value"].as_f64()),
        _ => value.as_f64().map(|number| (number, number)),
    }
}

/// Compares a range with a number as it was written; `factor` takes the number to the unit of the range.
fn number_holds(prefix: &str, (low, high): (f64, f64), text: &str, factor: f64) -> bool {
    let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let half = 0.5 * 10_f64.powi(-i32::try_from(places).unwrap());
    let number: f64 = text.parse().unwrap();
    let near = |number: f64| (number * factor * 1e9).round() / 1e9;
    let (from, exact, until) = (near(number - half), near(number), near(number + half));
    let (low, high) = ((low * 1e9).round() / 1e9, (high * 1e9).round() / 1e9);
    let contains = from <= low && high < until;
    match prefix {
        "eq" => contains,
        "ne" => !contains,
        "gt" => high > exact,
        "lt" => low < exact,
        "ge" => high > exact || (low == exact && high == exact),
        "le" => low < exact || (low == exact && high == exact),
        "sa" => low > exact,
        "eb" => high < exact,
        "ap" => {
            let tolerance = exact.abs() / 10.0;
            low <= exact + tolerance && high >= exact - tolerance
        }
        other => panic!("no such prefix: {other}"),
    }
}

/// A range, its system, code and unit.
type Measured = ((f64, f64), String, String, String);

fn quantity((kind, value): &Typed) -> Option<Measured> {
    let part = |value: &Value, name: &str| text_of(&value[name]).unwrap_or_default();
    let of =
        |range, from: &Value| Some((range, part(from, "system"), part(from, "code"), part(from, "unit")));
    match kind.as_str() {
        "Range" => {
            let from = if value["low"].is_object() { &value["low"] } else { &value["high"] };
            of(number_range(&("Range".to_owned(), value.clone()))?, from)
        }
        "Money" => {
            let number = value["value"].as_f64()?;
            let currency = part(value, "currency");
            let system = if currency.is_empty() { String::new() } else { "urn:iso:std:iso:4217".to_owned() };
            Some(((number, number), system, currency, String::new()))
        }
        _ => {
            let number = value["value"].as_f64()?;
            let range = match value["comparator"].as_str() {
                Some("<" | "<=") => (f64::NEG_INFINITY, number),
                Some(">" | ">=") => (number, f64::INFINITY),
                _ => (number, number),
            };
            of(range, value)
        }
    }
}

const UCUM: &str = "http://unitsofmeasure.org";

/// Grams in a unit of UCUM.
fn grams(code: &str) -> Option<f64> {
    match code {
        "mg" => Some(0.001),
        "g" => Some(1.0),
        "kg" => Some(1000.0),
        _ => None,
    }
}

fn is_quantity(value: &Typed, text: &str) -> bool {
    let Some((range, system, code, unit)) = quantity(value) else { return false };
    let parts = parts(text);
    let (prefix, number) = prefix_of(&parts[0]);
    let as_given = number_holds(prefix, range, number, 1.0);
    let in_grams = |wanted: &str| {
        let (Some(own), Some(factor)) = (grams(&code), grams(wanted)) else { return false };
        let range = (range.0 * own, range.1 * own);
        system == UCUM && number_holds(prefix, range, number, factor)
    };
    match parts[1..].iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["", ""] => as_given,
        // The unit by its name or by its code; a unit of UCUM in any other unit too.
        ["", wanted] => (as_given && (unit == *wanted || code == *wanted)) || in_grams(wanted),
        [UCUM, wanted] if grams(wanted).is_some() => in_grams(wanted),
        [wanted, wanted_code] => as_given && system == *wanted && code == *wanted_code,
        other => panic!("no quantity: {other:?}"),
    }
}

fn is_reference(targets: &[String], (_, value): &Typed, modifier: &str, text: &str) -> bool {
    if modifier == "identifier" {
        let identifier = &value["identifier"];
        let (system, code) =
            (text_of(&identifier["system"]).unwrap_or_default(), text_of(&identifier["value"]));
        let parts = parts(text);
        return match parts.as_slice() {
            [wanted] => code.as_deref() == Some(wanted),
            [wanted, wanted_code] => system == *wanted && code.as_deref() == Some(wanted_code),
            other => panic!("no identifier: {other:?}"),
        };
    }
    let text = plain(text);
    let text = text.strip_prefix("http://here.org/fhir/").unwrap_or(&text);
    if let Some(address) = value.as_str() {
        return address == text || address.rsplit_once('|').is_some_and(|(address, _)| address == text);
    }
    let Some(reference) = value["reference"].as_str() else { return false };
    let reference = reference.split("/_history/").next().unwrap();
    if text.contains('/') {
        return reference == text;
    }
    let Some((resource_type, id)) = reference.split_once('/').filter(|_| !reference.contains(':')) else {
        return false;
    };
    let is_target = targets.is_empty() || targets.iter().any(|target| target == resource_type);
    id == text && if modifier.is_empty() { is_target } else { modifier == resource_type }
}

fn is_uri((kind, value): &Typed, modifier: &str, text: &str) -> bool {
    let Some(uri) = value.as_str() else { return false };
    let is_above = |upper: &str, lower: &str| {
        let is_path = lower.starts_with("http://") && upper.starts_with("http://");
        upper == lower || is_path && lower.starts_with(&format!("{upper}/"))
    };
    match modifier {
        "" => {
            let bare = uri.rsplit_once('|').filter(|_| kind == "canonical");
            uri == text || bare.is_some_and(|(bare, _)| bare == text)
        }
        "below" => is_above(text, uri),
        "above" => {
            let bare = uri.rsplit_once('|').filter(|_| kind == "canonical").map(|(bare, _)| bare);
            is_above(uri, text) || bare.is_some_and(|bare| is_above(bare, text))
        }
        other => panic!("no such modifier: {other}"),
    }
}
