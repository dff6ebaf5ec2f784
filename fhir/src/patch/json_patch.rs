//! JSON Patch (RFC 6902): reads the operations and carries them out.

use super::edit;
use super::equal::equal;
use super::pointer::{Place, Pointer};
use super::{Applied, Described, OPERATIONS_MAX, PatchError, PatchErrorKind};
use crate::json::{Document, Kind, Limits, Splice, Value};

/// One operation (RFC 6902 section 4).
#[derive(Debug, Clone)]
pub(super) struct JsonOperation {
    path: Pointer,
    kind: OperationKind,
}

#[derive(Debug, Clone)]
enum OperationKind {
    Add(String),
    Remove,
    Replace(String),
    Move(Pointer),
    Copy(Pointer),
    Test(Document),
}

/// Reads all operations. Members that RFC 6902 does not define are passed over, as its section 4 says.
pub(super) fn read(root: Value<'_>) -> Result<Vec<JsonOperation>, PatchError> {
    if root.kind() != Kind::Array {
        return Err(PatchError::whole(PatchErrorKind::Malformed("an array of operations")));
    }
    if root.len() > OPERATIONS_MAX {
        return Err(PatchError::whole(PatchErrorKind::TooMany));
    }
    let operations = root.items().enumerate();
    operations
        .map(|(index, operation)| {
            read_one(operation).map_err(|kind| PatchError {
                operation: Some(index),
                path: String::new(),
                kind,
            })
        })
        .collect()
}

fn read_one(operation: Value<'_>) -> Result<JsonOperation, PatchErrorKind> {
    if operation.kind() != Kind::Object {
        return Err(PatchErrorKind::Malformed("an object for each operation"));
    }
    let pointer = |name: &'static str| {
        let member = operation.get(name).ok_or(PatchErrorKind::Missing(name))?;
        let text = member.as_str().ok_or(PatchErrorKind::Malformed("a string as JSON pointer"))?;
        Pointer::parse(&text)
    };
    let value = || operation.get("value").ok_or(PatchErrorKind::Missing("value"));
    let code = operation.get("op").ok_or(PatchErrorKind::Missing("op"))?.as_str();
    let kind = match code.as_deref() {
        Some("add") => OperationKind::Add(value()?.raw().to_owned()),
        Some("remove") => OperationKind::Remove,
        Some("replace") => OperationKind::Replace(value()?.raw().to_owned()),
        Some("move") => OperationKind::Move(pointer("from")?),
        Some("copy") => OperationKind::Copy(pointer("from")?),
        Some("test") => {
            let expected = Document::parse(value()?.raw(), &Limits::default());
            OperationKind::Test(expected.map_err(|_never| PatchErrorKind::Broken)?)
        }
        _ => return Err(PatchErrorKind::Malformed("add, remove, replace, move, copy or test as op")),
    };
    Ok(JsonOperation { path: pointer("path")?, kind })
}

impl Described for JsonOperation {
    fn path(&self) -> String {
        // A pointer is made of names and indices; a long one is no help.
        self.path.text().chars().filter(|character| !character.is_control()).take(200).collect()
    }
}

impl JsonOperation {
    /// Carries out the operation.
    pub(super) fn apply(&self, document: &Document) -> Applied {
        let root = document.root();
        match &self.kind {
            OperationKind::Add(json) => add(document, &self.path, json).map(Some),
            OperationKind::Remove => remove(document, &self.path).map(Some),
            OperationKind::Replace(json) => {
                let mut splice = Splice::new();
                splice.replace(self.path.value(root)?.span(), json.as_str());
                finish(splice, document).map(Some)
            }
            OperationKind::Move(from) => self.r#move(document, from),
            OperationKind::Copy(from) => add(document, &self.path, from.value(root)?.raw()).map(Some),
            OperationKind::Test(expected) => match equal(self.path.value(root)?, expected.root()) {
                true => Ok(None),
                false => Err(PatchErrorKind::TestFailed),
            },
        }
    }

    /// A remove and an add (RFC 6902 section 4.4).
    fn r#move(&self, document: &Document, from: &Pointer) -> Applied {
        let value = from.value(document.root())?;
        if self.path.is_inside(from) {
            return Err(PatchErrorKind::IntoItself);
        }
        if self.path == *from {
            return Ok(None);
        }
        let removed = super::parse(remove(document, from)?)?;
        add(&removed, &self.path, value.raw()).map(Some)
    }
}

fn add(document: &Document, path: &Pointer, json: &str) -> Result<Vec<u8>, PatchErrorKind> {
    let mut splice = Splice::new();
    match path.place(document.root())? {
        Place::Root(root) => splice.replace(root.span(), json),
        Place::Member(object, name) => match object.get(name) {
            Some(old) => splice.replace(old.span(), json),
            None => edit::append_members(&mut splice, object, &[(name.to_owned(), json.to_owned())]),
        },
        Place::Item(array, index) if index <= array.len() => edit::insert(&mut splice, array, index, json),
        Place::Item(..) => return Err(PatchErrorKind::BadIndex),
    }
    finish(splice, document)
}

fn remove(document: &Document, path: &Pointer) -> Result<Vec<u8>, PatchErrorKind> {
    let mut splice = Splice::new();
    let place = path.place(document.root())?;
    let value = place.value().ok_or(PatchErrorKind::NotFound)?;
    match place {
        Place::Root(_) => return Err(PatchErrorKind::WholeDocument),
        Place::Member(parent, _) | Place::Item(parent, _) => edit::remove(&mut splice, parent, value),
    }
    finish(splice, document)
}

fn finish(splice: Splice, document: &Document) -> Result<Vec<u8>, PatchErrorKind> {
    splice.apply_to(document).map_err(|_never| PatchErrorKind::Broken)
}
