//! The vital signs of a visit, as LOINC and the FHIR vital signs profiles name them.

use super::observation::{self, Category, Finding, Quantity, Value};
use crate::synth::body::Vitals;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;
use crate::synth::codes::conditions::Effect;
use crate::synth::json::Decimal;
use crate::synth::story::{Occasion, Visit};

const BLOOD_PRESSURE: Code = Code::loinc("85354-9", "Blood pressure panel with all children optional");
const SYSTOLIC: Code = Code::loinc("8480-6", "Systolic blood pressure");
const DIASTOLIC: Code = Code::loinc("8462-4", "Diastolic blood pressure");
const HEIGHT: Code = Code::loinc("8302-2", "Body height");
const WEIGHT: Code = Code::loinc("29463-7", "Body weight");
const MASS_INDEX: Code = Code::loinc("39156-5", "Body mass index (BMI) [Ratio]");
const HEART_RATE: Code = Code::loinc("8867-4", "Heart rate");
const RESPIRATORY_RATE: Code = Code::loinc("9279-1", "Respiratory rate");
const TEMPERATURE: Code = Code::loinc("8310-5", "Body temperature");
const OXYGEN_SATURATION: Code = Code::loinc("2708-6", "Oxygen saturation in Arterial blood");
const HEAD_CIRCUMFERENCE: Code = Code::loinc("9843-4", "Head Occipital-frontal circumference");
const PAIN: Code = Code::loinc("72514-3", "Pain severity - 0-10 verbal numeric rating [Score] - Reported");
const SMOKING: Code = Code::loinc("72166-2", "Tobacco smoking status");

/// Writes the vital signs that a visit of this kind takes.
pub(in crate::synth) fn write(
    chart: &mut Chart<'_>,
    visit: &Visit,
    context: &Context,
    vitals: &Vitals,
    effects: &[Effect],
) {
    let age = chart.person.age_on(visit.start.day());
    let checkup = visit.occasion == Occasion::Checkup;
    let ill = matches!(visit.occasion, Occasion::Acute(_));
    let mut single = |code: Code, value: Decimal, unit: &'static str, ucum: &'static str| {
        let quantity = Quantity { value, unit, code: ucum };
        write_one(chart, context, Category::VitalSigns, code, Value::Quantity(quantity));
    };
    if checkup {
        single(HEIGHT, vitals.height_cm, "cm", "cm");
    }
    if checkup || !ill {
        single(WEIGHT, vitals.weight_kg, "kg", "kg");
    }
    if checkup && age >= 2 {
        single(MASS_INDEX, vitals.mass_index, "kg/m2", "kg/m2");
    }
    if checkup && age < 3 {
        single(HEAD_CIRCUMFERENCE, vitals.head_cm, "cm", "cm");
    }
    single(HEART_RATE, vitals.pulse, "beats/minute", "/min");
    if checkup || ill {
        single(RESPIRATORY_RATE, vitals.breaths, "breaths/minute", "/min");
        single(TEMPERATURE, vitals.temperature, "degrees C", "Cel");
    }
    if ill || effects.contains(&Effect::AirwayLimit) || effects.contains(&Effect::WeakHeart) {
        single(OXYGEN_SATURATION, vitals.saturation, "%", "%");
    }
    if age >= 3 {
        let pressure = |code, value| (code, Quantity { value, unit: "mmHg", code: "mm[Hg]" });
        let components = [pressure(SYSTOLIC, vitals.systolic), pressure(DIASTOLIC, vitals.diastolic)];
        write_one(chart, context, Category::VitalSigns, BLOOD_PRESSURE, Value::Components(&components));
    }
    if effects.contains(&Effect::Pain) {
        let value = Decimal::new(f64::from(chart.dice.between(2, 9)), 0);
        let score = Quantity { value, unit: "{score}", code: "{score}" };
        write_one(chart, context, Category::VitalSigns, PAIN, Value::Quantity(score));
    }
    if checkup && age >= 16 {
        let answer = chart.person.smoking.answer();
        write_one(chart, context, Category::SocialHistory, SMOKING, Value::Answer(answer));
    }
}

fn write_one(chart: &mut Chart<'_>, context: &Context, category: Category, code: Code, value: Value<'_>) {
    let finding = Finding { category, code, value, range: None, issued: context.time.plus_minutes(5) };
    observation::write(chart, context, &finding);
}
