//! The bounds of a request whose token has scopes: what each interaction has to be allowed, and what of the resources is
//! there for it. Whatever is not known to obey them is refused.

use std::sync::{Arc, OnceLock};

use anamnesis_events::{Event, Operation as Written, ResourceKey, Version};
use anamnesis_projections::search::{ParseOptions, Restriction, SearchIndex, Sight, Subject};
use chrono::DateTime;

use super::call::Call;
use super::interaction::Interaction;
use super::route::Place;
use super::service::Service;
use crate::access::Grant;
use crate::access::scope::Letter;
use crate::clock;
use crate::decide::{self, Act, Current};
use crate::error::Failure;

/// How something that a client can do obeys scopes. Each row of the tables of interactions and operations says it: what
/// says nothing cannot be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obeys {
    /// It tells nothing that is anybody's: what the server can do, terminology.
    Nothing,
    /// It needs these on its type. What it searches has the clause of the restriction, what it reads is tested body by body,
    /// and what it writes is decided within the bounds.
    Clause(&'static [Letter]),
    /// It needs these on some type, whichever it is called on. Each resource that it gives has been tested by the restriction.
    Some(&'static [Letter]),
    /// It tells of all resources that it is about: only for who may do these with all of them.
    Whole(&'static [Letter]),
    /// It is many requests, each with bounds of its own.
    Entries,
}

/// Everything that scopes can allow.
pub(super) const ALL: &[Letter] = &Letter::ALL;

/// The bounds of one request.
pub(crate) struct Bounds {
    grant: Arc<Grant>,
    owner: Option<String>,
    index: SearchIndex,
    options: ParseOptions,
    /// By [`Letter`], each made when it is first asked for: most requests ask for one or none.
    sights: [OnceLock<Sight>; 5],
}

impl Bounds {
    /// The bounds of a grant, by the search parameters of now.
    ///
    /// # Errors
    /// 503 without an index; 403 for a scope whose arguments are no search parameters of its type.
    pub(super) fn of(grant: &Arc<Grant>, service: &Service, base: &str) -> Result<Arc<Self>, Failure> {
        let index = service.index()?.clone();
        let options = ParseOptions {
            base_url: Some(base.to_owned()),
            date_equals: service.options.date_equals,
            ..ParseOptions::at(clock::now())
        };
        let owner = grant.owner().map(|(name, id)| format!("{name}/{id}"));
        let bounds = Self { grant: grant.clone(), owner, index, options, sights: Default::default() };
        if grant.scopes().resources().iter().any(|scope| !scope.arguments.is_empty()) {
            bounds.check_arguments()?;
        }
        Ok(Arc::new(bounds))
    }

    fn check_arguments(&self) -> Result<(), Failure> {
        match Letter::ALL.iter().find_map(|letter| self.sight(*letter).not_understood()) {
            None => Ok(()),
            Some(name) => Err(Failure::forbidden(format!(
                "A scope has an argument that is no search parameter of {name}, or no value of one."
            ))),
        }
    }

    /// What can be seen with a letter.
    fn sight(&self, letter: Letter) -> &Sight {
        let [create, read, update, delete, search] = &self.sights;
        let sight = match letter {
            Letter::Create => create,
            Letter::Read => read,
            Letter::Update => update,
            Letter::Delete => delete,
            Letter::Search => search,
        };
        sight.get_or_init(|| self.index.sight(self.grant.restriction(letter).clone(), self.options.clone()))
    }

    /// What may be found and shown in searches.
    pub(super) fn search(&self) -> &Arc<Restriction> {
        self.grant.restriction(Letter::Search)
    }

    /// Whether all resources of a type can be reached.
    pub(super) fn has_all(&self, letter: Letter, resource_type: &str) -> bool {
        self.grant.restriction(letter).has_all(resource_type)
    }

    /// Whether all resources can be.
    pub(super) fn is_whole(&self, letters: &[Letter]) -> bool {
        letters.iter().all(|letter| self.grant.restriction(*letter).is_none())
    }

    /// Whose compartment it is bounded to.
    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Whether a version of a resource can be reached.
    fn reaches(&self, letter: Letter, key: &ResourceKey, payload: &[u8]) -> bool {
        let (resource_type, id) = (&*key.resource_type, key.id.as_str());
        // No scope asks for the time of a version.
        self.sight(letter).admits(&Subject { resource_type, id, payload, recorded_at: DateTime::UNIX_EPOCH })
    }

    /// Refuses what scopes do not allow of an interaction, whatever is there.
    ///
    /// # Errors
    /// 403, which says which letters are needed.
    pub(super) fn check(
        &self,
        interaction: Interaction,
        place: &Place,
        is_conditional: bool,
    ) -> Result<(), Failure> {
        let resource_type = place.resource_type();
        match interaction.obeys() {
            Obeys::Nothing | Obeys::Entries => Ok(()),
            Obeys::Clause(letters) => {
                // Criteria are a search, whatever is done with what they match.
                let also = if is_conditional { [Letter::Search].as_slice() } else { &[] };
                let is_missing = |letter: &&Letter| !self.grant.allows(**letter, resource_type);
                match letters.iter().chain(also).find(is_missing) {
                    Some(letter) => Err(insufficient(*letter, resource_type)),
                    None => Ok(()),
                }
            }
            Obeys::Some(letters) => match letters.iter().find(|letter| !self.grant.allows(**letter, None)) {
                Some(letter) => Err(insufficient(*letter, None)),
                None => Ok(()),
            },
            Obeys::Whole(letters) => {
                let is_missing = |letter: &&Letter| match resource_type {
                    Some(name) if !matches!(interaction, Interaction::Operation(_)) => {
                        !self.has_all(**letter, name)
                    }
                    _ => !self.is_whole(&[**letter]),
                };
                match letters.iter().find(is_missing) {
                    Some(_) => Err(Failure::forbidden(
                        "This tells of resources or changes some that the scopes of the token do not reach, so it is refused: it \
                         is for tokens whose scopes are about all resources.",
                    )),
                    None => Ok(()),
                }
            }
        }
    }
}

impl decide::Bounds for Bounds {
    fn admits(&self, act: Act, key: &ResourceKey, body: &[u8]) -> bool {
        self.has_some(act, &key.resource_type) && self.reaches(letter(act), key, body)
    }

    fn has_some(&self, act: Act, resource_type: &str) -> bool {
        // A Subscription tells of whatever its criteria are about.
        let is_bounded = resource_type != "Subscription" || self.is_whole(&[Letter::Read, Letter::Search]);
        is_bounded && self.grant.allows(letter(act), Some(resource_type))
    }

    fn has_all(&self, act: Act, resource_type: &str) -> bool {
        self.has_some(act, resource_type) && Self::has_all(self, letter(act), resource_type)
    }

    fn owner(&self) -> Option<&str> {
        Self::owner(self)
    }
}

fn letter(act: Act) -> Letter {
    match act {
        Act::Create => Letter::Create,
        Act::Update => Letter::Update,
        Act::Delete => Letter::Delete,
    }
}

fn insufficient(letter: Letter, resource_type: Option<&str>) -> Failure {
    let what = match letter {
        Letter::Create => "create (c)",
        Letter::Read => "read (r)",
        Letter::Update => "update (u)",
        Letter::Delete => "delete (d)",
        Letter::Search => "search (s)",
    };
    let name = resource_type.unwrap_or("any resources");
    Failure::forbidden(format!("The scopes of the token do not allow {what} of {name}."))
}

impl Call {
    /// Whether there is nothing that scopes hide from this request.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.bounds.is_none()
    }

    /// What of the resources searches of this request find.
    pub(crate) fn restriction(&self) -> Option<Arc<Restriction>> {
        self.bounds.as_ref().map(|bounds| bounds.search().clone())
    }

    /// Whether a version of a resource that has a body can be reached.
    pub(crate) fn sees(&self, letter: Letter, event: &Event) -> bool {
        let reaches = |bounds: &Arc<Bounds>| bounds.reaches(letter, &event.key, &event.payload);
        self.bounds.as_ref().is_none_or(reaches)
    }

    /// Whether what a search has found, and may have changed since, can be shown.
    pub(crate) fn sees_current(&self, key: &ResourceKey, current: &Current) -> bool {
        self.bounds.as_ref().is_none_or(|bounds| bounds.reaches(Letter::Search, key, &current.payload))
    }

    /// Whether a version can be read. A delete has no body: it can be where the version before it can.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn can_read(&self, event: &Event) -> Result<bool, Failure> {
        let Some(bounds) = &self.bounds else { return Ok(true) };
        if event.operation != Written::Delete {
            return Ok(bounds.reaches(Letter::Read, &event.key, &event.payload));
        }
        if bounds.has_all(Letter::Read, &event.key.resource_type) {
            return Ok(true);
        }
        let before = event.version.get().saturating_sub(1);
        let before = self.service.log.version(&event.key, Version::new(before)).await?;
        Ok(before.is_some_and(|before| bounds.reaches(Letter::Read, &before.key, &before.payload)))
    }

    /// What is there to be patched: nothing that is out of reach.
    pub(crate) fn patchable(&self, key: &ResourceKey, current: Option<Arc<Current>>) -> Option<Arc<Current>> {
        let reaches = |current: &Arc<Current>| {
            self.bounds.as_ref().is_none_or(|bounds| bounds.reaches(Letter::Update, key, &current.payload))
        };
        current.filter(reaches)
    }
}

impl std::fmt::Debug for Bounds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Bounds").field("grant", &self.grant).finish_non_exhaustive()
    }
}
