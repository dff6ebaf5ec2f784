//! What a request brings: concepts and properties, out of Parameters or of a CodeSystem.

use std::collections::HashMap;

use anamnesis_fhir::json::{Document, Kind, Limits, Value};
use anamnesis_projections::terminology::{FRAGMENT_MEMBERS, FRAGMENT_NESTING_MAX};

use super::concept::{Concept, Property};
use crate::api::operations::Input;
use crate::api::operations::terminology::{parts, required};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// Complaints about one portion that are told.
const ISSUES_MAX: usize = 100;
/// Characters of a code: names and numbers are far shorter, and the index takes no more than some thousands.
const CODE_CHARS_MAX: usize = 500;

/// One portion.
#[derive(Debug)]
pub(super) struct Portion {
    pub(super) url: String,
    pub(super) version: Option<String>,
    /// What a CodeSystem says about itself, as JSON; none where only Parameters were sent.
    pub(super) head: Option<Vec<(String, String)>>,
    /// Each code once.
    pub(super) concepts: Vec<Concept>,
}

impl Portion {
    pub(super) fn codes(&self) -> Vec<String> {
        self.concepts.iter().map(|concept| concept.code.clone()).collect()
    }
}

/// Address and version of a stored code system.
pub(super) fn named_by(payload: &[u8]) -> Result<(String, Option<String>), Failure> {
    let document = Document::parse(payload.to_vec(), &Limits::default())?;
    let url = text(document.root(), "url");
    let url = url.ok_or_else(|| {
        let text = "The CodeSystem has no url, which fragments need.";
        Failure::new(FailureKind::Unprocessable, IssueCode::Required, text)
    })?;
    Ok((url, text(document.root(), "version")))
}

/// Reads what was given.
///
/// # Errors
/// 400 with all that is wrong, each at its parameter.
pub(super) fn read(input: &Input<'_>, named: Option<(String, Option<String>)>) -> Result<Portion, Failure> {
    let (url, version) = address(input, named)?;
    let mut reading = Reading { url, concepts: Vec::new(), known: HashMap::new(), issues: Vec::new() };
    let root = input.document().map(Document::root);
    let mut head = None;
    if let Some(root) = root.filter(|_| input.is_resource()) {
        let kept = root.members().filter(|(name, _)| FRAGMENT_MEMBERS.contains(&name.as_ref()));
        head = Some(kept.map(|(name, value)| (name.into_owned(), value.raw().to_owned())).collect());
        reading.nested(root, None, "CodeSystem", 0);
    } else {
        let entries = root.and_then(|root| root.get("parameter")).into_iter().flat_map(Value::items);
        for (at, entry) in entries.enumerate() {
            let place = format!("Parameters.parameter[{at}]");
            match text(entry, "name").as_deref() {
                Some("concept") => reading.coding(entry, &place),
                Some("property") => reading.property(entry, &place),
                _ => {}
            }
        }
    }
    let Reading { url, concepts, mut issues, .. } = reading;
    if !issues.is_empty() {
        issues.truncate(ISSUES_MAX);
        return Err(Failure::with_issues(FailureKind::Invalid, issues));
    }
    if concepts.is_empty() {
        return Err(required("There is nothing to import: no concept and no property."));
    }
    Ok(Portion { url, version, head, concepts })
}

/// The address of the system: of the resource that the call is on, of the CodeSystem that it brings, or the parameter.
fn address(
    input: &Input<'_>,
    named: Option<(String, Option<String>)>,
) -> Result<(String, Option<String>), Failure> {
    let brought = input.document().map(Document::root).filter(|_| input.is_resource());
    if brought.is_some_and(|root| text(root, "resourceType").as_deref() != Some("CodeSystem")) {
        let text = "The body of $import is a Parameters or a CodeSystem.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, text).at("resourceType"));
    }
    let owned = |name| input.text(name).map(std::borrow::Cow::into_owned);
    let given = match brought {
        Some(root) => text(root, "url").map(|url| (url, text(root, "version"))),
        None => owned("system").map(|system| match system.split_once('|') {
            Some((url, version)) => (url.to_owned(), Some(version.to_owned())),
            None => (system, owned("version")),
        }),
    };
    match (named, given) {
        (Some(named), Some(given)) if named.0 != given.0 || given.1.is_some() && given.1 != named.1 => {
            Err(Failure::invalid("The system is another one than that of the CodeSystem in the path."))
        }
        (Some(named), _) => Ok(named),
        (None, Some((url, version))) if !url.is_empty() => Ok((url, version)),
        (None, _) => Err(required("A code system is needed: its address as system, or its id in the path.")),
    }
}

fn text(value: Value<'_>, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(std::borrow::Cow::into_owned)
}

struct Reading {
    url: String,
    concepts: Vec<Concept>,
    known: HashMap<String, usize>,
    issues: Vec<Issue>,
}

impl Reading {
    fn complain(&mut self, code: IssueCode, at: &str, text: impl Into<std::borrow::Cow<'static, str>>) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue::error(code, text).at(at));
        }
    }

    /// The concept with this code, made where it is new.
    fn concept(&mut self, code: String, at: &str) -> &mut Concept {
        let index = *self.known.entry(code.clone()).or_insert_with(|| {
            self.concepts.push(Concept::new(code, at));
            self.concepts.len() - 1
        });
        // The index is of this very list.
        #[expect(clippy::indexing_slicing, reason = "it was pushed under this index")]
        &mut self.concepts[index]
    }

    /// Whether this can be a code (R4 datatypes.html#code).
    fn is_code(&mut self, code: &str, at: &str) -> bool {
        let is_spaced = code.starts_with(char::is_whitespace)
            || code.ends_with(char::is_whitespace)
            || code.split(' ').any(|word| word.is_empty() || word.contains(char::is_whitespace));
        if code.is_empty() || is_spaced || code.chars().count() > CODE_CHARS_MAX {
            let text =
                format!("A code has 1 to {CODE_CHARS_MAX} characters, and no spaces but single ones inside.");
            self.complain(IssueCode::Value, at, text);
            return false;
        }
        true
    }

    /// `concept`, a Coding.
    fn coding(&mut self, entry: Value<'_>, at: &str) {
        let Some(coding) = entry.get("valueCoding").filter(|coding| coding.kind() == Kind::Object) else {
            return self.complain(IssueCode::Required, at, "A concept is a valueCoding.");
        };
        let place = format!("{at}.value");
        if text(coding, "system").is_some_and(|system| system != self.url) {
            return self.complain(
                IssueCode::Value,
                &format!("{place}.system"),
                "The concept is of another code system than the one that is imported into.",
            );
        }
        let Some(code) = text(coding, "code") else {
            return self.complain(IssueCode::Required, &format!("{place}.code"), "A concept has a code.");
        };
        if !self.is_code(&code, &format!("{place}.code")) {
            return;
        }
        let display = coding.get("display");
        if display.is_some_and(|display| display.as_str().is_none_or(|text| text.is_empty())) {
            return self.complain(IssueCode::Value, &format!("{place}.display"), "A display is a text.");
        }
        let members = display.map(|display| ("display".to_owned(), display.raw().to_owned()));
        let concept = self.concept(code, at);
        if !concept.define(members.into_iter().collect()) {
            let text = "The code is given twice, with different displays.";
            self.complain(IssueCode::Duplicate, &format!("{place}.code"), text);
        }
    }

    /// `property`: code, property and value as parts.
    fn property(&mut self, entry: Value<'_>, at: &str) {
        let mut found: HashMap<String, Value<'_>> = parts(entry).collect();
        let text_of = |found: &HashMap<String, Value<'_>>, name: &str| {
            found.get(name).and_then(|value| value.as_str()).map(std::borrow::Cow::into_owned)
        };
        let (Some(code), Some(name)) = (text_of(&found, "code"), text_of(&found, "property")) else {
            let text = "A property has the parts code, property and value: this one lacks code or property.";
            return self.complain(IssueCode::Required, at, text);
        };
        let Some(value) = found.remove("value") else {
            let text = "A property has the parts code, property and value: this one lacks the value.";
            return self.complain(IssueCode::Required, at, text);
        };
        if !self.is_code(&code, at) {
            return;
        }
        let member = value.name().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let property = Property { name, member, value: value.raw().to_owned(), at: Some(at.to_owned()) };
        self.concept(code, at).properties.push(property);
    }

    /// The concepts of a CodeSystem: nested ones get a parent.
    fn nested(&mut self, parent: Value<'_>, above: Option<&str>, at: &str, depth: usize) {
        for (index, row) in parent.get("concept").into_iter().flat_map(Value::items).enumerate() {
            let place = format!("{at}.concept[{index}]");
            let Some(code) = text(row, "code") else {
                self.complain(IssueCode::Required, &format!("{place}.code"), "A concept has a code.");
                continue;
            };
            if !self.is_code(&code, &format!("{place}.code")) {
                continue;
            }
            let others =
                row.members().filter(|(name, _)| !["code", "concept", "property"].contains(&name.as_ref()));
            let members = others.map(|(name, value)| (name.into_owned(), value.raw().to_owned())).collect();
            let rows = row.get("property").into_iter().flat_map(Value::items);
            let mut properties: Vec<Property> = rows.filter_map(Property::of).collect();
            properties.extend(above.map(Property::parent));
            let concept = self.concept(code.clone(), &place);
            concept.properties.extend(properties);
            if !concept.define(members) {
                let text = "The code is given twice, with different contents.";
                self.complain(IssueCode::Duplicate, &format!("{place}.code"), text);
            }
            if depth >= FRAGMENT_NESTING_MAX {
                let text = format!("Concepts are nested more than {FRAGMENT_NESTING_MAX} deep.");
                self.complain(IssueCode::TooLong, &place, text);
                continue;
            }
            self.nested(row, Some(&code), &place, depth + 1);
        }
    }
}
