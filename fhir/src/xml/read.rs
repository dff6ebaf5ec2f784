//! XML in: one pass over the tags, writing JSON as it goes.

use super::error::{XmlError, XmlErrorKind};
use super::source::{Fault, Namespace, Read, Source, Tag, Token};
use super::{FHIR_NAMESPACE, is_attribute, narrative};
use crate::definitions::{ElementMatch, ElementType, PrimitiveKind, Structure, r4};
use crate::json::{Limits, escape_into};

/// Reads a resource in XML and writes it as JSON: members in the order of the definition, no white space.
///
/// The JSON is what the XML says, not yet checked against R4; its depth may be over the limit where the depth of the
/// XML is not, so it is parsed under the same limits afterwards.
///
/// # Errors
/// [`XmlError`] with offset, line, column and path of the first fault; nothing is repaired.
pub fn to_json(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, XmlError> {
    let outside = |kind, offset| XmlError::new(kind, bytes, offset, String::new());
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
    };
    match reader.document() {
        Ok(()) => Ok(reader.out),
        Err(Fault { kind, offset }) => {
            Err(XmlError::new(kind, text.as_bytes(), offset, render_path(&reader.path)))
        }
    }
}

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
}

/// Elements of one name that follow each other: one member of JSON, or two where a primitive has extensions.
struct Run {
    found: ElementMatch<'static>,
    /// Where in the output it began.
    start: usize,
    count: usize,
    has_values: bool,
    /// The items of the `_` companion.
    companions: Vec<u8>,
    has_companions: bool,
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
            Token::Open(tag) => self.resource(&tag)?,
            _ => return self.source.fail(XmlErrorKind::NotWellFormed("there is no element")),
        }
        match self.source.token()? {
            Token::End => Ok(()),
            _ => self.source.fail(XmlErrorKind::NotWellFormed("there is something behind the resource")),
        }
    }

    /// A resource, whose start tag was read just now.
    fn resource(&mut self, tag: &Tag<'x>) -> Read<()> {
        self.in_fhir(tag)?;
        let Some(structure) = r4().resource(tag.local) else {
            return self.source.fail(XmlErrorKind::UnknownResource(printable(tag.local)));
        };
        if self.path.is_empty() {
            self.path.push((structure.name, None));
        }
        // Where the schema of an instance is found, is no part of it.
        self.source.attributes(tag, |name, _| match name.split_once(':') {
            Some((_, "schemaLocation")) => Ok(()),
            _ => Err(Fault { kind: XmlErrorKind::UnknownAttribute, offset: tag.at }),
        })?;
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
        // As many as there are tags.
        loop {
            let tag = match self.source.token()? {
                Token::Open(tag) => tag,
                Token::Close => break,
                Token::End => {
                    return self.source.fail(XmlErrorKind::NotWellFormed("an element is not closed"));
                }
            };
            let found = self.find(structure, &tag)?;
            let mut current = match run.take() {
                Some(run) if is_same(run.found, found) => run,
                last => {
                    self.in_order(last.as_ref(), found)?;
                    if let Some(last) = last {
                        self.finish(last);
                    }
                    if is_behind_url(structure, found) {
                        self.url(&mut url);
                    }
                    Run::begin(found, self.out.len())
                }
            };
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

    fn in_order(&self, last: Option<&Run>, found: ElementMatch<'static>) -> Read<()> {
        match last {
            Some(last) if last.found.element.order > found.element.order => {
                let (name, other) = (found.element_type.json_name, last.found.element_type.json_name);
                self.source.fail(XmlErrorKind::Order(name, other))
            }
            _ => Ok(()),
        }
    }

    /// One element of a run, to its end tag.
    fn item(&mut self, run: &mut Run, tag: &Tag<'x>) -> Read<()> {
        let is_array = run.found.element.is_array();
        let name = run.found.element_type.json_name;
        self.path.push((name, is_array.then_some(run.count)));
        if run.count > 0 && !is_array {
            return self.source.fail(XmlErrorKind::Repeated);
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
                let div = narrative::read(&mut self.source, tag)?;
                self.string(&div);
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

    /// An element that holds one resource.
    fn wrapped(&mut self, tag: &Tag<'x>) -> Read<()> {
        let attributes = self.attributes(tag)?;
        if attributes.id.is_some() || attributes.url.is_some() || attributes.value.is_some() {
            return self.source.fail(XmlErrorKind::UnknownAttribute);
        }
        match self.source.token()? {
            Token::Open(tag) => self.resource(&tag)?,
            _ => return self.source.fail(XmlErrorKind::OneResource),
        }
        match self.source.token()? {
            Token::Close => Ok(()),
            _ => self.source.fail(XmlErrorKind::OneResource),
        }
    }

    fn complex(&mut self, element_type: &'static ElementType, tag: &Tag<'x>) -> Read<()> {
        let structure = r4().structure_of(element_type);
        let attributes = self.attributes(tag)?;
        let is_extension = structure.name == "Extension";
        if attributes.value.is_some() || (attributes.url.is_some() && !is_extension) {
            return self.source.fail(XmlErrorKind::UnknownAttribute);
        }
        let start = self.out.len();
        self.object(structure, attributes.id, attributes.url)?;
        if self.out.len() == start + 2 {
            return Err(Fault { kind: XmlErrorKind::Empty, offset: tag.at });
        }
        Ok(())
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
            return self.source.fail(XmlErrorKind::UnknownAttribute);
        }
        let has_value = attributes.value.is_some();
        match &attributes.value {
            Some(value) => self.value(kind, value, tag)?,
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
            return Err(Fault { kind: XmlErrorKind::Empty, offset: tag.at });
        }
        Ok(())
    }

    /// The value of a primitive as JSON (json.html#primitive): what is a number there, keeps its literal.
    fn value(&mut self, kind: PrimitiveKind, value: &str, tag: &Tag<'x>) -> Read<()> {
        use PrimitiveKind::{Boolean, Decimal, Integer, PositiveInt, UnsignedInt};
        let fault = |form| Err(Fault { kind: XmlErrorKind::Value(form), offset: tag.at });
        match kind {
            _ if value.is_empty() => return fault("must not be empty; leave the element out instead"),
            Boolean if !matches!(value, "true" | "false") => return fault("must be true or false"),
            Decimal | Integer | PositiveInt | UnsignedInt if !is_number(value) => {
                return fault("must be a number like -1.50 or 2e3");
            }
            Boolean | Decimal | Integer | PositiveInt | UnsignedInt => {
                self.out.extend_from_slice(value.as_bytes());
            }
            _ => self.string(value),
        }
        Ok(())
    }

    fn attributes(&self, tag: &Tag<'x>) -> Read<Attributes> {
        let mut found = Attributes::default();
        self.source.attributes(tag, |name, value| {
            let place = match name {
                "id" => &mut found.id,
                "url" => &mut found.url,
                "value" => &mut found.value,
                _ => return Err(Fault { kind: XmlErrorKind::UnknownAttribute, offset: tag.at }),
            };
            *place = Some(value.to_owned());
            Ok(())
        })?;
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

impl Run {
    fn begin(found: ElementMatch<'static>, start: usize) -> Self {
        Self { found, start, count: 0, has_values: false, companions: Vec::new(), has_companions: false }
    }
}

fn is_same(one: ElementMatch<'_>, other: ElementMatch<'_>) -> bool {
    std::ptr::eq(one.element_type, other.element_type)
}

/// Whether an element of an extension stands behind its url in JSON, as it does in the definition.
fn is_behind_url(structure: &Structure, found: ElementMatch<'_>) -> bool {
    structure.name == "Extension" && found.element.is_choice
}

/// Whether a text is a number of JSON (RFC 8259 section 6), whose grammar is that of `decimal` (datatypes.html).
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
