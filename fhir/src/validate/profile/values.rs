//! Values that a profile fixes or bounds: `fixed[x]`, `pattern[x]`, `minValue[x]`, `maxValue[x]`, `maxLength`.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::check::{At, Check, place, printable};
use super::table::{Profile, Rules, Wanted};
use crate::datetime::{DateTime, Time};
use crate::fhirpath::Node;
use crate::json::{Kind, Value};
use crate::validate::issues::IssueCode;

/// Items of a list that a pattern is compared with; beyond it the pattern is not found, which is told.
const ITEMS_MAX: usize = 1000;

impl<'a> Check<'_, 'a> {
    pub(super) fn values(&mut self, profile: &Profile, rules: &Rules, node: &Node<'a>, at: At<'_, 'a>) {
        let Some(value) = place(node) else { return };
        let url = printable(&profile.url);
        if let Some(wanted) = &rules.wanted
            && !has(wanted, node)
        {
            let shown = Shown(wanted.value());
            let what = if wanted.is_exact { "must be exactly" } else { "must match" };
            let message = format_args!("{what} {shown}; profile {url}");
            self.issues.error(IssueCode::Value, at.path, value, message);
        }
        if let (Some(max), Some(text)) = (rules.length_max, value.as_str())
            && text.chars().count() > max
        {
            let message = format_args!("must not be longer than {max} characters; profile {url}");
            self.issues.error(IssueCode::TooLong, at.path, value, message);
        }
        for (bound, wrong, what) in
            [(&rules.low, Ordering::Less, "less"), (&rules.high, Ordering::Greater, "greater")]
        {
            let Some(bound) = bound else { continue };
            if compare(value, bound.root()) == Some(wrong) {
                let message = format_args!("must not be {what} than {}; profile {url}", Shown(bound.root()));
                self.issues.error(IssueCode::Value, at.path, value, message);
            }
        }
    }
}

/// Whether an element has the value that is wanted.
pub(super) fn has(wanted: &Wanted, node: &Node<'_>) -> bool {
    let Some(value) = node.value() else { return false };
    if wanted.is_exact { is_equal(value, wanted.value()) } else { matches(value, wanted.value()) }
}

/// The same content; the order of members does not count, that of items does (R4 elementdefinition.html, fixed).
fn is_equal(value: Value<'_>, wanted: Value<'_>) -> bool {
    match (value.kind(), wanted.kind()) {
        (Kind::Object, Kind::Object) => {
            value.len() == wanted.len()
                && wanted
                    .members()
                    .all(|(name, inner)| value.get(&name).is_some_and(|own| is_equal(own, inner)))
        }
        (Kind::Array, Kind::Array) => {
            value.len() == wanted.len()
                && value.items().zip(wanted.items()).all(|(own, inner)| is_equal(own, inner))
        }
        _ => is_same_scalar(value, wanted),
    }
}

/// What the pattern has is there; there may be more (R4 elementdefinition.html, pattern).
fn matches(value: Value<'_>, wanted: Value<'_>) -> bool {
    match (value.kind(), wanted.kind()) {
        (Kind::Object, Kind::Object) => {
            wanted.members().all(|(name, inner)| value.get(&name).is_some_and(|own| matches(own, inner)))
        }
        (Kind::Array, Kind::Array) => {
            wanted.items().all(|inner| value.items().take(ITEMS_MAX).any(|own| matches(own, inner)))
        }
        _ => is_same_scalar(value, wanted),
    }
}

fn is_same_scalar(value: Value<'_>, wanted: Value<'_>) -> bool {
    match (value.kind(), wanted.kind()) {
        (Kind::String, Kind::String) => value.as_str() == wanted.as_str(),
        (Kind::Number, Kind::Number) => {
            value.raw() == wanted.raw() || number(value).is_some_and(|own| Some(own) == number(wanted))
        }
        (own, other) => own == other && value.raw() == wanted.raw(),
    }
}

fn number(value: Value<'_>) -> Option<Decimal> {
    let literal = value.number()?;
    literal.parse().or_else(|_| Decimal::from_scientific(literal)).ok()
}

/// Compares a value with a bound; nothing where they cannot be compared.
fn compare(value: Value<'_>, bound: Value<'_>) -> Option<Ordering> {
    if bound.kind() == Kind::Object {
        let same_unit = ["system", "code"]
            .into_iter()
            .all(|name| value.get(name).and_then(Value::as_str) == bound.get(name).and_then(Value::as_str));
        return if same_unit { compare(value.get("value")?, bound.get("value")?) } else { None };
    }
    if bound.kind() == Kind::Number {
        return Some(number(value)?.cmp(&number(bound)?));
    }
    let (own, other) = (value.as_str()?, bound.as_str()?);
    if let (Ok(own), Ok(other)) = (Time::parse(&own), Time::parse(&other)) {
        return Some(own.microseconds().cmp(&other.microseconds()));
    }
    let read = |text: &str| DateTime::parse_date_time(text).ok().map(|moment| moment.interval());
    let (own, other) = (read(&own)?, read(&other)?);
    // Spans that touch each other's inside are neither before nor behind.
    if own.high <= other.low {
        Some(Ordering::Less)
    } else if own.low >= other.high {
        Some(Ordering::Greater)
    } else {
        Some(Ordering::Equal)
    }
}

/// A value of a profile for a message, where it is short.
struct Shown<'v>(Value<'v>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const BYTES_MAX: usize = 300;
        let raw = self.0.raw();
        formatter.write_str(if raw.len() <= BYTES_MAX { raw } else { "the value in the profile" })
    }
}
