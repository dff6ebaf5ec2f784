//! Number parameters (R4 search.html#number), and decimals with the precision they are written in.

use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::Extracted;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::span::{Family, Prefix, Span, SpanBox, ordered};
use super::value::{Asked, Refusal, unescape};

/// Digits and exponent beyond this are no measurement any more.
const DIGITS_MAX: usize = 30;
const EXPONENT_MAX: i32 = 300;
/// `ap` takes a tenth (the recommendation of R4 search.html#prefix).
const APPROXIMATE_PART: f64 = 10.0;

/// Adds what a value is found by.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    let value = extracted.value;
    let span = match extracted.fhir_type {
        "Range" => {
            let end = |name| value.get(name).and_then(|end| end.get("value")).and_then(literal);
            let (low, high) = (end("low"), end("high"));
            (low.is_some() || high.is_some()).then(|| Span::of_numbers(low, high))
        }
        _ => literal(value).map(|number| Span::of_numbers(Some(number), Some(number))),
    };
    if let Some(span) = span {
        entries.span(key.of(Class::Span, &[]), span, true);
    }
}

/// The number of a JSON literal.
pub(super) fn literal(value: Value<'_>) -> Option<f64> {
    value.number()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// What a query asks: a prefix and a number.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier != Modifier::None {
        return Err(asked.unsupported_modifier());
    }
    let mut atoms = Vec::new();
    for value in asked.values {
        let value = unescape(value);
        let (prefix, text) = Prefix::split(&value);
        let decimal = Decimal::parse(text)?;
        let boxes = decimal.boxes(prefix, family(asked.key), |number| number);
        atoms.extend(boxes.into_iter().map(Atom::Span));
    }
    Ok(Criterion::any(atoms, Yield::Most))
}

/// The family of a parameter's spans, by which results are sorted too.
pub(super) fn family(key: &ParameterKey) -> Family {
    Family::new(key.of(Class::Span, &[]), true)
}

/// A decimal with its implicit precision: `5.40` stands for all from 5.395 to 5.405 (R4 search.html#number).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decimal {
    value: f64,
    low: f64,
    high: f64,
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::BadValue("a decimal number such as 5.4, -3 or 1.20e3 is wanted".to_owned());
        let lower = text.to_ascii_lowercase();
        let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| bad())?;
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let has_point_only = unsigned.contains('.') && fraction.is_empty();
        let length = whole.len() + fraction.len();
        if whole.is_empty() || has_point_only || !is_digits(whole) || !is_digits(fraction) {
            return Err(bad());
        }
        if length > DIGITS_MAX || exponent.abs() > EXPONENT_MAX {
            return Err(bad());
        }
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| bad())?;
        let digits = if mantissa.starts_with('-') { -digits } else { digits };
        let scale = exponent - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
        // Written out and read again, so that each end is the number nearest to the true one.
        let at = |digits: i128, scale: i32| format!("{digits}e{scale}").parse::<f64>().map_err(|_| bad());
        Ok(Self {
            value: at(digits, scale)?,
            low: at(digits * 10 - 5, scale - 1)?,
            high: at(digits * 10 + 5, scale - 1)?,
        })
    }

    /// The boxes that answer a prefix; `convert` takes the numbers to the unit of the family.
    pub(super) fn boxes(self, prefix: Prefix, family: Family, convert: impl Fn(f64) -> f64) -> Vec<SpanBox> {
        let value = convert(self.value);
        // Half open: 100 stands for [99.5, 100.5).
        let below = ordered(convert(self.high)).saturating_sub(1);
        let edge = Span::of_numbers(Some(value), Some(value));
        // Of more digits than an index entry has, both ends are the number itself.
        let within = Span { low: ordered(convert(self.low)).min(edge.low), high: below.max(edge.high) };
        let tolerance = value.abs() / APPROXIMATE_PART;
        let around = Span::of_numbers(Some(value - tolerance), Some(value + tolerance));
        prefix.boxes(family, within, edge, around)
    }
}
