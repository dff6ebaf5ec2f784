//! Observation: one measurement or answer, whatever it is about.

use crate::synth::bundle::Id;
use crate::synth::calendar::Moment;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::laboratory::Range;
use crate::synth::codes::{Code, UCUM};
use crate::synth::json::{Decimal, Json};

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";

/// What is known of an observation beyond its place in the record.
pub(in crate::synth) struct Finding<'a> {
    pub(in crate::synth) category: Category,
    pub(in crate::synth) code: Code,
    pub(in crate::synth) value: Value<'a>,
    /// The reference range, with the decimal places it is printed with.
    pub(in crate::synth) range: Option<(Range, u8)>,
    /// When the result was made known.
    pub(in crate::synth) issued: Moment,
}

/// `Observation.category`.
#[derive(Clone, Copy)]
pub(in crate::synth) enum Category {
    VitalSigns,
    Laboratory,
    SocialHistory,
}

/// What was found.
pub(in crate::synth) enum Value<'a> {
    Quantity(Quantity),
    Answer(Code),
    Components(&'a [(Code, Quantity)]),
}

/// A number with its unit.
#[derive(Clone, Copy)]
pub(in crate::synth) struct Quantity {
    pub(in crate::synth) value: Decimal,
    /// The unit as people print it.
    pub(in crate::synth) unit: &'static str,
    /// The unit in UCUM.
    pub(in crate::synth) code: &'static str,
}

/// Writes one Observation and gives its identity.
pub(in crate::synth) fn write(chart: &mut Chart<'_>, context: &Context, finding: &Finding<'_>) -> Id {
    let id = chart.dice.id();
    chart.bundle.create(id, "Observation", |json| {
        json.string("status", "final");
        finding.category.code().write_concept_list(json, "category");
        finding.code.write_concept(json, "code");
        context.write_subject(json);
        json.plain("effectiveDateTime", context.time);
        json.plain("issued", finding.issued);
        match finding.category {
            Category::Laboratory => {
                json.list_of_one("performer", |json| json.string("reference", &context.organization));
            }
            Category::VitalSigns | Category::SocialHistory => {
                json.list_of_one("performer", |json| json.string("reference", &context.practitioner));
            }
        }
        match &finding.value {
            Value::Quantity(quantity) => write_quantity(json, "valueQuantity", *quantity),
            Value::Answer(code) => code.write_concept(json, "valueCodeableConcept"),
            Value::Components(_) => {}
        }
        if let (Value::Quantity(quantity), Some((range, places))) = (&finding.value, finding.range) {
            interpretation(quantity.value.value(), range).write_concept_list(json, "interpretation");
            json.list_of_one("referenceRange", |json| write_range(json, range, places, *quantity));
        }
        if let Value::Components(components) = finding.value {
            json.array("component", |json| {
                for (code, quantity) in components {
                    json.item(|json| {
                        code.write_concept(json, "code");
                        write_quantity(json, "valueQuantity", *quantity);
                    });
                }
            });
        }
    });
    id
}

/// Whether a value lies outside its reference range.
pub(in crate::synth) fn is_abnormal(value: f64, range: Range) -> bool {
    interpretation(value, range).code != "N"
}

fn write_quantity(json: &mut Json, name: &str, quantity: Quantity) {
    json.object(name, |json| {
        json.number("value", quantity.value);
        json.string("unit", quantity.unit);
        json.string("system", UCUM);
        json.string("code", quantity.code);
    });
}

fn write_range(json: &mut Json, range: Range, places: u8, quantity: Quantity) {
    let bound = |value| Quantity { value: Decimal::new(value, places), ..quantity };
    if let Some(low) = range.low {
        write_quantity(json, "low", bound(low));
    }
    if let Some(high) = range.high {
        write_quantity(json, "high", bound(high));
    }
}

/// Normal, high, low, or critically so when it is far out of the range.
fn interpretation(value: f64, range: Range) -> Code {
    let width = range.high.unwrap_or_default() - range.low.unwrap_or_default();
    let far = width.abs();
    let (code, display) = match (range.low, range.high) {
        (_, Some(high)) if value > high + 1.5 * far => ("HH", "Critical high"),
        (_, Some(high)) if value > high => ("H", "High"),
        (Some(low), Some(_)) if value < low - far => ("LL", "Critical low"),
        (Some(low), _) if value < low => ("L", "Low"),
        _ => ("N", "Normal"),
    };
    Code::hl7(INTERPRETATION, code, display)
}

impl Category {
    fn code(self) -> Code {
        let (code, display) = match self {
            Self::VitalSigns => ("vital-signs", "Vital Signs"),
            Self::Laboratory => ("laboratory", "Laboratory"),
            Self::SocialHistory => ("social-history", "Social History"),
        };
        Code::hl7(CATEGORY, code, display)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_against_their_range() {
        let range = Range { low: Some(3.5), high: Some(5.1) };
        let judged = [1.0, 3.4, 3.5, 5.1, 5.2, 9.0].map(|value| interpretation(value, range).code);
        assert_eq!(judged, ["LL", "L", "N", "N", "H", "HH"]);
        let at_most = Range { low: None, high: Some(30.0) };
        assert_eq!([0.0, 31.0, 80.0].map(|value| interpretation(value, at_most).code), ["N", "H", "HH"]);
    }
}
