//! Order of dates, times and other System values, by precision (FHIRPath 2.0.0 sections 6.1 and 6.2).

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::calendar;
use super::item::{Item, Quantity};
use super::quantity;
use super::temporal::{Date, DateTime, Precision, Time};

/// What comparing two values gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Which one comes first is known.
    Known(Ordering),
    /// It is not known: precision, zone or unit is missing.
    Unknown,
    /// The precisions differ and everything before is equal: unknown for `=`, false for `~`.
    Imprecise,
    /// The types have no common order.
    Mismatch,
}

impl Comparison {
    fn of(order: Option<Ordering>) -> Self {
        order.map_or(Self::Unknown, Self::Known)
    }
}

/// An item made ready for operators: primitives are read, FHIR Quantities become System ones.
///
/// A Quantity with a comparator (`< 5 mg`) stays a node: it has no value that could be compared.
pub(super) fn operand<'a>(item: &Item<'a>) -> Item<'a> {
    match item {
        Item::Node(node) => match node.system_value() {
            Some(value) => value,
            None if quantity::is_quantity(node) => {
                quantity::from_node(node).map_or_else(|| item.clone(), Item::Quantity)
            }
            None => item.clone(),
        },
        other => other.clone(),
    }
}

/// The item as a Decimal, where it is a number.
pub(super) fn number(item: &Item<'_>) -> Option<Decimal> {
    match item {
        Item::Integer(number) => Some(Decimal::from(*number)),
        Item::Decimal(number) => Some(*number),
        _ => None,
    }
}

/// The item as a Quantity, where it is one or a number.
pub(super) fn as_quantity<'a>(item: &Item<'a>) -> Option<Quantity<'a>> {
    match item {
        Item::Quantity(quantity) => Some(quantity.clone()),
        other => number(other).map(Quantity::plain),
    }
}

/// Compares two operands (see [`operand`]).
pub(super) fn compare(left: &Item<'_>, right: &Item<'_>) -> Comparison {
    match (left, right) {
        (Item::Boolean(left), Item::Boolean(right)) => Comparison::Known(left.cmp(right)),
        (Item::String(left), Item::String(right)) => Comparison::Known(left.cmp(right)),
        (Item::Integer(left), Item::Integer(right)) => Comparison::Known(left.cmp(right)),
        (Item::Time(left), Item::Time(right)) => times(left, right),
        (Item::Date(left), Item::Date(right)) => dates(left, right),
        (Item::Date(left), Item::DateTime(right)) => date_times(&left.into(), right),
        (Item::DateTime(left), Item::Date(right)) => date_times(left, &right.into()),
        (Item::DateTime(left), Item::DateTime(right)) => date_times(left, right),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Comparison::Known(left.cmp(&right)),
            _ => match (as_quantity(left), as_quantity(right)) {
                (Some(left), Some(right)) => Comparison::of(quantity::compare(&left, &right)),
                _ if is_unreadable_quantity(left) || is_unreadable_quantity(right) => Comparison::Unknown,
                _ => Comparison::Mismatch,
            },
        },
    }
}

/// A FHIR Quantity without a value, or with a comparator.
fn is_unreadable_quantity(item: &Item<'_>) -> bool {
    matches!(item, Item::Node(node) if quantity::is_quantity(node))
}

impl From<&Date> for DateTime {
    fn from(date: &Date) -> Self {
        Self { date: *date, time: None, offset_minutes: None }
    }
}

/// Compares field by field; the first that differs decides, a field that only one has leaves it open.
fn fields<const N: usize>(left: [u32; N], right: [u32; N], given: (usize, usize)) -> Comparison {
    for (index, (left, right)) in left.iter().zip(&right).enumerate() {
        match (index < given.0, index < given.1) {
            (true, true) => match left.cmp(right) {
                Ordering::Equal => {}
                order => return Comparison::Known(order),
            },
            (false, false) => break,
            _ => return Comparison::Imprecise,
        }
    }
    Comparison::Known(Ordering::Equal)
}

fn dates(left: &Date, right: &Date) -> Comparison {
    let split = |date: &Date| [u32::from(date.year), u32::from(date.month), u32::from(date.day)];
    fields(split(left), split(right), (count(left.precision), count(right.precision)))
}

/// How many fields of a date that precision gives.
fn count(precision: Precision) -> usize {
    match precision {
        Precision::Year | Precision::Hour => 1,
        Precision::Month | Precision::Minute => 2,
        Precision::Day | Precision::Second => 3,
    }
}

fn clock(time: &Time) -> [u32; 4] {
    [u32::from(time.hour), u32::from(time.minute), u32::from(time.second), time.nanosecond]
}

/// Seconds and their fraction are one precision.
fn clock_count(precision: Precision) -> usize {
    match count(precision) {
        3 => 4,
        fields => fields,
    }
}

fn times(left: &Time, right: &Time) -> Comparison {
    fields(clock(left), clock(right), (clock_count(left.precision), clock_count(right.precision)))
}

/// Compares two moments. Where both have a zone they are compared in UTC; where one lacks it, it could be
/// anywhere from 14 hours before to 12 hours behind, and only an order that holds for all of them is known.
fn date_times(left: &DateTime, right: &DateTime) -> Comparison {
    match (left.offset_minutes, right.offset_minutes) {
        (None, None) => local(left, right),
        (Some(_), Some(_)) => match (calendar::in_utc(left), calendar::in_utc(right)) {
            (Some(left), Some(right)) => local(&left, &right),
            _ => Comparison::Unknown,
        },
        _ => {
            let (one, other) = (calendar::span_nanoseconds(left), calendar::span_nanoseconds(right));
            if one.1 < other.0 {
                Comparison::Known(Ordering::Less)
            } else if other.1 < one.0 {
                Comparison::Known(Ordering::Greater)
            } else if left.precision() == right.precision() {
                Comparison::Unknown
            } else {
                Comparison::Imprecise
            }
        }
    }
}

fn local(left: &DateTime, right: &DateTime) -> Comparison {
    let split = |moment: &DateTime| {
        let date = moment.date;
        let time = moment.time.as_ref().map_or([0; 4], clock);
        [u32::from(date.year), u32::from(date.month), u32::from(date.day), time[0], time[1], time[2], time[3]]
    };
    let given = |moment: &DateTime| match &moment.time {
        Some(time) => 3 + clock_count(time.precision),
        None => count(moment.date.precision),
    };
    fields(split(left), split(right), (given(left), given(right)))
}
