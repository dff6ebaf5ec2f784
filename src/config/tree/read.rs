//! Reads a tree into settings: serde's data model over it, with the place of what does not fit.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::{Entry, Node, Place, Value};
use crate::config::problem::Problem;
use crate::config::secret;

/// What does not fit, and where.
#[derive(Debug)]
pub(in crate::config) struct Refused {
    pub(in crate::config) reason: Reason,
    /// Not set only until the innermost node that it is about is known.
    pub(in crate::config) place: Option<Place>,
}

/// Why a value is refused.
#[derive(Debug)]
pub(in crate::config) enum Reason {
    /// A name that does not exist here.
    UnknownName { name: String, known: &'static [&'static str] },
    /// A word that is none of those that are possible.
    UnknownWord { word: String, known: &'static [&'static str] },
    /// A setting that has to be there.
    Missing(&'static str),
    /// Anything else, in words.
    Other(String),
}

impl Refused {
    fn of(reason: Reason) -> Refused {
        Refused { reason, place: None }
    }

    fn at(mut self, place: &Place) -> Refused {
        self.place.get_or_insert_with(|| place.clone());
        self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.reason)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Refused {
        Refused::of(Reason::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Refused {
        // The value itself is not told: it may be a secret that stands in the wrong place.
        Refused::of(Reason::Other(format!("expected {}, found {}", plain(expected), kind_of(found))))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Refused {
        let found = match found {
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Unsigned(number) => number.to_string(),
            found => kind_of(found).to_owned(),
        };
        Refused::of(Reason::Other(format!("expected {}, found {found}", plain(expected))))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Refused {
        Refused::of(Reason::UnknownName { name: name.to_owned(), known })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Refused {
        Refused::of(Reason::UnknownWord { word: word.to_owned(), known })
    }

    fn missing_field(name: &'static str) -> Refused {
        Refused::of(Reason::Missing(name))
    }

    fn duplicate_field(name: &'static str) -> Refused {
        Refused::of(Reason::Other(format!("`{name}` is set twice")))
    }
}

/// What serde expects, in words for people.
fn plain(expected: &dyn de::Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" | "socket address" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        words if words.starts_with("struct ") => "a table".to_owned(),
        words if words.contains("enum ") => "a word".to_owned(),
        words => words.to_owned(),
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Signed(number) if number < 0 => "a negative number",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::StructVariant => "a table",
        Unexpected::Unit | Unexpected::Option => "nothing",
        _ => "something else",
    }
}

/// What is read while settings are: files and variables that secrets stand in.
#[derive(Debug, Default)]
pub(in crate::config) struct Outside {
    /// The variables of the environment.
    pub(in crate::config) environment: Vec<(OsString, OsString)>,
    /// What does not stop the server and should be looked at all the same.
    pub(in crate::config) warnings: RefCell<Vec<Problem>>,
}

/// By this name a type asks for a value that may stand in a variable or a file.
pub(in crate::config) const SECRET: &str = "$anamnesis::Secret";

/// Reads a node.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Reader<'de> {
    pub(in crate::config) node: &'de Node,
    pub(in crate::config) outside: &'de Outside,
}

impl<'de> Reader<'de> {
    fn of(self, node: &'de Node) -> Reader<'de> {
        Reader { node, outside: self.outside }
    }
}

/// A number or a word of a variable or flag, where the setting wants no text.
macro_rules! typed {
    ($($method:ident, $visit:ident, $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            let Value::Untyped(text) = &self.node.value else { return self.deserialize_any(visitor) };
            match text.trim().parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(de::Error::custom(concat!("expected ", $expected, ", found text"))),
            }
            .map_err(|refused: Refused| refused.at(&self.node.place))
        }
    )*};
}

/// A table, also one in which nothing is written (`fhir:` in YAML).
macro_rules! tables {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Refused> {
            match self.node.value {
                Value::Nothing => {
                    let empty = Entries { reader: self, entries: [].iter(), current: None };
                    visitor.visit_map(empty).map_err(|refused| refused.at(&self.node.place))
                }
                // A struct would also take a list of its values, in their order.
                Value::List(_) => {
                    let refused: Refused = de::Error::custom("expected a table, found a list");
                    Err(refused.at(&self.node.place))
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let read = match &self.node.value {
            Value::Nothing => visitor.visit_unit(),
            Value::Boolean(is) => visitor.visit_bool(*is),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Decimal(number) => visitor.visit_f64(*number),
            Value::Text(text) | Value::Untyped(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => visitor.visit_seq(Nodes { reader: self, nodes: nodes.iter() }),
            Value::Table(table) => {
                visitor.visit_map(Entries { reader: self, entries: table.0.iter(), current: None })
            }
        };
        read.map_err(|refused| refused.at(&self.node.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match &self.node.value {
            Value::Nothing => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        if name != SECRET {
            return visitor.visit_newtype_struct(self);
        }
        let secret = secret::read(self.node, self.outside).map_err(|message| Refused {
            reason: Reason::Other(message),
            place: Some(self.node.place.clone()),
        })?;
        visitor.visit_string(secret)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let read = match &self.node.value {
            Value::Text(text) | Value::Untyped(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::custom("expected a word")),
        };
        read.map_err(|refused: Refused| refused.at(&self.node.place))
    }

    typed! {
        deserialize_bool, visit_bool, bool, "true or false";
        deserialize_u8, visit_u64, u64, "a whole number that is not negative";
        deserialize_u16, visit_u64, u64, "a whole number that is not negative";
        deserialize_u32, visit_u64, u64, "a whole number that is not negative";
        deserialize_u64, visit_u64, u64, "a whole number that is not negative";
        deserialize_i64, visit_i64, i64, "a whole number";
        deserialize_f64, visit_f64, f64, "a number";
    }

    tables! {
        deserialize_map();
        deserialize_struct(_name: &'static str, _fields: &'static [&'static str]);
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct identifier
        ignored_any
    }
}

struct Nodes<'de> {
    reader: Reader<'de>,
    nodes: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for Nodes<'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        seed.deserialize(self.reader.of(node)).map(Some).map_err(|refused| refused.at(&node.place))
    }
}

struct Entries<'de> {
    reader: Reader<'de>,
    entries: std::slice::Iter<'de, Entry>,
    current: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        self.current = self.entries.next();
        let Some(entry) = self.current else { return Ok(None) };
        let name: StrDeserializer<'_, Refused> = entry.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|refused| refused.at(&entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        let entry = self.current.take().ok_or_else(|| de::Error::custom("a value without a name"))?;
        seed.deserialize(self.reader.of(&entry.node))
            .map_err(|refused: Refused| refused.at(&entry.node.place))
    }
}
