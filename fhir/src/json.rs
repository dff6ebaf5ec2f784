//! JSON that remembers where in the client's bytes everything stood.
//!
//! A body is parsed once into a [`Document`]: a flat arena of nodes with byte spans. [`Value`] is a `Copy` handle
//! into it. Number literals stay text (`1.10` is never `1.1`), strings borrow from the input unless they hold
//! escapes, and changes are made by [`Splice`]s of bytes, so that what was not touched stays as the client sent it.
//!
//! Refused beyond the grammar of RFC 8259: duplicate member names (RFC 7493 section 2.3; FHIR R4 json.html says
//! that names within an object are unique), lone surrogates, nesting deeper than [`Limits::depth_max`].
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! let document = Document::parse(r#"{"valueDecimal": 1.10}"#, &Limits::default())?;
//! assert_eq!(document.root().get("valueDecimal").and_then(|v| v.number()), Some("1.10"));
//! # Ok::<(), anamnesis_fhir::json::ParseError>(())
//! ```

mod parse;
mod splice;
mod text;
mod value;

pub(crate) use parse::line_and_column;
pub use parse::{Limits, ParseError, ParseErrorKind};
pub use splice::{Splice, SpliceError};
pub use text::{escape_into, quote};
pub use value::{Items, Kind, Members, Value};

use value::Node;

/// A parsed JSON text together with its bytes.
#[derive(Debug, Clone)]
pub struct Document {
    text: Box<str>,
    nodes: Vec<Node>,
}

impl Document {
    /// Parses one JSON text. A leading byte order mark is dropped (RFC 8259 section 8.1 allows ignoring it).
    ///
    /// # Errors
    /// [`ParseError`] with offset, line, column and path of the first fault; nothing is repaired.
    pub fn parse(bytes: impl Into<Vec<u8>>, limits: &Limits) -> Result<Self, ParseError> {
        let bytes = bytes.into();
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(ParseError::not_utf8(&error)),
        };
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.into(),
            None => text.into_boxed_str(),
        };
        let nodes = parse::parse(&text, limits)?;
        Ok(Self { text, nodes })
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::new(self, 0)
    }

    /// The value with an index ([`Value::index`]) of this document, or of one that it is a copy of.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<Value<'_>> {
        ((index as usize) < self.nodes.len()).then(|| Value::new(self, index))
    }

    /// The text as received, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes as received, without copying them again.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.text.into_string().into_bytes()
    }

    /// How many values the document holds: a bound for any walk over it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never true: a JSON text has at least one value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn node(&self, index: u32) -> &Node {
        // Indices are made by the parser only; a handle cannot outlive its document.
        self.nodes.get(index as usize).unwrap_or(&value::MISSING)
    }

    fn slice(&self, start: u32, end: u32) -> &str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }
}

#[cfg(test)]
mod tests;
