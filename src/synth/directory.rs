//! The organizations, locations and practitioners that all patients of one seed share.

use super::bundle::{BundleWriter, BusinessIdentifier, Id};
use super::codes::Code;
use super::codes::conditions::Sex;
use super::dice::Dice;
use super::json::Json;
use super::names::{PLACES, STREETS};
use super::people::{self, PersonName};

/// The identifier system of the organizations and practitioners (United States national provider identifier).
pub(super) const PROVIDER_SYSTEM: &str = "http://hl7.org/fhir/sid/us-npi";
/// The identifier system of the locations.
pub(super) const LOCATION_SYSTEM: &str = "https://anamnesis.example/fhir/sid/location";

/// What marks every invented resource: the security label "test health data"
/// (<http://terminology.hl7.org/CodeSystem/v3-ActReason>).
const TEST_DATA: Code =
    Code::hl7("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST", "test health data");

const ORGANIZATION_TYPE: &str = "http://terminology.hl7.org/CodeSystem/organization-type";

/// Hospitals and clinics: the name and whether people stay overnight.
const ORGANIZATIONS: &[(&str, bool)] = &[
    ("Harborlight General Hospital", true),
    ("Saint Brendan Medical Center", true),
    ("Quabbin Valley Hospital", true),
    ("Northfield Family Practice", false),
    ("Old Mill Community Health Center", false),
    ("Riverbend Primary Care", false),
    ("Stonebridge Internal Medicine", false),
    ("Tidewater Pediatrics and Family Care", false),
    ("Copley Women's Health", false),
    ("Western Hills Medical Group", false),
];

const PRACTITIONERS_PER_ORGANIZATION: usize = 5;

/// Where people are cared for and by whom. The same for all patients of a seed.
pub(super) struct Directory {
    organizations: Vec<Organization>,
    practitioners: Vec<Practitioner>,
}

/// A hospital or clinic with its one location.
pub(super) struct Organization {
    name: &'static str,
    hospital: bool,
    identifier: BusinessIdentifier,
    location: BusinessIdentifier,
    address: Address,
}

/// Somebody who treats patients at one organization.
pub(super) struct Practitioner {
    identifier: BusinessIdentifier,
    name: PersonName,
    sex: Sex,
    organization: usize,
}

/// A postal address and a telephone number that is never given out (555-0100 to 555-0199).
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) line: String,
    pub(super) city: &'static str,
    pub(super) postal_code: &'static str,
    pub(super) phone: String,
}

/// Something of the directory that a patient's resources refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shared {
    Organization(usize),
    Location(usize),
    Practitioner(usize),
}

impl Directory {
    /// The directory of a seed.
    pub(super) fn new(dice: &mut Dice) -> Self {
        let organizations: Vec<_> = ORGANIZATIONS
            .iter()
            .map(|&(name, hospital)| Organization {
                name,
                hospital,
                identifier: provider_identifier(dice),
                location: BusinessIdentifier {
                    system: LOCATION_SYSTEM,
                    value: format!("L{:08}", dice.below(100_000_000)),
                },
                address: Address::draw(dice),
            })
            .collect();
        let practitioners = (0..organizations.len() * PRACTITIONERS_PER_ORGANIZATION)
            .map(|number| {
                let sex = if dice.chance(520) { Sex::Female } else { Sex::Male };
                let culture = people::culture(dice);
                Practitioner {
                    identifier: provider_identifier(dice),
                    name: PersonName::draw(dice, culture, sex),
                    sex,
                    organization: number / PRACTITIONERS_PER_ORGANIZATION,
                }
            })
            .collect();
        Self { organizations, practitioners }
    }

    /// A clinic, for a patient's ordinary care.
    pub(super) fn draw_clinic(&self, dice: &mut Dice) -> usize {
        self.draw_organization(dice, false)
    }

    /// A hospital.
    pub(super) fn draw_hospital(&self, dice: &mut Dice) -> usize {
        self.draw_organization(dice, true)
    }

    /// Somebody who works at `organization`.
    pub(super) fn draw_practitioner(&self, dice: &mut Dice, organization: usize) -> usize {
        organization * PRACTITIONERS_PER_ORGANIZATION
            + dice.below(PRACTITIONERS_PER_ORGANIZATION as u32) as usize
    }

    /// How people call what `shared` stands for.
    pub(super) fn display(&self, shared: Shared) -> String {
        match shared {
            Shared::Organization(number) | Shared::Location(number) => {
                self.organizations.get(number).map(|organization| organization.name.to_owned())
            }
            Shared::Practitioner(number) => self
                .practitioners
                .get(number)
                .map(|practitioner| format!("Dr. {}", practitioner.name.latin())),
        }
        .unwrap_or_default()
    }

    /// The conditional reference to what `shared` stands for
    /// (<http://hl7.org/fhir/R4/http.html#trules>, "conditional references").
    pub(super) fn conditional_reference(&self, shared: Shared) -> String {
        let (resource_type, identifier) = match shared {
            Shared::Organization(number) => {
                ("Organization", self.organizations.get(number).map(|organization| &organization.identifier))
            }
            Shared::Location(number) => {
                ("Location", self.organizations.get(number).map(|organization| &organization.location))
            }
            Shared::Practitioner(number) => {
                ("Practitioner", self.practitioners.get(number).map(|practitioner| &practitioner.identifier))
            }
        };
        identifier.map(|identifier| format!("{resource_type}?identifier={identifier}")).unwrap_or_default()
    }

    /// Everything of the directory.
    pub(super) fn all(&self) -> impl Iterator<Item = Shared> + use<> {
        let (organizations, practitioners) = (self.organizations.len(), self.practitioners.len());
        let organizations =
            (0..organizations).flat_map(|number| [Shared::Organization(number), Shared::Location(number)]);
        organizations.chain((0..practitioners).map(Shared::Practitioner))
    }

    /// Adds what `shared` stands for, to be created unless it exists. `organization` is how its organization
    /// is referred to.
    pub(super) fn write(&self, bundle: &mut BundleWriter, shared: Shared, id: Id, organization: &str) {
        match shared {
            Shared::Organization(number) => {
                let Some(record) = self.organizations.get(number) else { return };
                bundle
                    .create_unless_exists(id, "Organization", &record.identifier, |json| record.write(json));
            }
            Shared::Location(number) => {
                let Some(record) = self.organizations.get(number) else { return };
                bundle.create_unless_exists(id, "Location", &record.location, |json| {
                    record.write_location(json, organization);
                });
            }
            Shared::Practitioner(number) => {
                let Some(record) = self.practitioners.get(number) else { return };
                bundle.create_unless_exists(id, "Practitioner", &record.identifier, |json| {
                    record.write(json, self.organizations.get(record.organization));
                });
            }
        }
    }

    fn draw_organization(&self, dice: &mut Dice, hospital: bool) -> usize {
        let weights =
            self.organizations.iter().map(|organization| u32::from(organization.hospital == hospital));
        dice.weighted(weights).unwrap_or_default()
    }
}

impl Organization {
    fn write(&self, json: &mut Json) {
        write_test_label(json);
        write_identifier(json, &self.identifier);
        json.boolean("active", true);
        Code::hl7(ORGANIZATION_TYPE, "prov", "Healthcare Provider").write_concept_list(json, "type");
        json.string("name", self.name);
        json.list_of_one("telecom", |json| self.address.write_phone(json, "work"));
        json.list_of_one("address", |json| self.address.write(json, "work"));
    }

    fn write_location(&self, json: &mut Json, organization: &str) {
        const LOCATION_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
        write_test_label(json);
        write_identifier(json, &self.location);
        json.string("status", "active");
        json.string("name", self.name);
        json.string("mode", "instance");
        let code = if self.hospital {
            Code::hl7(LOCATION_TYPE, "HOSP", "Hospital")
        } else {
            Code::hl7(LOCATION_TYPE, "OF", "Outpatient facility")
        };
        code.write_concept_list(json, "type");
        json.object("address", |json| self.address.write(json, "work"));
        json.object("managingOrganization", |json| json.string("reference", organization));
    }
}

impl Practitioner {
    fn write(&self, json: &mut Json, organization: Option<&Organization>) {
        write_test_label(json);
        write_identifier(json, &self.identifier);
        json.boolean("active", true);
        json.array("name", |json| self.name.write(json, Some("Dr.")));
        if let Some(organization) = organization {
            json.list_of_one("telecom", |json| organization.address.write_phone(json, "work"));
            json.list_of_one("address", |json| organization.address.write(json, "work"));
        }
        json.string("gender", people::gender(self.sex));
    }
}

impl Address {
    /// An address somewhere in the region.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let &(city, postal_code, area) = dice.pick(PLACES);
        let street = dice.pick(STREETS);
        Self {
            line: format!("{} {street}", dice.between(1, 399)),
            city,
            postal_code,
            phone: format!("{area}-555-01{:02}", dice.below(100)),
        }
    }

    /// Writes the members of an `Address`.
    pub(super) fn write(&self, json: &mut Json, purpose: &str) {
        json.string("use", purpose);
        json.array("line", |json| json.item_string(&self.line));
        json.string("city", self.city);
        json.string("state", "MA");
        json.string("postalCode", self.postal_code);
        json.string("country", "US");
    }

    /// Writes the telephone number as the members of a `ContactPoint`.
    pub(super) fn write_phone(&self, json: &mut Json, purpose: &str) {
        json.string("system", "phone");
        json.string("value", &self.phone);
        json.string("use", purpose);
    }
}

/// Marks a resource as test data, in `meta.security`.
pub(super) fn write_test_label(json: &mut Json) {
    json.object("meta", |json| json.array("security", |json| TEST_DATA.write_coding(json)));
}

fn write_identifier(json: &mut Json, identifier: &BusinessIdentifier) {
    json.list_of_one("identifier", |json| {
        json.string("system", identifier.system);
        json.string("value", &identifier.value);
    });
}

/// A provider identifier with a right check digit that nobody bears: real ones begin with 1 or 2.
fn provider_identifier(dice: &mut Dice) -> BusinessIdentifier {
    let nine = 900_000_000 + dice.below(100_000_000);
    BusinessIdentifier { system: PROVIDER_SYSTEM, value: format!("{nine}{}", check_digit(nine)) }
}

/// The Luhn digit of the prefix 80840 followed by nine digits (45 CFR 162.406 and ISO/IEC 7812-1).
fn check_digit(nine: u32) -> u32 {
    // The prefix contributes 24 whatever follows it.
    let mut sum = 24;
    let mut rest = nine;
    for place in 0..9 {
        let digit = rest % 10;
        rest /= 10;
        let counted = if place % 2 == 0 { digit * 2 } else { digit };
        sum += counted / 10 + counted % 10;
    }
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_identifiers_have_the_published_check_digit() {
        // The worked example of the NPI standard: 1234567893.
        assert_eq!(check_digit(123_456_789), 3);
    }

    #[test]
    fn all_identifiers_of_a_directory_differ() {
        let directory = Directory::new(&mut Dice::new(1, 0));
        let references: std::collections::BTreeSet<_> =
            directory.all().map(|shared| directory.conditional_reference(shared)).collect();
        assert_eq!(references.len(), 10 + 10 + 50);
    }
}
