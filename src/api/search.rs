//! Search: of a type, of a compartment, of everything (R4 search.html).
//!
//! The index names positions; the resources come from the log, byte for byte as they were recorded. A search waits
//! until the index has what the log had when the search came in, so that clients find what they wrote.

mod lists;
mod matching;
mod outdated;

use std::sync::Arc;

use anamnesis_events::{Event, HistoryRange, HistoryScope, Position, ResourceKey};
use anamnesis_projections::search::{
    COUNT_MAX, Contained, Handling, IncludesToken, Issue as SearchIssue, IssueKind, PAGE_PARAMETER,
    ParseOptions, Scope, SearchIndex, SearchMatch, SearchPage, SearchQuery, Total, asks_for_words,
};

use anamnesis_projections::terminology::Session as TerminologySession;

use super::answer::Answer;
use super::as_of;
use super::call::Call;
use super::contained;
use super::explain;
use super::include;
use super::page::{Head, Link, Page};
use super::subset::Subset;
pub(crate) use matching::{matching, of_criteria};

use crate::clock;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// `GET /`
pub(crate) async fn system(call: &Call) -> Result<Answer, Failure> {
    search(call, Scope::System, "").await
}

/// `GET /Patient`
pub(crate) async fn of_type(call: &Call, resource_type: &Arc<str>) -> Result<Answer, Failure> {
    search(call, Scope::Type(resource_type.to_string()), &format!("/{resource_type}")).await
}

/// `GET /Patient/1/Observation`, `GET /Patient/1/*`
pub(crate) async fn of_compartment(
    call: &Call,
    owner: &ResourceKey,
    resource_type: Option<&Arc<str>>,
) -> Result<Answer, Failure> {
    if let Some(position) = as_of::asked(call).await? {
        explain::refuse(call)?;
        return as_of::search(call, owner, resource_type, position).await;
    }
    let scope = Scope::Compartment {
        owner_type: owner.resource_type.to_string(),
        owner_id: owner.id.clone(),
        resource_type: resource_type.map(ToString::to_string),
    };
    search(call, scope, &format!("/{owner}/{}", resource_type.map_or("*", |name| name))).await
}

async fn search(call: &Call, scope: Scope, path: &str) -> Result<Answer, Failure> {
    if explain::is_asked(call) {
        return explain::answer(call, &scope).await;
    }
    let parameters = explain::without(&call.query.0);
    of_parameters(call, scope, path, &parameters, Vec::new()).await
}

/// A search with these parameters instead of those of the request, and with what there is to say already.
///
/// # Errors
/// As those of a search.
pub(super) async fn of_parameters(
    call: &Call,
    scope: Scope,
    path: &str,
    parameters: &[(String, String)],
    mut issues: Vec<Issue>,
) -> Result<Answer, Failure> {
    let (query, more) = parse(call, &scope, parameters).await?;
    issues.extend(more);
    let mut results = results(call, &query).await?;
    results.issues.splice(0..0, issues);
    let page = &results.page;
    let included = include::of_page(call, &query, page.as_of, &results.matches, 0).await?;
    let mut links = links(call, path, &query, page);
    if let Some(skip) = included.skip_next {
        let url = include::address(call, &scope, &query, page.as_of, skip);
        links.push(Link { relation: "related", url });
    }
    results.issues.extend(included.issues);
    let entries = Entries { matches: &results.matches, included: &included.events };
    bundle(call, &links, page.total, &entries, &results.issues)
}

/// A further portion of the included resources of a page.
///
/// # Errors
/// 400 for a token of another query.
pub(super) async fn further_includes(
    call: &Call,
    scope: Scope,
    token: IncludesToken,
) -> Result<Answer, Failure> {
    let mut parameters = call.query.0.clone();
    parameters.retain(|(name, _)| name != PAGE_PARAMETER);
    parameters.extend(token.page.map(|page| (PAGE_PARAMETER.to_owned(), page)));
    let (query, issues) = parse(call, &scope, &parameters).await?;
    if query.fingerprint_of_page() != token.fingerprint {
        return Err(Failure::invalid("includesCt does not belong to this query."));
    }
    let query = query.at(token.position);
    let mut results = results(call, &query).await?;
    results.issues.splice(0..0, issues);
    let included = include::of_page(call, &query, token.position, &results.matches, token.skip).await?;
    let own = include::address(call, &scope, &query, token.position, token.skip);
    let mut links = vec![Link { relation: "self", url: own }];
    if let Some(skip) = included.skip_next {
        let url = include::address(call, &scope, &query, token.position, skip);
        links.push(Link { relation: "next", url });
    }
    results.issues.extend(included.issues);
    let entries = Entries { matches: &[], included: &included.events };
    bundle(call, &links, None, &entries, &results.issues)
}

pub(super) async fn parse(
    call: &Call,
    scope: &Scope,
    parameters: &[(String, String)],
) -> Result<(SearchQuery, Vec<Issue>), Failure> {
    let (query, issues) = read(call, &call.index()?, scope, parameters, options(call)).await?;
    let query = pinned(call, query);
    let outdated = outdated::told(call, scope, query.applied());
    let elements = without_element(call, &query)?;
    let issues = awaiting(call, scope, issues).into_iter().map(Issue::from);
    Ok((query, issues.chain(outdated).chain(elements).collect()))
}

/// What there is to say of `_elements` that none of the types has that may be among the results.
fn without_element(call: &Call, query: &SearchQuery) -> Result<Option<Issue>, Failure> {
    let is_include = |(name, _): &(String, String)| {
        matches!(name.split(':').next().unwrap_or(name), "_include" | "_revinclude")
    };
    let is_of_any = query.contained() != Contained::None || query.applied().iter().any(is_include);
    let types: Vec<&str> = match is_of_any {
        true => super::route::resource_types().collect(),
        false => query.types().iter().map(String::as_str).collect(),
    };
    Subset::parse(&call.query)?.without_element(call, &types)
}

/// The query as of the position that the reads of a transaction share. What is counted, and what is contained, is only
/// known as it is now.
fn pinned(call: &Call, query: SearchQuery) -> SearchQuery {
    let is_of_now = query.is_continued()
        || query.is_count_only()
        || query.total() != Total::None
        || query.contained() != Contained::None;
    match call.at {
        Some(position) if !is_of_now => query.at(position),
        _ => query,
    }
}

/// All matches of a search, and what there is to say of them.
pub(super) struct All {
    pub(super) events: Vec<Event>,
    /// The parameters that were applied, but the size of pages.
    pub(super) applied: Vec<(String, String)>,
    pub(super) issues: Vec<Issue>,
}

/// All matches of a search, in its order.
///
/// # Errors
/// As those of a search; 400 for more than `count_max` matches.
pub(super) async fn all(
    call: &Call,
    scope: &Scope,
    parameters: &[(String, String)],
    count_max: usize,
) -> Result<All, Failure> {
    let mut parameters = parameters.to_vec();
    let page_size = call.service.options.page_size_max.min(COUNT_MAX);
    parameters.push(("_count".to_owned(), page_size.to_string()));
    let mut all = All { events: Vec::new(), applied: Vec::new(), issues: Vec::new() };
    let mut next: Option<String> = None;
    // As many pages as `count_max` has.
    loop {
        let page = next.take().map(|token| (PAGE_PARAMETER.to_owned(), token));
        let is_first = page.is_none();
        let asked: Vec<_> = parameters.iter().cloned().chain(page).collect();
        let (query, issues) = parse(call, scope, &asked).await?;
        if query.contained() != Contained::None {
            return Err(Failure::invalid("_contained is understood by searches only."));
        }
        let results = results(call, &query).await?;
        if is_first {
            all.issues.extend(issues.into_iter().chain(results.issues));
            all.applied = query.applied().iter().filter(|(name, _)| name != "_count").cloned().collect();
        }
        all.events.extend(results.matches);
        if all.events.len() > count_max {
            let text = format!("More than {count_max} resources match; ask for fewer.");
            return Err(Failure::new(FailureKind::Invalid, IssueCode::TooCostly, text));
        }
        match results.page.next {
            Some(token) => next = Some(token),
            None => return Ok(all),
        }
    }
}

/// Reads a query; where it asks for Lists that mark items as deleted, again with these.
async fn read(
    call: &Call,
    index: &SearchIndex,
    scope: &Scope,
    parameters: &[(String, String)],
    options: ParseOptions,
) -> Result<(SearchQuery, Vec<SearchIssue>), Failure> {
    call.service.options.complexity.check(parameters)?;
    let (query, issues) = read_once(call, index, scope, parameters, options.clone()).await?;
    let lists = lists::asked_for(call, &query).await?;
    if lists.values().all(|items| items.deleted.is_empty()) {
        return Ok((query, issues));
    }
    read_once(call, index, scope, parameters, ParseOptions { lists: Arc::new(lists), ..options }).await
}

/// Reads a query; where it names value sets or places in a hierarchy, what is stored of them is fetched and it is read
/// again.
async fn read_once(
    call: &Call,
    index: &SearchIndex,
    scope: &Scope,
    parameters: &[(String, String)],
    options: ParseOptions,
) -> Result<(SearchQuery, Vec<SearchIssue>), Failure> {
    let index = index.clone();
    let session = Arc::new(call.service.terminology.session());
    let options = ParseOptions { terminology: Some(session.clone()), ..options };
    let asked = (scope.clone(), parameters.to_vec());
    let question = Arc::new(move |_: &TerminologySession| index.parse(&asked.0, &asked.1, &options));
    loop {
        let parsed = session.put(&question).await?;
        if !session.fetch_missing().await? {
            return parsed.map_err(|issues| refuse(awaiting(call, scope, issues)));
        }
    }
}

/// Says of parameters that are unknown because the index was not built with them yet that this is so.
fn awaiting(call: &Call, scope: &Scope, mut issues: Vec<SearchIssue>) -> Vec<SearchIssue> {
    let Some(keeper) = &call.service.keeper else { return issues };
    let resource_type = match scope {
        Scope::Type(name) | Scope::Compartment { resource_type: Some(name), .. } => Some(name),
        _ => None,
    };
    for issue in issues.iter_mut().filter(|issue| issue.kind == IssueKind::NotSupported) {
        let name = issue.parameter.as_deref().unwrap_or_default();
        let lacks_words = name.split([':', '.']).any(asks_for_words).then(|| keeper.lacks_words()).flatten();
        let code = name.split([':', '.']).next().unwrap_or_default();
        if let Some(why) = lacks_words {
            issue.text.push_str(": ");
            issue.text.push_str(why);
        } else if resource_type.is_some_and(|resource_type| keeper.awaits_reindex(resource_type, code)) {
            issue.text.push_str(": it is stored, and awaits a reindex (POST $reindex)");
        }
    }
    issues
}

/// A bundle of matches that were not found page by page.
///
/// # Errors
/// 400 for parts of resources that cannot be told.
pub(super) fn bundle_of(
    call: &Call,
    links: &[Link],
    matches: &[Event],
    issues: &[Issue],
) -> Result<Answer, Failure> {
    let shown = if Subset::parse(&call.query)? == Subset::Count { &[] } else { matches };
    let entries = Entries { matches: shown, included: &[] };
    bundle(call, links, Some(matches.len() as u64), &entries, issues)
}

/// A page of matches with their resources.
struct Results {
    page: SearchPage,
    matches: Vec<Event>,
    issues: Vec<Issue>,
}

/// The matches of a query, after the index has come as far as the log is.
async fn results(call: &Call, query: &SearchQuery) -> Result<Results, Failure> {
    let index = call.index()?;
    let wanted = wanted(call, &index).await?;
    // Whether it was in time, the page itself tells.
    let _ = index.wait_for(wanted, call.service.options.search_wait).await;
    let (mut page, matches) = found(call, &index, query).await?;
    let late = check_reached(call, page.reached, wanted)?;
    let said = std::mem::take(&mut page.issues).into_iter().chain(page.parked.take());
    let lost = lost(call, query, page.as_of).await?;
    let issues = late.into_iter().chain(said.map(Issue::from)).chain(lost).collect();
    Ok(Results { page, matches, issues })
}

/// A warning on a later page, where versions that it would show may have been erased since the first one: by a purge, or
/// by an update that keeps no version. Whether they belong to it, nobody can tell any more.
async fn lost(call: &Call, query: &SearchQuery, as_of: Position) -> Result<Option<Issue>, Failure> {
    if !query.is_continued() {
        return Ok(None);
    }
    let scope = match query.types() {
        // What contains a resource may be of any type.
        [one] if query.contained() == Contained::None => HistoryScope::Type(one.clone()),
        _ => HistoryScope::System,
    };
    let is_erased = call.service.log.has_erased_since(scope, HistoryRange::default(), as_of).await?;
    Ok(is_erased.then(|| {
        let text = "Versions have been erased since the first page; resources of which this page would show one are missing in it.";
        Issue::warning(IssueCode::Incomplete, text)
    }))
}

/// How far an index has to have come: as far as the log, unless the client does without. One that is being built says
/// itself how far it has come.
///
/// # Errors
/// When the log cannot be read.
pub(super) async fn wanted(call: &Call, index: &SearchIndex) -> Result<Position, Failure> {
    match call.eventual || index.is_partial() {
        true => Ok(Position::ZERO),
        false => Ok(call.service.compartments.reads().head().await?),
    }
}

/// How often a search is made again because a version that it found was erased before it could be read.
const TRIES_MAX: usize = 3;

/// A page, and the events of its matches. A version that was erased meanwhile is not shown: its resource is looked for
/// again, because a newer version may match.
async fn found(
    call: &Call,
    index: &SearchIndex,
    query: &SearchQuery,
) -> Result<(SearchPage, Vec<Event>), Failure> {
    let mut tries = 0;
    loop {
        let page = index.search(query).await?;
        let events = contained::fetch(call, &page.matches).await?;
        refuse_strangers(&page.matches, &events)?;
        tries += 1;
        let erased = events.iter().filter_map(|event| event.erased).map(|erased| erased.by).max();
        match erased {
            Some(by) if tries < TRIES_MAX => {
                let _in_time = index.wait_for(by, call.service.options.search_wait).await;
            }
            _ => {
                let all = page.matches.iter().zip(events).filter(|(_, event)| event.erased.is_none());
                let events = contained::shown(all);
                return Ok((page, events));
            }
        }
    }
}

/// Every event must be of the resource that matched. Where one is not, the index and the log are of two histories (a
/// database that was put together from two backups), and the answer could be another patient's.
pub(super) fn refuse_strangers(found: &[SearchMatch], events: &[Event]) -> Result<(), Failure> {
    let same = |(found, event): (&SearchMatch, &Event)| {
        found.id == event.key.id && *found.resource_type == *event.key.resource_type
    };
    if found.len() == events.len() && found.iter().zip(events).all(same) {
        return Ok(());
    }
    tracing::error!("the search index and the log are of different histories");
    Err(Failure::unavailable("The search index does not belong to the log; it has to be made again."))
}

/// How parameters are read for this request.
fn options(call: &Call) -> ParseOptions {
    let handling = if call.refuses_unknown() { Handling::Strict } else { Handling::Lenient };
    ParseOptions {
        handling,
        base_url: Some(call.base.clone()),
        date_equals: call.service.options.date_equals,
        count_default: call.service.options.page_size,
        count_max: call.service.options.page_size_max,
        restriction: call.restriction(),
        ..ParseOptions::at(clock::now())
    }
}

/// A warning where the index is late and the client is lenient. What counts is where the index stood when it answered:
/// a database that has crashed may have lost what the index was known to have.
fn check_reached(call: &Call, reached: Position, wanted: Position) -> Result<Option<Issue>, Failure> {
    if reached >= wanted {
        return Ok(None);
    }
    let late =
        format!("The search index has reached position {reached}, not yet {wanted}, which the log has");
    if call.prefer.strict {
        return Err(Failure::unavailable(format!("{late}.")));
    }
    let text = format!("{late}: the newest changes may be missing.");
    Ok(Some(Issue::warning(IssueCode::Incomplete, text)))
}

fn links(call: &Call, path: &str, query: &SearchQuery, page: &SearchPage) -> Vec<Link> {
    let address = |token: Option<&str>| {
        let applied = query.applied().iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let page = token.map(|token| (PAGE_PARAMETER, token));
        call.link(&format!("{}{path}", call.base), applied.chain(page))
    };
    let mut links = vec![Link { relation: "self", url: address(call.query.get(PAGE_PARAMETER)) }];
    for (relation, token) in [("next", &page.next), ("previous", &page.previous)] {
        if let Some(token) = token {
            links.push(Link { relation, url: address(Some(token)) });
        }
    }
    links
}

/// The resources of a page, by the reason why they are there.
pub(super) struct Entries<'a> {
    pub(super) matches: &'a [Event],
    pub(super) included: &'a [Event],
}

pub(super) fn bundle(
    call: &Call,
    links: &[Link],
    total: Option<u64>,
    entries: &Entries<'_>,
    issues: &[Issue],
) -> Result<Answer, Failure> {
    let subset = Subset::parse(&call.query)?;
    let all = || entries.matches.iter().chain(entries.included);
    let capacity = all().map(|event| event.payload.len() + 192).sum();
    let head = Head { kind: "searchset", id: &call.correlation_id, total, links };
    let mut page = Page::new(&head, capacity);
    for (events, search) in
        [(entries.matches, r#"{"mode":"match"}"#), (entries.included, r#"{"mode":"include"}"#)]
    {
        for event in events {
            call.access.finds(event);
            let full_url = call.full_url(&event.key);
            page.entry(Some(&full_url), Some(&subset.of(&event.payload)), &[("search", search)]);
        }
    }
    page.outcome(&call.correlation_id, issues);
    Ok(Answer::ok(page.finish()))
}

/// 400 with everything that is wrong with a query.
fn refuse(issues: Vec<SearchIssue>) -> Failure {
    Failure::with_issues(FailureKind::Invalid, issues.into_iter().map(Issue::from).collect())
}
