//! Includes: the resources that come with a page of matches, each once (R4 search.html#include).
//!
//! Matches and includes show the resources as of one position of the log, so that the included resources of a page are the
//! same however often and in how many portions they are asked for: the first portion comes with the matches, the
//! others with `$includes`, which finds the matches again.

use std::collections::HashSet;

use anamnesis_events::{Event, Position, ResourceKey};
use anamnesis_fhir::definitions;
use anamnesis_projections::search::{
    Followed, INCLUDES_PARAMETER, Include, IncludesToken, Scope, SearchIndex, SearchMatch, SearchQuery,
    Wanted,
};

use super::call::Call;
use super::contained;
use super::search::refuse_strangers;
use crate::access::scope::Letter;
use crate::error::{Failure, Issue, IssueCode};

/// Included resources of one page of matches, in all its portions. Whoever needs more takes smaller pages.
const INCLUDED_MAX: usize = 10_000;
/// How often includes that iterate are carried on: longer chains of references than that are in no real record.
const ROUNDS_MAX: usize = 16;
/// Versions that one statement looks for.
const VERSIONS_MAX: usize = 500;
/// Bodies in memory at once while includes are carried on.
const BODIES_MAX: usize = 500;

/// One portion of the included resources of a page.
#[derive(Debug, Default)]
pub(super) struct Included {
    pub(super) events: Vec<Event>,
    /// How many were given with this portion and before, where there are more.
    pub(super) skip_next: Option<usize>,
    pub(super) issues: Vec<Issue>,
}

/// The included resources of a page of matches as of a position, after `skip` of them.
///
/// # Errors
/// When the index or the log cannot be read.
pub(super) async fn of_page(
    call: &Call,
    query: &SearchQuery,
    at: Position,
    matches: &[Event],
    skip: usize,
) -> Result<Included, Failure> {
    if query.includes().is_empty() || matches.is_empty() {
        return Ok(Included::default());
    }
    let end = skip.saturating_add(query.includes_count()).min(INCLUDED_MAX);
    // One more tells whether there is another portion.
    let mut found = Drawing::new(call, query, at, matches)?.draw(end + 1).await?;
    let mut included = Included { issues: std::mem::take(&mut found.issues), ..Included::default() };
    if found.all.len() > end {
        match end < INCLUDED_MAX {
            true => included.skip_next = Some(end),
            false => included.issues.push(warning(format!(
                "This page draws in more than {INCLUDED_MAX} resources, of which no more are given: ask for smaller \
                 pages with _count"
            ))),
        }
    }
    let given: Vec<SearchMatch> = found.all.into_iter().take(end).skip(skip).collect();
    included.events = fetch(call, &given).await?;
    Ok(included)
}

/// The address that goes on with the included resources of a page.
pub(super) fn address(call: &Call, scope: &Scope, query: &SearchQuery, at: Position, skip: usize) -> String {
    let (path, owner) = match scope {
        Scope::System => (String::new(), None),
        Scope::Type(name) => (format!("/{name}"), None),
        Scope::Compartment { owner_type, owner_id, resource_type } => (
            resource_type.as_ref().map_or(String::new(), |name| format!("/{name}")),
            Some((owner_type.clone(), owner_id.clone())),
        ),
    };
    let page = page_token(call);
    let fingerprint = query.fingerprint_of_page();
    let token = IncludesToken { fingerprint, position: at, skip, owner, page }.encode();
    let applied = query.applied().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let parameters = applied.chain([(INCLUDES_PARAMETER, token.as_str())]);
    call.link(&format!("{}{path}/$includes", call.base), parameters)
}

/// The token of the page of matches: of a search its own, of a further portion the one that it names.
fn page_token(call: &Call) -> Option<String> {
    let named = call.query.get(INCLUDES_PARAMETER).and_then(IncludesToken::decode);
    match named {
        Some(token) => token.page,
        None => call.query.get(anamnesis_projections::search::PAGE_PARAMETER).map(str::to_owned),
    }
}

/// Follows includes from resource to resource.
struct Drawing<'a> {
    call: &'a Call,
    index: SearchIndex,
    query: &'a SearchQuery,
    at: Position,
    wanted: Wanted,
    /// The matches, and what was drawn in as the page shows it.
    seen: HashSet<ResourceKey>,
    /// The versions of the matches and of all that was drawn in; what is shown of a contained resource is none of its container.
    given: HashSet<(ResourceKey, Position)>,
}

/// What was found, always in the same order.
#[derive(Default)]
struct Found {
    all: Vec<SearchMatch>,
    issues: Vec<Issue>,
}

impl<'a> Drawing<'a> {
    fn new(call: &'a Call, query: &'a SearchQuery, at: Position, matches: &[Event]) -> Result<Self, Failure> {
        let index = call.index()?;
        let mut wanted = Wanted::default();
        for event in matches {
            let resource_type = &contained::type_of(event);
            let followed = Followed { resource_type, key: &event.key, body: &event.payload };
            index.want(&mut wanted, query, true, &followed);
        }
        let seen = matches.iter().map(|event| event.key.clone()).collect();
        let given = matches.iter().map(|event| (event.key.clone(), event.position)).collect();
        Ok(Self { call, index, query, at, wanted, seen, given })
    }

    /// At most `count_max` resources.
    async fn draw(mut self, count_max: usize) -> Result<Found, Failure> {
        let mut found = Found::default();
        let mut is_incomplete = false;
        let iterates = self.query.includes().iter().any(Include::iterates);
        for round in 1..=ROUNDS_MAX {
            let missing = count_max - found.all.len();
            let drawn = self.index.draw(self.query, &self.wanted, self.at, &mut self.seen, missing).await?;
            is_incomplete |= drawn.incomplete;
            let newest = found.all.len();
            let new = drawn.matches.into_iter().filter(|one| {
                let key = ResourceKey::new(one.resource_type, one.id.as_str());
                self.given.insert((key, one.position))
            });
            found.all.extend(new);
            self.draw_versions(&mut found.all, count_max).await?;
            let newest = found.all.get(newest..).unwrap_or_default();
            if !iterates || newest.is_empty() || found.all.len() >= count_max {
                break;
            }
            if round == ROUNDS_MAX {
                found.issues.push(warning(format!("Includes are carried on {ROUNDS_MAX} times at most")));
                break;
            }
            self.wanted = self.go_on(newest).await?;
        }
        if is_incomplete {
            found
                .issues
                .push(warning("Included resources that have changed meanwhile may be missing".to_owned()));
        }
        Ok(found)
    }

    /// Adds the versions that references name, as far as there is room. One that was recorded after the position as of
    /// which the page shows its resources is not there.
    async fn draw_versions(&mut self, all: &mut Vec<SearchMatch>, count_max: usize) -> Result<(), Failure> {
        for some in self.wanted.versions().chunks(VERSIONS_MAX) {
            if all.len() >= count_max {
                break;
            }
            let positions = self.call.service.log.positions_of(some, self.at).await?;
            let mut versions = Vec::with_capacity(some.len());
            for ((key, _), position) in some.iter().zip(positions) {
                let resource_type =
                    definitions::r4().resource_types().iter().find(|name| ***name == *key.resource_type);
                let (Some(position), Some(resource_type)) = (position, resource_type) else { continue };
                versions.push(SearchMatch { position, resource_type, id: key.id.clone(), contained: None });
            }
            for version in self.can_be_seen(versions).await? {
                let key = ResourceKey::new(version.resource_type, version.id.as_str());
                if all.len() < count_max && self.given.insert((key, version.position)) {
                    all.push(version);
                }
            }
        }
        Ok(())
    }

    /// The versions that can be seen. They do not come out of the index, which asks its own rows.
    async fn can_be_seen(&self, versions: Vec<SearchMatch>) -> Result<Vec<SearchMatch>, Failure> {
        if self.call.is_unbounded() {
            return Ok(versions);
        }
        let mut seen = HashSet::new();
        for some in versions.chunks(BODIES_MAX) {
            let events = fetch(self.call, some).await?;
            let events = events.iter().filter(|event| self.call.sees(Letter::Search, event));
            seen.extend(events.map(|event| event.position));
        }
        Ok(versions.into_iter().filter(|version| seen.contains(&version.position)).collect())
    }

    /// What is wanted because of what was drawn in.
    async fn go_on(&self, newest: &[SearchMatch]) -> Result<Wanted, Failure> {
        let mut wanted = Wanted::default();
        for some in newest.chunks(BODIES_MAX) {
            for event in fetch(self.call, some).await? {
                let (key, body) = (&event.key, &event.payload);
                let followed = Followed { resource_type: &key.resource_type, key, body };
                self.index.want(&mut wanted, self.query, false, &followed);
            }
        }
        Ok(wanted)
    }
}

async fn fetch(call: &Call, found: &[SearchMatch]) -> Result<Vec<Event>, Failure> {
    let positions = found.iter().map(|found| found.position).collect();
    let mut events = call.service.compartments.reads().fetch(positions).await?;
    refuse_strangers(found, &events)?;
    // What was erased since it was found is not there any more.
    events.retain(|event| event.erased.is_none());
    Ok(events)
}

fn warning(text: String) -> Issue {
    Issue::warning(IssueCode::Incomplete, format!("{text}."))
}
