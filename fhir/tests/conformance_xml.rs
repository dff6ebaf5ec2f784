//! Every published example as XML and back: the same JSON but for white space, escapes and the order of members.
//!
//! The order is not compared, because the examples themselves do not keep that of the definitions.

#![expect(clippy::unwrap_used, reason = "a fault fails the test")]

#[path = "support/corpus.rs"]
mod corpus;

use anamnesis_fhir::json::{Document, Kind, Limits, Value, quote};
use anamnesis_fhir::xml::{Layout, to_json, to_xml};

/// A value without white space and escapes that need not be, members by name; literals of numbers as they are.
fn plain(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match value.kind() {
        Kind::Object => {
            let mut members: Vec<_> = value.members().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            out.push(b'{');
            for (name, member) in members {
                out.extend_from_slice(&quote(&name));
                out.extend_from_slice(&plain(member));
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for item in value.items() {
                out.extend_from_slice(&plain(item));
                out.push(b',');
            }
            out.push(b']');
        }
        Kind::String => out.extend_from_slice(&quote(&value.as_str().unwrap())),
        _ => out.extend_from_slice(value.raw().as_bytes()),
    }
    out
}

fn name_of(root: Value<'_>) -> String {
    let id = root.get("id").and_then(Value::as_str).unwrap_or_default();
    format!("{}/{id}", corpus::type_of(root))
}

#[test]
fn every_example_comes_back_from_xml() {
    let (mut count, mut faults) = (0, Vec::new());
    for document in corpus::resources() {
        let name = name_of(document.root());
        match there_and_back(&document) {
            Ok(()) => count += 1,
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
    }
    println!("{count} resources come back from XML");
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 1400, "the corpus is smaller than it was: {count}");
}

fn there_and_back(document: &Document) -> Result<(), String> {
    let xml = to_xml(document.root(), Layout::Compact).map_err(|reason| reason.to_string())?;
    let json = to_json(&xml, &Limits::default()).map_err(|error| error.to_string())?;
    let back = Document::parse(json, &Limits::default()).unwrap();
    if plain(document.root()) != plain(back.root()) {
        return Err("it came back as another".into());
    }
    if to_xml(back.root(), Layout::Compact).unwrap() != xml {
        return Err("its XML changes when it is read and written again".into());
    }
    let indented = to_xml(back.root(), Layout::Indented).unwrap();
    if to_json(&indented, &Limits::default()).unwrap() != back.text().as_bytes() {
        return Err("its indented XML is another resource".into());
    }
    Ok(())
}
