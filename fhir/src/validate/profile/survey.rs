//! Walks a resource for all that is checked by itself: declared profiles, extensions, references within a Bundle.

use super::bundle::Bundled;
use super::check::{At, Check};
use super::{CompileError, Demands, Lookup, Surroundings};
use crate::definitions::{ElementMatch, Structure, r4};
use crate::fhirpath::resource_node;
use crate::json::{Kind, Value};
use crate::validate::issues::{Issue, IssueCode, Severity};
use crate::validate::path::Path;

/// Deepest nesting that is walked; base validation has told what is deeper.
const DEPTH_MAX: usize = 100;

/// Remarks on one definition that are told.
const REMARKS_MAX: usize = 20;

/// Checks a resource and everything in it.
pub(super) fn run(resource: Value<'_>, demands: &Demands, around: &Surroundings<'_>) -> Vec<Issue> {
    let name = resource.get("resourceType").and_then(|member| member.as_str());
    let root = name.as_deref().and_then(|name| r4().resource(name)).map_or("Resource", |row| row.name);
    let path = Path::root(root);
    let mut check = Check::new(resource, demands, around);
    let bundled = Bundled::of(resource);
    let mut survey = Survey { check: &mut check, bundled: bundled.as_ref() };
    let at = At { path: &path, resource, root: resource, depth: 0 };
    survey.resource(resource, &demands.profiles, at);
    if !check.may_go_on(0) {
        let message = format_args!("the check was given up: it takes too much work");
        check.issues.error(IssueCode::TooCostly, &path, resource, message);
    }
    check.issues.finish(resource.document().text(), root)
}

/// Where a walk is: in the whole, and in the resource that it is in.
pub(super) type Ways<'p, 'a> = (At<'p, 'a>, &'p Line<'p>);

/// The way from the nearest resource to an element, with the structure of each step.
#[derive(Clone, Copy)]
pub(super) struct Line<'p> {
    above: Option<&'p Line<'p>>,
    name: &'static str,
    structure: &'static Structure,
}

impl<'p> Line<'p> {
    fn root(structure: &'static Structure) -> Self {
        Line { above: None, name: structure.name, structure }
    }

    fn below(&'p self, name: &'static str, structure: &'static Structure) -> Self {
        Line { above: Some(self), name, structure }
    }

    /// Whether a path such as `Patient.contact`, `HumanName.family` or `Questionnaire.item` leads here: it begins with
    /// the name of a structure on the way, and goes on by names.
    pub(super) fn is_at(&self, path: &str) -> bool {
        if self.structure.name == path || super::slices::is_of_type(self.structure, path) {
            return true;
        }
        match (path.rsplit_once('.'), self.above) {
            (Some((before, name)), Some(above)) => name == self.name && above.is_at(before),
            _ => false,
        }
    }
}

/// What an extension stands in.
pub(super) struct Host<'p, 'a> {
    pub(super) value: Value<'a>,
    pub(super) line: &'p Line<'p>,
}

impl Host<'_, '_> {
    pub(super) fn structure(&self) -> &'static Structure {
        self.line.structure
    }
}

pub(super) struct Survey<'s, 'w, 'a> {
    pub(super) check: &'s mut Check<'w, 'a>,
    pub(super) bundled: Option<&'s Bundled<'a>>,
}

impl<'a> Survey<'_, '_, 'a> {
    fn resource(&mut self, value: Value<'a>, asked: &[String], at: At<'_, 'a>) {
        let node = resource_node(value);
        let Some(structure) = node.structure() else { return };
        for address in asked {
            self.check.unknown_profile = Severity::Error;
            self.check.conforms_to(address, &node, at);
            self.check.unknown_profile = self.check.demands.unknown_profile;
        }
        if self.check.demands.declared {
            self.declared(value, asked, at);
        }
        if structure.name == "Bundle" {
            super::bundle::check(self.check, value, at);
        }
        if structure.name == "StructureDefinition" {
            self.definition(value, at);
        }
        self.members(value, structure, (at, &Line::root(structure)));
    }

    /// What of a definition could not be checked, for whoever writes one.
    fn definition(&mut self, value: Value<'a>, at: At<'_, 'a>) {
        let remark = |check: &mut Check<'_, 'a>, text: &dyn std::fmt::Display| {
            check.issues.warning(IssueCode::NotSupported, at.path, value, format_args!("{text}"));
        };
        if !self.check.may_go_on(value.document().len()) {
            return;
        }
        match super::compile(value, None) {
            Ok(profile) => {
                profile.remarks().iter().take(REMARKS_MAX).for_each(|text| remark(self.check, text))
            }
            // A logical model is no profile, and the base of a differential is looked for when it is used.
            Err(CompileError::NoType | CompileError::NoBase(_)) => {}
            Err(error) => remark(self.check, &format_args!("the definition cannot be used: {error}")),
        }
    }

    /// The profiles that a resource says it conforms to.
    fn declared(&mut self, value: Value<'a>, asked: &[String], at: At<'_, 'a>) {
        let Some(list) = value.get("meta").and_then(|meta| meta.get("profile")) else { return };
        let node = resource_node(value);
        let (meta, mut seen) = (at.path.child("meta"), Vec::new());
        for (index, item) in list.items().enumerate() {
            let Some(address) = item.as_str().filter(|address| !asked.iter().any(|own| *own == **address))
            else {
                continue;
            };
            if seen.contains(&address) {
                continue;
            }
            let usable = super::type_of_address(&address).is_some()
                || matches!(self.check.around.profiles.profile(&address), Lookup::Known(_));
            // What is not known is told at the place that names it.
            let profile = meta.child("profile");
            let place = profile.item(index);
            self.check.conforms_to(&address, &node, if usable { at } else { at.to(&place) });
            seen.push(address);
        }
    }

    /// The members of an object whose structure is known.
    pub(super) fn members(
        &mut self,
        value: Value<'a>,
        structure: &'static Structure,
        (at, own): Ways<'_, 'a>,
    ) {
        if at.depth >= DEPTH_MAX || !self.check.may_go_on(value.len()) {
            return;
        }
        let below = At { depth: at.depth + 1, ..at };
        for (name, member) in value.members() {
            let Some(found) = structure.element(&name) else { continue };
            let path = at.path.child(found.element.name);
            let own = own.below(found.element.name, r4().structure_of(found.element_type));
            if member.kind() != Kind::Array {
                self.item(member, found, value, (below.to(&path), &own));
                continue;
            }
            for (index, item) in member.items().enumerate() {
                let path = path.item(index);
                self.item(item, found, value, (below.to(&path), &own));
            }
        }
    }

    fn item(
        &mut self,
        value: Value<'a>,
        found: ElementMatch<'static>,
        host: Value<'a>,
        (at, own): Ways<'_, 'a>,
    ) {
        if value.kind() != Kind::Object {
            return;
        }
        let structure = r4().structure_of(found.element_type);
        match found.element_type.code {
            "Resource" => {
                let root = if found.element.name == "contained" { at.root } else { value };
                self.resource(value, &[], At { resource: value, root, ..at });
            }
            "Extension" if !found.is_companion => {
                if let Some(above) = own.above {
                    let is_modifier = found.element.name == "modifierExtension";
                    self.extension(value, Host { value: host, line: above }, is_modifier, at);
                }
                self.members(value, structure, (at, own));
            }
            code => {
                if code == "Reference"
                    && let Some(bundled) = self.bundled
                {
                    bundled.reference(self.check, value, at);
                }
                self.members(value, structure, (at, own));
            }
        }
    }
}
