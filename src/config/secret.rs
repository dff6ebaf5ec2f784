//! Secrets: written in the configuration, or in a variable or a file that it names; never shown.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::problem::Problem;
use super::tree::{Node, Outside, SECRET, Value};

/// What stands for a secret where settings are shown.
const HIDDEN: &str = "(hidden)";
/// The largest file that a secret is read from, in bytes: a chain of certificates with its key, with room.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The rights of everybody else to read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// A secret, such as a password or an address that holds one. It shows itself nowhere.
///
/// In the configuration it is text, `{ env = "NAME" }` for the content of a variable, or `{ file = "/path" }` for the
/// content of a file without the newline at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// A secret that the program itself has made.
    #[must_use]
    pub fn new(secret: &str) -> Secret {
        Secret(secret.into())
    }

    /// The secret itself, for whoever needs it. It must not get into messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text, { env = \"NAME\" } or { file = \"/path\" }")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }
        }
        deserializer.deserialize_newtype_struct(SECRET, Text)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let source = |name: &str, what: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { name: { "type": "string", "minLength": 1, "description": what } },
                "required": [name],
                "additionalProperties": false
            })
        };
        json_schema!({
            "description": "A secret: text, or the variable or the file that it stands in.",
            "anyOf": [
                { "type": "string" },
                source("env", "The name of a variable of the environment."),
                source("file", "The path of a file. A newline at its end is left out."),
            ]
        })
    }
}

/// Reads a secret from where the settings say. The error says what is wrong without the secret.
pub(super) fn read(node: &Node, outside: &Outside) -> Result<String, String> {
    let expected = "expected text, { env = \"NAME\" } or { file = \"/path\" }";
    let table = match &node.value {
        Value::Text(text) | Value::Untyped(text) => return Ok(text.clone()),
        Value::Table(table) => table,
        _ => return Err(expected.to_owned()),
    };
    let [entry] = table.0.as_slice() else { return Err(expected.to_owned()) };
    match (entry.name.as_str(), &entry.node.value) {
        ("env", Value::Text(name)) => from_variable(name, outside),
        ("file", Value::Text(path)) => from_file(path, node, outside),
        _ => Err(expected.to_owned()),
    }
}

/// Whether everybody on this machine can read a file.
pub(super) fn others_can_read(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & READABLE_BY_OTHERS != 0)
}

fn from_variable(name: &str, outside: &Outside) -> Result<String, String> {
    let found = outside.environment.iter().find(|(variable, _)| variable == name);
    let (_, value) = found.ok_or_else(|| format!("the variable {name} is not set"))?;
    value.to_str().map(str::to_owned).ok_or_else(|| format!("the variable {name} is not valid UTF-8"))
}

fn from_file(path: &str, node: &Node, outside: &Outside) -> Result<String, String> {
    let refuse = |error: std::io::Error| format!("cannot read {path}: {error}");
    let about = std::fs::metadata(path).map_err(refuse)?;
    if !about.is_file() {
        return Err(format!("{path} is no file"));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{path} is larger than {FILE_BYTES_MAX} bytes"));
    }
    if others_can_read(path.as_ref()) {
        let message =
            format!("everybody on this machine can read {path}; take the right away: chmod o-r {path}");
        outside.warnings.borrow_mut().push(Problem::new(node.place.clone(), message));
    }
    let text = std::fs::read_to_string(path).map_err(refuse)?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(text.to_owned())
}
