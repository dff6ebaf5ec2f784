//! The definitions of FHIR R4 (4.0.1) as data: structures, bindings, search parameters, compartments.
//!
//! They come from a table of about 70 kB that `make definitions` makes from HL7's package
//! `hl7.fhir.r4.core` and that is part of the program. The table is unpacked once, when [`r4`] is first
//! called (some milliseconds), and lives as long as the process.
//!
//! ```
//! use anamnesis_fhir::definitions::r4;
//! let patient = r4().structure("Patient").unwrap();
//! let contact = patient.element("contact").unwrap();
//! let name = r4().structure_of(contact.element_type).element("name").unwrap();
//! assert_eq!(name.element_type.code, "HumanName");
//! ```

use std::collections::HashMap;
use std::sync::OnceLock;

mod load;
mod lookup;
mod search_parameter;
mod structure;
#[doc(hidden)]
pub mod table;
mod value_set;

pub use search_parameter::{Compartment, Operation, SearchComponent, SearchParameter, SearchParameterKind};
pub use structure::{
    Binding, BindingStrength, Constraint, Element, ElementMatch, ElementType, PrimitiveKind, Structure,
    StructureId, StructureKind,
};
pub use value_set::{Grammar, Members, SystemCodes, ValueSet};

/// The table, as the generator wrote it.
static TABLE: &[u8] = include_bytes!("../definitions/r4.json.zst");

/// All definitions of one FHIR version.
#[derive(Debug)]
pub struct Definitions {
    fhir_version: &'static str,
    structures: Vec<Structure>,
    by_name: HashMap<&'static str, StructureId>,
    resource_types: Vec<&'static str>,
    value_sets: &'static [ValueSet],
    search_parameters: &'static [SearchParameter],
    search_by_type: HashMap<&'static str, Vec<&'static SearchParameter>>,
    compartments: Vec<Compartment>,
    operations: Vec<Operation>,
}

/// The definitions of R4, loaded on first use.
///
/// # Panics
/// If the table inside the program is broken, which the tests of this crate exclude.
pub fn r4() -> &'static Definitions {
    static DEFINITIONS: OnceLock<Definitions> = OnceLock::new();
    DEFINITIONS.get_or_init(|| match load::load(TABLE) {
        Ok(definitions) => definitions,
        Err(error) => unreachable!("the built-in table of R4 definitions is broken: {error}"),
    })
}

impl Definitions {
    /// The version of FHIR, `4.0.1`.
    pub fn fhir_version(&self) -> &'static str {
        self.fhir_version
    }

    /// Finds a resource, a data type or a backbone element (`Patient.contact`) by name.
    pub fn structure(&self, name: &str) -> Option<&Structure> {
        self.by_name.get(name).and_then(|id| self.structures.get(usize::from(id.0)))
    }

    /// All structures; [`Structure::id`] is the index.
    pub fn structures(&self) -> &[Structure] {
        &self.structures
    }

    /// The structure of a type's content: `HumanName` for a name, `Patient.contact` for a contact.
    pub fn structure_of(&self, element_type: &ElementType) -> &Structure {
        self.structure_at(element_type.structure)
    }

    /// The structure with this id.
    pub fn structure_at(&self, id: StructureId) -> &Structure {
        match self.structures.get(usize::from(id.0)) {
            Some(structure) => structure,
            None => unreachable!("structure ids are made by the loader and all of them are in range"),
        }
    }

    /// The names of the 146 concrete resource types, sorted.
    pub fn resource_types(&self) -> &[&'static str] {
        &self.resource_types
    }

    /// Whether this is the name of a concrete resource type.
    pub fn is_resource(&self, name: &str) -> bool {
        self.resource(name).is_some()
    }

    /// Finds a concrete resource type.
    pub fn resource(&self, name: &str) -> Option<&Structure> {
        self.structure(name).filter(|structure| structure.is_resource() && !structure.is_abstract)
    }

    /// Whether a type is another or specialises it, at any distance: `Age` is a `Quantity`, `Patient` is a
    /// `DomainResource`.
    pub fn is_a(&self, name: &str, ancestor: &str) -> bool {
        let mut current = Some(name);
        // The deepest line of R4 has five types; the bound is against a broken table.
        for _ in 0..8 {
            match current {
                Some(found) if found == ancestor => return true,
                Some(found) => current = self.structure(found).and_then(|structure| structure.base),
                None => return false,
            }
        }
        false
    }

    /// Finds the value set of a required or maximum binding by its address; a `|version` is passed over.
    pub fn value_set(&self, url: &str) -> Option<&'static ValueSet> {
        let plain = url.split('|').next().unwrap_or(url);
        let index = self.value_sets.binary_search_by(|set| set.url.cmp(plain)).ok()?;
        self.value_sets.get(index)
    }

    /// All search parameters of R4, in the order of the package.
    pub fn search_parameters(&self) -> &'static [SearchParameter] {
        self.search_parameters
    }

    /// The search parameters of a resource type, with those of `Resource` and `DomainResource`, sorted by
    /// code; empty for an unknown type.
    pub fn search_parameters_of(&self, resource_type: &str) -> &[&'static SearchParameter] {
        self.search_by_type.get(resource_type).map(Vec::as_slice).unwrap_or_default()
    }

    /// Finds a search parameter of a resource type by its code.
    pub fn search_parameter(&self, resource_type: &str, code: &str) -> Option<&'static SearchParameter> {
        let parameters = self.search_parameters_of(resource_type);
        let index = parameters.binary_search_by(|parameter| parameter.code.cmp(code)).ok()?;
        parameters.get(index).copied()
    }

    /// Finds a search parameter by its canonical address, as the parts of composites name it.
    pub fn search_parameter_by_url(&self, url: &str) -> Option<&'static SearchParameter> {
        self.search_parameters.iter().find(|parameter| parameter.url == url)
    }

    /// Finds a compartment definition by its code, such as `Patient`.
    pub fn compartment(&self, code: &str) -> Option<&Compartment> {
        self.compartments.iter().find(|compartment| compartment.code == code)
    }

    /// The five compartment definitions.
    pub fn compartments(&self) -> &[Compartment] {
        &self.compartments
    }

    /// The operations that R4 defines.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

#[cfg(test)]
mod tests;
