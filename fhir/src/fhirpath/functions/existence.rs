//! Existence functions (FHIRPath 2.0.0 section 5.1).

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::equality;
use crate::fhirpath::error::EvalError;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::Item;
use crate::fhirpath::program::truth;

pub(super) fn empty<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(Collection::boolean(input.is_empty()))
}

pub(super) fn exists<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    if !call.has(0) {
        return Ok(Collection::boolean(!input.is_empty()));
    }
    for (place, item) in input.iter().enumerate() {
        if call.criterion(0, item, place)? == Some(true) {
            return Ok(Collection::boolean(true));
        }
    }
    Ok(Collection::boolean(false))
}

pub(super) fn all<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    for (place, item) in input.iter().enumerate() {
        if call.criterion(0, item, place)? != Some(true) {
            return Ok(Collection::boolean(false));
        }
    }
    Ok(Collection::boolean(true))
}

/// Whether any item of a collection of Booleans is the wanted one.
fn any(call: &Call<'_, '_>, input: &Collection<'_>, wanted: bool) -> Result<bool, EvalError> {
    let mut found = false;
    for item in input {
        match item.as_boolean() {
            Some(truth) => found |= truth == wanted,
            None => return call.wrong("Boolean"),
        }
    }
    Ok(found)
}

pub(super) fn all_true<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(Collection::boolean(!any(call, &input, false)?))
}

pub(super) fn any_true<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(Collection::boolean(any(call, &input, true)?))
}

pub(super) fn all_false<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(Collection::boolean(!any(call, &input, true)?))
}

pub(super) fn any_false<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(Collection::boolean(any(call, &input, false)?))
}

fn is_subset<'a>(
    call: &Call<'_, 'a>,
    part: &Collection<'a>,
    whole: &Collection<'a>,
) -> Result<bool, EvalError> {
    for item in part {
        if !equality::has(call.machine, whole, item).map_err(|kind| call.at(kind))? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn subset_of<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let other = call.argument(0)?;
    Ok(Collection::boolean(is_subset(call, &input, &other)?))
}

pub(super) fn superset_of<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let other = call.argument(0)?;
    Ok(Collection::boolean(is_subset(call, &other, &input)?))
}

pub(super) fn count<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(i32::try_from(input.len()).ok().map(Item::Integer).into())
}

pub(super) fn not<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let truth = truth(&input).map_err(|kind| call.at(kind))?;
    Ok(Collection::boolean(truth.map(|truth| !truth)))
}

pub(super) fn is_distinct<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let count = input.len();
    let distinct = equality::distinct(call.machine, input).map_err(|kind| call.at(kind))?;
    Ok(Collection::boolean(distinct.len() == count))
}
