//! XML both ways (R4 xml.html): what comes in becomes JSON, what goes out is made of JSON, and nothing is lost.
//!
//! JSON is the one form in which resources are checked, stored and searched. [`to_json`] reads an XML resource in one
//! pass and writes JSON with the literals that the client used; [`to_xml`] writes a JSON resource as XML. Both are
//! driven by the table of R4's elements: which are lists, which are primitive, in which order they stand.
//!
//! Refused on the way in, because FHIR needs none of it and all of it has been used for attacks: document types,
//! entities, processing instructions, CDATA, text between elements, attributes that R4 does not know, nesting and
//! attributes beyond a bound. Elements must stand in the order of their definition, as xml.html demands. [`read`] tells all
//! faults at once ([`Faults`]), with the JSON of what could be read, so that its other faults can be told as well.
//!
//! What the two forms do not share, and what therefore changes or is refused on the way through the other one:
//! - the order of members in JSON, and white space and comments in either, are not kept (comments and white space
//!   within the `div` of a narrative are, to the byte);
//! - `null` items of a list in JSON that only stand beside extensions are left out where no item has a value;
//! - XML has no place for an extension on `Element.id`, `Extension.url` and `Narrative.div`, nor for characters that
//!   XML 1.0 does not allow: such JSON has no XML ([`Unwritable`]).
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::xml::{Layout, to_json, to_xml};
//! let xml = r#"<Patient xmlns="http://hl7.org/fhir"><id value="1"/><active value="true"/></Patient>"#;
//! let json = to_json(xml.as_bytes(), &Limits::default())?;
//! assert_eq!(json, br#"{"resourceType":"Patient","id":"1","active":true}"#);
//! let document = Document::parse(json, &Limits::default())?;
//! assert!(to_xml(document.root(), Layout::Compact)?.ends_with(xml.as_bytes()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod faults;
mod narrative;
mod read;
mod run;
mod source;
mod text;
mod value;
mod write;

pub use error::{Unwritable, XmlError, XmlErrorKind};
pub use faults::Faults;
pub use read::{read, to_json};
pub(crate) use text::character;
pub use write::{Layout, to_xml};

use crate::definitions::{Structure, StructureKind};

/// The namespace of FHIR's elements.
const FHIR_NAMESPACE: &str = "http://hl7.org/fhir";
/// The namespace of narratives.
const XHTML_NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// Whether XML has this element as an attribute (xml.html): the `id` of everything but resources, and the `url` of
/// extensions.
fn is_attribute(structure: &Structure, name: &str) -> bool {
    match name {
        "id" => structure.kind != StructureKind::Resource,
        "url" => structure.name == "Extension",
        _ => false,
    }
}

#[cfg(test)]
mod tests;
