//! XML in: one pass over the tags, writing JSON as it goes.

use super::error::{XmlError, XmlErrorKind};
use super::faults::{Faults, Notes};
use super::run::{Run, is_same, out_of_order};
use super::source::{Fault, Namespace, Read, Source, Tag, Token};
use super::{FHIR_NAMESPACE, is_attribute, narrative, value};
use crate::definitions::{ElementMatch, ElementType, PrimitiveKind, Structure, r4};
use crate::json::{Limits, escape_into};

/// Reads a resource in XML and writes it as JSON: members in the order of the definition, no white space.
///
/// The JSON is what the XML says, not yet checked against R4; its depth may be over the limit where the depth of the
/// XML is not, so it is parsed under the same limits afterwards.
///
/// # Errors
/// [`XmlError`] with offset, line, column and path of the first fault; nothing is repaired. [`read`] tells all.
pub fn to_json(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, XmlError> {
    let unsaid = || XmlError::new(XmlErrorKind::NotWellFormed("this is no XML"), bytes, 0, String::new());
    read(bytes, limits).map_err(|faults| faults.first().unwrap_or_else(unsaid))
}

/// Reads a resource as [`to_json`] does, and goes on behind faults as far as the text is well-formed.
///
/// # Errors
/// [`Faults`]: all of them, with their places, and what could be read.
///
/// ```
/// use anamnesis_fhir::json::Limits;
/// let xml = r#"<Patient xmlns="http://hl7.org/fhir"><nonsense value="1"/><active value="yes"/></Patient>"#;
/// let faults = anamnesis_fhir::xml::read(xml.as_bytes(), &Limits::default()).unwrap_err();
/// assert_eq!(faults.list.len(), 2);
/// assert!(faults.cover("Patient.active") && !faults.cover("Patient"));
/// ```
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Faults> {
    let outside = |kind, offset| Faults::one(XmlError::new(kind, bytes, offset, String::new()));
    if bytes.len() > limits.bytes_max {
        return Err(outside(XmlErrorKind::TooLong, 0));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| outside(XmlErrorKind::NotUtf8, error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        source: Source::new(text),
        out: Vec::with_capacity(text.len()),
        path: Vec::new(),
        depth_left: limits.depth_max,
        notes: Notes::default(),
    };
    let json = match reader.document() {
        Ok(()) => Some(reader.out),
        Err(Fault { kind, offset }) => {
            reader.notes.add(kind, offset, render_path(&reader.path));
            None
        }
    };
    reader.notes.finish(text.as_bytes(), json)
}

/// What FHIR does not allow between elements.
const TEXT: &str = "text between elements";

/// One element on the way: its name and, in a list, its place.
type Step = (&'static str, Option<usize>);

fn render_path(steps: &[Step]) -> String {
    let mut path = String::new();
    for (name, index) in steps {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        if let Some(index) = index {
            path.push_str(&format!("[{index}]"));
        }
    }
    path
}

/// A client's name for a message: as it is where it is a plain word, else a placeholder.
fn printable(name: &str) -> String {
    let is_plain = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { name.to_owned() } else { "…".to_owned() }
}

struct Reader<'x> {
    source: Source<'x>,
    out: Vec<u8>,
    path: Vec<Step>,
    depth_left: usize,
    notes: Notes,
}

/// Attributes of an element of FHIR's.
#[derive(Default)]
struct Attributes {
    id: Option<String>,
    url: Option<String>,
    value: Option<String>,
}

impl<'x> Reader<'x> {
    fn document(&mut self) -> Read<()> {
        match self.source.token()? {
            Token::Open(tag) => {
                let structure = self.known(&tag)?;
                self.path.push((structure.name, None));
                self.resource(structure, &tag)?;
            }
            Token::Text => return self.source.forbidden(TEXT),
            _ => return self.source.fail(XmlErrorKind::NotWellFormed("there is no element")),
        }
        match self.source.token()? {
            Token::End => Ok(()),
            Token::Text => self.source.forbidden(TEXT),
            _ => self.source.fail(XmlErrorKind::NotWellFormed("there is something behind the resource")),
        }
    }

    /// Notes a fault of the element that is read, and goes on.
    fn note(&mut self, kind: XmlErrorKind, offset: usize) {
        self.notes.add(kind, offset, render_path(&self.path));
    }

    /// Notes a fault because of which the element is not in the JSON as it is in the text.
    fn spoil(&mut self, kind: XmlErrorKind, offset: usize) {
        self.note(kind, offset);
        self.notes.spoil(render_path(&self.path));
    }

    /// Passes over an element whose start tag was read just now.
    fn skip(&mut self) -> Read<()> {
        self.source.skip(self.source.open().saturating_sub(1))
    }

    /// The next tag within the resource.
    fn token(&mut self) -> Read<Token<'x>> {
        // Each text takes at least one byte.
        loop {
            match self.source.token()? {
                Token::Text => self.note(XmlErrorKind::Forbidden(TEXT), self.source.at),
                token => return Ok(token),
            }
        }
    }

    /// The definition of the resource that begins with a tag.
    fn known(&self, tag: &Tag<'x>) -> Read<&'static Structure> {
        self.in_fhir(tag)?;
        let unknown = || self.source.fail(XmlErrorKind::UnknownResource(printable(tag.local)));
        r4().resource(tag.local).map_or_else(unknown, Ok)
    }

    /// A resource, whose start tag was read just now.
    fn resource(&mut self, structure: &'static Structure, tag: &Tag<'x>) -> Read<()> {
        let mut has_strange = false;
        // Where the schema of an instance is found, is no part of it.
        self.source.attributes(tag, |name, _| {
            has_strange |= !matches!(name.split_once(':'), Some((_, "schemaLocation")));
            Ok(())
        })?;
        if has_strange {
            self.note(XmlErrorKind::UnknownAttribute, tag.at);
        }
        self.out.extend_from_slice(b"{\"resourceType\":");
        self.string(structure.name);
        self.content(structure, None)?;
        self.out.push(b'}');
        Ok(())
    }

    fn in_fhir(&self, tag: &Tag<'x>) -> Read<()> {
        if tag.namespace == Namespace::Fhir {
            Ok(())
        } else {
            self.source.fail(XmlErrorKind::Namespace(FHIR_NAMESPACE))
        }
    }

    /// The children of an element, to its end tag. `url` is the attribute of an extension.
    fn content(&mut self, structure: &'static Structure, mut url: Option<String>) -> Read<()> {
        let mut run: Option<Run> = None;
        // One bit for each element that was there: no structure of R4 has over 128.
        let (mut seen, mut is_disordered): (u128, bool) = (0, false);
        // As many as there are tags.
        loop {
            let tag = match self.token()? {
                Token::Open(tag) => tag,
                Token::Close => break,
                Token::End | Token::Text => {
                    return self.source.fail(XmlErrorKind::NotWellFormed("an element is not closed"));
                }
            };
            let found = match self.find(structure, &tag) {
                Ok(found) => found,
                Err(Fault { kind, offset }) => {
                    self.note(kind, offset);
                    self.skip()?;
                    continue;
                }
            };
            let bit = 1_u128.checked_shl(found.element.order.into()).unwrap_or(0);
            let mut current = match run.take() {
                Some(run) if is_same(run.found, found) => run,
                last => {
                    if let Some(kind) = out_of_order(last.as_ref(), found) {
                        is_disordered = true;
                        self.note(kind, tag.at);
                    }
                    if is_disordered && seen & bit != 0 {
                        // JSON has a name once; what was there before says enough.
                        self.skip()?;
                        run = last;
                        continue;
                    }
                    if let Some(last) = last {
                        self.finish(last);
                    }
                    if is_behind_url(structure, found) {
                        self.url(&mut url);
                    }
                    Run::begin(found, self.out.len())
                }
            };
            seen |= bit;
            self.item(&mut current, &tag)?;
            run = Some(current);
        }
        if let Some(last) = run {
            self.finish(last);
        }
        self.url(&mut url);
        Ok(())
    }

    fn find(&self, structure: &'static Structure, tag: &Tag<'x>) -> Read<ElementMatch<'static>> {
        let is_narrative = tag.namespace == Namespace::Xhtml && tag.local == "div";
        if !is_narrative {
            self.in_fhir(tag)?;
        }
        let found = structure.element(tag.local);
        match found.filter(|found| !found.is_companion && !is_attribute(structure, found.element.name)) {
            Some(found) => Ok(found),
            None => self.source.fail(XmlErrorKind::UnknownElement(printable(tag.local))),
        }
    }

    /// One element of a run, to its end tag.
    fn item(&mut self, run: &mut Run, tag: &Tag<'x>) -> Read<()> {
        let is_array = run.found.element.is_array();
        let name = run.found.element_type.json_name;
        self.path.push((name, is_array.then_some(run.count)));
        if run.count > 0 && !is_array {
            self.note(XmlErrorKind::Repeated, tag.at);
            self.path.pop();
            return self.skip();
        }
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return self.source.fail(XmlErrorKind::TooDeep);
        };
        self.depth_left = depth_left;
        if run.count == 0 {
            self.comma();
            self.string(name);
            self.out.extend_from_slice(if is_array { b":[" } else { b":" });
        } else {
            self.comma();
        }
        run.count += 1;
        let element_type = run.found.element_type;
        match element_type.primitive {
            Some(PrimitiveKind::Xhtml) => {
                self.narrative(tag)?;
                run.has_values = true;
            }
            Some(kind) => self.primitive(run, kind, tag)?,
            None if element_type.code == "Resource" => {
                self.wrapped(tag)?;
                run.has_values = true;
            }
            None => {
                self.complex(element_type, tag)?;
                run.has_values = true;
            }
        }
        self.depth_left += 1;
        self.path.pop();
        Ok(())
    }

    fn narrative(&mut self, tag: &Tag<'x>) -> Read<()> {
        let outside = self.source.open().saturating_sub(1);
        match narrative::read(&mut self.source, tag) {
            Ok(div) => self.string(&div),
            Err(Fault { kind: kind @ XmlErrorKind::Namespace(_), offset }) => {
                self.spoil(kind, offset);
                self.out.extend_from_slice(b"null");
                self.source.skip(outside)?;
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// An element that holds one resource.
    fn wrapped(&mut self, tag: &Tag<'x>) -> Read<()> {
        let attributes = self.attributes(tag)?;
        if attributes.id.is_some() || attributes.url.is_some() || attributes.value.is_some() {
            self.note(XmlErrorKind::UnknownAttribute, tag.at);
        }
        let Token::Open(inner) = self.token()? else {
            self.spoil(XmlErrorKind::OneResource, self.source.at);
            self.out.extend_from_slice(b"null");
            return Ok(());
        };
        match self.known(&inner) {
            Ok(structure) => self.resource(structure, &inner)?,
            Err(Fault { kind, offset }) => {
                self.spoil(kind, offset);
                self.out.extend_from_slice(b"null");
                self.skip()?;
            }
        }
        while let Token::Open(_) = self.token()? {
            self.note(XmlErrorKind::OneResource, self.source.at);
            self.skip()?;
        }
        Ok(())
    }

    fn complex(&mut self, element_type: &'static ElementType, tag: &Tag<'x>) -> Read<()> {
        let structure = r4().structure_of(element_type);
        let attributes = self.attributes(tag)?;
        let is_extension = structure.name == "Extension";
        if attributes.value.is_some() || (attributes.url.is_some() && !is_extension) {
            self.note(XmlErrorKind::UnknownAttribute, tag.at);
        }
        let (start, faults) = (self.out.len(), self.notes.count());
        self.object(structure, attributes.id, attributes.url.filter(|_| is_extension))?;
        if self.out.len() == start + 2 {
            self.empty(faults, tag);
        }
        Ok(())
    }

    /// An element of which there is nothing: because of faults within, or because nothing was there.
    fn empty(&mut self, faults_before: usize, tag: &Tag<'x>) {
        match self.notes.count() > faults_before {
            true => self.notes.spoil(render_path(&self.path)),
            false => self.spoil(XmlErrorKind::Empty, tag.at),
        }
    }

    fn object(&mut self, structure: &'static Structure, id: Option<String>, url: Option<String>) -> Read<()> {
        self.out.push(b'{');
        if let Some(id) = id {
            self.out.extend_from_slice(b"\"id\":");
            self.string(&id);
        }
        self.content(structure, url)?;
        self.out.push(b'}');
        Ok(())
    }

    /// A primitive element: its value goes into the member, its id and extensions into the companion.
    fn primitive(&mut self, run: &mut Run, kind: PrimitiveKind, tag: &Tag<'x>) -> Read<()> {
        let attributes = self.attributes(tag)?;
        if attributes.url.is_some() {
            self.note(XmlErrorKind::UnknownAttribute, tag.at);
        }
        let faults = self.notes.count();
        let has_value = attributes.value.is_some();
        match &attributes.value {
            Some(value) => self.value(kind, value, tag),
            None => self.out.extend_from_slice(b"null"),
        }
        run.has_values |= has_value;
        let start = self.out.len();
        self.object(r4().structure_of(run.found.element_type), attributes.id, None)?;
        let companion = self.out.split_off(start);
        if run.count > 1 {
            run.companions.push(b',');
        }
        if companion.len() > 2 {
            run.has_companions = true;
            run.companions.extend_from_slice(&companion);
        } else if has_value {
            run.companions.extend_from_slice(b"null");
        } else {
            run.companions.extend_from_slice(b"null");
            run.has_values = true;
            self.empty(faults, tag);
        }
        Ok(())
    }

    /// The value of a primitive as JSON (json.html#primitive): what is a number there, keeps its literal.
    fn value(&mut self, kind: PrimitiveKind, value: &str, tag: &Tag<'x>) {
        let fault = value::fault(kind, value);
        match (fault, kind) {
            (Some(form), _) => {
                self.spoil(XmlErrorKind::Value(form), tag.at);
                self.out.extend_from_slice(b"null");
            }
            (None, kind) if value::is_literal(kind) => {
                self.out.extend_from_slice(value.as_bytes());
            }
            (None, _) => self.string(value),
        }
    }

    fn attributes(&mut self, tag: &Tag<'x>) -> Read<Attributes> {
        let mut found = Attributes::default();
        let mut has_strange = false;
        self.source.attributes(tag, |name, value| {
            let place = match name {
                "id" => &mut found.id,
                "url" => &mut found.url,
                "value" => &mut found.value,
                _ => {
                    has_strange = true;
                    return Ok(());
                }
            };
            *place = Some(value.to_owned());
            Ok(())
        })?;
        if has_strange {
            self.note(XmlErrorKind::UnknownAttribute, tag.at);
        }
        Ok(found)
    }

    /// Ends the member of a run; a primitive's companion follows it.
    fn finish(&mut self, run: Run) {
        let is_array = run.found.element.is_array();
        if !run.has_values {
            // All items were null: the companion says everything (json.html#primitive).
            self.out.truncate(run.start);
        } else if is_array {
            self.out.push(b']');
        }
        if run.has_companions {
            self.comma();
            self.out.extend_from_slice(b"\"_");
            self.out.extend_from_slice(run.found.element_type.json_name.as_bytes());
            self.out.extend_from_slice(if is_array { b"\":[" } else { b"\":" });
            self.out.extend_from_slice(&run.companions);
            if is_array {
                self.out.push(b']');
            }
        }
    }

    fn url(&mut self, url: &mut Option<String>) {
        if let Some(url) = url.take() {
            self.comma();
            self.out.extend_from_slice(b"\"url\":");
            self.string(&url);
        }
    }

    /// A comma, unless an object or a list begins here.
    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        escape_into(&mut self.out, text);
        self.out.push(b'"');
    }
}

/// Whether an element of an extension stands behind its url in JSON, as it does in the definition.
fn is_behind_url(structure: &Structure, found: ElementMatch<'_>) -> bool {
    structure.name == "Extension" && found.element.is_choice
}
