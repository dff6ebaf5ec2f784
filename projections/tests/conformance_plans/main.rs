//! Every search parameter of R4 on 100,000 resources: no search may read more rows than its result needs.
//!
//! What is read is counted by the database (`EXPLAIN ANALYZE`), not timed, so that the outcome is the same on every
//! machine. Some random resources of each type are written by the projection itself; the rest are copies of
//! their rows, each sharing some values with its original and having others of its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../../../fhir/tests/support/expression.rs"]
mod expression;
#[path = "../../../fhir/tests/support/maker.rs"]
mod maker;
#[expect(dead_code, reason = "other tests compare with it")]
#[path = "../it/model/naive.rs"]
mod naive;
#[path = "../it/model/times.rs"]
mod times;
mod values;
#[path = "../it/model/words.rs"]
mod words;
#[expect(dead_code, reason = "other tests do more with it")]
#[path = "../it/world.rs"]
mod world;

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::search::{SearchParameter, SearchParameterKind as Kind, SearchRegistry};
use anamnesis_projections::search::{ExplainOptions, SearchIndex, explained};
use naive::Resource;
use world::World;

/// Resources of each type that are written by the projection.
const ORIGINALS: u64 = 8;
/// Copies of each.
const COPIES: i64 = 85;
/// Rows that may be read for each resource that is found: in the index of tokens, of spans or texts, and the resource's own.
const READ_PER_RESULT: u64 = 4;
/// Rows that may be read in any case, of 100,000.
const READ_ALWAYS: u64 = 300;

/// What is known to be answered by looking at resources of the type until the page is full.
fn is_named_exception(parameter: &SearchParameter, value: &str) -> bool {
    // A number without its unit is compared as it was given; only what is in a unit has an index of its own.
    parameter.kind() == Kind::Quantity && !value.contains('|')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_search_reads_more_than_its_result_needs() {
    let world = World::new().await;
    let resources = originals();
    world.put(resources.iter().map(Resource::value)).await;
    world.settle().await;
    world.runner.stop().await;
    let count = copy(&world.url).await;
    assert!(count >= 100_000, "there are {count} resources");
    let mut urls = Vec::new();
    for resource_type in r4().resource_types() {
        let of_type: Vec<&Resource> =
            resources.iter().filter(|resource| resource.resource_type == *resource_type).collect();
        for parameter in SearchRegistry::r4().parameters(resource_type) {
            let value = values::of(parameter, &of_type);
            let value = value.filter(|value| !is_named_exception(parameter, value));
            let plain =
                value.map(|value| format!("{resource_type}?{}={value}&_count=1000", parameter.code()));
            let label = values::label(parameter, &of_type);
            let label =
                label.map(|label| format!("{resource_type}?{}:text={label}&_count=1000", parameter.code()));
            urls.extend(plain.into_iter().chain(label));
        }
    }
    let (mut asked, mut with_results, mut wrong) = (0, 0, Vec::new());
    for url in urls {
        let (query, issues) = world.query(&url).unwrap_or_else(|issues| panic!("{url}: {issues:?}"));
        assert_eq!(issues, [], "{url}");
        // The runner has not come as far as the copies say: an index that has shown none of them waits for nothing.
        let index = SearchIndex::new(world.database.clone(), world.log.number(), world.runner.progress());
        let options = ExplainOptions { analyze: true, values: false };
        let (page, explained) = explained(options, index.search(&query)).await;
        let (found, plans) = (page.unwrap().matches.len() as u64, explained.statements);
        let read: u64 = plans.iter().map(|one| read(&one.plan[0]["Plan"])).sum();
        asked += 1;
        with_results += usize::from(found > 0);
        if read > READ_ALWAYS + READ_PER_RESULT * found {
            let plans: Vec<String> = plans.iter().map(|one| shape(&one.plan[0]["Plan"], 1)).collect();
            wrong.push(format!("{url}: {found} found, {read} rows read\n{}", plans.join("\n")));
        }
    }
    println!("{asked} searches over {count} resources, {with_results} with results");
    assert!(asked > 2500 && with_results * 2 > asked, "{asked} asked, {with_results} with results");
    assert!(wrong.is_empty(), "{} of {asked} read too much:\n{}", wrong.len(), wrong.join("\n"));
}

/// Random resources of every type.
fn originals() -> Vec<Resource> {
    let types = r4().resource_types().iter();
    let of_type = |name: &&'static str| {
        let name = *name;
        (0..ORIGINALS).map(move |seed| Resource::make(name, &format!("o{seed}"), seed))
    };
    types.flat_map(of_type).collect()
}

/// Copies the rows of every resource, and gives how many there are then. A token is shared by the original and some of the
/// copies, from one of them to all; beginnings and ends of spans are moved, a day with each copy; texts are continued, and
/// labels, whose tokens the copies have that do not share the original's.
async fn copy(url: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let index = "SELECT indexdef FROM pg_indexes WHERE indexname = 'search_v1_resource_tokens'";
    let index: String = client.query_one(index, &[]).await.unwrap().get(0);
    let copies = format!(
        "DROP INDEX anamnesis.search_v1_resource_tokens;
         CREATE TEMP TABLE copies AS SELECT k FROM generate_series(1, {COPIES}) AS k;
         INSERT INTO anamnesis.search_v1_span
             SELECT key, low + k * 86400000000, high + k * 86400000000, seq + k * 1000000
             FROM anamnesis.search_v1_span, copies;
         INSERT INTO anamnesis.search_v1_text
             SELECT key, seq + k * 1000000, log, text || ' ' || k FROM anamnesis.search_v1_text, copies;
         INSERT INTO anamnesis.search_v1_resource
             SELECT log, kind, seq + k * 1000000, last_updated + k * 1000000, id || '-' || k,
                 ARRAY(SELECT CASE WHEN t > -4611686018427387904 AND k % (1 + abs(t % {COPIES})) = 0 THEN t
                              ELSE t # (k << 20) END AS token FROM unnest(tokens) AS t ORDER BY token),
                 ARRAY(SELECT CASE WHEN (at - 1) % 3 = 0 THEN s ELSE s + k * 86400000000 END
                       FROM unnest(spans) WITH ORDINALITY AS s (s, at) ORDER BY at)
             FROM anamnesis.search_v1_resource, copies;
         -- A search by labels is as of the position that the index has come to.
         UPDATE anamnesis.projection_checkpoint SET seq = 1000000000;
         INSERT INTO anamnesis.search_v1_label_word
             SELECT key, token # (k << 20), text || ' ' || k FROM anamnesis.search_v1_label_word, copies;
         {index};
         ANALYZE anamnesis.search_v1_label_word;
         ANALYZE anamnesis.search_v1_resource, anamnesis.search_v1_span, anamnesis.search_v1_text"
    );
    client.batch_execute(&copies).await.unwrap();
    let count = client.query_one("SELECT count(*) FROM anamnesis.search_v1_resource", &[]).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    count.get(0)
}

/// The rows that a plan reads from the tables of the index: what its scans give, and what they throw away.
fn read(plan: &serde_json::Value) -> u64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let of_index = plan["Relation Name"].as_str().is_some_and(|name| name.starts_with("search_v"));
    let rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"].map(number);
    let own = if of_index { rows.iter().sum::<f64>() * number("Actual Loops") } else { 0.0 };
    own as u64 + plan["Plans"].as_array().into_iter().flatten().map(read).sum::<u64>()
}

/// What a plan does, a line for each step.
fn shape(plan: &serde_json::Value, depth: usize) -> String {
    let name = |name: &str| plan[name].as_str().unwrap_or_default();
    let on = format!("{} {}", name("Relation Name"), name("Index Name"));
    let line = format!(
        "{}{} {} rows {} loops {} removed {}\n",
        "  ".repeat(depth),
        name("Node Type"),
        on.trim(),
        plan["Actual Rows"],
        plan["Actual Loops"],
        plan["Rows Removed by Filter"],
    );
    let below = plan["Plans"].as_array().into_iter().flatten().map(|plan| shape(plan, depth + 1));
    line + &below.collect::<String>()
}
