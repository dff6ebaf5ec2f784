//! Turns StructureDefinitions into structures: backbone elements become structures of their own.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use anamnesis_fhir::definitions::table::{
    BindingRow, ConstraintRow, ElementRow, StructureRow, Text, TypeRow,
};
use serde_json::Value;

use crate::package::{Package, extension, flag, items, tail, text, texts};
use crate::value_sets::Collector;

type Rows = (Vec<StructureRow<'static>>, Vec<ConstraintRow<'static>>);

/// `ele-1` stands on every element of R4; who checks it needs no list.
const EVERYWHERE: &str = "ele-1";

/// All structures in the order of their addresses, and the invariants that they name.
pub(crate) fn rows(package: &Package, value_sets: &mut Collector) -> Result<Rows, Box<dyn Error>> {
    let definitions: Vec<&Value> =
        package.of_type("StructureDefinition").iter().filter(|row| is_base(row)).collect();
    let mut invariants = Invariants::default();
    for definition in &definitions {
        let root = elements(definition).first().ok_or("a definition without elements")?;
        let keys = items(root, "constraint").iter().filter_map(|row| text(row, "key")).map(str::to_owned);
        let name = text(definition, "name").ok_or("a definition without name")?;
        invariants.of_types.insert(name.to_owned(), keys.collect());
    }
    let mut rows = Vec::new();
    for definition in definitions {
        add_definition(definition, value_sets, &mut invariants, &mut rows)?;
    }
    Ok((rows, invariants.rows))
}

/// Resources and types themselves; profiles and logical models are something else.
pub(crate) fn is_base(definition: &Value) -> bool {
    let kind = text(definition, "kind");
    text(definition, "derivation") != Some("constraint")
        && matches!(kind, Some("resource" | "complex-type" | "primitive-type"))
}

fn elements(definition: &Value) -> &[Value] {
    definition.get("snapshot").map(|snapshot| items(snapshot, "element")).unwrap_or_default()
}

fn add_definition(
    definition: &Value,
    value_sets: &mut Collector,
    invariants: &mut Invariants,
    rows: &mut Vec<StructureRow<'static>>,
) -> Result<(), Box<dyn Error>> {
    let name = text(definition, "name").ok_or("a definition without name")?;
    let all = elements(definition);
    let kind = match text(definition, "kind") {
        Some("resource") => 'r',
        Some("primitive-type") => 'p',
        _ => 'c',
    };
    let paths: Vec<&str> = all.iter().filter_map(|element| text(element, "path")).collect();
    let parents: HashSet<&str> =
        paths.iter().filter_map(|path| path.rsplit_once('.').map(|(parent, _)| parent)).collect();
    for (element, path) in all.iter().zip(&paths) {
        if !parents.contains(path) {
            continue;
        }
        let is_root = *path == name;
        let mut row = StructureRow {
            n: Text::from(*path),
            k: if is_root { kind } else { 'b' },
            b: if is_root {
                text(definition, "baseDefinition").map(|url| Text::from(tail(url)))
            } else {
                items(element, "type").first().and_then(|row| text(row, "code")).map(Text::from)
            },
            a: is_root && flag(definition, "abstract"),
            x: None,
            c: invariants.indexes(element, &HashSet::new()),
            e: Vec::new(),
        };
        for (child, child_path) in all.iter().zip(&paths) {
            let Some((parent, child_name)) = child_path.rsplit_once('.') else { continue };
            if parent != *path {
                continue;
            }
            if kind == 'p' && child_name == "value" {
                // JSON has the value of a primitive in the member itself.
                row.x = items(child, "type").first().and_then(|row| extension(row, "regex")).map(Text::from);
                continue;
            }
            let is_resource_id = kind == 'r' && is_root && child_name == "id";
            let has_structure = parents.contains(child_path);
            row.e.push(element_row(
                child,
                (child_name, is_resource_id, has_structure),
                value_sets,
                invariants,
            )?);
        }
        rows.push(row);
    }
    Ok(())
}

fn element_row(
    element: &Value,
    (name, is_resource_id, has_structure): (&str, bool, bool),
    value_sets: &mut Collector,
    invariants: &mut Invariants,
) -> Result<ElementRow<'static>, Box<dyn Error>> {
    let reference = text(element, "contentReference").map(|reference| reference.trim_start_matches('#'));
    let mut types: Vec<TypeRow> = items(element, "type").iter().map(type_row).collect();
    if is_resource_id {
        // The package says string; the datatype of Resource.id is id (R4, resource.html#id).
        types = vec![TypeRow { c: Text::from("id"), t: Vec::new(), p: None }];
    }
    if reference.is_some() {
        types = vec![TypeRow { c: Text::from("BackboneElement"), t: Vec::new(), p: None }];
    }
    let of_types: HashSet<String> =
        types.iter().filter_map(|row| invariants.of_types.get(row.c.0.as_ref())).flatten().cloned().collect();
    let maximum = text(element, "max").ok_or("an element without max")?;
    Ok(ElementRow {
        n: Text::from(name),
        m: element.get("min").and_then(Value::as_u64).unwrap_or(0).try_into()?,
        x: if maximum == "*" { None } else { Some(maximum.parse()?) },
        t: types,
        r: reference.map(Text::from),
        b: element.get("binding").and_then(|binding| binding_row(binding, value_sets)),
        s: flag(element, "isSummary"),
        f: flag(element, "isModifier"),
        // The invariants of a backbone element stand at its structure.
        c: if has_structure { Vec::new() } else { invariants.indexes(element, &of_types) },
    })
}

fn type_row(row: &Value) -> TypeRow<'static> {
    let code = text(row, "code").unwrap_or_default();
    // ids and addresses of extensions are System.String with a note of their FHIR type.
    let code = if code.contains('/') {
        extension(row, "structuredefinition-fhir-type").unwrap_or("string")
    } else {
        code
    };
    let mut targets: Vec<&str> = texts(row, "targetProfile").into_iter().map(tail).collect();
    if targets.contains(&"Resource") {
        targets.clear();
    }
    TypeRow {
        c: Text::from(code),
        t: targets.into_iter().map(Text::from).collect(),
        p: texts(row, "profile").first().map(|url| Text::from(tail(url))),
    }
}

fn binding_row(binding: &Value, value_sets: &mut Collector) -> Option<BindingRow<'static>> {
    let url = text(binding, "valueSet")?.split('|').next()?;
    let strength = match text(binding, "strength")? {
        "required" => 'r',
        "extensible" => 'x',
        "preferred" => 'p',
        _ => 'e',
    };
    Some(BindingRow {
        s: strength,
        u: Text::from(url),
        v: (strength == 'r').then(|| value_sets.index_of(url)),
        m: extension(binding, "elementdefinition-maxValueSet").map(|url| value_sets.index_of(url)),
    })
}

/// Invariants by their text, and the keys that each type has on its root.
#[derive(Default)]
struct Invariants {
    rows: Vec<ConstraintRow<'static>>,
    known: HashMap<(String, String), u16>,
    of_types: HashMap<String, HashSet<String>>,
}

impl Invariants {
    /// The indexes of an element's invariants, leaving out some keys.
    fn indexes(&mut self, element: &Value, left_out: &HashSet<String>) -> Vec<u16> {
        let mut indexes = Vec::new();
        for row in items(element, "constraint") {
            let (Some(key), Some(expression)) = (text(row, "key"), text(row, "expression")) else { continue };
            if key == EVERYWHERE || left_out.contains(key) {
                continue;
            }
            let rows = &mut self.rows;
            let index = self.known.entry((key.to_owned(), expression.to_owned())).or_insert_with(|| {
                rows.push(ConstraintRow {
                    k: Text::from(key),
                    w: text(row, "severity") == Some("warning"),
                    h: Text::from(text(row, "human").unwrap_or_default()),
                    e: Text::from(expression),
                });
                // R4 has some 240 invariants.
                (rows.len() - 1) as u16
            });
            indexes.push(*index);
        }
        indexes
    }
}
