//! Items of a collection: elements of a resource with their FHIR type, and computed System values.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;

use super::temporal::{Date, DateTime, Time};
use super::unit::CalendarUnit;
use crate::definitions::{Structure, StructureKind};
use crate::json::Value;

/// One item of a [`Collection`](super::Collection).
///
/// `Debug` shows types only: values are health data and must not reach a log. `Display` shows the value.
#[derive(Clone)]
pub enum Item<'a> {
    /// An element of a resource, or a resource.
    Node(Node<'a>),
    /// `System.Boolean`
    Boolean(bool),
    /// `System.Integer`
    Integer(i32),
    /// `System.Decimal`
    Decimal(Decimal),
    /// `System.String`
    String(Cow<'a, str>),
    /// `System.Date`
    Date(Date),
    /// `System.DateTime`
    DateTime(DateTime),
    /// `System.Time`
    Time(Time),
    /// `System.Quantity`
    Quantity(Quantity<'a>),
    /// What `type()` answers.
    Type(TypeInfo),
    /// A resource that a reference names and nobody fetched: it has a type and, where the reference says so, an id.
    Unresolved(Unresolved<'a>),
}

/// An element of a resource: its JSON value, the `_name` companion of a primitive, and its type.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(super) value: Option<Value<'a>>,
    pub(super) companion: Option<Value<'a>>,
    pub(super) structure: Option<&'static Structure>,
}

/// A number with a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity<'a> {
    /// The number.
    pub value: Decimal,
    /// What it counts.
    pub unit: Unit<'a>,
}

/// The unit of a [`Quantity`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A UCUM code; `1` for a plain number.
    Ucum(Cow<'a, str>),
    /// A calendar duration.
    Calendar(CalendarUnit),
}

/// A type as `type()` answers it: `FHIR.Patient`, `System.String`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeInfo {
    /// `FHIR` or `System`.
    pub namespace: &'static str,
    /// The name of the type.
    pub name: &'static str,
}

/// A resource known by its reference only.
#[derive(Clone)]
pub struct Unresolved<'a> {
    /// Its type.
    pub structure: &'static Structure,
    /// The reference as written.
    pub reference: Cow<'a, str>,
}

/// The System types that a primitive element can be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primitive {
    Boolean,
    Integer,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
}

impl Primitive {
    pub(super) fn of(structure: &Structure) -> Option<Self> {
        if structure.kind != StructureKind::Primitive {
            return None;
        }
        Some(match structure.name {
            "boolean" => Self::Boolean,
            "integer" | "positiveInt" | "unsignedInt" => Self::Integer,
            "decimal" => Self::Decimal,
            "date" => Self::Date,
            "dateTime" | "instant" => Self::DateTime,
            "time" => Self::Time,
            _ => Self::String,
        })
    }
}

impl<'a> Node<'a> {
    /// A node for a value whose type the caller knows; `structure` `None` means that members are taken by their JSON names.
    #[must_use]
    pub fn new(value: Value<'a>, structure: Option<&'static Structure>) -> Self {
        Self { value: Some(value), companion: None, structure }
    }

    /// The same with the `_name` companion of a primitive, which may be all that there is.
    #[must_use]
    pub fn with_companion(
        value: Option<Value<'a>>,
        companion: Option<Value<'a>>,
        structure: Option<&'static Structure>,
    ) -> Self {
        Self { value, companion, structure }
    }

    /// The JSON value; `None` for a primitive that has only an id or extensions.
    #[must_use]
    pub fn value(&self) -> Option<Value<'a>> {
        self.value
    }

    /// The `_name` companion of a primitive, which holds its id and extensions.
    #[must_use]
    pub fn companion(&self) -> Option<Value<'a>> {
        self.companion
    }

    /// The definition of its type: `HumanName`, `string`, `Patient.contact`.
    #[must_use]
    pub fn structure(&self) -> Option<&'static Structure> {
        self.structure
    }

    /// The same node, as lasting as a handle into its document; `None` where it is of another document.
    pub(crate) fn lifted<'b>(&self, document: Value<'b>) -> Option<Node<'b>> {
        let lift = |value: Option<Value<'_>>| match value {
            Some(value) => document.counterpart(value).map(Some),
            None => Some(None),
        };
        Some(Node { value: lift(self.value)?, companion: lift(self.companion)?, structure: self.structure })
    }

    /// The object that holds the node's members: the value of a complex element, the companion of a primitive.
    pub(super) fn members(&self) -> Option<Value<'a>> {
        match self.value {
            Some(value) if value.kind() == crate::json::Kind::Object => Some(value),
            _ => self.companion,
        }
    }

    /// The System value of a primitive with a value.
    ///
    /// A literal that its type does not allow is given as text: it must not vanish, and comparing it is an error.
    #[must_use]
    pub fn system_value(&self) -> Option<Item<'a>> {
        let value = self.value?;
        let primitive = match self.structure {
            Some(structure) => Primitive::of(structure)?,
            None => Primitive::String,
        };
        if let Some(truth) = value.as_bool() {
            return Some(Item::Boolean(truth));
        }
        if let Some(literal) = value.number() {
            return Some(number(literal, primitive));
        }
        let text = value.as_str()?;
        let typed = match primitive {
            Primitive::Date => Date::parse(&text).map(Item::Date),
            Primitive::DateTime => DateTime::parse(&text).map(Item::DateTime),
            Primitive::Time => Time::parse(&text).map(Item::Time),
            _ => None,
        };
        Some(typed.unwrap_or(Item::String(text)))
    }

    /// True where both are the same place of the same document.
    pub(super) fn same_place(&self, other: &Node<'_>) -> bool {
        let same = |one: Option<Value<'_>>, other: Option<Value<'_>>| match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => one.same_place(other),
            _ => false,
        };
        same(self.value, other.value) && same(self.companion, other.companion)
    }
}

/// Reads a JSON number; a whole one is a Decimal where its type says so.
fn number<'a>(literal: &'a str, primitive: Primitive) -> Item<'a> {
    if primitive != Primitive::Decimal
        && let Ok(integer) = literal.parse()
    {
        return Item::Integer(integer);
    }
    decimal(literal).map_or(Item::String(Cow::Borrowed(literal)), Item::Decimal)
}

/// Reads a decimal literal exactly; digits beyond the 28th are rounded, as the range of the type demands.
pub(super) fn decimal(literal: &str) -> Option<Decimal> {
    if literal.contains(['e', 'E']) {
        return Decimal::from_scientific(literal).ok();
    }
    Decimal::from_str_exact(literal).or_else(|_| literal.parse()).ok()
}

impl<'a> Item<'a> {
    /// The item as a System value: primitives with a value are read, everything else stays what it is.
    #[must_use]
    pub fn to_system(&self) -> Item<'a> {
        match self {
            Item::Node(node) => node.system_value().unwrap_or_else(|| self.clone()),
            other => other.clone(),
        }
    }

    /// The type of the item; `None` for an element that the definitions do not know.
    #[must_use]
    pub fn type_info(&self) -> Option<TypeInfo> {
        let system = |name| Some(TypeInfo { namespace: "System", name });
        match self {
            Item::Node(node) => node.structure.map(fhir_type),
            Item::Unresolved(unresolved) => Some(fhir_type(unresolved.structure)),
            Item::Boolean(_) => system("Boolean"),
            Item::Integer(_) => system("Integer"),
            Item::Decimal(_) => system("Decimal"),
            Item::String(_) => system("String"),
            Item::Date(_) => system("Date"),
            Item::DateTime(_) => system("DateTime"),
            Item::Time(_) => system("Time"),
            Item::Quantity(_) => system("Quantity"),
            Item::Type(_) => system("SimpleTypeInfo"),
        }
    }

    /// The node, where the item is one.
    #[must_use]
    pub fn node(&self) -> Option<&Node<'a>> {
        match self {
            Item::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The text of a String or of a primitive that reads as String.
    #[must_use]
    pub fn as_string(&self) -> Option<Cow<'a, str>> {
        match self.to_system() {
            Item::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth of a Boolean or of an element of type boolean.
    #[must_use]
    pub fn as_boolean(&self) -> Option<bool> {
        match self.to_system() {
            Item::Boolean(truth) => Some(truth),
            _ => None,
        }
    }

    /// The definition of its FHIR type.
    pub(super) fn structure(&self) -> Option<&'static Structure> {
        match self {
            Item::Node(node) => node.structure,
            Item::Unresolved(unresolved) => Some(unresolved.structure),
            _ => None,
        }
    }

    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Item::String(text.into())
    }
}

/// A backbone element is known by the type that it specialises: its own name is no type that could be asked for.
fn fhir_type(structure: &'static Structure) -> TypeInfo {
    let name = match structure.kind {
        StructureKind::Backbone => structure.base.unwrap_or(structure.name),
        _ => structure.name,
    };
    TypeInfo { namespace: "FHIR", name }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.type_info() {
            Some(info) => write!(f, "{info}"),
            None => f.write_str("an element of unknown type"),
        }
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.structure.map(|structure| structure.name), self.value.map(Value::span))
    }
}

impl fmt::Debug for Unresolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unresolved {}", self.structure.name)
    }
}

impl fmt::Display for TypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

impl fmt::Display for Item<'_> {
    /// The value as `toString()` gives it; complex elements as their JSON text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Node(node) => match node.system_value() {
                Some(value) => value.fmt(f),
                None => f.write_str(node.value.map_or("", Value::raw)),
            },
            Item::Boolean(truth) => truth.fmt(f),
            Item::Integer(number) => number.fmt(f),
            Item::Decimal(number) => number.fmt(f),
            Item::String(text) => text.fmt(f),
            Item::Date(date) => date.fmt(f),
            Item::DateTime(date_time) => date_time.fmt(f),
            Item::Time(time) => time.fmt(f),
            Item::Quantity(quantity) => quantity.fmt(f),
            Item::Type(info) => info.fmt(f),
            Item::Unresolved(unresolved) => unresolved.reference.fmt(f),
        }
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Unit::Ucum(code) => write!(f, "{} '{code}'", self.value),
            Unit::Calendar(unit) if self.value == Decimal::ONE => write!(f, "{} {}", self.value, unit.word()),
            Unit::Calendar(unit) => write!(f, "{} {}", self.value, unit.plural()),
        }
    }
}
