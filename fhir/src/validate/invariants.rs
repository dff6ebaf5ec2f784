//! The other invariants of R4, evaluated as FHIRPath; each is compiled when its structure is first met.
//!
//! An invariant is broken where it is not true: false or nothing (R4 conformance-rules.html#constraints). The
//! rules that compare two dates or quantities give nothing where these cannot be compared, which breaks none;
//! and nothing is said of an object that lacks what the rule is about, because that has been told already.
//! Warnings of the definitions are matters of taste and are evaluated only where they are asked for.

use std::sync::OnceLock;

use super::issues::{IssueCode, Severity};
use super::walk::{At, Walk};
use crate::definitions::{Constraint, Element, Structure, r4};
use crate::fhirpath::{Checking, Compiled, Context, Limits};
use crate::json::Value;

/// Rules that are checked by hand ([`super::rules`]) or in the walk itself.
const CHECKED_ELSEWHERE: &[&str] = &[
    "att-1", "bdl-1", "bdl-10", "bdl-11", "bdl-12", "bdl-2", "bdl-3", "bdl-4", "bdl-5", "bdl-7", "bdl-8",
    "bdl-9", "cpt-2", "csd-1", "dom-2", "dom-3", "dom-4", "dom-5", "ele-1", "ext-1", "obs-6", "obs-7",
    "pat-1", "per-1", "qty-3", "que-2", "rat-1", "ref-1", "txt-1", "txt-2",
];

/// Rules that compare what may not be comparable: dates of different precision, quantities of different units.
const COMPARISONS: &[&str] = &["inv-1", "mdd-1", "rng-2"];

/// Most steps of one evaluation: some ten milliseconds. The largest StructureDefinition of R4 needs a fifth.
const STEPS_MAX: u64 = 1_000_000;
/// Evaluations of one body that may fail, by a limit or by a value of the wrong kind, before the rest is left
/// out: a hostile body must not cost more than some of them.
pub(super) const FAILURES_MAX: usize = 20;

/// The rules of one structure.
#[derive(Debug, Default)]
struct Rules {
    whole: Vec<Rule>,
    /// Rules on an element of one of its types, by its JSON name.
    elements: Vec<(&'static Element, &'static str, Rule)>,
}

#[derive(Debug)]
struct Rule {
    constraint: &'static Constraint,
    compiled: Compiled,
}

/// Evaluates the rules of an object and of its elements. `is_well` says that nothing was wrong with the object
/// and what it holds.
pub(super) fn check<'a>(
    walk: &mut Walk<'_>,
    value: Value<'a>,
    structure: &'static Structure,
    is_well: bool,
    at: At<'_, 'a>,
) {
    let rules = rules_of(structure);
    for rule in &rules.whole {
        evaluate(walk, rule, value, is_well, at);
    }
    for (element, json_name, rule) in &rules.elements {
        let Some(member) = value.get(json_name) else { continue };
        let path = at.path.child(element.name);
        for (index, item) in member.items().enumerate() {
            let path = path.item(index);
            evaluate(walk, rule, item, is_well, at.to(&path));
        }
        if !element.is_array() {
            evaluate(walk, rule, member, is_well, at.to(&path));
        }
    }
}

fn evaluate<'a>(walk: &mut Walk<'_>, rule: &'static Rule, value: Value<'a>, is_well: bool, at: At<'_, 'a>) {
    let is_warning = rule.constraint.is_warning;
    if walk.failures >= FAILURES_MAX || is_warning && !is_wanted(walk, rule, at) {
        return;
    }
    let limits = Limits { steps_max: STEPS_MAX, ..Limits::default() };
    let context = Context::of(at.resource).with_root_resource(at.root).with_limits(limits);
    let holds = match rule.compiled.evaluate_bool(value, &context) {
        Ok(Some(holds)) => holds,
        // Half of R4's recommendations give nothing for what they are not about.
        Ok(None) if is_warning => true,
        Ok(None) => !is_well || COMPARISONS.contains(&rule.constraint.key),
        // A value is not of the kind that the rule is about, which the walk has told already, or a bound was
        // reached; then nothing is known.
        Err(_) => {
            walk.failures += 1;
            true
        }
    };
    if !holds {
        let message = format_args!("{} ({})", rule.constraint.human, rule.constraint.key);
        let severity = if is_warning { Severity::Warning } else { Severity::Error };
        walk.issues.add((severity, IssueCode::Invariant), at.path, value, message);
    }
}

/// Whether a recommendation is to be told. That for a narrative is not for contained resources, which have none
/// (R4 domainresource.html).
fn is_wanted(walk: &Walk<'_>, rule: &Rule, at: At<'_, '_>) -> bool {
    walk.options.warnings && !(rule.constraint.key == "dom-6" && at.inside.is_some())
}

fn rules_of(structure: &Structure) -> &'static Rules {
    static NONE: Rules = Rules { whole: Vec::new(), elements: Vec::new() };
    static RULES: OnceLock<Vec<OnceLock<Rules>>> = OnceLock::new();
    let all = RULES.get_or_init(|| r4().structures().iter().map(|_| OnceLock::new()).collect());
    let place = all.get(structure.id.index()).zip(r4().structures().get(structure.id.index()));
    place.map_or(&NONE, |(place, structure)| place.get_or_init(|| compile(structure)))
}

fn compile(structure: &'static Structure) -> Rules {
    let whole = structure.constraints.iter().filter_map(|constraint| rule(constraint, structure)).collect();
    let mut elements = Vec::new();
    for element in structure.elements() {
        for element_type in &element.types {
            let content = r4().structure_of(element_type);
            let rules = element.constraints.iter().filter_map(|constraint| rule(constraint, content));
            elements.extend(rules.map(|rule| (element, element_type.json_name, rule)));
        }
    }
    Rules { whole, elements }
}

/// A test shows that every rule of R4 compiles.
fn rule(constraint: &'static Constraint, structure: &Structure) -> Option<Rule> {
    if CHECKED_ELSEWHERE.contains(&constraint.key) {
        return None;
    }
    let compiled =
        Compiled::with_checking(constraint.expression, Some(structure.name), Checking::Lenient).ok()?;
    Some(Rule { constraint, compiled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_compiles() {
        let mut count = 0;
        for structure in r4().structures() {
            let rules = rules_of(structure);
            let is_ours = |constraint: &&&Constraint| !CHECKED_ELSEWHERE.contains(&constraint.key);
            assert_eq!(
                rules.whole.len(),
                structure.constraints.iter().filter(is_ours).count(),
                "{}",
                structure.name
            );
            for element in structure.elements() {
                let own = element.constraints.iter().filter(is_ours).count() * element.types.len();
                let found = rules.elements.iter().filter(|(of, ..)| std::ptr::eq(*of, element)).count();
                assert_eq!(found, own, "{}.{}", structure.name, element.name);
            }
            count += rules.whole.len() + rules.elements.len();
        }
        assert!(count >= 170, "{count}");
    }
}
