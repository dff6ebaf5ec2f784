//! Roles: Azure's for its services, and those of this server for auditors and operators.

use std::fmt;

use super::action::{Action, Actions};

/// A role that can be assigned to a user, a group or a service principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads and searches FHIR data.
    FhirDataReader,
    /// Reads, writes and deletes FHIR data, nothing for good.
    FhirDataWriter,
    /// Does all that can be done with FHIR data.
    FhirDataContributor,
    /// Reads and exports FHIR data.
    FhirDataExporter,
    /// Reads and imports FHIR data.
    FhirDataImporter,
    /// Converts data to FHIR.
    FhirDataConverter,
    /// Does bulk operations.
    FhirDataBulkOperator,
    /// Does what the scopes of its token say.
    FhirSmartUser,
    /// Reads and searches DICOM data.
    DicomDataReader,
    /// Does all that can be done with DICOM data.
    DicomDataOwner,
    /// Sends data of devices. Azure has no such role: there it is one of Event Hubs.
    MedTechDataSender,
    /// Reads what devices have sent.
    MedTechDataReader,
    /// Does all that can be done with data of devices.
    MedTechDataOwner,
    /// Reads the feed, the events, the audit log, and verifies; writes nothing.
    Auditor,
    /// Rebuilds projections and looks after parked events; sees no clinical data.
    Operator,
    /// Reads any record in an emergency, after saying why.
    EmergencyAccess,
}

/// What a role can be assigned for, besides the workspace as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A FHIR service.
    Fhir,
    /// A DICOM service.
    Dicom,
    /// A MedTech service.
    MedTech,
    /// What belongs to the workspace and to no service of it.
    Workspace,
}

const READ: Actions = Actions::of(&[Action::ReadById, Action::Search]);
const WRITE: Actions = Actions::of(&[Action::Create, Action::Update, Action::Delete]);
const DICOM: Actions = Actions::of(&[Action::DicomRead, Action::DicomWrite, Action::DicomDelete]);
const DEVICES: Actions = Actions::of(&[Action::DeviceSend, Action::DeviceRead, Action::DeviceMap]);
const AUDITOR: Actions = Actions::of(&[Action::Feed, Action::Events, Action::Verify, Action::Audit]);
const OPERATOR: Actions = Actions::of(&[Action::Rebuild, Action::Parked, Action::Configuration]);
const EMERGENCY: Actions = Actions::of(&[Action::BreakGlass]);
const FHIR: Actions =
    Actions::every().without(DICOM).without(DEVICES).without(AUDITOR).without(OPERATOR).without(EMERGENCY);

/// All roles: names, where they are assigned, and what they allow. Azure's allow what the definitions of its built-in roles
/// list, and a reader may also have a resource checked, as in Azure's open-source server.
const TABLE: [(Role, &str, Kind, Actions); 16] = [
    (
        Role::FhirDataReader,
        "FHIR Data Reader",
        Kind::Fhir,
        READ.with(Actions::of(&[Action::ResourceValidate])),
    ),
    (
        Role::FhirDataWriter,
        "FHIR Data Writer",
        Kind::Fhir,
        READ.with(WRITE).with(Actions::of(&[
            Action::Export,
            Action::ResourceValidate,
            Action::Reindex,
            Action::ConvertData,
            Action::EditProfileDefinitions,
            Action::Import,
        ])),
    ),
    (Role::FhirDataContributor, "FHIR Data Contributor", Kind::Fhir, FHIR),
    (Role::FhirDataExporter, "FHIR Data Exporter", Kind::Fhir, READ.with(Actions::of(&[Action::Export]))),
    (Role::FhirDataImporter, "FHIR Data Importer", Kind::Fhir, READ.with(Actions::of(&[Action::Import]))),
    (Role::FhirDataConverter, "FHIR Data Converter", Kind::Fhir, Actions::of(&[Action::ConvertData])),
    (
        Role::FhirDataBulkOperator,
        "FHIR Data Bulk Operator",
        Kind::Fhir,
        READ.with(WRITE).with(Actions::of(&[
            Action::HardDelete,
            Action::Export,
            Action::Reindex,
            Action::Import,
            Action::BulkOperator,
        ])),
    ),
    (Role::FhirSmartUser, "FHIR SMART User", Kind::Fhir, Actions::of(&[Action::Smart])),
    (Role::DicomDataReader, "DICOM Data Reader", Kind::Dicom, Actions::of(&[Action::DicomRead])),
    (Role::DicomDataOwner, "DICOM Data Owner", Kind::Dicom, DICOM),
    (Role::MedTechDataSender, "MedTech Data Sender", Kind::MedTech, Actions::of(&[Action::DeviceSend])),
    (Role::MedTechDataReader, "MedTech Data Reader", Kind::MedTech, Actions::of(&[Action::DeviceRead])),
    (Role::MedTechDataOwner, "MedTech Data Owner", Kind::MedTech, DEVICES),
    (Role::Auditor, "Auditor", Kind::Workspace, AUDITOR),
    (Role::Operator, "Operator", Kind::Workspace, OPERATOR),
    (Role::EmergencyAccess, "Emergency Access", Kind::Workspace, EMERGENCY),
];

impl Role {
    /// Every role.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(role, ..)| *role)
    }

    /// The role of this name; case and spaces do not matter, as `fhirDataReader` is written, too.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let plain = |name: &str| -> String {
            name.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect()
        };
        let wanted = plain(name);
        TABLE.iter().find(|(_, known, ..)| plain(known) == wanted).map(|(role, ..)| *role)
    }

    /// Its name as Azure writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, ..)| name)
    }

    /// What it can be assigned for, besides the workspace as a whole.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().map_or(Kind::Workspace, |(_, _, kind, _)| *kind)
    }

    /// What it allows.
    #[must_use]
    pub fn actions(self) -> Actions {
        self.row().map_or(Actions::NONE, |(.., actions)| *actions)
    }

    fn row(self) -> Option<&'static (Self, &'static str, Kind, Actions)> {
        TABLE.iter().find(|(role, ..)| *role == self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_name() {
        for role in Role::all() {
            assert!(!role.actions().is_empty(), "{role} allows something");
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("fhirDataReader"), Some(Role::FhirDataReader));
        assert_eq!(Role::named("FHIR Data Owner"), None);
    }

    #[test]
    fn only_its_own_role_gives_smart() {
        let smart: Vec<Role> = Role::all().filter(|role| role.actions().has(Action::Smart)).collect();
        assert_eq!(smart, [Role::FhirSmartUser]);
    }

    #[test]
    fn a_writer_deletes_nothing_for_good() {
        assert!(Role::FhirDataWriter.actions().has(Action::Delete));
        for role in [Role::FhirDataWriter, Role::FhirDataReader, Role::Operator, Role::Auditor] {
            assert!(!role.actions().has(Action::HardDelete), "{role}");
        }
        assert!(Role::FhirDataContributor.actions().has(Action::HardDelete));
    }

    #[test]
    fn an_operator_and_an_auditor_are_kept_apart_from_clinical_data() {
        let clinical = FHIR.with(DICOM).with(DEVICES);
        for action in clinical.iter() {
            assert!(!Role::Operator.actions().has(action), "{action}");
            assert!(!Role::Auditor.actions().has(action), "{action}");
        }
        assert!(!Role::Operator.actions().has(Action::Events));
    }
}
