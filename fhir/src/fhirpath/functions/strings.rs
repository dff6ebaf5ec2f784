//! Functions on text (FHIRPath 2.0.0 section 5.6). Places and lengths count Unicode scalar values.

use std::borrow::Cow;

use regex::Regex;

use super::{Call, pattern};
use crate::fhirpath::collection::Collection;
use crate::fhirpath::error::{EvalError, EvalErrorKind};
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::Item;

type Text<'a> = Cow<'a, str>;

/// The input and the first argument, where both are there.
fn with_argument<'a>(
    call: &Call<'_, 'a>,
    input: &Collection<'a>,
) -> Result<Option<(Text<'a>, Text<'a>)>, EvalError> {
    Ok(call.text(input)?.zip(call.text_argument(0)?))
}

fn integer<'a>(count: usize) -> Outcome<'a> {
    Ok(i32::try_from(count).ok().map(Item::Integer).into())
}

/// The place in characters of a place in bytes; -1 for none.
fn place<'a>(text: &str, bytes: Option<usize>) -> Outcome<'a> {
    match bytes {
        Some(bytes) => integer(text.get(..bytes).unwrap_or(text).chars().count()),
        None => Ok(Item::Integer(-1).into()),
    }
}

pub(super) fn index_of<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    match with_argument(call, &input)? {
        Some((text, wanted)) => place(&text, text.find(&*wanted)),
        None => Ok(Collection::empty()),
    }
}

pub(super) fn last_index_of<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    match with_argument(call, &input)? {
        Some((text, wanted)) => place(&text, text.rfind(&*wanted)),
        None => Ok(Collection::empty()),
    }
}

pub(super) fn substring<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some((text, start)) = call.text(&input)?.zip(call.integer_argument(0)?) else {
        return Ok(Collection::empty());
    };
    let length = call.integer_argument(1)?;
    let Ok(start) = usize::try_from(start) else { return Ok(Collection::empty()) };
    let Some((from, _)) = text.char_indices().nth(start) else { return Ok(Collection::empty()) };
    let rest = text.get(from..).unwrap_or("");
    let part = match length {
        None => rest,
        Some(length) => {
            let end = rest.char_indices().nth(usize::try_from(length).unwrap_or(0));
            end.and_then(|(end, _)| rest.get(..end)).unwrap_or(rest)
        }
    };
    Ok(Item::text(part.to_owned()).into())
}

fn test<'a>(call: &Call<'_, 'a>, input: &Collection<'a>, holds: fn(&str, &str) -> bool) -> Outcome<'a> {
    Ok(Collection::boolean(with_argument(call, input)?.map(|(text, part)| holds(&text, &part))))
}

pub(super) fn starts_with<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    test(call, &input, |text, part| text.starts_with(part))
}

pub(super) fn ends_with<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    test(call, &input, |text, part| text.ends_with(part))
}

pub(super) fn contains<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    test(call, &input, |text, part| text.contains(part))
}

fn change<'a>(call: &Call<'_, 'a>, input: &Collection<'a>, change: fn(&str) -> String) -> Outcome<'a> {
    match call.text(input)? {
        Some(text) => call.computed(change(&text)),
        None => Ok(Collection::empty()),
    }
}

pub(super) fn upper<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    change(call, &input, str::to_uppercase)
}

pub(super) fn lower<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    change(call, &input, str::to_lowercase)
}

pub(super) fn trim<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    change(call, &input, |text| text.trim_matches([' ', '\t', '\r', '\n']).to_owned())
}

pub(super) fn replace<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some((text, wanted)) = with_argument(call, &input)? else { return Ok(Collection::empty()) };
    let Some(substitute) = call.text_argument(1)? else { return Ok(Collection::empty()) };
    let bytes = text.len().saturating_add(text.matches(&*wanted).count().saturating_mul(substitute.len()));
    call.machine.bounded_text(bytes).map_err(|kind| call.at(kind))?;
    call.computed(text.replace(&*wanted, &substitute))
}

/// The pattern of the call: compiled already where it was a literal. `None` where pattern or flags are empty.
fn regex<'a>(call: &Call<'_, 'a>) -> Result<Option<Cow<'a, Regex>>, EvalError> {
    if let Some(compiled) = &call.operation.pattern {
        return Ok(Some(Cow::Borrowed(compiled)));
    }
    let Some(text) = call.text_argument(0)? else { return Ok(None) };
    let function = call.operation.function;
    let flags = call.text_argument(function.pattern_flags)?.unwrap_or_default();
    match pattern(&text, &flags, function.pattern_is_full) {
        Some(compiled) => Ok(Some(Cow::Owned(compiled))),
        None => call.error(EvalErrorKind::BadPattern),
    }
}

/// `matches()` and `matchesFull()`: the second one's pattern was compiled with anchors.
pub(super) fn matches<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let text = call.text(&input)?;
    Ok(Collection::boolean(text.zip(regex(call)?).map(|(text, regex)| regex.is_match(&text))))
}

pub(super) fn replace_matches<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let (text, regex) = (call.text(&input)?, regex(call)?);
    let Some((text, regex)) = text.zip(regex) else { return Ok(Collection::empty()) };
    let Some(substitute) = call.text_argument(1)? else { return Ok(Collection::empty()) };
    // The suite of HL7 wants an empty pattern to change nothing.
    if regex.as_str().is_empty() {
        return Ok(Item::String(text).into());
    }
    let mut changed = String::new();
    let mut copied = 0;
    for captures in regex.captures_iter(&text) {
        let Some(whole) = captures.get(0) else { continue };
        changed.push_str(text.get(copied..whole.start()).unwrap_or(""));
        captures.expand(&substitute, &mut changed);
        copied = whole.end();
        call.machine.bounded_text(changed.len()).map_err(|kind| call.at(kind))?;
    }
    changed.push_str(text.get(copied..).unwrap_or(""));
    call.computed(changed)
}

pub(super) fn length<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    match call.text(&input)? {
        Some(text) => integer(text.chars().count()),
        None => Ok(Collection::empty()),
    }
}

pub(super) fn to_chars<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some(text) = call.text(&input)? else { return Ok(Collection::empty()) };
    call.bounded(text.chars().count())?;
    Ok(text.chars().map(|character| Item::text(character.to_string())).collect())
}

pub(super) fn split<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let Some((text, separator)) = with_argument(call, &input)? else { return Ok(Collection::empty()) };
    if separator.is_empty() {
        return to_chars(call, input);
    }
    let parts: Collection<'a> = text.split(&*separator).map(|part| Item::text(part.to_owned())).collect();
    call.bounded(parts.len())?;
    Ok(parts)
}

pub(super) fn join<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let separator = call.text_argument(0)?.unwrap_or_default();
    if input.is_empty() {
        return Ok(Collection::empty());
    }
    let mut joined = String::new();
    for (place, item) in input.iter().enumerate() {
        if place > 0 {
            joined.push_str(&separator);
        }
        match item.as_string() {
            Some(text) => joined.push_str(&text),
            None => return call.wrong("String"),
        }
        call.machine.bounded_text(joined.len()).map_err(|kind| call.at(kind))?;
    }
    call.computed(joined)
}
