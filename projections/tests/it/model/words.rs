//! The values of random resources: few, so that they meet, and with what is easily read wrongly.

use super::maker::{Dice, Words};

pub(crate) const CODES: [&str; 7] = ["a", "A", "b", "c d", "a,b", "x|y", "5$"];
pub(crate) const SYSTEMS: [&str; 3] = ["http://one.org/s", "http://one.org/s/2", "urn:two"];
pub(crate) const TEXTS: [&str; 7] =
    ["Müller", "muller  Lüdenscheidt", "Anna Maria", "anna", "Straße 5", "ANN", "Øre"];
pub(crate) const URIS: [&str; 6] = [
    "http://one.org",
    "http://one.org/a",
    "http://one.org/a/b",
    "http://one.org/a/b|2",
    "http://one.org/ab",
    "urn:oid:1.2.3",
];
pub(crate) const NUMBERS: [&str; 10] = ["0", "1", "1.0", "1.5", "-2", "10", "99.5", "100", "100.49", "1500"];
/// System, code, unit.
pub(crate) const UNITS: [(&str, &str, &str); 6] = [
    ("http://unitsofmeasure.org", "mg", "mg"),
    ("http://unitsofmeasure.org", "g", "gram"),
    ("http://unitsofmeasure.org", "kg", ""),
    ("http://one.org/u", "drop", "drops"),
    ("", "", "mg"),
    ("", "", ""),
];
pub(crate) const DATES: [&str; 8] =
    ["2013", "2013-01", "2013-01-14", "2013-01-31", "2013-02-28", "2012-12-31", "2024-02-29", "1970"];
pub(crate) const INSTANTS: [&str; 7] = [
    "2013-01-14T00:00:00Z",
    "2013-01-14T23:59:59.999Z",
    "2013-01-15T00:30:00+01:00",
    "2012-12-31T23:00:00-02:00",
    "2013-01-14T12:00:00.5Z",
    "1969-12-31T23:59:59Z",
    "2024-05-31T10:00:00Z",
];
pub(crate) const TARGETS: [&str; 4] = ["Patient", "Practitioner", "Organization", "Location"];

/// Few values.
pub(crate) struct Few;

impl Words for Few {
    fn value(&self, dice: &mut Dice, type_code: &str, is_primitive: bool, _depth: usize) -> Option<String> {
        Some(match type_code {
            "Extension" => r#"{"url":"http://one.org/e","valueCode":"a"}"#.to_owned(),
            "Reference" => reference(dice),
            "Quantity" | "Age" | "Duration" | "Distance" | "Count" | "SimpleQuantity" => quantity(dice),
            "Coding" => coding(dice),
            "Period" => period(dice),
            "Range" => range(dice),
            code if is_primitive => primitive(dice, code),
            _ => return None,
        })
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn coding(dice: &mut Dice) -> String {
    let code = quoted(dice.pick(&CODES));
    let system = quoted(dice.pick(&SYSTEMS));
    match dice.below(5) {
        0 => format!(r#"{{"code":{code}}}"#),
        1 => format!(r#"{{"system":{system}}}"#),
        2 => {
            let display = quoted(TEXTS[(code.len() + system.len()) % TEXTS.len()]);
            format!(r#"{{"system":{system},"code":{code},"display":{display}}}"#)
        }
        _ => format!(r#"{{"system":{system},"code":{code}}}"#),
    }
}

fn quantity(dice: &mut Dice) -> String {
    let (system, code, unit) = UNITS[dice.below(UNITS.len())];
    let mut text = format!(r#"{{"value":{}"#, dice.pick(&NUMBERS));
    for (name, value) in [("system", system), ("code", code), ("unit", unit)] {
        if !value.is_empty() {
            text += &format!(r#","{name}":{}"#, quoted(value));
        }
    }
    if dice.below(6) == 0 {
        text += &format!(r#","comparator":{}"#, quoted(dice.pick(&["<", "<=", ">=", ">"])));
    }
    text + "}"
}

fn period(dice: &mut Dice) -> String {
    // In order, whatever the precision.
    const STARTS: [&str; 3] = ["1970", "2012-12-31", "2013-01-10T08:00:00Z"];
    const ENDS: [&str; 3] = ["2013-01-14", "2013-02", "2024-02-29T12:00:00+02:00"];
    let (start, end) = (quoted(dice.pick(&STARTS)), quoted(dice.pick(&ENDS)));
    match dice.below(4) {
        0 => format!(r#"{{"start":{start}}}"#),
        1 => format!(r#"{{"end":{end}}}"#),
        _ => format!(r#"{{"start":{start},"end":{end}}}"#),
    }
}

/// Low and high in one unit and in their order, as R4 has it (rng-2, datatypes.html#Range).
fn range(dice: &mut Dice) -> String {
    let (system, code) = (quoted(UNITS[0].0), quoted(UNITS[0].1));
    let end = |value: &str| format!(r#"{{"value":{value},"system":{system},"code":{code}}}"#);
    let (low, high) = (end(dice.pick(&["-2", "0", "1.0"])), end(dice.pick(&["1.5", "10", "100"])));
    match dice.below(4) {
        0 => format!(r#"{{"low":{low}}}"#),
        1 => format!(r#"{{"high":{high}}}"#),
        _ => format!(r#"{{"low":{low},"high":{high}}}"#),
    }
}

fn reference(dice: &mut Dice) -> String {
    let target = dice.pick(&TARGETS);
    let id = dice.below(3);
    match dice.below(6) {
        0 => format!(r#"{{"reference":"{target}/{id}/_history/2"}}"#),
        1 => format!(r#"{{"reference":"http://other.org/fhir/{target}/{id}"}}"#),
        2 => format!(r#"{{"identifier":{{"system":"{}","value":"a"}}}}"#, dice.pick(&SYSTEMS)),
        3 => format!(r#"{{"display":{}}}"#, quoted(TEXTS[id])),
        _ => format!(r#"{{"reference":"{target}/{id}"}}"#),
    }
}

fn primitive(dice: &mut Dice, code: &str) -> String {
    match code {
        "boolean" => dice.pick(&["true", "false"]).to_owned(),
        "integer" | "positiveInt" | "unsignedInt" => dice.pick(&["1", "10", "100"]).to_owned(),
        "decimal" => dice.pick(&NUMBERS).to_owned(),
        "date" => quoted(dice.pick(&DATES)),
        "dateTime" if dice.below(2) == 0 => quoted(dice.pick(&DATES)),
        "dateTime" | "instant" => quoted(dice.pick(&INSTANTS)),
        "time" => quoted("05:06:07"),
        "code" | "id" => quoted(dice.pick(&CODES)),
        "uri" | "url" | "canonical" | "oid" | "uuid" => quoted(dice.pick(&URIS)),
        "xhtml" => {
            let (one, other) = (dice.pick(&TEXTS), dice.pick(&TEXTS));
            let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";
            quoted(&format!("{div}<b>{one}</b><p title='no > b'>{other}</p></div>"))
        }
        "base64Binary" => quoted("AAAA"),
        _ => quoted(dice.pick(&TEXTS)),
    }
}
