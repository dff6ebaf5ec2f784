//! The index against a naive reading: random resources and random queries, answered by Postgres and by evaluating the
//! expressions of the search parameters over every resource in memory.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anamnesis_fhir::definitions::r4;
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::search::PAGE_PARAMETER;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::world::World;
use ask::Asker;
use naive::Resource;

mod ask;
#[path = "../../../fhir/tests/support/expression.rs"]
mod expression;
mod full_text;
mod joined;
#[path = "../../../fhir/tests/support/maker.rs"]
mod maker;
mod naive;
mod restricted;
mod times;
mod tree;
mod words;

/// How many stores are filled and asked.
const CASES: u32 = 8;

/// What decides a case; proptest makes it smaller when it fails.
#[derive(Debug, Clone)]
struct Case {
    /// The types of the resources, as indexes into those of R4.
    types: Vec<prop::sample::Index>,
    /// Which of the types a resource has, and the seed of its content.
    resources: Vec<(prop::sample::Index, u64)>,
    queries: Vec<u64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let index = any::<prop::sample::Index>;
    let types = prop::collection::vec(index(), 2..5);
    let resources = prop::collection::vec((index(), any::<u64>()), 10..30);
    let queries = prop::collection::vec(any::<u64>(), 40..80);
    (types, resources, queries).prop_map(|(types, resources, queries)| Case { types, resources, queries })
}

/// What was asked, over all cases.
#[derive(Debug, Default)]
struct Tally {
    queries: usize,
    with_results: usize,
    sorted: usize,
    /// Types of parameters and modifiers that some result depended on.
    kinds: BTreeSet<String>,
}

#[test]
fn the_index_finds_what_a_naive_reading_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config =
        Config { cases: CASES, failure_persistence: None, max_shrink_iters: 30, ..Config::default() };
    let tally = RefCell::new(Tally::default());
    let outcome = TestRunner::new(config).run(&cases(), |case| runtime.block_on(answers_agree(case, &tally)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    // Where nothing is found, nothing is shown.
    assert!(tally.with_results * 5 > tally.queries && tally.sorted > 10, "{tally:?}");
    assert!(tally.kinds.len() >= 14, "{tally:?}");
    assert!(["_text", "_content"].iter().all(|code| tally.kinds.contains(*code)), "{tally:?}");
}

async fn answers_agree(case: Case, tally: &RefCell<Tally>) -> Result<(), TestCaseError> {
    let names: Vec<&str> = case.types.iter().map(|index| *index.get(r4().resource_types())).collect();
    let made = case.resources.iter().enumerate().map(|(at, (index, seed))| {
        let name: &&str = index.get(&names);
        Resource::make(name, &format!("r{at}"), *seed)
    });
    let resources: Vec<Resource> = made.collect();
    let world = World::with_words(RunnerOptions::default()).await;
    world.put(resources.iter().map(Resource::value)).await;
    world.settle().await;
    for seed in case.queries {
        let Some(query) = Asker::new(seed, &resources).query() else { continue };
        let url = query.url();
        let expected: BTreeSet<&str> =
            resources.iter().filter(|resource| query.finds(resource)).map(Resource::id).collect();
        let found = pages(&world, &url, query.page_size).await?;
        let unique: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let odd: Vec<String> = resources
            .iter()
            .filter(|resource| unique.contains(resource.id()) != expected.contains(resource.id()))
            .map(|resource| resource.value().to_string())
            .collect();
        prop_assert!(
            odd.is_empty(),
            "{url}: found {unique:?}, expected {expected:?}; differently read: {}",
            odd.join("\n")
        );
        prop_assert_eq!(found.len(), unique.len(), "{}: a resource came twice", url);
        let wrong = query.wrong_order(&resources, &found);
        prop_assert!(wrong.is_none(), "{url}: {found:?} are not in order: {wrong:?}");
        let mut tally = tally.borrow_mut();
        tally.queries += 1;
        if !expected.is_empty() {
            tally.with_results += 1;
            tally.sorted += usize::from(url.contains("_sort") && expected.len() > 1);
            tally.kinds.extend(query.kinds());
        }
    }
    Ok(())
}

/// The ids on all pages of a search.
async fn pages(world: &World, url: &str, page_size: usize) -> Result<Vec<String>, TestCaseError> {
    let mut ids = Vec::new();
    let mut link = format!("{url}&_count={page_size}");
    loop {
        let (query, issues) = world
            .query(&link)
            .map_err(|issues| TestCaseError::fail(format!("{link} is refused: {issues:?}")))?;
        prop_assert!(issues.is_empty(), "{}: {:?}", link, issues);
        let page = world.index.search(&query).await.unwrap();
        prop_assert!(page.matches.len() <= page_size);
        ids.extend(page.matches.into_iter().map(|found| found.id));
        match page.next {
            Some(token) => link = format!("{url}&_count={page_size}&{PAGE_PARAMETER}={token}"),
            None => return Ok(ids),
        }
    }
}
