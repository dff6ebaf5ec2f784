//! The XHTML of a narrative within XML: taken out as it stands, to the byte, and checked to be well-formed.
//!
//! In JSON a narrative is the text of one `div` that declares its own namespace (json.html, narrative.html). Where XML
//! gives it the namespace by a prefix, the prefix is taken away.

use quick_xml::events::{BytesStart, Event};

use super::error::XmlErrorKind;
use super::source::{Namespace, Read, Source, Tag};
use super::text::{attribute_value, character};
use super::{XHTML_NAMESPACE, text};

/// Deepest nesting of elements within a narrative, as when it is checked.
const DEPTH_MAX: usize = 100;

/// Whether a narrative from JSON can stand in XML as it is: one well-formed `div` of XHTML.
pub(super) fn is_well_formed(div: &str) -> bool {
    let mut source = Source::new(div);
    let mut check = || {
        let (namespace, event) = source.event()?;
        let Event::Start(start) = event else { return source.forbidden("this") };
        let tag = source.tag(namespace, start);
        let read = read(&mut source, &tag)?;
        match source.event()? {
            (_, Event::Eof) => Ok(read == div),
            _ => Ok(false),
        }
    };
    check().unwrap_or(false)
}

/// Reads a narrative of which the start tag was read just now, to its end.
pub(super) fn read<'x>(source: &mut Source<'x>, root: &Tag<'x>) -> Read<String> {
    if root.local != "div" || root.namespace != Namespace::Xhtml {
        return source.fail(XmlErrorKind::Namespace(XHTML_NAMESPACE));
    }
    let mut out = String::new();
    start(source, root, true, &mut out)?;
    let mut depth = 1;
    // Every event takes at least one byte, or ends an element.
    while depth > 0 {
        let (namespace, event) = source.event()?;
        let raw = source.since(source.at);
        match event {
            Event::Start(start_tag) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return source.fail(XmlErrorKind::TooDeep);
                }
                let tag = source.tag(namespace, start_tag);
                if tag.namespace != Namespace::Xhtml {
                    return source.fail(XmlErrorKind::Namespace(XHTML_NAMESPACE));
                }
                start(source, &tag, false, &mut out)?;
            }
            Event::End(end) => {
                depth -= 1;
                // An empty element ends without a tag of its own.
                match end.name().prefix() {
                    Some(_) if !raw.is_empty() => {
                        out.push_str("</");
                        out.push_str(&String::from_utf8_lossy(end.local_name().as_ref()));
                        out.push('>');
                    }
                    _ => out.push_str(raw),
                }
            }
            Event::GeneralRef(reference) => {
                let name = reference.decode().ok();
                if name.as_deref().and_then(character).is_none() {
                    return source.fail(XmlErrorKind::NotWellFormed("a reference that is not known"));
                }
                out.push_str(raw);
            }
            Event::Text(_) if raw.contains("]]>") || !raw.chars().all(text::is_allowed) => {
                return source.fail(XmlErrorKind::NotWellFormed("text that XML does not allow"));
            }
            _ => out.push_str(raw),
        }
    }
    Ok(out)
}

/// Writes a start tag as it stands, or without its prefix.
fn start<'x>(source: &Source<'x>, tag: &Tag<'x>, is_root: bool, out: &mut String) -> Read<()> {
    // Checks the values as well.
    source.attributes(tag, |_, _| Ok(()))?;
    let raw = source.since(tag.at);
    if tag.start.name().prefix().is_none() {
        out.push_str(raw);
        return Ok(());
    }
    out.push('<');
    out.push_str(tag.local);
    if is_root {
        out.push_str(" xmlns=\"");
        out.push_str(XHTML_NAMESPACE);
        out.push('"');
    }
    attributes(&tag.start, out);
    out.push_str(if raw.ends_with("/>") { "/>" } else { ">" });
    Ok(())
}

/// Writes the attributes but for declarations of namespaces.
fn attributes(start: &BytesStart<'_>, out: &mut String) {
    for attribute in start.attributes().flatten() {
        let name = String::from_utf8_lossy(attribute.key.as_ref());
        if name == "xmlns" || name.starts_with("xmlns:") {
            continue;
        }
        let raw = String::from_utf8_lossy(&attribute.value);
        let mut value = Vec::with_capacity(raw.len());
        // The value was checked before.
        let plain = attribute_value(&raw).unwrap_or_default();
        let _ = text::escape_into(&mut value, &plain);
        out.push(' ');
        out.push_str(&name);
        out.push_str("=\"");
        out.push_str(&String::from_utf8_lossy(&value));
        out.push('"');
    }
}
