//! What an operation puts into a resource: the part `value`, as a typed value, a resource, or parts of its own.

use super::PatchErrorKind;
use super::element::{Rendered, members};
use crate::definitions::{Element, ElementType, Structure, StructureKind, r4};
use crate::json::Value;

/// The content of a part.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// `value[x]`: its type, and the literals of value and companion.
    Typed { code: &'static str, is_primitive: bool, value: Option<String>, companion: Option<String> },
    /// `resource`, for elements such as `contained`.
    Resource(String),
    /// `part`: an element of a type that `value[x]` cannot have, member by member.
    Parts(Vec<(String, Content)>),
}

/// An element of a structure with the one type that a content gives it.
pub(super) struct Fit {
    pub(super) element: &'static Element,
    pub(super) element_type: &'static ElementType,
}

const WANTED: &str = "one value[x], resource or part in each part that has a value";

impl Content {
    /// Reads a part. Its depth is bounded by the parser's limit.
    pub(super) fn read(part: Value<'_>) -> Result<Self, PatchErrorKind> {
        let mut content: Option<Self> = None;
        for (name, member) in part.members() {
            let next = match name.as_ref() {
                "name" | "id" | "extension" | "modifierExtension" | "_name" => continue,
                "resource" => Self::Resource(member.raw().to_owned()),
                "part" => Self::Parts(member.items().map(named).collect::<Result<_, _>>()?),
                _ => {
                    let is_other_half =
                        name.starts_with('_') && part.get(name.trim_start_matches('_')).is_some();
                    if is_other_half {
                        continue;
                    }
                    typed(part, &name)?
                }
            };
            if content.replace(next).is_some() {
                return Err(PatchErrorKind::Malformed(WANTED));
            }
        }
        content.ok_or(PatchErrorKind::Malformed(WANTED))
    }

    /// The element of this name, and its type for this content.
    pub(super) fn fit(&self, structure: &'static Structure, name: &str) -> Result<Fit, PatchErrorKind> {
        let name = name.strip_suffix("[x]").unwrap_or(name);
        let fit = match structure.element_by_path_name(name) {
            Some(element) if element.is_choice => {
                let Self::Typed { code, .. } = self else { return Err(PatchErrorKind::WrongType) };
                let chosen = element.types.iter().find(|one| one.code == *code);
                Fit { element, element_type: chosen.ok_or(PatchErrorKind::WrongType)? }
            }
            Some(element) => {
                let only = element.types.first().ok_or(PatchErrorKind::UnknownElement)?;
                Fit { element, element_type: only }
            }
            // Choices are known by their names with a type too: valueQuantity.
            None => {
                let hit = structure.element(name).filter(|hit| !hit.is_companion);
                let hit = hit.ok_or(PatchErrorKind::UnknownElement)?;
                Fit { element: hit.element, element_type: hit.element_type }
            }
        };
        if self.is_of(fit.element_type) { Ok(fit) } else { Err(PatchErrorKind::WrongType) }
    }

    /// Whether an element of this type can have the content. Whether the literal of a primitive suits is for the
    /// validation of the whole: many clients send any primitive as valueString.
    fn is_of(&self, element_type: &ElementType) -> bool {
        let structure = r4().structure_of(element_type);
        match self {
            Self::Typed { is_primitive: true, .. } => element_type.is_primitive,
            Self::Typed { code, .. } => r4().is_a(code, element_type.code),
            Self::Resource(_) => structure.is_resource(),
            Self::Parts(_) => matches!(structure.kind, StructureKind::Complex | StructureKind::Backbone),
        }
    }

    /// The content as JSON.
    pub(super) fn render(&self, element_type: &'static ElementType) -> Result<Rendered, PatchErrorKind> {
        Ok(match self {
            Self::Typed { value, companion, .. } => {
                Rendered { value: value.clone(), companion: companion.clone() }
            }
            Self::Resource(json) => Rendered { value: Some(json.clone()), companion: None },
            Self::Parts(parts) => {
                let json = object(parts, r4().structure_of(element_type))?;
                Rendered { value: Some(json), companion: None }
            }
        })
    }
}

fn named(part: Value<'_>) -> Result<(String, Content), PatchErrorKind> {
    let name = super::text(part, "name").ok_or(PatchErrorKind::Missing("name"))?;
    Ok((name, Content::read(part)?))
}

/// A member `valueX` or, alone, `_valueX`.
fn typed(part: Value<'_>, member: &str) -> Result<Content, PatchErrorKind> {
    let plain = member.trim_start_matches('_');
    let structure = r4().structure("Parameters.parameter").ok_or(PatchErrorKind::Broken)?;
    let hit = structure.element(plain).filter(|hit| hit.element.is_choice);
    let element_type = hit.ok_or(PatchErrorKind::Malformed(WANTED))?.element_type;
    let raw = |name: &str| part.get(name).map(|value| value.raw().to_owned());
    let companion = if element_type.is_primitive { raw(&format!("_{plain}")) } else { None };
    Ok(Content::Typed {
        code: element_type.code,
        is_primitive: element_type.is_primitive,
        value: raw(plain),
        companion,
    })
}

/// Parts as an object of a type: those of one name become its list.
fn object(parts: &[(String, Content)], structure: &'static Structure) -> Result<String, PatchErrorKind> {
    let mut grouped: Vec<(Fit, Vec<Rendered>)> = Vec::new();
    for (name, content) in parts {
        let fit = content.fit(structure, name)?;
        let rendered = content.render(fit.element_type)?;
        let same = grouped.iter_mut().find(|(other, _)| other.element.order == fit.element.order);
        match same {
            Some((_, items)) if fit.element.is_array() => items.push(rendered),
            Some(_) => return Err(PatchErrorKind::Exists),
            None => grouped.push((fit, vec![rendered])),
        }
    }
    let all = grouped.iter().flat_map(|(fit, items)| members(fit, items));
    let all: Vec<String> = all.map(|(name, json)| format!("\"{name}\":{json}")).collect();
    Ok(format!("{{{}}}", all.join(",")))
}
