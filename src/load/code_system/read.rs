//! Reads concepts out of a file, one at a time: a CodeSystem resource, CSV, or NDJSON.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anamnesis_projections::terminology::{FRAGMENT_MEMBERS, FRAGMENT_NESTING_MAX};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de::Error as _};
use serde_json::{Map, Value, json};

use super::{SplitError, csv};

/// Bytes of one line of NDJSON.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What takes the concepts.
pub(super) type Sink<'s> = &'s mut dyn FnMut(&Map<String, Value>) -> Result<(), SplitError>;

/// A file with concepts.
pub(super) struct Concepts {
    path: PathBuf,
    reader: BufReader<File>,
}

impl Concepts {
    pub(super) fn of(path: &Path) -> Result<Self, SplitError> {
        let file = File::open(path).map_err(|error| SplitError::File { path: path.to_owned(), error })?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file) })
    }

    /// Gives every concept to the sink; what the file says about the system is the answer.
    pub(super) fn each(self, sink: Sink<'_>) -> Result<Map<String, Value>, SplitError> {
        match self.path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => self.csv(sink).map(|()| Map::new()),
            Some("ndjson" | "jsonl") => self.ndjson(sink).map(|()| Map::new()),
            _ => self.resource(sink),
        }
    }

    fn fault(&self, place: impl fmt::Display, reason: impl Into<String>) -> SplitError {
        SplitError::Content { path: self.path.clone(), place: place.to_string(), reason: reason.into() }
    }

    fn csv(mut self, sink: Sink<'_>) -> Result<(), SplitError> {
        let mut columns: Option<Vec<String>> = None;
        let mut number = 0_usize;
        loop {
            let record = csv::record(&mut self.reader)
                .map_err(|reason| self.fault(format!("record {}", number + 1), reason))?;
            let Some(record) = record else { break };
            number += 1;
            match &columns {
                None => {
                    let names: Vec<String> = record.iter().map(|name| name.trim().to_lowercase()).collect();
                    if !names.iter().any(|name| name == "code") {
                        let reason = "the first record names the columns: code, display, parent, definition";
                        return Err(self.fault("record 1", reason));
                    }
                    columns = Some(names);
                }
                Some(_) if record.iter().all(String::is_empty) => {}
                Some(names) => {
                    let row: Map<String, Value> =
                        names.iter().cloned().zip(record.into_iter().map(Value::String)).collect();
                    let concept = plain(&row)
                        .ok_or_else(|| self.fault(format!("record {number}"), "a concept has a code"))?;
                    sink(&concept)?;
                }
            }
        }
        Ok(())
    }

    fn ndjson(mut self, sink: Sink<'_>) -> Result<(), SplitError> {
        let mut number = 0_usize;
        loop {
            number += 1;
            let mut line = Vec::new();
            let mut bounded = std::io::Read::take(&mut self.reader, LINE_BYTES_MAX as u64 + 1);
            let read = bounded.read_until(b'\n', &mut line);
            let place = format!("line {number}");
            match read {
                Err(error) => return Err(self.fault(place, error.to_string())),
                Ok(0) => return Ok(()),
                Ok(length) if length > LINE_BYTES_MAX => {
                    return Err(self.fault(place, "the line is too long"));
                }
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(_) => {}
            }
            let row: Map<String, Value> =
                serde_json::from_slice(&line).map_err(|error| self.fault(&place, error.to_string()))?;
            let concept = plain(&row).ok_or_else(|| self.fault(&place, "a concept has a code"))?;
            sink(&concept)?;
        }
    }

    fn resource(self, sink: Sink<'_>) -> Result<Map<String, Value>, SplitError> {
        let Self { path, reader } = self;
        let mut failed = None;
        let mut json = serde_json::Deserializer::from_reader(reader);
        let seed = Resource { sink, failed: &mut failed };
        let head = seed.deserialize(&mut json);
        match (failed, head) {
            (Some(error), _) => Err(error),
            (None, Ok(head)) => Ok(head),
            (None, Err(error)) => {
                let place = format!("line {}", error.line());
                Err(SplitError::Content { path, place, reason: error.to_string() })
            }
        }
    }
}

/// A row of CSV or NDJSON as a concept: parents stand in `parent`, as a list or with `|` between.
fn plain(row: &Map<String, Value>) -> Option<Map<String, Value>> {
    let text =
        |name: &str| row.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let mut concept = Map::new();
    concept.insert("code".to_owned(), json!(text("code")?));
    for name in ["display", "definition"] {
        concept.extend(text(name).map(|text| (name.to_owned(), json!(text))));
    }
    let parents: Vec<&str> = match row.get("parent") {
        Some(Value::Array(parents)) => parents.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(parents)) => parents.split('|').collect(),
        _ => Vec::new(),
    };
    let parents = parents.into_iter().map(str::trim).filter(|parent| !parent.is_empty());
    let mut properties: Vec<Value> = parents.map(parent).collect();
    if let Some(Value::Array(more)) = row.get("property") {
        properties.extend(more.iter().cloned());
    }
    concept.extend(row.get("designation").map(|all| ("designation".to_owned(), all.clone())));
    if !properties.is_empty() {
        concept.insert("property".to_owned(), Value::Array(properties));
    }
    Some(concept)
}

fn parent(code: &str) -> Value {
    json!({ "code": "parent", "valueCode": code })
}

/// Reads a CodeSystem without holding its concepts.
struct Resource<'s, 'f> {
    sink: Sink<'s>,
    failed: &'f mut Option<SplitError>,
}

impl<'de> DeserializeSeed<'de> for Resource<'_, '_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Resource<'_, '_> {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a CodeSystem resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut head = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == "concept" {
                members.next_value_seed(List { sink: &mut *self.sink, failed: &mut *self.failed })?;
            } else {
                let value: Value = members.next_value()?;
                if name == "resourceType" && value != "CodeSystem" {
                    return Err(A::Error::custom("this is no CodeSystem"));
                }
                if FRAGMENT_MEMBERS.contains(&name.as_str()) {
                    head.insert(name, value);
                }
            }
        }
        Ok(head)
    }
}

struct List<'s, 'f> {
    sink: Sink<'s>,
    failed: &'f mut Option<SplitError>,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("concepts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(concept) = items.next_element::<Map<String, Value>>()? {
            if let Err(error) = flatten(concept, None, 0, &mut *self.sink) {
                *self.failed = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Nested concepts become concepts of their own, with a parent.
fn flatten(
    mut concept: Map<String, Value>,
    above: Option<&str>,
    depth: usize,
    sink: Sink<'_>,
) -> Result<(), SplitError> {
    let nested = concept.remove("concept");
    let code = concept.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(above) = above {
        let properties = concept.entry("property").or_insert_with(|| json!([]));
        if let Value::Array(properties) = properties {
            properties.push(parent(above));
        }
    }
    sink(&concept)?;
    let Some(Value::Array(nested)) = nested else { return Ok(()) };
    for inner in nested {
        if let (Value::Object(inner), true) = (inner, depth < FRAGMENT_NESTING_MAX) {
            flatten(inner, Some(&code), depth + 1, sink)?;
        }
    }
    Ok(())
}
