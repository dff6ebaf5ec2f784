//! The walk over a resource: names, kinds of JSON, numbers of occurrences; the rest is handed to its checker.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::issues::{Issue, IssueCode, Issues};
use super::path::Path;
use super::primitive::{self, Fault};
use super::scope::Scope;
use super::{Options, binding, hint, invariants, narrative, reference, rules};
use crate::definitions::{
    Definitions, ElementMatch, ElementType, PrimitiveKind, Structure, StructureKind, r4,
};
use crate::json::{Kind, Value};

/// Checks a resource and everything below it.
pub(super) fn run(resource: Value<'_>, options: &Options) -> Vec<Issue> {
    let definitions = r4();
    let mut walk = Walk {
        definitions,
        options,
        issues: Issues::new(options.issues_max),
        names: reference::names(resource),
        failures: 0,
    };
    let type_name = resource.get("resourceType").and_then(Value::as_str);
    let root =
        type_name.as_deref().and_then(|name| definitions.resource(name)).map_or("Resource", |row| row.name);
    let path = Path::root(root);
    let outside = Scope::outside(options.conditional_references);
    let at = At { path: &path, scope: &outside, inside: None, resource, root: resource, depth: 0 };
    walk.resource(resource, at, Role::Independent);
    walk.issues.finish(resource.document().text(), root)
}

/// Where the walk is.
#[derive(Clone, Copy)]
pub(super) struct At<'p, 'a> {
    pub(super) path: &'p Path<'p>,
    pub(super) scope: &'p Scope<'a>,
    /// The place of the contained resource that the walk is in.
    pub(super) inside: Option<usize>,
    /// The resource that the walk is in, `%resource` of the invariants.
    pub(super) resource: Value<'a>,
    /// Its container, or itself: `%rootResource`.
    pub(super) root: Value<'a>,
    pub(super) depth: usize,
}

impl<'a> At<'_, 'a> {
    pub(super) fn to<'q>(&'q self, path: &'q Path<'q>) -> At<'q, 'a> {
        At { path, ..*self }
    }
}

/// How a resource stands where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// On its own, or in an entry or parameter.
    Independent,
    /// In the list `contained` of another.
    Contained(usize),
}

/// The state of a walk.
pub(super) struct Walk<'w> {
    pub(super) definitions: &'static Definitions,
    pub(super) options: &'w Options,
    pub(super) issues: Issues,
    /// What the URNs of a Bundle's entries name, see [`reference::names`].
    pub(super) names: HashMap<String, String>,
    /// How many invariants could not be evaluated.
    pub(super) failures: usize,
}

impl Walk<'_> {
    /// Checks a resource: its type first, because everything else follows from it.
    fn resource<'a>(&mut self, value: Value<'a>, at: At<'_, 'a>, role: Role) {
        if value.kind() != Kind::Object {
            let message = format_args!("a resource must be a JSON object");
            return self.issues.error(IssueCode::Structure, at.path, value, message);
        }
        let Some(structure) = self.resource_type(value, at.path) else { return };
        match role {
            Role::Contained(index) => {
                rules::contained(self, value, index, at);
                self.object(value, structure, At { inside: Some(index), resource: value, ..at });
            }
            Role::Independent => {
                let is_request = structure.name == "Bundle"
                    && value
                        .get("type")
                        .and_then(Value::as_str)
                        .is_some_and(|kind| kind == "transaction" || kind == "batch");
                let scope = Scope::of(value, at.scope.conditional_references || is_request);
                self.object(
                    value,
                    structure,
                    At { scope: &scope, inside: None, resource: value, root: value, ..at },
                );
                rules::after_resource(self, &scope, at.path);
            }
        }
    }

    fn resource_type(&mut self, value: Value<'_>, path: &Path<'_>) -> Option<&'static Structure> {
        let Some(member) = value.get("resourceType") else {
            let message = format_args!("resourceType is missing");
            self.issues.error(IssueCode::Required, path, value, message);
            return None;
        };
        let Some(name) = member.as_str() else {
            let message = format_args!("resourceType must be a string");
            self.issues.error(IssueCode::Structure, path, member, message);
            return None;
        };
        let found = self.definitions.resource(&name);
        if found.is_none() {
            let meant = hint::for_resource_type(self, &name);
            let shown = hint::printable(&name);
            let message = format_args!("'{shown}' is no resource type of R4{meant}");
            self.issues.error(IssueCode::Structure, path, member, message);
        }
        found
    }

    /// Checks an object whose structure is known.
    fn object<'a>(&mut self, value: Value<'a>, structure: &'static Structure, at: At<'_, 'a>) {
        if at.depth >= self.options.depth_max {
            let message = format_args!("nested deeper than {} levels", self.options.depth_max);
            return self.issues.error(IssueCode::TooLong, at.path, value, message);
        }
        if value.is_empty() {
            let message = format_args!("must not be empty; leave the element out instead (ele-1)");
            return self.issues.error(IssueCode::Invariant, at.path, value, message);
        }
        let below = At { depth: at.depth + 1, ..at };
        let issues_before = self.issues.count();
        let mut seen = 0u128;
        let mut choices: SmallVec<[ElementMatch<'static>; 4]> = SmallVec::new();
        for (name, member) in value.members() {
            if structure.kind == StructureKind::Resource && name == "resourceType" {
                continue;
            }
            let Some(found) = structure.element(&name) else {
                self.unknown(structure, &name, member, at);
                continue;
            };
            seen |= 1u128.checked_shl(found.element.order.into()).unwrap_or(0);
            if found.element.is_choice {
                self.choice(found, member, &mut choices, at);
            }
            self.member(value, member, found, below);
        }
        self.missing(value, structure, structure.required & !seen, at);
        rules::after_object(self, value, structure, at);
        if self.options.invariants {
            let is_well = self.issues.count() == issues_before;
            invariants::check(self, value, structure, is_well, at);
        }
    }

    fn unknown(&mut self, structure: &Structure, name: &str, member: Value<'_>, at: At<'_, '_>) {
        let meant = hint::for_member(self, structure, name);
        let shown = hint::printable(name);
        let message = format_args!("{} has no element '{shown}'{meant}", structure.name);
        // A name that is no word of FHIRPath would make the expression unreadable.
        let path = at.path.child(shown);
        let path = if shown == "…" { at.path } else { &path };
        self.issues.error(IssueCode::Structure, path, member, message);
    }

    /// A choice may be there once, with one type; `valueCode` and `_valueCode` are one.
    fn choice(
        &mut self,
        found: ElementMatch<'static>,
        member: Value<'_>,
        choices: &mut SmallVec<[ElementMatch<'static>; 4]>,
        at: At<'_, '_>,
    ) {
        let other = choices.iter().find(|seen| {
            std::ptr::eq(seen.element, found.element) && !std::ptr::eq(seen.element_type, found.element_type)
        });
        if let Some(other) = other {
            let (first, second) = (other.element_type.json_name, found.element_type.json_name);
            let message = format_args!(
                "'{second}' cannot stand beside '{first}': one type for {}[x]",
                found.element.name
            );
            self.issues.error(IssueCode::Structure, &at.path.child(found.element.name), member, message);
        }
        choices.push(found);
    }

    fn missing(&mut self, value: Value<'_>, structure: &Structure, missing: u128, at: At<'_, '_>) {
        if missing == 0 {
            return;
        }
        for element in structure.elements() {
            if missing & 1u128.checked_shl(element.order.into()).unwrap_or(0) != 0 {
                let suffix = if element.is_choice { "[x]" } else { "" };
                let message = format_args!("{}.{}{suffix} is required", structure.name, element.name);
                self.issues.error(IssueCode::Required, &at.path.child(element.name), value, message);
            }
        }
    }

    /// Checks a member: one value or a list, as the definition says.
    fn member<'a>(
        &mut self,
        object: Value<'a>,
        member: Value<'a>,
        found: ElementMatch<'static>,
        at: At<'_, 'a>,
    ) {
        let path = at.path.child(found.element.name);
        let at = at.to(&path);
        if found.element.max == Some(0) {
            let message = format_args!("'{}' is not allowed here", found.element.name);
            return self.issues.error(IssueCode::Structure, &path, member, message);
        }
        match (found.element.is_array(), member.kind()) {
            (_, Kind::Null) => {
                let message = format_args!("null is not allowed here; leave the element out instead");
                self.issues.error(IssueCode::Structure, &path, member, message);
            }
            (true, Kind::Array) => self.list(object, member, found, at),
            (true, _) => {
                let message = format_args!("must be an array, because it may repeat");
                self.issues.error(IssueCode::Structure, &path, member, message);
                self.item(member, found, at);
            }
            (false, Kind::Array) => {
                let message = format_args!("must not be an array, because it cannot repeat");
                self.issues.error(IssueCode::Structure, &path, member, message);
            }
            (false, _) => self.item(member, found, at),
        }
        if found.is_companion && !found.element.is_array() {
            self.companion_has_content(object, member, at);
        }
    }

    fn list<'a>(&mut self, object: Value<'a>, list: Value<'a>, found: ElementMatch<'static>, at: At<'_, 'a>) {
        if list.is_empty() {
            let message = format_args!("must not be empty; leave the element out instead");
            self.issues.error(IssueCode::Structure, at.path, list, message);
        }
        let mut has_null = false;
        for (index, item) in list.items().enumerate() {
            if item.is_null() {
                has_null = true;
                continue;
            }
            let path = at.path.item(index);
            let at = at.to(&path);
            if found.element_type.code == "Resource"
                && found.element.name == "contained"
                && at.inside.is_none()
            {
                self.resource(item, at, Role::Contained(index));
            } else {
                self.item(item, found, at);
            }
        }
        if has_null || found.is_companion {
            self.nulls(object, list, found, at);
        }
    }

    /// Lists of primitives and of their companions have the same length, and null where the other has
    /// something (R4 json.html#primitive).
    fn nulls<'a>(
        &mut self,
        object: Value<'a>,
        list: Value<'a>,
        found: ElementMatch<'static>,
        at: At<'_, 'a>,
    ) {
        let other = match (found.element_type.primitive, list.name()) {
            (Some(_), Some(name)) if found.is_companion => object.get(name.trim_start_matches('_')),
            (Some(_), Some(name)) => object.get(&format!("_{name}")),
            _ => None,
        };
        if let Some(other) = other.filter(|other| found.is_companion && other.len() != list.len()) {
            let message = format_args!(
                "the array of values has {} items and that of their extensions {}; both must have the same number",
                other.len(),
                list.len()
            );
            self.issues.error(IssueCode::Structure, at.path, list, message);
        }
        let mut others = other.into_iter().flat_map(Value::items);
        for (index, item) in list.items().enumerate() {
            let is_filled = others.next().is_some_and(|other| !other.is_null());
            if !item.is_null() {
                continue;
            }
            // Where both are null the fault is told once, at the values.
            let is_told = found.is_companion && other.is_some();
            if !is_filled && !is_told {
                let message =
                    format_args!("null is allowed only beside an extension or id at the same place");
                self.issues.error(IssueCode::Structure, &at.path.item(index), item, message);
            }
        }
    }

    /// A primitive without a value must have an extension (ele-1 counts an id alone as nothing).
    fn companion_has_content(&mut self, object: Value<'_>, companion: Value<'_>, at: At<'_, '_>) {
        let name = companion.name().unwrap_or_default();
        let has_value = object.get(name.trim_start_matches('_')).is_some();
        if !has_value
            && companion.kind() == Kind::Object
            && companion.get("extension").is_none()
            && !companion.is_empty()
        {
            let message = format_args!("has neither a value nor an extension (ele-1)");
            self.issues.error(IssueCode::Invariant, at.path, companion, message);
        }
    }

    /// Checks one value of an element.
    fn item<'a>(&mut self, value: Value<'a>, found: ElementMatch<'static>, at: At<'_, 'a>) {
        let element_type: &'static ElementType = found.element_type;
        if let Some(kind) = element_type.primitive.filter(|_| !found.is_companion) {
            return self.primitive(value, kind, found, at);
        }
        if value.kind() != Kind::Object {
            let what = if found.is_companion { "the companion of a primitive" } else { element_type.code };
            let message = format_args!("{what} must be a JSON object");
            return self.issues.error(IssueCode::Structure, at.path, value, message);
        }
        if element_type.code == "Resource" {
            return self.resource(value, at, Role::Independent);
        }
        self.object(value, self.definitions.structure_of(element_type), at);
        match element_type.code {
            "Reference" => reference::check(self, value, found, at),
            "CodeableConcept" | "Coding" => binding::concept(self, value, found, at),
            "Quantity" => rules::quantity(self, value, found, at),
            _ => {}
        }
    }

    fn primitive<'a>(
        &mut self,
        value: Value<'a>,
        kind: PrimitiveKind,
        found: ElementMatch<'static>,
        at: At<'_, 'a>,
    ) {
        let checked = match (value.kind(), kind) {
            (Kind::Bool, PrimitiveKind::Boolean) => return,
            (Kind::Number, _) if !primitive::is_text(kind) && kind != PrimitiveKind::Boolean => {
                primitive::number(kind, value.raw())
            }
            (Kind::String, _) if primitive::is_text(kind) => {
                let Some(text) = value.as_str() else { return };
                let checked = primitive::text(kind, &text);
                if checked.is_ok() {
                    self.text(&text, value, kind, found, at);
                }
                checked
            }
            (json_kind, _) => return self.wrong_kind(json_kind, kind, value, found, at),
        };
        let code = found.element_type.code;
        match checked {
            Ok(()) => {}
            Err(Fault::Form(form)) => {
                self.issues.error(IssueCode::Value, at.path, value, format_args!("{code} {form}"));
            }
            Err(Fault::TooLong(bound)) => {
                self.issues.error(IssueCode::TooLong, at.path, value, format_args!("{code} {bound}"));
            }
            Err(Fault::Odd(what)) => {
                self.issues.warning(IssueCode::Value, at.path, value, format_args!("{code} {what}"));
            }
        }
    }

    /// What a well-formed text must be beyond its form.
    fn text<'a>(
        &mut self,
        text: &str,
        value: Value<'a>,
        kind: PrimitiveKind,
        found: ElementMatch<'static>,
        at: At<'_, 'a>,
    ) {
        match kind {
            PrimitiveKind::Code => binding::code(self, text, value, found, at),
            PrimitiveKind::Uri | PrimitiveKind::Url | PrimitiveKind::Canonical if text.starts_with('#') => {
                reference::fragment(self, text, value, kind, at);
            }
            PrimitiveKind::Xhtml => {
                if let Err(fault) = narrative::check(text) {
                    self.issues.error(IssueCode::Invariant, at.path, value, format_args!("{fault}"));
                }
            }
            _ => {}
        }
    }

    fn wrong_kind<'a>(
        &mut self,
        json_kind: Kind,
        kind: PrimitiveKind,
        value: Value<'a>,
        found: ElementMatch<'static>,
        at: At<'_, 'a>,
    ) {
        let is = match json_kind {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        };
        let must = match kind {
            PrimitiveKind::Boolean => "true or false",
            _ if primitive::is_text(kind) => "a string",
            _ => "a number",
        };
        let code = found.element_type.code;
        let message = format_args!("{code} must be {must} in JSON, not {is}");
        self.issues.error(IssueCode::Structure, at.path, value, message);
    }
}
