//! Changes to a JSON text as replacements of byte spans, so that everything else stays as it was received.

use std::ops::Range;

use super::{Document, Kind, Value, text};

/// Edits that do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpliceError {
    /// Two edits cover the same bytes.
    #[error("two edits overlap at byte {at}")]
    Overlap {
        /// Where the second edit starts.
        at: usize,
    },
    /// An edit reaches past the end of the text.
    #[error("an edit ends at byte {end}, behind the text of {length} bytes")]
    OutOfBounds {
        /// Where the edit ends.
        end: usize,
        /// Length of the text in bytes.
        length: usize,
    },
}

/// A set of edits on one text, applied together.
///
/// ```
/// use anamnesis_fhir::json::{Document, Limits, Splice};
/// let document = Document::parse(r#"{ "id":"a","x": 1.0 }"#, &Limits::default())?;
/// let mut splice = Splice::new();
/// splice.set_member(document.root(), "id", br#""b""#.to_vec());
/// assert_eq!(splice.apply(document.text())?, br#"{ "id":"b","x": 1.0 }"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Clone)]
pub struct Splice {
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

impl Splice {
    /// No edits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True where nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Replaces the bytes of a span; an empty span inserts before its start, in the order of the calls.
    pub fn replace(&mut self, span: Range<usize>, with: impl Into<Vec<u8>>) {
        self.edits.push((span, with.into()));
    }

    /// Replaces a string value by another string.
    pub fn replace_string(&mut self, value: Value<'_>, with: &str) {
        self.replace(value.span(), text::quote(with));
    }

    /// Sets a member of an object: replaces its value, or inserts it as the object's first member.
    pub fn set_member(&mut self, object: Value<'_>, name: &str, json: Vec<u8>) {
        match object.get(name) {
            Some(old) => self.replace(old.span(), json),
            None => self.insert_first(object, name, &json),
        }
    }

    /// Inserts a member before the first one of an object.
    pub fn insert_first(&mut self, object: Value<'_>, name: &str, json: &[u8]) {
        let at = object.span().start + 1;
        let mut member = text::quote(name);
        member.push(b':');
        member.extend_from_slice(json);
        if !object.is_empty() {
            member.push(b',');
        }
        self.replace(at..at, member);
    }

    /// Inserts a member directly after another one of the same object.
    pub fn insert_after(&mut self, sibling: Value<'_>, name: &str, json: &[u8]) {
        let at = sibling.span().end;
        let mut member = vec![b','];
        member.extend_from_slice(&text::quote(name));
        member.push(b':');
        member.extend_from_slice(json);
        self.replace(at..at, member);
    }

    /// Removes members of one object, with the commas that go with them.
    pub fn remove_members(&mut self, object: Value<'_>, names: &[&str]) {
        debug_assert_eq!(object.kind(), Kind::Object, "only objects have members");
        let members: Vec<_> = object.members().collect();
        let keep = |name: &str| !names.contains(&name);
        let mut kept_before = false;
        for (position, (name, value)) in members.iter().enumerate() {
            if keep(name) {
                kept_before = true;
                continue;
            }
            let Some(span) = value.member_span() else { continue };
            let previous_end =
                position.checked_sub(1).and_then(|p| members.get(p)).map(|(_, v)| v.span().end);
            let next_start = members.get(position + 1).and_then(|(_, v)| v.member_span()).map(|s| s.start);
            // With a kept member before, the comma before goes; else the comma behind goes.
            let range = match (kept_before, previous_end, next_start) {
                (true, Some(end), _) => end..span.end,
                (false, _, Some(next)) => span.start..next,
                _ => span,
            };
            self.replace(range, Vec::new());
        }
    }

    /// The text with all edits made.
    ///
    /// # Errors
    /// Edits that overlap or reach past the end.
    pub fn apply(self, text: &str) -> Result<Vec<u8>, SpliceError> {
        self.apply_within(text, 0..text.len())
    }

    /// A part of the text, such as one resource of a bundle, with the edits made; all edits lie in that part.
    ///
    /// # Errors
    /// Edits that overlap or reach out of the part.
    pub fn apply_within(mut self, text: &str, part: Range<usize>) -> Result<Vec<u8>, SpliceError> {
        self.edits.sort_by_key(|(span, _)| (span.start, span.end));
        let added: usize = self.edits.iter().map(|(_, with)| with.len()).sum();
        let bytes = text.as_bytes().get(..part.end).unwrap_or(text.as_bytes());
        let mut out = Vec::with_capacity(part.len() + added);
        let mut done = part.start;
        for (span, with) in &self.edits {
            let between = bytes.get(done..span.start).ok_or(if span.start < done {
                SpliceError::Overlap { at: span.start }
            } else {
                SpliceError::OutOfBounds { end: span.end, length: bytes.len() }
            })?;
            out.extend_from_slice(between);
            out.extend_from_slice(with);
            done = span.end;
        }
        let rest = bytes.get(done..).ok_or(SpliceError::OutOfBounds { end: done, length: bytes.len() })?;
        out.extend_from_slice(rest);
        Ok(out)
    }

    /// [`Splice::apply`] on the text of a document.
    ///
    /// # Errors
    /// As [`Splice::apply`].
    pub fn apply_to(self, document: &Document) -> Result<Vec<u8>, SpliceError> {
        self.apply(document.text())
    }
}
