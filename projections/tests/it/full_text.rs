//! `_text` and `_content`: the words of narratives and of whole resources, where the index was made with them.

use std::time::Duration;

use anamnesis_events::{Erases, Operation, ResourceKey};
use anamnesis_projections::search::{
    AuditOptions, CustomParameters, Handling, SearchIndex, SearchLimits, SearchProjection, Severity, audit,
};
use anamnesis_projections::{Inputs, ProjectionError, RunnerOptions, SupervisorOptions};
use serde_json::{Value, json};

use crate::supervisor::{index, is_alone, options, supervise, until};
use crate::world::{World, expect, with_words};

fn narrative(text: &str) -> Value {
    json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>")})
}

fn observation(id: &str, text: &str, note: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "text": narrative(text),
        "subject": {"reference": "Patient/p", "display": "Zoë"}, "code": {"text": "Scan"}, "note": [{"text": note}]})
}

async fn world() -> World {
    let world = World::with_words(RunnerOptions::default()).await;
    world
        .put([
            json!({"resourceType": "Patient", "id": "p", "text": narrative("<b>J</b>osé O&#39;Neil"),
                "name": [{"family": "O'Neil"}], "contact": [{"name": {"text": "Liver"}}]}),
            observation("bone", "Bone metastases", "seen by Dr. Ray"),
            observation("liver", "<p>Liver</p><p>metastases</p>", "no bone"),
            observation("none", "No evidence of disease", "liver clear"),
            json!({"resourceType": "Observation", "id": "bare", "status": "final", "code": {"text": "Bone scan"}}),
            json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "Ym9uZQ=="}),
            json!({"resourceType": "Parameters", "id": "q", "parameter": [{"name": "bone", "valueString": "liver"}]}),
        ])
        .await;
    world
}

const QUERIES: [(&str, &str); 34] = [
    ("Observation?_text=bone", "bone"),
    ("Observation?_text=BONE metastases", "bone"),
    ("Observation?_text=metastases bone", "bone"),
    ("Observation?_text=metastases", "bone liver"),
    // A word is a whole one.
    ("Observation?_text=meta", ""),
    ("Observation?_text=bone,liver", "bone liver"),
    ("Observation?_text=(bone OR liver) and metastases", "bone liver"),
    ("Observation?_text=bone or liver and evidence", "bone"),
    ("Observation?_text=metastases NOT bone", "liver"),
    ("Observation?_text=NOT metastases", "bare none"),
    ("Observation?_text=NOT (bone OR evidence)", "bare liver"),
    ("Observation?_text=not bone or evidence", "bare liver none"),
    ("Observation?_text=metastases&_text=bone", "bone"),
    ("Patient?_text=jose oneil", "p"),
    ("Patient?_text=josé O’NEIL", "p"),
    // Not of the narrative, but of the resource.
    ("Patient?_text=liver", ""),
    ("Patient?_content=liver jose", "p"),
    ("Observation?_content=bone", "bare bone liver"),
    ("Observation?_content=bone NOT metastases", "bare"),
    ("Observation?_content=ray,clear", "bone none"),
    ("Observation?_content=zoe liver", "liver none"),
    // Codes and addresses are no words.
    ("Observation?_content=final", ""),
    ("Observation?_content=patient", ""),
    ("Observation?_content=bone&_text=liver&code:text=scan", "liver"),
    ("?_text=bone", "bone"),
    ("?_type=Observation,Patient&_content=liver NOT metastases", "none p"),
    // What has no narrative is not asked for words of one.
    ("?_text=NOT (metastases OR evidence)&_type=Observation,Patient", "bare p"),
    ("?_text=NOT metastases", "bare none p"),
    ("?_content=liver NOT metastases", "none p q"),
    ("Patient/p/Observation?_text=metastases NOT liver", "bone"),
    ("Patient/p/*?_text=oneil,evidence", "none p"),
    ("Observation?subject:Patient._text=oneil&_text=evidence", "none"),
    ("Patient?_has:Observation:subject:_text=liver metastases", "p"),
    ("Patient?_has:Observation:subject:_text=bone evidence", ""),
];

#[tokio::test]
async fn resources_are_found_by_their_words_whichever_way_they_are_looked_for() {
    let mut world = world().await;
    expect(&world, &QUERIES).await;
    // Where several types are joined, each is asked for its own words.
    expect(
        &world,
        &[
            ("Observation?subject._text=oneil OR NOT jose&_text=evidence", "none"),
            ("Observation?subject._text=bone OR NOT jose&_text=evidence", ""),
        ],
    )
    .await;
    let walking = SearchLimits { gathered_max: 0, tried_max: 0, joined_max: 0, ..SearchLimits::default() };
    world.index = world.index.clone().with_limits(walking);
    expect(&world, &QUERIES).await;
}

#[tokio::test]
async fn pages_and_counts_of_words_are_those_of_every_search() {
    let world = World::with_words(RunnerOptions::default()).await;
    world
        .put(
            (0..25)
                .map(|id| observation(&format!("o{id:02}"), if id % 5 == 0 { "rare" } else { "often" }, "x")),
        )
        .await;
    let (mut ids, mut link) =
        (Vec::new(), "Observation?_text=often&_total=accurate&_sort=_id&_count=7".to_owned());
    let url = link.clone();
    loop {
        let page = world.search(&link).await;
        assert_eq!(page.total, Some(20));
        ids.extend(page.matches.into_iter().map(|found| found.id));
        // What is written meanwhile is on no page.
        world.put([observation("o01", "rare", "x"), observation("o001", "often", "x")]).await;
        let Some(next) = page.next else { break };
        link = format!("{url}&ct={next}");
    }
    let expected: Vec<String> = (0..25).filter(|id| id % 5 != 0).map(|id| format!("o{id:02}")).collect();
    assert_eq!(ids, expected);
    let counted = world.search("Observation?_text=rare NOT often&_summary=count").await;
    assert_eq!(counted.total, Some(6));
}

#[tokio::test]
async fn what_asks_for_nothing_and_what_is_not_known_is_refused() {
    let world = world().await;
    for (query, reason) in [
        (
            "Observation?_text=bone AND",
            "_text: a word, \"some words\", NOT or ( is wanted (behind character 8)",
        ),
        ("Observation?_text=metast*", "* is not supported (behind character 0)"),
        ("Observation?_content=NOT \"a b\"", "cannot be left out as one"),
        ("Observation?_text:contains=bone", "modifier :contains is not supported"),
        ("Observation?_text:missing=true", "modifier :missing is not supported"),
        ("Observation?subject:Patient._content=(", "is wanted (behind character 1)"),
        ("Observation?_filter=_text co \"bone\"", "stand beside a filter"),
        ("Observation?_filter=subject:Patient._content pr true", "stand beside a filter"),
        (&format!("?_content={}", "a ".repeat(64)), "more than 10000 conditions"),
    ] {
        let issues = world.query(query).unwrap_err();
        assert!(issues[0].text.contains(reason), "{query}: {issues:?}");
    }
    for (query, reason) in [
        ("Observation?_text=", "it has no value"),
        ("Binary?_text=bone", "no search parameter of Binary"),
        ("?_type=Binary,Patient&_text=bone", "no search parameter of Binary"),
        ("Patient?_sort=_text", "_text has no values to sort by; Patient is sorted by"),
    ] {
        let (read, issues) = world.query(query).unwrap();
        assert!(
            issues[0].text.contains(reason) && issues[0].severity == Severity::Warning,
            "{query}: {issues:?}"
        );
        assert!(!read.applied().iter().any(|(name, _)| name == "_text"));
        assert!(world.query_as(query, Handling::Strict).is_err());
    }
    let (query, issues) = world.query("Observation?_text=\"metastases bone\"").unwrap();
    world.settle().await;
    assert_eq!(world.index.search(&query).await.unwrap().matches.len(), 1);
    assert!(issues[0].text.contains("wherever they stand") && issues[0].severity == Severity::Information);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_words_that_were_erased_nothing_is_left() {
    let world = world().await;
    for id in ["liver", "none"] {
        let key = ResourceKey::new("Observation", id);
        let payload = observation(id, "Clear now", "").to_string();
        match id {
            "liver" => world.erase(key, (Operation::Delete, Erases::Earlier), "").await,
            _ => world.erase(key, (Operation::Update, Erases::Previous), &payload).await,
        };
    }
    expect(
        &world,
        &[
            ("Observation?_content=liver", ""),
            ("Observation?_text=evidence", ""),
            ("Observation?_text=clear", "none"),
            ("Observation?_text=metastases", "bone"),
        ],
    )
    .await;
    // Tokens stand in rows alone, and of what was erased there is no row.
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let of_erased = "SELECT count(*) FROM (SELECT seq FROM anamnesis.search_v1_resource
            UNION ALL SELECT seq FROM anamnesis.search_v1_superseded) AS t
        JOIN anamnesis.event AS e ON e.seq = t.seq WHERE e.erased_by IS NOT NULL";
    assert_eq!(client.query_one(of_erased, &[]).await.unwrap().get::<_, i64>(0), 0);
    drop(client);
    driver.await.unwrap().unwrap();
    // Built again it is the same, and every row is what its resource says.
    let versions = world.versions().await;
    let inputs = with_words().to_inputs();
    let number = versions.scratch_from(SearchProjection::SCHEMA, &inputs).await.unwrap();
    let projection = SearchProjection::maker(world.log.number())(number, &inputs).unwrap();
    let (database, log) = (world.database.clone(), world.log.clone());
    let built = anamnesis_projections::Runner::start(database, projection, log, 1, RunnerOptions::default());
    let built = built.await.unwrap();
    assert_eq!(world.digest_of(&built).await, world.digest().await);
    built.stop().await;
    let audited = audit(&world.database, &world.log, AuditOptions::default(), &mut |_| {}).await.unwrap();
    assert_eq!((audited.version, audited.faults.count()), (1, 0));
}

/// What a version has to be made from to have the words of texts.
fn add_words(inputs: &Inputs) -> Option<Inputs> {
    let parameters = CustomParameters::from_inputs(inputs).unwrap();
    (!parameters.has_full_text()).then(|| parameters.with_full_text(true).unwrap().to_inputs())
}

fn is_read(world: &World, index: &SearchIndex) -> bool {
    let read = world.query_of(index, "Observation?_text=bone", Handling::Strict);
    read.is_ok_and(|(query, _)| !query.applied().is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_built_beside_the_index_and_kept_when_it_is_built_again() {
    let world = World::new().await;
    world.put((0..30).map(|id| observation(&id.to_string(), "bone", "liver"))).await;
    world.settle().await;
    world.runner.stop().await;
    let (one, two) = (supervise(&world, options(5)).await, supervise(&world, options(7)).await);
    let indexes = [index(&world, &one), index(&world, &two)];
    for index in &indexes {
        assert!(!is_read(&world, index));
        let (query, issues) = world.query_of(index, "Observation?_text=bone", Handling::Lenient).unwrap();
        assert!(query.applied().is_empty() && issues[0].text.contains("the words of texts are not indexed"));
    }
    let before = world.query_of(&indexes[0], "Observation?_text=bone", Handling::Lenient).unwrap().0;
    assert_eq!(one.rebuild_changed(add_words).await.unwrap(), Some(2));
    // Who wants the same meanwhile, or afterwards, begins nothing.
    assert_eq!(two.rebuild_changed(add_words).await.unwrap(), None);
    until(&one, is_alone(2)).await;
    until(&two, is_alone(2)).await;
    for (node, index) in [&one, &two].into_iter().zip(&indexes) {
        while node.active().now().unwrap().version() != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(node.rebuild_changed(add_words).await.unwrap(), None);
        assert!(is_read(&world, index));
    }
    // What was left out before is not left out silently now.
    let answer = indexes[0].search(&before).await;
    assert!(matches!(answer, Err(ProjectionError::ParametersChanged)), "{answer:?}");
    assert_eq!(two.rebuild(false).await.unwrap(), (3, true));
    until(&two, is_alone(3)).await;
    until(&one, is_alone(3)).await;
    assert!(one.versions().get(3).await.unwrap().unwrap().inputs == with_words().to_inputs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_version_of_a_store_can_have_words() {
    let first = with_words().to_inputs();
    let fresh = anamnesis_engines::testing::postgres().await.fresh_database().await;
    let database = anamnesis_projections::Database::new(&fresh, &Default::default()).unwrap();
    let log = anamnesis_events::Log::open(&fresh, "default", Default::default()).await.unwrap();
    let start = |first: Inputs| {
        let options = SupervisorOptions { first, ..options(5) };
        let make = SearchProjection::maker(log.number());
        anamnesis_projections::Supervisor::start(&database, make, log.clone(), log.number(), options)
    };
    let supervisor = start(first.clone()).await.unwrap();
    assert_eq!(supervisor.active().now().unwrap().inputs(), &first);
    supervisor.stop().await;
    // Of a store that has a version it says nothing.
    let supervisor = start(Inputs::none()).await.unwrap();
    assert_eq!(supervisor.active().now().unwrap().inputs(), &first);
}
