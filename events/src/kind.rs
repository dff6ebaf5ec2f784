//! The kinds of events: past facts in domain words, frozen once they are released.

use std::fmt;

/// What a write does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The first version of a resource, or the first after a delete.
    Create,
    /// A new version of a living resource.
    Update,
    /// The end of a resource; its versions stay readable.
    Delete,
}

impl Operation {
    /// The word that stands in the envelope and in feed subjects: `create`, `update` or `delete`.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }

    /// The kind of event that records this operation.
    pub const fn kind(self) -> Kind {
        match self {
            Operation::Create => Kind::ResourceCreated,
            Operation::Update => Kind::ResourceUpdated,
            Operation::Delete => Kind::ResourceDeleted,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The kind of an event.
///
/// ```
/// use anamnesis_events::{Kind, Operation};
/// assert_eq!(Operation::Delete.kind(), Kind::ResourceDeleted);
/// assert_eq!(Kind::ResourceDeleted.name(), "ResourceDeleted");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A resource came to be.
    ResourceCreated,
    /// A resource got a new version.
    ResourceUpdated,
    /// A resource was deleted; the event has no body.
    ResourceDeleted,
}

impl Kind {
    /// The name that stands in the envelope. Frozen.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::ResourceCreated => "ResourceCreated",
            Kind::ResourceUpdated => "ResourceUpdated",
            Kind::ResourceDeleted => "ResourceDeleted",
        }
    }

    /// The kind with this name, if this program knows it.
    pub fn from_name(name: &str) -> Option<Kind> {
        [Kind::ResourceCreated, Kind::ResourceUpdated, Kind::ResourceDeleted]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The version of the kind's schema that this program writes.
    pub const fn current_version(self) -> u16 {
        match self {
            Kind::ResourceCreated | Kind::ResourceUpdated | Kind::ResourceDeleted => 1,
        }
    }

    /// What the event did to its resource.
    pub const fn operation(self) -> Operation {
        match self {
            Kind::ResourceCreated => Operation::Create,
            Kind::ResourceUpdated => Operation::Update,
            Kind::ResourceDeleted => Operation::Delete,
        }
    }

    /// The number that stands in the `kind` column. Frozen.
    pub(crate) const fn code(self) -> i16 {
        match self {
            Kind::ResourceCreated => 1,
            Kind::ResourceUpdated => 2,
            Kind::ResourceDeleted => 3,
        }
    }

    /// The kind with this number, if this program knows it.
    pub(crate) const fn from_code(code: i16) -> Option<Kind> {
        match code {
            1 => Some(Kind::ResourceCreated),
            2 => Some(Kind::ResourceUpdated),
            3 => Some(Kind::ResourceDeleted),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
