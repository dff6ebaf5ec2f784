//! Settings as they are written: values with the place that each was read from.
//!
//! All sources become one such tree, so that what is wrong in it, whether a misspelt name or a contradiction between two
//! sections, can be told with its file, line and column.

mod read;
mod toml;
mod yaml;

use std::fmt;
use std::sync::Arc;

pub(super) use read::{Outside, Reader, Reason, Refused, SECRET};
pub(super) use toml::read_toml;
pub(super) use yaml::read_yaml;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, the variable or the flag.
    pub(super) origin: Arc<str>,
    /// The line and the column, both from 1, where it is a file.
    pub(super) at: Option<(usize, usize)>,
    /// The setting as it was written: `workspaces.a.fhir.page_size`.
    pub(super) path: Arc<str>,
}

impl Place {
    /// The place of a value that no source has: a default.
    pub(super) fn none() -> Place {
        Place { origin: "defaults".into(), at: None, path: "".into() }
    }

    /// The place of what is in a file.
    pub(super) fn in_file(file: &Arc<str>, at: (usize, usize), path: &str) -> Place {
        Place { origin: file.clone(), at: Some(at), path: path.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(formatter, "{}:{line}:{column}", self.origin),
            None => formatter.write_str(&self.origin),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What can be written.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Boolean(bool),
    Integer(i64),
    Decimal(f64),
    Text(String),
    /// Of a variable or a flag: text that is what its setting wants.
    Untyped(String),
    List(Vec<Node>),
    Table(Table),
}

/// Settings by name, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(pub(super) Vec<Entry>);

/// A setting of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the name stands.
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) fn table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The table, which a node without a value becomes.
    pub(super) fn table_or_empty(&mut self) -> Option<&mut Table> {
        if matches!(self.value, Value::Nothing) {
            self.value = Value::Table(Table::default());
        }
        self.table_mut()
    }

    /// An empty table.
    pub(super) fn empty(place: Place) -> Node {
        Node { value: Value::Table(Table::default()), place }
    }

    /// Takes out everything that was written at a place, wherever it has been inherited to. Whether there was something.
    pub(super) fn remove(&mut self, place: &Place) -> bool {
        match &mut self.value {
            Value::Table(Table(entries)) => {
                let before = entries.len();
                entries.retain(|entry| entry.place != *place && entry.node.place != *place);
                let removed = entries.len() < before;
                entries.iter_mut().fold(removed, |removed, entry| entry.node.remove(place) || removed)
            }
            Value::List(nodes) => {
                let before = nodes.len();
                nodes.retain(|node| node.place != *place);
                let removed = nodes.len() < before;
                nodes.iter_mut().fold(removed, |removed, node| node.remove(place) || removed)
            }
            _ => false,
        }
    }

    /// The node at a path of names, or the nearest one above it.
    pub(super) fn nearest(&self, path: &[&str]) -> &Node {
        let Some((name, rest)) = path.split_first() else { return self };
        match &self.value {
            Value::Table(table) => table.get(name).map_or(self, |node| node.nearest(rest)),
            Value::List(nodes) => {
                let index = name.parse::<usize>().ok();
                index.and_then(|index| nodes.get(index)).map_or(self, |node| node.nearest(rest))
            }
            _ => self,
        }
    }

    /// Sets what a variable or a flag says, over what a file says.
    pub(super) fn set(&mut self, path: &str, node: Node) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        if self.table().is_none() {
            *self = Node::empty(node.place.clone());
        }
        let Some(table) = self.table_mut() else { return };
        match rest {
            None => table.put(name, node),
            Some(rest) => table.entry(name, &node.place).set(rest, node),
        }
    }
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| &entry.node)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|entry| entry.name == name).map(|entry| &mut entry.node)
    }

    /// Sets a name, replacing what it had.
    pub(super) fn put(&mut self, name: &str, node: Node) {
        match self.get_mut(name) {
            Some(there) => *there = node,
            None => self.0.push(Entry { name: name.to_owned(), place: node.place.clone(), node }),
        }
    }

    /// Takes a name out.
    pub(super) fn take(&mut self, name: &str) -> Option<Entry> {
        let index = self.0.iter().position(|entry| entry.name == name)?;
        Some(self.0.remove(index))
    }

    /// What a name has, or an empty table, which it has then.
    pub(super) fn entry(&mut self, name: &str, place: &Place) -> &mut Node {
        let index = match self.0.iter().position(|entry| entry.name == name) {
            Some(index) => index,
            None => {
                let (name, node) = (name.to_owned(), Node::empty(place.clone()));
                self.0.push(Entry { name, place: place.clone(), node });
                self.0.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "the index was found or made above")]
        &mut self.0[index].node
    }
}

/// A path with one more name.
fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}
