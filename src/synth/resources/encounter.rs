//! Encounter: a visit.

use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;
use crate::synth::directory::Shared;
use crate::synth::story::{Class, Occasion, Visit};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const DISCHARGE: &str = "http://terminology.hl7.org/CodeSystem/discharge-disposition";
const DIAGNOSIS_ROLE: &str = "http://terminology.hl7.org/CodeSystem/diagnosis-role";

/// Writes the Encounter of `visit`.
pub(in crate::synth) fn write(chart: &mut Chart<'_>, visit: &Visit, context: &Context) {
    let location = chart.refer(Shared::Location(visit.organization));
    let practitioner_name = chart.display(Shared::Practitioner(visit.practitioner));
    let organization_name = chart.display(Shared::Organization(visit.organization));
    let reason = visit.occasion.episode().and_then(|number| chart.story.episodes.get(number));
    let died_here = chart.person.died.is_some_and(|died| visit.end >= died);
    chart.bundle.create(visit.id, "Encounter", |json| {
        json.string("status", "finished");
        json.object("class", |json| class(visit.class).write_members(json));
        kind(visit).write_concept_list(json, "type");
        context.write_reference(json, "subject", context.patient);
        json.list_of_one("participant", |json| {
            Code::hl7(PARTICIPATION, "PPRF", "primary performer").write_concept_list(json, "type");
            json.object("individual", |json| {
                json.string("reference", &context.practitioner);
                json.string("display", &practitioner_name);
            });
        });
        json.object("period", |json| {
            json.plain("start", visit.start);
            json.plain("end", visit.end);
        });
        if let Some(episode) = reason {
            episode.kind.code().write_concept_list(json, "reasonCode");
            json.list_of_one("diagnosis", |json| {
                context.write_reference(json, "condition", episode.id);
                if visit.class == Class::Inpatient {
                    Code::hl7(DIAGNOSIS_ROLE, "DD", "Discharge diagnosis").write_concept(json, "use");
                    json.number("rank", 1);
                }
            });
        }
        if visit.class == Class::Inpatient {
            let disposition = if died_here { ("exp", "Expired") } else { ("home", "Home") };
            json.object("hospitalization", |json| {
                Code::hl7(DISCHARGE, disposition.0, disposition.1)
                    .write_concept(json, "dischargeDisposition");
            });
        }
        json.list_of_one("location", |json| {
            json.object("location", |json| {
                json.string("reference", &location);
                json.string("display", &organization_name);
            });
        });
        json.object("serviceProvider", |json| {
            json.string("reference", &context.organization);
            json.string("display", &organization_name);
        });
    });
}

fn class(class: Class) -> Code {
    match class {
        Class::Ambulatory => Code::hl7(ACT_CODE, "AMB", "ambulatory"),
        Class::Emergency => Code::hl7(ACT_CODE, "EMER", "emergency"),
        Class::Inpatient => Code::hl7(ACT_CODE, "IMP", "inpatient encounter"),
    }
}

fn kind(visit: &Visit) -> Code {
    match (visit.occasion, visit.class) {
        (Occasion::Checkup, _) => Code::snomed("162673000", "General examination of patient"),
        (Occasion::FollowUp(_), _) => Code::snomed("390906007", "Follow-up encounter"),
        (Occasion::Prenatal(_), _) => Code::snomed("424619006", "Prenatal visit"),
        (_, Class::Emergency) => Code::snomed("50849002", "Emergency room admission"),
        (_, Class::Inpatient) => Code::snomed("32485007", "Hospital admission"),
        (_, Class::Ambulatory) => Code::snomed("185345009", "Encounter for symptom"),
    }
}
