//! Functions that evaluate an argument for each item: filtering, projection, aggregation, choice, order.

use std::cmp::Ordering;

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::compare::{Comparison, compare, operand};
use crate::fhirpath::equality;
use crate::fhirpath::error::{EvalError, EvalErrorKind};
use crate::fhirpath::evaluate::{Outcome, Scope};
use crate::fhirpath::item::Item;
use crate::fhirpath::program::{Operation, OperationKind};

pub(super) fn filter<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut kept = Collection::empty();
    for (place, item) in input.into_iter().enumerate() {
        if call.criterion(0, &item, place)? == Some(true) {
            kept.push(item);
        }
    }
    Ok(kept)
}

pub(super) fn select<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut found = Collection::empty();
    for (place, item) in input.iter().enumerate() {
        found.extend(call.for_item(0, item, place)?);
        call.bounded(found.len())?;
    }
    Ok(found)
}

/// Projects again and again until nothing new comes; what equals an earlier item is not new.
pub(super) fn repeat<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    project_again(call, input, true)
}

/// Like `repeat`, without looking for duplicates: the step limit ends what would not end.
pub(super) fn repeat_all<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    project_again(call, input, false)
}

fn project_again<'a>(call: &Call<'_, 'a>, input: Collection<'a>, once: bool) -> Outcome<'a> {
    let mut found = Collection::empty();
    let mut pending = input;
    while !pending.is_empty() {
        let mut next = Collection::empty();
        for (place, item) in pending.iter().enumerate() {
            for item in call.for_item(0, item, place)? {
                if once && equality::has(call.machine, &found, &item).map_err(|kind| call.at(kind))? {
                    continue;
                }
                found.push(item.clone());
                next.push(item);
                call.bounded(found.len())?;
            }
        }
        pending = next;
    }
    Ok(found)
}

pub(super) fn aggregate<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut total = call.argument(1)?;
    for (place, item) in input.iter().enumerate() {
        let this = Collection::single(item.clone());
        total = call.with_scope(0, &Scope { this: &this, index: Some(place), total: Some(&total) })?;
    }
    Ok(total)
}

/// Chooses a branch; only that one is evaluated (FHIRPath 2.0.0 section 5.5.1).
pub(super) fn iif<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    // Called on something, `$this` is what it is called on; on its own, `$this` and `$index` stay.
    let scope = match &call.operation.base {
        None => *call.scope,
        Some(_) if input.len() > 1 => return call.error(EvalErrorKind::NotSingle),
        Some(_) => Scope { this: &input, ..*call.scope },
    };
    let criterion = call.with_scope(0, &scope)?;
    let chosen = match call.one(&criterion)? {
        None | Some(Item::Boolean(false)) => 2,
        Some(Item::Boolean(true)) => 1,
        Some(_) => return call.wrong("Boolean"),
    };
    call.with_scope(chosen, &scope)
}

/// Sorts by keys, or by the items themselves; a minus before a key turns its order (later drafts, section 5.2).
pub(super) fn sort<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let mut keyed = Vec::with_capacity(input.len());
    for (place, item) in input.into_iter().enumerate() {
        let mut keys = Vec::new();
        for argument in &call.operation.arguments {
            keys.push(sort_key(call, argument, &item, place)?);
        }
        if keys.is_empty() {
            keys.push((Some(operand(&item)), false));
        }
        keyed.push((keys, item));
    }
    let count = keyed.len();
    call.step(count.saturating_mul(1 + count.checked_ilog2().unwrap_or(0) as usize))?;
    let mut mismatch = false;
    let sorted = merge_sort(keyed, &mut |(left, _): &(Vec<Key<'_>>, _), (right, _): &(Vec<Key<'_>>, _)| {
        left.iter()
            .zip(right)
            .map(|(left, right)| key_order(left, right, &mut mismatch))
            .fold(Ordering::Equal, Ordering::then)
    });
    if mismatch {
        return call.error(EvalErrorKind::Operands);
    }
    Ok(sorted.into_iter().map(|(_, item)| item).collect())
}

/// A stable sort that takes any order. That of items is none where some cannot be compared (a day and an hour of it, two
/// quantities of different dimensions), and the standard library's sorts may panic then.
fn merge_sort<T>(mut items: Vec<T>, order: &mut impl FnMut(&T, &T) -> Ordering) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let second = items.split_off(items.len() / 2);
    let mut first = merge_sort(items, order).into_iter().peekable();
    let mut second = merge_sort(second, order).into_iter().peekable();
    let mut merged = Vec::with_capacity(first.len() + second.len());
    loop {
        let next = match (first.peek(), second.peek()) {
            (Some(left), Some(right)) if order(left, right).is_gt() => second.next(),
            (Some(_), _) => first.next(),
            (None, _) => second.next(),
        };
        match next {
            Some(item) => merged.push(item),
            None => return merged,
        }
    }
}

type Key<'a> = (Option<Item<'a>>, bool);

fn sort_key<'a>(
    call: &Call<'_, 'a>,
    argument: &'a Operation,
    item: &Item<'a>,
    place: usize,
) -> Result<Key<'a>, EvalError> {
    let (key, descending) = match &argument.kind {
        OperationKind::Sign { negative: true, operand } => (&**operand, true),
        _ => (argument, false),
    };
    let this = Collection::single(item.clone());
    let scope = Scope { this: &this, index: Some(place), total: call.scope.total };
    Ok((call.one(&call.machine.evaluate(key, &scope)?)?, descending))
}

/// Items without a key come first, also before a turned order, as the suite of HL7 has it; an order that is not
/// known leaves two items as they stand.
fn key_order(left: &Key<'_>, right: &Key<'_>, mismatch: &mut bool) -> Ordering {
    let order = match (&left.0, &right.0) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => return Ordering::Less,
        (Some(_), None) => return Ordering::Greater,
        (Some(left), Some(right)) => match compare(left, right) {
            Comparison::Known(order) => order,
            Comparison::Unknown | Comparison::Imprecise => Ordering::Equal,
            Comparison::Mismatch => {
                *mismatch = true;
                Ordering::Equal
            }
        },
    };
    if left.1 { order.reverse() } else { order }
}
