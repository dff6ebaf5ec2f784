//! A portion and the resources that are there give the resources as they are to be. Pure.

use std::sync::Arc;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_projections::terminology::{FRAGMENT_BYTES_MAX, FRAGMENT_CONCEPTS_MAX, FRAGMENT_MEMBERS};

use super::concept::{Concept, Property, object, quoted};
use super::fragment::Fragment;
use super::portion::Portion;
use crate::decide::Current;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// Fragments that one portion may begin.
pub(super) const NEW_MAX: u32 = 10;

/// What is known of the system.
pub(super) struct Known {
    pub(super) version: Option<String>,
    /// Resources with what they are now; whether one is the whole system.
    pub(super) read: Vec<(ResourceKey, Arc<Current>, bool)>,
    /// The id of the fragment that new concepts go into.
    pub(super) open: Option<String>,
    /// The keys of fragments that may be begun.
    pub(super) fresh: Vec<ResourceKey>,
    /// How many concepts all resources have together.
    pub(super) concepts: u64,
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Merged {
    /// Resources that change, with what they were.
    pub(super) written: Vec<(ResourceKey, Option<Arc<Current>>, Vec<u8>)>,
    /// What the client is answered: the code system without its concepts.
    pub(super) answer: String,
}

struct Part {
    key: ResourceKey,
    current: Option<Arc<Current>>,
    fragment: Fragment,
}

/// Puts the portion into the system.
///
/// # Errors
/// 404 where there is no such system, 400 with all concepts that are wrong, 422 where there is no place for them.
pub(super) fn merge(portion: &Portion, known: Known) -> Result<Merged, Failure> {
    let Known { version, read, open, fresh, concepts } = known;
    let whole = read.iter().position(|(.., is_whole)| *is_whole);
    let mut parts = Vec::with_capacity(read.len());
    for (key, current, _) in read {
        let document = Document::parse(current.payload.to_vec(), &Limits::default())?;
        parts.push(Part { key, fragment: Fragment::of(&document), current: Some(current) });
    }
    let about = about(portion, &parts, version.as_deref())?;
    let declared = declared(&about);
    let open = match whole {
        Some(whole) => Some(whole),
        None => parts.iter().position(|part| Some(&part.key.id) == open.as_ref()),
    };
    let mut merging =
        Merging { parts, open, may_begin: whole.is_none(), fresh: fresh.into_iter(), about, added: 0 };
    let mut issues = Vec::new();
    for concept in &portion.concepts {
        let typed: Result<Vec<Property>, Issue> =
            concept.properties.iter().map(|property| property.typed(&declared)).collect();
        let properties = match typed {
            Ok(properties) => properties,
            Err(issue) => {
                issues.push(issue);
                continue;
            }
        };
        if let Err(issue) = merging.take(concept, &properties)? {
            issues.push(issue);
        }
    }
    if !issues.is_empty() {
        issues.truncate(100);
        return Err(Failure::with_issues(FailureKind::Invalid, issues));
    }
    Ok(merging.finish(concepts))
}

/// What the system says about itself: the resource that was stored first for that, or what the portion brings.
fn about(portion: &Portion, parts: &[Part], version: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let kept = |all: &[(String, String)]| -> Vec<(String, String)> {
        all.iter().filter(|(name, _)| FRAGMENT_MEMBERS.contains(&name.as_str())).cloned().collect()
    };
    // The one without concepts says it best; it is read last.
    let head = parts.iter().find(|part| part.fragment.len() == 0).or(parts.last());
    let mut about = match (head, &portion.head) {
        (Some(part), _) => kept(part.fragment.about()),
        (None, Some(head)) => kept(head),
        (None, None) => {
            let text = format!(
                "The code system {} is not stored: create a CodeSystem with this url and content not-present first, or send \
                 the concepts in a CodeSystem.",
                portion.url
            );
            return Err(Failure::not_found(text));
        }
    };
    for (name, value) in [("version", version), ("url", Some(portion.url.as_str()))] {
        if let Some(value) = value.filter(|_| !about.iter().any(|(known, _)| known == name)) {
            about.insert(0, (name.to_owned(), quoted(value)));
        }
    }
    Ok(about)
}

/// The properties that the system declares, with their types.
fn declared(about: &[(String, String)]) -> Vec<(String, String)> {
    let Some((_, raw)) = about.iter().find(|(name, _)| name == "property") else { return Vec::new() };
    let Ok(document) = Document::parse(raw.clone(), &Limits::default()) else { return Vec::new() };
    let text = |row: Value<'_>, name| row.get(name).and_then(Value::as_str).map(std::borrow::Cow::into_owned);
    document.root().items().filter_map(|row| Some((text(row, "code")?, text(row, "type")?))).collect()
}

struct Merging<F> {
    parts: Vec<Part>,
    /// Where new concepts go.
    open: Option<usize>,
    /// Whether other fragments may be begun: not where the system is one whole resource.
    may_begin: bool,
    fresh: F,
    about: Vec<(String, String)>,
    added: u64,
}

impl<F: Iterator<Item = ResourceKey>> Merging<F> {
    /// Changes the concept where it is, or adds it.
    fn take(&mut self, concept: &Concept, properties: &[Property]) -> Result<Result<(), Issue>, Failure> {
        let is_there = |part: &Part| {
            part.fragment.get(&concept.code).is_some() || part.fragment.has_nested(&concept.code)
        };
        if let Some(part) = self.parts.iter_mut().find(|part| is_there(part)) {
            let Some(raw) = part.fragment.get(&concept.code) else {
                let text = format!("The concept is nested in another one of {}: change it there.", part.key);
                return Ok(Err(Issue::error(IssueCode::BusinessRule, text).at(concept.at.clone())));
            };
            if let Some(raw) = concept.changed(raw, properties) {
                part.fragment.replace(&concept.code, raw);
            }
            return Ok(Ok(()));
        }
        if concept.members.is_none() {
            let text = format!(
                "The code system has no code {} that the property could be of.",
                quoted(&concept.code)
            );
            return Ok(Err(Issue::error(IssueCode::NotFound, text).at(concept.at.clone())));
        }
        let raw = concept.fresh(properties);
        let fragment = self.place(raw.len())?;
        fragment.push(concept.code.clone(), raw);
        self.added += 1;
        Ok(Ok(()))
    }

    /// The fragment that has room for so many bytes more.
    fn place(&mut self, bytes: usize) -> Result<&mut Fragment, Failure> {
        let has_room = |part: &Part| {
            part.fragment.len() < FRAGMENT_CONCEPTS_MAX && part.fragment.bytes + bytes <= FRAGMENT_BYTES_MAX
        };
        let open = self.open.filter(|at| self.parts.get(*at).is_some_and(has_room));
        let at = match open {
            Some(at) => at,
            None => {
                let key = self.fresh.next().filter(|_| self.may_begin).ok_or_else(|| self.full())?;
                self.parts.push(Part { key, current: None, fragment: Fragment::begin(&self.about) });
                self.parts.len() - 1
            }
        };
        self.open = Some(at);
        self.parts.get_mut(at).map(|part| &mut part.fragment).ok_or_else(Failure::internal)
    }

    fn full(&self) -> Failure {
        let text = match self.may_begin {
            true => "The portion is too large: send fewer concepts at a time.".to_owned(),
            false => format!(
                "The code system is stored whole, with content complete, and takes {FRAGMENT_CONCEPTS_MAX} concepts at most that \
                 way: store it with content not-present, and import its concepts."
            ),
        };
        Failure::new(FailureKind::Unprocessable, IssueCode::TooCostly, text)
    }

    fn finish(self, concepts: u64) -> Merged {
        let Self { mut parts, about, added, may_begin, .. } = self;
        if !may_begin {
            parts.iter_mut().for_each(|part| part.fragment.count_again());
        }
        let mut answer = vec![("resourceType".to_owned(), quoted("CodeSystem"))];
        answer.extend(about.into_iter().filter(|(name, _)| name != "count"));
        let content = if may_begin { "fragment" } else { "complete" };
        answer.push(("content".to_owned(), quoted(content)));
        answer.push(("count".to_owned(), (concepts + added).to_string()));
        let changed = parts.into_iter().filter(|part| part.fragment.is_changed);
        let written =
            changed.map(|part| (part.key, part.current, part.fragment.json().into_bytes())).collect();
        Merged { written, answer: object(&answer) }
    }
}
