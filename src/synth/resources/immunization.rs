//! Immunization: the doses that were due since the last visit.

use crate::synth::calendar::Day;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::immunizations::{INFLUENZA, SCHEDULE};
use crate::synth::codes::{Code, UCUM};
use crate::synth::json::Decimal;
use crate::synth::story::{Class, Occasion};

const ROUTE: Code = Code::hl7(
    "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration",
    "IM",
    "Injection, intramuscular",
);
const SITE: Code = Code::hl7("http://terminology.hl7.org/CodeSystem/v3-ActSite", "LA", "left arm");

/// Writes the vaccinations of the visit with this number, on `day`.
pub(in crate::synth) fn write_due(chart: &mut Chart<'_>, number: usize, day: Day, context: &Context) {
    if chart.story.visits.get(number).is_none_or(|visit| visit.occasion != Occasion::Checkup) {
        return;
    }
    let last = last_checkup(chart, number);
    for vaccine in SCHEDULE.iter().filter(|vaccine| day.civil().year >= vaccine.since_year) {
        for (dose, months) in vaccine.due_months.iter().enumerate() {
            let due = chart.person.born.plus_days(months * 3_044 / 100);
            let missed = last.is_some_and(|last| due <= last);
            // Before the first visit of a record, doses up to a year overdue are given.
            let forgotten = last.is_none() && day.days_since(due) > 400;
            if due <= day && !missed && !forgotten {
                write(chart, context, vaccine.code, Some((dose as u32 + 1, vaccine.series)));
            }
        }
    }
    let in_season = matches!(day.civil().month, 9..=12 | 1);
    if in_season && chart.person.age_on(day) >= 1 && chart.dice.chance(750) {
        write(chart, context, INFLUENZA, None);
    }
}

/// The day of the check-up before the visit with this number.
fn last_checkup(chart: &Chart<'_>, number: usize) -> Option<Day> {
    let earlier = chart.story.visits.iter().take(number).rev();
    earlier
        .filter(|visit| visit.occasion == Occasion::Checkup && visit.class == Class::Ambulatory)
        .map(|visit| visit.start.day())
        .next()
}

fn write(chart: &mut Chart<'_>, context: &Context, code: Code, dose: Option<(u32, u32)>) {
    let id = chart.dice.id();
    let lot = chart.dice.between(10_000, 99_999);
    chart.bundle.create(id, "Immunization", |json| {
        json.string("status", "completed");
        code.write_concept(json, "vaccineCode");
        context.write_reference(json, "patient", context.patient);
        context.write_reference(json, "encounter", context.encounter);
        json.plain("occurrenceDateTime", context.time.plus_minutes(8));
        json.boolean("primarySource", true);
        json.plain("lotNumber", format_args!("SY{lot}"));
        SITE.write_concept(json, "site");
        ROUTE.write_concept(json, "route");
        json.object("doseQuantity", |json| {
            json.number("value", Decimal::new(0.5, 2));
            json.string("unit", "mL");
            json.string("system", UCUM);
            json.string("code", "mL");
        });
        json.list_of_one("performer", |json| {
            json.object("actor", |json| json.string("reference", &context.practitioner));
        });
        if let Some((number, series)) = dose {
            json.list_of_one("protocolApplied", |json| {
                json.number("doseNumberPositiveInt", number);
                json.number("seriesDosesPositiveInt", series);
            });
        }
    });
}
