//! Compiles a StructureDefinition: finds the rule of each ElementDefinition and leaves out what R4 asks for anyway.

use std::collections::HashMap;

use super::element;
use super::slicing::{self, Discriminator};
use super::table::{Invariant, Profile, Rules, Slice, UseContext};
use crate::definitions::{Element, Structure, r4};
use crate::json::Value;

/// Elements of one definition. The largest of R4 and US Core has 131; one with every slice of a laboratory some thousand.
pub const ELEMENTS_MAX: usize = 10_000;
/// Steps from the root to an element. R4's own deepest has eight; each step is a call when something is checked.
const STEPS_MAX: usize = 32;
/// What an address of a type of R4 begins with.
pub(super) const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The slice of all that is in no other one (R4 profiling.html#default-slice).
const DEFAULT_SLICE: &str = "@default";

/// Why a StructureDefinition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// It has no address.
    #[error("it has no url")]
    NoUrl,
    /// It does not constrain a type of R4: a logical model, or a definition for another version.
    #[error("it does not constrain a resource or data type of R4")]
    NoType,
    /// It has neither snapshot nor differential.
    #[error("it has neither a snapshot nor a differential")]
    NoElements,
    /// An element has no path.
    #[error("one of its elements has no path")]
    NoPath,
    /// It has a differential only, and the profile that it builds on is not at hand.
    #[error("it has no snapshot, and its base {0} is not known")]
    NoBase(String),
    /// It is larger than the bound.
    #[error("it has more than {ELEMENTS_MAX} elements, or elements nested deeper than {STEPS_MAX}")]
    TooLarge,
}

/// What is gathered while the elements are read.
pub(super) struct Builder {
    pub(super) rules: Vec<Rules>,
    pub(super) remarks: Vec<String>,
    /// The discriminators of sliced elements.
    pub(super) discriminators: HashMap<usize, Vec<Discriminator>>,
}

/// Compiles a definition. `base` is the profile that it builds on; it matters only where there is no snapshot.
///
/// # Errors
/// [`CompileError`].
pub fn compile(definition: Value<'_>, base: Option<&Profile>) -> Result<Profile, CompileError> {
    let text = |name: &str| definition.get(name).and_then(Value::as_str);
    let url = text("url").ok_or(CompileError::NoUrl)?;
    let structure = text("type").and_then(|name| r4().structure(&name)).ok_or(CompileError::NoType)?;
    let elements = |part: &str| definition.get(part)?.get("element").filter(|list| !list.is_empty());
    let (list, built_on) = match elements("snapshot") {
        Some(list) => (list, None),
        None => (elements("differential").ok_or(CompileError::NoElements)?, profile_base(definition)),
    };
    if let Some(address) = built_on.as_ref().filter(|_| base.is_none()) {
        return Err(CompileError::NoBase(address.clone()));
    }
    if list.len() > ELEMENTS_MAX {
        return Err(CompileError::TooLarge);
    }
    let mut builder = Builder {
        rules: vec![Rules::new(structure.name, Some(structure))],
        remarks: Vec::new(),
        discriminators: HashMap::new(),
    };
    let mut is_modifier = false;
    for (steps, element) in with_steps(list)? {
        let (index, base_element) = builder.descend(&steps)?;
        if index == 0 {
            is_modifier = element.get("isModifier").and_then(Value::as_bool).unwrap_or(false);
        }
        element::fill(&mut builder, index, element, base_element);
    }
    builder.share_content(structure);
    slicing::compile(&mut builder, base);
    builder.mark_checked();
    let slicings = slicing::named(&builder);
    let (contexts, context_rules) = contexts(definition, &mut builder.remarks);
    Ok(Profile {
        url: url.as_ref().into(),
        version: text("version").map(|version| version.as_ref().into()),
        structure,
        base: built_on.map(Into::into),
        contexts,
        context_rules,
        is_modifier,
        rules: builder.rules,
        slicings,
        remarks: builder.remarks,
    })
}

/// The base of a definition, where it is a profile and not a type of R4.
#[must_use]
pub fn profile_base(definition: Value<'_>) -> Option<String> {
    let base = definition.get("baseDefinition").and_then(Value::as_str)?;
    let is_type = base.strip_prefix(BASE).is_some_and(|name| r4().structure(name).is_some());
    (!is_type).then(|| base.into_owned())
}

/// A step from an element to one below: its name and the slice.
type Step = (String, Option<String>);

/// The elements with the way to each, from its id, or from paths and slice names where ids are missing or odd.
fn with_steps(list: Value<'_>) -> Result<Vec<(Vec<Step>, Value<'_>)>, CompileError> {
    let mut found = Vec::with_capacity(list.len());
    // The last element of each path: those below it follow it.
    let mut last: HashMap<String, Vec<Step>> = HashMap::new();
    for element in list.items() {
        let path = element.get("path").and_then(Value::as_str).ok_or(CompileError::NoPath)?;
        let slice = element.get("sliceName").and_then(Value::as_str).map(|name| name.into_owned());
        let names: Vec<&str> = path.split('.').skip(1).collect();
        if names.len() > STEPS_MAX {
            return Err(CompileError::TooLarge);
        }
        let by_id = element.get("id").and_then(Value::as_str).and_then(|id| steps_of_id(&id, &names));
        let steps = by_id.unwrap_or_else(|| {
            let above = path.rsplit_once('.').and_then(|(parent, _)| last.get(parent));
            let mut steps = above.cloned().unwrap_or_default();
            // Elements that are passed over have no slices.
            steps.extend(names.iter().skip(steps.len()).map(|name| ((*name).to_owned(), None)));
            if let Some((_, own)) = steps.last_mut() {
                *own = slice;
            }
            steps
        });
        last.insert(path.into_owned(), steps.clone());
        found.push((steps, element));
    }
    Ok(found)
}

/// `Patient.extension:race.url` as steps; nothing where it does not go along the path.
fn steps_of_id(id: &str, names: &[&str]) -> Option<Vec<Step>> {
    let parts: Vec<&str> = id.split('.').skip(1).collect();
    if parts.len() != names.len() {
        return None;
    }
    let step = |(part, name): (&&str, &&str)| match part.split_once(':') {
        Some((own, slice)) if own == *name => Some((own.to_owned(), Some(slice.to_owned()))),
        None if part == name => Some(((*name).to_owned(), None)),
        _ => None,
    };
    parts.iter().zip(names).map(step).collect()
}

impl Builder {
    /// Finds the rules of an element, making what is missing on the way, and its definition in R4.
    fn descend(&mut self, steps: &[Step]) -> Result<(usize, Option<&'static Element>), CompileError> {
        let (mut at, mut definition) = (0, None);
        for (name, slice) in steps {
            let parent = self.rules.get(at).and_then(|rules| rules.structure);
            let plain = name.strip_suffix("[x]").unwrap_or(name);
            // `valueQuantity` is the choice value[x] where it is a Quantity.
            let choice = parent
                .filter(|parent| parent.element_by_path_name(plain).is_none())
                .and_then(|parent| parent.element(plain));
            let (plain, type_slice) = match choice {
                Some(hit) => (hit.element.name, Some(hit.element_type)),
                None => (plain, None),
            };
            definition = parent.and_then(|parent| parent.element_by_path_name(plain));
            at = self.child(at, plain, definition)?;
            if let Some(element_type) = type_slice {
                at = self.slice(at, element_type.json_name)?;
                element::set_type(self, at, element_type);
            }
            if let Some(slice) = slice.as_deref().filter(|_| type_slice.is_none()) {
                // `a/b` is the slice b within the slice a (R4 profiling.html#reslicing).
                for (end, _) in slice.match_indices('/').chain([(slice.len(), "")]) {
                    at = self.slice(at, slice.get(..end).unwrap_or(slice))?;
                }
            }
        }
        Ok((at, definition))
    }

    fn child(
        &mut self,
        parent: usize,
        name: &str,
        definition: Option<&'static Element>,
    ) -> Result<usize, CompileError> {
        let children = self.rules.get(parent).map(|rules| rules.children.as_slice()).unwrap_or_default();
        let named = |index: &&usize| self.rules.get(**index).is_some_and(|rules| &*rules.name == name);
        if let Some(found) = children.iter().find(named) {
            return Ok(*found);
        }
        let only = definition.and_then(|element| match element.types.as_slice() {
            [only] => Some(r4().structure_of(only)),
            _ => None,
        });
        let mut rules = Rules::new(name, only);
        rules.is_choice = definition.is_some_and(|element| element.is_choice);
        let index = self.add(rules)?;
        if let Some(parent) = self.rules.get_mut(parent) {
            parent.children.push(index);
        }
        Ok(index)
    }

    fn slice(&mut self, group: usize, name: &str) -> Result<usize, CompileError> {
        let Some(whole) = self.rules.get(group) else { return Ok(group) };
        let named = |slice: &&Slice| {
            self.rules.get(slice.rules).and_then(|rules| rules.slice_name.as_deref()) == Some(name)
        };
        if let Some(found) = whole.slices.iter().find(named) {
            return Ok(found.rules);
        }
        let mut rules = Rules::new(&whole.name, whole.structure);
        rules.slice_name = Some(name.into());
        rules.is_choice = whole.is_choice;
        let index = self.add(rules)?;
        if let Some(whole) = self.rules.get_mut(group) {
            whole.slices.push(Slice {
                rules: index,
                criteria: Vec::new(),
                is_default: name == DEFAULT_SLICE,
            });
        }
        Ok(index)
    }

    fn add(&mut self, rules: Rules) -> Result<usize, CompileError> {
        // Steps that are passed over make rules of their own.
        if self.rules.len() > ELEMENTS_MAX * 2 {
            return Err(CompileError::TooLarge);
        }
        self.rules.push(rules);
        Ok(self.rules.len() - 1)
    }

    /// Elements by content reference (`Questionnaire.item.item`) are under the rules of what they refer to.
    fn share_content(&mut self, root: &'static Structure) {
        for holder in 0..self.rules.len() {
            let Some(structure) = self.rules.get(holder).and_then(|rules| rules.structure) else { continue };
            for element in structure.elements() {
                let Some(path) = element.content_reference else { continue };
                let Some(target) = self.find(root, path) else { continue };
                let children = self.rules.get(target).map(|rules| rules.children.clone()).unwrap_or_default();
                if children.is_empty() {
                    continue;
                }
                let Ok(own) = self.child(holder, element.name, Some(element)) else { return };
                // What is added to the target below is of the same list, but for the element itself.
                let children = self.rules.get(target).map(|rules| rules.children.clone()).unwrap_or(children);
                if let Some(own) = self.rules.get_mut(own).filter(|own| own.children.is_empty()) {
                    own.children = children;
                }
            }
        }
    }

    /// The rules at a path without slices.
    fn find(&self, root: &Structure, path: &str) -> Option<usize> {
        let mut steps = path.split('.');
        if steps.next() != Some(root.name) {
            return None;
        }
        steps.try_fold(0, |at, name| {
            let children = &self.rules.get(at)?.children;
            children
                .iter()
                .copied()
                .find(|child| self.rules.get(*child).is_some_and(|rules| &*rules.name == name))
        })
    }

    /// Finds which children need a look. Content references make circles, so it goes round until nothing is added.
    fn mark_checked(&mut self) {
        let mut active: Vec<bool> = self.rules.iter().map(|rules| !rules.is_idle()).collect();
        let is_active = |active: &[bool], index: &usize| active.get(*index).copied().unwrap_or(false);
        loop {
            let mut has_changed = false;
            for index in (0..self.rules.len()).rev() {
                let below = self
                    .rules
                    .get(index)
                    .is_some_and(|rules| rules.children.iter().any(|child| is_active(&active, child)));
                if below
                    && !is_active(&active, &index)
                    && let Some(own) = active.get_mut(index)
                {
                    *own = true;
                    has_changed = true;
                }
            }
            if !has_changed {
                break;
            }
        }
        for rules in &mut self.rules {
            rules.checked =
                rules.children.iter().copied().filter(|child| is_active(&active, child)).collect();
        }
    }
}

/// Where an extension may stand.
fn contexts(definition: Value<'_>, remarks: &mut Vec<String>) -> (Vec<UseContext>, Vec<Invariant>) {
    let list = |name: &str| definition.get(name).into_iter().flat_map(Value::items);
    let contexts = list("context").filter_map(|row| {
        let expression = row.get("expression").and_then(Value::as_str)?;
        Some(match row.get("type").and_then(Value::as_str).as_deref() {
            Some("element") => UseContext::Element(expression.as_ref().into()),
            Some("extension") => UseContext::Extension(expression.as_ref().into()),
            _ => UseContext::Expression,
        })
    });
    let contexts = contexts.collect();
    let rules = list("contextInvariant").filter_map(|row| {
        let text = row.as_str()?;
        let human = "the extension does not fit what it stands in";
        Some(element::invariant(("context", false, human), &text, remarks))
    });
    (contexts, rules.collect())
}
