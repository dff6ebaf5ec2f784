//! What references point at: the types and profiles that a profile allows, and the resources that are at hand.

use super::check::{At, Check, place, printable};
use super::table::{Aggregation, Profile};
use super::{Lookup, type_of_address};
use crate::definitions::r4;
use crate::fhirpath::{Node, Resolver, resource_node};
use crate::json::Value;
use crate::validate::issues::IssueCode;

/// The entries of a Bundle, in which references are looked up (R4 bundle.html#references).
pub(super) struct Entries<'a> {
    bundle: Value<'a>,
}

impl<'a> Entries<'a> {
    /// The entries of a resource that is a Bundle.
    pub(super) fn of(resource: Value<'a>) -> Option<Self> {
        let is_bundle = resource.get("resourceType").and_then(Value::as_str).as_deref() == Some("Bundle");
        is_bundle.then_some(Entries { bundle: resource })
    }

    /// The resource of an entry by its full URL, or by type and id for a relative reference.
    pub(super) fn find(&self, reference: &str) -> Option<Value<'a>> {
        let plain = reference.split("/_history/").next().unwrap_or(reference);
        let relative = plain.split_once('/').filter(|(name, id)| r4().is_resource(name) && !id.contains('/'));
        let text = |value: Value<'a>, name: &str| value.get(name).and_then(Value::as_str);
        self.bundle.get("entry")?.items().find_map(|entry| {
            let resource = entry.get("resource")?;
            let by_url = text(entry, "fullUrl").is_some_and(|url| url == plain);
            let by_id = relative.is_some_and(|(name, id)| {
                text(resource, "resourceType").is_some_and(|own| own == name)
                    && text(resource, "id").is_some_and(|own| own == id)
            });
            (by_url || by_id).then_some(resource)
        })
    }
}

impl Resolver for Entries<'_> {
    fn resolve<'s>(&'s self, reference: &str) -> Option<Value<'s>> {
        self.find(reference)
    }
}

/// The resource type in `Patient/1`, `https://host/fhir/Patient/1` and their versions.
pub(super) fn type_in(reference: &str) -> Option<&str> {
    let plain = reference.split(['?', '#']).next()?.split("/_history/").next()?;
    let mut parts = plain.rsplit('/');
    parts.next().filter(|id| !id.is_empty())?;
    parts.next().filter(|name| r4().is_resource(name))
}

impl<'a> Check<'_, 'a> {
    /// Whether a reference points at what it may.
    pub(super) fn target(
        &mut self,
        profile: &Profile,
        targets: &[Box<str>],
        node: &Node<'a>,
        at: At<'_, 'a>,
    ) {
        let Some(value) = place(node) else { return };
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let reference = text("reference");
        let found = reference.as_deref().and_then(|reference| self.at_hand(reference, at));
        let name =
            match found.and_then(|found| found.get("resourceType")?.as_str()) {
                Some(name) => Some(name.into_owned()),
                None => reference.as_deref().and_then(type_in).map(str::to_owned).or_else(|| {
                    text("type").map(|name| name.rsplit('/').next().unwrap_or_default().to_owned())
                }),
            };
        let Some(name) = name.filter(|name| r4().is_resource(name)) else { return };
        let mut matching: Vec<&str> = Vec::new();
        for target in targets {
            let of_target = type_of_address(target).or_else(|| match self.around.profiles.profile(target) {
                Lookup::Known(profile) => Some(profile.structure.name),
                _ => None,
            });
            match of_target {
                Some(allowed) if r4().is_a(&name, allowed) => matching.push(target),
                Some(_) => {}
                // Nobody knows what that profile is for.
                None => return,
            }
        }
        let url = printable(&profile.url);
        if matching.is_empty() {
            let allowed: Vec<&str> =
                targets.iter().map(|target| target.rsplit('/').next().unwrap_or(target)).collect();
            let message =
                format_args!("must not point at a {name}; allowed: {}; profile {url}", allowed.join(" | "));
            return self.issues.error(IssueCode::Structure, at.path, value, message);
        }
        let (Some(found), false) = (found, matching.iter().any(|target| type_of_address(target).is_some()))
        else {
            return;
        };
        let target = resource_node(found);
        let is_any = matching.iter().any(|address| {
            self.silently(|check| _ = check.conforms_to(address, &target, At { resource: found, ..at }))
        });
        if !is_any {
            let message = format_args!(
                "points at a resource that does not conform to {}; profile {url}",
                matching.join(", ")
            );
            self.issues.error(IssueCode::Structure, at.path, value, message);
        }
    }

    /// Whether a reference leads to its target in one of the ways that a profile allows. A logical reference leads nowhere.
    pub(super) fn aggregation(
        &mut self,
        profile: &Profile,
        ways: &[Aggregation],
        node: &Node<'a>,
        at: At<'_, 'a>,
    ) {
        let Some(value) = place(node) else { return };
        let Some(reference) = value.get("reference").and_then(Value::as_str) else { return };
        let has = |way: Aggregation| ways.contains(&way);
        let url = printable(&profile.url);
        let wrong = if reference.starts_with('#') {
            (!has(Aggregation::Contained)).then_some("must not point at a contained resource")
        } else if !has(Aggregation::Referenced) && !has(Aggregation::Bundled) {
            Some("must point at a contained resource")
        } else {
            // Whether a resource comes in a Bundle, only the Bundle shows.
            let is_bundle = Entries::of(self.outermost).is_some();
            let is_elsewhere =
                is_bundle && !has(Aggregation::Referenced) && self.at_hand(&reference, at).is_none();
            is_elsewhere.then_some("must point at an entry of the same Bundle")
        };
        if let Some(wrong) = wrong {
            self.issues.error(IssueCode::Structure, at.path, value, format_args!("{wrong}; profile {url}"));
        }
    }

    /// The resource that a reference leads to, where it is contained or in the same Bundle.
    fn at_hand(&mut self, reference: &str, at: At<'_, 'a>) -> Option<Value<'a>> {
        if let Some(id) = reference.strip_prefix('#') {
            let has_id = |resource: &Value<'a>| {
                resource.get("id").and_then(Value::as_str).is_some_and(|own| own == id)
            };
            return at.root.get("contained")?.items().find(has_id);
        }
        let entries = Entries::of(self.outermost)?;
        let count = self.outermost.get("entry").map_or(0, Value::len);
        if self.may_go_on(count) { entries.find(reference) } else { None }
    }
}
