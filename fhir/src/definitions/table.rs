//! The compact table of R4 definitions as it is stored: written by the generator, read by the loader.
//!
//! The table is JSON under zstd. Field names are one or two letters because the rows repeat them some ten
//! thousand times; the meaning stands at each field. Nothing outside the generator and the loader uses these
//! rows; everybody else uses [`super::Definitions`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The layout of the rows below. The loader refuses a table of another layout.
pub const LAYOUT: u32 = 1;

/// A string of the table that borrows from the unpacked text where it holds no escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

impl From<&str> for Text<'static> {
    fn from(text: &str) -> Self {
        Text(Cow::Owned(text.to_owned()))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The whole table.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct Table<'a> {
    /// [`LAYOUT`] of the writer.
    pub layout: u32,
    /// Version of the package, `4.0.1`.
    pub fhir_version: Text<'a>,
    /// Invariants, each once; other rows name them by index.
    pub constraints: Vec<ConstraintRow<'a>>,
    /// Value sets of the required and maximum bindings; other rows name them by index.
    pub value_sets: Vec<ValueSetRow<'a>>,
    /// Resources, complex types, primitive types and their backbone elements.
    pub structures: Vec<StructureRow<'a>>,
    /// Search parameters in the order of the package.
    pub search_parameters: Vec<SearchParameterRow<'a>>,
    /// Compartment definitions.
    pub compartments: Vec<CompartmentRow<'a>>,
    /// Operations.
    pub operations: Vec<OperationRow<'a>>,
}

/// An invariant (ElementDefinition.constraint).
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct ConstraintRow<'a> {
    /// Key, such as `obs-6`.
    pub k: Text<'a>,
    /// Whether the severity is `warning` and not `error`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub w: bool,
    /// What it says, for people.
    pub h: Text<'a>,
    /// The FHIRPath expression.
    pub e: Text<'a>,
}

/// A value set: the codes by system, or nothing where they cannot be listed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct ValueSetRow<'a> {
    /// Canonical address without version.
    pub u: Text<'a>,
    /// Systems and their codes; empty where the set cannot be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub s: Vec<SystemRow<'a>>,
}

/// The codes of one system in a value set.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct SystemRow<'a> {
    /// Address of the code system.
    pub u: Text<'a>,
    /// The codes.
    pub c: Vec<Text<'a>>,
}

/// A resource, type or backbone element.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct StructureRow<'a> {
    /// Name: `Patient`, `Patient.contact`, `HumanName`, `code`.
    pub n: Text<'a>,
    /// Kind: `r`esource, `c`omplex, `p`rimitive, `b`ackbone element.
    pub k: char,
    /// Name of the type that it specialises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<Text<'a>>,
    /// Whether it is abstract.
    #[serde(default, skip_serializing_if = "is_false")]
    pub a: bool,
    /// The published regular expression of a primitive type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Text<'a>>,
    /// Invariants on the whole, as indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub c: Vec<u16>,
    /// Elements in the order of the definition.
    pub e: Vec<ElementRow<'a>>,
}

/// One element of a structure.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct ElementRow<'a> {
    /// Name, with `[x]` for a choice of types.
    pub n: Text<'a>,
    /// Smallest number of occurrences.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub m: u32,
    /// Largest number of occurrences; absent for `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<u32>,
    /// Types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub t: Vec<TypeRow<'a>>,
    /// Content reference: the name of the structure whose content this element has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r: Option<Text<'a>>,
    /// Binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<BindingRow<'a>>,
    /// Whether it belongs to the summary.
    #[serde(default, skip_serializing_if = "is_false")]
    pub s: bool,
    /// Whether it modifies the meaning of others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub f: bool,
    /// Invariants, as indexes; those of the type itself stand at the type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub c: Vec<u16>,
}

/// One allowed type of an element.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct TypeRow<'a> {
    /// Type code.
    pub c: Text<'a>,
    /// Target types of a Reference or canonical; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub t: Vec<Text<'a>>,
    /// Profile on the type (only `SimpleQuantity` occurs in base R4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<Text<'a>>,
}

/// The binding of an element.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct BindingRow<'a> {
    /// Strength: `r`equired, e`x`tensible, `p`referred, `e`xample.
    pub s: char,
    /// Canonical address of the value set, without version.
    pub u: Text<'a>,
    /// Index of the value set, for required bindings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<u16>,
    /// Index of the maximum value set, where one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<u16>,
}

/// A search parameter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct SearchParameterRow<'a> {
    /// Canonical address after `http://hl7.org/fhir/SearchParameter/`.
    pub u: Text<'a>,
    /// Code, the name in a query.
    pub c: Text<'a>,
    /// Resource types that it applies to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub b: Vec<Text<'a>>,
    /// Type: `token`, `reference` and so on.
    pub t: Text<'a>,
    /// FHIRPath expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<Text<'a>>,
    /// Target types of a reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub g: Vec<Text<'a>>,
    /// Comparators (prefixes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub o: Vec<Text<'a>>,
    /// Modifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub m: Vec<Text<'a>>,
    /// `xpathUsage` where it is not `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Text<'a>>,
    /// Parts of a composite: the address tail of the definition, and the expression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub p: Vec<(Text<'a>, Text<'a>)>,
}

/// A compartment definition.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct CompartmentRow<'a> {
    /// Code, such as `Patient`.
    pub c: Text<'a>,
    /// Canonical address.
    pub u: Text<'a>,
    /// Resource types with the parameters that link them, in the order of the definition.
    pub r: Vec<(Text<'a>, Vec<Text<'a>>)>,
}

/// An operation.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct OperationRow<'a> {
    /// Canonical address.
    pub u: Text<'a>,
    /// Code without `$`.
    pub c: Text<'a>,
    /// Resource types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub r: Vec<Text<'a>>,
    /// Whether it can be invoked on the system, a type, an instance.
    pub l: (bool, bool, bool),
    /// Whether it changes what the server holds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub a: bool,
}

// serde hands the field over by reference.
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}
