//! Makes resources at random by R4's definitions: every element that a type has may come; a seed decides.

use std::fmt::Write as _;

use anamnesis_fhir::definitions::{ElementType, Structure, StructureKind, r4};

/// Below this depth only what is needed is made.
const DEPTH_MAX: usize = 5;
/// The types of resources within resources.
const WITHIN: [&str; 4] = ["Patient", "Group", "Location", "Composition"];

/// Random numbers (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    pub(crate) fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }
}

/// What the values are.
pub(crate) trait Words {
    /// The value of a type as JSON; `None` to have it made of its elements, which primitive types have none of.
    fn value(&self, dice: &mut Dice, type_code: &str, is_primitive: bool, depth: usize) -> Option<String>;
}

/// Writes resources as JSON.
pub(crate) struct Maker<W> {
    pub(crate) dice: Dice,
    pub(crate) text: String,
    pub(crate) words: W,
}

impl<W: Words> Maker<W> {
    /// A resource; `first` are members that it begins with, each with a comma behind.
    pub(crate) fn resource(&mut self, resource_type: &str, first: &str, depth: usize) {
        let _ = write!(self.text, r#"{{{first}"resourceType":"{resource_type}""#);
        self.members(r4().structure(resource_type).unwrap(), !first.is_empty(), depth);
        self.text.push('}');
    }

    /// Writes members, each behind a comma.
    fn members(&mut self, structure: &'static Structure, has_id: bool, depth: usize) {
        for element in structure.elements() {
            let chance = if depth == 0 { 8 } else { 5 };
            let is_left_out = element.name == "contained" && depth > 0 || element.name == "id" && has_id;
            if is_left_out || depth > DEPTH_MAX || self.dice.below(10) >= chance {
                continue;
            }
            let element_type = &element.types[self.dice.below(element.types.len())];
            let _ = write!(self.text, r#","{}":"#, element_type.json_name);
            if element.is_array() {
                self.text.push('[');
                self.value(element_type, depth + 1);
                if self.dice.below(2) == 0 {
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
        if element_type.code == "Resource" {
            let resource_type = self.dice.pick(&WITHIN);
            return self.resource(resource_type, "", depth);
        }
        let is_primitive = structure.kind == StructureKind::Primitive;
        if let Some(text) = self.words.value(&mut self.dice, element_type.code, is_primitive, depth) {
            return self.text.push_str(&text);
        }
        self.text.push('{');
        let first = self.text.len();
        self.members(structure, false, depth);
        if self.text.len() > first {
            self.text.remove(first);
        }
        self.text.push('}');
    }
}
