//! A concept of a portion, and what becomes of one that is there already. JSON is kept as it was sent.

use anamnesis_fhir::json::{Document, Limits, Value, quote};

use crate::error::{Issue, IssueCode};

/// One concept.
#[derive(Debug)]
pub(super) struct Concept {
    pub(super) code: String,
    /// Display, definition, designations; none where only properties were sent.
    pub(super) members: Option<Vec<(String, String)>>,
    pub(super) properties: Vec<Property>,
    /// Where it was first named.
    pub(super) at: String,
}

/// A property of a concept.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    /// `valueCode` and its like.
    pub(super) member: String,
    pub(super) value: String,
    /// The parameter that it came in: its value may have to be read as another type. None where it stood in a CodeSystem.
    pub(super) at: Option<String>,
}

impl Concept {
    pub(super) fn new(code: String, at: &str) -> Self {
        Self { code, members: None, properties: Vec::new(), at: at.to_owned() }
    }

    /// Says what it is; false where something else was said before.
    pub(super) fn define(&mut self, members: Vec<(String, String)>) -> bool {
        match &self.members {
            Some(known) => *known == members,
            None => {
                self.members = Some(members);
                true
            }
        }
    }

    /// The concept as JSON, where it is new.
    pub(super) fn fresh(&self, properties: &[Property]) -> String {
        let mut members = vec![("code".to_owned(), quoted(&self.code))];
        members.extend(self.members.iter().flatten().cloned());
        let mut all: Vec<String> = Vec::new();
        for property in properties.iter().map(Property::json) {
            if !all.contains(&property) {
                all.push(property);
            }
        }
        if !all.is_empty() {
            members.push(("property".to_owned(), format!("[{}]", all.join(","))));
        }
        object(&members)
    }

    /// The concept that is there with what the portion says of it: members that it names are replaced, properties are
    /// added. None where nothing changes.
    pub(super) fn changed(&self, raw: &str, properties: &[Property]) -> Option<String> {
        let document = Document::parse(raw.to_owned(), &Limits::default()).ok()?;
        let root = document.root();
        let named = |name: &str| self.members.iter().flatten().find(|(known, _)| known == name);
        let mut is_changed = false;
        let mut members: Vec<(String, String)> = Vec::new();
        for (name, value) in root.members() {
            let mut new = value.raw().to_owned();
            if let Some((_, wanted)) = named(&name).filter(|(_, wanted)| !is_same(value, wanted)) {
                new.clone_from(wanted);
                is_changed = true;
            }
            members.push((name.into_owned(), new));
        }
        for (name, value) in self.members.iter().flatten() {
            if root.get(name).is_none() {
                members.push((name.clone(), value.clone()));
                is_changed = true;
            }
        }
        let rows: Vec<Value<'_>> = root.get("property").into_iter().flat_map(Value::items).collect();
        let mut all: Vec<String> = rows.iter().map(|row| row.raw().to_owned()).collect();
        let before = all.len();
        for property in properties {
            let json = property.json();
            if !rows.iter().any(|row| property.is(*row)) && !all.contains(&json) {
                all.push(json);
            }
        }
        if all.len() > before {
            is_changed = true;
            members.retain(|(name, _)| name != "property");
            members.push(("property".to_owned(), format!("[{}]", all.join(","))));
        }
        is_changed.then(|| object(&members))
    }
}

impl Property {
    /// One that stands in a CodeSystem.
    pub(super) fn of(row: Value<'_>) -> Option<Self> {
        let name = row.get("code").and_then(Value::as_str)?.into_owned();
        let (member, value) = row.members().find(|(name, _)| name.starts_with("value"))?;
        Some(Self { name, member: member.into_owned(), value: value.raw().to_owned(), at: None })
    }

    pub(super) fn parent(code: &str) -> Self {
        Self { name: "parent".to_owned(), member: "valueCode".to_owned(), value: quoted(code), at: None }
    }

    fn json(&self) -> String {
        format!("{{\"code\":{},\"{}\":{}}}", quoted(&self.name), self.member, self.value)
    }

    /// Whether a row of a concept says this already.
    fn is(&self, row: Value<'_>) -> bool {
        row.get("code").and_then(Value::as_str).is_some_and(|name| name == self.name.as_str())
            && row.get(&self.member).is_some_and(|value| is_same(value, &self.value))
    }

    /// The same as the type that the code system declares, or the one that R4 gives the properties that it defines itself.
    ///
    /// # Errors
    /// Where nobody declares it, or the value is of another type.
    pub(super) fn typed(&self, declared: &[(String, String)]) -> Result<Self, Issue> {
        let Some(at) = &self.at else { return Ok(self.clone()) };
        let complain = |text: String| Issue::error(IssueCode::Value, text).at(at.clone());
        let wanted = declared.iter().find(|(name, _)| *name == self.name).map(|(_, kind)| kind.as_str());
        let wanted = wanted.or(match self.name.as_str() {
            // http://hl7.org/fhir/concept-properties
            "parent" | "child" | "subsumedBy" => Some("code"),
            "inactive" | "notSelectable" => Some("boolean"),
            _ => None,
        });
        let Some(wanted) = wanted else {
            return Err(complain(format!("The code system declares no property {}.", quoted(&self.name))));
        };
        let member = match wanted {
            "code" => "valueCode",
            "Coding" => "valueCoding",
            "integer" => "valueInteger",
            "boolean" => "valueBoolean",
            "dateTime" => "valueDateTime",
            "decimal" => "valueDecimal",
            _ => "valueString",
        };
        let document = Document::parse(self.value.clone(), &Limits::default())
            .map_err(|_broken| complain("The value cannot be read.".to_owned()))?;
        let value = match document.root().as_str() {
            _ if self.member == member => Some(self.value.clone()),
            Some(text) => from_text(wanted, &text),
            None => None,
        };
        let value = value.ok_or_else(|| {
            complain(format!("The value of the property {} is no {wanted}.", quoted(&self.name)))
        })?;
        Ok(Self { member: member.to_owned(), value, ..self.clone() })
    }
}

/// A text as JSON of a type, where it can be one.
fn from_text(wanted: &str, text: &str) -> Option<String> {
    match wanted {
        "code" | "string" | "dateTime" => (!text.is_empty()).then(|| quoted(text)),
        "boolean" => matches!(text, "true" | "false").then(|| text.to_owned()),
        "integer" => text.parse::<i32>().ok().map(|number| number.to_string()),
        "decimal" => {
            let is_number = Document::parse(text.to_owned(), &Limits::default());
            is_number.ok().and_then(|document| document.root().number().map(str::to_owned))
        }
        _ => None,
    }
}

/// Whether a value is this JSON; of texts the escapes do not matter.
fn is_same(value: Value<'_>, json: &str) -> bool {
    if value.raw() == json {
        return true;
    }
    let Ok(other) = Document::parse(json.to_owned(), &Limits::default()) else { return false };
    value.as_str().is_some_and(|text| other.root().as_str().is_some_and(|other| text == other))
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    String::from_utf8(quote(text)).unwrap_or_default()
}

/// Members as a JSON object.
pub(super) fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(","))
}
