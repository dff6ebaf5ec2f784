//! Codes against the value sets that a profile binds (R4 terminologies.html#strength).

use std::borrow::Cow;

use super::check::{At, Check, place, printable};
use super::table::{BindingRule, Profile};
use crate::definitions::BindingStrength;
use crate::fhirpath::Node;
use crate::json::{Kind, Value};
use crate::terminology::Membership;
use crate::validate::issues::{IssueCode, Severity};

/// A code with its system.
type Coding<'a> = (Option<Cow<'a, str>>, Cow<'a, str>);

/// Membership as a truth value.
pub(super) fn known(membership: Membership) -> Option<bool> {
    match membership {
        Membership::Member => Some(true),
        Membership::NotMember => Some(false),
        Membership::Unknown => None,
    }
}

/// The codes that an element holds; `None` where it is of a type that no value set can be bound to.
fn codings<'a>(node: &Node<'a>) -> Option<Vec<Coding<'a>>> {
    let value = node.value()?;
    let text = |value: Value<'a>, name: &str| value.get(name).and_then(Value::as_str);
    let coding = |value: Value<'a>| Some((text(value, "system"), text(value, "code")?));
    Some(match node.structure()?.name {
        "CodeableConcept" => {
            value.get("coding").into_iter().flat_map(Value::items).filter_map(coding).collect()
        }
        "Coding" | "Quantity" | "Age" | "Distance" | "Duration" | "Count" => {
            coding(value).into_iter().collect()
        }
        "code" | "string" | "uri" if value.kind() == Kind::String => {
            value.as_str().map(|code| (None, code)).into_iter().collect()
        }
        _ => return None,
    })
}

impl<'a> Check<'_, 'a> {
    /// Whether one of the codes of an element is in a value set; `None` where nobody knows.
    pub(super) fn is_bound(&self, value_set: &str, node: &Node<'a>) -> Option<bool> {
        let codings = codings(node)?;
        let mut is_certain = true;
        for (system, code) in &codings {
            // A code of no system has no meaning, unless the element is a plain code.
            if system.is_none() && !node.value().is_some_and(|value| value.kind() == Kind::String) {
                continue;
            }
            match self.around.terminology.validate_code(value_set, system.as_deref(), code) {
                Membership::Member => return Some(true),
                Membership::NotMember => {}
                Membership::Unknown => is_certain = false,
            }
        }
        is_certain.then_some(false)
    }

    pub(super) fn binding(&mut self, profile: &Profile, rule: &BindingRule, node: &Node<'a>, at: At<'_, 'a>) {
        let (Some(value), Some(codings)) = (place(node), codings(node)) else { return };
        if !self.may_go_on(codings.len()) {
            return;
        }
        let url = printable(&profile.url);
        if let Some(maximum) = &rule.max_value_set
            && self.is_bound(maximum, node) == Some(false)
        {
            let message =
                format_args!("no code may be outside of the value set {}; profile {url}", printable(maximum));
            self.issues.error(IssueCode::CodeInvalid, at.path, value, message);
        }
        let set = printable(&rule.value_set);
        match (self.is_bound(&rule.value_set, node), rule.strength) {
            (Some(true), _) => {}
            (Some(false), BindingStrength::Required) => {
                let message = format_args!("a code from the value set {set} is required; profile {url}");
                self.issues.error(IssueCode::CodeInvalid, at.path, value, message);
            }
            // Text alone may mean that no code fits, which extensible and preferred bindings allow.
            (Some(false), _) if codings.is_empty() => {}
            (Some(false), BindingStrength::Extensible) => {
                let message = format_args!(
                    "is not from the value set {set}, which must be used where it has a code for the concept; profile {url}"
                );
                self.issues.warning(IssueCode::CodeInvalid, at.path, value, message);
            }
            (Some(false), _) => {
                let message = format_args!("is not from the preferred value set {set}; profile {url}");
                self.issues.add((Severity::Information, IssueCode::CodeInvalid), at.path, value, message);
            }
            (None, BindingStrength::Required) => {
                let message = format_args!(
                    "whether the code is in the required value set {set} is not known here; profile {url}"
                );
                self.issues.warning(IssueCode::NotSupported, at.path, value, message);
            }
            (None, _) => {}
        }
    }
}
