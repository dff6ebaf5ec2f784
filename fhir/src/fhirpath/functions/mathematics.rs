//! Mathematics (FHIRPath 2.0.0 section 5.7). What a Decimal cannot hold gives nothing.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, MathematicalOps};

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::error::EvalErrorKind;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::{Item, Quantity};
use crate::fhirpath::quantity;

/// Digits that a computed power or logarithm is rounded to: series leave noise in the last ones.
const COMPUTED_DIGITS: u32 = 16;

pub(super) fn abs<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    match call.one(&input)? {
        None => Ok(Collection::empty()),
        Some(Item::Integer(number)) => Ok(number.checked_abs().map(Item::Integer).into()),
        Some(Item::Decimal(number)) => Ok(Item::Decimal(number.abs()).into()),
        Some(Item::Quantity(found)) => {
            Ok(Item::Quantity(Quantity::new(found.value.abs(), found.unit)).into())
        }
        Some(_) => call.wrong("a number"),
    }
}

/// Makes a whole number of a number or quantity.
fn whole<'a>(call: &Call<'_, 'a>, input: &Collection<'a>, round: fn(&Decimal) -> Decimal) -> Outcome<'a> {
    match call.one(input)? {
        None => Ok(Collection::empty()),
        Some(item @ Item::Integer(_)) => Ok(item.into()),
        Some(Item::Decimal(number)) => Ok(round(&number).to_i32().map(Item::Integer).into()),
        Some(Item::Quantity(found)) => {
            Ok(Item::Quantity(Quantity::new(round(&found.value), found.unit)).into())
        }
        Some(_) => call.wrong("a number"),
    }
}

pub(super) fn ceiling<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    whole(call, &input, Decimal::ceil)
}

pub(super) fn floor<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    whole(call, &input, Decimal::floor)
}

pub(super) fn truncate<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    whole(call, &input, Decimal::trunc)
}

pub(super) fn round<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Ok(digits) = u32::try_from(call.integer_argument(0)?.unwrap_or(0)) else {
        return call.error(EvalErrorKind::Argument { expected: "a precision of 0 or more" });
    };
    match call.one(&input)? {
        None => Ok(Collection::empty()),
        Some(Item::Integer(number)) => Ok(Item::Decimal(Decimal::from(number)).into()),
        Some(Item::Decimal(number)) => Ok(Item::Decimal(quantity::round(number, digits)).into()),
        Some(Item::Quantity(found)) => {
            Ok(Item::Quantity(Quantity::new(quantity::round(found.value, digits), found.unit)).into())
        }
        Some(_) => call.wrong("a number"),
    }
}

fn compute<'a>(
    call: &Call<'_, 'a>,
    input: &Collection<'a>,
    function: impl Fn(Decimal) -> Option<Decimal>,
) -> Outcome<'a> {
    Ok(call.number(input)?.and_then(function).map(computed).into())
}

fn computed<'a>(number: Decimal) -> Item<'a> {
    Item::Decimal(quantity::round(number, COMPUTED_DIGITS))
}

/// The natural logarithm; `None` where there is none.
fn logarithm(number: Decimal) -> Option<Decimal> {
    (number > Decimal::ZERO).then(|| number.checked_ln()).flatten()
}

pub(super) fn exp<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    compute(call, &input, |number| number.checked_exp())
}

pub(super) fn ln<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    compute(call, &input, logarithm)
}

pub(super) fn log<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(base) = call.number_argument(0)? else { return Ok(Collection::empty()) };
    compute(call, &input, |number| logarithm(number)?.checked_div(logarithm(base)?))
}

pub(super) fn sqrt<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    compute(call, &input, |number| number.sqrt())
}

/// An Integer to an Integer power of 0 or more stays an Integer where it fits.
pub(super) fn power<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let (base, exponent) = (call.one(&input)?, call.one(&call.argument(0)?)?);
    if let (Some(Item::Integer(base)), Some(Item::Integer(exponent @ 0..))) = (&base, &exponent) {
        let power = u32::try_from(*exponent).ok().and_then(|exponent| base.checked_pow(exponent));
        return Ok(power.map(Item::Integer).into());
    }
    let Some((base, exponent)) = call.number(&input)?.zip(call.number_argument(0)?) else {
        return Ok(Collection::empty());
    };
    let power = match exponent.to_i64().filter(|_| exponent.is_integer()) {
        Some(_) if base.is_zero() && exponent < Decimal::ZERO => None,
        Some(exponent) => return Ok(base.checked_powi(exponent).map(Item::Decimal).into()),
        None if base.is_sign_negative() => None,
        None => base.checked_powd(exponent),
    };
    Ok(power.map(computed).into())
}
