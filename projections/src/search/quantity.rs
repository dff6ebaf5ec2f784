//! Quantity parameters (R4 search.html#quantity): a number in a unit, compared across units of UCUM.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::Extracted;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::bucket::Scale;
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::number::{Decimal, literal};
use super::span::{Family, Prefix, Span, SpanBox};
use super::value::{Asked, Refusal, split, unescape};

/// R4 valueset-ucum-units.html.
const UCUM: &str = "http://unitsofmeasure.org";
/// The system of a Money's currency (R4 datatypes.html#Money).
const CURRENCY: &str = "urn:iso:std:iso:4217";
/// Units that are kept with their canonical form; a unit is analysed in some microseconds.
const UNITS_KEPT_MAX: usize = 4096;
/// Digits that survive a conversion: two ways to the same unit may differ behind them.
const DIGITS: usize = 12;

/// Adds what a value is found by: the number as given, and the number in its canonical unit.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    let value = extracted.value;
    match extracted.fhir_type {
        "Range" => {
            let (low, high) = (value.get("low"), value.get("high"));
            let Some(unit) = low.or(high) else { return };
            let number = |end: Option<Value<'_>>| end.and_then(|end| end.get("value")).and_then(literal);
            let (low, high) = (number(low), number(high));
            if low.is_some() || high.is_some() {
                add(key, Given::of_quantity(unit, (low, high)), entries);
            }
        }
        "Money" => {
            let Some(number) = value.get("value").and_then(literal) else { return };
            let currency = value.get("currency").and_then(Value::as_str).map(String::from);
            let system = currency.as_ref().map(|_| CURRENCY.to_owned());
            let ends = (Some(number), Some(number));
            add(key, Given { ends, system, code: currency, unit: None }, entries);
        }
        _ => {
            let Some(number) = value.get("value").and_then(literal) else { return };
            let comparator = value.get("comparator").and_then(Value::as_str);
            let ends = match comparator.as_deref() {
                Some("<" | "<=") => (None, Some(number)),
                Some(">" | ">=") => (Some(number), None),
                _ => (Some(number), Some(number)),
            };
            add(key, Given::of_quantity(value, ends), entries);
        }
    }
}

/// A quantity as it was given; an end that is not there is open.
struct Given {
    ends: (Option<f64>, Option<f64>),
    system: Option<String>,
    code: Option<String>,
    unit: Option<String>,
}

impl Given {
    fn of_quantity(quantity: Value<'_>, ends: (Option<f64>, Option<f64>)) -> Self {
        let part = |name| quantity.get(name).and_then(Value::as_str).map(String::from);
        Self { ends, system: part("system"), code: part("code"), unit: part("unit") }
    }
}

fn add(key: &ParameterKey, given: Given, entries: &mut Entries) {
    let (low, high) = given.ends;
    let span = Span::of_numbers(low, high);
    entries.span(family(key).key, span, false);
    let canonical = match (&given.system, &given.code) {
        (Some(system), Some(code)) if system == UCUM => Unit::of(code),
        _ => None,
    };
    if let Some(unit) = &canonical {
        let span = Span::of_numbers(low.map(|end| unit.convert(end)), high.map(|end| unit.convert(end)));
        entries.span(key.of(Class::SpanCanonical, &[&unit.canonical]), span, true);
    } else if let (Some(system), Some(code)) = (&given.system, &given.code) {
        entries.span(key.of(Class::SpanCoded, &[system, code]), span, true);
    }
    // What the canonical unit finds needs no entry under the unit's name.
    let found = canonical.is_some().then_some(given.code.as_deref()).flatten();
    for name in [given.unit.as_deref(), given.code.as_deref()].into_iter().flatten() {
        if found != Some(name) {
            entries.span(key.of(Class::SpanUnit, &[name]), span, false);
        }
    }
}

/// What a query asks: `number`, `number|system|code` or `number||unit`.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier != Modifier::None {
        return Err(asked.unsupported_modifier());
    }
    let mut atoms = Vec::new();
    for value in asked.values {
        let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let (number, system, code) = match parts.as_slice() {
            [number] | [number, "", ""] => (*number, "", ""),
            [number, system, code] if !code.is_empty() => (*number, *system, *code),
            _ => {
                let forms = "a quantity is number, number|system|code or number||unit";
                return Err(Refusal::BadValue(forms.to_owned()));
            }
        };
        let (prefix, number) = Prefix::split(number);
        let boxes = boxes(asked.key, prefix, Decimal::parse(number)?, (system, code));
        atoms.extend(boxes.into_iter().map(Atom::Span));
    }
    Ok(Criterion::any(atoms, Yield::Most))
}

/// The family of a parameter's numbers as given, by which results are sorted too.
pub(super) fn family(key: &ParameterKey) -> Family {
    Family { scale: Some(Scale::Numbers), ..Family::new(key.of(Class::Span, &[]), false) }
}

fn boxes(key: &ParameterKey, prefix: Prefix, number: Decimal, (system, code): (&str, &str)) -> Vec<SpanBox> {
    let as_given = |family: Family| number.boxes(prefix, family, |number| number);
    let unit = if system.is_empty() || system == UCUM { Unit::of(code) } else { None };
    let in_canonical = |unit: &Unit| {
        let family = Family::new(key.of(Class::SpanCanonical, &[&unit.canonical]), true);
        number.boxes(prefix, family, |number| unit.convert(number))
    };
    match (system, code, unit) {
        (_, "", _) => as_given(family(key)),
        ("", _, unit) => {
            let mut boxes = as_given(Family::new(key.of(Class::SpanUnit, &[code]), false));
            boxes.extend(unit.iter().flat_map(|unit| in_canonical(unit)));
            boxes
        }
        (_, _, Some(unit)) => in_canonical(&unit),
        (_, _, None) => as_given(Family::new(key.of(Class::SpanCoded, &[system, code]), true)),
    }
}

/// How a UCUM unit becomes its canonical unit: times `factor`, plus `offset`.
#[derive(Debug)]
struct Unit {
    canonical: String,
    factor: f64,
    offset: f64,
}

impl Unit {
    /// `None` where the code is no UCUM unit, or one on a scale that is not linear (`[pH]`).
    fn of(code: &str) -> Option<Arc<Self>> {
        static KNOWN: LazyLock<RwLock<HashMap<String, Option<Arc<Unit>>>>> = LazyLock::new(RwLock::default);
        if code.is_empty() {
            return None;
        }
        if let Some(unit) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(code) {
            return unit.clone();
        }
        let unit = octofhir_ucum::get_canonical_units(code).ok().map(|unit| {
            let (factor, offset) = (unit.factor.to_f64(), unit.offset.to_f64());
            Arc::new(Self { canonical: unit.unit, factor, offset })
        });
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < UNITS_KEPT_MAX {
            known.insert(code.to_owned(), unit.clone());
        }
        unit
    }

    fn convert(&self, number: f64) -> f64 {
        let converted = number.mul_add(self.factor, self.offset);
        format!("{converted:.*e}", DIGITS - 1).parse().unwrap_or(converted)
    }
}
