//! Conversions between System types (FHIRPath 2.0.0 section 5.5).

use std::borrow::Cow;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::{Item, Quantity, Unit, decimal};
use crate::fhirpath::quantity;
use crate::fhirpath::temporal::{Date, DateTime, Time};
use crate::fhirpath::unit::CalendarUnit;

type Conversion = for<'a> fn(&Item<'a>) -> Option<Item<'a>>;

fn convert<'a>(call: &Call<'_, 'a>, input: &Collection<'a>, conversion: Conversion) -> Outcome<'a> {
    Ok(call.one(input)?.and_then(|item| conversion(&item)).into())
}

fn converts<'a>(call: &Call<'_, 'a>, input: &Collection<'a>, conversion: Conversion) -> Outcome<'a> {
    Ok(Collection::boolean(call.one(input)?.map(|item| conversion(&item).is_some())))
}

pub(super) fn to_boolean<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, boolean)
}

pub(super) fn converts_to_boolean<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, boolean)
}

pub(super) fn to_integer<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, integer)
}

pub(super) fn converts_to_integer<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, integer)
}

pub(super) fn to_decimal<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, to_decimal_item)
}

pub(super) fn converts_to_decimal<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, to_decimal_item)
}

pub(super) fn to_string<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, string)
}

pub(super) fn converts_to_string<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, string)
}

pub(super) fn to_date<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, date)
}

pub(super) fn converts_to_date<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, date)
}

pub(super) fn to_date_time<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, date_time)
}

pub(super) fn converts_to_date_time<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, date_time)
}

pub(super) fn to_time<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    convert(call, &input, time)
}

pub(super) fn converts_to_time<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    converts(call, &input, time)
}

pub(super) fn to_quantity<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let found = call.one(&input)?.and_then(|item| to_quantity_item(&item));
    let Some(unit) = call.text_argument(0)? else { return Ok(found.map(Item::Quantity).into()) };
    Ok(found.and_then(|found| quantity::convert(&found, unit_named(unit), true)).map(Item::Quantity).into())
}

pub(super) fn converts_to_quantity<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    if input.is_empty() {
        return Ok(Collection::empty());
    }
    Ok(Collection::boolean(!to_quantity(call, input)?.is_empty()))
}

/// A word is a calendar unit, anything else a UCUM code.
fn unit_named(name: Cow<'_, str>) -> Unit<'_> {
    CalendarUnit::from_word(&name).map_or(Unit::Ucum(name), Unit::Calendar)
}

fn boolean<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::Boolean(truth) => Some(*truth),
        Item::Integer(1) => Some(true),
        Item::Integer(0) => Some(false),
        Item::Decimal(number) if *number == Decimal::ONE => Some(true),
        Item::Decimal(number) if number.is_zero() => Some(false),
        Item::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
    .map(Item::Boolean)
}

fn integer<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::Integer(number) => Some(*number),
        Item::Boolean(truth) => Some(i32::from(*truth)),
        Item::String(text) => text.parse().ok(),
        Item::Decimal(number) if number.is_integer() => number.to_i32(),
        _ => None,
    }
    .map(Item::Integer)
}

fn to_decimal_item<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::Decimal(number) => Some(*number),
        Item::Integer(number) => Some(Decimal::from(*number)),
        Item::Boolean(truth) => Some(Decimal::from(u8::from(*truth))),
        Item::String(text) => decimal_text(text),
        _ => None,
    }
    .map(Item::Decimal)
}

/// `(+|-)?[0-9]+(\.[0-9]+)?`
fn decimal_text(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| decimal(text)).flatten()
}

fn string<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::String(_) => Some(item.clone()),
        Item::Node(_) | Item::Type(_) | Item::Unresolved(_) => None,
        other => Some(Item::text(other.to_string())),
    }
}

fn date<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::Date(date) => Some(*date),
        Item::DateTime(moment) => Some(moment.date),
        Item::String(text) => Date::parse(text).or_else(|| DateTime::parse(text).map(|moment| moment.date)),
        _ => None,
    }
    .map(Item::Date)
}

fn date_time<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::DateTime(moment) => Some(*moment),
        Item::Date(date) => Some(DateTime::from(date)),
        Item::String(text) => DateTime::parse(text),
        _ => None,
    }
    .map(Item::DateTime)
}

fn time<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    match item {
        Item::Time(time) => Some(*time),
        Item::String(text) => Time::parse(text.strip_prefix('T').unwrap_or(text)),
        _ => None,
    }
    .map(Item::Time)
}

fn to_quantity_item<'a>(item: &Item<'a>) -> Option<Quantity<'a>> {
    match item {
        Item::Quantity(quantity) => Some(quantity.clone()),
        Item::Integer(number) => Some(Quantity::plain(Decimal::from(*number))),
        Item::Decimal(number) => Some(Quantity::plain(*number)),
        Item::Boolean(truth) => Some(Quantity::plain(Decimal::from(u8::from(*truth)))),
        Item::String(text) => quantity_text(text),
        _ => None,
    }
}

/// A number with nothing, a quoted UCUM code, or a calendar word behind it.
fn quantity_text<'a>(text: &str) -> Option<Quantity<'a>> {
    let text = text.trim();
    let end = text.find([' ', '\t', '\r', '\n', '\'']).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let value = decimal_text(number)?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(Quantity::plain(value));
    }
    let unit = match unit.strip_prefix('\'').and_then(|unit| unit.strip_suffix('\'')) {
        Some(code) if !code.is_empty() && !code.contains('\'') => Unit::Ucum(Cow::Owned(code.to_owned())),
        Some(_) => return None,
        None => Unit::Calendar(CalendarUnit::from_word(unit)?),
    };
    Some(Quantity::new(value, unit))
}
