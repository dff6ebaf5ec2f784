//! What one resource knows about itself while it is walked: its contained resources and who points at them.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use smallvec::SmallVec;

use crate::json::Value;

/// A resource with its contained resources; `#id` is resolved in it (R4 references.html#contained).
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) contained: SmallVec<[Contained<'a>; 2]>,
    /// The first contained resource of each id; empty (and not allocated) where nothing is contained.
    by_id: HashMap<Cow<'a, str>, usize>,
    /// Whether `Patient?identifier=…` is a reference here.
    pub(super) conditional_references: bool,
}

/// A contained resource and what was seen of it.
#[derive(Debug)]
pub(super) struct Contained<'a> {
    pub(super) value: Value<'a>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) resource_type: Option<Cow<'a, str>>,
    /// Whether something points at it, or it points at its container: one of them is asked for by dom-3.
    pub(super) is_linked: Cell<bool>,
}

/// What a `#…` leads to.
pub(super) enum Target<'s, 'a> {
    /// The resource that contains the others.
    Container,
    /// A contained resource.
    Contained(&'s Contained<'a>),
    /// Nothing.
    Nothing,
}

impl<'a> Scope<'a> {
    /// What is around the outermost resource.
    pub(super) fn outside(conditional_references: bool) -> Self {
        Scope { conditional_references, ..Scope::default() }
    }

    /// Looks at the contained resources of a resource.
    pub(super) fn of(resource: Value<'a>, conditional_references: bool) -> Self {
        let contained: SmallVec<[Contained<'a>; 2]> = match resource.get("contained") {
            None => SmallVec::new(),
            Some(list) => list
                .items()
                .map(|value| Contained {
                    value,
                    id: value.get("id").and_then(Value::as_str),
                    resource_type: value.get("resourceType").and_then(Value::as_str),
                    is_linked: Cell::new(false),
                })
                .collect(),
        };
        let mut by_id = HashMap::new();
        for (index, contained) in contained.iter().enumerate() {
            if let Some(id) = &contained.id {
                by_id.entry(id.clone()).or_insert(index);
            }
        }
        Scope { contained, by_id, conditional_references }
    }

    /// Whether an earlier contained resource has the id of this one.
    pub(super) fn is_repeated(&self, index: usize) -> bool {
        let id = self.contained.get(index).and_then(|contained| contained.id.as_deref());
        id.and_then(|id| self.by_id.get(id)).is_some_and(|first| *first != index)
    }

    /// Follows a text that begins with `#`, from inside a contained resource or from the container, and
    /// notes the link.
    pub(super) fn follow(&self, text: &str, inside: Option<usize>) -> Target<'_, 'a> {
        let fragment = text.strip_prefix('#').unwrap_or(text);
        if fragment.is_empty() {
            if let Some(contained) = inside.and_then(|index| self.contained.get(index)) {
                contained.is_linked.set(true);
            }
            return Target::Container;
        }
        match self.by_id.get(fragment).and_then(|index| self.contained.get(*index)) {
            Some(contained) => {
                contained.is_linked.set(true);
                Target::Contained(contained)
            }
            None => Target::Nothing,
        }
    }
}
