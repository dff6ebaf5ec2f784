//! Arithmetic operators on numbers, quantities, text and calendar values (FHIRPath 2.0.0 sections 6.6 and 6.7).

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::ast::BinaryOperator;
use super::calendar::{self, CalendarError};
use super::collection::Collection;
use super::compare::{as_quantity, number, operand};
use super::error::EvalErrorKind;
use super::evaluate::{Machine, single};
use super::item::{Item, Quantity};
use super::quantity;

type Found<'a> = Result<Option<Item<'a>>, EvalErrorKind>;

/// A sign before a term: numbers and quantities only.
pub(super) fn sign(negative: bool, input: Collection<'_>) -> Result<Collection<'_>, EvalErrorKind> {
    let Some(item) = single(&input)?.map(operand) else { return Ok(Collection::empty()) };
    let signed = match item {
        Item::Integer(number) if negative => number.checked_neg().map(Item::Integer),
        Item::Decimal(number) if negative => Some(Item::Decimal(-number)),
        Item::Quantity(quantity) if negative => {
            Some(Item::Quantity(Quantity::new(-quantity.value, quantity.unit)))
        }
        same @ (Item::Integer(_) | Item::Decimal(_) | Item::Quantity(_)) => Some(same),
        _ => return Err(EvalErrorKind::WrongType { expected: "a number" }),
    };
    Ok(signed.into())
}

/// `+ - * / div mod &`. Overflow and division by zero give nothing.
pub(super) fn binary<'a>(
    machine: &Machine<'_, 'a>,
    operator: BinaryOperator,
    left: &Collection<'a>,
    right: &Collection<'a>,
) -> Result<Collection<'a>, EvalErrorKind> {
    if operator == BinaryOperator::Concatenate {
        return concatenate(machine, single(left)?, single(right)?);
    }
    let (Some(left), Some(right)) = (single(left)?, single(right)?) else { return Ok(Collection::empty()) };
    let (left, right) = (operand(left), operand(right));
    let result = match operator {
        BinaryOperator::Add => add(machine, &left, &right),
        BinaryOperator::Subtract => subtract(&left, &right),
        BinaryOperator::Multiply => multiply(&left, &right),
        BinaryOperator::Divide => divide(&left, &right),
        BinaryOperator::IntegerDivide => integer_divide(&left, &right),
        _ => modulo(&left, &right),
    };
    result.map(Collection::from)
}

fn concatenate<'a>(
    machine: &Machine<'_, 'a>,
    left: Option<&Item<'a>>,
    right: Option<&Item<'a>>,
) -> Result<Collection<'a>, EvalErrorKind> {
    let text = |item: Option<&Item<'a>>| match item {
        None => Ok(String::new()),
        Some(item) => match item.as_string() {
            Some(text) => Ok(text.into_owned()),
            None => Err(EvalErrorKind::WrongType { expected: "String" }),
        },
    };
    let (left, right) = (text(left)?, text(right)?);
    machine.bounded_text(left.len() + right.len())?;
    Ok(Item::text(left + &right).into())
}

fn add<'a>(machine: &Machine<'_, 'a>, left: &Item<'a>, right: &Item<'a>) -> Found<'a> {
    match (left, right) {
        (Item::Integer(left), Item::Integer(right)) => Ok(left.checked_add(*right).map(Item::Integer)),
        (Item::String(left), Item::String(right)) => {
            machine.bounded_text(left.len() + right.len())?;
            Ok(Some(Item::text([&**left, &**right].concat())))
        }
        (_, Item::Quantity(duration)) if is_temporal(left) => move_by(left, duration),
        _ => decimals(left, right, Decimal::checked_add, quantity::add),
    }
}

fn subtract<'a>(left: &Item<'a>, right: &Item<'a>) -> Found<'a> {
    let negated = |quantity: &Quantity<'a>| Quantity::new(-quantity.value, quantity.unit.clone());
    match (left, right) {
        (Item::Integer(left), Item::Integer(right)) => Ok(left.checked_sub(*right).map(Item::Integer)),
        (_, Item::Quantity(duration)) if is_temporal(left) => move_by(left, &negated(duration)),
        _ => decimals(left, right, Decimal::checked_sub, |left, right| quantity::add(left, &negated(right))),
    }
}

fn multiply<'a>(left: &Item<'a>, right: &Item<'a>) -> Found<'a> {
    match (left, right) {
        (Item::Integer(left), Item::Integer(right)) => Ok(left.checked_mul(*right).map(Item::Integer)),
        _ => decimals(left, right, Decimal::checked_mul, quantity::multiply),
    }
}

fn divide<'a>(left: &Item<'a>, right: &Item<'a>) -> Found<'a> {
    decimals(left, right, quantity::quotient, quantity::divide)
}

/// Truncated division; a whole result of integers is an Integer, and so is one of decimals where it fits, as
/// the specification's "div" and the suite of HL7 have it.
fn integer_divide<'a>(left: &Item<'a>, right: &Item<'a>) -> Found<'a> {
    match (left, right) {
        (Item::Integer(left), Item::Integer(right)) => Ok(left.checked_div(*right).map(Item::Integer)),
        _ => {
            let (left, right) = both_numbers(left, right)?;
            Ok(left.checked_div(right).and_then(|quotient| quotient.trunc().to_i32()).map(Item::Integer))
        }
    }
}

fn modulo<'a>(left: &Item<'a>, right: &Item<'a>) -> Found<'a> {
    match (left, right) {
        (Item::Integer(left), Item::Integer(right)) => Ok(left.checked_rem(*right).map(Item::Integer)),
        _ => {
            let (left, right) = both_numbers(left, right)?;
            Ok(left.checked_rem(right).map(Item::Decimal))
        }
    }
}

fn both_numbers(left: &Item<'_>, right: &Item<'_>) -> Result<(Decimal, Decimal), EvalErrorKind> {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => Ok((left, right)),
        _ => Err(EvalErrorKind::Operands),
    }
}

/// Applies one function to two numbers, or the other to two quantities.
fn decimals<'a>(
    left: &Item<'a>,
    right: &Item<'a>,
    on_numbers: impl Fn(Decimal, Decimal) -> Option<Decimal>,
    on_quantities: impl Fn(&Quantity<'a>, &Quantity<'a>) -> Option<Quantity<'a>>,
) -> Found<'a> {
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Ok(on_numbers(left, right).map(Item::Decimal));
    }
    match (as_quantity(left), as_quantity(right)) {
        (Some(left), Some(right)) => Ok(on_quantities(&left, &right).map(Item::Quantity)),
        _ => Err(EvalErrorKind::Operands),
    }
}

fn is_temporal(item: &Item<'_>) -> bool {
    matches!(item, Item::Date(_) | Item::DateTime(_) | Item::Time(_))
}

fn move_by<'a>(item: &Item<'a>, duration: &Quantity<'a>) -> Found<'a> {
    let moved = match item {
        Item::Date(date) => calendar::add_to_date(date, duration).map(Item::Date),
        Item::DateTime(moment) => calendar::add_to_date_time(moment, duration).map(Item::DateTime),
        Item::Time(time) => calendar::add_to_time(time, duration).map(Item::Time),
        _ => return Err(EvalErrorKind::Operands),
    };
    moved.map(Some).map_err(|error| match error {
        CalendarError::Unit => EvalErrorKind::WrongType { expected: "a duration of calendar time" },
        CalendarError::Range => EvalErrorKind::Argument { expected: "a result in the years 1 to 9999" },
    })
}
