//! The operations on elements: primitives with their companions, and lists of both, as JSON has them (R4 json.html).

use super::PatchErrorKind;
use super::content::{Content, Fit};

use super::target::{Found, List, Spot, spot, structure_of};
use crate::definitions::{StructureKind, r4};
use crate::json::{Kind, Splice, Value};
use crate::patch::edit;

/// An element as JSON: its value, and the companion that holds id and extensions of a primitive.
#[derive(Debug, Clone)]
pub(super) struct Rendered {
    pub(super) value: Option<String>,
    pub(super) companion: Option<String>,
}

/// The one or two members that an element is in its object.
pub(super) fn members(fit: &Fit, items: &[Rendered]) -> Vec<(String, String)> {
    let name = fit.element_type.json_name;
    let is_array = fit.element.is_array();
    let halves: [(String, Vec<Option<&str>>); 2] = [
        (name.to_owned(), items.iter().map(|item| item.value.as_deref()).collect()),
        (format!("_{name}"), items.iter().map(|item| item.companion.as_deref()).collect()),
    ];
    let present = halves.into_iter().filter(|(_, half)| half.iter().any(Option::is_some));
    present
        .map(|(name, half)| {
            let texts: Vec<&str> = half.iter().map(|one| one.unwrap_or("null")).collect();
            let json = if is_array { format!("[{}]", texts.join(",")) } else { texts.concat() };
            (name, json)
        })
        .collect()
}

/// Adds an element to the one at the path: behind the last of a list, or where there is none yet.
pub(super) fn add<'d>(
    splice: &mut Splice,
    root: Value<'d>,
    owner: &Found<'d>,
    name: &str,
    content: &Content,
) -> Result<(), PatchErrorKind> {
    let structure = owner.node.structure().ok_or(PatchErrorKind::UnknownElement)?;
    let fit = content.fit(structure, name)?;
    let rendered = content.render(fit.element_type)?;
    let object = match structure.kind {
        StructureKind::Primitive => owner.node.companion(),
        _ => owner.node.value().filter(|value| value.kind() == Kind::Object),
    };
    let Some(object) = object else {
        // A primitive that has no id or extension yet.
        let new = members(&fit, &[rendered]).into_iter().map(|(name, json)| format!("\"{name}\":{json}"));
        let companion = format!("{{{}}}", new.collect::<Vec<_>>().join(","));
        return add_companion(splice, root, owner, companion);
    };
    if fit.element.is_array() {
        let list = List { object, structure, name: fit.element_type.json_name.to_owned() };
        return list.insert(splice, list.len(), &fit, rendered);
    }
    let has = |name: &str| object.get(name).is_some() || object.get(&format!("_{name}")).is_some();
    if fit.element.types.iter().any(|one| has(one.json_name)) {
        return Err(PatchErrorKind::Exists);
    }
    edit::append_members(splice, object, &members(&fit, &[rendered]));
    Ok(())
}

fn add_companion<'d>(
    splice: &mut Splice,
    root: Value<'d>,
    owner: &Found<'d>,
    companion: String,
) -> Result<(), PatchErrorKind> {
    let value = owner.node.value().ok_or(PatchErrorKind::NoElement)?;
    let spot = spot(root, owner)?;
    let structure = structure_of(root, &spot)?;
    let hit = structure.element(&spot.name).ok_or(PatchErrorKind::UnknownElement)?;
    let fit = Fit { element: hit.element, element_type: hit.element_type };
    put(splice, &spot, &fit, Rendered { value: Some(value.raw().to_owned()), companion: Some(companion) })
}

/// Inserts an element into a list.
pub(super) fn insert(
    splice: &mut Splice,
    list: &List<'_>,
    index: usize,
    content: &Content,
) -> Result<(), PatchErrorKind> {
    let fit = content.fit(list.structure, &list.name)?;
    if !fit.element.is_array() {
        return Err(PatchErrorKind::NotAList);
    }
    let rendered = content.render(fit.element_type)?;
    list.insert(splice, index, &fit, rendered)
}

/// Puts another element in the place of the one at the path; a choice may change its type.
pub(super) fn replace<'d>(
    splice: &mut Splice,
    root: Value<'d>,
    found: &Found<'d>,
    content: &Content,
) -> Result<(), PatchErrorKind> {
    let spot = spot(root, found)?;
    let structure = structure_of(root, &spot)?;
    let old = structure.element(&spot.name).ok_or(PatchErrorKind::UnknownElement)?;
    let fit = content.fit(structure, old.element.name)?;
    let rendered = content.render(fit.element_type)?;
    put(splice, &spot, &fit, rendered)
}

fn put(splice: &mut Splice, spot: &Spot<'_>, fit: &Fit, rendered: Rendered) -> Result<(), PatchErrorKind> {
    let object = spot.object()?;
    match spot.index {
        Some(index) => {
            let list =
                List { object, structure: r4().structure_of(fit.element_type), name: spot.name.clone() };
            list.replace(splice, index, fit, rendered);
        }
        None => set_members(splice, object, &spot.name, &members(fit, &[rendered])),
    }
    Ok(())
}

/// Removes the element at the path, and what would be empty without it: R4 allows no empty objects and arrays.
pub(super) fn delete<'d>(
    splice: &mut Splice,
    root: Value<'d>,
    found: &Found<'d>,
) -> Result<(), PatchErrorKind> {
    let mut spot = spot(root, found)?;
    let structure = structure_of(root, &spot)?;
    let object = spot.object()?;
    let list = List { object, structure, name: spot.name.clone() };
    if let (Some(index), true) = (spot.index, list.len() > 1) {
        list.delete(splice, index);
        return Ok(());
    }
    let companion = format!("_{}", spot.name);
    let names = [spot.name.as_str(), companion.as_str()];
    let own = names.iter().filter(|name| object.get(name).is_some()).count();
    if object.len() > own || spot.ancestors.len() < 2 {
        splice.remove_members(object, &names);
        return Ok(());
    }
    // The object would be empty: what holds nothing else goes with it, but for the resource itself.
    let mut emptied = spot.ancestors.pop().ok_or(PatchErrorKind::WholeDocument)?;
    while let Some(parent) = spot.ancestors.pop() {
        if parent.len() > 1 || spot.ancestors.is_empty() {
            edit::remove(splice, parent, emptied);
            break;
        }
        emptied = parent;
    }
    Ok(())
}

/// Replaces the one or two members of an element by others, in the same place of the object.
pub(super) fn set_members(splice: &mut Splice, object: Value<'_>, name: &str, new: &[(String, String)]) {
    let names = [name.to_owned(), format!("_{name}")];
    let old: Vec<Value<'_>> = names.iter().filter_map(|name| object.get(name)).collect();
    let is_named_alike = old.len() == new.len()
        && old.iter().zip(new).all(|(old, (name, _))| old.name().as_deref() == Some(name));
    if is_named_alike {
        for (old, (_, json)) in old.iter().zip(new) {
            splice.replace(old.span(), json.as_str());
        }
        return;
    }
    let Some((anchor, others)) = old.split_first() else { return edit::append_members(splice, object, new) };
    let texts: Vec<String> = new.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    splice.replace(anchor.member_span().unwrap_or_else(|| anchor.span()), texts.join(","));
    for other in others {
        edit::remove(splice, object, *other);
    }
}
