//! The clinical vocabulary: small tables of codes and of what is plausible with them.

pub(super) mod allergies;
pub(super) mod conditions;
pub(super) mod immunizations;
pub(super) mod laboratory;
pub(super) mod medications;
pub(super) mod procedures;

use super::json::Json;

/// SNOMED CT.
pub(super) const SNOMED: &str = "http://snomed.info/sct";
/// LOINC.
pub(super) const LOINC: &str = "http://loinc.org";
/// ICD-10, clinical modification of the United States.
pub(super) const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
/// RxNorm.
pub(super) const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
/// CVX, the vaccine codes of the CDC.
pub(super) const CVX: &str = "http://hl7.org/fhir/sid/cvx";
/// UCUM, the units of measure.
pub(super) const UCUM: &str = "http://unitsofmeasure.org";

/// One code of a code system with its display.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    pub(super) system: &'static str,
    pub(super) code: &'static str,
    pub(super) display: &'static str,
}

impl Code {
    /// A SNOMED CT concept.
    pub(super) const fn snomed(code: &'static str, display: &'static str) -> Self {
        Self { system: SNOMED, code, display }
    }

    /// A LOINC term.
    pub(super) const fn loinc(code: &'static str, display: &'static str) -> Self {
        Self { system: LOINC, code, display }
    }

    /// An RxNorm concept.
    pub(super) const fn rxnorm(code: &'static str, display: &'static str) -> Self {
        Self { system: RXNORM, code, display }
    }

    /// A vaccine.
    pub(super) const fn cvx(code: &'static str, display: &'static str) -> Self {
        Self { system: CVX, code, display }
    }

    /// A code of one of HL7's own code systems.
    pub(super) const fn hl7(system: &'static str, code: &'static str, display: &'static str) -> Self {
        Self { system, code, display }
    }

    /// Writes this code as one `Coding` in an array.
    pub(super) fn write_coding(&self, json: &mut Json) {
        json.item(|json| self.write_members(json));
    }

    /// Writes the members of a `Coding`.
    pub(super) fn write_members(&self, json: &mut Json) {
        json.string("system", self.system);
        json.string("code", self.code);
        json.string("display", self.display);
    }

    /// Writes this code as a `CodeableConcept` member with its display as text.
    pub(super) fn write_concept(&self, json: &mut Json, name: &str) {
        json.object(name, |json| self.write_concept_members(json));
    }

    /// Writes this code as the only `CodeableConcept` of an array member.
    pub(super) fn write_concept_list(&self, json: &mut Json, name: &str) {
        json.list_of_one(name, |json| self.write_concept_members(json));
    }

    fn write_concept_members(&self, json: &mut Json) {
        json.array("coding", |json| self.write_coding(json));
        json.string("text", self.display);
    }
}
