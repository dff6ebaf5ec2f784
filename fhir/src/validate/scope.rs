//! What one resource knows about itself while it is walked: its contained resources and who points at them.

use std::borrow::Cow;
use std::cell::Cell;

use smallvec::SmallVec;

use crate::json::Value;

/// A resource with its contained resources; `#id` is resolved in it (R4 references.html#contained).
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) contained: SmallVec<[Contained<'a>; 2]>,
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
    /// Looks at the contained resources of a resource.
    pub(super) fn of(resource: Value<'a>, conditional_references: bool) -> Self {
        let contained = match resource.get("contained") {
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
        Scope { contained, conditional_references }
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
        match self.contained.iter().find(|contained| contained.id.as_deref() == Some(fragment)) {
            Some(contained) => {
                contained.is_linked.set(true);
                Target::Contained(contained)
            }
            None => Target::Nothing,
        }
    }
}
