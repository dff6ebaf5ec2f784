//! A resource that a client sent, checked and placed, ready to be decided about.

use std::collections::HashSet;

use anamnesis_events::{Identifier, ResourceKey};
use anamnesis_fhir::json::{Document, Kind, Limits, Value};
use anamnesis_fhir::references::{LinkKind, Target, rewrite};

use super::placement::{self, Placement};

/// A resource on its way into the log. Its bytes are the client's; id and meta are set when it is stamped.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Under which type and id it is recorded.
    pub key: ResourceKey,
    /// What the client sent, parsed and validated.
    pub document: Document,
    /// The compartments it belongs to under this id.
    pub placement: Placement,
    /// Its business identifiers.
    pub identifiers: Vec<Identifier>,
    /// Whether the version before is kept where only `meta` changes (AHDS: `_meta-history`).
    pub meta_history: bool,
    /// Whether the service's checks are to be made.
    pub is_checked: bool,
}

impl Candidate {
    /// Places a validated resource. `key` names the type that the document says and the id it will have; `bases` are
    /// the addresses of this server.
    #[must_use]
    pub fn new(key: ResourceKey, document: Document, bases: &[String]) -> Self {
        let document = localise(document, &key.resource_type, bases);
        let placement = placement::place(&key, document.root(), bases);
        let identifiers = identifiers(document.root());
        Self { key, document, placement, identifiers, meta_history: true, is_checked: true }
    }

    /// The same, without the service's checks: what the server itself makes of a version that has passed them.
    #[must_use]
    pub fn unchecked(self) -> Self {
        Self { is_checked: false, ..self }
    }

    /// The same, with the version before kept or not where only `meta` changes.
    #[must_use]
    pub fn with_meta_history(self, meta_history: bool) -> Self {
        Self { meta_history, ..self }
    }
}

/// Writes absolute references to this server's own resources as relative ones, so that they mean the same whichever
/// address a client knows the server by, and are found and placed as what they are. All else stays as it was sent.
fn localise(document: Document, resource_type: &str, bases: &[String]) -> Document {
    if !bases.iter().any(|base| document.text().contains(base.as_str())) {
        return document;
    }
    let splice = rewrite(document.root(), resource_type, |link| {
        let target = link.target().filter(|_| link.kind == LinkKind::Reference)?;
        target.base.filter(|base| bases.iter().any(|ours| ours == base))?;
        let Target { resource_type, id, version, .. } = target;
        let version = version.map(|version| format!("/_history/{version}")).unwrap_or_default();
        Some(format!("{resource_type}/{id}{version}"))
    });
    if splice.is_empty() {
        return document;
    }
    // Replacing one string by another leaves good JSON; if not, what was sent stays.
    let rewritten = splice.apply_to(&document).ok();
    rewritten.and_then(|bytes| Document::parse(bytes, &Limits::default()).ok()).unwrap_or(document)
}

/// The business identifiers of a resource: what R4's search parameter `identifier` finds, where it has a value. That is
/// the element `identifier`, and `masterIdentifier` of documents.
#[must_use]
pub fn identifiers(resource: Value<'_>) -> Vec<Identifier> {
    let elements = ["masterIdentifier", "identifier"].into_iter().filter_map(|name| resource.get(name));
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut take = |value: Value<'_>| {
        let text = |name| value.get(name).and_then(|member| member.as_str());
        if let Some(code) = text("value").filter(|code| !code.is_empty()) {
            let system = text("system").unwrap_or_default().into_owned();
            let identifier = Identifier { system, value: code.into_owned() };
            if seen.insert(identifier.clone()) {
                found.push(identifier);
            }
        }
    };
    for element in elements {
        match element.kind() {
            Kind::Array => element.items().for_each(&mut take),
            _ => take(element),
        }
    }
    found
}
