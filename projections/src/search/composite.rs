//! Composite parameters (R4 search.html#composite): parts that one element of a resource has together.
//!
//! A composite over the whole resource (`Observation.code-value-quantity`) needs nothing of its own: its parts are
//! parameters of the resource, and are asked for together. Over an element that repeats (`Observation.component`) the
//! first part's tokens are joined with what the other part is found by, into tokens and spans of the pair.

use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::{Component, SearchParameter, SearchParameterKind, SearchRegistry};

use super::Modifier;
use super::alias::{Aliases, paths};
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, KEY_MIN, ParameterKey, pair};
use super::query::Catalogue;
use super::span::{Span, SpanBox};
use super::target::TARGET_MIN;
use super::value::{Asked, Refusal, split};
use super::{bucket, date, number, quantity, reference, special, string, token};

/// The boxes of two numbers that are asked for together, as many as two prefixes make.
const BOXES_MAX: usize = 4;
/// Values of one parameter that are looked up by buckets, some hundred tokens each. More are looked up by their codes.
const BUCKETED_MAX: usize = 5;

/// Adds what an element's parts are found by. `root` is the resource.
pub(super) fn index(
    key: &ParameterKey,
    parameter: &SearchParameter,
    root: Value<'_>,
    element: Value<'_>,
    entries: &mut Entries,
) {
    if element.span() == root.span() {
        return;
    }
    if parameter.components().iter().all(|part| !part.extract(root, element).is_empty()) {
        entries.token(key, Class::Present, &[]);
    }
    match parameter.components() {
        [first, second] => {
            let second = of_part(&key.part(1), second, root, element);
            for one in of_part(&key.part(0), first, root, element).tokens {
                entries.tokens.extend(second.tokens.iter().map(|other| pair(one, *other)));
                for span in &second.spans {
                    let ends = Span { low: span.low, high: span.high };
                    entries.span(pair(one, span.key), ends, false);
                }
            }
            if is_measured(parameter.components()) {
                let mut codes = Vec::new();
                for found in first.extract(root, element) {
                    token::codes_alone(&key.part(0), found, &mut codes);
                }
                let as_given = quantity::family(&key.part(1)).key;
                // A unit that is only a name has the number as it was given, too.
                for span in second.spans.iter().filter(|span| span.in_table || span.key == as_given) {
                    let ends = Span { low: span.low, high: span.high };
                    let of_code = |code: &i64| bucket::of_span(pair(*code, span.key), ends);
                    entries.tokens.extend(codes.iter().flat_map(of_code));
                }
            }
        }
        // Two numbers of one element, as the beginning and the end of a span.
        [first, low, high] if is_number(low) && is_number(high) => {
            let number = |part: &Component| {
                part.extract(root, element).first().and_then(|found| number::literal(found.value))
            };
            let (Some(low), Some(high)) = (number(low), number(high)) else { return };
            for one in of_part(&key.part(0), first, root, element).tokens {
                let (low, high) = (super::span::ordered(low), super::span::ordered(high));
                entries.span(pair(one, key.part(1).of(Class::Span, &[])), Span { low, high }, false);
            }
        }
        _ => {}
    }
}

/// Whether the parts are a code and a quantity: then buckets of the quantity stand with the code.
fn is_measured(parts: &[Component]) -> bool {
    let kinds: Vec<_> = parts.iter().map(Component::kind).collect();
    kinds == [SearchParameterKind::Token, SearchParameterKind::Quantity]
}

fn is_number(part: &Component) -> bool {
    part.kind() == SearchParameterKind::Number
}

/// What a part is found by in an element: tokens that say a value, and spans.
fn of_part(key: &ParameterKey, part: &Component, root: Value<'_>, element: Value<'_>) -> Entries {
    let mut entries = Entries::default();
    for found in part.extract(root, element) {
        match part.kind() {
            SearchParameterKind::Token => token::index_codes(key, found, &mut entries),
            SearchParameterKind::Reference => reference::index(key, found, &mut entries),
            SearchParameterKind::Date => date::index(key, found, &mut entries),
            SearchParameterKind::Number => number::index(key, found, &mut entries),
            SearchParameterKind::Quantity => quantity::index(key, found, &mut entries),
            _ => {}
        }
    }
    entries.tokens.retain(|token| (KEY_MIN..TARGET_MIN).contains(token));
    entries
}

/// What a query asks: the parts' values, joined by `$`.
pub(super) fn criterion(catalogue: &Catalogue, asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    // Parts are asked for whether or not they can be asked for alone.
    let Catalogue { registry, aliases, .. } = catalogue;
    match asked.modifier {
        Modifier::None => {}
        Modifier::Missing => return missing(registry, aliases, asked),
        _ => return Err(asked.unsupported_modifier()),
    }
    let parts = asked.parameter.components();
    let mut any = Vec::new();
    for value in asked.values {
        let values = split(value, '$');
        if values.len() != parts.len() || values.iter().any(|value| value.is_empty()) {
            let wanted = format!("{} values joined by $ are wanted", parts.len());
            return Err(Refusal::BadValue(wanted));
        }
        if is_over_whole(asked.parameter) {
            any.push(Atom::All(of_whole(registry, aliases, asked, &values)?));
        } else {
            any.push(of_element(registry, asked, &values)?);
        }
    }
    Ok(Criterion::any(any, Yield::Many))
}

/// Whether its parts are those of the resource itself.
fn is_over_whole(parameter: &SearchParameter) -> bool {
    paths(parameter.resource_type(), parameter).contains(parameter.resource_type())
}

/// `:missing`: whether one element has all of the parts.
fn missing(registry: &SearchRegistry, aliases: &Aliases, asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    let is_there = match asked.values {
        ["true"] => false,
        ["false"] => true,
        _ => return Err(Refusal::BadValue("with modifier :missing the value is true or false".to_owned())),
    };
    let values = vec!["false"; asked.parameter.components().len()];
    let any = match is_over_whole(asked.parameter) {
        true => vec![Atom::All(of_whole(registry, aliases, asked, &values)?)],
        false => vec![Atom::Token(asked.key.of(Class::Present, &[]))],
    };
    Ok(if is_there { Criterion::any(any, Yield::Most) } else { Criterion::none_of(any) })
}

/// The parts as parameters of the resource.
fn of_whole(
    registry: &SearchRegistry,
    aliases: &Aliases,
    asked: &Asked<'_>,
    values: &[&str],
) -> Result<Vec<Criterion>, Refusal> {
    let resource_type = asked.parameter.resource_type();
    let mut all = Vec::new();
    for (part, value) in asked.parameter.components().iter().zip(values) {
        let itself = [part.code().to_owned()];
        let mut joined: Option<Criterion> = None;
        for code in aliases.get(resource_type, part.code()).unwrap_or(&itself) {
            let parameter = registry.get(resource_type, code).ok_or_else(unsupported)?;
            let key = ParameterKey::new(asked.key.log(), resource_type, code);
            let asked = Asked { parameter, key: &key, values: &[value], ..*asked };
            let criterion = match asked.modifier {
                Modifier::Missing => has_part(&asked)?,
                _ => of_value(&asked)?,
            };
            joined = Some(match joined {
                None => criterion,
                Some(joined) => joined.or(criterion),
            });
        }
        all.extend(joined);
        if part.kind() == SearchParameterKind::String && asked.parameter.code() == "code-value-string" {
            // The part is a string alone, where the parameter of the same name has the text of a concept as well.
            let concept = ParameterKey::new(asked.key.log(), resource_type, "value-concept");
            all.push(Criterion::none_of(vec![Atom::Token(concept.of(Class::Present, &[]))]));
        }
    }
    Ok(all)
}

/// That there is a value of a part. What nearly every resource has is known by those that lack it: that stands in a
/// criterion of its own, so that several can be joined.
fn has_part(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    let there = special::missing(asked)?;
    Ok(if there.negated { Criterion::any(vec![Atom::All(vec![there])], Yield::Most) } else { there })
}

/// The parts as one element has them.
fn of_element(registry: &SearchRegistry, asked: &Asked<'_>, values: &[&str]) -> Result<Atom, Refusal> {
    let resource_type = asked.parameter.resource_type();
    let mut parts = Vec::new();
    for (at, (part, value)) in asked.parameter.components().iter().zip(values).enumerate() {
        let parameter = registry.get(resource_type, part.code()).ok_or_else(unsupported)?;
        let key = asked.key.part(u8::try_from(at).unwrap_or(u8::MAX));
        if part.kind() == SearchParameterKind::Token && value.ends_with('|') {
            return Err(Refusal::BadValue("in a composite parameter a code is wanted".to_owned()));
        }
        parts.push(of_value(&Asked { parameter, key: &key, values: &[value], ..*asked })?);
    }
    let firsts = parts.first().and_then(Criterion::tokens).ok_or_else(unsupported)?;
    let mut all: Vec<Criterion> = start(registry, asked, values)?.into_iter().collect();
    let others: Vec<Vec<Atom>> = parts.into_iter().skip(1).map(|part| part.any).collect();
    if let [others] = others.as_slice() {
        all.extend(buckets(registry, asked, values, others)?);
    }
    let mut any = Vec::new();
    for one in firsts {
        match others.as_slice() {
            [others] => {
                for other in others {
                    any.push(match other {
                        Atom::Token(token) => Atom::Token(pair(one, *token)),
                        Atom::Span(span) => Atom::Span(SpanBox {
                            key: pair(one, span.key),
                            in_table: false,
                            scale: None,
                            ..*span
                        }),
                        _ => return Err(unsupported()),
                    });
                }
            }
            [lows, highs] => {
                let family = pair(one, asked.key.part(1).of(Class::Span, &[]));
                any.extend(both(lows, highs, family).ok_or_else(unsupported)?.map(Atom::Span));
            }
            _ => return Err(unsupported()),
        }
    }
    all.push(Criterion::any(any, Yield::Many));
    Ok(Atom::All(all))
}

/// The first part as a parameter of the resource, from which a search can start: R4 has such a one for each of its
/// composites. For others that is not known.
fn start(
    registry: &SearchRegistry,
    asked: &Asked<'_>,
    values: &[&str],
) -> Result<Option<Criterion>, Refusal> {
    const OF_R4: &str = "http://hl7.org/fhir/SearchParameter/";
    let (Some(part), Some(value)) = (asked.parameter.components().first(), values.first()) else {
        return Ok(None);
    };
    if !asked.parameter.url().starts_with(OF_R4) {
        return Ok(None);
    }
    let resource_type = asked.parameter.resource_type();
    let parameter = registry.get(resource_type, part.code()).ok_or_else(unsupported)?;
    let key = ParameterKey::new(asked.key.log(), resource_type, part.code());
    of_value(&Asked { parameter, key: &key, values: &[value], ..*asked }).map(Some)
}

/// The buckets that hold whatever has the code and the quantity, where a search can start from them: a code alone, with the
/// number as it was given or in its canonical unit.
fn buckets(
    registry: &SearchRegistry,
    asked: &Asked<'_>,
    values: &[&str],
    quantities: &[Atom],
) -> Result<Option<Criterion>, Refusal> {
    let parts = asked.parameter.components();
    let (Some(part), Some(value)) = (parts.first(), values.first()) else { return Ok(None) };
    if !is_measured(parts) || asked.values.len() > BUCKETED_MAX {
        return Ok(None);
    }
    let parameter = registry.get(asked.parameter.resource_type(), part.code()).ok_or_else(unsupported)?;
    let code = split(value, '|').pop().unwrap_or_default();
    let code = of_value(&Asked { parameter, key: &asked.key.part(0), values: &[code], ..*asked })?;
    let codes = code.tokens().ok_or_else(unsupported)?;
    let as_given = quantity::family(&asked.key.part(1)).key;
    let mut tokens = Vec::new();
    for quantity in quantities {
        let Atom::Span(span) = quantity else { return Err(unsupported()) };
        let family = if span.in_table { span.key } else { as_given };
        tokens.extend(codes.iter().flat_map(|code| bucket::of_box(pair(*code, family), span)));
    }
    Ok(Some(Criterion::implied(tokens, Yield::Some)))
}

/// The boxes of a span whose beginning is one number and whose end is another.
fn both(lows: &[Atom], highs: &[Atom], key: i64) -> Option<impl Iterator<Item = SpanBox>> {
    // A number is a point: both of its ends are within what is asked for.
    let limits = |atom: &Atom| match atom {
        Atom::Span(span) => Some((span.low.0.max(span.high.0), span.low.1.min(span.high.1))),
        _ => None,
    };
    let lows: Vec<_> = lows.iter().map(limits).collect::<Option<_>>()?;
    let highs: Vec<_> = highs.iter().map(limits).collect::<Option<_>>()?;
    let pairs = lows.into_iter().flat_map(move |low| {
        highs.clone().into_iter().map(move |high| SpanBox { key, in_table: false, scale: None, low, high })
    });
    Some(pairs.take(BOXES_MAX))
}

/// One value of a part.
fn of_value(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    match asked.parameter.kind() {
        SearchParameterKind::Token => token::criterion(asked),
        SearchParameterKind::Reference => reference::criterion(asked),
        SearchParameterKind::String => string::criterion(asked),
        SearchParameterKind::Date => date::criterion(asked),
        SearchParameterKind::Number => number::criterion(asked),
        SearchParameterKind::Quantity => quantity::criterion(asked),
        _ => Err(unsupported()),
    }
}

fn unsupported() -> Refusal {
    Refusal::Unsupported("a composite of such parts is not supported".to_owned())
}
