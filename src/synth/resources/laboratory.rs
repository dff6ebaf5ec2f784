//! Laboratory results: Observations with reference ranges, and the DiagnosticReport that gathers them.

use super::observation::{self, Category, Finding, Quantity, Value, is_abnormal};
use crate::synth::body::BloodSample;
use crate::synth::bundle::Id;
use crate::synth::calendar::Moment;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;
use crate::synth::codes::conditions::{Effect, Sex};
use crate::synth::codes::laboratory::{
    BASIC_METABOLIC, BLOOD_COUNT, COMPREHENSIVE_METABOLIC, GLYCATED_HEMOGLOBIN, LIPIDS, LIVER, Panel, Test,
};
use crate::synth::story::{Class, Occasion, Visit};

const SECTION: &str = "http://terminology.hl7.org/CodeSystem/v2-0074";
/// From drawing blood to the results, in minutes.
const TURNAROUND_MINUTES: i32 = 95;

/// Writes the laboratory results that a visit of this kind orders.
pub(in crate::synth) fn write(chart: &mut Chart<'_>, visit: &Visit, context: &Context, effects: &[Effect]) {
    let age = chart.person.age_on(visit.start.day());
    let mut sample = BloodSample::take(chart.body, visit.start.day(), effects);
    let context = &Context { time: context.time.plus_minutes(7), ..context.clone() };
    match visit.occasion {
        Occasion::Checkup if age >= 18 => {
            let comprehensive = age >= 50 && chart.dice.chance(550);
            let metabolic = if comprehensive { &COMPREHENSIVE_METABOLIC } else { &BASIC_METABOLIC };
            let more = if comprehensive { LIVER } else { &[] };
            write_panel(chart, &mut sample, context, metabolic, more);
            if chart.dice.chance(700) {
                write_panel(chart, &mut sample, context, &BLOOD_COUNT, &[]);
            }
            if age >= 35 || effects.contains(&Effect::HighLipids) {
                write_panel(chart, &mut sample, context, &LIPIDS, &[]);
            }
            if age >= 45 && !effects.contains(&Effect::HighGlucose) && chart.dice.chance(300) {
                write_test(chart, &mut sample, context, &GLYCATED_HEMOGLOBIN);
            }
        }
        Occasion::Checkup if age >= 1 && chart.dice.chance(300) => {
            write_panel(chart, &mut sample, context, &BLOOD_COUNT, &[]);
        }
        Occasion::Prenatal(_) => write_panel(chart, &mut sample, context, &BLOOD_COUNT, &[]),
        Occasion::Acute(_) | Occasion::Delivery(_) if visit.class == Class::Inpatient => {
            write_panel(chart, &mut sample, context, &BLOOD_COUNT, &[]);
            write_panel(chart, &mut sample, context, &BASIC_METABOLIC, &[]);
        }
        _ => {}
    }
    let episode = visit.occasion.episode().and_then(|number| chart.story.episodes.get(number));
    for test in episode.map_or(&[][..], |episode| episode.kind.tests()) {
        write_test(chart, &mut sample, context, test);
    }
}

fn write_panel(
    chart: &mut Chart<'_>,
    sample: &mut BloodSample<'_>,
    context: &Context,
    panel: &Panel,
    more: &[Test],
) {
    let mut results: Vec<(Id, &'static str)> = Vec::new();
    let mut abnormal = 0_usize;
    for test in panel.tests.iter().chain(more) {
        let (id, is_abnormal) = write_test(chart, sample, context, test);
        abnormal += usize::from(is_abnormal);
        results.push((id, test.code.display));
    }
    let id = chart.dice.id();
    let total = results.len();
    chart.bundle.create(id, "DiagnosticReport", |json| {
        json.object("text", |json| {
            json.string("status", "generated");
            let summary = format!("{}: {total} results, {abnormal} abnormal", panel.code.display);
            json.string(
                "div",
                &format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{summary}</p></div>"),
            );
        });
        json.string("status", "final");
        Code::hl7(SECTION, "LAB", "Laboratory").write_concept_list(json, "category");
        panel.code.write_concept(json, "code");
        context.write_subject(json);
        json.plain("effectiveDateTime", context.time);
        json.plain("issued", issued(context));
        json.list_of_one("performer", |json| json.string("reference", &context.organization));
        json.array("result", |json| {
            for (id, display) in &results {
                json.item(|json| {
                    json.plain("reference", id);
                    json.string("display", display);
                });
            }
        });
        json.string("conclusion", &format!("{abnormal} of {total} results outside the reference range"));
    });
}

fn write_test(
    chart: &mut Chart<'_>,
    sample: &mut BloodSample<'_>,
    context: &Context,
    test: &Test,
) -> (Id, bool) {
    let value = sample.measure(&mut chart.dice, test);
    let range = match chart.person.sex {
        Sex::Female => test.female,
        Sex::Male => test.male,
    };
    let finding = Finding {
        category: Category::Laboratory,
        code: test.code,
        value: Value::Quantity(Quantity { value, unit: test.unit, code: test.unit }),
        range: Some((range, test.places)),
        issued: issued(context),
    };
    (observation::write(chart, context, &finding), is_abnormal(value.value(), range))
}

fn issued(context: &Context) -> Moment {
    context.time.plus_minutes(TURNAROUND_MINUTES)
}
