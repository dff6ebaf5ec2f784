//! Cuts a code system of any size into CodeSystem resources with `content: fragment` (docs/decisions/0016).
//!
//! The file is read twice as a stream: once to count, since every fragment says how many concepts the whole system has,
//! and once to write. Memory is bounded by one fragment.

mod csv;
mod read;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anamnesis_projections::terminology::{FRAGMENT_BYTES_MAX, FRAGMENT_CONCEPTS_MAX, fragment_name};
use serde_json::{Map, Value, json};

use read::Concepts;

/// Why a file could not be cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is not what its name says.
    #[error("{path}, {place}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Line or record.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Neither the file nor the command line says what the system is called.
    #[error("the address of the code system is not known: it stands in CodeSystem resources only")]
    NoAddress,
    /// Nothing to load.
    #[error("{0} has no concepts")]
    Empty(PathBuf),
}

/// What the system is called, where the file does not say it or says it otherwise.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Canonical address.
    pub url: Option<String>,
    /// Version: a new edition under another version leaves the old one as it is.
    pub version: Option<String>,
    /// Name for people.
    pub title: Option<String>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Concepts of the whole system.
    pub concepts: usize,
    /// Resources.
    pub fragments: usize,
}

/// Writes the fragments of a code system as NDJSON.
///
/// # Errors
/// Where the file cannot be read, is not what its name says, or has no concepts.
pub fn split(file: &Path, naming: &Naming, out: &Path) -> Result<Split, SplitError> {
    let mut concepts = 0;
    let mut head = Concepts::of(file)?.each(&mut |_concept| {
        concepts += 1;
        Ok(())
    })?;
    if concepts == 0 {
        return Err(SplitError::Empty(file.to_owned()));
    }
    let named = [("url", &naming.url), ("version", &naming.version), ("title", &naming.title)];
    for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        head.insert(name.to_owned(), json!(value));
    }
    let mut writer = Writer::new(head, concepts, out)?;
    Concepts::of(file)?.each(&mut |concept| writer.add(concept))?;
    writer.finish(concepts)
}

/// Gathers concepts and writes a fragment when there are enough.
struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    head: Map<String, Value>,
    id: String,
    concepts: Vec<String>,
    bytes: usize,
    fragments: usize,
}

impl Writer {
    fn new(mut head: Map<String, Value>, concepts: usize, out: &Path) -> Result<Self, SplitError> {
        let url = head.get("url").and_then(Value::as_str).ok_or(SplitError::NoAddress)?.to_owned();
        let version = head.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        let defaults = [("status", "active"), ("hierarchyMeaning", "is-a")];
        for (name, value) in defaults {
            head.entry(name).or_insert_with(|| json!(value));
        }
        head.insert("resourceType".to_owned(), json!("CodeSystem"));
        head.insert("content".to_owned(), json!("fragment"));
        head.insert("count".to_owned(), json!(concepts));
        let file = File::create(out).map_err(|error| SplitError::File { path: out.to_owned(), error })?;
        Ok(Self {
            path: out.to_owned(),
            file: BufWriter::new(file),
            id: fragment_name(&url, &version),
            head,
            concepts: Vec::new(),
            bytes: 0,
            fragments: 0,
        })
    }

    fn add(&mut self, concept: &Map<String, Value>) -> Result<(), SplitError> {
        let text = Value::Object(concept.clone()).to_string();
        let is_full = self.concepts.len() >= FRAGMENT_CONCEPTS_MAX
            || self.bytes.saturating_add(text.len()) > FRAGMENT_BYTES_MAX;
        if is_full && !self.concepts.is_empty() {
            self.flush()?;
        }
        self.bytes += text.len();
        self.concepts.push(text);
        Ok(())
    }

    /// Writes a fragment. The same file gives the same resources under the same ids, so that sending them again changes
    /// nothing.
    fn flush(&mut self) -> Result<(), SplitError> {
        self.head.insert("id".to_owned(), json!(format!("{}-{:05}", self.id, self.fragments)));
        let mut line = Value::Object(self.head.clone()).to_string();
        line.pop();
        line.push_str(",\"concept\":[");
        line.push_str(&self.concepts.join(","));
        line.push_str("]}\n");
        self.concepts.clear();
        self.bytes = 0;
        self.fragments += 1;
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|error| SplitError::File { path: self.path.clone(), error })
    }

    fn finish(mut self, concepts: usize) -> Result<Split, SplitError> {
        if !self.concepts.is_empty() {
            self.flush()?;
        }
        self.file.flush().map_err(|error| SplitError::File { path: self.path.clone(), error })?;
        Ok(Split { concepts, fragments: self.fragments })
    }
}
