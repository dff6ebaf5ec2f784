//! Who the patients are: names, sex, age, family, address; and the Patient resource itself.

use super::bundle::{BundleWriter, Id};
use super::calendar::{Day, Moment};
use super::codes::Code;
use super::codes::conditions::Sex;
use super::dice::Dice;
use super::directory::{Address, write_test_label};
use super::json::Json;
use super::names::{CULTURES, Culture, Name};

/// The identifier system of medical record numbers.
pub(super) const RECORD_NUMBER_SYSTEM: &str = "https://anamnesis.example/fhir/sid/mrn";
const SOCIAL_SECURITY_SYSTEM: &str = "http://hl7.org/fhir/sid/us-ssn";
const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
const MARITAL_STATUS: &str = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus";
const CONTACT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/v2-0131";
const REPRESENTATION: &str = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation";

/// How many in a thousand people are of the ages that begin at 0, 5, 10 … 95 years.
const AGES: [u32; 20] = [58, 55, 55, 58, 62, 66, 66, 64, 60, 58, 60, 64, 64, 58, 50, 40, 28, 18, 11, 5];

/// A patient before anything has happened to them.
pub(super) struct Person {
    pub(super) id: Id,
    pub(super) name: PersonName,
    pub(super) sex: Sex,
    pub(super) born: Day,
    /// The last day of the record: the day of death, or the day before the record was drawn up.
    pub(super) last_day: Day,
    pub(super) died: Option<Moment>,
    pub(super) smoking: Smoking,
    /// The clinic they usually go to, and their doctor there: numbers in the directory.
    pub(super) clinic: usize,
    pub(super) doctor: usize,
    record_number: String,
    social_security: String,
    address: Address,
    culture: &'static Culture,
    marital: Option<Code>,
    birth_order: Option<i32>,
    contact: PersonName,
}

/// A family name and given names of one culture.
#[derive(Clone)]
pub(super) struct PersonName {
    culture: &'static Culture,
    family: Name,
    given: Name,
    middle: Option<Name>,
}

/// Tobacco use, as LOINC 72166-2 asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Smoking {
    Never,
    Former,
    Daily,
}

impl Person {
    /// Draws the person with the number `index` of the population of `seed`, as known on `as_of`.
    pub(super) fn draw(dice: &mut Dice, seed: u64, index: u64, as_of: Day, care: (usize, usize)) -> Self {
        let sex = if dice.chance(508) { Sex::Female } else { Sex::Male };
        let years = dice.weighted(AGES.into_iter()).unwrap_or_default() as i32 * 5;
        // Nobody is younger than two months, so that every record has something to tell.
        let born = as_of.plus_days(-62 - dice.between(years * 365, years * 365 + 5 * 365 - 62));
        let age = as_of.years_since(born);
        let culture = culture(dice);
        let name = PersonName::draw(dice, culture, sex);
        let died = (age >= 35 && dice.chance((age * age / 60) as u32))
            .then(|| Moment::at(as_of.plus_days(-dice.between(5, 700)), dice.between(60, 1_439)));
        let relative = if dice.chance(500) { Sex::Female } else { Sex::Male };
        Self {
            id: dice.id(),
            sex,
            born,
            last_day: died.map_or(as_of.plus_days(-1), Moment::day),
            died,
            smoking: Smoking::draw(dice, age),
            clinic: care.0,
            doctor: care.1,
            record_number: format!(
                "A{:04X}-{index:08}",
                (seed ^ (seed >> 16) ^ (seed >> 32) ^ (seed >> 48)) & 0xFFFF
            ),
            // Numbers beginning with 9 are never given out.
            social_security: format!("999-{:02}-{:04}", dice.between(10, 99), dice.between(1000, 9999)),
            address: Address::draw(dice),
            culture,
            marital: marital_status(dice, age),
            birth_order: dice.chance(30).then(|| dice.between(1, 2)),
            contact: PersonName {
                family: name.family,
                middle: None,
                ..PersonName::draw(dice, culture, relative)
            },
            name,
        }
    }

    /// Age in whole years on `day`.
    pub(super) fn age_on(&self, day: Day) -> i32 {
        day.years_since(self.born)
    }

    /// Adds the Patient resource. `doctor` and `clinic` are references.
    pub(super) fn write(&self, bundle: &mut BundleWriter, doctor: &str, clinic: &str) {
        bundle.create(self.id, "Patient", |json| {
            write_test_label(json);
            self.write_narrative(json);
            json.array("identifier", |json| self.write_identifiers(json));
            json.boolean("active", self.died.is_none());
            json.array("name", |json| self.name.write(json, None));
            json.array("telecom", |json| self.write_telecom(json));
            json.string("gender", gender(self.sex));
            json.plain("birthDate", self.born);
            if let Some(died) = self.died {
                json.plain("deceasedDateTime", died);
            }
            json.list_of_one("address", |json| self.address.write(json, "home"));
            if let Some(marital) = self.marital {
                marital.write_concept(json, "maritalStatus");
            }
            match self.birth_order {
                Some(order) => json.number("multipleBirthInteger", order),
                None => json.boolean("multipleBirthBoolean", false),
            }
            json.list_of_one("contact", |json| self.write_contact(json));
            json.list_of_one("communication", |json| self.write_communication(json));
            json.list_of_one("generalPractitioner", |json| json.string("reference", doctor));
            json.object("managingOrganization", |json| json.string("reference", clinic));
        });
    }

    fn write_narrative(&self, json: &mut Json) {
        json.object("text", |json| {
            json.string("status", "generated");
            let about = format!(
                "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>{}</b>, {}, born {}</p></div>",
                self.name.latin(),
                gender(self.sex),
                self.born
            );
            json.string("div", &about);
        });
    }

    fn write_identifiers(&self, json: &mut Json) {
        let mut write = |(code, display), system: &str, value: &str| {
            json.item(|json| {
                json.string("use", "official");
                Code::hl7(IDENTIFIER_TYPE, code, display).write_concept(json, "type");
                json.string("system", system);
                json.string("value", value);
            });
        };
        write(("MR", "Medical record number"), RECORD_NUMBER_SYSTEM, &self.record_number);
        write(("SS", "Social Security number"), SOCIAL_SECURITY_SYSTEM, &self.social_security);
    }

    fn write_telecom(&self, json: &mut Json) {
        json.item(|json| self.address.write_phone(json, "home"));
        json.item(|json| {
            json.string("system", "email");
            json.plain("value", format_args!("{}@mail.example", self.record_number.to_ascii_lowercase()));
            json.string("use", "home");
        });
    }

    fn write_contact(&self, json: &mut Json) {
        Code::hl7(CONTACT_ROLE, "N", "Next-of-Kin").write_concept_list(json, "relationship");
        json.object("name", |json| self.contact.write_latin(json, None));
        json.list_of_one("telecom", |json| self.address.write_phone(json, "home"));
    }

    fn write_communication(&self, json: &mut Json) {
        let (code, display) = self.culture.language;
        json.object("language", |json| {
            json.array("coding", |json| Code::hl7("urn:ietf:bcp:47", code, display).write_coding(json));
            json.string("text", display);
        });
        json.boolean("preferred", true);
    }
}

impl PersonName {
    /// A name of a culture.
    pub(super) fn draw(dice: &mut Dice, culture: &'static Culture, sex: Sex) -> Self {
        let stock = match sex {
            Sex::Female => culture.female,
            Sex::Male => culture.male,
        };
        let (family, given) = (*dice.pick(culture.family), *dice.pick(stock));
        let middle = *dice.pick(stock);
        let has_middle = !culture.family_first && dice.chance(300) && middle != given;
        Self { culture, family, given, middle: has_middle.then_some(middle) }
    }

    /// The name in Latin letters, given names first.
    pub(super) fn latin(&self) -> String {
        format!("{} {}", self.given.0, self.family.0)
    }

    /// Writes the items of an array of `HumanName`: Latin letters, and the name's own script if it has one.
    pub(super) fn write(&self, json: &mut Json, prefix: Option<&str>) {
        json.item(|json| self.write_latin(json, prefix));
        if !self.family.1.is_empty() {
            json.item(|json| self.write_own_script(json));
        }
    }

    /// Writes the members of a `HumanName` in Latin letters.
    pub(super) fn write_latin(&self, json: &mut Json, prefix: Option<&str>) {
        json.string("use", "official");
        json.string("family", self.family.0);
        json.array("given", |json| {
            json.item_string(self.given.0);
            if let Some(middle) = self.middle {
                json.item_string(middle.0);
            }
        });
        if let Some(prefix) = prefix {
            json.array("prefix", |json| json.item_string(prefix));
        }
    }

    fn write_own_script(&self, json: &mut Json) {
        json.list_of_one("extension", |json| {
            json.string("url", REPRESENTATION);
            json.string("valueCode", self.culture.representation);
        });
        let (family, given) = (self.family.1, self.given.1);
        json.string("use", "usual");
        match self.culture.family_first {
            true => json.string("text", &format!("{family}{given}")),
            false => json.string("text", &format!("{given} {family}")),
        }
        json.string("family", family);
        json.array("given", |json| json.item_string(given));
    }
}

impl Smoking {
    /// The SNOMED CT answer to LOINC 72166-2.
    pub(super) fn answer(self) -> Code {
        match self {
            Self::Never => Code::snomed("266919005", "Never smoked tobacco"),
            Self::Former => Code::snomed("8517006", "Ex-smoker"),
            Self::Daily => Code::snomed("449868002", "Smokes tobacco daily"),
        }
    }

    fn draw(dice: &mut Dice, age: i32) -> Self {
        let roll = dice.below(1000);
        match age {
            ..16 => Self::Never,
            _ if roll < 620 => Self::Never,
            _ if roll < 860 => Self::Former,
            _ => Self::Daily,
        }
    }
}

/// A culture, as frequent as its weight.
pub(super) fn culture(dice: &mut Dice) -> &'static Culture {
    let number = dice.weighted(CULTURES.iter().map(|culture| culture.weight)).unwrap_or_default();
    CULTURES.get(number).unwrap_or_else(|| dice.pick(CULTURES))
}

/// The administrative gender code.
pub(super) fn gender(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
    }
}

fn marital_status(dice: &mut Dice, age: i32) -> Option<Code> {
    let roll = dice.below(1000);
    let (code, display) = match age {
        ..16 => return None,
        16..25 => ("S", "Never Married"),
        _ if roll < 520 => ("M", "Married"),
        _ if roll < 660 => ("D", "Divorced"),
        70.. => ("W", "Widowed"),
        _ => ("S", "Never Married"),
    };
    Some(Code::hl7(MARITAL_STATUS, code, display))
}
