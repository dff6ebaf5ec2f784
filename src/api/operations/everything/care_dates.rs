//! When care took place: the date of each type of resource that `start` and `end` are about.
//!
//! R4 calls them care dates, not dates of recording. A resource whose type has none, or that has no value there, is in
//! every range: leaving out an allergy because nobody wrote down when it began would be worse than showing it.

use anamnesis_fhir::datetime::Interval;
use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::{SearchRegistry, intervals};

/// The search parameters that say when, by type; the first that has a value counts. They are those of `clinical-date`,
/// by which Azure Health Data Services goes, and those of the other types that have one.
const CARE_DATES: &[(&str, &[&str])] = &[
    ("AdverseEvent", &["date"]),
    ("AllergyIntolerance", &["onset", "date"]),
    ("Appointment", &["date"]),
    ("CarePlan", &["date"]),
    ("CareTeam", &["date"]),
    ("ChargeItem", &["occurrence"]),
    ("Claim", &["created"]),
    ("ClaimResponse", &["created"]),
    ("ClinicalImpression", &["date"]),
    ("Communication", &["sent"]),
    ("CommunicationRequest", &["occurrence", "authored"]),
    ("Composition", &["date"]),
    ("Condition", &["onset-date", "recorded-date"]),
    ("Consent", &["date"]),
    ("DeviceRequest", &["event-date", "authored-on"]),
    ("DiagnosticReport", &["date"]),
    ("DocumentManifest", &["created"]),
    ("DocumentReference", &["period", "date"]),
    ("Encounter", &["date"]),
    ("EpisodeOfCare", &["date"]),
    ("ExplanationOfBenefit", &["created"]),
    ("FamilyMemberHistory", &["date"]),
    ("Flag", &["date"]),
    ("Goal", &["start-date"]),
    ("ImagingStudy", &["started"]),
    ("Immunization", &["date"]),
    ("List", &["date"]),
    ("MeasureReport", &["period", "date"]),
    ("Media", &["created"]),
    ("MedicationAdministration", &["effective-time"]),
    ("MedicationDispense", &["whenhandedover", "whenprepared"]),
    ("MedicationRequest", &["date", "authoredon"]),
    ("MedicationStatement", &["effective"]),
    ("NutritionOrder", &["datetime"]),
    ("Observation", &["date"]),
    ("Procedure", &["date"]),
    ("QuestionnaireResponse", &["authored"]),
    ("RequestGroup", &["authored"]),
    ("RiskAssessment", &["date"]),
    ("ServiceRequest", &["occurrence", "authored"]),
    ("Specimen", &["collected"]),
    ("SupplyRequest", &["date"]),
    ("VisionPrescription", &["datewritten"]),
];

/// Whether the care that a resource tells of overlaps a span of time, as far as the resource says when it was.
pub(super) fn is_within(resource_type: &str, root: Value<'_>, span: Interval) -> bool {
    let Ok(at) = CARE_DATES.binary_search_by(|(name, _)| (*name).cmp(resource_type)) else { return true };
    let codes = CARE_DATES.get(at).map(|(_, codes)| *codes).unwrap_or_default();
    for parameter in codes.iter().filter_map(|code| SearchRegistry::r4().get(resource_type, code)) {
        let (mut has_value, mut overlaps) = (false, false);
        parameter.extract_each(root, |found| {
            intervals(found, |one| {
                has_value = true;
                overlaps |= one.low < span.high && span.low < one.high;
            });
        });
        if has_value {
            return overlaps;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use anamnesis_fhir::datetime::DateTime;
    use anamnesis_fhir::definitions::r4;
    use anamnesis_fhir::json::{Document, Limits};
    use anamnesis_fhir::search::SearchParameterKind;

    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_dates_of_patients_records() {
        assert!(CARE_DATES.is_sorted());
        let patient = r4().compartment("Patient").unwrap();
        for (name, codes) in CARE_DATES {
            assert!(patient.parameters(name).is_some_and(|codes| !codes.is_empty()), "{name}");
            for code in *codes {
                let parameter =
                    SearchRegistry::r4().get(name, code).unwrap_or_else(|| panic!("{name}.{code}"));
                assert_eq!(parameter.kind(), SearchParameterKind::Date, "{name}.{code}");
            }
        }
    }

    #[test]
    fn what_overlaps_and_what_has_no_date_is_within() {
        let day = |text| Some(DateTime::parse_date_time(text).unwrap());
        let span = Interval::of_period(day("2020-01-10"), day("2020-01-20"));
        let is_within = |resource_type: &str, members: &str| {
            let text = format!(r#"{{"resourceType":"{resource_type}",{members}}}"#);
            let document = Document::parse(text, &Limits::default()).unwrap();
            is_within(resource_type, document.root(), span)
        };
        for (members, expected) in [
            (r#""effectiveDateTime":"2020-01-10""#, true),
            (r#""effectiveDateTime":"2020-01-20T23:59:59Z""#, true),
            (r#""effectiveDateTime":"2020-01""#, true),
            (r#""effectiveDateTime":"2020-01-21""#, false),
            (r#""effectiveDateTime":"2019""#, false),
            (r#""effectivePeriod":{"start":"2019-01-01"}"#, true),
            (r#""effectivePeriod":{"end":"2020-01-09"}"#, false),
            (r#""effectivePeriod":{"start":"2020-01-12","end":"2020-01-13"}"#, true),
            (r#""status":"final""#, true),
        ] {
            assert_eq!(is_within("Observation", members), expected, "{members}");
        }
        assert!(is_within("Coverage", r#""period":{"end":"2000"}"#), "coverage is no care");
        let recorded = r#""recordedDate":"2020-01-15""#;
        assert!(is_within("Condition", recorded));
        assert!(!is_within("Condition", &format!(r#""onsetDateTime":"2000",{recorded}"#)));
    }
}
