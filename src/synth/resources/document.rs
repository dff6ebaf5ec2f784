//! DocumentReference: the discharge summary of a hospital stay.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;
use crate::synth::story::Visit;

const SUMMARY: Code = Code::loinc("18842-5", "Discharge summary");

/// Writes the discharge summary of `visit` as a text of a few lines.
pub(in crate::synth) fn write_discharge_summary(chart: &mut Chart<'_>, visit: &Visit, context: &Context) {
    let id = chart.dice.id();
    let reason = visit.occasion.episode().and_then(|number| chart.story.episodes.get(number));
    let reason = reason.map_or("Observation", |episode| episode.kind.code().display);
    let days = visit.end.day().days_since(visit.start.day());
    let text = format!(
        "DISCHARGE SUMMARY\n\nAdmitted: {}\nDischarged: {}\nReason: {reason}\nLength of stay: {days} d\n\n\
         This text is invented and describes nobody.\n",
        visit.start.day(),
        visit.end.day(),
    );
    chart.bundle.create(id, "DocumentReference", |json| {
        json.string("status", "current");
        json.string("docStatus", "final");
        SUMMARY.write_concept(json, "type");
        context.write_reference(json, "subject", context.patient);
        json.plain("date", visit.end);
        json.list_of_one("author", |json| json.string("reference", &context.practitioner));
        json.list_of_one("content", |json| {
            json.object("attachment", |json| {
                json.string("contentType", "text/plain; charset=utf-8");
                json.string("data", &STANDARD.encode(&text));
                json.string("title", "Discharge summary");
                json.plain("creation", visit.end);
            });
        });
        json.object("context", |json| {
            json.list_of_one("encounter", |json| json.plain("reference", context.encounter));
            json.object("period", |json| {
                json.plain("start", visit.start);
                json.plain("end", visit.end);
            });
        });
    });
}
