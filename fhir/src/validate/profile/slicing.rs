//! Compiles what tells slices apart: for each discriminator, what an occurrence must have to be in a slice.

use super::compile::Builder;
use super::table::{BindingRule, Criterion, Openness, Place, Profile, Slicing, TypeRule};
use crate::definitions::BindingStrength;
use crate::fhirpath::{Checking, Compiled};
use crate::json::Value;

/// What of an occurrence a discriminator looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// `value`, and `pattern`, which R4 has as another word for it.
    Value,
    Exists,
    Type,
    Profile,
}

/// A discriminator (ElementDefinition.slicing.discriminator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Discriminator {
    sort: Sort,
    path: Box<str>,
}

impl Discriminator {
    fn new(sort: Sort, path: &str) -> Self {
        Discriminator { sort, path: path.into() }
    }
}

/// One step of a path: the restricted FHIRPath of discriminators (R4 profiling.html#discriminator).
#[derive(Debug, PartialEq, Eq)]
enum Step<'p> {
    Element(&'p str),
    Extension(&'p str),
    /// The element itself is a reference; what it leads to is looked at.
    Resolve,
}

/// Reads the discriminators of a slicing; one of a kind that is not known leaves none, so that nothing is told apart.
pub(super) fn discriminators(slicing: Value<'_>) -> Vec<Discriminator> {
    let read = |row: Value<'_>| {
        let sort = match row.get("type").and_then(Value::as_str)?.as_ref() {
            "value" | "pattern" => Sort::Value,
            "exists" => Sort::Exists,
            "type" => Sort::Type,
            "profile" => Sort::Profile,
            _ => return None,
        };
        Some(Discriminator::new(sort, &row.get("path").and_then(Value::as_str)?))
    };
    let rows = slicing.get("discriminator").into_iter().flat_map(Value::items);
    rows.map(read).collect::<Option<_>>().unwrap_or_default()
}

/// Compiles the criteria of all slices.
pub(super) fn compile(builder: &mut Builder, base: Option<&Profile>) {
    // What is below has a higher index, but for content references, behind which nothing is told apart.
    for index in (0..builder.rules.len()).rev() {
        let tells = tells(builder, index);
        if let Some(rules) = builder.rules.get_mut(index) {
            rules.tells = tells;
        }
    }
    for group in 0..builder.rules.len() {
        let Some(slices) = builder
            .rules
            .get(group)
            .map(|rules| rules.slices.iter().map(|slice| slice.rules).collect::<Vec<usize>>())
        else {
            continue;
        };
        if slices.is_empty() {
            continue;
        }
        let discriminators = discriminators_of(builder, group, base);
        let is_default = |place: usize| {
            let group = builder.rules.get(group);
            group.and_then(|rules| rules.slices.get(place)).is_some_and(|slice| slice.is_default)
        };
        let defaults: Vec<bool> = (0..slices.len()).map(is_default).collect();
        let is_single = slices.len() == 1;
        let is_sliced = builder.rules.get(group).is_some_and(|rules| rules.slicing.is_some());
        for (place, slice) in slices.into_iter().enumerate() {
            if defaults.get(place) == Some(&true) {
                leave_out_repeated(builder, group, slice);
                continue;
            }
            let criteria: Vec<Criterion> =
                discriminators.iter().map(|discriminator| criterion(builder, slice, discriminator)).collect();
            // A single slice of what is not said to be sliced is all there is.
            let is_whole = is_single && !is_sliced;
            let is_blind = !is_whole && criteria.is_empty()
                || criteria.iter().any(|row| matches!(row, Criterion::Unknown));
            if is_blind {
                let rules = builder.rules.get(slice);
                let name = rules.and_then(|rules| rules.slice_name.as_deref()).unwrap_or_default().to_owned();
                builder
                    .remarks
                    .push(format!("the slice {name} is not checked: nothing tells it from others"));
            }
            let criteria = if is_blind { vec![Criterion::Unknown] } else { criteria };
            leave_out_repeated(builder, group, slice);
            if let Some(slice) = builder.rules.get_mut(group).and_then(|rules| rules.slices.get_mut(place)) {
                slice.criteria = criteria;
            }
        }
        if let Some(rules) = builder.rules.get_mut(group) {
            rules.slicing.get_or_insert(Slicing { openness: Openness::Open, is_ordered: false });
        }
    }
}

/// Snapshots repeat in a slice what they ask of the whole element; it is checked once.
fn leave_out_repeated(builder: &mut Builder, group: usize, slice: usize) {
    let Some(whole) = builder.rules.get(group) else { return };
    let keys: Vec<Box<str>> = whole.invariants.iter().map(|row| row.key.clone()).collect();
    let (types, binding) = (whole.types.clone(), whole.binding.clone());
    let Some(own) = builder.rules.get_mut(slice) else { return };
    own.invariants.retain(|row| !keys.contains(&row.key));
    if own.types == types {
        own.types = Vec::new();
    }
    if own.binding == binding {
        own.binding = None;
    }
}

/// The discriminators of a sliced element: its own, those of the base, or those that every such element has.
fn discriminators_of(builder: &Builder, group: usize, base: Option<&Profile>) -> Vec<Discriminator> {
    if let Some(own) = builder.discriminators.get(&group) {
        return own.clone();
    }
    let Some(rules) = builder.rules.get(group) else { return Vec::new() };
    if matches!(&*rules.name, "extension" | "modifierExtension") {
        return vec![Discriminator::new(Sort::Value, "url")];
    }
    if rules.is_choice {
        return vec![Discriminator::new(Sort::Type, "$this")];
    }
    // A differential that adds to a slicing of its base need not repeat how it slices.
    let same = base.into_iter().flat_map(|base| base.slicings.iter()).find(|(name, _)| **name == *rules.name);
    same.map(|(_, discriminators)| discriminators.clone()).unwrap_or_default()
}

/// The discriminators of all sliced elements by name, for profiles that build on this one.
pub(super) fn named(builder: &Builder) -> Vec<(Box<str>, Vec<Discriminator>)> {
    let mut rows: Vec<_> = builder
        .discriminators
        .iter()
        .filter_map(|(group, list)| Some((*group, builder.rules.get(*group)?.name.clone(), list.clone())))
        .collect();
    rows.sort_by_key(|(group, ..)| *group);
    rows.into_iter().map(|(_, name, list)| (name, list)).collect()
}

fn criterion(builder: &Builder, slice: usize, discriminator: &Discriminator) -> Criterion {
    let Some(steps) = steps(&discriminator.path) else { return Criterion::Unknown };
    let place = if steps.is_empty() {
        Place(None)
    } else {
        match Compiled::with_checking(&discriminator.path, None, Checking::Lenient) {
            Ok(compiled) => Place(Some(compiled)),
            Err(_) => return Criterion::Unknown,
        }
    };
    // What is wanted of a resource that is referred to stands in the profile of the target.
    if discriminator.sort == Sort::Value
        && let Some((before, _)) = discriminator.path.split_once("resolve()")
    {
        let path = format!("{before}resolve()");
        return criterion(builder, slice, &Discriminator { sort: Sort::Profile, path: path.into() });
    }
    let is_resolved = steps.contains(&Step::Resolve);
    let found = find(builder, slice, &steps);
    let is_telling = |index: &usize| builder.rules.get(*index).is_some_and(|rules| rules.tells);
    let rules = || found.iter().filter_map(|index| builder.rules.get(*index));
    match discriminator.sort {
        Sort::Value => {
            // A profiled extension is told by its address, which stands in its own definition.
            if found.is_empty() && steps == [Step::Element("url")] && is_telling(&slice) {
                return Criterion::Value { place: Place(None), rules: vec![slice] };
            }
            let telling: Vec<usize> = found.iter().copied().filter(is_telling).collect();
            if telling.is_empty() { Criterion::Unknown } else { Criterion::Value { place, rules: telling } }
        }
        Sort::Exists => match rules().next() {
            Some(rules) if rules.max == Some(0) => Criterion::Exists { place, wanted: false },
            Some(rules) if rules.min > 0 => Criterion::Exists { place, wanted: true },
            _ => Criterion::Unknown,
        },
        Sort::Type => {
            let targets = rules().flat_map(|rules| rules.types.iter());
            let codes: Vec<Box<str>> = if is_resolved {
                targets
                    .flat_map(|row| row.targets.iter())
                    .filter_map(|url| super::type_of_address(url))
                    .map(Into::into)
                    .collect()
            } else {
                targets.map(|row| row.code.clone()).collect()
            };
            if codes.is_empty() { Criterion::Unknown } else { Criterion::Type { place, codes } }
        }
        Sort::Profile => {
            let types = rules().flat_map(|rules| rules.types.iter());
            let profiles: Vec<Box<str>> = types
                .flat_map(|row| if is_resolved { row.targets.iter() } else { row.profiles.iter() })
                .cloned()
                .collect();
            if profiles.is_empty() { Criterion::Unknown } else { Criterion::Profile { place, profiles } }
        }
    }
}

/// Whether rules say what a value must be, be it further below.
fn tells(builder: &Builder, index: usize) -> bool {
    let Some(rules) = builder.rules.get(index) else { return false };
    let below = |index: &usize| builder.rules.get(*index).is_some_and(|rules| rules.tells);
    let is_required = |binding: &BindingRule| binding.strength == BindingStrength::Required;
    let is_profiled = |row: &TypeRule| &*row.code == "Extension" && !row.profiles.is_empty();
    rules.wanted.is_some()
        || rules.types.iter().any(is_profiled)
        || rules.binding.as_ref().is_some_and(is_required)
        || rules.children.iter().any(below)
}

/// The rules at the end of a path, from those of a slice: a step leads to an element and to its slices that must be
/// there.
fn find(builder: &Builder, from: usize, steps: &[Step<'_>]) -> Vec<usize> {
    let mut at = vec![from];
    for step in steps {
        let name = match step {
            Step::Element(name) => *name,
            Step::Extension(_) => "extension",
            Step::Resolve => continue,
        };
        let mut next = Vec::new();
        for rules in at.iter().filter_map(|index| builder.rules.get(*index)) {
            let named = |index: &&usize| builder.rules.get(**index).is_some_and(|child| &*child.name == name);
            let Some(child) = rules.children.iter().find(named) else { continue };
            match step {
                Step::Extension(url) => next.extend(extension_slice(builder, *child, url)),
                _ => {
                    next.push(*child);
                    let slices =
                        builder.rules.get(*child).map(|child| child.slices.as_slice()).unwrap_or_default();
                    let must = |index: &usize| builder.rules.get(*index).is_some_and(|slice| slice.min > 0);
                    let only = slices.len() == 1;
                    next.extend(slices.iter().map(|slice| slice.rules).filter(|index| only || must(index)));
                }
            }
        }
        at = next;
    }
    at
}

/// The slice of extensions with an address.
fn extension_slice(builder: &Builder, group: usize, url: &str) -> Option<usize> {
    let has_url = |index: &usize| {
        builder.rules.get(*index).is_some_and(|rules| {
            rules.types.iter().flat_map(|row| row.profiles.iter()).any(|profile| &**profile == url)
        })
    };
    let slices = &builder.rules.get(group)?.slices;
    slices.iter().map(|slice| slice.rules).find(has_url)
}

/// Reads a path; nothing where it is beyond what discriminators may use.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        // Addresses have dots: an extension ends with its bracket.
        if let Some(inside) = rest.strip_prefix("extension(") {
            let (url, behind) = inside.split_once(')')?;
            steps.push(Step::Extension(url.trim_matches(|quote| matches!(quote, '\'' | '"'))));
            rest = behind.strip_prefix('.').unwrap_or(behind);
            continue;
        }
        let (step, behind) = rest.split_once('.').unwrap_or((rest, ""));
        match step {
            "$this" => {}
            "resolve()" => steps.push(Step::Resolve),
            _ if step.bytes().all(|byte| byte.is_ascii_alphanumeric()) => steps.push(Step::Element(step)),
            // `ofType(Quantity)` narrows a choice, which the rules of its name cover.
            _ if step.starts_with("ofType(") && step.ends_with(')') => {}
            _ => return None,
        }
        rest = behind;
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_discriminators_are_read() {
        assert_eq!(steps("$this"), Some(vec![]));
        assert_eq!(steps("code.coding"), Some(vec![Step::Element("code"), Step::Element("coding")]));
        assert_eq!(steps("resolve().code"), Some(vec![Step::Resolve, Step::Element("code")]));
        let url = "http://example.org/a.b";
        let path = format!("extension('{url}').value");
        assert_eq!(steps(&path), Some(vec![Step::Extension(url), Step::Element("value")]));
        assert_eq!(
            steps("value.ofType(Quantity).code"),
            Some(vec![Step::Element("value"), Step::Element("code")])
        );
        assert_eq!(steps("where(a = 1)"), None);
    }
}
