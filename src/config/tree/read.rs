//! Reads a tree into settings: serde's data model over it, with the place of what does not fit.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::{Entry, Node, Place, Value};

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

/// A number or a word of a variable or flag, where the setting wants no text.
macro_rules! typed {
    ($($method:ident, $visit:ident, $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            let Value::Untyped(text) = &self.value else { return self.deserialize_any(visitor) };
            match text.trim().parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(de::Error::custom(concat!("expected ", $expected, ", found text"))),
            }
            .map_err(|refused: Refused| refused.at(&self.place))
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let read = match &self.value {
            Value::Boolean(is) => visitor.visit_bool(*is),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Decimal(number) => visitor.visit_f64(*number),
            Value::Text(text) | Value::Untyped(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => visitor.visit_seq(Nodes(nodes.iter())),
            Value::Table(table) => visitor.visit_map(Entries { entries: table.0.iter(), current: None }),
        };
        read.map_err(|refused| refused.at(&self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let read = match &self.value {
            Value::Text(text) | Value::Untyped(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::custom("expected a word")),
        };
        read.map_err(|refused: Refused| refused.at(&self.place))
    }

    typed! {
        deserialize_bool, visit_bool, bool, "true or false";
        deserialize_u16, visit_u64, u64, "a whole number that is not negative";
        deserialize_u32, visit_u64, u64, "a whole number that is not negative";
        deserialize_u64, visit_u64, u64, "a whole number that is not negative";
        deserialize_i64, visit_i64, i64, "a whole number";
        deserialize_f64, visit_f64, f64, "a number";
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

struct Nodes<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Nodes<'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        self.0
            .next()
            .map(|node| seed.deserialize(node).map_err(|refused| refused.at(&node.place)))
            .transpose()
    }
}

struct Entries<'de> {
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
        seed.deserialize(&entry.node).map_err(|refused: Refused| refused.at(&entry.node.place))
    }
}
