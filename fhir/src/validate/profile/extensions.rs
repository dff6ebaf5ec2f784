//! Extensions against their definitions: what they hold, where they may stand, whether they modify a meaning.

use super::Lookup;
use super::check::{At, Check, printable};
use super::compile::BASE;
use super::survey::{Host, Survey};
use super::table::{Profile, UseContext};
use crate::fhirpath::{Node, resource_node};
use crate::json::Value;
use crate::validate::issues::{IssueCode, Severity};

impl<'a> Survey<'_, '_, 'a> {
    /// One extension in its host.
    pub(super) fn extension(
        &mut self,
        value: Value<'a>,
        host: Host<'_, 'a>,
        is_modifier: bool,
        at: At<'_, 'a>,
    ) {
        let Some(url) = value.get("url").and_then(Value::as_str) else { return };
        let check = &mut *self.check;
        if !url.contains(':') {
            if host.structure().name != "Extension" {
                let message =
                    format_args!("the url of an extension must be absolute, but for those within another");
                check.issues.warning(IssueCode::Value, at.path, value, message);
            }
            return;
        }
        match check.around.profiles.profile(&url) {
            Lookup::Known(profile) if profile.structure.name == "Extension" => {
                let shown = printable(&profile.url);
                if profile.is_modifier != is_modifier {
                    let place = if profile.is_modifier { "modifierExtension" } else { "extension" };
                    let message = format_args!("the extension {shown} must stand in {place}");
                    check.issues.error(IssueCode::Structure, at.path, value, message);
                }
                if !may_stand(&profile, &host) {
                    let message = format_args!("the extension {shown} is not allowed in this element");
                    check.issues.error(IssueCode::Structure, at.path, value, message);
                }
                context_rules(check, &profile, &host, at);
                let structure = crate::definitions::r4().structure("Extension");
                check.conforms(&profile, &Node::new(value, structure), at);
            }
            Lookup::Known(_) => {
                let message = format_args!("{} is no definition of an extension", printable(&url));
                check.issues.error(IssueCode::Structure, at.path, value, message);
            }
            Lookup::Broken(why) => {
                let message =
                    format_args!("the definition of the extension {} cannot be used: {why}", printable(&url));
                check.issues.warning(IssueCode::NotSupported, at.path, value, message);
            }
            Lookup::Unknown => unknown(check, &url, is_modifier, value, at),
        }
    }
}

/// One that nobody knows. Whoever does not understand a modifier must not use what it is in (R4 extensibility.html).
fn unknown<'a>(check: &mut Check<'_, 'a>, url: &str, is_modifier: bool, value: Value<'a>, at: At<'_, 'a>) {
    if !check.demands.unknown_extensions || !check.told.insert(url.to_owned()) {
        return;
    }
    let severity =
        if is_modifier || url.starts_with(BASE) { Severity::Warning } else { Severity::Information };
    let message = format_args!("the extension {} is not known, so it was not checked", printable(url));
    check.issues.add((severity, IssueCode::NotFound), at.path, value, message);
}

/// Whether an extension may stand in an element (StructureDefinition.context). Expressions are taken to allow it.
fn may_stand(profile: &Profile, host: &Host<'_, '_>) -> bool {
    profile.contexts.is_empty()
        || profile.contexts.iter().any(|context| match context {
            UseContext::Expression => true,
            UseContext::Extension(url) => {
                let own = host.value.get("url").and_then(Value::as_str);
                host.structure().name == "Extension" && own.is_some_and(|own| own == **url)
            }
            // R4 has choices in contexts: `Observation.value[x]`.
            UseContext::Element(path) => {
                &**path == "Element" || host.line.is_at(path.strip_suffix("[x]").unwrap_or(path))
            }
        })
}

/// Expressions that must hold where the extension stands.
fn context_rules<'a>(check: &mut Check<'_, 'a>, profile: &Profile, host: &Host<'_, 'a>, at: At<'_, 'a>) {
    let typed = resource_node(host.value);
    let node =
        if typed.structure().is_some() { typed } else { Node::new(host.value, Some(host.structure())) };
    for rule in &profile.context_rules {
        check.invariant(profile, rule, &node, at);
    }
}
