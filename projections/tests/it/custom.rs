//! Custom search parameters: a version of the index has those that it was made from, and no others.

mod text;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use anamnesis_events::Position;
use anamnesis_fhir::search::{ParameterDefinition, SearchParameterKind};
use anamnesis_projections::search::{
    AuditOptions, CustomParameter, CustomParameters, Handling, IssueKind, SearchIndex, SearchProjection,
    SearchQuery, audit,
};
use anamnesis_projections::{Active, Inputs, ProjectionError, Runner, RunnerOptions, State};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::supervisor::{PATIENCE, index, is_alone, options, supervise, until};
use crate::world::World;

/// The address of a parameter with this code.
fn url(code: &str) -> String {
    format!("http://example.org/SearchParameter/{code}")
}

fn custom(code: &str, kind: SearchParameterKind, base: &str, expression: &str) -> CustomParameter {
    let definition = ParameterDefinition {
        url: url(code),
        code: code.to_owned(),
        bases: vec![base.to_owned()],
        kind,
        expression: Some(expression.to_owned()),
        targets: vec![],
        comparators: vec![],
        modifiers: vec![],
        usage: None,
        components: vec![],
    };
    CustomParameter { id: code.to_owned(), position: Position::new(1), definition }
}

/// Patients by what they are called at home.
fn nickname() -> CustomParameter {
    let expression = "Patient.name.where(use = 'nickname').given";
    custom("nickname", SearchParameterKind::String, "Patient", expression)
}

/// Patients by whom they were referred by.
fn referrer() -> CustomParameter {
    let expression = "Patient.extension.where(url = 'http://example.org/referrer').value as Reference";
    let mut referrer = custom("referrer", SearchParameterKind::Reference, "Patient", expression);
    referrer.definition.targets = vec!["Practitioner".to_owned()];
    referrer
}

fn inputs(all: impl IntoIterator<Item = CustomParameter>) -> Inputs {
    CustomParameters::new(all).unwrap().to_inputs()
}

fn patient(id: usize, nickname: &str) -> Value {
    json!({"resourceType": "Patient", "id": format!("{id}"), "birthDate": format!("19{:02}-01-01", id % 100),
        "name": [{"use": "nickname", "given": [nickname]}, {"use": "official", "family": "Doe"}],
        "extension": [{"url": "http://example.org/referrer", "valueReference": {"reference": "Practitioner/p"}}]})
}

/// A world with some patients, and an index by R4's parameters alone, which goes on.
async fn world_that_runs() -> World {
    let world = World::new().await;
    world.put([json!({"resourceType": "Practitioner", "id": "p", "name": [{"family": "Ray"}]})]).await;
    world.put((0..20).map(|id| patient(id, if id % 2 == 0 { "Bob" } else { "Ann" }))).await;
    world
}

/// The same with an index that nobody runs yet.
async fn world() -> World {
    let world = world_that_runs().await;
    world.runner.stop().await;
    world
}

/// Runs a version as if it was made from these.
async fn run(world: &World, number: i32, inputs: &Inputs) -> Result<Runner, ProjectionError> {
    let (database, log) = (world.database.clone(), world.log.clone());
    let projection = SearchProjection::maker(log.number())(number, inputs)?;
    Runner::start(database, projection, log, world.log.number(), RunnerOptions::default()).await
}

/// A version that is made from these, is being built and has come to the end of the log.
async fn built(world: &World, inputs: &Inputs) -> Runner {
    let versions = world.versions().await;
    let (number, is_new) = versions.build(SearchProjection::SCHEMA, Some(inputs), false).await.unwrap();
    assert!(is_new);
    let runner = run(world, number, inputs).await.unwrap();
    runner.progress().wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
    runner
}

/// A query as an index reads it; `None` where it has a parameter that the index does not know.
fn read(world: &World, index: &SearchIndex, query: &str) -> Option<SearchQuery> {
    world.query_of(index, query, Handling::Strict).ok().map(|(query, _)| query)
}

/// How many resources an index finds; `None` where it does not know a parameter.
async fn found(world: &World, index: &SearchIndex, query: &str) -> Option<usize> {
    let query = read(world, index, query)?;
    index.wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
    Some(index.search(&query).await.unwrap().matches.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_built_beside_the_index_and_found_by_on_all_nodes() {
    let world = world().await;
    let (one, two) = (supervise(&world, options(7)).await, supervise(&world, options(5)).await);
    let indexes = [index(&world, &one), index(&world, &two)];
    const ASKED: &str = "Patient?nickname=bob&_count=50";
    for index in &indexes {
        assert_eq!(found(&world, index, ASKED).await, None);
    }
    let both = inputs([nickname(), referrer()]);
    assert_eq!(one.rebuild_with(&both, false).await.unwrap(), (2, true));
    until(&one, is_alone(2)).await;
    until(&two, is_alone(2)).await;
    world.put([patient(20, "Bobby"), patient(21, "Ann")]).await;
    for (node, index) in [&one, &two].into_iter().zip(&indexes) {
        // Which node notices first is not said.
        while node.active().now().unwrap().version() != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(found(&world, index, ASKED).await, Some(11));
        assert_eq!(found(&world, index, "Patient?nickname=bob&birthdate=lt1903").await, Some(2));
        assert_eq!(found(&world, index, "Patient?nickname:missing=true").await, Some(0));
        assert_eq!(found(&world, index, "Patient?referrer.name=ray&_count=50").await, Some(22));
        assert_eq!(found(&world, index, "Practitioner?_has:Patient:referrer:nickname=ann").await, Some(1));
        assert_eq!(found(&world, index, "Patient?_filter=nickname sw bobb").await, Some(1));
        assert_eq!(index.parameters().get(&url("nickname")), Some(&nickname()));
    }
    // The rows are those of R4 and of these, however they came about.
    let audited = audit(&world.database, &world.log, AuditOptions::default(), &mut |_| {}).await.unwrap();
    assert_eq!((audited.version, audited.faults.count(), audited.resources), (2, 0, 23));
    let versions = one.versions();
    let [newest, first] = versions.history(10).await.unwrap().try_into().unwrap();
    assert_eq!((newest.state, &newest.inputs), (State::Active, &both));
    assert!(newest.activated_at.is_some() && newest.cancelled_at.is_none());
    assert_eq!((first.number, first.state, &first.inputs), (1, State::Gone, &Inputs::none()));
    assert!(first.activated_at.is_some_and(|at| at < newest.activated_at.unwrap()));
    let gone = versions.get(1).await.unwrap().unwrap();
    assert_eq!(
        (gone.state, gone.made_at, gone.activated_at),
        (State::Gone, first.made_at, first.activated_at)
    );
    assert_eq!(versions.get(9).await.unwrap(), None);
    // A rebuild that says nothing of parameters keeps them; one without any is R4's index again.
    assert_eq!(two.rebuild(false).await.unwrap(), (3, true));
    until(&two, is_alone(3)).await;
    until(&one, is_alone(3)).await;
    assert_eq!(found(&world, &indexes[1], ASKED).await, Some(11));
    assert_eq!(one.rebuild_with(&Inputs::none(), false).await.unwrap(), (4, true));
    until(&one, is_alone(4)).await;
    while one.active().now().unwrap().version() != 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(found(&world, &indexes[0], ASKED).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_building_does_so_by_the_same_parameters() {
    let world = world().await;
    let first = supervise(&world, options(2)).await;
    assert_eq!(first.rebuild_with(&inputs([nickname()]), false).await.unwrap(), (2, true));
    first.stop().await;
    let mut reached = Position::ZERO;
    loop {
        // A server that ends after its next batch.
        let supervisor = supervise(&world, options(2)).await;
        let status = until(&supervisor, |status| {
            status.iter().any(|one| one.version.number == 2 && one.version.reached > reached)
                || is_alone(2)(status)
        })
        .await;
        supervisor.stop().await;
        let two = status.iter().find(|one| one.version.number == 2).unwrap();
        assert_eq!(two.version.inputs, inputs([nickname()]));
        reached = two.version.reached;
        if two.version.state == State::Active {
            break;
        }
    }
    let last = supervise(&world, options(2)).await;
    until(&last, is_alone(2)).await;
    let index = index(&world, &last);
    assert_eq!(found(&world, &index, "Patient?nickname=ann&_count=50").await, Some(10));
    // Built from nothing by the same parameters it is the same.
    let versions = world.versions().await;
    let scratch = versions.scratch_from(SearchProjection::SCHEMA, &inputs([nickname()])).await.unwrap();
    let refused = run(&world, scratch, &Inputs::none()).await;
    assert!(matches!(refused, Err(ProjectionError::Inputs { .. })), "by others it is not written");
    let runner = run(&world, scratch, &inputs([nickname()])).await.unwrap();
    let from_nothing = world.digest_of(&runner).await;
    let digest = anamnesis_projections::search::digest(&world.database, 1, 2).await.unwrap();
    assert_eq!(digest, from_nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_parameters_wait_until_those_under_way_are_done_or_given_up() {
    let world = world().await;
    let versions = world.versions().await;
    let build = async |inputs: Option<&Inputs>| versions.build(SearchProjection::SCHEMA, inputs, false).await;
    let (ours, others) = (inputs([nickname()]), inputs([referrer()]));
    assert_eq!(build(Some(&ours)).await.unwrap(), (2, true));
    assert_eq!(build(Some(&ours)).await.unwrap(), (2, false));
    assert_eq!(build(None).await.unwrap(), (2, false), "whoever wants any rebuild gets this one");
    for inputs in [&others, &Inputs::none()] {
        let refused = build(Some(inputs)).await;
        assert!(matches!(refused, Err(ProjectionError::BeingBuilt { version: 2 })), "{refused:?}");
    }
    versions.cancel(2).await.unwrap();
    let cancelled = versions.get(2).await.unwrap().unwrap();
    assert!(cancelled.cancelled_at.is_some() && cancelled.activated_at.is_none());
    assert_eq!(build(Some(&others)).await.unwrap(), (3, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_not_understood_is_not_run_and_can_be_replaced() {
    let world = world().await;
    let versions = world.versions().await;
    let unreadable = Inputs::new(r#"{"form":99,"parameters":[]}"#);
    assert_eq!(versions.build(SearchProjection::SCHEMA, Some(&unreadable), false).await.unwrap(), (2, true));
    let supervisor = supervise(&world, options(5)).await;
    let index = index(&world, &supervisor);
    assert_eq!(found(&world, &index, "Patient?name=doe&_count=50").await, Some(20));
    assert!(supervisor.building().now().is_none());
    assert_eq!(supervisor.cancel().await.unwrap(), Some(2));
    until(&supervisor, is_alone(1)).await;
    supervisor.stop().await;
    // The version in use: readers do without one, the server starts, and another takes the place.
    execute(&world, "UPDATE anamnesis.projection_version SET inputs = 'x' WHERE version = 1").await;
    let supervisor = supervise(&world, options(5)).await;
    assert!(supervisor.active().now().is_none());
    let refused = audit(&world.database, &world.log, AuditOptions::default(), &mut |_| {}).await;
    assert!(matches!(refused, Err(ProjectionError::Inputs { version: 1, .. })), "{refused:?}");
    assert_eq!(supervisor.rebuild_with(&inputs([nickname()]), false).await.unwrap(), (3, true));
    until(&supervisor, is_alone(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_from_before_has_an_index_by_r4s_parameters() {
    let world = world_that_runs().await;
    world.settle().await;
    world.runner.stop().await;
    let before = "ALTER TABLE anamnesis.projection_version
        DROP COLUMN inputs, DROP COLUMN activated_at, DROP COLUMN cancelled_at";
    execute(&world, before).await;
    // Whoever checks writes nothing, so the columns are not there yet.
    let audited = audit(&world.database, &world.log, AuditOptions::default(), &mut |_| {}).await.unwrap();
    assert_eq!((audited.faults.count(), audited.resources), (0, 21));
    let supervisor = supervise(&world, options(5)).await;
    let version = supervisor.versions().get(1).await.unwrap().unwrap();
    assert_eq!((version.state, version.inputs, version.activated_at), (State::Active, Inputs::none(), None));
    assert_eq!(supervisor.rebuild_with(&inputs([nickname()]), false).await.unwrap(), (2, true));
    until(&supervisor, is_alone(2)).await;
}

async fn execute(world: &World, statements: &str) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_it_is_answered_by_what_is_not_complete_and_told_so() {
    let world = world_that_runs().await;
    assert!(world.index.partial().is_none(), "nobody has told it of one that is built");
    let building = built(&world, &inputs([nickname()])).await;
    building.stop().await;
    let reached = building.progress().reached();
    let head = world.put((20..25).map(|id| patient(id, "Bob"))).await;
    let index = world.index.clone().with_building(building.progress().into());
    const ASKED: &str = "Patient?nickname=bob";
    assert!(read(&world, &index, ASKED).is_none(), "what is complete does not have it");
    let partial = index.partial().unwrap();
    assert!(partial.is_partial() && !index.is_partial());
    // Nobody waits for what is not there.
    assert!(partial.wait_for(head, PATIENCE * 100).await.is_err());
    let mut seen = HashSet::new();
    let mut asked = format!("{ASKED}&_count=4");
    for _ in 0..3 {
        let page = partial.search(&read(&world, &partial, &asked).unwrap()).await.unwrap();
        assert_eq!(page.reached, reached);
        let [issue] = page.issues.as_slice() else { panic!("{:?}", page.issues) };
        assert_eq!(issue.kind, IssueKind::Incomplete);
        assert!(issue.text.contains(&format!("position {reached} ")), "{}", issue.text);
        seen.extend(page.matches.into_iter().map(|found| found.id));
        asked = format!("{ASKED}&_count=4&ct={}", page.next.unwrap_or_default());
    }
    assert_eq!(seen.len(), 10, "of 15, those up to the position that the pages name");
    let complete = read(&world, &index, "Patient?_summary=count").unwrap();
    index.wait_for(head, PATIENCE).await.unwrap();
    let page = index.search(&complete).await.unwrap();
    assert_eq!((page.total, page.issues), (Some(25), vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_was_read_before_a_switch_means_the_same_after_it_or_is_refused() {
    let world = world_that_runs().await;
    // What is asked before the switch is asked of all that is there, as after it.
    world.settle().await;
    let (sender, active) = watch::channel(Some(world.runner.progress()));
    let index = SearchIndex::new(world.database.clone(), world.log.number(), Active::new(active));
    let known = read(&world, &index, "Patient?name=doe&_sort=birthdate&_count=8").unwrap();
    let (unknown, issues) = world.query_of(&index, "Patient?nickname=bob", Handling::Lenient).unwrap();
    assert_eq!(issues.len(), 1);
    let first = index.search(&known).await.unwrap();
    let turned = format!("Patient?name=doe&_sort=birthdate&_count=8&ct={}", first.next.unwrap());
    let turned = read(&world, &index, &turned).unwrap();
    let building = built(&world, &inputs([nickname()])).await;
    sender.send_replace(Some(building.progress()));
    // The same question, by rows of other parameters; its pages go on.
    assert_eq!(index.search(&known).await.unwrap().matches, first.matches);
    let second = index.search(&turned).await.unwrap();
    let both: HashSet<_> = first.matches.iter().chain(&second.matches).map(|found| &found.id).collect();
    assert_eq!(both.len(), 16);
    // What was left out then would be a criterion now, and the other way round.
    let changed = |outcome| matches!(outcome, Err(ProjectionError::ParametersChanged));
    assert!(changed(index.search(&unknown).await));
    let nicknamed = read(&world, &index, "Patient?nickname=bob&_count=50").unwrap();
    assert_eq!(index.search(&nicknamed).await.unwrap().matches.len(), 10);
    sender.send_replace(Some(world.runner.progress()));
    assert!(changed(index.search(&nicknamed).await));
    // In memory, a query is answered by the parameters that it was read with.
    let events = world.log.fetch(&[Position::new(2)]).await.unwrap();
    let subject = anamnesis_projections::search::Subject {
        resource_type: "Patient",
        id: "0",
        payload: &events[0].payload,
        recorded_at: events[0].recorded_at,
    };
    for query in [&known, &nicknamed] {
        let found = index.evaluator(query).unwrap().take_apart(&subject).unwrap();
        assert!(found.matches(query));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_is_unknown_although_it_is_indexed() {
    let world = world_that_runs().await;
    let building = built(&world, &inputs([nickname(), referrer()])).await;
    let index = SearchIndex::new(world.database.clone(), world.log.number(), building.progress());
    let asked = [
        "Patient?nickname=bob",
        "Patient?nickname:missing=true",
        "Patient?_sort=nickname",
        "Patient?_filter=nickname eq bob",
        "Patient?_include=Patient:referrer",
        "Practitioner?_revinclude=Patient:referrer",
        "Patient?referrer=Practitioner/p",
        "Patient?referrer.name=ray",
        "Practitioner?_has:Patient:referrer:name=doe",
        "Practitioner?_not-referenced=Patient:referrer",
    ];
    let known =
        |index: &SearchIndex| asked.iter().filter(|query| read(&world, index, query).is_some()).count();
    assert_eq!(known(&index), asked.len());
    let codes = |index: &SearchIndex| {
        let catalogue = index.catalogue();
        let codes = catalogue.parameters("Patient").map(|parameter| parameter.code().to_owned());
        BTreeSet::from_iter(codes.filter(|code| ["nickname", "referrer", "name"].contains(&code.as_str())))
    };
    assert_eq!(codes(&index).len(), 3);
    let clone = index.clone();
    index.hide([url("nickname"), url("referrer")].into());
    for index in [&index, &clone] {
        assert_eq!(known(index), 0);
        assert_eq!(codes(index), ["name".to_owned()].into());
        assert_eq!(index.parameters().len(), 2, "they are there");
    }
    clone.hide([url("referrer")].into());
    assert_eq!(known(&index), 4);
    index.hide(BTreeSet::new());
    assert_eq!(known(&clone), asked.len());
}
