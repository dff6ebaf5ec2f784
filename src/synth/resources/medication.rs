//! MedicationRequest and MedicationStatement: what was prescribed, and what was taken before the record began.

use crate::synth::calendar::Day;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::allergies::PENICILLIN_ALLERGY;
use crate::synth::codes::medications::Medication;
use crate::synth::codes::{Code, UCUM};
use crate::synth::json::Json;
use crate::synth::story::{Episode, Kind, Occasion, Story, Visit};

const ORAL: Code = Code::snomed("26643006", "Oral route");
const INHALATION: Code = Code::snomed("447694001", "Respiratory tract route");
const SUBCUTANEOUS: Code = Code::snomed("34206005", "Subcutaneous route");
/// A long-term prescription covers so many days.
const SUPPLY_DAYS: i32 = 90;

/// Writes what the person takes already at the first visit.
pub(in crate::synth) fn write_statements(chart: &mut Chart<'_>, context: &Context) {
    let today = context.time.day();
    for episode in chart.story.episodes.iter().filter(|episode| episode.onset < today) {
        for medication in chosen(chart.story, episode) {
            if matches!(episode.kind, Kind::Chronic(_)) {
                write_statement(chart, context, episode, medication);
            }
        }
    }
}

/// Writes what the visit with this number prescribes.
pub(in crate::synth) fn write_requests(
    chart: &mut Chart<'_>,
    number: usize,
    visit: &Visit,
    context: &Context,
) {
    let Some(place) = visit.occasion.episode() else { return };
    let Some(episode) = chart.story.episodes.get(place) else { return };
    let renewed = matches!((visit.occasion, episode.kind), (Occasion::FollowUp(_), Kind::Chronic(_)));
    if episode.recorded_at != number && !renewed {
        return;
    }
    let renewed_later =
        chart.story.visits.iter().skip(number + 1).any(|later| {
            later.occasion == Occasion::FollowUp(place) && matches!(episode.kind, Kind::Chronic(_))
        });
    for medication in chosen(chart.story, episode) {
        let over = medication.course_days > 0
            && visit.start.day().plus_days(medication.course_days) <= chart.last_day();
        let status = match () {
            () if renewed_later || over => "completed",
            () if chart.person.died.is_some() => "stopped",
            () => "active",
        };
        write_request(chart, context, episode, medication, status);
    }
}

/// The medications this person gets for an episode: none they are allergic to, and of those for a chronic
/// condition not everybody gets all.
fn chosen(story: &Story, episode: &Episode) -> impl Iterator<Item = &'static Medication> + use<> {
    let allergic = story.allergies.iter().any(|allergy| allergy.code.code == PENICILLIN_ALLERGY);
    let all = episode.kind.medications();
    // The identity is random and stays the same, so the choice does as well.
    let count = match episode.kind {
        Kind::Chronic(_) if episode.id.is_even() => 1,
        Kind::Chronic(_) => 2,
        Kind::Acute(_) | Kind::Pregnancy => all.len(),
    };
    all.iter().take(count).filter(move |medication| !(allergic && medication.is_penicillin()))
}

fn write_request(
    chart: &mut Chart<'_>,
    context: &Context,
    episode: &Episode,
    medication: &Medication,
    status: &str,
) {
    let id = chart.dice.id();
    let days = if medication.course_days > 0 { medication.course_days } else { SUPPLY_DAYS };
    chart.bundle.create(id, "MedicationRequest", |json| {
        json.string("status", status);
        json.string("intent", "order");
        medication.code.write_concept(json, "medicationCodeableConcept");
        context.write_subject(json);
        json.plain("authoredOn", context.time.plus_minutes(10));
        json.object("requester", |json| json.string("reference", &context.practitioner));
        json.list_of_one("reasonReference", |json| json.plain("reference", episode.id));
        json.list_of_one("dosageInstruction", |json| write_dosage(json, medication));
        json.object("dispenseRequest", |json| {
            json.number("numberOfRepeatsAllowed", if medication.course_days > 0 { 0 } else { 3 });
            json.object("quantity", |json| {
                let taken = medication.dose * medication.times * days.unsigned_abs();
                write_amount(json, medication, taken.div_ceil(medication.every_days));
            });
            json.object("expectedSupplyDuration", |json| {
                json.number("value", days);
                json.string("unit", "day");
                json.string("system", UCUM);
                json.string("code", "d");
            });
        });
    });
}

fn write_statement(chart: &mut Chart<'_>, context: &Context, episode: &Episode, medication: &Medication) {
    let id = chart.dice.id();
    let since = start_of_month(episode.onset);
    chart.bundle.create(id, "MedicationStatement", |json| {
        json.string("status", "active");
        medication.code.write_concept(json, "medicationCodeableConcept");
        context.write_reference(json, "subject", context.patient);
        context.write_reference(json, "context", context.encounter);
        json.object("effectivePeriod", |json| json.string("start", &since));
        json.plain("dateAsserted", context.time);
        context.write_reference(json, "informationSource", context.patient);
        json.list_of_one("reasonReference", |json| json.plain("reference", episode.id));
        json.list_of_one("dosage", |json| write_dosage(json, medication));
    });
}

fn write_dosage(json: &mut Json, medication: &Medication) {
    use crate::synth::codes::medications::DoseUnit;
    json.number("sequence", 1);
    json.string("text", medication.instruction);
    json.object("timing", |json| {
        json.object("repeat", |json| {
            json.number("frequency", medication.times);
            json.number("period", medication.every_days);
            json.string("periodUnit", "d");
        });
    });
    json.boolean("asNeededBoolean", medication.as_needed);
    let route = match medication.unit {
        DoseUnit::Tablet | DoseUnit::Capsule => ORAL,
        DoseUnit::Puff => INHALATION,
        DoseUnit::Unit => SUBCUTANEOUS,
    };
    route.write_concept(json, "route");
    json.list_of_one("doseAndRate", |json| {
        json.object("doseQuantity", |json| write_amount(json, medication, medication.dose));
    });
}

fn write_amount(json: &mut Json, medication: &Medication, amount: u32) {
    let (code, unit) = medication.unit.ucum();
    json.number("value", amount);
    json.string("unit", unit);
    json.string("system", UCUM);
    json.string("code", code);
}

/// A FHIR `dateTime` with month precision.
fn start_of_month(day: Day) -> String {
    let civil = day.civil();
    format!("{:04}-{:02}", civil.year, civil.month)
}
