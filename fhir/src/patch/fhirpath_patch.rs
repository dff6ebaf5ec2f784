//! FHIRPath Patch (R4 fhirpatch.html): reads Parameters into operations and carries them out.

mod content;
mod element;
mod list;
mod target;

use content::Content;
use target::{Found, List};

use super::{Applied, Described, OPERATIONS_MAX, PatchError, PatchErrorKind};
use crate::fhirpath::Expression;
use crate::json::{Document, Kind, Splice, Value};

/// Steps of evaluation for all paths of a patch together: some tenths of a second.
pub(super) const STEPS_MAX: u64 = 2_000_000;

/// One operation.
#[derive(Debug, Clone)]
pub(super) struct FhirPathOperation {
    path: Expression,
    /// The path without its literals, for errors.
    shown: String,
    kind: OperationKind,
}

#[derive(Debug, Clone)]
enum OperationKind {
    Add { name: String, content: Content },
    Insert { index: usize, content: Content },
    Delete,
    Replace { content: Content },
    Move { source: usize, destination: usize },
}

/// Reads all operations.
pub(super) fn read(root: Value<'_>) -> Result<Vec<FhirPathOperation>, PatchError> {
    if root.get("resourceType").and_then(Value::as_str).as_deref() != Some("Parameters") {
        return Err(PatchError::whole(PatchErrorKind::Malformed("the resource Parameters")));
    }
    let parameters = match root.get("parameter") {
        None => return Ok(Vec::new()),
        Some(parameters) if parameters.kind() == Kind::Array => parameters,
        Some(_) => return Err(PatchError::whole(PatchErrorKind::Malformed("an array of parameters"))),
    };
    if parameters.len() > OPERATIONS_MAX {
        return Err(PatchError::whole(PatchErrorKind::TooMany));
    }
    let all = parameters.items().enumerate();
    all.map(|(index, parameter)| {
        read_one(parameter).map_err(|kind| PatchError { operation: Some(index), path: String::new(), kind })
    })
    .collect()
}

fn read_one(parameter: Value<'_>) -> Result<FhirPathOperation, PatchErrorKind> {
    if text(parameter, "name").as_deref() != Some("operation") {
        return Err(PatchErrorKind::Malformed("parameters of the name operation"));
    }
    let parts = Parts::read(parameter)?;
    let content = || Content::read(parts.get("value")?);
    let kind = match parts.text("type")?.as_str() {
        "add" => OperationKind::Add { name: parts.text("name")?, content: content()? },
        "insert" => OperationKind::Insert { index: parts.index("index")?, content: content()? },
        "delete" => OperationKind::Delete,
        "replace" => OperationKind::Replace { content: content()? },
        "move" => {
            OperationKind::Move { source: parts.index("source")?, destination: parts.index("destination")? }
        }
        _ => return Err(PatchErrorKind::Malformed("add, insert, delete, replace or move as type")),
    };
    let path = parts.text("path")?;
    let expression =
        Expression::parse(&path).map_err(|error| PatchErrorKind::Expression(error.to_string()))?;
    Ok(FhirPathOperation { path: expression, shown: shown(&path), kind })
}

/// The parts of one operation, each at most once.
struct Parts<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Parts<'a> {
    fn read(parameter: Value<'a>) -> Result<Self, PatchErrorKind> {
        const NAMES: [&str; 7] = ["type", "path", "name", "value", "index", "source", "destination"];
        const WANTED: &str =
            "parts of the names type, path, name, value, index, source and destination, each once";
        let mut parts: Vec<(&'static str, Value<'a>)> = Vec::new();
        for part in parameter.get("part").into_iter().flat_map(Value::items) {
            let name = text(part, "name").unwrap_or_default();
            let known = NAMES.into_iter().find(|known| *known == name);
            match known {
                Some(known) if parts.iter().all(|(other, _)| *other != known) => parts.push((known, part)),
                _ => return Err(PatchErrorKind::Malformed(WANTED)),
            }
        }
        Ok(Self(parts))
    }

    fn get(&self, name: &'static str) -> Result<Value<'a>, PatchErrorKind> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, part)| *part).ok_or(PatchErrorKind::Missing(name))
    }

    /// A string or a code.
    fn text(&self, name: &'static str) -> Result<String, PatchErrorKind> {
        let part = self.get(name)?;
        let value = ["valueString", "valueCode"].into_iter().find_map(|member| text(part, member));
        value.ok_or(PatchErrorKind::Malformed("a valueString or valueCode for type, path and name"))
    }

    /// A place in a list, from 0.
    fn index(&self, name: &'static str) -> Result<usize, PatchErrorKind> {
        let part = self.get(name)?;
        let value = ["valueInteger", "valueUnsignedInt", "valuePositiveInt"]
            .into_iter()
            .find_map(|member| part.get(member))
            .and_then(Value::number);
        let index = value.and_then(|number| number.parse().ok());
        index.ok_or(PatchErrorKind::Malformed("a valueInteger from 0 for index, source and destination"))
    }
}

fn text(of: Value<'_>, name: &str) -> Option<String> {
    of.get(name).and_then(Value::as_str).map(std::borrow::Cow::into_owned)
}

/// A path up to its first literal or argument, which may hold data of a patient.
fn shown(path: &str) -> String {
    let plain: String =
        path.chars().take_while(|c| !matches!(c, '\'' | '(' | '@' | '=' | '"')).take(200).collect();
    if plain.len() < path.len() { format!("{plain}…") } else { plain }
}

impl Described for FhirPathOperation {
    fn path(&self) -> String {
        self.shown.clone()
    }
}

impl FhirPathOperation {
    /// Carries out the operation.
    pub(super) fn apply(&self, document: &Document, steps_max: u64) -> Applied {
        let root = document.root();
        let found = target::evaluate(&self.path, root, steps_max)?;
        let mut splice = Splice::new();
        match &self.kind {
            OperationKind::Add { name, content } => {
                let owner = single(&found)?;
                element::add(&mut splice, root, owner, name, content)?;
            }
            OperationKind::Insert { index, content } => {
                let list = match found.is_empty() {
                    true => target::empty_list(&self.path, root, steps_max)?,
                    false => List::of(root, &found)?,
                };
                element::insert(&mut splice, &list, *index, content)?;
            }
            // "if found" (R4 fhirpatch.html): what is not there need not be deleted.
            OperationKind::Delete if found.is_empty() => return Ok(None),
            OperationKind::Delete => element::delete(&mut splice, root, single(&found)?)?,
            OperationKind::Replace { content } => {
                element::replace(&mut splice, root, single(&found)?, content)?;
            }
            OperationKind::Move { source, destination } => {
                if found.is_empty() {
                    return Err(PatchErrorKind::NotFound);
                }
                List::of(root, &found)?.r#move(&mut splice, *source, *destination)?;
            }
        }
        if splice.is_empty() {
            return Ok(None);
        }
        splice.apply_to(document).map(Some).map_err(|_never| PatchErrorKind::Broken)
    }
}

fn single<'f, 'd>(found: &'f [Found<'d>]) -> Result<&'f Found<'d>, PatchErrorKind> {
    match found {
        [one] => Ok(one),
        [] => Err(PatchErrorKind::NotFound),
        many => Err(PatchErrorKind::Several(many.len())),
    }
}
