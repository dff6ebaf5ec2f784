//! The check of narratives: well-formed XHTML of the elements and attributes that R4 allows (narrative.html).

/// Elements that a narrative may hold: HTML 4.0 chapters 7 to 11 and 15 without forms, scripts and frames.
const ELEMENTS: [&str; 59] = [
    "a",
    "abbr",
    "acronym",
    "b",
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
    "li",
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
    "kbd",
    "address",
    "bdo",
    "del",
    "ins",
    "map",
    "area",
    "center",
    "font",
    "u",
    "s",
];

/// Attributes that any of them may have; events (`on…`) are never among them.
const ATTRIBUTES: [&str; 44] = [
    "abbr",
    "accesskey",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellhalign",
    "cellpadding",
    "cellspacing",
    "cellvalign",
    "char",
    "charoff",
    "charset",
    "cite",
    "class",
    "colspan",
    "compact",
    "coords",
    "dir",
    "frame",
    "headers",
    "height",
    "href",
    "hreflang",
    "hspace",
    "id",
    "lang",
    "longdesc",
    "name",
    "nowrap",
    "rel",
    "rev",
    "rowspan",
    "rules",
    "scope",
    "shape",
    "span",
    "src",
    "start",
    "style",
    "summary",
    "title",
    "type",
];

/// More attributes, for the same elements.
const MORE_ATTRIBUTES: [&str; 10] =
    ["valign", "value", "vspace", "width", "tabindex", "xmlns", "xml:lang", "xml:space", "usemap", "color"];

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 200;

/// Whether the text is one `div` of allowed elements with something to read in it.
pub(super) fn is_allowed(text: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut has_content = false;
    let mut rest = text.trim();
    if !rest.starts_with("<div") {
        return false;
    }
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        has_content |= !before.trim().is_empty();
        if open.is_empty() && tag.len() < text.trim().len() {
            return false;
        }
        let Some(after) = step(tag, &mut open, &mut has_content) else { return false };
        rest = after;
    }
    open.is_empty() && rest.trim().is_empty() && has_content
}

/// Reads one tag or comment and gives what follows it; `None` where it is not allowed.
fn step<'t>(tag: &'t str, open: &mut Vec<&'t str>, has_content: &mut bool) -> Option<&'t str> {
    if let Some(comment) = tag.strip_prefix("<!--") {
        return comment.split_once("-->").map(|(_, after)| after);
    }
    let end = tag_end(tag)?;
    let inner = tag.get(1..end)?;
    let after = tag.get(end + 1..)?;
    if let Some(name) = inner.strip_prefix('/') {
        return (open.pop()? == name.trim_end()).then_some(after);
    }
    let (inner, closed) = match inner.strip_suffix('/') {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    let name_end = inner.find(|next: char| next.is_ascii_whitespace()).unwrap_or(inner.len());
    let (name, attributes) = inner.split_at_checked(name_end)?;
    if !ELEMENTS.contains(&name) || !attributes_are_allowed(attributes) {
        return None;
    }
    // An image is something to see (invariant txt-2).
    *has_content |= name == "img";
    if !closed {
        open.push(name);
    }
    (open.len() <= DEPTH_MAX).then_some(after)
}

/// Where the tag ends: the first `>` outside of quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn attributes_are_allowed(text: &str) -> bool {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, value)) = rest.split_once('=') else { return false };
        let name = name.trim();
        let value = value.trim_start();
        let Some(quote) = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else {
            return false;
        };
        let Some((content, after)) = value.get(1..).and_then(|value| value.split_once(quote)) else {
            return false;
        };
        let known = ATTRIBUTES.contains(&name) || MORE_ATTRIBUTES.contains(&name);
        if !known || is_script(name, content) {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

/// A link or image that would run something.
fn is_script(name: &str, content: &str) -> bool {
    matches!(name, "href" | "src") && content.trim_start().to_ascii_lowercase().starts_with("javascript:")
}
