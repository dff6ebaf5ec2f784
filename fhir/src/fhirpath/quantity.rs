//! Quantities: reading FHIR's, comparing and converting by UCUM, exact in decimals.

use std::borrow::Cow;
use std::cmp::Ordering;

use octofhir_ucum::{EvalResult, Number};
use rust_decimal::Decimal;

use super::collection::Collection;
use super::item::{Item, Node, Quantity, Unit, decimal};
use super::navigate;
use super::unit::CalendarUnit;
use crate::definitions::r4;

/// The system of UCUM codes.
pub(super) const UCUM: &str = "http://unitsofmeasure.org";

impl<'a> Quantity<'a> {
    pub(super) fn new(value: Decimal, unit: Unit<'a>) -> Self {
        Self { value, unit }
    }

    /// A plain number: its unit is `1` (FHIRPath 2.0.0 section 5.5, implicit conversion).
    pub(super) fn plain(value: Decimal) -> Self {
        Self { value, unit: Unit::Ucum(Cow::Borrowed("1")) }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(&self.unit, Unit::Ucum(code) if code == "1")
    }
}

/// Whether the node is a FHIR Quantity, or one of its kinds such as Age.
pub(super) fn is_quantity(node: &Node<'_>) -> bool {
    node.structure
        .is_some_and(|structure| structure.name == "Quantity" || r4().is_a(structure.name, "Quantity"))
}

/// Reads a FHIR Quantity (R4 fhirpath.html#quantity). One with a comparator has no single value: `None`.
pub(super) fn from_node<'a>(node: &Node<'a>) -> Option<Quantity<'a>> {
    let part = |name: &str| {
        let mut found = Collection::empty();
        navigate::member(&Item::Node(*node), name, &mut found);
        found.pop()
    };
    if part("comparator").is_some() {
        return None;
    }
    let value = match part("value")?.to_system() {
        Item::Decimal(value) => value,
        _ => return None,
    };
    let text = |name: &str| part(name).and_then(|item| item.as_string());
    let in_ucum = text("system").is_none_or(|system| system == UCUM);
    let code = text("code").or_else(|| text("unit")).unwrap_or(Cow::Borrowed("1"));
    // R4 maps `a` and `mo` to calendar durations; the shorter ones are equal to theirs.
    let unit = match (&*code, in_ucum) {
        ("a", true) => Unit::Calendar(CalendarUnit::Year),
        ("mo", true) => Unit::Calendar(CalendarUnit::Month),
        _ => Unit::Ucum(code),
    };
    Some(Quantity::new(value, unit))
}

/// A unit as UCUM evaluates it; `None` for one that is no proper unit of a ratio scale (`Cel`, `[pH]`).
fn evaluate(unit: &Unit<'_>) -> Option<EvalResult> {
    let code = match unit {
        Unit::Ucum(code) => code,
        Unit::Calendar(unit) => unit.ucum(),
    };
    let parsed = octofhir_ucum::parse_expression(code).ok()?;
    octofhir_ucum::evaluate(&parsed).ok().filter(|result| result.special.is_none())
}

/// How many of a unit of its own line a calendar unit is: months, or milliseconds.
fn calendar_factor(unit: CalendarUnit) -> (bool, Decimal) {
    match unit {
        CalendarUnit::Year => (true, Decimal::from(12)),
        CalendarUnit::Month => (true, Decimal::ONE),
        CalendarUnit::Week => (false, Decimal::from(604_800_000)),
        CalendarUnit::Day => (false, Decimal::from(86_400_000)),
        CalendarUnit::Hour => (false, Decimal::from(3_600_000)),
        CalendarUnit::Minute => (false, Decimal::from(60_000)),
        CalendarUnit::Second => (false, Decimal::from(1_000)),
        CalendarUnit::Millisecond => (false, Decimal::ONE),
    }
}

/// The factor from one unit to another; `None` where they measure different things or the factor is not fixed.
///
/// A calendar month or year is no UCUM `mo` or `a` (FHIRPath 2.0.0 section 6.1, Quantity Equality) unless
/// `approximately` is asked, as equivalence does.
fn factor(from: &Unit<'_>, to: &Unit<'_>, approximately: bool) -> Option<Number> {
    if from == to {
        return Some(Number::ONE);
    }
    if let (Unit::Calendar(one), Unit::Calendar(other)) = (from, to) {
        let ((one_long, one), (other_long, other)) = (calendar_factor(*one), calendar_factor(*other));
        if one_long == other_long {
            return exact(one)?.checked_div(exact(other)?);
        }
    }
    let indefinite = |unit: &Unit<'_>| matches!(unit, Unit::Calendar(unit) if !unit.is_definite());
    if !approximately && (indefinite(from) || indefinite(to)) {
        return None;
    }
    let (from, to) = (evaluate(from)?, evaluate(to)?);
    if !from.is_commensurable(&to) {
        return None;
    }
    from.factor.checked_div(to.factor)
}

fn exact(value: Decimal) -> Option<Number> {
    Number::parse(&value.to_string())
}

fn scaled(value: Decimal, factor: Number) -> Option<Decimal> {
    if factor == Number::ONE {
        return Some(value);
    }
    decimal(&exact(value)?.checked_mul(factor)?.to_string())
}

/// Whether one is less, equal or greater; `None` where that cannot be told.
pub(super) fn compare(left: &Quantity<'_>, right: &Quantity<'_>) -> Option<Ordering> {
    let factor = factor(&left.unit, &right.unit, false)?;
    if factor == Number::ONE {
        return Some(left.value.cmp(&right.value));
    }
    Some(exact(left.value)?.checked_mul(factor)?.cmp(&exact(right.value)?))
}

/// Whether two quantities could be compared.
pub(super) fn comparable(left: &Quantity<'_>, right: &Quantity<'_>) -> bool {
    factor(&left.unit, &right.unit, false).is_some()
}

/// Whether both are the same when rounded to the less precise one, in the larger of the two units; `None`
/// where the units measure different things.
pub(super) fn equivalent(left: &Quantity<'_>, right: &Quantity<'_>) -> Option<bool> {
    let factor = factor(&left.unit, &right.unit, true)?;
    let (left, right) = if factor < Number::ONE {
        (scaled(left.value, factor)?, right.value)
    } else {
        (left.value, scaled(right.value, Number::ONE.checked_div(factor)?)?)
    };
    Some(equivalent_decimals(left, right))
}

/// Equal when rounded to the digits of the less precise one, trailing zeros left aside.
pub(super) fn equivalent_decimals(left: Decimal, right: Decimal) -> bool {
    let digits = left.normalize().scale().min(right.normalize().scale());
    round(left, digits) == round(right, digits)
}

/// Rounds half away from zero.
pub(super) fn round(value: Decimal, digits: u32) -> Decimal {
    value.round_dp_with_strategy(digits, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
}

/// The same quantity in another unit.
pub(super) fn convert<'a>(
    quantity: &Quantity<'_>,
    unit: Unit<'a>,
    approximately: bool,
) -> Option<Quantity<'a>> {
    let value = scaled(quantity.value, factor(&quantity.unit, &unit, approximately)?)?;
    Some(Quantity::new(value, unit))
}

/// The sum, in the unit of the left one.
pub(super) fn add<'a>(left: &Quantity<'a>, right: &Quantity<'_>) -> Option<Quantity<'a>> {
    let right = convert(right, left.unit.clone(), false)?;
    Some(Quantity::new(left.value.checked_add(right.value)?, left.unit.clone()))
}

/// The product; a calendar duration can only be multiplied with a plain number.
pub(super) fn multiply<'a>(left: &Quantity<'a>, right: &Quantity<'a>) -> Option<Quantity<'a>> {
    let value = left.value.checked_mul(right.value)?;
    let unit = match (&left.unit, &right.unit) {
        _ if right.is_plain() => left.unit.clone(),
        _ if left.is_plain() => right.unit.clone(),
        (Unit::Ucum(left), Unit::Ucum(right)) => {
            let product = octofhir_ucum::unit_multiply(left, right).ok()?;
            Unit::Ucum(Cow::Owned(product.expression))
        }
        _ => return None,
    };
    Some(Quantity::new(value, unit))
}

/// The quotient of two numbers, without the zeros that a division leaves; `None` for a division by zero.
pub(super) fn quotient(left: Decimal, right: Decimal) -> Option<Decimal> {
    left.checked_div(right).map(|quotient| quotient.normalize())
}

/// The quotient; `None` for a division by zero.
pub(super) fn divide<'a>(left: &Quantity<'a>, right: &Quantity<'a>) -> Option<Quantity<'a>> {
    let value = quotient(left.value, right.value)?;
    let unit = match (&left.unit, &right.unit) {
        _ if right.is_plain() => left.unit.clone(),
        (left, right) if left == right => Unit::Ucum(Cow::Borrowed("1")),
        (Unit::Ucum(left), Unit::Ucum(right)) => {
            let quotient = octofhir_ucum::unit_divide(left, right).ok()?;
            Unit::Ucum(Cow::Owned(quotient.expression))
        }
        _ => return None,
    };
    Some(Quantity::new(value, unit))
}
