//! Condition: what a person suffers from, as a problem or as the diagnosis of a visit.

use crate::synth::calendar::Day;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::{Code, ICD_10_CM};
use crate::synth::json::Json;
use crate::synth::story::{Episode, Kind};

const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/condition-category";

/// Writes the conditions that the visit with this number records.
pub(in crate::synth) fn write_recorded(chart: &mut Chart<'_>, number: usize, context: &Context) {
    for episode in chart.story.episodes.iter().filter(|episode| episode.recorded_at == number) {
        write(chart, episode, context);
    }
}

fn write(chart: &mut Chart<'_>, episode: &Episode, context: &Context) {
    let code = episode.kind.code();
    let over = episode.end.filter(|end| *end <= chart.last_day());
    let onset = remembered(chart, episode.onset, context.time.day());
    chart.bundle.create(episode.id, "Condition", |json| {
        let (clinical, clinical_display) =
            if over.is_some() { ("resolved", "Resolved") } else { ("active", "Active") };
        write_narrative(json, code.display, clinical, &onset);
        Code::hl7(CLINICAL, clinical, clinical_display).write_concept(json, "clinicalStatus");
        Code::hl7(VERIFICATION, "confirmed", "Confirmed").write_concept(json, "verificationStatus");
        let (category, category_display) = match episode.kind {
            Kind::Chronic(_) => ("problem-list-item", "Problem List Item"),
            Kind::Acute(_) | Kind::Pregnancy => ("encounter-diagnosis", "Encounter Diagnosis"),
        };
        Code::hl7(CATEGORY, category, category_display).write_concept_list(json, "category");
        json.object("code", |json| {
            json.array("coding", |json| {
                code.write_coding(json);
                Code::hl7(ICD_10_CM, episode.kind.icd10(), code.display).write_coding(json);
            });
            json.string("text", code.display);
        });
        context.write_subject(json);
        json.string("onsetDateTime", &onset);
        if let Some(end) = over {
            json.plain("abatementDateTime", end);
        }
        json.plain("recordedDate", context.time);
        json.object("recorder", |json| json.string("reference", &context.practitioner));
    });
}

/// The onset as a person remembers it: the longer ago, the less precise. A FHIR `dateTime` may be a year, a
/// month or a day.
fn remembered(chart: &mut Chart<'_>, onset: Day, told: Day) -> String {
    let civil = onset.civil();
    match told.years_since(onset) {
        8.. if chart.dice.chance(700) => format!("{:04}", civil.year),
        3.. if chart.dice.chance(700) => format!("{:04}-{:02}", civil.year, civil.month),
        _ => onset.to_string(),
    }
}

fn write_narrative(json: &mut Json, display: &str, status: &str, onset: &str) {
    json.object("text", |json| {
        json.string("status", "generated");
        json.plain(
            "div",
            format_args!(
                "<div xmlns=\\\"http://www.w3.org/1999/xhtml\\\"><p>{display}, {status}, since {onset}</p></div>"
            ),
        );
    });
}
