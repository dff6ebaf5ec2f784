//! How search parameters stand, in the words of Azure Health Data Services.

use std::collections::BTreeSet;

use anamnesis_fhir::search::custom::{Standing, Unused};
use anamnesis_fhir::search::{ParameterDefinition, SearchParameterKind, SearchRegistry};
use anamnesis_projections::search::{CustomParameters, asks_for_words};

use super::catalog::{Current, Stored};

/// Without an expression, and served all the same.
const SERVED: [&str; 1] = ["_filter"];

/// How a search parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It can be searched by.
    Enabled,
    /// It is stored; the index does not have it, or has it as it was before.
    Supported,
    /// It is switched off.
    Disabled,
    /// The index has it, but it is not stored any more: it cannot be searched by.
    PendingDelete,
    /// This server cannot search by it.
    Unsupported,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Supported => "supported",
            Self::Disabled => "disabled",
            Self::PendingDelete => "pendingDelete",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What is told of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) url: String,
    pub(crate) code: String,
    pub(crate) bases: Vec<String>,
    pub(crate) status: Status,
    /// What the word does not say.
    pub(crate) note: Option<String>,
}

/// How all stand: R4's, those that are stored, and those that are only indexed.
pub(super) fn all(
    current: &Current,
    (indexed, lacks_words): (&CustomParameters, Option<&str>),
    off: &BTreeSet<String>,
) -> Vec<Told> {
    let is_off = |url: &str| off.contains(url);
    let r4 = SearchRegistry::r4().definitions().iter().filter(|one| !one.bases.is_empty());
    let mut all: Vec<Told> = r4
        .map(|one| match asks_for_words(&one.code) {
            true => of_words(one, (indexed, lacks_words), is_off(&one.url)),
            false => told(one, of_r4(one, is_off(&one.url)), None),
        })
        .collect();
    for stored in &current.stored {
        let Some(url) = stored.submitted.url() else { continue };
        if SearchRegistry::r4().by_url(url).is_some() {
            continue;
        }
        let (status, note) = of_stored(stored, indexed, off, &all);
        all.push(match stored.added().or_else(|| stored.submitted.definition()) {
            Some(definition) => told(definition, status, note),
            None => Told { url: url.to_owned(), code: String::new(), bases: Vec::new(), status, note },
        });
    }
    for one in indexed.iter().filter(|one| !current.stored.iter().any(|stored| is_of(stored, one))) {
        all.push(told(&one.definition, Status::PendingDelete, None));
    }
    all
}

fn is_of(stored: &Stored, one: &anamnesis_projections::search::CustomParameter) -> bool {
    stored.submitted.url() == Some(one.definition.url.as_str())
}

fn told(definition: &ParameterDefinition, status: Status, note: Option<String>) -> Told {
    Told {
        url: definition.url.clone(),
        code: definition.code.clone(),
        bases: definition.bases.clone(),
        status,
        note,
    }
}

/// `_text` and `_content` can be searched by where the index has the words of texts.
fn of_words(
    definition: &ParameterDefinition,
    (indexed, lacks_words): (&CustomParameters, Option<&str>),
    is_off: bool,
) -> Told {
    let status = match (indexed.has_full_text(), is_off) {
        (true, true) => Status::Disabled,
        (true, false) => Status::Enabled,
        (false, _) => Status::Supported,
    };
    told(definition, status, lacks_words.map(|why| format!("The words of texts are not indexed: {why}.")))
}

fn of_r4(definition: &ParameterDefinition, is_off: bool) -> Status {
    let is_served = match definition.kind {
        SearchParameterKind::Special => {
            definition.code == "near" || SERVED.contains(&definition.code.as_str())
        }
        _ => definition.expression.is_some(),
    };
    match (is_served, is_off) {
        (false, _) => Status::Unsupported,
        (true, true) => Status::Disabled,
        (true, false) => Status::Enabled,
    }
}

/// Of one that is stored under an address of its own.
fn of_stored(
    stored: &Stored,
    indexed: &CustomParameters,
    off: &BTreeSet<String>,
    known: &[Told],
) -> (Status, Option<String>) {
    let url = stored.submitted.url().unwrap_or_default();
    let in_index = indexed.get(url);
    match &stored.standing {
        Ok(Standing::Added(_)) if off.contains(url) => (Status::Disabled, None),
        Ok(Standing::Added(definition)) => match in_index {
            Some(one) if one.definition == *definition => (Status::Enabled, None),
            Some(_) => {
                let note = "It is searched by as it was when the index was built; a reindex takes over what it says now.";
                (Status::Supported, Some(note.to_owned()))
            }
            None => (Status::Supported, Some("It awaits a reindex.".to_owned())),
        },
        Ok(Standing::Served { by }) => {
            let status = known.iter().find(|one| one.url == *by).map_or(Status::Supported, |one| one.status);
            (status, Some(format!("{by} serves it.")))
        }
        _ if in_index.is_some() => (Status::PendingDelete, None),
        Ok(Standing::Unused(why)) => {
            let note = match why {
                Unused::Status => "Its status is neither active nor draft.",
                Unused::Special => "Its type is special.",
                Unused::NoExpression => "It has no expression.",
            };
            (Status::Unsupported, Some(note.to_owned()))
        }
        Err(faults) => (Status::Unsupported, faults.first().map(|fault| fault.text.clone())),
    }
}
