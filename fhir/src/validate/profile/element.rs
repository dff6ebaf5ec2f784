//! Reads one ElementDefinition into rules, and leaves out what R4 asks for anyway.

use super::compile::{BASE, Builder};
use super::slicing::{self, Discriminator};
use super::table::{Aggregation, BindingRule, Invariant, Openness, Slicing, TypeRule, Wanted};
use crate::definitions::{BindingStrength, Element, ElementType, r4};
use crate::fhirpath::{Checking, Compiled};
use crate::json::{Document, Limits, Value};

/// Remarks that are kept of one definition.
const REMARKS_MAX: usize = 50;

/// Fills in the rules of an element. `base` is its definition in R4.
pub(super) fn fill(builder: &mut Builder, index: usize, element: Value<'_>, base: Option<&'static Element>) {
    let types = types(element);
    let content = match types.as_slice() {
        // A backbone element has its content in a structure of its own, which the base knows.
        [only] => base
            .and_then(|base| base.types.iter().find(|row| row.code == &*only.code))
            .map(|row| r4().structure_of(row))
            .or_else(|| r4().structure(&only.code)),
        _ => None,
    };
    let invariants = invariants(element, &mut builder.remarks);
    if index > 0
        && let Some(slicing) = element.get("slicing")
    {
        let discriminators: Vec<Discriminator> = slicing::discriminators(slicing);
        builder.discriminators.insert(index, discriminators);
    }
    let Some(rules) = builder.rules.get_mut(index) else { return };
    rules.invariants = invariants;
    if index == 0 {
        return;
    }
    if rules.is_choice || rules.structure.is_none() {
        rules.structure = content.or(rules.structure);
    }
    let is_slice = rules.slice_name.is_some();
    (rules.min, rules.max) = cardinality(element, base.filter(|_| !is_slice));
    // That a slice is the one of a type (`valueQuantity`) may be all that says so.
    if !types.is_empty() || rules.types.is_empty() {
        rules.types = if base.is_some_and(|base| is_as_base(&types, base)) { Vec::new() } else { types };
    }
    rules.wanted = wanted(element);
    rules.binding = element.get("binding").and_then(binding).filter(|own| !is_checked_by_base(own, base));
    rules.length_max = element.get("maxLength").and_then(Value::number).and_then(|text| text.parse().ok());
    rules.low = typed(element, "minValue");
    rules.high = typed(element, "maxValue");
    if let Some(slicing) = element.get("slicing") {
        rules.slicing = Some(Slicing {
            openness: match slicing.get("rules").and_then(Value::as_str).as_deref() {
                Some("closed") => Openness::Closed,
                Some("openAtEnd") => Openness::OpenAtEnd,
                _ => Openness::Open,
            },
            is_ordered: slicing.get("ordered").and_then(Value::as_bool).unwrap_or(false),
        });
    }
}

/// Makes a slice the one of a type: `valueQuantity`.
pub(super) fn set_type(builder: &mut Builder, index: usize, element_type: &'static ElementType) {
    if let Some(rules) = builder.rules.get_mut(index) {
        rules.structure = Some(r4().structure_of(element_type));
        rules.types = vec![TypeRule {
            code: element_type.code.into(),
            profiles: Vec::new(),
            targets: Vec::new(),
            aggregation: Vec::new(),
        }];
    }
}

/// How often; what R4 asks for itself counts as nothing.
fn cardinality(element: Value<'_>, base: Option<&Element>) -> (u32, Option<u32>) {
    let min = element.get("min").and_then(Value::number).and_then(|text| text.parse().ok()).unwrap_or(0);
    let max = element.get("max").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let Some(base) = base else { return (min, max) };
    let is_tighter = |max: &u32| base.max.is_none_or(|allowed| *max < allowed);
    (if min > base.min { min } else { 0 }, max.filter(is_tighter))
}

fn texts(value: Value<'_>, name: &str) -> Vec<Box<str>> {
    let items = value.get(name).into_iter().flat_map(Value::items);
    items.filter_map(Value::as_str).map(|text| text.as_ref().into()).collect()
}

/// The types; none where one of them is a System type, as ids and addresses of extensions have it.
fn types(element: Value<'_>) -> Vec<TypeRule> {
    let mut rules = Vec::new();
    for row in element.get("type").into_iter().flat_map(Value::items) {
        let Some(code) = row.get("code").and_then(Value::as_str) else { continue };
        if code.contains('/') {
            return Vec::new();
        }
        let mut targets = texts(row, "targetProfile");
        if targets.iter().any(|target| target.strip_prefix(BASE) == Some("Resource")) {
            targets.clear();
        }
        let ways = texts(row, "aggregation");
        let aggregation = ways.iter().filter_map(|way| match &**way {
            "contained" => Some(Aggregation::Contained),
            "referenced" => Some(Aggregation::Referenced),
            "bundled" => Some(Aggregation::Bundled),
            _ => None,
        });
        let (code, profiles) = (code.as_ref().into(), texts(row, "profile"));
        rules.push(TypeRule { code, profiles, targets, aggregation: aggregation.collect() });
    }
    rules
}

/// Whether types say no more than R4 does.
fn is_as_base(types: &[TypeRule], base: &Element) -> bool {
    let same = |rule: &TypeRule, row: &ElementType| {
        let is_profile_of_base =
            |url: &str| url.strip_prefix(BASE).is_some_and(|name| Some(name) == row.profile);
        let is_target_of_base =
            |url: &str| url.strip_prefix(BASE).is_some_and(|name| row.targets.contains(&name));
        rule.aggregation.is_empty()
            && rule.profiles.iter().all(|url| is_profile_of_base(url))
            && rule.targets.len() == row.targets.len()
            && rule.targets.iter().all(|url| is_target_of_base(url))
    };
    base.types.iter().all(|row| types.iter().any(|rule| *rule.code == *row.code && same(rule, row)))
        || types.is_empty()
        || base.content_reference.is_some()
}

/// `fixed[x]` or `pattern[x]`.
fn wanted(element: Value<'_>) -> Option<Wanted> {
    let exact = typed(element, "fixed").map(|document| Wanted::new(document, true));
    exact.or_else(|| typed(element, "pattern").map(|document| Wanted::new(document, false)))
}

/// The value of a choice such as `fixed[x]`, whatever its type.
fn typed(element: Value<'_>, name: &str) -> Option<Document> {
    let is_typed = |json_name: &str| {
        json_name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    };
    let (_, value) = element.members().find(|(json_name, _)| is_typed(json_name))?;
    Document::parse(value.raw(), &Limits::default()).ok()
}

fn binding(row: Value<'_>) -> Option<BindingRule> {
    let value_set = row.get("valueSet").and_then(Value::as_str)?;
    let strength = match row.get("strength").and_then(Value::as_str)?.as_ref() {
        "required" => BindingStrength::Required,
        "extensible" => BindingStrength::Extensible,
        "preferred" => BindingStrength::Preferred,
        _ => return None,
    };
    let maximum = row.get("extension").into_iter().flat_map(Value::items).find(|extension| {
        extension
            .get("url")
            .and_then(Value::as_str)
            .is_some_and(|url| url.ends_with("/elementdefinition-maxValueSet"))
    });
    let maximum = maximum.and_then(|extension| extension.get("valueCanonical")?.as_str());
    Some(BindingRule {
        strength,
        value_set: value_set.as_ref().into(),
        max_value_set: maximum.map(|url| url.as_ref().into()),
    })
}

/// Whether R4 itself has the same binding: required ones are checked with R4, and what R4 itself asks for weakly is
/// not the profile's to remark.
fn is_checked_by_base(own: &BindingRule, base: Option<&Element>) -> bool {
    let Some(binding) = base.and_then(|base| base.binding.as_ref()) else { return false };
    let plain = own.value_set.split('|').next().unwrap_or(&own.value_set);
    plain == binding.url && own.strength == binding.strength
}

/// The constraints that are not R4's own.
fn invariants(element: Value<'_>, remarks: &mut Vec<String>) -> Vec<Invariant> {
    let mut found = Vec::new();
    for row in element.get("constraint").into_iter().flat_map(Value::items) {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let (Some(key), Some(expression)) = (text("key"), text("expression")) else { continue };
        let source = text("source");
        let is_of_base = source
            .as_deref()
            .and_then(|url| url.strip_prefix(BASE))
            .is_some_and(|name| r4().structure(name).is_some());
        if is_of_base || (source.is_none() && is_known(&key, &expression)) {
            continue;
        }
        let is_warning = text("severity").as_deref() == Some("warning");
        let human = text("human").unwrap_or_default();
        found.push(invariant((&key, is_warning, &human), &expression, remarks));
    }
    found
}

/// Whether R4 has this constraint.
fn is_known(key: &str, expression: &str) -> bool {
    key == "ele-1"
        || r4().structures().iter().any(|structure| {
            let of_elements = structure.elements().iter().flat_map(|element| element.constraints.iter());
            structure
                .constraints
                .iter()
                .chain(of_elements)
                .any(|row| row.key == key && row.expression == expression)
        })
}

/// Compiles a constraint; one that does not compile is remarked.
pub(super) fn invariant(
    (key, is_warning, human): (&str, bool, &str),
    expression: &str,
    remarks: &mut Vec<String>,
) -> Invariant {
    let compiled = Compiled::with_checking(expression, None, Checking::Lenient)
        .map_err(|error| format!("its expression does not compile: {error}"));
    if let Err(why) = &compiled
        && remarks.len() < REMARKS_MAX
    {
        remarks.push(format!("the constraint {key} is not checked, as {why}"));
    }
    Invariant { key: key.into(), is_warning, human: human.into(), compiled }
}
