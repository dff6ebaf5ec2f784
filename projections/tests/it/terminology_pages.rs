//! A code system that is too large for memory answers as the same one in memory does: pages by branches, words, flags and what
//! is left out; hierarchy and single codes; with letters that are told apart, and with letters that are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anamnesis_events::{Erases, Operation, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::terminology::{
    Canonical, CodeSystem, ConceptMap, Direction, Engine, ExpansionRequest, Extent, Found, Library, MapQuery,
    Terminology, ValueSet,
};
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::terminology::TerminologyIndex;
use serde_json::{Value, json};

use crate::supervisor::PATIENCE;
use crate::world::World;

/// More than are kept in memory.
const TOTAL: usize = 5_200;
const FRAGMENT: usize = 2_000;

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

fn code(number: usize) -> String {
    let beginning = ["a", "B", "c", "Dd", "eE"][number % 5];
    format!("{beginning}{number:04}x")
}

/// The code in one of its spellings.
fn spelled(number: usize, dice: &mut Dice, is_case_sensitive: bool) -> String {
    let code = code(number);
    match dice.below(4) {
        _ if is_case_sensitive => code,
        0 => code,
        1 => code.to_lowercase(),
        2 => code.to_uppercase(),
        _ => code.chars().map(|c| if dice.is(2) { c.to_ascii_uppercase() } else { c }).collect(),
    }
}

fn concept(number: usize, dice: &mut Dice, is_case_sensitive: bool) -> Value {
    let words = ["red", "blue", "large", "small", "left"];
    let mut properties = Vec::new();
    if number > 0 {
        let parent = spelled(number / 7, dice, is_case_sensitive);
        properties.push(json!({"code": "parent", "valueCode": parent}));
        if dice.is(3) {
            let parent = spelled(dice.below(number), dice, is_case_sensitive);
            properties.push(json!({"code": "subsumedBy", "valueCode": parent}));
        }
    }
    match dice.below(30) {
        0 => properties.push(json!({"code": "inactive", "valueBoolean": true})),
        1 => properties.push(json!({"code": "status", "valueCode": "retired"})),
        2 => properties.push(json!({"code": "status", "valueString": "inactive"})),
        3 => properties.push(json!({"code": "notSelectable", "valueBoolean": true})),
        4 => properties.push(json!({"code": "abstract", "valueCode": "true"})),
        5 => properties.push(json!({"code": "inactive", "valueBoolean": false})),
        6 => properties.push(json!({"code": "status", "valueCode": "active"})),
        7 => properties.push(json!({"code": "note", "valueString": "inactive true"})),
        _ => {}
    }
    let (first, second) = (words[dice.below(5)], words[dice.below(5)]);
    json!({"code": code(number), "display": format!("Item {first} {second}"), "property": properties})
}

/// The fragments of the system, the newest last; some concepts are in two of them.
fn fragments(is_case_sensitive: bool) -> Vec<Value> {
    let mut dice = Dice(11);
    let mut fragments = Vec::new();
    for first in (0..TOTAL).step_by(FRAGMENT) {
        let mut concepts: Vec<Value> = (first..(first + FRAGMENT).min(TOTAL))
            .map(|number| concept(number, &mut dice, is_case_sensitive))
            .collect();
        if first > 0 {
            let again = spelled(first - 1, &mut dice, is_case_sensitive);
            concepts.push(json!({"code": again, "property":
                [{"code": "inactive", "valueBoolean": true}, {"code": "parent", "valueCode": code(3)}]}));
        }
        fragments.push(json!({"resourceType": "CodeSystem", "id": format!("f{first}"), "url": "urn:c",
            "status": "active", "content": "fragment", "caseSensitive": is_case_sensitive, "count": TOTAL,
            "concept": concepts}));
    }
    fragments
}

/// One system in memory.
struct InMemory(Arc<CodeSystem>);

impl InMemory {
    /// The same concepts in the order of their codes.
    fn of(fragments: &[Value], is_case_sensitive: bool) -> Self {
        let newest_first = fragments.iter().rev().flat_map(|one| one["concept"].as_array().unwrap().clone());
        let mut concepts: Vec<Value> = newest_first.collect();
        concepts.sort_by_key(|concept| concept["code"].as_str().unwrap().to_owned());
        let system = json!({"resourceType": "CodeSystem", "url": "urn:c", "content": "complete",
            "caseSensitive": is_case_sensitive, "concept": concepts});
        let document = Document::parse(system.to_string(), &Limits::default()).unwrap();
        Self(Arc::new(CodeSystem::read(document.root())))
    }
}

impl Library for InMemory {
    fn value_set(&self, _canonical: &Canonical) -> Found<ValueSet> {
        Found::Absent
    }

    fn code_system(&self, _canonical: &Canonical, _extent: &Extent) -> Found<CodeSystem> {
        Found::Here(Arc::clone(&self.0))
    }

    fn concept_maps(&self, _query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
        Found::Absent
    }
}

/// A value set that is nothing but a part of the system, and a page of it.
fn question(dice: &mut Dice, is_case_sensitive: bool) -> (Value, ExpansionRequest) {
    let some = |dice: &mut Dice| {
        let number = if dice.is(2) { dice.below(60) } else { dice.below(TOTAL + 20) };
        spelled(number, dice, is_case_sensitive)
    };
    let mut include = json!({"system": "urn:c"});
    let mut filters = Vec::new();
    for _ in 0..dice.below(3) {
        let op = ["is-a", "is-a", "descendent-of", "is-not-a"][dice.below(4)];
        filters.push(json!({"property": "concept", "op": op, "value": some(dice)}));
    }
    if !filters.is_empty() {
        include["filter"] = json!(filters);
    }
    let mut exclude = Vec::new();
    for _ in 0..dice.below(3) {
        exclude.push(match dice.below(4) {
            0 => json!({"system": "urn:other"}),
            1 => json!({"system": "urn:c", "concept": [{"code": some(dice)}, {"code": some(dice)}]}),
            _ => {
                let op = ["is-a", "descendent-of"][dice.below(2)];
                let filter = json!([{"property": "code", "op": op, "value": some(dice)}]);
                json!({"system": "urn:c", "filter": filter})
            }
        });
    }
    let mut compose = json!({"include": [include]});
    if !exclude.is_empty() {
        compose["exclude"] = json!(exclude);
    }
    if dice.is(5) {
        compose["inactive"] = json!(false);
    }
    let set = json!({"resourceType": "ValueSet", "url": "urn:s", "status": "active", "compose": compose});
    let filter = ["red", "blue sm", "it", "a00", "none"][dice.below(5)];
    let request = ExpansionRequest {
        filter: dice.is(2).then(|| filter.to_owned()),
        offset: if dice.is(2) { 0 } else { dice.below(300) },
        count: Some(dice.below(40)),
        active_only: dice.is(3),
        without_abstract: dice.is(3),
        ..ExpansionRequest::default()
    };
    (set, request)
}

async fn the_same_as_in_memory(is_case_sensitive: bool) {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let fragments = fragments(is_case_sensitive);
    let last = world.put(fragments.clone()).await;
    supervisor.active().wait_for(last, PATIENCE).await.unwrap();
    let in_memory = InMemory::of(&fragments, is_case_sensitive);
    let mut dice = Dice(23);
    for _ in 0..120 {
        let (set, request) = question(&mut dice, is_case_sensitive);
        let document = Document::parse(set.to_string(), &Limits::default()).unwrap();
        let read = ValueSet::read(document.root());
        let expected = Engine::new(&in_memory).expand(&read, &request).unwrap();
        let asked = request.clone();
        let found = index.ask(move |engine| engine.expand(&read, &asked)).await.unwrap();
        let shown = |found: &anamnesis_fhir::terminology::Expansion| {
            let rows = found.contains.iter();
            let rows: Vec<_> = rows.map(|row| (row.code.clone(), row.is_inactive, row.is_abstract)).collect();
            (found.total, rows)
        };
        let found = found.unwrap_or_else(|error| panic!("{error}: {set} {request:?}"));
        assert_eq!(shown(&found), shown(&expected), "{set} {request:?}");
    }
    let mut some = || spelled(dice.below(TOTAL + 20), &mut dice, is_case_sensitive);
    for _ in 0..50 {
        let (left, right, system) = (some(), some(), Canonical::new("urn:c", None));
        let expected = Engine::new(&in_memory).subsumption(&system, &left, &right);
        let asked = (left.clone(), right.clone());
        let found = index.ask(move |engine| engine.subsumption(&system, &asked.0, &asked.1)).await.unwrap();
        assert_eq!(found, expected, "{left} {right}");
        for direction in [Direction::Above, Direction::Below] {
            let expected = Engine::new(&in_memory).related("urn:c", &left, direction, 6_000);
            let asked = left.clone();
            let found = index.ask(move |engine| engine.related("urn:c", &asked, direction, 6_000)).await;
            assert_eq!(found.unwrap(), expected, "{left} {direction:?}");
        }
    }
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_hierarchy_are_those_of_the_same_system_in_memory() {
    the_same_as_in_memory(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_where_letters_are_not_told_apart() {
    the_same_as_in_memory(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_are_written_with_escapes_are_seen() {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let all = fragments(true);
    let last = all.last().unwrap().to_string();
    world.put(all).await;
    let plain = r#"{"code":"inactive","valueBoolean":true}"#;
    assert!(last.contains(plain), "{last}");
    let escaped = last.replace(plain, r#"{"code":"in\u0061ctive","valueBoolean":true}"#);
    let key = ResourceKey::new("CodeSystem", format!("f{}", TOTAL / FRAGMENT * FRAGMENT));
    let replaced = world.erase(key, (Operation::Update, Erases::Previous), &escaped).await;
    supervisor.active().wait_for(replaced, PATIENCE).await.unwrap();
    let active = |active_only: bool| {
        let set = ValueSet::of_system("urn:s", "urn:c");
        let request = ExpansionRequest { active_only, count: Some(0), ..ExpansionRequest::default() };
        let index = index.clone();
        async move {
            let found = index.ask(move |engine| engine.expand(&set, &request)).await.unwrap().unwrap();
            found.total.unwrap()
        }
    };
    let in_memory = InMemory::of(&fragments(true), true);
    let inactive = in_memory.0.concepts().iter().filter(|concept| concept.is_inactive).count();
    assert_eq!((active(false).await, active(true).await), (TOTAL, TOTAL - inactive));
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_not_used_once_a_part_was_replaced() {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let fragments = fragments(true);
    world.put(fragments.clone()).await;
    let total = || {
        let set = ValueSet::of_system("urn:s", "urn:c");
        let request = ExpansionRequest { active_only: true, count: Some(5), ..ExpansionRequest::default() };
        let index = index.clone();
        async move {
            let found = index.ask(move |engine| engine.expand(&set, &request)).await.unwrap().unwrap();
            found.total.unwrap()
        }
    };
    let before = total().await;
    // What is written beside does not matter.
    world.put([json!({"resourceType": "ValueSet", "id": "v", "url": "urn:v", "status": "active"})]).await;
    assert_eq!(total().await, before);
    let mut last = fragments.last().unwrap().clone();
    let concepts = last["concept"].as_array_mut().unwrap();
    concepts.push(json!({"code": "zz1"}));
    concepts.push(json!({"code": "zz2", "property": [{"code": "inactive", "valueBoolean": true}]}));
    world.put([last]).await;
    assert_eq!(total().await, before + 1);
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_replaced_while_it_is_asked_about_is_asked_for_anew() {
    let world = Arc::new(World::new().await);
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let fragments = fragments(true);
    let last = world.put(fragments.clone()).await;
    let active = supervisor.active();
    active.wait_for(last, PATIENCE).await.unwrap();
    let mut replaced = fragments.last().unwrap().clone();
    replaced["concept"].as_array_mut().unwrap().push(json!({"code": "zz1"}));
    let (tries, runtime) = (AtomicUsize::new(0), tokio::runtime::Handle::current());
    let question = move |engine: &Engine<'_>| {
        // It is known by now which parts there are, and nothing of them.
        if tries.fetch_add(1, Ordering::Relaxed) == 1 {
            let replace = async {
                let position = world.put([replaced.clone()]).await;
                active.wait_for(position, PATIENCE).await.unwrap();
            };
            tokio::task::block_in_place(|| runtime.block_on(replace));
        }
        let set = ValueSet::of_system("urn:s", "urn:c");
        let page = ExpansionRequest { count: Some(1), offset: 10_001, ..ExpansionRequest::default() };
        let is_member = engine.is_member(&set, Some("urn:c"), &code(TOTAL - 1));
        (is_member, engine.expand(&set, &page).map(|page| page.total))
    };
    assert_eq!(index.ask(question).await.unwrap(), (Ok(true), Ok(Some(TOTAL + 1))));
    supervisor.stop().await;
}
