//! What a workspace or a service does not say itself it has from above: a service from its workspace, a workspace from
//! the top of the file.
//!
//! A section of a service may stand in its workspace or at the top, a section of a workspace at the top. Tables are
//! merged name by name; anything else, lists too, is taken whole from where it is said nearest.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::settings::Settings;
use super::tree::{Entry, Node, Place, Table, Value};
use super::workspace::{ServiceSettings, WorkspaceSettings};

/// What only one service says. Roles in a workspace are had at its services as they are.
const OWN_OF_SERVICE: [&str; 3] = ["kind", "public_url", "role_assignments"];
/// What only one workspace says.
const OWN_OF_WORKSPACE: [&str; 1] = ["services"];

/// Completes the settings that were read: afterwards every service and every workspace says everything that holds for it,
/// and nothing stands above that belongs to them.
pub(super) fn complete(root: &mut Node) {
    let place = root.place.clone();
    let Some(top) = root.table_mut() else { return };
    let of_workspace = sections_of_workspace();
    let of_service = sections_of_service();
    let mut inherited = Table::default();
    for name in of_workspace.iter().chain(&of_service) {
        if !fields_of::<Settings>().contains(name) {
            inherited.0.extend(top.take(name));
        }
    }
    if top.get("workspaces").is_none() {
        let default = top.entry("workspaces", &place);
        default.set("default", Node::empty(place.clone()));
    }
    let workspaces = top.get_mut("workspaces").and_then(Node::table_or_empty);
    for workspace in workspaces.into_iter().flat_map(|table| &mut table.0) {
        complete_workspace(&mut workspace.node, &inherited, (&of_workspace, &of_service));
    }
}

fn complete_workspace(
    workspace: &mut Node,
    inherited: &Table,
    (of_workspace, of_service): (&[&'static str], &[&'static str]),
) {
    let place = workspace.place.clone();
    let Some(own) = workspace.table_or_empty() else { return };
    for entry in &inherited.0 {
        inherit(own, entry);
    }
    // What belongs to services only goes on to them; what both have stays as well.
    let mut onwards = Table::default();
    for name in of_service {
        if of_workspace.contains(name) {
            onwards.0.extend(own.0.iter().find(|entry| entry.name == *name).cloned());
        } else {
            onwards.0.extend(own.take(name));
        }
    }
    if own.get("services").is_none() {
        let kind = Node { value: Value::Text("fhir".to_owned()), place: place.clone() };
        own.entry("services", &place).set("fhir.kind", kind);
    }
    let services = own.get_mut("services").and_then(Node::table_mut);
    for service in services.into_iter().flat_map(|table| &mut table.0) {
        let Some(own) = service.node.table_or_empty() else { continue };
        for entry in &onwards.0 {
            inherit(own, entry);
        }
    }
}

/// Gives a table what it does not say itself.
fn inherit(own: &mut Table, above: &Entry) {
    match own.get_mut(&above.name) {
        Some(there) if matches!(there.value, Value::Nothing) => *there = above.node.clone(),
        None => own.0.push(above.clone()),
        Some(there) => {
            let (Some(there), Some(above)) = (there.table_mut(), above.node.table()) else { return };
            for entry in &above.0 {
                inherit(there, entry);
            }
        }
    }
}

/// The sections that a workspace may have or have from above.
pub(super) fn sections_of_workspace() -> Vec<&'static str> {
    let fields = fields_of::<WorkspaceSettings>().iter().copied();
    fields.filter(|name| !OWN_OF_WORKSPACE.contains(name)).collect()
}

/// The sections that a service may have or have from above.
pub(super) fn sections_of_service() -> Vec<&'static str> {
    let fields = fields_of::<ServiceSettings>().iter().copied();
    fields.filter(|name| !OWN_OF_SERVICE.contains(name)).collect()
}

/// The names that may stand at a place beside those of its struct, for what is proposed instead of a misspelt one.
pub(super) fn also_at(place: &Place) -> Vec<&'static str> {
    match place.path.split('.').collect::<Vec<_>>().as_slice() {
        [_] => sections_of_workspace().into_iter().chain(sections_of_service()).collect(),
        ["workspaces", _, _] => sections_of_service(),
        _ => Vec::new(),
    }
}

/// The names of the fields of a struct, as serde knows them.
fn fields_of<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // Nothing is read: the struct only says what it would read.
    let _refused = T::deserialize(Names(&mut fields));
    fields
}

/// Asks a struct for the names of its fields.
struct Names<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom("only the names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
