//! The kinds of events: past facts in domain words, frozen once they are released.

use std::fmt;

/// What a write does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The first version of a resource, or the first after a delete.
    Create,
    /// A new version of a living resource.
    Update,
    /// The end of a resource; its versions stay readable unless the event says otherwise.
    Delete,
    /// No version of the resource: what it was before its current version is taken away.
    Purge,
}

/// Which earlier bodies of its resource an event takes away when it is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Erases {
    /// None.
    #[default]
    Nothing,
    /// That of the version before it.
    Previous,
    /// Those of all versions before the one that is current from then on.
    Earlier,
}

impl Operation {
    /// The word that stands in the envelope and in feed subjects: `create`, `update`, `delete` or `purge`.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Purge => "purge",
        }
    }

    /// Whether it makes a version of its resource.
    pub const fn makes_version(self) -> bool {
        !matches!(self, Operation::Purge)
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
/// use anamnesis_events::{Erases, Kind, Operation};
/// let kind = Kind::of(Operation::Delete, Erases::Earlier);
/// assert_eq!(kind, Some(Kind::ResourceErased));
/// assert_eq!(Kind::ResourceErased.name(), "ResourceErased");
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
    /// A resource got a new version, and the body of the version before it was taken away.
    ResourceReplaced,
    /// A resource was deleted, and the body of the version before was taken away.
    ResourceWithdrawn,
    /// A resource was deleted, and the bodies of all its versions were taken away.
    ResourceErased,
    /// The bodies of all versions before the current one were taken away; the resource stays as it is.
    HistoryErased,
}

impl Kind {
    /// Every kind that this program knows.
    pub const ALL: [Kind; 7] = [
        Kind::ResourceCreated,
        Kind::ResourceUpdated,
        Kind::ResourceDeleted,
        Kind::ResourceReplaced,
        Kind::ResourceWithdrawn,
        Kind::ResourceErased,
        Kind::HistoryErased,
    ];

    /// The kind of event that records an operation which erases so much; `None` where there is none.
    pub const fn of(operation: Operation, erases: Erases) -> Option<Kind> {
        match (operation, erases) {
            (Operation::Create, Erases::Nothing) => Some(Kind::ResourceCreated),
            (Operation::Update, Erases::Nothing) => Some(Kind::ResourceUpdated),
            (Operation::Update, Erases::Previous) => Some(Kind::ResourceReplaced),
            (Operation::Delete, Erases::Nothing) => Some(Kind::ResourceDeleted),
            (Operation::Delete, Erases::Previous) => Some(Kind::ResourceWithdrawn),
            (Operation::Delete, Erases::Earlier) => Some(Kind::ResourceErased),
            (Operation::Purge, Erases::Earlier) => Some(Kind::HistoryErased),
            _ => None,
        }
    }

    /// The name that stands in the envelope. Frozen.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::ResourceCreated => "ResourceCreated",
            Kind::ResourceUpdated => "ResourceUpdated",
            Kind::ResourceDeleted => "ResourceDeleted",
            Kind::ResourceReplaced => "ResourceReplaced",
            Kind::ResourceWithdrawn => "ResourceWithdrawn",
            Kind::ResourceErased => "ResourceErased",
            Kind::HistoryErased => "HistoryErased",
        }
    }

    /// The kind with this name, if this program knows it.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The version of the kind's schema that this program writes.
    pub const fn current_version(self) -> u16 {
        match self {
            Kind::ResourceCreated
            | Kind::ResourceUpdated
            | Kind::ResourceDeleted
            | Kind::ResourceReplaced
            | Kind::ResourceWithdrawn
            | Kind::ResourceErased
            | Kind::HistoryErased => 1,
        }
    }

    /// What the event did to its resource.
    pub const fn operation(self) -> Operation {
        match self {
            Kind::ResourceCreated => Operation::Create,
            Kind::ResourceUpdated | Kind::ResourceReplaced => Operation::Update,
            Kind::ResourceDeleted | Kind::ResourceWithdrawn | Kind::ResourceErased => Operation::Delete,
            Kind::HistoryErased => Operation::Purge,
        }
    }

    /// Which earlier bodies of its resource the event took away.
    pub const fn erases(self) -> Erases {
        match self {
            Kind::ResourceCreated | Kind::ResourceUpdated | Kind::ResourceDeleted => Erases::Nothing,
            Kind::ResourceReplaced | Kind::ResourceWithdrawn => Erases::Previous,
            Kind::ResourceErased | Kind::HistoryErased => Erases::Earlier,
        }
    }

    /// The number that stands in the `kind` column. Frozen.
    pub(crate) const fn code(self) -> i16 {
        match self {
            Kind::ResourceCreated => 1,
            Kind::ResourceUpdated => 2,
            Kind::ResourceDeleted => 3,
            Kind::ResourceReplaced => 4,
            Kind::ResourceWithdrawn => 5,
            Kind::ResourceErased => 6,
            Kind::HistoryErased => 7,
        }
    }

    /// The kind with this number, if this program knows it.
    pub(crate) fn from_code(code: i16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
