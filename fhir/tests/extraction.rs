//! Search values of resources that are made at random by R4's definitions, so that every parameter has some.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a maker that is wrong fails the test")]

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::json::{Document, Limits};

#[path = "support/maker.rs"]
mod maker;
#[path = "support/oracle.rs"]
mod oracle;

use maker::{Dice, Maker, Words};
use oracle::Oracle;

/// How many resources are made of each type, and from which seeds.
const RESOURCES_PER_TYPE: u64 = 25;

#[test]
fn walkers_find_what_the_fhirpath_engine_finds() {
    let mut oracle = Oracle::default();
    for resource_type in r4().resource_types() {
        for seed in 1..=RESOURCES_PER_TYPE {
            let dice = Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut maker = Maker { dice, text: String::new(), words: Odd };
            maker.resource(resource_type, "", 0);
            let document = Document::parse(maker.text, &Limits::default()).unwrap();
            oracle.compare(resource_type, document.root());
        }
    }
    oracle.finish(40_000, 2_550);
}

/// Values that expressions look for, and others.
struct Odd;

impl Words for Odd {
    fn value(&self, dice: &mut Dice, type_code: &str, is_primitive: bool, depth: usize) -> Option<String> {
        Some(match type_code {
            "Extension" => extension(dice, depth),
            "Reference" => reference(dice),
            code if is_primitive => primitive(dice, code),
            _ => return None,
        })
    }
}

fn extension(dice: &mut Dice, depth: usize) -> String {
    let url = dice.pick(&[
        "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition",
        "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
        "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject",
        "http://example.org/other",
    ]);
    format!(r#"{{"url":"{url}","valueString":"{depth}"}}"#)
}

fn reference(dice: &mut Dice) -> String {
    let target = dice.pick(&["Patient", "Practitioner", "Location", "Group", "RelatedPerson"]);
    match dice.below(5) {
        0 => format!(r#"{{"reference":"{target}/1"}}"#),
        1 => format!(r#"{{"reference":"http://example.org/fhir/{target}/2/_history/1"}}"#),
        2 => format!(r#"{{"type":"{target}","identifier":{{"value":"v"}}}}"#),
        3 => r#"{"reference":"urn:uuid:9d0bd1b5-5b4a-4d1d-9d0f-8e3c4f6c1a51"}"#.to_owned(),
        _ => r#"{"display":"nobody"}"#.to_owned(),
    }
}

fn primitive(dice: &mut Dice, code: &str) -> String {
    let number = dice.below(90) + 10;
    match code {
        "boolean" => dice.pick(&["true", "false"]).to_owned(),
        "integer" | "positiveInt" | "unsignedInt" => number.to_string(),
        "decimal" => format!("{number}.50"),
        "date" => format!(r#""20{number}-03-04""#),
        "dateTime" | "instant" => format!(r#""20{number}-03-04T05:06:07Z""#),
        "time" => r#""05:06:07""#.to_owned(),
        "code" => {
            format!(r#""{}""#, dice.pick(&["phone", "email", "depends-on", "composed-of", "successor"]))
        }
        "xhtml" => r#""<div/>""#.to_owned(),
        _ => format!(r#""text {number}""#),
    }
}
