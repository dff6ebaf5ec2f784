//! Equality and equivalence of items and collections, and the set functions that rest on them.

use super::collection::Collection;
use super::compare::{Comparison, compare, number, operand};
use super::error::EvalErrorKind;
use super::evaluate::Machine;
use super::item::{Item, Node};
use super::navigate;
use super::quantity;

/// Which of the two relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// `=`
    Equal,
    /// `~`
    Equivalent,
}

type Found<T> = Result<T, EvalErrorKind>;

/// `left = right` (FHIRPath 2.0.0 section 6.1.1); `None` where it is not known.
pub(super) fn equal<'a>(
    machine: &Machine<'_, 'a>,
    left: &Collection<'a>,
    right: &Collection<'a>,
) -> Found<Option<bool>> {
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Ok(Some(false));
    }
    let mut known = true;
    for (left, right) in left.iter().zip(right) {
        match items_equal(machine, left, right)? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => known = false,
        }
    }
    Ok(known.then_some(true))
}

/// `left ~ right` (section 6.1.2): order does not matter, and nothing is unknown.
pub(super) fn equivalent<'a>(
    machine: &Machine<'_, 'a>,
    left: &Collection<'a>,
    right: &Collection<'a>,
) -> Found<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let mut rest: Vec<&Item<'a>> = right.iter().collect();
    for left in left {
        let mut place = None;
        for (index, right) in rest.iter().enumerate() {
            if related(machine, left, right, Relation::Equivalent)? == Some(true) {
                place = Some(index);
                break;
            }
        }
        let Some(place) = place else { return Ok(false) };
        rest.swap_remove(place);
    }
    Ok(true)
}

/// Whether two items are equal; `None` where it is not known.
pub(super) fn items_equal<'a>(
    machine: &Machine<'_, 'a>,
    left: &Item<'a>,
    right: &Item<'a>,
) -> Found<Option<bool>> {
    related(machine, left, right, Relation::Equal)
}

/// Whether an item equal to the wanted one is there.
pub(super) fn has<'a>(machine: &Machine<'_, 'a>, items: &Collection<'a>, wanted: &Item<'a>) -> Found<bool> {
    for item in items {
        if items_equal(machine, item, wanted)? == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The items without those that equal an earlier one.
pub(super) fn distinct<'a>(machine: &Machine<'_, 'a>, items: Collection<'a>) -> Found<Collection<'a>> {
    let mut kept = Collection::empty();
    for item in items {
        if !has(machine, &kept, &item)? {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// Both collections without duplicates.
pub(super) fn union<'a>(
    machine: &Machine<'_, 'a>,
    left: Collection<'a>,
    right: Collection<'a>,
) -> Found<Collection<'a>> {
    machine.bounded(left.len() + right.len())?;
    let mut all = left;
    all.extend(right);
    distinct(machine, all)
}

fn related<'a>(
    machine: &Machine<'_, 'a>,
    left: &Item<'a>,
    right: &Item<'a>,
    relation: Relation,
) -> Found<Option<bool>> {
    machine.step(1)?;
    if let (Item::Node(left), Item::Node(right)) = (left, right) {
        if left.same_place(right) {
            return Ok(Some(true));
        }
        if left.system_value().is_none() && right.system_value().is_none() {
            return nodes(machine, left, right, relation);
        }
    }
    Ok(values(&operand(left), &operand(right), relation))
}

fn values(left: &Item<'_>, right: &Item<'_>, relation: Relation) -> Option<bool> {
    match (left, right) {
        (Item::Type(left), Item::Type(right)) => return Some(left == right),
        (Item::Unresolved(left), Item::Unresolved(right)) => return Some(left.reference == right.reference),
        _ => {}
    }
    if relation == Relation::Equivalent {
        match (left, right) {
            (Item::String(left), Item::String(right)) => return Some(same_text(left, right)),
            (Item::Quantity(left), Item::Quantity(right)) => {
                return Some(quantity::equivalent(left, right).unwrap_or(false));
            }
            _ => {}
        }
        if let (Some(left), Some(right)) = (number(left), number(right)) {
            return Some(quantity::equivalent_decimals(left, right));
        }
    }
    match compare(left, right) {
        Comparison::Known(order) => Some(order.is_eq()),
        Comparison::Unknown | Comparison::Imprecise if relation == Relation::Equal => None,
        Comparison::Unknown | Comparison::Imprecise | Comparison::Mismatch => Some(false),
    }
}

/// The same text without regard to case and to the kind of white space.
fn same_text(left: &str, right: &str) -> bool {
    let folded = |text: &str| -> String {
        text.chars()
            .map(|character| if character.is_whitespace() { ' ' } else { character })
            .flat_map(char::to_lowercase)
            .collect()
    };
    left == right || folded(left) == folded(right)
}

/// Compares two complex elements, or primitives without a value, member by member.
fn nodes<'a>(
    machine: &Machine<'_, 'a>,
    left: &Node<'a>,
    right: &Node<'a>,
    relation: Relation,
) -> Found<Option<bool>> {
    let structural = members(machine, left, right, relation)?;
    if structural == Some(true) || !quantity::is_quantity(left) || !quantity::is_quantity(right) {
        return Ok(structural);
    }
    // Two FHIR Quantities may be the same in different units.
    match (quantity::from_node(left), quantity::from_node(right)) {
        (Some(left), Some(right)) => Ok(values(&Item::Quantity(left), &Item::Quantity(right), relation)),
        _ => Ok(structural),
    }
}

fn members<'a>(
    machine: &Machine<'_, 'a>,
    left: &Node<'a>,
    right: &Node<'a>,
    relation: Relation,
) -> Found<Option<bool>> {
    let (Some(left_object), Some(right_object)) = (left.members(), right.members()) else {
        return Ok(Some(left.members().is_none() && right.members().is_none()));
    };
    let same_type =
        left.structure.map(|structure| structure.id) == right.structure.map(|structure| structure.id);
    if !same_type || left_object.len() != right_object.len() {
        return Ok(Some(false));
    }
    if left.structure.is_none() {
        return Ok(Some(left_object.raw() == right_object.raw()));
    }
    let mut known = true;
    let (mut left_children, mut right_children) = (Vec::new(), Vec::new());
    named_children(left, &mut left_children);
    named_children(right, &mut right_children);
    if left_children.len() != right_children.len() {
        return Ok(Some(false));
    }
    // Both lists are in the order of the definition, so the same names stand at the same places.
    for ((left_name, left), (right_name, right)) in left_children.iter().zip(&right_children) {
        let same = left_name == right_name
            && match relation {
                Relation::Equal => match equal(machine, left, right)? {
                    Some(same) => same,
                    None => {
                        known = false;
                        true
                    }
                },
                Relation::Equivalent => equivalent(machine, left, right)?,
            };
        if !same {
            return Ok(Some(false));
        }
    }
    Ok(known.then_some(true))
}

/// The children by the path names of their elements; no two elements of a structure have one name.
fn named_children<'a>(node: &Node<'a>, found: &mut Vec<(&'static str, Collection<'a>)>) {
    let Some(structure) = node.structure else { return };
    for element in structure.elements() {
        let mut children = Collection::empty();
        navigate::member(&Item::Node(*node), element.name, &mut children);
        if !children.is_empty() {
            found.push((element.name, children));
        }
    }
}
