//! Links in the XHTML of a narrative: the attributes `href` of `<a>` and `src` of `<img>`.

use std::borrow::Cow;
use std::ops::Range;

use super::{Link, LinkKind};
use crate::json::{Kind, Value};

/// Hands over the links of a `div`, in order.
pub(super) fn each_link<'a>(div: Value<'a>, each: &mut impl FnMut(Link<'a>)) {
    if div.kind() != Kind::String {
        return;
    }
    let Some(xhtml) = div.as_str() else { return };
    let raw_start = div.span().start + 1;
    let raw = div.raw().get(1..).unwrap_or("");
    let mut map = OffsetMap { raw, raw_at: 0, plain_at: 0 };
    let mut scanner = Scanner { text: &xhtml, at: 0 };
    while let Some(attribute) = scanner.next_link() {
        let text = unescape(xhtml.get(attribute.clone()).unwrap_or("")).into_owned();
        let start = raw_start + map.raw_offset(attribute.start);
        let end = raw_start + map.raw_offset(attribute.end);
        each(Link { kind: LinkKind::Narrative, text: Cow::Owned(text), span: start..end, value: div });
    }
}

/// Writes a text as the inside of an attribute value in either kind of quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Undoes the entities of XML and character references; what is neither stays as it is.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        match entity_at(behind) {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character that an entity stands for, and what follows it.
pub(crate) fn entity_at(text: &str) -> Option<(char, &str)> {
    // The longest is `#x10FFFF`; looking no further keeps the whole linear.
    let length = text.bytes().take(10).position(|byte| byte == b';')?;
    let (name, after) = text.split_at_checked(length)?;
    Some((entity(name)?, after.get(1..)?))
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// Looks for tags; knows just enough of XML not to look into comments and other attributes.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl Scanner<'_> {
    /// The span of the next link's text, between its quotes.
    fn next_link(&mut self) -> Option<Range<usize>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let open = rest.find('<')?;
            let tag = rest.get(open + 1..)?;
            self.at += open + 1;
            if tag.starts_with("!--") {
                self.at += tag.find("-->").map_or(tag.len(), |end| end + 3);
                continue;
            }
            let Some(wanted) = wanted_attribute(tag) else { continue };
            match self.attribute(wanted) {
                Found::Link(span) => return Some(span),
                Found::OtherTag => {}
                Found::Unfinished => return None,
            }
        }
    }

    /// The value of an attribute of the tag that begins here; leaves the cursor behind it, or behind the tag.
    fn attribute(&mut self, wanted: &str) -> Found {
        let tag_start = self.at;
        let tag = self.text.as_bytes().get(tag_start..).unwrap_or(&[]);
        let mut name_start = 0;
        let mut at = 0;
        while let Some(&byte) = tag.get(at) {
            match byte {
                b'>' => break,
                b'=' => {
                    let name = tag.get(name_start..at).unwrap_or(&[]).trim_ascii();
                    let behind = tag.get(at + 1..).unwrap_or(&[]);
                    let space = behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                    let Some(quote @ (b'"' | b'\'')) = behind.get(space) else {
                        at += 1;
                        continue;
                    };
                    let start = at + 1 + space + 1;
                    let Some(length) = tag.get(start..).and_then(|value| memchr::memchr(*quote, value))
                    else {
                        return Found::Unfinished;
                    };
                    let end = start + length;
                    at = end + 1;
                    name_start = at;
                    if name == wanted.as_bytes() {
                        self.at = tag_start + at;
                        return Found::Link(tag_start + start..tag_start + end);
                    }
                }
                _ => {
                    let begins_name = |next: &u8| !next.is_ascii_whitespace() && *next != b'=';
                    if byte.is_ascii_whitespace() && tag.get(at + 1).is_some_and(begins_name) {
                        name_start = at + 1;
                    }
                    at += 1;
                }
            }
        }
        self.at = tag_start + at;
        Found::OtherTag
    }
}

/// What a tag gave.
enum Found {
    /// The span of the attribute's value.
    Link(Range<usize>),
    /// The tag has no such attribute.
    OtherTag,
    /// The text ends within a value, so there is nothing more to find.
    Unfinished,
}

/// The attribute that links, for a tag whose text begins here.
fn wanted_attribute(tag: &str) -> Option<&'static str> {
    let name =
        tag.split(|next: char| next.is_ascii_whitespace() || matches!(next, '<' | '>' | '/')).next()?;
    match name {
        "a" => Some("href"),
        "img" => Some("src"),
        _ => None,
    }
}

/// Turns offsets in the unescaped text of a JSON string into offsets in its raw text. They must come in order.
struct OffsetMap<'t> {
    raw: &'t str,
    raw_at: usize,
    plain_at: usize,
}

impl OffsetMap<'_> {
    fn raw_offset(&mut self, plain: usize) -> usize {
        while self.plain_at < plain {
            let rest = self.raw.get(self.raw_at..).unwrap_or("");
            let (raw_length, plain_length) = match rest.as_bytes() {
                [b'\\', b'u', ..] => unicode_escape(rest),
                [b'\\', _, ..] => (2, 1),
                [] => return self.raw_at,
                _ => {
                    // As far as the next escape or the offset, both texts are alike.
                    let wanted = rest.as_bytes().get(..plain - self.plain_at).unwrap_or(rest.as_bytes());
                    let length = memchr::memchr(b'\\', wanted).unwrap_or(wanted.len());
                    (length, length)
                }
            };
            self.raw_at += raw_length;
            self.plain_at += plain_length;
        }
        self.raw_at
    }
}

/// How long `\uXXXX`, or a pair of them for one character, is in the raw and in the unescaped text.
fn unicode_escape(raw: &str) -> (usize, usize) {
    let unit = raw.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
    match unit {
        0xD800..=0xDBFF => (12, 4),
        0..=0x7F => (6, 1),
        0x80..=0x7FF => (6, 2),
        _ => (6, 3),
    }
}
