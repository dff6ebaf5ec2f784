//! What a path names: elements of the resource, and where in the JSON each of them stands.

use super::PatchErrorKind;
use crate::definitions::Structure;
use crate::fhirpath::{Checking, Compiled, Context, EvalErrorKind, Expression, ExpressionKind, Limits, Node};
use crate::json::{Kind, Value};

/// An element that a path names.
#[derive(Clone, Copy)]
pub(super) struct Found<'d> {
    /// Its value, companion and type.
    pub(super) node: Node<'d>,
}

/// Where an element stands: the object that has it, the name of its member there, and its place where that is an array.
pub(super) struct Spot<'d> {
    /// The values from the root down to the object, which is the last.
    pub(super) ancestors: Vec<Value<'d>>,
    /// Without the underscore of a companion.
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

impl<'d> Spot<'d> {
    /// The object that has the element.
    pub(super) fn object(&self) -> Result<Value<'d>, PatchErrorKind> {
        self.ancestors.last().copied().ok_or(PatchErrorKind::WholeDocument)
    }
}

/// A list that an operation works on.
pub(super) struct List<'d> {
    /// The object that has it.
    pub(super) object: Value<'d>,
    /// The type of that object.
    pub(super) structure: &'static Structure,
    /// The name of its member there.
    pub(super) name: String,
}

/// Evaluates a path on a resource.
pub(super) fn evaluate<'d>(
    path: &Expression,
    root: Value<'d>,
    steps_max: u64,
) -> Result<Vec<Found<'d>>, PatchErrorKind> {
    let unusable = |error: String| PatchErrorKind::Expression(error);
    let type_name = root.get("resourceType").and_then(Value::as_str);
    let compiled = Compiled::from_expression(path, type_name.as_deref(), Checking::Members)
        .map_err(|error| unusable(error.to_string()))?;
    let limits = Limits { steps_max, ..Limits::default() };
    let context = Context::of(root).with_limits(limits).with_filtering_as();
    let collection = compiled.evaluate(root, &context).map_err(|error| match error.kind {
        EvalErrorKind::TooManySteps | EvalErrorKind::TooLarge => PatchErrorKind::TooCostly,
        _ => unusable(error.to_string()),
    })?;
    let found = collection.iter().map(|item| {
        let node = item.node().ok_or(PatchErrorKind::NoElement)?;
        let counterpart = |value: Option<Value<'_>>| value.and_then(|value| root.counterpart(value));
        let (value, companion) = (counterpart(node.value()), counterpart(node.companion()));
        if value.is_none() && companion.is_none() {
            return Err(PatchErrorKind::NoElement);
        }
        Ok(Found { node: Node::with_companion(value, companion, node.structure()) })
    });
    found.collect()
}

/// The list that a path like `Patient.identifier` names where it has no items yet.
pub(super) fn empty_list<'d>(
    path: &Expression,
    root: Value<'d>,
    steps_max: u64,
) -> Result<List<'d>, PatchErrorKind> {
    let ExpressionKind::Member { base: Some(base), name } = &path.kind else {
        return Err(PatchErrorKind::NotFound);
    };
    let owners = evaluate(base, root, steps_max)?;
    let owner = super::single(&owners)?;
    let structure = owner.node.structure().ok_or(PatchErrorKind::UnknownElement)?;
    let object = owner.node.value().filter(|value| value.kind() == Kind::Object);
    Ok(List { object: object.ok_or(PatchErrorKind::NotFound)?, structure, name: name.to_string() })
}

/// Finds where an element stands.
pub(super) fn spot<'d>(root: Value<'d>, found: &Found<'d>) -> Result<Spot<'d>, PatchErrorKind> {
    let wanted = found.node.value().or_else(|| found.node.companion()).ok_or(PatchErrorKind::NoElement)?;
    let mut way = vec![root];
    // Each step goes one level down, and the parser bounds the levels.
    while let Some(at) = way.last().copied().filter(|at| !at.same_place(wanted)) {
        let around = |child: &Value<'_>| {
            let (outer, inner) = (child.span(), wanted.span());
            outer.start <= inner.start && inner.end <= outer.end
        };
        let next = super::super::edit::children(at).find(around);
        way.push(next.ok_or(PatchErrorKind::NoElement)?);
    }
    let element = way.pop().ok_or(PatchErrorKind::NoElement)?;
    let parent = way.last().copied().ok_or(PatchErrorKind::WholeDocument)?;
    let (member, index) = match parent.kind() {
        Kind::Array => {
            way.pop();
            (parent, parent.items().position(|item| item.same_place(element)))
        }
        _ => (element, None),
    };
    let name = member.name().ok_or(PatchErrorKind::NoElement)?;
    let name = name.strip_prefix('_').unwrap_or(&name).to_owned();
    Ok(Spot { ancestors: way, name, index })
}

impl<'d> List<'d> {
    /// The list that these elements are all items of.
    pub(super) fn of(root: Value<'d>, found: &[Found<'d>]) -> Result<Self, PatchErrorKind> {
        let mut list: Option<Self> = None;
        for (place, item) in found.iter().enumerate() {
            let spot = spot(root, item)?;
            let object = spot.object()?;
            let is_next = spot.index == Some(place);
            match &list {
                None if is_next => {
                    let structure = structure_of(root, &spot)?;
                    list = Some(Self { object, structure, name: spot.name });
                }
                Some(list) if is_next && list.object.same_place(object) && list.name == spot.name => {}
                _ => return Err(PatchErrorKind::NotAList),
            }
        }
        let list = list.ok_or(PatchErrorKind::NotFound)?;
        if found.len() == list.len() { Ok(list) } else { Err(PatchErrorKind::NotAList) }
    }
}

/// The type of the object that has an element: followed down from the resource that the object is in.
pub(super) fn structure_of(root: Value<'_>, spot: &Spot<'_>) -> Result<&'static Structure, PatchErrorKind> {
    let r4 = crate::definitions::r4();
    let unknown = PatchErrorKind::UnknownElement;
    let mut structure: Option<&'static Structure> = None;
    let mut member: Option<std::borrow::Cow<'_, str>> = None;
    debug_assert!(
        spot.ancestors.first().is_some_and(|first| first.same_place(root)),
        "the way starts at the root"
    );
    for at in &spot.ancestors {
        member = at.name().or(member);
        if at.kind() != Kind::Object {
            continue;
        }
        let says = at.get("resourceType").and_then(Value::as_str);
        let by_name = structure.zip(member.as_deref()).and_then(|(parent, name)| parent.element(name));
        let by_name = by_name.map(|hit| r4.structure_of(hit.element_type));
        // A resource inside another one has the type that it says itself.
        structure = match by_name {
            Some(structure) if !structure.is_resource() => Some(structure),
            _ => says.and_then(|name| r4.resource(&name)),
        };
        if structure.is_none() {
            return Err(unknown);
        }
        member = None;
    }
    structure.ok_or(unknown)
}
