//! What a version of a projection is made from beside the events.

use std::fmt;
use std::sync::Arc;

/// What a version of a projection is made from beside the events: a text that only the projection itself understands.
/// It is stored with the version, so that every process that writes the version, and each after a restart, writes the
/// same rows. `None`: nothing but what the program brings with it. Cheap to clone.
///
/// ```
/// use anamnesis_projections::Inputs;
///
/// assert_eq!(Inputs::new("").text(), None);
/// assert_eq!(Inputs::none(), Inputs::default());
/// assert_ne!(Inputs::new("a"), Inputs::new("b"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Inputs(Option<Arc<str>>);

/// For projections that have none.
pub(crate) static NONE: Inputs = Inputs(None);

impl Inputs {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// This text; an empty one is none.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(Some(text.into()).filter(|text| !text.is_empty()))
    }

    /// As it is stored.
    pub(crate) fn stored(text: Option<String>) -> Self {
        text.map_or_else(Self::none, Self::new)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Inputs {
    /// How long the text is: it is made from what clients have written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => formatter.write_str("Inputs(none)"),
            Some(text) => write!(formatter, "Inputs({} bytes)", text.len()),
        }
    }
}
