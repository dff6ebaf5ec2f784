//! Steps from an element to its members, with the types that R4's definitions give them.

use std::borrow::Cow;

use super::collection::Collection;
use super::context::resource_node;
use super::item::{Item, Node, Quantity, Unit, Unresolved};
use crate::definitions::{ElementType, Structure, r4};
use crate::json::{Kind, Value};

/// Adds the members of that name to the collection, in order.
pub(super) fn member<'a>(item: &Item<'a>, name: &str, found: &mut Collection<'a>) {
    match item {
        Item::Node(node) => node_member(node, name, found),
        Item::Quantity(quantity) => found.extend(quantity_member(quantity, name)),
        Item::Type(info) => match name {
            "namespace" => found.push(Item::text(info.namespace)),
            "name" => found.push(Item::text(info.name)),
            _ => {}
        },
        Item::Unresolved(unresolved) if name == "id" => found.extend(unresolved_id(unresolved)),
        _ => {}
    }
}

/// The members of that name, in order, each with its type.
pub(crate) fn elements<'a>(node: &Node<'a>, name: &str) -> Vec<Node<'a>> {
    let mut found = Collection::empty();
    node_member(node, name, &mut found);
    found.iter().filter_map(Item::node).copied().collect()
}

/// The logical id that a reference ends with, without `/_history/…`.
pub(super) fn unresolved_id<'a>(unresolved: &Unresolved<'a>) -> Option<Item<'a>> {
    let text = &unresolved.reference;
    let versionless = text.split("/_history/").next().unwrap_or(text);
    let id = versionless.rsplit('/').next().filter(|id| !id.is_empty() && !id.contains(':'))?;
    Some(Item::String(Cow::Owned(id.to_owned())))
}

fn quantity_member<'a>(quantity: &Quantity<'a>, name: &str) -> Option<Item<'a>> {
    match name {
        "value" => Some(Item::Decimal(quantity.value)),
        "unit" | "code" => Some(match &quantity.unit {
            Unit::Ucum(code) => Item::String(code.clone()),
            Unit::Calendar(unit) => Item::text(unit.word()),
        }),
        _ => None,
    }
}

fn node_member<'a>(node: &Node<'a>, name: &str, found: &mut Collection<'a>) {
    let Some(object) = node.members() else { return };
    let Some(structure) = node.structure else {
        let value = object.get(name);
        let companion = companion_of(object, name);
        return spread(value, companion, None, found);
    };
    let Some(element) = structure.element_by_path_name(name) else { return };
    if !element.is_choice {
        let Some(element_type) = element.types.first() else { return };
        let companion = if element_type.is_primitive { companion_of(object, name) } else { None };
        return spread(object.get(name), companion, Some(element_type), found);
    }
    // One pass finds which of the many types a choice has: Extension.value has fifty.
    for (json_name, value) in object.members() {
        let plain = json_name.strip_prefix('_').unwrap_or(&json_name);
        if !plain.starts_with(name) {
            continue;
        }
        let Some(hit) = structure.element(&json_name).filter(|hit| hit.element.name == name) else {
            continue;
        };
        if !hit.is_companion {
            let companion =
                if hit.element_type.is_primitive { companion_of(object, &json_name) } else { None };
            spread(Some(value), companion, Some(hit.element_type), found);
        } else if object.get(plain).is_none() {
            spread(None, Some(value), Some(hit.element_type), found);
        }
    }
}

/// The `_name` member that holds id and extensions of a primitive (R4 json.html#primitive).
fn companion_of<'a>(object: Value<'a>, name: &str) -> Option<Value<'a>> {
    // Few objects have one: a scan of first letters spares the making of the name.
    object
        .members()
        .find(|(json_name, _)| json_name.strip_prefix('_').is_some_and(|plain| plain == name))
        .map(|(_, value)| value)
}

/// Adds one node for a single value, or one for each item of an array and its companions.
fn spread<'a>(
    value: Option<Value<'a>>,
    companion: Option<Value<'a>>,
    element_type: Option<&'static ElementType>,
    found: &mut Collection<'a>,
) {
    let is_array = |value: Option<Value<'_>>| value.is_some_and(|value| value.kind() == Kind::Array);
    if !is_array(value) && !is_array(companion) {
        return push(value, companion, element_type, found);
    }
    let mut values = value.map(Value::items);
    let mut companions = companion.map(Value::items);
    loop {
        let value = values.as_mut().and_then(Iterator::next);
        let companion = companions.as_mut().and_then(Iterator::next);
        if value.is_none() && companion.is_none() {
            return;
        }
        push(value, companion, element_type, found);
    }
}

fn push<'a>(
    value: Option<Value<'a>>,
    companion: Option<Value<'a>>,
    element_type: Option<&'static ElementType>,
    found: &mut Collection<'a>,
) {
    let value = value.filter(|value| !value.is_null());
    let companion = companion.filter(|companion| companion.kind() == Kind::Object);
    if value.is_none() && companion.is_none() {
        return;
    }
    let structure = element_type.map(|element_type| r4().structure_of(element_type));
    found.push(Item::Node(typed(value, companion, structure)));
}

/// A node of that type; a resource inside another one has the type that it says itself.
fn typed<'a>(
    value: Option<Value<'a>>,
    companion: Option<Value<'a>>,
    structure: Option<&'static Structure>,
) -> Node<'a> {
    if let (Some(value), true) = (value, structure.is_none_or(Structure::is_resource)) {
        let node = resource_node(value);
        if node.structure.is_some() {
            return node;
        }
    }
    Node { value, companion, structure }
}

/// Adds all children of an item: elements in the order of the text, `resourceType` is none of them.
pub(super) fn children<'a>(item: &Item<'a>, found: &mut Collection<'a>) {
    let Item::Node(node) = item else { return };
    let Some(object) = node.members() else { return };
    for (json_name, value) in object.members() {
        let plain = json_name.strip_prefix('_').unwrap_or(&json_name);
        let is_companion = plain.len() < json_name.len();
        if is_companion && object.get(plain).is_some() {
            continue;
        }
        let element_type = match node.structure {
            Some(structure) => match structure.element(&json_name) {
                Some(hit) => Some(hit.element_type),
                None => continue,
            },
            None if json_name == "resourceType" => continue,
            None => None,
        };
        if is_companion {
            spread(None, Some(value), element_type, found);
        } else {
            let is_primitive = element_type.is_none_or(|element_type| element_type.is_primitive);
            let companion = if is_primitive { companion_of(object, plain) } else { None };
            spread(Some(value), companion, element_type, found);
        }
    }
}
