//! Structures of R4 (resources, types, backbone elements) and their elements, looked up by JSON name.

use super::lookup::Lookup;
use super::value_set::ValueSet;

/// Index of a structure in [`super::Definitions::structures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StructureId(pub(super) u16);

impl StructureId {
    /// The index in the list of all structures.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StructureKind {
    /// A resource, such as `Patient`; also the abstract `Resource` and `DomainResource`.
    Resource,
    /// A complex data type, such as `HumanName`.
    Complex,
    /// A primitive data type, such as `dateTime`. Its elements are those of the `_` companion.
    Primitive,
    /// An element with content of its own, such as `Patient.contact`.
    Backbone,
}

/// A resource, a data type or a backbone element, with its own and its inherited elements.
#[derive(Debug)]
pub struct Structure {
    /// Place in the list of structures.
    pub id: StructureId,
    /// `Patient`, `Patient.contact`, `HumanName`, `dateTime`.
    pub name: &'static str,
    /// What it is.
    pub kind: StructureKind,
    /// The type that it specialises: `DomainResource`, `Element`, `BackboneElement`, `Quantity` and so on.
    pub base: Option<&'static str>,
    /// Whether no instance can have exactly this type.
    pub is_abstract: bool,
    /// Which primitive type it is, if it is one.
    pub primitive: Option<PrimitiveKind>,
    /// The regular expression that R4 publishes for a primitive type.
    pub regex: Option<&'static str>,
    /// Invariants on the whole, without `ele-1`.
    pub constraints: Vec<&'static Constraint>,
    pub(super) elements: Vec<Element>,
    pub(super) lookup: Lookup,
    /// One bit (by its order) for each element that must be there; no structure of R4 has over 128 elements.
    pub required: u128,
}

impl Structure {
    /// The elements in the order of the definition.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Finds the element that a JSON member of this name is (R4 JSON, section 2.6.2).
    ///
    /// Choices are found under their expansions (`valueQuantity`, never `value`), and `_birthDate` is found
    /// as the companion of `birthDate` where that is of a primitive type.
    ///
    /// ```
    /// use anamnesis_fhir::definitions::r4;
    /// let observation = r4().structure("Observation").unwrap();
    /// let found = observation.element("valueQuantity").unwrap();
    /// assert_eq!((found.element.name, found.element_type.code), ("value", "Quantity"));
    /// assert!(observation.element("value").is_none());
    /// assert!(observation.element("_status").unwrap().is_companion);
    /// ```
    pub fn element(&self, json_name: &str) -> Option<ElementMatch<'_>> {
        let (plain, is_companion) = match json_name.strip_prefix('_') {
            Some(plain) => (plain, true),
            None => (json_name, false),
        };
        let slot = self.lookup.find(plain)?;
        let element = self.elements.get(usize::from(slot.element))?;
        let element_type = element.types.get(usize::from(slot.element_type))?;
        if is_companion && element_type.primitive.is_none() {
            return None;
        }
        Some(ElementMatch { element, element_type, is_companion })
    }

    /// Finds an element by its FHIRPath name: `value` finds the choice `value[x]`.
    pub fn element_by_path_name(&self, name: &str) -> Option<&Element> {
        match self.lookup.find(name) {
            Some(slot) => self.elements.get(usize::from(slot.element)).filter(|element| element.name == name),
            None => self.elements.iter().find(|element| element.name == name),
        }
    }

    /// Whether it is a resource, abstract ones included.
    pub fn is_resource(&self) -> bool {
        self.kind == StructureKind::Resource
    }
}

/// What a JSON member name means in a structure.
#[derive(Clone, Copy, Debug)]
pub struct ElementMatch<'d> {
    /// The element.
    pub element: &'d Element,
    /// The type that the name says (choices), or the only type.
    pub element_type: &'d ElementType,
    /// Whether the name is the `_` companion that holds id and extensions of a primitive.
    pub is_companion: bool,
}

/// One element of a structure.
#[derive(Debug)]
pub struct Element {
    /// Name without `[x]`, as FHIRPath uses it.
    pub name: &'static str,
    /// Place in the definition from 0; the order of elements in XML.
    pub order: u16,
    /// Smallest number of occurrences.
    pub min: u32,
    /// Largest number of occurrences; `None` for `*`. More than one (or `None`) means an array in JSON.
    pub max: Option<u32>,
    /// Allowed types, at least one. More than one only for choices.
    pub types: Vec<ElementType>,
    /// Whether it is a choice (`value[x]`).
    pub is_choice: bool,
    /// The structure whose content this element has by content reference; the type points there already.
    pub content_reference: Option<&'static str>,
    /// The binding to a value set.
    pub binding: Option<Binding>,
    /// Whether it belongs to the summary (`_summary=true`).
    pub is_summary: bool,
    /// Whether it modifies the meaning of others.
    pub is_modifier: bool,
    /// Invariants on this element beyond those of its type, without `ele-1`.
    pub constraints: Vec<&'static Constraint>,
}

impl Element {
    /// Whether JSON holds it as an array.
    pub fn is_array(&self) -> bool {
        self.max.is_none_or(|max| max > 1)
    }
}

/// One type that an element may have.
#[derive(Debug)]
pub struct ElementType {
    /// `Quantity`, `dateTime`, `BackboneElement`, `Resource`, `xhtml`.
    pub code: &'static str,
    /// The JSON name of the element with this type: `valueQuantity` for a choice, else the element's name.
    pub json_name: &'static str,
    /// Resource types that a Reference or canonical may point at; empty for any.
    pub targets: Vec<&'static str>,
    /// The profile that the definition asks for: `SimpleQuantity` or nothing.
    pub profile: Option<&'static str>,
    /// The structure of the content: the type itself, or the backbone element.
    pub structure: StructureId,
    /// Whether it is a primitive type.
    pub is_primitive: bool,
    /// Which primitive type it is, if it is one.
    pub primitive: Option<PrimitiveKind>,
}

/// The primitive types of R4 (datatypes.html#primitive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the types")]
pub enum PrimitiveKind {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl PrimitiveKind {
    /// Reads the name of a primitive type, such as `dateTime`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }
}

/// The binding of a coded element.
#[derive(Debug)]
pub struct Binding {
    /// How far codes must come from the value set.
    pub strength: BindingStrength,
    /// Canonical address of the value set, without version.
    pub url: &'static str,
    /// The value set, for required bindings.
    pub value_set: Option<&'static ValueSet>,
    /// The set that no code may leave even where the binding is weaker (`elementdefinition-maxValueSet`).
    pub max_value_set: Option<&'static ValueSet>,
}

/// Strength of a binding, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BindingStrength {
    /// Codes must come from the value set.
    Required,
    /// Codes must come from the value set where it has one for the concept.
    Extensible,
    /// Codes should come from the value set.
    Preferred,
    /// The value set is an example.
    Example,
}

/// An invariant of the definition.
#[derive(Debug)]
pub struct Constraint {
    /// Key, such as `obs-6`.
    pub key: &'static str,
    /// Whether breaking it is a warning only.
    pub is_warning: bool,
    /// What it says, for people.
    pub human: &'static str,
    /// The FHIRPath expression that must be true.
    pub expression: &'static str,
}
