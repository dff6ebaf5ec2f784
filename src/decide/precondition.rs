//! What a client expects of a resource before it writes: `If-Match` and `If-None-Match` (RFC 9110 section 13).

use anamnesis_events::Version;

use super::{Current, Refusal};

/// The expectation of a write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expected {
    /// None.
    #[default]
    Anything,
    /// `If-Match: *`: the resource exists.
    Something,
    /// `If-Match: W/"3"`: the current version is one of these.
    Versions(Vec<Version>),
    /// `If-None-Match: *`: the resource does not exist.
    Nothing,
    /// Nothing matched the criteria of a conditional update, and the body names an id: there is no resource of that id.
    /// Without this, criteria that match nothing would overwrite a resource that they are not about.
    Unmatched,
}

impl Expected {
    /// Whether the client named what it expects; such a write is not tried again when somebody else was quicker.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        *self != Self::Anything
    }

    /// Whether it is about versions, so that nothing is overwritten that the client has not seen.
    #[must_use]
    pub fn names_versions(&self) -> bool {
        matches!(self, Self::Versions(_))
    }

    /// What a conditional update that matched nothing expects of the id in its body, unless the client said itself.
    #[must_use]
    pub fn or_unmatched(self) -> Self {
        if self.is_condition() { self } else { Self::Unmatched }
    }

    /// Checks the expectation against the newest version.
    ///
    /// # Errors
    /// The refusal that answers the client: 412, or 404 where no version was ever there.
    pub fn check(&self, current: Option<&Current>) -> Result<(), Refusal> {
        match (self, current) {
            (Self::Anything, _) | (Self::Nothing | Self::Unmatched, None) => Ok(()),
            (Self::Something | Self::Versions(_), None) => Err(Refusal::NotFound),
            (Self::Nothing | Self::Unmatched, Some(current)) if current.deleted => Ok(()),
            (Self::Nothing, Some(current)) => Err(Refusal::Exists { current: current.version }),
            (Self::Unmatched, Some(current)) => Err(Refusal::Unmatched { current: current.version }),
            (Self::Something, Some(current)) if current.deleted => {
                Err(Refusal::VersionMismatch { current: current.version })
            }
            (Self::Something, Some(_)) => Ok(()),
            (Self::Versions(versions), Some(current)) if versions.contains(&current.version) => Ok(()),
            (Self::Versions(_), Some(current)) => Err(Refusal::VersionMismatch { current: current.version }),
        }
    }
}
