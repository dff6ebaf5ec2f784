//! Edits of one value in its object or array, as splices that keep the layout around it.

use crate::json::{Splice, Value, quote};

/// Removes an item of an array or a member of an object, with the comma that goes with it.
pub(super) fn remove(splice: &mut Splice, parent: Value<'_>, child: Value<'_>) {
    let children: Vec<Value<'_>> = children(parent).collect();
    let at = children.iter().position(|other| other.same_place(child)).unwrap_or(children.len());
    let own = whole(child);
    let before = at.checked_sub(1).and_then(|before| children.get(before));
    let span = match (children.get(at + 1), before) {
        (Some(next), _) => own.start..whole(*next).start,
        (None, Some(before)) => before.span().end..own.end,
        (None, None) => own,
    };
    splice.replace(span, Vec::new());
}

/// Inserts an item into an array, before the one that is at the index now, or behind the last.
pub(super) fn insert(splice: &mut Splice, array: Value<'_>, index: usize, json: &str) {
    let lead = lead(array);
    let mut text = Vec::with_capacity(json.len() + lead.len() + 1);
    match (array.items().nth(index), array.items().last()) {
        (Some(next), _) => {
            text.extend_from_slice(json.as_bytes());
            text.push(b',');
            text.extend_from_slice(lead.as_bytes());
            splice.replace(next.span().start..next.span().start, text);
        }
        (None, Some(last)) => {
            text.push(b',');
            text.extend_from_slice(lead.as_bytes());
            text.extend_from_slice(json.as_bytes());
            splice.replace(last.span().end..last.span().end, text);
        }
        (None, None) => splice.replace(inside(array), json),
    }
}

/// Adds members behind the last one of an object.
pub(super) fn append_members(splice: &mut Splice, object: Value<'_>, new: &[(String, String)]) {
    let spaced = object.members().next().is_some_and(|(_, first)| has_space_after_colon(first));
    let lead = lead(object);
    let mut text = Vec::new();
    for (name, json) in new {
        if !text.is_empty() || !object.is_empty() {
            text.push(b',');
            text.extend_from_slice(lead.as_bytes());
        }
        text.extend_from_slice(&quote(name));
        text.extend_from_slice(if spaced { b": " } else { b":" });
        text.extend_from_slice(json.as_bytes());
    }
    match object.members().last() {
        Some((_, last)) => splice.replace(last.span().end..last.span().end, text),
        None => splice.replace(inside(object), text),
    }
}

/// Puts the items of an array into another order: `order` says for each place which item comes to stand there. The
/// layout between them stays where it is.
pub(super) fn reorder(splice: &mut Splice, array: Value<'_>, order: &[usize]) {
    let items: Vec<Value<'_>> = array.items().collect();
    for (place, from) in order.iter().enumerate() {
        if let (Some(old), Some(new), true) = (items.get(place), items.get(*from), place != *from) {
            splice.replace(old.span(), new.raw());
        }
    }
}

/// The items of an array or the values of an object's members.
pub(super) fn children(parent: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    parent.items().chain(parent.members().map(|(_, value)| value))
}

/// A member with its name, or an item.
fn whole(child: Value<'_>) -> std::ops::Range<usize> {
    child.member_span().unwrap_or_else(|| child.span())
}

/// Everything between the brackets.
fn inside(container: Value<'_>) -> std::ops::Range<usize> {
    let span = container.span();
    span.start + 1..span.end.saturating_sub(1)
}

/// The white space before the first child: what stands before a new one too.
fn lead(container: Value<'_>) -> &str {
    let start = container.span().start + 1;
    let end = children(container).next().map_or(start, |first| whole(first).start);
    container.document().text().get(start..end).unwrap_or_default()
}

fn has_space_after_colon(member: Value<'_>) -> bool {
    let start = member.span().start;
    start.checked_sub(1).and_then(|at| member.document().text().as_bytes().get(at)) == Some(&b' ')
}
