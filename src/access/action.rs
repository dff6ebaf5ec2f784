//! Data actions: what a role may allow, as Azure names it, and those of this server alone.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// One thing that a principal may be allowed to do at a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// Read a resource, one of its versions or its history by its id.
    ReadById,
    /// Search, page, and read the history of many resources.
    Search,
    /// Create a resource.
    Create,
    /// Replace or patch a resource.
    Update,
    /// Delete a resource so that its history stays.
    Delete,
    /// Delete a resource or its history for good.
    HardDelete,
    /// Export in bulk.
    Export,
    /// Have a resource checked against profiles.
    ResourceValidate,
    /// Have resources indexed again, and see how far that is.
    Reindex,
    /// Convert data of other formats.
    ConvertData,
    /// Write what others are checked against: StructureDefinition, ValueSet, CodeSystem.
    EditProfileDefinitions,
    /// Import in bulk.
    Import,
    /// Write search parameters and switch them on and off.
    SearchParameter,
    /// Operations over many resources at once.
    BulkOperator,
    /// Place and release legal holds, and see why they stand.
    LegalHold,
    /// Act within the scopes of a SMART token, and only within them.
    Smart,
    /// Read DICOM studies.
    DicomRead,
    /// Store DICOM instances.
    DicomWrite,
    /// Delete DICOM studies, series and instances.
    DicomDelete,
    /// Send data of devices.
    DeviceSend,
    /// Read what devices have sent, and the mappings.
    DeviceRead,
    /// Change the mappings of devices.
    DeviceMap,
    /// Follow the change feed of a workspace.
    Feed,
    /// Read the events of a workspace's log with the resources in them.
    Events,
    /// Have the chain of hashes verified.
    Verify,
    /// Search the audit log.
    Audit,
    /// Have projections built again.
    Rebuild,
    /// See which events are parked, without the resources in them, and offer them again.
    Parked,
    /// See the configuration and the inner state of a workspace.
    Configuration,
    /// Open a record in an emergency, for which nobody is asked but everybody is told.
    BreakGlass,
}

/// All actions with their names.
const NAMED: [(Action, &str); 30] = [
    (Action::ReadById, "readById"),
    (Action::Search, "search"),
    (Action::Create, "create"),
    (Action::Update, "update"),
    (Action::Delete, "delete"),
    (Action::HardDelete, "hardDelete"),
    (Action::Export, "export"),
    (Action::ResourceValidate, "resourceValidate"),
    (Action::Reindex, "reindex"),
    (Action::ConvertData, "convertData"),
    (Action::EditProfileDefinitions, "editProfileDefinitions"),
    (Action::Import, "import"),
    (Action::SearchParameter, "searchParameter"),
    (Action::BulkOperator, "bulkOperator"),
    (Action::LegalHold, "legalHold"),
    (Action::Smart, "smart"),
    (Action::DicomRead, "dicomRead"),
    (Action::DicomWrite, "dicomWrite"),
    (Action::DicomDelete, "dicomDelete"),
    (Action::DeviceSend, "deviceSend"),
    (Action::DeviceRead, "deviceRead"),
    (Action::DeviceMap, "deviceMap"),
    (Action::Feed, "feed"),
    (Action::Events, "events"),
    (Action::Verify, "verify"),
    (Action::Audit, "audit"),
    (Action::Rebuild, "rebuild"),
    (Action::Parked, "parked"),
    (Action::Configuration, "configuration"),
    (Action::BreakGlass, "breakGlass"),
];

impl Action {
    /// Every action.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMED.iter().map(|(action, _)| *action)
    }

    /// Its name in configuration and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMED.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of actions; none by default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actions(u64);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);

    /// All of these.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let (mut bits, mut rest) = (0, actions);
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u64;
            rest = others;
        }
        Self(bits)
    }

    /// Every action but `smart`, which bounds more than it allows and is never implied.
    #[must_use]
    pub const fn every() -> Self {
        Self((1 << NAMED.len()) - 1).without(Self::of(&[Action::Smart]))
    }

    /// Whether all of the others are among these.
    #[must_use]
    pub const fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, action: Action) -> bool {
        self.contain(Self::of(&[action]))
    }

    /// These and the others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These, but not the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those of these that are among the others as well.
    #[must_use]
    pub const fn within(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions one by one.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::all().filter(move |action| self.has(*action))
    }

    /// The actions of a name in a configuration: that of one action, or Azure's `read`, `write` and `*`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "*" => Some(Self::every()),
            "read" => Some(Self::of(&[Action::ReadById, Action::Search])),
            "write" => Some(Self::of(&[Action::Create, Action::Update])),
            name => NAMED.iter().find(|(_, known)| *known == name).map(|(action, _)| Self::of(&[*action])),
        }
    }
}

impl BitOr for Actions {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        self.with(others)
    }
}

impl BitOrAssign for Actions {
    fn bitor_assign(&mut self, others: Self) {
        *self = self.with(others);
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, |all, action| all.with(Self::of(&[action])))
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    #[test]
    fn every_action_has_a_bit_and_a_name_of_its_own() {
        for (place, (action, name)) in NAMED.iter().enumerate() {
            assert_eq!(*action as usize, place, "{name} stands where its bit is");
            assert_eq!(Actions::named(name), Some(Actions::of(&[*action])));
        }
        assert_eq!(Action::all().collect::<Actions>().iter().count(), NAMED.len());
    }

    #[test]
    fn smart_is_never_implied() {
        assert!(!Actions::named("*").unwrap().has(Action::Smart));
        assert_eq!(Actions::every().iter().count(), NAMED.len() - 1);
    }

    #[test]
    fn a_set_contains_only_what_is_in_it() {
        let read = Actions::named("read").unwrap();
        assert!(read.contain(Actions::of(&[Action::Search])) && read.contain(Actions::NONE));
        assert!(!read.contain(Actions::of(&[Action::Search, Action::Update])));
        assert_eq!(Actions::named("Read"), None);
    }
}
