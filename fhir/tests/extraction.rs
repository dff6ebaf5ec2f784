//! Search values of resources that are made at random by R4's definitions, so that every parameter has some.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a maker that is wrong fails the test")]

use std::fmt::Write as _;

use anamnesis_fhir::definitions::{ElementType, Structure, StructureKind, r4};
use anamnesis_fhir::json::{Document, Limits};

#[path = "support/oracle.rs"]
mod oracle;

use oracle::Oracle;

/// How many resources are made of each type, and from which seeds.
const RESOURCES_PER_TYPE: u64 = 25;
/// Below this depth only what is needed is made.
const DEPTH_MAX: usize = 5;

#[test]
fn walkers_find_what_the_fhirpath_engine_finds() {
    let mut oracle = Oracle::default();
    for resource_type in r4().resource_types() {
        for seed in 1..=RESOURCES_PER_TYPE {
            let mut maker = Maker { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), text: String::new() };
            maker.resource(resource_type, 0);
            let document = Document::parse(maker.text, &Limits::default()).unwrap();
            oracle.compare(resource_type, document.root());
        }
    }
    oracle.finish(40_000, 2_550);
}

/// Writes resources as JSON; the seed decides.
struct Maker {
    state: u64,
    text: String,
}

impl Maker {
    /// A number below `bound` (SplitMix64).
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    fn resource(&mut self, resource_type: &str, depth: usize) {
        let _ = write!(self.text, r#"{{"resourceType":"{resource_type}""#);
        self.members(r4().structure(resource_type).unwrap(), depth);
        self.text.push('}');
    }

    /// Writes members, each behind a comma.
    fn members(&mut self, structure: &'static Structure, depth: usize) {
        for element in structure.elements() {
            let chance = if depth == 0 { 8 } else { 5 };
            if element.name == "contained" && depth > 0 || depth > DEPTH_MAX || self.below(10) >= chance {
                continue;
            }
            let element_type = &element.types[self.below(element.types.len())];
            let _ = write!(self.text, r#","{}":"#, element_type.json_name);
            if element.is_array() {
                self.text.push('[');
                self.value(element_type, depth + 1);
                if self.below(2) == 0 {
                    self.text.push(',');
                    self.value(element_type, depth + 1);
                }
                self.text.push(']');
            } else {
                self.value(element_type, depth + 1);
            }
        }
    }

    fn value(&mut self, element_type: &'static ElementType, depth: usize) {
        let structure = r4().structure_of(element_type);
        match (element_type.code, structure.kind) {
            ("Resource", _) => {
                let resource_type = self.pick(&["Patient", "Group", "Location", "Composition"]);
                self.resource(resource_type, depth);
            }
            ("Extension", _) => self.extension(depth),
            ("Reference", _) => self.reference(),
            (code, StructureKind::Primitive) => self.primitive(code),
            _ => {
                self.text.push('{');
                let first = self.text.len();
                self.members(structure, depth);
                if self.text.len() > first {
                    self.text.remove(first);
                }
                self.text.push('}');
            }
        }
    }

    fn extension(&mut self, depth: usize) {
        let url = self.pick(&[
            "http://hl7.org/fhir/StructureDefinition/DiagnosticReport-geneticsAssessedCondition",
            "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
            "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject",
            "http://example.org/other",
        ]);
        let _ = write!(self.text, r#"{{"url":"{url}","valueString":"{depth}"}}"#);
    }

    fn reference(&mut self) {
        let target = self.pick(&["Patient", "Practitioner", "Location", "Group", "RelatedPerson"]);
        let number = self.below(5);
        let text = match number {
            0 => format!(r#"{{"reference":"{target}/1"}}"#),
            1 => format!(r#"{{"reference":"http://example.org/fhir/{target}/2/_history/1"}}"#),
            2 => format!(r#"{{"type":"{target}","identifier":{{"value":"v"}}}}"#),
            3 => r#"{"reference":"urn:uuid:9d0bd1b5-5b4a-4d1d-9d0f-8e3c4f6c1a51"}"#.to_owned(),
            _ => r#"{"display":"nobody"}"#.to_owned(),
        };
        self.text.push_str(&text);
    }

    fn primitive(&mut self, code: &str) {
        let number = self.below(90) + 10;
        let text = match code {
            "boolean" => self.pick(&["true", "false"]).to_owned(),
            "integer" | "positiveInt" | "unsignedInt" => number.to_string(),
            "decimal" => format!("{number}.50"),
            "date" => format!(r#""20{number}-03-04""#),
            "dateTime" | "instant" => format!(r#""20{number}-03-04T05:06:07Z""#),
            "time" => r#""05:06:07""#.to_owned(),
            "code" => {
                format!(r#""{}""#, self.pick(&["phone", "email", "depends-on", "composed-of", "successor"]))
            }
            "xhtml" => r#""<div/>""#.to_owned(),
            _ => format!(r#""text {number}""#),
        };
        self.text.push_str(&text);
    }
}
