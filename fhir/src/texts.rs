//! The texts of a resource that people read: its narrative, strings and markdown, found by the types of the definitions.
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::texts::{Text, each_text};
//!
//! let text = r#"{"resourceType":"Observation","id":"a","text":{"status":"generated","div":"<div>Heart <b>r</b>ate<br/>80 &lt; 90</div>"},
//!     "status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}]}}"#;
//! let document = Document::parse(text, &Limits::default())?;
//! let mut found = Vec::new();
//! each_text(document.root(), "Observation", &mut |text| found.push(match text {
//!     Text::Narrative(text) => format!("narrative: {text}"),
//!     Text::Element(text) => text.into_owned(),
//! }));
//! assert_eq!(found, ["narrative:  Heart rate 80 < 90 ", "Heart rate"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;

use crate::definitions::{ElementType, Structure, r4};
use crate::json::{Kind, Value};
use crate::references::entity_at;

/// Elements that stand within a line, so that they part no words.
const INLINE: [&str; 20] = [
    "a", "abbr", "acronym", "b", "bdo", "big", "cite", "code", "dfn", "em", "i", "kbd", "q", "samp", "small",
    "span", "strong", "sub", "sup", "tt",
];

/// Strings that programs read: addresses, versions of code systems and rows of measured numbers.
const OF_PROGRAMS: [(&str, &str); 3] =
    [("Reference", "reference"), ("Coding", "version"), ("SampledData", "data")];

/// A text of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text<'a> {
    /// What a narrative of the resource says, without its markup: also one of a section.
    Narrative(String),
    /// The value of an element of type `string` or `markdown`, or the narrative of a contained resource.
    Element(Cow<'a, str>),
}

/// Hands over the texts of a resource in the order of its JSON, those of contained resources with them, but none of
/// resources that stand in the entries of a Bundle or in Parameters: those are resources of their own. Elements that the
/// definitions do not know are passed over, and so are ids of elements, literal references, versions of code systems and
/// the data of SampledData.
pub fn each_text<'a>(root: Value<'a>, resource_type: &str, each: &mut impl FnMut(Text<'a>)) {
    if let Some(structure) = r4().resource(resource_type) {
        in_object(root, structure, each);
    }
}

/// The depth of the recursion is that of the document, which the parser bounds.
fn in_object<'a>(object: Value<'a>, structure: &'static Structure, each: &mut impl FnMut(Text<'a>)) {
    for (name, value) in object.members() {
        if name == "id" || OF_PROGRAMS.contains(&(structure.name, &*name)) {
            continue;
        }
        let Some(found) = structure.element(&name) else { continue };
        let mut item = |value: Value<'a>| {
            if found.is_companion {
                // The companion of a primitive holds extensions.
                in_object(value, r4().structure_of(found.element_type), each);
            } else if found.element_type.code != "Resource" || name == "contained" {
                in_element(value, found.element_type, each);
            }
        };
        match value.kind() {
            Kind::Array => value.items().for_each(item),
            _ => item(value),
        }
    }
}

fn in_element<'a>(value: Value<'a>, element_type: &'static ElementType, each: &mut impl FnMut(Text<'a>)) {
    match element_type.code {
        "string" | "markdown" => value.as_str().into_iter().for_each(|text| each(Text::Element(text))),
        "xhtml" => value.as_str().into_iter().for_each(|text| each(Text::Narrative(plain(&text)))),
        "Resource" => in_contained(value, each),
        _ if element_type.is_primitive => {}
        _ => in_object(value, r4().structure_of(element_type), each),
    }
}

fn in_contained<'a>(value: Value<'a>, each: &mut impl FnMut(Text<'a>)) {
    let resource_type = value.get("resourceType").and_then(Value::as_str);
    let Some(structure) = resource_type.and_then(|name| r4().resource(&name)) else { return };
    // Through a reference to the function: it would be made for itself again and again.
    let mut as_element: &mut dyn FnMut(Text<'a>) = &mut |text| {
        each(match text {
            Text::Narrative(text) => Text::Element(Cow::Owned(text)),
            element @ Text::Element(_) => element,
        });
    };
    in_object(value, structure, &mut as_element);
}

/// What XHTML says: its text, with a space for each mark that ends a line or a cell.
fn plain(xhtml: &str) -> String {
    let mut plain = String::with_capacity(xhtml.len() / 2);
    let mut rest = xhtml;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
        plain.push_str(before);
        if let Some(entity) = behind.strip_prefix('&') {
            let (character, after) = entity_at(entity).unwrap_or(('&', entity));
            plain.push(character);
            rest = after;
            continue;
        }
        let end = match behind.starts_with("<!--") {
            true => behind.find("-->").map(|end| end + 3),
            false => tag_end(behind),
        };
        let name = behind.trim_start_matches(['<', '/']);
        let name = name.split(|next: char| !next.is_ascii_alphanumeric()).next().unwrap_or_default();
        if !behind.starts_with("<!--") && !INLINE.contains(&name) {
            plain.push(' ');
        }
        rest = end.and_then(|end| behind.get(end..)).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

/// Where a tag ends; a `>` within the quotes of an attribute does not end it.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Limits};

    #[test]
    fn markup_is_no_text() {
        for (xhtml, expected) in [
            ("<div xmlns=\"x\"><p>a</p><p>b</p></div>", "  a  b  "),
            ("<b title='a > b'>c</b>d", "cd"),
            ("a<!-- b > c -->d", "ad"),
            ("&lt;b&gt; &#x41;&amp; &unknown; &", "<b> A& &unknown; &"),
            ("a<br/>b<img alt='c'", "a b "),
        ] {
            assert_eq!(plain(xhtml), expected, "{xhtml}");
        }
    }

    #[test]
    fn texts_are_found_by_their_types() {
        let text = r##"{"resourceType":"Patient","id":"x","language":"en","extension":[{"url":"http://u","valueString":"e"},
            {"url":"http://u","valueCode":"no"},{"url":"http://u","valueSampledData":{"data":"no"}}],
            "contained":[{"resourceType":"Organization","id":"o","text":{"status":"generated","div":"<p>c</p>"},"name":"n"}],
            "identifier":[{"system":"urn:no","value":"v"}],"name":[{"id":"no","use":"usual","given":["g",null],
            "_given":[null,{"extension":[{"url":"http://u","valueMarkdown":"m"}]}]}],"birthDate":"2000-01-01",
            "photo":[{"contentType":"no/no","data":"AAAA","title":"t"}],"unknown":"no",
            "maritalStatus":{"coding":[{"system":"urn:no","version":"no","code":"no","display":"w"}]},
            "managingOrganization":{"reference":"#o","display":"d"}}"##;
        let document = Document::parse(text, &Limits::default()).unwrap();
        let mut found = Vec::new();
        each_text(document.root(), "Patient", &mut |text| match text {
            Text::Element(text) => found.push(text.into_owned()),
            Text::Narrative(text) => panic!("there is no narrative: {text}"),
        });
        assert_eq!(found, ["e", " c ", "n", "v", "g", "m", "t", "w", "d"]);
        let bundle = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","name":[{"family":"no"}]}}]}"#;
        let document = Document::parse(bundle, &Limits::default()).unwrap();
        each_text(document.root(), "Bundle", &mut |text| panic!("{text:?}"));
    }
}
