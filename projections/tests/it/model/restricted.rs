//! Who may see some of the resources searches as if there were no others: the same answers as from a store that holds
//! those alone. So nothing can be inferred of what is hidden, by whatever a query asks.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use anamnesis_fhir::definitions::r4;
use anamnesis_projections::search::{ParseOptions, Restriction, SearchLimits, Subject, Visible};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::ask::Asker;
use super::maker::Dice;
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
    /// The types of the resources beside Observation and what refers to patients, as indexes into those of R4.
    types: Vec<prop::sample::Index>,
    resources: Vec<(prop::sample::Index, u64)>,
    /// Seeds of the resources that the others refer to.
    targets: Vec<u64>,
    restriction: u64,
    queries: Vec<u64>,
    /// Whether chains are answered from their ends or by testing the results one by one.
    tests_one_by_one: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let index = any::<prop::sample::Index>;
    (
        prop::collection::vec(index(), 0..3),
        prop::collection::vec((index(), any::<u64>()), 15..35),
        prop::collection::vec(any::<u64>(), TARGETS.len() * 3),
        any::<u64>(),
        prop::collection::vec(any::<u64>(), 60..100),
        any::<bool>(),
    )
        .prop_map(|(types, resources, targets, restriction, queries, tests_one_by_one)| Case {
            types,
            resources,
            targets,
            restriction,
            queries,
            tests_one_by_one,
        })
}

/// Some types within some compartments, some as a whole, some by a criterion, and some not at all.
fn restriction(seed: u64) -> Restriction {
    let mut dice = Dice::new(seed);
    let mut restriction = Restriction::default();
    let (owner_type, owner) = (dice.pick(&["Patient", "Patient", "Practitioner"]), dice.below(3).to_string());
    for name in r4().resource_types() {
        match dice.below(8) {
            0 => {}
            1 | 4 | 5 => restriction.allow(name, Visible::all()),
            2 => {
                let criteria = vec![("_id".to_owned(), "r1,r3,r5,r7,r9,0".to_owned())];
                restriction.allow(name, Visible { criteria, within: None });
            }
            3 => {
                let criteria = vec![("_id".to_owned(), "r0,r2,r4,r6,r8,1".to_owned())];
                let within = Some((owner_type.to_owned(), owner.clone()));
                restriction.allow(name, Visible { criteria, within });
                restriction.allow(name, Visible::within("Patient", &dice.below(3).to_string()));
            }
            _ => restriction.allow(name, Visible::within(owner_type, &owner)),
        }
    }
    restriction
}

/// What was asked, over all cases, and how often what is hidden would have made a difference.
#[derive(Debug, Default)]
struct Tally {
    queries: usize,
    telling: usize,
    hidden: usize,
    shown: usize,
}

#[test]
fn who_sees_some_resources_searches_as_if_there_were_no_others() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config =
        Config { cases: CASES, failure_persistence: None, max_shrink_iters: 30, ..Config::default() };
    let tally = RefCell::new(Tally::default());
    let outcome = TestRunner::new(config).run(&cases(), |case| runtime.block_on(answers_agree(case, &tally)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    assert!(tally.telling * 8 > tally.queries && tally.hidden > 20 && tally.shown > 20, "{tally:?}");
}

async fn answers_agree(case: Case, tally: &RefCell<Tally>) -> Result<(), TestCaseError> {
    let others = case.types.iter().map(|index| *index.get(r4().resource_types()));
    let names: Vec<&str> = ["Observation", "Condition", "Encounter"].into_iter().chain(others).collect();
    let made = case.resources.iter().enumerate().map(|(at, (index, seed))| {
        let name: &&str = index.get(&names);
        Resource::make(name, &format!("r{at}"), *seed)
    });
    let pointed_at = case.targets.iter().enumerate().map(|(at, seed)| {
        Resource::make(TARGETS[at % TARGETS.len()], &(at / TARGETS.len()).to_string(), *seed)
    });
    let resources: Vec<Resource> = made.chain(pointed_at).collect();
    let restriction = Arc::new(restriction(case.restriction));
    let (mut whole, mut part) = (World::new().await, World::new().await);
    let now = chrono::Utc::now();
    let sight = whole.index.sight(restriction.clone(), ParseOptions::at(now));
    let is_seen = |resource: &&Resource| {
        let payload = resource.value().to_string();
        let (resource_type, id) = (resource.resource_type.as_str(), resource.id());
        sight.admits(&Subject { resource_type, id, payload: payload.as_bytes(), recorded_at: now })
    };
    let seen: Vec<&Resource> = resources.iter().filter(is_seen).collect();
    whole.put(resources.iter().map(Resource::value)).await;
    part.put(seen.iter().map(|resource| resource.value())).await;
    whole.settle().await;
    part.settle().await;
    for world in [&mut whole, &mut part] {
        if case.tests_one_by_one {
            let limits = SearchLimits { joined_max: 0, ..SearchLimits::default() };
            world.index = world.index.clone().with_limits(limits);
        }
    }
    {
        let mut tally = tally.borrow_mut();
        tally.shown += seen.len();
        tally.hidden += resources.len() - seen.len();
    }
    let known = Known::new(&resources);
    for seed in case.queries {
        let Some(asked) = Joiner::new(Asker::new(seed, &resources), &known).query() else { continue };
        let url = asked.url();
        let of_all: BTreeSet<String> = pages(&whole, &url, asked.page_size).await?.into_iter().collect();
        whole.restriction = Some(restriction.clone());
        let found: BTreeSet<String> = pages(&whole, &url, asked.page_size).await?.into_iter().collect();
        whole.restriction = None;
        let expected: BTreeSet<String> = pages(&part, &url, asked.page_size).await?.into_iter().collect();
        prop_assert_eq!(&found, &expected, "{} by {:?}", url, restriction);
        let mut tally = tally.borrow_mut();
        tally.queries += 1;
        tally.telling += usize::from(of_all != expected);
    }
    Ok(())
}
