//! YAML as a tree with places: tables, lists and plain values of YAML 1.2's core schema.
//!
//! Anchors, tags and several documents are refused: settings need none of them, and an anchor lets a small file grow
//! without bound.

use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::{Entry, Node, Place, Table, Value, join};
use crate::config::problem::Problem;

/// How deep tables and lists may stand in each other. The settings need eight levels.
const DEPTH_MAX: usize = 64;

/// Reads YAML. The parser stops at the first place that is none; what is twice or not allowed is told for each place.
pub(in crate::config) fn read_yaml(path: &Path, text: &str) -> (Node, Vec<Problem>) {
    let file: Arc<str> = path.display().to_string().into();
    let root = Place::in_file(&file, (1, 1), "");
    let mut reading = Reading { file, parser: Parser::new_from_str(text), problems: Vec::new() };
    let node = match reading.document() {
        Ok(node) => node,
        Err(problem) => {
            reading.problems.push(problem);
            Node::empty(root.clone())
        }
    };
    // An empty file is one in which nothing is set.
    let node = if matches!(node.value, Value::Nothing) { Node::empty(root) } else { node };
    (node, reading.problems)
}

struct Reading<'t> {
    file: Arc<str>,
    parser: Parser<'t, StrInput<'t>>,
    problems: Vec<Problem>,
}

impl<'t> Reading<'t> {
    fn place(&self, mark: Marker, path: &str) -> Place {
        Place::in_file(&self.file, (mark.line(), mark.col() + 1), path)
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Problem::new(self.place(*error.marker(), ""), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Node, Problem> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::Nothing | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, span) => {
                    return Ok(Node { value: Value::Nothing, place: self.place(span.start, "") });
                }
                (event, span) => {
                    let node = self.node(event, span, "", 0)?;
                    self.end()?;
                    return Ok(node);
                }
            }
        }
    }

    /// What follows the first document.
    fn end(&mut self) -> Result<(), Problem> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    return Err(Problem::new(self.place(span.start, ""), "only one document is read"));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, path: &str, depth: usize) -> Result<Node, Problem> {
        let place = self.place(span.start, path);
        if depth > DEPTH_MAX {
            return Err(Problem::new(place, "this is deeper than any setting"));
        }
        let (Event::Scalar(_, _, anchor, ref tag)
        | Event::SequenceStart(anchor, ref tag)
        | Event::MappingStart(anchor, ref tag)) = event
        else {
            let message = match event {
                Event::Alias(_) => "aliases are not supported",
                _ => "a value was expected",
            };
            return Err(Problem::new(place, message));
        };
        if anchor != 0 || tag.is_some() {
            self.problems.push(Problem::new(place.clone(), "anchors and tags are not supported"));
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => self.list(path, depth)?,
            _ => self.table(path, depth)?,
        };
        Ok(Node { value, place })
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Value, Problem> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes)),
                (event, span) => {
                    let path = join(path, &nodes.len().to_string());
                    nodes.push(self.node(event, span, &path, depth + 1)?);
                }
            }
        }
    }

    fn table(&mut self, path: &str, depth: usize) -> Result<Value, Problem> {
        let mut table = Table::default();
        loop {
            let (name, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Table(table)),
                (Event::Scalar(name, ..), span) => (name.into_owned(), span),
                (_, span) => {
                    return Err(Problem::new(self.place(span.start, path), "a name was expected"));
                }
            };
            let path = join(path, &name);
            let place = self.place(span.start, &path);
            let (event, span) = self.next()?;
            let node = self.node(event, span, &path, depth + 1)?;
            if table.get(&name).is_some() {
                self.problems.push(Problem::new(place, "this is set twice"));
            } else {
                table.0.push(Entry { name, place, node });
            }
        }
    }
}

/// What a word without quotes is, by YAML 1.2's core schema: `no` and `on` are text.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Nothing,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    let integer = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => i64::from_str_radix(digits, 16).ok(),
        (_, Some(digits)) => i64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    };
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match (integer, text.parse::<f64>()) {
        (Some(number), _) => Value::Integer(number),
        (None, Ok(number)) if is_number && number.is_finite() => Value::Decimal(number),
        _ => Value::Text(text.to_owned()),
    }
}
