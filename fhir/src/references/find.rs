//! The walk over a resource that finds its links by the types of the definitions.

use super::{Link, LinkKind, narrative};
use crate::definitions::{ElementType, Structure, r4};
use crate::json::{Kind, Value};

/// Which links are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All, those of resources within the resource with them.
    All,
    /// References, not those of resources that the entries of a Bundle or the parts of Parameters hold.
    References,
}

/// Hands over the links of a resource in the order of its text. Elements that the definitions do not know are passed
/// over: validation refuses them.
pub(super) fn each_link<'a>(
    root: Value<'a>,
    resource_type: &str,
    wanted: Wanted,
    each: &mut impl FnMut(Link<'a>),
) {
    if let Some(structure) = r4().resource(resource_type) {
        in_object(root, structure, wanted, each);
    }
}

/// The depth of the recursion is that of the document, which the parser bounds.
fn in_object<'a>(
    object: Value<'a>,
    structure: &'static Structure,
    wanted: Wanted,
    each: &mut impl FnMut(Link<'a>),
) {
    let is_reference = structure.name == "Reference";
    for (name, value) in object.members() {
        if is_reference && name == "reference" {
            whole(value, LinkKind::Reference, each);
            continue;
        }
        let Some(found) = structure.element(&name) else { continue };
        if found.is_companion {
            // The companion of a primitive holds extensions, and those hold links.
            let element = r4().structure_of(found.element_type);
            each_item(value, &mut |item| in_object(item, element, wanted, each));
        } else if wanted == Wanted::All || found.element_type.code != "Resource" || name == "contained" {
            each_item(value, &mut |item| in_element(item, found.element_type, wanted, each));
        }
    }
}

fn in_element<'a>(
    value: Value<'a>,
    element_type: &'static ElementType,
    wanted: Wanted,
    each: &mut impl FnMut(Link<'a>),
) {
    match element_type.code {
        "uri" | "url" | "oid" | "uuid" | "canonical" | "xhtml" if wanted == Wanted::References => {}
        "uri" | "url" | "oid" | "uuid" => whole(value, LinkKind::Uri, each),
        "canonical" => whole(value, LinkKind::Canonical, each),
        "xhtml" => narrative::each_link(value, each),
        "Resource" => {
            let resource_type = value.get("resourceType").and_then(Value::as_str);
            if let Some(structure) = resource_type.and_then(|name| r4().resource(&name)) {
                in_object(value, structure, wanted, each);
            }
        }
        _ if element_type.is_primitive => {}
        _ => in_object(value, r4().structure_of(element_type), wanted, each),
    }
}

fn each_item<'a>(value: Value<'a>, each: &mut dyn FnMut(Value<'a>)) {
    match value.kind() {
        Kind::Array => value.items().for_each(each),
        _ => each(value),
    }
}

fn whole<'a>(value: Value<'a>, kind: LinkKind, each: &mut impl FnMut(Link<'a>)) {
    if let Some(text) = value.as_str() {
        let span = value.span();
        each(Link { kind, text, span: span.start + 1..span.end - 1, value });
    }
}
