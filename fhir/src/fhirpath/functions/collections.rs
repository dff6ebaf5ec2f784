//! Functions on collections as a whole: types, subsets, sets, trees (FHIRPath 2.0.0 sections 5.2 to 5.4, 5.8).

use super::Call;
use crate::fhirpath::ast::TypeOperator;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::equality;
use crate::fhirpath::error::EvalErrorKind;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::navigate;

pub(super) fn distinct<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    equality::distinct(call.machine, input).map_err(|kind| call.at(kind))
}

pub(super) fn of_type<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let target = call.operation.target;
    Ok(input.into_iter().filter(|item| target.is_some_and(|target| target.selects(item))).collect())
}

pub(super) fn is<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    by_type(call, input, TypeOperator::Is)
}

pub(super) fn cast<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    by_type(call, input, TypeOperator::As)
}

fn by_type<'a>(call: &Call<'_, 'a>, input: Collection<'a>, operator: TypeOperator) -> Outcome<'a> {
    match call.operation.target {
        Some(target) => call.machine.type_operator(operator, input, target).map_err(|kind| call.at(kind)),
        None => Ok(Collection::empty()),
    }
}

pub(super) fn single_item<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    if input.len() > 1 { call.error(EvalErrorKind::NotSingle) } else { Ok(input) }
}

pub(super) fn first<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(input.first().cloned().into())
}

pub(super) fn last<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(input.last().cloned().into())
}

pub(super) fn tail<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(input.into_iter().skip(1).collect())
}

pub(super) fn skip<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(count) = call.integer_argument(0)? else { return Ok(Collection::empty()) };
    Ok(input.into_iter().skip(usize::try_from(count).unwrap_or(0)).collect())
}

pub(super) fn take<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(count) = call.integer_argument(0)? else { return Ok(Collection::empty()) };
    Ok(input.into_iter().take(usize::try_from(count).unwrap_or(0)).collect())
}

/// The items that are in both, each once.
pub(super) fn intersect<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let other = call.argument(0)?;
    let mut kept = Collection::empty();
    for item in input {
        let has = |items| equality::has(call.machine, items, &item).map_err(|kind| call.at(kind));
        if has(&other)? && !has(&kept)? {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// The items that are not in the other; duplicates and order stay.
pub(super) fn exclude<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let other = call.argument(0)?;
    let mut kept = Collection::empty();
    for item in input {
        if !equality::has(call.machine, &other, &item).map_err(|kind| call.at(kind))? {
            kept.push(item);
        }
    }
    Ok(kept)
}

pub(super) fn union<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let other = call.argument(0)?;
    equality::union(call.machine, input, other).map_err(|kind| call.at(kind))
}

/// Both collections one after the other, duplicates and all; order is always kept (`preserveOrder`).
pub(super) fn combine<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut all = input;
    all.extend(call.argument(0)?);
    call.bounded(all.len())?;
    Ok(all)
}

/// The first argument that is not empty.
pub(super) fn coalesce<'a>(call: &Call<'_, 'a>, _: Collection<'a>) -> Outcome<'a> {
    for index in 0..call.operation.arguments.len() {
        let found = call.argument(index)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Collection::empty())
}

pub(super) fn children<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut found = Collection::empty();
    for item in &input {
        navigate::children(item, &mut found);
        call.bounded(found.len())?;
    }
    call.step(found.len())?;
    Ok(found)
}

/// All children of children; a tree of places has no duplicates, so none are looked for.
pub(super) fn descendants<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut found = Collection::empty();
    for item in &input {
        navigate::children(item, &mut found);
    }
    let mut next = 0;
    while let Some(item) = found.get(next).cloned() {
        navigate::children(&item, &mut found);
        call.bounded(found.len())?;
        call.step(1)?;
        next += 1;
    }
    Ok(found)
}
