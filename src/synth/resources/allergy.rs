//! AllergyIntolerance: what a person does not tolerate.

use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;

const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
const VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";

/// Writes all allergies of the person, asked for at the first visit.
pub(in crate::synth) fn write_all(chart: &mut Chart<'_>, context: &Context) {
    for allergy in &chart.story.allergies {
        let id = chart.dice.id();
        chart.bundle.create(id, "AllergyIntolerance", |json| {
            Code::hl7(CLINICAL, "active", "Active").write_concept(json, "clinicalStatus");
            Code::hl7(VERIFICATION, "confirmed", "Confirmed").write_concept(json, "verificationStatus");
            json.string("type", "allergy");
            json.array("category", |json| json.item_string(allergy.category));
            json.string("criticality", allergy.criticality);
            allergy.code.write_concept(json, "code");
            context.write_reference(json, "patient", context.patient);
            context.write_reference(json, "encounter", context.encounter);
            json.plain("recordedDate", context.time);
            json.object("recorder", |json| json.string("reference", &context.practitioner));
            json.list_of_one("reaction", |json| {
                allergy.manifestation.write_concept_list(json, "manifestation");
                json.string("severity", allergy.severity);
            });
        });
    }
}
