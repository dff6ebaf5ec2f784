//! A patient's compartment as it stood: which versions belonged to it, and which of them a search finds.
//!
//! The log's index of compartments names every event that concerns one, so the resources of then are found without an
//! index of their content. What a search asks of them is tested in memory, version by version, as the search index would
//! have it (`projections/src/search/evaluate.rs`).

use std::sync::Arc;

use anamnesis_events::{CompartmentAt, Event, Position, READ_EVENTS_MAX, ResourceKey};
use anamnesis_projections::search::{
    Contained, ContainedType, Evaluator, PAGE_PARAMETER, Scope, SearchQuery, Subject, Total,
};

use super::super::answer::Answer;
use super::super::call::Call;
use super::super::page::Link;
use super::super::search as present;
use super::super::service::Service;
use super::{PARAMETER, erased_since, is_erased_since};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// The kind of compartment that the log knows; the others stand in the search index only, which has no past.
const KIND: &str = "Patient";
/// Versions that are unpacked and tested at a time.
const TESTED_AT_ONCE: usize = 200;
/// Bytes of resources on a page, as those of a history: the page ends early and has a `next` link.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// Which versions of a compartment are wanted.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    owner: &'a ResourceKey,
    position: Position,
    /// The types that are wanted; `None` for all.
    types: Option<&'a [String]>,
    /// Behind which position the page begins.
    behind: Option<Position>,
    ascending: bool,
    /// Versions on the page.
    count: usize,
}

/// A page of versions, in the order of the log.
#[derive(Debug, Default)]
struct Members {
    events: Vec<Event>,
    /// Behind which position the next page begins; `None` where there is none.
    next: Option<Position>,
    /// Versions of which nobody can tell whether they belong to the page.
    unreadable: u64,
    /// Whether there were versions then that have been erased since.
    is_erased: bool,
}

/// `GET /Patient/1/Observation?_asOf=`
pub(in super::super) async fn search(
    call: &Call,
    owner: &ResourceKey,
    resource_type: Option<&Arc<str>>,
    position: Position,
) -> Result<Answer, Failure> {
    if &*owner.resource_type != KIND {
        return Err(unsupported("_asOf is understood by compartments of patients only."));
    }
    if let Some(bounds) = &call.bounds
        && bounds.owner().is_some_and(|own| *own != owner.to_string())
    {
        // How much there is to be looked through would tell of another patient.
        return Err(Failure::forbidden(
            "With _asOf, the token is for the compartment of its own patient only.",
        ));
    }
    let index = call.index()?;
    let asked = Asked::read(call)?;
    let scope = Scope::Compartment {
        owner_type: owner.resource_type.to_string(),
        owner_id: owner.id.clone(),
        resource_type: resource_type.map(ToString::to_string),
    };
    let (query, mut issues) = present::parse(call, &scope, &asked.criteria).await?;
    if query.joins_others() {
        return Err(unsupported("What other resources have cannot be asked with _asOf."));
    }
    let is_contained = query.contained() != Contained::None;
    if is_contained && query.contained_type() == ContainedType::Contained {
        return Err(unsupported(
            "With _asOf, contained resources are told by their containers only (_containedType).",
        ));
    }
    let evaluator = index.evaluator(&query)?;
    let wanted = Wanted {
        owner,
        position,
        // Resources of any type may contain what is searched.
        types: (!is_contained).then_some(query.types()),
        behind: asked.behind,
        ascending: asked.ascending,
        count: query.count(),
    };
    let keep = |event: &Event| finds(&evaluator, &query, event);
    let mut members = Members::default();
    if !query.is_count_only() {
        members = self::members(&call.service, &wanted, &keep).await?;
    }
    let mut total = None;
    if query.total() != Total::None || query.is_count_only() {
        let (number, is_erased) = count(&call.service, &wanted, &keep).await?;
        (total, members.is_erased) = (Some(number), members.is_erased || is_erased);
    }
    if members.unreadable > 0 {
        let text = "Versions that cannot be taken apart are left out; those of now are parked in the index.";
        issues.push(Issue::warning(IssueCode::Incomplete, text));
    }
    if members.is_erased {
        issues.push(erased_since());
    }
    let path = format!("/{owner}/{}", resource_type.map_or("*", |name| name));
    let links = asked.links(call, &path, &query, position, members.next);
    let entries = present::Entries { matches: &members.events, included: &[] };
    let answer = present::bundle(call, &links, total, &entries, &issues)?;
    Ok(Answer { position: Some(position), ..answer })
}

/// What only the present way of searching understands is not left out, as unknown parameters are: it would change
/// what is found.
fn unsupported(text: &'static str) -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
}

/// The parameters of the request, parted.
struct Asked {
    /// Those that a search of the present would have as well.
    criteria: Vec<(String, String)>,
    ascending: bool,
    behind: Option<Position>,
}

impl Asked {
    fn read(call: &Call) -> Result<Self, Failure> {
        let mut asked = Self { criteria: Vec::new(), ascending: false, behind: None };
        for (name, value) in &call.query.0 {
            let (code, _) = name.split_once(':').unwrap_or((name, ""));
            match code {
                PARAMETER => {}
                PAGE_PARAMETER => {
                    let number = value.parse().map_err(|_bad| {
                        Failure::invalid("ct comes from the links of a page with the same _asOf only.")
                    })?;
                    asked.behind = Some(Position::new(number));
                }
                "_sort" => match value.as_str() {
                    "_lastUpdated" => asked.ascending = true,
                    "-_lastUpdated" => asked.ascending = false,
                    _ => return Err(unsupported("With _asOf, results are sorted by _lastUpdated only.")),
                },
                "_has" | "_include" | "_revinclude" => {
                    return Err(unsupported("_has, _include and _revinclude are not understood with _asOf."));
                }
                _ if name.contains('.') => {
                    return Err(unsupported("Chained parameters are not understood with _asOf."));
                }
                _ => asked.criteria.push((name.clone(), value.clone())),
            }
        }
        Ok(asked)
    }

    /// Links with the position in place of an instant, so that they always lead to the same pages.
    fn links(
        &self,
        call: &Call,
        path: &str,
        query: &SearchQuery,
        position: Position,
        next: Option<Position>,
    ) -> Vec<Link> {
        let address = |behind: Option<Position>| {
            let (at, behind) = (position.to_string(), behind.map(|behind| behind.to_string()));
            let applied = query.applied().iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let own = [
                self.ascending.then_some(("_sort", "_lastUpdated")),
                Some((PARAMETER, at.as_str())),
                behind.as_deref().map(|behind| (PAGE_PARAMETER, behind)),
            ];
            call.link(&format!("{}{path}", call.base), applied.chain(own.into_iter().flatten()))
        };
        let mut links = vec![Link { relation: "self", url: address(self.behind) }];
        links.extend(next.map(|next| Link { relation: "next", url: address(Some(next)) }));
        links
    }
}

/// Whether a search would have found the version when it was the newest one; `None` where nobody can tell.
fn finds(evaluator: &Evaluator, query: &SearchQuery, event: &Event) -> Option<bool> {
    let subject = Subject {
        resource_type: &event.key.resource_type,
        id: &event.key.id,
        payload: &event.payload,
        recorded_at: event.recorded_at,
    };
    evaluator.take_apart(&subject).ok().map(|found| found.matches(query))
}

/// A page of the versions to keep. A page with a next one may have fewer than `count`, or none: what is read for one
/// page is bounded.
async fn members(
    service: &Service,
    wanted: &Wanted<'_>,
    keep: &impl Fn(&Event) -> Option<bool>,
) -> Result<Members, Failure> {
    let mut members = Members::default();
    let (mut bytes, mut is_more) = (0_usize, false);
    let mut unreadable = 0;
    let scanned = scan(service, wanted, |event| {
        match keep(&event) {
            Some(false) => return true,
            None => {
                unreadable += 1;
                return true;
            }
            Some(true) => {}
        }
        is_more = members.events.len() >= wanted.count || bytes >= PAGE_BYTES_MAX;
        if !is_more {
            bytes = bytes.saturating_add(event.payload.len());
            members.events.push(event);
        }
        !is_more
    })
    .await?;
    let last = members.events.last().map(|last| last.position);
    members.next = if is_more { last } else { scanned.bound };
    members.is_erased = scanned.is_erased;
    members.unreadable = unreadable;
    Ok(members)
}

/// How many versions there are to keep, from the first page on, and whether others of then have been erased since.
async fn count(
    service: &Service,
    wanted: &Wanted<'_>,
    keep: &impl Fn(&Event) -> Option<bool>,
) -> Result<(u64, bool), Failure> {
    let (mut total, mut is_erased) = (0, false);
    let mut rest = Wanted { behind: None, ..*wanted };
    loop {
        let scanned = scan(service, &rest, |event| {
            total += u64::from(keep(&event) == Some(true));
            true
        });
        let scanned = scanned.await?;
        is_erased |= scanned.is_erased;
        rest.behind = scanned.bound;
        if rest.behind.is_none() {
            return Ok((total, is_erased));
        }
    }
}

/// How a scan ended.
#[derive(Debug, Default)]
struct Scanned {
    /// Where the next one goes on, after [`READ_EVENTS_MAX`] events.
    bound: Option<Position>,
    /// Whether there were versions then that have been erased since.
    is_erased: bool,
}

/// Gives versions to `each`, until that has enough or [`READ_EVENTS_MAX`] were read.
async fn scan(
    service: &Service,
    wanted: &Wanted<'_>,
    mut each: impl FnMut(Event) -> bool,
) -> Result<Scanned, Failure> {
    let compartment = wanted.owner.to_string();
    let at = CompartmentAt {
        compartment: &compartment,
        position: wanted.position,
        types: wanted.types,
        behind: wanted.behind,
        ascending: wanted.ascending,
        limit: READ_EVENTS_MAX,
    };
    let positions = service.log.compartment_at(&at).await?;
    let mut rest = positions.as_slice();
    let mut scanned = Scanned::default();
    while !rest.is_empty() {
        let events = service.log.fetch_page(rest.get(..TESTED_AT_ONCE).unwrap_or(rest)).await?.events;
        if events.is_empty() {
            break;
        }
        rest = rest.get(events.len()..).unwrap_or_default();
        // Of what was erased since, nothing is shown of its time either.
        for event in events {
            scanned.is_erased |= is_erased_since(&event, wanted.position);
            if !event.is_gone() && !each(event) {
                return Ok(scanned);
            }
        }
    }
    scanned.bound = positions.last().copied().filter(|_| positions.len() >= READ_EVENTS_MAX);
    Ok(scanned)
}
