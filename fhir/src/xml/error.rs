//! Faults of XML that comes in, with their place, and reasons why JSON has no XML.

use crate::json::line_and_column;

/// What was wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlErrorKind {
    /// The bytes are not UTF-8, or the text says that it is something else.
    NotUtf8,
    /// The text is longer than the bound.
    TooLong,
    /// Elements are nested deeper than the bound.
    TooDeep,
    /// An element has more attributes than the bound.
    TooManyAttributes,
    /// The text is not well-formed; says how.
    NotWellFormed(&'static str),
    /// Well-formed XML that FHIR does not allow: document types, processing instructions, CDATA, text.
    Forbidden(&'static str),
    /// An element that is not of the expected namespace.
    Namespace(&'static str),
    /// An element that R4 does not know here; its name where that is a plain word.
    UnknownElement(String),
    /// A resource type that R4 does not know; its name where that is a plain word.
    UnknownResource(String),
    /// An attribute that R4 does not know here.
    UnknownAttribute,
    /// An element stands behind one that must come later: its name and the other's.
    Order(&'static str, &'static str),
    /// An element that cannot repeat stands there twice.
    Repeated,
    /// An element with neither a value nor children.
    Empty,
    /// A value that does not have the form of its type; says what it must be.
    Value(&'static str),
    /// An element that must hold exactly one resource holds none, or several.
    OneResource,
}

/// The first fault of a text and where it is. Carries no content of the text but names of elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} at line {line}, column {column}{}", self.what(), self.at_path())]
pub struct XmlError {
    /// What is wrong.
    pub kind: XmlErrorKind,
    /// Byte offset from 0, behind a byte order mark.
    pub offset: usize,
    /// Line from 1.
    pub line: usize,
    /// Column in characters from 1.
    pub column: usize,
    /// The way to the element, like `Patient.name[0].given[1]`; empty where no resource has begun.
    pub path: String,
}

impl XmlError {
    pub(super) fn new(kind: XmlErrorKind, text: &[u8], offset: usize, path: String) -> Self {
        let (line, column) = line_and_column(text, offset);
        Self { kind, offset, line, column, path }
    }

    fn what(&self) -> String {
        match &self.kind {
            XmlErrorKind::NotUtf8 => "the text is not UTF-8".into(),
            XmlErrorKind::TooLong => "the text is too long".into(),
            XmlErrorKind::TooDeep => "elements are nested too deeply".into(),
            XmlErrorKind::TooManyAttributes => "an element has too many attributes".into(),
            XmlErrorKind::NotWellFormed(how) => format!("the text is not well-formed: {how}"),
            XmlErrorKind::Forbidden(what) => format!("FHIR does not allow {what}"),
            XmlErrorKind::Namespace(expected) => format!("the element is not of the namespace {expected}"),
            XmlErrorKind::UnknownElement(name) => format!("there is no element '{name}' here"),
            XmlErrorKind::UnknownResource(name) => format!("'{name}' is no resource type of R4"),
            XmlErrorKind::UnknownAttribute => {
                "there is no such attribute here; R4 has value, id, and url of extensions".into()
            }
            XmlErrorKind::Order(name, other) => format!("'{name}' must stand before '{other}'"),
            XmlErrorKind::Repeated => "the element cannot repeat".into(),
            XmlErrorKind::Empty => "the element has neither a value nor children".into(),
            XmlErrorKind::Value(form) => format!("the value {form}"),
            XmlErrorKind::OneResource => "the element must hold exactly one resource".into(),
        }
    }

    fn at_path(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" ({})", self.path) }
    }
}

/// Why a JSON resource has no XML, and which element is the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", self.at_path())]
pub struct Unwritable {
    /// What XML cannot hold.
    pub what: &'static str,
    /// The way to the element, like `Patient.name[0].given[1]`.
    pub path: String,
}

impl Unwritable {
    fn at_path(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" ({})", self.path) }
    }
}
