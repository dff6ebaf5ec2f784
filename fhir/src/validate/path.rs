//! The way from the root to an element, kept on the stack and written out only for an issue.

use std::fmt;

/// One step of the way: an element's name, or a place in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    name: &'p str,
    index: Option<usize>,
}

impl<'p> Path<'p> {
    /// The root, named for the resource type.
    pub(super) fn root(name: &'p str) -> Self {
        Path { parent: None, name, index: None }
    }

    /// An element below this one.
    pub(super) fn child(&'p self, name: &'p str) -> Self {
        Path { parent: Some(self), name, index: None }
    }

    /// An item of the list that this element is.
    pub(super) fn item(&self, index: usize) -> Self {
        Path { index: Some(index), ..*self }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As deep as the document, whose depth is bounded.
        if let Some(parent) = self.parent {
            write!(formatter, "{parent}.")?;
        }
        formatter.write_str(self.name)?;
        match self.index {
            Some(index) => write!(formatter, "[{index}]"),
            None => Ok(()),
        }
    }
}
