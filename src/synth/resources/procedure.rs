//! Procedure: what was done at a visit.

use crate::synth::bundle::Id;
use crate::synth::calendar::Day;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;
use crate::synth::codes::conditions::Sex;
use crate::synth::codes::procedures::{COLONOSCOPY, DEPRESSION_SCREENING, MAMMOGRAPHY};
use crate::synth::story::Visit;

/// The screenings of a check-up on `day`.
pub(in crate::synth) fn screening(chart: &mut Chart<'_>, day: Day) -> Vec<Code> {
    let age = chart.person.age_on(day);
    let mut codes = Vec::new();
    if age >= 12 && chart.dice.chance(500) {
        codes.push(DEPRESSION_SCREENING);
    }
    if (45..76).contains(&age) && chart.dice.chance(100) {
        codes.push(COLONOSCOPY);
    }
    if (40..75).contains(&age) && chart.person.sex == Sex::Female && chart.dice.chance(450) {
        codes.push(MAMMOGRAPHY);
    }
    codes
}

/// Writes one Procedure, done within the time of `visit`.
pub(in crate::synth) fn write(
    chart: &mut Chart<'_>,
    visit: &Visit,
    context: &Context,
    code: &Code,
    reason: Option<Id>,
) {
    let id = chart.dice.id();
    let start = context.time.min(visit.end);
    let end = start.plus_minutes(chart.dice.between(5, 90)).min(visit.end);
    chart.bundle.create(id, "Procedure", |json| {
        json.string("status", "completed");
        code.write_concept(json, "code");
        context.write_subject(json);
        json.object("performedPeriod", |json| {
            json.plain("start", start);
            json.plain("end", end);
        });
        json.list_of_one("performer", |json| {
            json.object("actor", |json| json.string("reference", &context.practitioner));
        });
        if let Some(reason) = reason {
            json.list_of_one("reasonReference", |json| json.plain("reference", reason));
        }
    });
}
