//! Turns SearchParameter, CompartmentDefinition and OperationDefinition into rows.

use anamnesis_fhir::definitions::table::{CompartmentRow, OperationRow, SearchParameterRow, Text};
use serde_json::Value;

use crate::package::{Package, flag, items, tail, text, texts};

fn owned(values: Vec<&str>) -> Vec<Text<'static>> {
    values.into_iter().map(Text::from).collect()
}

/// All search parameters but the three that the specification shows as examples.
pub(crate) fn parameters(package: &Package) -> Vec<SearchParameterRow<'static>> {
    package.of_type("SearchParameter").iter().filter(|row| !is_example(row)).map(parameter).collect()
}

fn is_example(resource: &Value) -> bool {
    text(resource, "url").map(tail).is_some_and(|name| name.starts_with("example"))
}

fn parameter(row: &Value) -> SearchParameterRow<'static> {
    let part = |component: &Value| {
        let definition = text(component, "definition").unwrap_or_default();
        (Text::from(tail(definition)), Text::from(text(component, "expression").unwrap_or_default()))
    };
    SearchParameterRow {
        u: Text::from(text(row, "url").map(tail).unwrap_or_default()),
        c: Text::from(text(row, "code").unwrap_or_default()),
        b: owned(texts(row, "base")),
        t: Text::from(text(row, "type").unwrap_or_default()),
        e: text(row, "expression").map(Text::from),
        g: owned(texts(row, "target")),
        o: owned(texts(row, "comparator")),
        m: owned(texts(row, "modifier")),
        x: text(row, "xpathUsage").filter(|usage| *usage != "normal").map(Text::from),
        p: items(row, "component").iter().map(part).collect(),
    }
}

/// The five compartments; the sixth of the package is an example.
pub(crate) fn compartments(package: &Package) -> Vec<CompartmentRow<'static>> {
    package
        .of_type("CompartmentDefinition")
        .iter()
        .filter(|row| !is_example(row))
        .map(|row| CompartmentRow {
            c: Text::from(text(row, "code").unwrap_or_default()),
            u: Text::from(text(row, "url").unwrap_or_default()),
            r: items(row, "resource")
                .iter()
                .filter(|member| !items(member, "param").is_empty())
                .map(|member| {
                    (Text::from(text(member, "code").unwrap_or_default()), owned(texts(member, "param")))
                })
                .collect(),
        })
        .collect()
}

/// All operations but the example.
pub(crate) fn operations(package: &Package) -> Vec<OperationRow<'static>> {
    package
        .of_type("OperationDefinition")
        .iter()
        .filter(|row| !is_example(row))
        .map(|row| OperationRow {
            u: Text::from(text(row, "url").unwrap_or_default()),
            c: Text::from(text(row, "code").unwrap_or_default()),
            r: owned(texts(row, "resource")),
            l: (flag(row, "system"), flag(row, "type"), flag(row, "instance")),
            a: flag(row, "affectsState"),
        })
        .collect()
}
