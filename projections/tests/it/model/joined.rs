//! Composites, chains, `_has` and `_filter` against a naive reading.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::search::{SearchParameterKind as Kind, SearchRegistry};
use anamnesis_projections::search::SearchLimits;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::ask::Asker;
use super::naive::Resource;
use super::pages;
use super::tree::{Joiner, Known};
use super::words::TARGETS;
use crate::world::World;

/// How many stores are filled and asked.
const CASES: u32 = 6;

/// What decides a case; proptest makes it smaller when it fails.
#[derive(Debug, Clone)]
struct Case {
    /// The types of the resources beside Observation, as indexes into those that have composites.
    types: Vec<prop::sample::Index>,
    resources: Vec<(prop::sample::Index, u64)>,
    /// Seeds of the resources that the others refer to.
    targets: Vec<u64>,
    queries: Vec<u64>,
    /// Whether chains are answered from their ends or by testing the results one by one.
    tests_one_by_one: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let index = any::<prop::sample::Index>;
    let types = prop::collection::vec(index(), 0..3);
    let resources = prop::collection::vec((index(), any::<u64>()), 10..25);
    let targets = prop::collection::vec(any::<u64>(), TARGETS.len() * 3);
    let queries = prop::collection::vec(any::<u64>(), 60..100);
    (types, resources, targets, queries, any::<bool>()).prop_map(
        |(types, resources, targets, queries, tests_one_by_one)| Case {
            types,
            resources,
            targets,
            queries,
            tests_one_by_one,
        },
    )
}

/// The types that have composites that can be asked for.
fn with_composites() -> Vec<&'static str> {
    let has = |name: &&&str| {
        let parameters = SearchRegistry::r4().parameters(name);
        parameters.iter().any(|parameter| parameter.kind() == Kind::Composite && parameter.has_expression())
    };
    r4().resource_types().iter().filter(has).copied().collect()
}

/// What was asked, over all cases, and how often something was found, and something was left out.
#[derive(Debug, Default)]
struct Tally {
    queries: usize,
    telling: usize,
    kinds: BTreeSet<&'static str>,
}

#[test]
fn what_is_joined_is_found_as_a_naive_reading_finds_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config =
        Config { cases: CASES, failure_persistence: None, max_shrink_iters: 30, ..Config::default() };
    let tally = RefCell::new(Tally::default());
    let outcome = TestRunner::new(config).run(&cases(), |case| runtime.block_on(answers_agree(case, &tally)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    assert!(tally.telling * 8 > tally.queries, "{tally:?}");
    assert_eq!(tally.kinds.len(), 7, "{tally:?}");
}

async fn answers_agree(case: Case, tally: &RefCell<Tally>) -> Result<(), TestCaseError> {
    let all = with_composites();
    // Observations every time: of other types few have both composites that are easily met and links to what is there.
    let others = case.types.iter().map(|index| *index.get(&all));
    let names: Vec<&str> = std::iter::once("Observation").chain(others).collect();
    let made = case.resources.iter().enumerate().map(|(at, (index, seed))| {
        let name: &&str = index.get(&names);
        Resource::make(name, &format!("r{at}"), *seed)
    });
    let pointed_at = case.targets.iter().enumerate().map(|(at, seed)| {
        Resource::make(TARGETS[at % TARGETS.len()], &(at / TARGETS.len()).to_string(), *seed)
    });
    let resources: Vec<Resource> = made.chain(pointed_at).collect();
    let mut world = World::new().await;
    if case.tests_one_by_one {
        let limits = SearchLimits { joined_max: 0, ..SearchLimits::default() };
        world.index = world.index.with_limits(limits);
    }
    world.put(resources.iter().map(Resource::value)).await;
    world.settle().await;
    let known = Known::new(&resources);
    for seed in case.queries {
        let Some(asked) = Joiner::new(Asker::new(seed, &resources), &known).query() else { continue };
        let url = asked.url();
        let found = pages(&world, &url, asked.page_size).await?;
        let unique: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        prop_assert_eq!(found.len(), unique.len(), "{}: a resource came twice", url);
        let of_type = || resources.iter().filter(|one| one.resource_type == asked.resource_type);
        let expected: BTreeSet<&str> =
            of_type().filter(|one| asked.finds(one, &known)).map(Resource::id).collect();
        prop_assert!(
            unique == expected,
            "{url}: found {unique:?}, expected {expected:?} of\n{}",
            resources.iter().map(|one| one.value().to_string()).collect::<Vec<_>>().join("\n")
        );
        let mut tally = tally.borrow_mut();
        tally.queries += 1;
        if !expected.is_empty() && expected.len() < of_type().count() {
            tally.telling += 1;
            tally.kinds.extend(asked.kinds());
        }
    }
    Ok(())
}
