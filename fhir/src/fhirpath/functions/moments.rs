//! Parts of dates and times: `yearOf()` and its kin (later drafts of FHIRPath, section 5.9).

use rust_decimal::Decimal;

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::Item;
use crate::fhirpath::quantity;
use crate::fhirpath::temporal::{Date, DateTime, Precision, Time};

/// Takes a part of a value; what has no such part gives nothing.
fn part<'a>(
    call: &Call<'_, 'a>,
    input: &Collection<'a>,
    part: fn(&Moment) -> Option<Item<'static>>,
) -> Outcome<'a> {
    let moment = match call.one(input)? {
        Some(Item::Date(date)) => Moment { date: Some(date), ..Moment::default() },
        Some(Item::Time(time)) => Moment { time: Some(time), ..Moment::default() },
        Some(Item::DateTime(DateTime { date, time, offset_minutes })) => {
            Moment { date: Some(date), time, offset_minutes, is_date_time: true }
        }
        _ => return Ok(Collection::empty()),
    };
    Ok(part(&moment).into())
}

#[derive(Default)]
struct Moment {
    date: Option<Date>,
    time: Option<Time>,
    offset_minutes: Option<i16>,
    is_date_time: bool,
}

impl Moment {
    fn date(&self, least: Precision) -> Option<Date> {
        self.date.filter(|date| date.precision >= least)
    }

    fn time(&self, least: Precision) -> Option<Time> {
        self.time.filter(|time| time.precision >= least)
    }
}

fn integer(number: impl Into<i32>) -> Item<'static> {
    Item::Integer(number.into())
}

pub(super) fn year<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| Some(integer(moment.date(Precision::Year)?.year)))
}

pub(super) fn month<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| Some(integer(moment.date(Precision::Month)?.month)))
}

pub(super) fn day<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| Some(integer(moment.date(Precision::Day)?.day)))
}

pub(super) fn hour<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| Some(integer(moment.time(Precision::Hour)?.hour)))
}

pub(super) fn minute<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| Some(integer(moment.time(Precision::Minute)?.minute)))
}

pub(super) fn second<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| Some(integer(moment.time(Precision::Second)?.second)))
}

pub(super) fn millisecond<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| {
        let time = moment.time(Precision::Second).filter(|time| time.fraction_digits > 0)?;
        i32::try_from(time.nanosecond / 1_000_000).ok().map(Item::Integer)
    })
}

pub(super) fn timezone_offset<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| {
        let hours = quantity::quotient(Decimal::from(moment.offset_minutes?), Decimal::from(60))?;
        Some(Item::Decimal(hours))
    })
}

pub(super) fn date<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| moment.date.map(Item::Date))
}

pub(super) fn time<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    part(call, &input, |moment| moment.time.filter(|_| moment.is_date_time).map(Item::Time))
}
