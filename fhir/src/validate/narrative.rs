//! The XHTML of a narrative: well-formed, basic formatting only, nothing active (R4 narrative.html, txt-1, txt-2).
//!
//! A small strict reader of its own: XML without document type, processing instructions and CDATA, because
//! nothing of that belongs into a narrative and all of it has been used for attacks.

use std::fmt;

use crate::xml::character;

/// Deepest nesting of elements.
const DEPTH_MAX: usize = 100;
const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
];

/// Attributes that every element may have.
const ATTRIBUTES: &[&str] = &[
    "abbr",
    "accesskey",
    "align",
    "axis",
    "char",
    "charoff",
    "class",
    "colspan",
    "dir",
    "headers",
    "id",
    "lang",
    "rowspan",
    "scope",
    "span",
    "style",
    "tabindex",
    "title",
    "valign",
    "width",
    "xml:lang",
];

/// Attributes of some elements.
const OWN_ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["charset", "coords", "href", "hreflang", "name", "rel", "rev", "shape", "type"]),
    ("area", &["alt", "coords", "href", "nohref", "shape"]),
    ("blockquote", &["cite"]),
    ("img", &["alt", "border", "height", "ismap", "longdesc", "src", "usemap"]),
    ("map", &["name"]),
    ("ol", &["start", "type"]),
    ("pre", &["space"]),
    ("q", &["cite"]),
    ("table", &["border", "cellpadding", "cellspacing", "frame", "rules", "summary"]),
    ("td", &["nowrap"]),
    ("th", &["nowrap"]),
];

/// What is wrong with a narrative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not well-formed; says how.
    Malformed(&'static str),
    /// The root is no `div` of XHTML.
    Root,
    /// An element or attribute that is not allowed (txt-1).
    Forbidden(&'static str),
    /// Neither text nor image (txt-2).
    Empty,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(how) => write!(formatter, "the narrative is not well-formed XHTML: {how}"),
            Fault::Root => write!(formatter, "the narrative must be one div of the namespace {NAMESPACE}"),
            Fault::Forbidden(what) => {
                write!(formatter, "the narrative must be basic formatting only (txt-1): {what}")
            }
            Fault::Empty => formatter.write_str("the narrative must have some content (txt-2)"),
        }
    }
}

/// Checks the text of `Narrative.div`.
pub(crate) fn check(text: &str) -> Result<(), Fault> {
    let mut reader = Reader { rest: text.trim_ascii(), open: Vec::new(), has_content: false };
    if !reader.rest.starts_with("<div") {
        return Err(Fault::Root);
    }
    // Every step takes at least one byte.
    while !reader.rest.is_empty() {
        reader.step()?;
    }
    match (reader.open.is_empty(), reader.has_content) {
        (false, _) => Err(Fault::Malformed("an element is not closed")),
        (true, false) => Err(Fault::Empty),
        (true, true) => Ok(()),
    }
}

struct Reader<'t> {
    rest: &'t str,
    /// The elements that are open, from the root.
    open: Vec<&'t str>,
    has_content: bool,
}

impl<'t> Reader<'t> {
    fn step(&mut self) -> Result<(), Fault> {
        if let Some(rest) = self.rest.strip_prefix("<!--") {
            let end = rest.find("-->").ok_or(Fault::Malformed("a comment is not closed"))?;
            self.rest = rest.get(end + 3..).unwrap_or_default();
            return Ok(());
        }
        if let Some(rest) = self.rest.strip_prefix("</") {
            return self.close(rest);
        }
        if let Some(rest) = self.rest.strip_prefix('<') {
            return self.start(rest);
        }
        let end = memchr::memchr(b'<', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.open.is_empty() {
            return Err(Fault::Root);
        }
        self.has_content |= text.bytes().any(|byte| byte > b' ');
        characters(text)
    }

    fn close(&mut self, rest: &'t str) -> Result<(), Fault> {
        let (name, rest) = name(rest)?;
        if self.open.pop() != Some(name) {
            return Err(Fault::Malformed("an end tag does not match its start tag"));
        }
        self.rest = rest
            .trim_ascii_start()
            .strip_prefix('>')
            .ok_or(Fault::Malformed("an end tag must end with '>'"))?;
        Ok(())
    }

    fn start(&mut self, rest: &'t str) -> Result<(), Fault> {
        if rest.starts_with(['!', '?']) {
            return Err(Fault::Forbidden("document types, CDATA and processing instructions"));
        }
        let (element, mut rest) = name(rest)?;
        if self.open.is_empty() && (element != "div" || self.has_content) {
            return Err(Fault::Root);
        }
        if ELEMENTS.binary_search(&element).is_err() {
            return Err(Fault::Forbidden("an element is not on the list"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::Malformed("nested too deeply"));
        }
        let mut namespace = None;
        let mut names: Vec<&str> = Vec::new();
        let is_empty = loop {
            let after_space = rest.trim_ascii_start();
            if let Some(after) = after_space.strip_prefix("/>") {
                rest = after;
                break true;
            }
            if let Some(after) = after_space.strip_prefix('>') {
                rest = after;
                break false;
            }
            if after_space.len() == rest.len() {
                return Err(Fault::Malformed("a tag does not end"));
            }
            let (attribute, value, after) = attribute(after_space)?;
            if names.contains(&attribute) {
                return Err(Fault::Malformed("an attribute stands twice"));
            }
            names.push(attribute);
            match attribute {
                "xmlns" => namespace = Some(value),
                _ => check_attribute(element, attribute, value)?,
            }
            rest = after;
        };
        let expected = if self.open.is_empty() { Some(NAMESPACE) } else { namespace.and(Some(NAMESPACE)) };
        if namespace != expected {
            return Err(Fault::Root);
        }
        self.has_content |= element == "img";
        self.rest = rest;
        if !is_empty {
            self.open.push(element);
        }
        Ok(())
    }
}

/// A name of XML, of the plain letters that names of XHTML have.
fn name(text: &str) -> Result<(&str, &str), Fault> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.');
    let end = text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err(Fault::Malformed("'<' must begin a tag; write &lt; in text")),
        found => Ok(found),
    }
}

/// An attribute with its value, and what follows.
fn attribute(text: &str) -> Result<(&str, &str, &str), Fault> {
    let (attribute, rest) = name(text)?;
    let rest =
        rest.trim_ascii_start().strip_prefix('=').ok_or(Fault::Malformed("an attribute has no value"))?;
    let rest = rest.trim_ascii_start();
    let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
    let quote = quote.ok_or(Fault::Malformed("an attribute's value must be in quotes"))?;
    let rest = rest.get(1..).unwrap_or_default();
    let (value, rest) =
        rest.split_once(quote).ok_or(Fault::Malformed("an attribute's quotes are not closed"))?;
    if value.contains('<') {
        return Err(Fault::Malformed("'<' in an attribute; write &lt;"));
    }
    characters(value)?;
    Ok((attribute, value, rest))
}

fn check_attribute(element: &str, attribute: &str, value: &str) -> Result<(), Fault> {
    let own =
        OWN_ATTRIBUTES.iter().find(|(name, _)| *name == element).map(|(_, own)| *own).unwrap_or_default();
    if ATTRIBUTES.binary_search(&attribute).is_err() && own.binary_search(&attribute).is_err() {
        return Err(Fault::Forbidden("an attribute is not on the list"));
    }
    let plain: String =
        plain_text(value).chars().filter(|letter| *letter > ' ').collect::<String>().to_lowercase();
    let is_active = match attribute {
        "href" | "src" | "cite" | "longdesc" | "usemap" => {
            let is_image = attribute == "src"
                && plain.starts_with("data:image/")
                && !plain.starts_with("data:image/svg");
            ["javascript:", "vbscript:", "data:", "file:"].iter().any(|scheme| plain.starts_with(scheme))
                && !is_image
        }
        "style" => ["javascript:", "expression(", "behavior:", "-moz-binding", "@import", "url("]
            .iter()
            .any(|active| plain.contains(active)),
        _ => false,
    };
    if is_active { Err(Fault::Forbidden("an attribute holds active content")) } else { Ok(()) }
}

/// A value with its character references resolved, so that nothing hides behind them.
fn plain_text(value: &str) -> String {
    if !value.contains('&') {
        return value.to_owned();
    }
    let mut plain = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (reference, after) = after.split_once(';').unwrap_or((after, ""));
        plain.extend(character(reference));
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// Checks text between tags: every `&` begins a reference that is known, and no control characters.
fn characters(text: &str) -> Result<(), Fault> {
    if text.bytes().any(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')) {
        return Err(Fault::Malformed("a control character"));
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        let after = rest.get(at + 1..).unwrap_or_default();
        let end =
            memchr::memchr(b';', after.as_bytes()).ok_or(Fault::Malformed("'&' in text; write &amp;"))?;
        if after.get(..end).and_then(character).is_none() {
            return Err(Fault::Malformed("an entity is not known; write the character itself"));
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn div(content: &str) -> String {
        format!("<div xmlns=\"{NAMESPACE}\">{content}</div>")
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(ELEMENTS.is_sorted() && ATTRIBUTES.is_sorted());
        assert!(OWN_ATTRIBUTES.iter().all(|(_, own)| own.is_sorted()));
    }

    #[test]
    fn basic_formatting_passes() {
        for content in [
            "Text",
            "<p><b>bold</b> &amp; &#160; &#xA0; <br/></p><!-- a remark -->",
            "<a href='http://example.org/?a=1&amp;b=2' name=\"x\">link</a>",
            "<table class='grid' border=\"1\"><tr><td colspan='2'>1</td></tr></table>",
            "<img src='#image' alt=''/>",
            "<img src=\"data:image/png;base64,AAAA\"/>",
            "<span style='color: red'>red</span>",
            "Grüße ≥ 3",
        ] {
            assert_eq!(check(&div(content)), Ok(()), "{content}");
        }
        assert_eq!(check(&format!(" <div xmlns='{NAMESPACE}' >x</div >\n")), Ok(()));
    }

    #[test]
    fn active_content_is_refused() {
        for content in [
            "<script>x</script>",
            "<SCRIPT>x</SCRIPT>",
            "<p onclick='x()'>x</p>",
            "<a href='javascript:x()'>x</a>",
            "<a href='java&#115;cript:x()'>x</a>",
            "<a href=' JavaScript:x()'>x</a>",
            "<a href='data:text/html;base64,AAAA'>x</a>",
            "<img src='data:image/svg+xml;base64,AAAA'/>",
            "<iframe src='http://example.org'>x</iframe>",
            "<form><input/></form>x",
            "<p style='width: expression(x)'>x</p>",
            "<p style='background: url(http://example.org/track)'>x</p>",
            "<![CDATA[x]]>",
            "<?php x ?>x",
            "<!DOCTYPE x>x",
            "<object data='x'>x</object>",
        ] {
            assert!(matches!(check(&div(content)), Err(Fault::Forbidden(_))), "{content}");
        }
    }

    #[test]
    fn malformed_text_is_refused() {
        for content in [
            "<p>x",
            "x</p>",
            "<p>x</b></p>",
            "a & b",
            "&nbsp;",
            "&#0;",
            "&#xD800;",
            "a < b",
            "<p class=x>x</p>",
            "<p class>x</p>",
            "<p class='a' class='b'>x</p>",
            "<p class='a>x</p>",
            "<!-- x",
            "\u{1}",
            "<",
            "<p",
        ] {
            assert!(matches!(check(&div(content)), Err(Fault::Malformed(_))), "{content}");
        }
        assert!(matches!(check(&div(&"<b>".repeat(200))), Err(Fault::Malformed(_))));
    }

    #[test]
    fn the_root_must_be_a_div_with_content() {
        assert_eq!(check(&div(" \n <p/>")), Err(Fault::Empty));
        for text in ["<div>x</div>", "<p>x</p>", "x", "", "<div xmlns='other'>x</div>", "<divide/>"] {
            assert!(check(text).is_err(), "{text}");
        }
        assert_eq!(check(&format!("{}{}", div("x"), div("y"))), Err(Fault::Root));
        assert_eq!(check(&format!("{} x", div("x"))), Err(Fault::Root));
    }
}
