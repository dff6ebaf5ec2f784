//! JSON as it was written: members in their order, numbers to the letter. Read by serde, not by the code under test.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    /// A string after its escapes were read.
    String(String),
    /// A number, `true`, `false` or `null`, as it was written.
    Literal(String),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Json {
        let text = text.trim();
        match text.as_bytes()[0] {
            b'{' => {
                let Members(members) = serde_json::from_str(text).unwrap();
                Json::Object(members.into_iter().map(|(name, raw)| (name, Json::parse(raw.get()))).collect())
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
                Json::Array(items.into_iter().map(|raw| Json::parse(raw.get())).collect())
            }
            b'"' => Json::String(serde_json::from_str(text).unwrap()),
            _ => Json::Literal(text.to_owned()),
        }
    }

    /// A member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// What a path of names leads to, `name/given`, through all items of the arrays on the way.
    pub(crate) fn all(&self, path: &str) -> Vec<&Json> {
        let mut found = vec![self];
        for name in path.split('/') {
            found = found.into_iter().filter_map(|value| value.get(name)).flat_map(Json::items).collect();
        }
        found
    }

    /// The first string that a path leads to.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.all(path).into_iter().find_map(Json::as_str)
    }

    /// All strings that a path leads to.
    pub(crate) fn texts(&self, path: &str) -> Vec<&str> {
        self.all(path).into_iter().filter_map(Json::as_str).collect()
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array; anything else is one item.
    fn items(&self) -> Vec<&Json> {
        match self {
            Json::Array(items) => items.iter().collect(),
            other => vec![other],
        }
    }
}

/// The members of an object in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}
