//! The plan of a transaction: which resource each entry is about, and the command it comes to. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::patch::Patch;

use super::conditions::{CONDITIONS_MAX, Condition, Conditions, Matched, one_match};
use super::entry::{Entry, Method, calls};
use super::named::Named;
use super::patch;
use super::resolve::{ConditionalReference, Identities, conditional_references, rewrite};
use super::target::Target;
use crate::api::interaction::Called;
use crate::api::turns::Turns;
use crate::api::{self, Body, route};
use crate::decide::conditional::{self, ConditionalCreate, ConditionalUpdate};
use crate::decide::{Candidate, Command, Expected};
use crate::error::{Failure, FailureKind, IssueCode};

/// What an entry comes to.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A command for the log.
    Write(Command),
    /// A change of the version that is there when it is written.
    Patch(Patching),
    /// A resource that was there already (`ifNoneExist`).
    Found(ResourceKey),
    /// Nothing matches what is to be deleted.
    Nothing,
    /// To be read when everything is written, with links of the bundle in its query resolved.
    Read(String, String),
}

/// A patch that waits for the version that it is applied to.
#[derive(Debug, Clone)]
pub(super) struct Patching {
    pub(super) key: ResourceKey,
    pub(super) expected: Expected,
    /// With the links of the bundle resolved.
    pub(super) patch: Arc<Patch>,
    /// Whether the version before is kept where only `meta` changes.
    pub(super) meta_history: bool,
}

/// What stays the same however often a transaction is tried: the entries, the ids of new resources, the conditional
/// references, the conditions.
pub(super) struct Reading<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    new_ids: Vec<String>,
    references: Vec<ConditionalReference>,
    pub(super) conditions: Conditions,
}

impl<'a> Reading<'a> {
    /// Reads what all tries have in common. `addresses` are those of this service.
    ///
    /// # Errors
    /// Two entries with one `fullUrl` (R4 bdl-7), or with the same condition for creating; criteria that are no query, or
    /// name an entry that has criteria itself.
    pub(super) fn new(
        entries: Vec<Entry<'a>>,
        new_id: impl Fn() -> String,
        addresses: &[String],
    ) -> Result<Self, Failure> {
        let mut names = HashSet::new();
        for entry in &entries {
            if let Some(name) = entry.full_url.as_deref().filter(|name| !names.insert(name.to_owned())) {
                debug_assert!(!name.is_empty(), "validation refuses empty strings");
                return Err(duplicate("Two entries have this fullUrl.", format!("{}.fullUrl", entry.path())));
            }
        }
        let references: Vec<_> = entries
            .iter()
            .filter_map(|entry| Some((entry.resource?, format!("{}.resource", entry.path()))))
            .flat_map(|(resource, path)| conditional_references(resource, &path))
            .take(CONDITIONS_MAX + 1)
            .collect();
        if references.len() > CONDITIONS_MAX {
            let text = format!("A transaction may hold {CONDITIONS_MAX} conditional references.");
            return Err(Failure::new(FailureKind::Invalid, IssueCode::TooLong, text).at("Bundle.entry"));
        }
        let new_ids: Vec<String> = entries.iter().map(|_| new_id()).collect();
        let named = Named::new(&entries, &new_ids);
        let conditions = Conditions::read(&entries, &references, &named, addresses)?;
        let mut creates = HashSet::new();
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.method == Method::Post) {
            if conditions.of_entry(index).is_some_and(|condition| !creates.insert(condition)) {
                let path = format!("{}.request.ifNoneExist", entry.path());
                return Err(duplicate("Two entries create a resource on this condition.", path));
            }
        }
        Ok(Self { entries, new_ids, references, conditions })
    }

    /// Whether references are criteria.
    pub(super) fn has_references(&self) -> bool {
        !self.references.is_empty()
    }

    /// The id of the resource that an entry makes, if it makes one.
    pub(super) fn new_id(&self, index: usize) -> &str {
        self.new_ids.get(index).map_or("", String::as_str)
    }

    /// The resources that are changed and that somebody else is changing now.
    pub(super) fn taken(&self, turns: &Turns) -> BTreeSet<ResourceKey> {
        let changed = self.entries.iter().filter_map(|entry| match (entry.method, &entry.target) {
            (Method::Put | Method::Patch | Method::Delete, Target::Instance(kind, id)) => {
                Some(ResourceKey::new(kind.as_str(), id.as_str()))
            }
            _ => None,
        });
        changed.filter(|key| turns.is_taken(key)).collect()
    }

    /// The steps of all entries, in their order.
    ///
    /// # Errors
    /// What one entry is refused for; two entries that are about one resource.
    pub(super) fn plan(
        &self,
        matched: &HashMap<Condition, Matched>,
        bases: &[String],
    ) -> Result<Vec<Step>, Failure> {
        let mut targets = Vec::with_capacity(self.entries.len());
        for (index, (entry, new_id)) in self.entries.iter().zip(&self.new_ids).enumerate() {
            let found = self.conditions.of_entry(index).and_then(|condition| matched.get(condition));
            targets.push(target(entry, new_id, found).map_err(|failure| failure.at(entry.path()))?);
        }
        self.refuse_overlaps(&targets)?;
        let identities = self.identities(&targets);
        let references = self.matched_references(matched, &targets)?;
        let steps = self.entries.iter().zip(targets);
        steps.map(|(entry, target)| step(entry, target, &identities, &references, bases)).collect()
    }

    /// R4 http.html#trules: a resource is written by one entry at most.
    fn refuse_overlaps(&self, targets: &[Planned]) -> Result<(), Failure> {
        let (mut written, mut made) = (HashSet::new(), HashSet::new());
        let deleted: HashSet<_> = targets.iter().filter_map(Planned::deleted).collect();
        for (index, (entry, target)) in self.entries.iter().zip(targets).enumerate() {
            if let Planned::Found(key) = target
                && deleted.contains(key)
            {
                let text = "Another entry of the transaction deletes what this condition matches.";
                return Err(duplicate(text, format!("{}.request.ifNoneExist", entry.path())));
            }
            // What nothing matched is made, and is what another entry with these criteria would have to match.
            if let (Planned::Put(key, ..), Some(condition)) = (target, self.conditions.of_entry(index))
                && self.is_made(key)
                && !made.insert(condition)
            {
                let text =
                    "Another entry of the transaction makes the resource that these criteria are about.";
                return Err(duplicate(text, format!("{}.request.url", entry.path())));
            }
            if let Some(key) = target.written()
                && !written.insert(key.clone())
            {
                let text = "Another entry of the transaction is about the same resource.";
                return Err(duplicate(text, format!("{}.request.url", entry.path())));
            }
        }
        Ok(())
    }

    /// Whether a resource gets its id here.
    fn is_made(&self, key: &ResourceKey) -> bool {
        self.new_ids.contains(&key.id)
    }

    fn identities(&self, targets: &[Planned]) -> Identities {
        let mut identities = Identities::default();
        for (entry, target) in self.entries.iter().zip(targets) {
            if let (Some(full_url), Some(key)) = (&entry.full_url, target.named()) {
                identities.add(full_url, &key.to_string());
            }
        }
        identities
    }

    /// Conditional references: to what an entry of this bundle makes on the same condition, else to the one that matches
    /// when everything is written (R4 http.html#trules, step 5).
    fn matched_references(
        &self,
        matched: &HashMap<Condition, Matched>,
        targets: &[Planned],
    ) -> Result<HashMap<String, String>, Failure> {
        let mut made: HashMap<&Condition, String> = HashMap::new();
        for (index, target) in targets.iter().enumerate() {
            if let (Some(condition), Some(key)) = (self.conditions.of_entry(index), target.named()) {
                made.insert(condition, key.to_string());
            }
        }
        // What these match now is not what they match in the end.
        let changed: HashSet<&ResourceKey> =
            targets.iter().filter_map(|target| target.deleted().or(target.put())).collect();
        let mut local = HashMap::new();
        for (reference, condition) in self.references.iter().zip(self.conditions.of_references()) {
            let found = match (made.get(condition), matched.get(condition)) {
                (Some(key), _) => key.clone(),
                (None, Some(matched)) => {
                    let is_left = |id: &&str| {
                        let key = ResourceKey::new(reference.resource_type.as_str(), *id);
                        !changed.contains(&key)
                    };
                    let before = matched.ids.iter().map(String::as_str).filter(is_left);
                    let own = matched.own.iter().filter_map(|index| targets.get(*index)?.put());
                    one_match(reference, &before.chain(own.map(|key| key.id.as_str())).collect())?
                }
                (None, None) => return Err(Failure::internal()),
            };
            local.insert(reference.text.clone(), found);
        }
        Ok(local)
    }
}

/// The resource that an entry is about.
enum Planned {
    /// A new resource, or a new version: the key, what is expected, and what must not be held by another.
    Put(ResourceKey, Expected, Vec<anamnesis_events::Identifier>, bool),
    Patch(ResourceKey, Expected),
    Found(ResourceKey),
    Delete(ResourceKey, Expected, bool),
    Purge(ResourceKey, Expected),
    Nothing,
    Read,
}

impl Planned {
    fn written(&self) -> Option<&ResourceKey> {
        match self {
            Self::Put(key, ..) | Self::Patch(key, _) | Self::Delete(key, ..) | Self::Purge(key, _) => {
                Some(key)
            }
            Self::Found(_) | Self::Nothing | Self::Read => None,
        }
    }

    fn deleted(&self) -> Option<&ResourceKey> {
        match self {
            Self::Delete(key, ..) => Some(key),
            _ => None,
        }
    }

    /// The resource that is as the entry brings it when everything is written.
    fn put(&self) -> Option<&ResourceKey> {
        match self {
            Self::Put(key, ..) => Some(key),
            _ => None,
        }
    }

    /// The resource that the entry's `fullUrl` stands for.
    fn named(&self) -> Option<&ResourceKey> {
        match self {
            Self::Put(key, ..) | Self::Patch(key, _) | Self::Found(key) => Some(key),
            Self::Delete(..) | Self::Purge(..) | Self::Nothing | Self::Read => None,
        }
    }
}

fn target(entry: &Entry<'_>, new_id: &str, found: Option<&Matched>) -> Result<Planned, Failure> {
    let expected = api::negotiate::expected(&api::Conditions {
        if_match: entry.if_match.clone(),
        // On a read the same element means something else, and is looked at there.
        if_none_match: entry
            .if_none_match
            .clone()
            .filter(|_| !matches!(entry.method, Method::Get | Method::Head)),
        ..api::Conditions::default()
    })?;
    let ids = found.map(|matched| matched.ids.as_slice()).unwrap_or_default();
    let unless_held = || found.map(|matched| matched.unless_held.clone()).unwrap_or_default();
    let key = |kind: &str, id: &str| Ok::<_, Failure>(ResourceKey::new(route::resource_type(kind)?, id));
    Ok(match (entry.method, &entry.target) {
        (Method::Post, Target::Type(kind)) => match conditional::create(ids)? {
            ConditionalCreate::Found(id) => Planned::Found(key(kind, &id)?),
            ConditionalCreate::Create => {
                Planned::Put(key(kind, new_id)?, Expected::Anything, unless_held(), true)
            }
        },
        (Method::Put, Target::Instance(kind, id)) => {
            if body_id(entry).as_deref() != Some(id) {
                let text = "The id in the resource is not the one in the url.";
                return Err(Failure::invalid(text));
            }
            Planned::Put(key(kind, id)?, expected, Vec::new(), false)
        }
        (Method::Put, Target::Conditional(kind, _)) => {
            match conditional::update(ids, body_id(entry).as_deref())? {
                ConditionalUpdate::Create => {
                    // Under an id of the server's, as one that stands for itself.
                    let is_new = !expected.is_condition();
                    Planned::Put(key(kind, new_id)?, expected, unless_held(), is_new)
                }
                ConditionalUpdate::CreateAs(id) => {
                    Planned::Put(key(kind, &id)?, expected.or_unmatched(), unless_held(), false)
                }
                ConditionalUpdate::Update(id) => {
                    Planned::Put(key(kind, &id)?, pin(expected, found), Vec::new(), false)
                }
            }
        }
        (Method::Patch, Target::Instance(kind, id)) => Planned::Patch(key(kind, id)?, expected),
        (Method::Patch, Target::Conditional(kind, _)) => {
            Planned::Patch(key(kind, &conditional::patch(ids)?)?, pin(expected, found))
        }
        (Method::Post | Method::Delete, Target::Other(path, _)) => match calls(entry.method, path) {
            Some(Called::Purge(key)) => Planned::Purge(key, expected),
            _ => Planned::Read,
        },
        (Method::Delete, Target::Instance(kind, id)) => {
            Planned::Delete(key(kind, id)?, expected, entry.own.hard)
        }
        (Method::Delete, Target::Conditional(kind, _)) => match conditional::delete(ids, None)? {
            [] => Planned::Nothing,
            [id, ..] => Planned::Delete(key(kind, id)?, pin(expected, found), entry.own.hard),
        },
        _ => Planned::Read,
    })
}

/// The version that matched, unless the client itself expects another.
fn pin(expected: Expected, found: Option<&Matched>) -> Expected {
    let Some(version) = found.and_then(|matched| matched.version) else { return expected };
    match expected {
        Expected::Versions(versions) if !versions.contains(&version) => Expected::Versions(versions),
        Expected::Nothing => Expected::Nothing,
        _ => Expected::Versions(vec![version]),
    }
}

fn body_id(entry: &Entry<'_>) -> Option<String> {
    entry.resource?.get("id").and_then(Value::as_str).map(std::borrow::Cow::into_owned)
}

fn step(
    entry: &Entry<'_>,
    target: Planned,
    identities: &Identities,
    references: &HashMap<String, String>,
    bases: &[String],
) -> Result<Step, Failure> {
    Ok(match target {
        Planned::Found(key) => Step::Found(key),
        Planned::Nothing => Step::Nothing,
        Planned::Delete(key, expected, hard) => Step::Write(Command::Delete { key, expected, hard }),
        Planned::Purge(key, expected) => Step::Write(Command::Purge { key, expected }),
        Planned::Read => {
            let (path, query) = entry.target.path_and_query();
            Step::Read(path, identities.rewrite_query(&query))
        }
        Planned::Patch(key, expected) => {
            let patch =
                patch_of(entry, identities, references).map_err(|failure| failure.at(entry.path()))?;
            Step::Patch(Patching { key, expected, patch, meta_history: entry.own.meta_history })
        }
        Planned::Put(key, expected, unless_held, is_new) => {
            let resource = entry.resource.ok_or_else(Failure::internal)?;
            let path = format!("{}.resource", entry.path());
            let text = rewrite(resource, &path, &identities.seen_from(entry.full_url.as_deref()), references)
                .map_err(|issues| Failure::with_issues(FailureKind::Invalid, issues))?;
            let document = Document::parse(text, &Limits::default())?;
            let candidate = Candidate::new(key, document, bases).with_meta_history(entry.own.meta_history);
            let candidate = Arc::new(candidate);
            Step::Write(match is_new {
                true => Command::Create { candidate, unless_held },
                false => Command::Update { candidate, expected, unless_held },
            })
        }
    })
}

/// The patch of an entry, with the links of the bundle resolved.
fn patch_of(
    entry: &Entry<'_>,
    identities: &Identities,
    references: &HashMap<String, String>,
) -> Result<Arc<Patch>, Failure> {
    let resource = entry.resource.ok_or_else(Failure::internal)?;
    let view = identities.seen_from(entry.full_url.as_deref());
    if let Body::JsonPatch(bytes) = patch::body(resource, &entry.path())? {
        return api::patch::parse(patch::with_links(bytes, &view)?, true);
    }
    let text = rewrite(resource, &format!("{}.resource", entry.path()), &view, references)
        .map_err(|issues| Failure::with_issues(FailureKind::Invalid, issues))?;
    api::patch::parse(text, false)
}

fn duplicate(text: &'static str, path: String) -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::Duplicate, text).at(path)
}
