//! XML out: a JSON resource written in the order of its definition.

use smallvec::SmallVec;

use super::error::Unwritable;
use super::{FHIR_NAMESPACE, is_attribute, narrative, text};
use crate::definitions::{ElementMatch, PrimitiveKind, Structure, StructureKind, r4};
use crate::json::{Kind, Value};

/// Whether XML is for machines or for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// No white space between elements.
    Compact,
    /// A line for each element, indented by two spaces a level.
    Indented,
}

/// Writes a resource as XML, with a declaration and the namespace of FHIR. The depth is that of the document, which its
/// parser has bounded.
///
/// # Errors
/// [`Unwritable`] for what R4 does not know, what is of the wrong kind, and the little that XML cannot hold (see
/// [`crate::xml`]). Valid resources without such characters are always writable.
pub fn to_xml(resource: Value<'_>, layout: Layout) -> Result<Vec<u8>, Unwritable> {
    let mut out = Vec::with_capacity(resource.span().len() + resource.span().len() / 2);
    out.extend_from_slice(br#"<?xml version="1.0" encoding="UTF-8"?>"#);
    let mut writer = Writer { out, layout, level: 0 };
    writer.resource(resource, true).map_err(|reason| {
        let mut path = reason.path;
        path.reverse();
        Unwritable { what: reason.what, path: path.join(".") }
    })?;
    Ok(writer.out)
}

/// A reason on its way to the root; the path grows from the inside to the outside.
struct Reason {
    what: &'static str,
    path: Vec<String>,
}

type Written = Result<(), Reason>;

fn refuse<T>(what: &'static str) -> Result<T, Reason> {
    Err(because(what))
}

fn because(what: &'static str) -> Reason {
    Reason { what, path: Vec::new() }
}

struct Writer {
    out: Vec<u8>,
    layout: Layout,
    level: usize,
}

/// A member of JSON and the element that it is.
#[derive(Clone, Copy)]
struct Member<'a> {
    found: ElementMatch<'static>,
    value: Value<'a>,
}

/// What becomes one XML element: a value, and what the companion of a primitive says beside it.
#[derive(Clone, Copy)]
struct Part<'a> {
    value: Option<Value<'a>>,
    companion: Option<Value<'a>>,
}

impl Writer {
    fn resource(&mut self, value: Value<'_>, is_root: bool) -> Written {
        let name = value.get("resourceType").and_then(Value::as_str);
        let Some(structure) = name.and_then(|name| r4().resource(&name)) else {
            return refuse("this is no resource of R4");
        };
        self.line();
        self.out.push(b'<');
        self.out.extend_from_slice(structure.name.as_bytes());
        if is_root {
            self.attribute("xmlns", FHIR_NAMESPACE)?;
        }
        let written = self.children(structure.name, value, structure);
        written.map_err(|reason| if is_root { reason.below(structure.name, None) } else { reason })
    }

    /// The rest of an element whose start tag is open: its children and its end.
    fn children(&mut self, name: &str, object: Value<'_>, structure: &'static Structure) -> Written {
        let members = members(object, structure)?;
        if members.is_empty() {
            self.out.extend_from_slice(b"/>");
            return Ok(());
        }
        self.out.push(b'>');
        self.level += 1;
        let mut rest = members.as_slice();
        // Takes one member or a primitive with its companion each time.
        while let Some((first, behind)) = rest.split_first() {
            let pair = behind.first().filter(|second| is_companion_of(**second, *first));
            rest = if pair.is_some() { behind.get(1..).unwrap_or_default() } else { behind };
            let part = match (first.found.is_companion, pair) {
                (true, _) => Part { value: None, companion: Some(first.value) },
                (false, pair) => Part { value: Some(first.value), companion: pair.map(|pair| pair.value) },
            };
            self.member(first.found, part)?;
        }
        self.end(name);
        Ok(())
    }

    /// All elements of one name.
    fn member(&mut self, found: ElementMatch<'static>, part: Part<'_>) -> Written {
        let name = found.element_type.json_name;
        if !found.element.is_array() {
            return self.element(found, part).map_err(|reason| reason.below(name, None));
        }
        let lists = [part.value, part.companion];
        if lists.iter().flatten().any(|list| list.kind() != Kind::Array) {
            return Err(because("a list is expected").below(name, None));
        }
        let count = lists.iter().flatten().map(|list| list.len()).max().unwrap_or(0);
        let [mut values, mut companions] = lists.map(|list| list.into_iter().flat_map(Value::items));
        for index in 0..count {
            let part = Part { value: filled(values.next()), companion: filled(companions.next()) };
            if part.value.is_none() && part.companion.is_none() {
                return Err(because("an item without content").below(name, Some(index)));
            }
            self.element(found, part).map_err(|reason| reason.below(name, Some(index)))?;
        }
        Ok(())
    }

    fn element(&mut self, found: ElementMatch<'static>, part: Part<'_>) -> Written {
        let name = found.element_type.json_name;
        let structure = r4().structure_of(found.element_type);
        if let Some(kind) = found.element_type.primitive {
            return self.primitive(name, kind, structure, part);
        }
        let Some(value) = part.value.filter(|value| value.kind() == Kind::Object) else {
            return refuse("an object is expected");
        };
        self.line();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        if found.element_type.code != "Resource" {
            self.attributes(value, structure)?;
            return self.children(name, value, structure);
        }
        self.out.push(b'>');
        self.level += 1;
        self.resource(value, false)?;
        self.end(name);
        Ok(())
    }

    fn primitive(
        &mut self,
        name: &str,
        kind: PrimitiveKind,
        structure: &'static Structure,
        part: Part<'_>,
    ) -> Written {
        self.line();
        if kind == PrimitiveKind::Xhtml {
            return self.narrative(part);
        }
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        let companion = match part.companion {
            Some(companion) if companion.kind() != Kind::Object => return refuse("an object is expected"),
            companion => companion,
        };
        if let Some(companion) = companion {
            self.attributes(companion, structure)?;
        }
        if let Some(value) = part.value {
            match (kind, value.kind()) {
                (PrimitiveKind::Boolean, Kind::Bool) => self.attribute("value", value.raw())?,
                (kind, Kind::Number) if is_number(kind) => self.attribute("value", value.raw())?,
                (kind, Kind::String) if !is_number(kind) && kind != PrimitiveKind::Boolean => {
                    self.attribute("value", &value.as_str().unwrap_or_default())?;
                }
                _ => return refuse("the value is of the wrong kind"),
            }
        }
        match companion {
            Some(companion) => self.children(name, companion, structure),
            None => {
                self.out.extend_from_slice(b"/>");
                Ok(())
            }
        }
    }

    /// A narrative stands in XML as it is.
    fn narrative(&mut self, part: Part<'_>) -> Written {
        if part.companion.is_some() {
            return refuse("XML has no place for an id or extensions of a narrative's div");
        }
        let div = part.value.and_then(Value::as_str).unwrap_or_default();
        let div = div.trim_ascii();
        if !narrative::is_well_formed(div) {
            return refuse("the narrative is not well-formed XHTML");
        }
        self.out.extend_from_slice(div.as_bytes());
        Ok(())
    }

    /// What XML has as attributes: `id`, and the `url` of an extension.
    fn attributes(&mut self, object: Value<'_>, structure: &Structure) -> Written {
        for name in ["id", "url"] {
            if let Some(value) = object.get(name).filter(|_| is_attribute(structure, name)) {
                let Some(value) = value.as_str() else { return refuse("the value is of the wrong kind") };
                self.attribute(name, &value).map_err(|reason| reason.below(name, None))?;
            }
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: &str) -> Written {
        self.out.push(b' ');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"=\"");
        if text::escape_into(&mut self.out, value).is_none() {
            return refuse("a character that XML does not allow");
        }
        self.out.push(b'"');
        Ok(())
    }

    /// The end tag of an element whose children were a level deeper.
    fn end(&mut self, name: &str) {
        self.level -= 1;
        self.line();
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    fn line(&mut self) {
        if self.layout == Layout::Indented {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b' ', self.level * 2));
        }
    }
}

impl Reason {
    fn below(mut self, name: &str, index: Option<usize>) -> Self {
        self.path.push(match index {
            Some(index) => format!("{name}[{index}]"),
            None => name.to_owned(),
        });
        self
    }
}

/// The members that become elements, in the order of the definition; a companion follows its primitive.
fn members<'a>(
    object: Value<'a>,
    structure: &'static Structure,
) -> Result<SmallVec<[Member<'a>; 16]>, Reason> {
    let mut members = SmallVec::new();
    for (name, value) in object.members() {
        if structure.kind == StructureKind::Resource && name == "resourceType" {
            continue;
        }
        let Some(found) = structure.element(&name) else { return refuse("a member that R4 does not know") };
        if !is_attribute(structure, found.element.name) {
            members.push(Member { found, value });
        } else if found.is_companion {
            return refuse("XML has no place for extensions of an attribute");
        }
    }
    let place = |member: &Member<'_>| {
        let found = member.found;
        (found.element.order, found.element_type.json_name, found.is_companion)
    };
    if !members.is_sorted_by_key(place) {
        members.sort_by_key(place);
    }
    Ok(members)
}

/// An item of a list, unless it only keeps the place.
fn filled(item: Option<Value<'_>>) -> Option<Value<'_>> {
    item.filter(|item| !item.is_null())
}

fn is_companion_of(second: Member<'_>, first: Member<'_>) -> bool {
    second.found.is_companion
        && !first.found.is_companion
        && std::ptr::eq(second.found.element_type, first.found.element_type)
}

fn is_number(kind: PrimitiveKind) -> bool {
    use PrimitiveKind::{Decimal, Integer, PositiveInt, UnsignedInt};
    matches!(kind, Decimal | Integer | PositiveInt | UnsignedInt)
}
