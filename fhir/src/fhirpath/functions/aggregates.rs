//! Aggregates over all items: `sum`, `min`, `max`, `avg` (later drafts of FHIRPath, section 7).

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::compare::{Comparison, compare, number, operand};
use crate::fhirpath::error::{EvalError, EvalErrorKind};
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::{Item, Quantity};
use crate::fhirpath::quantity;

pub(super) fn sum<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(total(call, &input)?.into())
}

/// The sum in the type of the items; `None` for no items, overflow, or units that do not add up.
fn total<'a>(call: &Call<'_, 'a>, input: &Collection<'a>) -> Result<Option<Item<'a>>, EvalError> {
    let mut items = input.iter().map(operand);
    let Some(mut total) = items.next() else { return Ok(None) };
    if number(&total).is_none() && !matches!(total, Item::Quantity(_)) {
        return call.wrong("a number");
    }
    for item in items {
        let sum = match (&total, &item) {
            (Item::Integer(left), Item::Integer(right)) => left.checked_add(*right).map(Item::Integer),
            (Item::Quantity(left), Item::Quantity(right)) => quantity::add(left, right).map(Item::Quantity),
            (left, right) => match (number(left), number(right)) {
                (Some(left), Some(right)) => left.checked_add(right).map(Item::Decimal),
                _ => return call.error(EvalErrorKind::Operands),
            },
        };
        let Some(sum) = sum else { return Ok(None) };
        total = sum;
    }
    Ok(Some(total))
}

pub(super) fn avg<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let count = Decimal::from(input.len());
    let Some(total) = total(call, &input)? else { return Ok(Collection::empty()) };
    let average = match total {
        Item::Quantity(total) => quantity::quotient(total.value, count)
            .map(|value| Item::Quantity(Quantity::new(value, total.unit))),
        total => number(&total).and_then(|total| quantity::quotient(total, count)).map(Item::Decimal),
    };
    Ok(average.into())
}

pub(super) fn min<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    extreme(call, input, Ordering::Less)
}

pub(super) fn max<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    extreme(call, input, Ordering::Greater)
}

/// The item that comes before or behind all others; nothing where an order is not known.
fn extreme<'a>(call: &Call<'_, 'a>, input: Collection<'a>, wanted: Ordering) -> Outcome<'a> {
    let mut best: Option<Item<'a>> = None;
    for item in input {
        let replaces = match &best {
            None => true,
            Some(best) => match compare(&operand(&item), &operand(best)) {
                Comparison::Known(order) => order == wanted,
                Comparison::Unknown | Comparison::Imprecise => return Ok(Collection::empty()),
                Comparison::Mismatch => return call.error(EvalErrorKind::Operands),
            },
        };
        if replaces {
            best = Some(item);
        }
    }
    Ok(best.into())
}
