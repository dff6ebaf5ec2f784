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
    /// No version of the resource: what was recorded before is taken away.
    Purge,
    /// No version of the resource: nothing of its compartment may be taken away from now on.
    Hold,
    /// No version of the resource: what was held is held no longer.
    Release,
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
    /// Those that are left of events whose home is its own, of whatever resource.
    Home,
}

impl Operation {
    /// The word that stands in the envelope and in feed subjects: `create`, `update`, `delete`, `purge`,
    /// `hold` or `release`.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Purge => "purge",
            Operation::Hold => "hold",
            Operation::Release => "release",
        }
    }

    /// Whether it makes a version of its resource.
    pub const fn makes_version(self) -> bool {
        matches!(self, Operation::Create | Operation::Update | Operation::Delete)
    }

    /// Whether its event has a body: the resource, or what is to be known of a hold.
    pub const fn has_body(self) -> bool {
        matches!(self, Operation::Create | Operation::Update | Operation::Hold)
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
    /// The purge of a compartment has begun: until it has ended nothing is written there but what takes away.
    PurgeBegun,
    /// The purge of a compartment has ended: no body is left of it, and its data key was destroyed.
    CompartmentPurged,
    /// Nothing of the compartment may be taken away from now on; the body says why.
    LegalHoldPlaced,
    /// What was held may be taken away again.
    LegalHoldReleased,
}

impl Kind {
    /// Every kind that this program knows.
    pub const ALL: [Kind; 11] = [
        Kind::ResourceCreated,
        Kind::ResourceUpdated,
        Kind::ResourceDeleted,
        Kind::ResourceReplaced,
        Kind::ResourceWithdrawn,
        Kind::ResourceErased,
        Kind::HistoryErased,
        Kind::PurgeBegun,
        Kind::CompartmentPurged,
        Kind::LegalHoldPlaced,
        Kind::LegalHoldReleased,
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
            (Operation::Purge, Erases::Nothing) => Some(Kind::PurgeBegun),
            (Operation::Purge, Erases::Home) => Some(Kind::CompartmentPurged),
            (Operation::Hold, Erases::Nothing) => Some(Kind::LegalHoldPlaced),
            (Operation::Release, Erases::Nothing) => Some(Kind::LegalHoldReleased),
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
            Kind::PurgeBegun => "PurgeBegun",
            Kind::CompartmentPurged => "CompartmentPurged",
            Kind::LegalHoldPlaced => "LegalHoldPlaced",
            Kind::LegalHoldReleased => "LegalHoldReleased",
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
            | Kind::HistoryErased
            | Kind::PurgeBegun
            | Kind::CompartmentPurged
            | Kind::LegalHoldPlaced
            | Kind::LegalHoldReleased => 1,
        }
    }

    /// What the event did to its resource.
    pub const fn operation(self) -> Operation {
        match self {
            Kind::ResourceCreated => Operation::Create,
            Kind::ResourceUpdated | Kind::ResourceReplaced => Operation::Update,
            Kind::ResourceDeleted | Kind::ResourceWithdrawn | Kind::ResourceErased => Operation::Delete,
            Kind::HistoryErased | Kind::PurgeBegun | Kind::CompartmentPurged => Operation::Purge,
            Kind::LegalHoldPlaced => Operation::Hold,
            Kind::LegalHoldReleased => Operation::Release,
        }
    }

    /// Whether it says of its home compartment what may be written there from then on.
    pub const fn guards(self) -> bool {
        matches!(
            self,
            Kind::PurgeBegun | Kind::CompartmentPurged | Kind::LegalHoldPlaced | Kind::LegalHoldReleased
        )
    }

    /// Which earlier bodies the event took away.
    pub const fn erases(self) -> Erases {
        match self {
            Kind::ResourceCreated
            | Kind::ResourceUpdated
            | Kind::ResourceDeleted
            | Kind::PurgeBegun
            | Kind::LegalHoldPlaced
            | Kind::LegalHoldReleased => Erases::Nothing,
            Kind::CompartmentPurged => Erases::Home,
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
            Kind::PurgeBegun => 8,
            Kind::CompartmentPurged => 9,
            Kind::LegalHoldPlaced => 10,
            Kind::LegalHoldReleased => 11,
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
