//! Type specifiers: which type a name means, and whether an item is of it.

use super::ast::TypeName;
use super::item::{Item, Primitive};
use crate::definitions::{Structure, StructureKind, r4};

/// The System types that an expression may name (FHIRPath 2.0.0 section 10.1; `Any` is above all).
const SYSTEM_TYPES: [&str; 9] =
    ["Any", "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"];

/// The type or types that a specifier means: `Quantity` alone is both the FHIR and the System type.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypeTarget {
    pub(super) fhir: Option<&'static Structure>,
    pub(super) system: Option<&'static str>,
}

impl TypeTarget {
    /// Looks a name up; `None` where no such type exists.
    pub(super) fn find(name: &TypeName) -> Option<Self> {
        let system = || SYSTEM_TYPES.into_iter().find(|known| **known == *name.name);
        let fhir = || r4().structure(&name.name).filter(|found| found.kind != StructureKind::Backbone);
        let target = match name.namespace.as_deref() {
            None => Self { fhir: fhir(), system: system() },
            Some("FHIR") => Self { fhir: fhir(), system: None },
            Some("System") => {
                // The suite of HL7 asks `is(System.Patient)`, and wants false: such a name is no fault.
                let is_known = system().is_some() || fhir().is_some();
                return is_known.then(|| Self { fhir: None, system: system() });
            }
            Some(_) => return None,
        };
        (target.fhir.is_some() || target.system.is_some()).then_some(target)
    }

    /// Whether the item is of the type or of one that specialises it.
    pub(super) fn contains(self, item: &Item<'_>) -> bool {
        match item.structure() {
            Some(structure) => self.fhir.is_some_and(|target| specialises(structure, target)),
            None => self.contains_system(item),
        }
    }

    /// Whether `as` and `ofType` let the item through.
    ///
    /// Primitives must be of exactly the type: in R4 `code` specialises `string`, yet the suite of HL7 wants
    /// `gender.ofType(string)` empty, and R4's search parameters `ConceptMap.source as uri` and `as canonical`
    /// are told apart by nothing else.
    pub(super) fn selects(self, item: &Item<'_>) -> bool {
        match item.structure() {
            Some(structure) if structure.kind == StructureKind::Primitive => {
                self.fhir.is_some_and(|target| target.id == structure.id)
            }
            _ => self.contains(item),
        }
    }

    fn contains_system(self, item: &Item<'_>) -> bool {
        let Some(system) = self.system else { return false };
        let is_system = !matches!(item, Item::Node(_));
        is_system && (system == "Any" || item.type_info().is_some_and(|info| info.name == system))
    }
}

/// Whether a structure is another or specialises it, at any distance.
pub(super) fn specialises(structure: &'static Structure, ancestor: &Structure) -> bool {
    if structure.id == ancestor.id {
        return true;
    }
    // A primitive specialises nothing but Element and another primitive; most tests end here.
    if ancestor.kind == StructureKind::Primitive && Primitive::of(structure).is_none() {
        return false;
    }
    structure.base.is_some_and(|base| r4().is_a(base, ancestor.name))
}
