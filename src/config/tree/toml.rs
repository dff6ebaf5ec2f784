//! TOML as a tree with places.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Node, Place, Table, Value, join};
use crate::config::problem::Problem;

/// Reads TOML. What is not TOML is told, every place of it that the parser finds, with what could be read all the same.
pub(in crate::config) fn read_toml(path: &Path, text: &str) -> (Node, Vec<Problem>) {
    let reading = Reading { file: path.display().to_string().into(), text };
    let (table, errors) = DeTable::parse_recoverable(text);
    let problem = |error: &toml::de::Error| {
        let at = reading.position(error.span().map_or(text.len(), |span| span.start));
        Problem::new(Place::in_file(&reading.file, at, ""), error.message().trim_end().replace('\n', ", "))
    };
    let problems = errors.iter().map(problem).collect();
    let root = Place::in_file(&reading.file, (1, 1), "");
    (Node { value: reading.table(table.get_ref(), ""), place: root }, problems)
}

struct Reading<'t> {
    file: Arc<str>,
    text: &'t str,
}

impl Reading<'_> {
    /// The line and the column, in characters, of a byte.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    fn place(&self, byte: usize, path: &str) -> Place {
        Place::in_file(&self.file, self.position(byte), path)
    }

    fn table(&self, table: &DeTable<'_>, path: &str) -> Value {
        let mut entries: Vec<(usize, Entry)> = Vec::new();
        for (name, value) in table {
            let path = join(path, name.get_ref());
            let start = name.span().start;
            let node = self.node(value, &path);
            let place = self.place(start, &path);
            entries.push((start, Entry { name: name.get_ref().to_string(), place, node }));
        }
        entries.sort_by_key(|(start, _)| *start);
        Value::Table(Table(entries.into_iter().map(|(_, entry)| entry).collect()))
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, path: &str) -> Node {
        let place = self.place(value.span().start, path);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Text(number.as_str().to_owned()),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Decimal(number),
                Err(_) => Value::Text(number.as_str().to_owned()),
            },
            DeValue::Boolean(is) => Value::Boolean(*is),
            DeValue::Datetime(date) => Value::Text(date.to_string()),
            DeValue::Array(values) => {
                let nodes = values.iter().enumerate();
                Value::List(nodes.map(|(i, value)| self.node(value, &join(path, &i.to_string()))).collect())
            }
            DeValue::Table(table) => self.table(table, path),
        };
        Node { value, place }
    }
}
