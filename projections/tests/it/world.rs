//! A log, its search index and the means to write and to search, in a database of their own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anamnesis_engines::testing::postgres;
use anamnesis_events::{Draft, Erases, Group, Log, LogOptions, Operation, Position, ResourceKey, Version};
use anamnesis_projections::search::{
    CustomParameters, Handling, Issue, ParseOptions, Restriction, Scope, SearchIndex, SearchPage,
    SearchProjection, SearchQuery, digest,
};
use anamnesis_projections::{Database, DatabaseOptions, Runner, RunnerOptions, Versions};
use chrono::{TimeZone, Utc};
use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) log: Log,
    pub(crate) database: Database,
    pub(crate) runner: Runner,
    pub(crate) index: SearchIndex,
    /// What queries are read with that is not the same in all tests.
    pub(crate) options: Option<fn(ParseOptions) -> ParseOptions>,
    /// What whoever asks may see.
    pub(crate) restriction: Option<Arc<Restriction>>,
    versions: Mutex<HashMap<ResourceKey, (Version, bool)>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(RunnerOptions::default()).await
    }

    pub(crate) async fn with(options: RunnerOptions) -> Self {
        Self::with_log(LogOptions::default(), options).await
    }

    /// With an index that has the words of texts.
    pub(crate) async fn with_words(options: RunnerOptions) -> Self {
        Self::made_from(&with_words(), LogOptions::default(), options).await
    }

    pub(crate) async fn with_log(log: LogOptions, options: RunnerOptions) -> Self {
        Self::made_from(&CustomParameters::none(), log, options).await
    }

    async fn made_from(parameters: &CustomParameters, log: LogOptions, options: RunnerOptions) -> Self {
        let url = postgres().await.fresh_database().await;
        let log = Log::open(&url, "default", log).await.unwrap();
        let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
        let projection = SearchProjection::new(parameters, log.number(), 1);
        let runner =
            Runner::start(database.clone(), projection, log.clone(), log.number(), options).await.unwrap();
        let index = SearchIndex::new(database.clone(), log.number(), runner.progress());
        Self {
            url,
            log,
            database,
            runner,
            index,
            options: None,
            restriction: None,
            versions: Mutex::default(),
        }
    }

    /// Writes resources, one event each.
    pub(crate) async fn put(&self, resources: impl IntoIterator<Item = Value>) -> Position {
        let mut last = Position::ZERO;
        for resource in resources {
            last = self.write(vec![Write::Put(resource)], None).await;
        }
        last
    }

    pub(crate) async fn delete(&self, resource_type: &str, id: &str) -> Position {
        self.write(vec![Write::Delete(ResourceKey::new(resource_type, id))], None).await
    }

    /// Writes resources as one transaction bundle.
    pub(crate) async fn bundle(&self, resources: impl IntoIterator<Item = Value>) -> Position {
        self.write(resources.into_iter().map(Write::Put).collect(), Some(Uuid::new_v4())).await
    }

    async fn write(&self, writes: Vec<Write>, transaction: Option<Uuid>) -> Position {
        let mut versions = self.versions.lock().await;
        let drafts = writes.into_iter().map(|write| {
            let (key, payload) = match write {
                Write::Put(resource) => {
                    let name = resource["resourceType"].as_str().unwrap();
                    let key = ResourceKey::new(name, resource["id"].as_str().unwrap());
                    (key, Some(resource.to_string().into_bytes()))
                }
                Write::Delete(key) => (key, None),
                Write::Broken(key) => (key, Some(b"not JSON".to_vec())),
            };
            let (version, was_there) = versions.get(&key).copied().unwrap_or_default();
            versions.insert(key.clone(), (version.next(), payload.is_some()));
            draft(key, version.next(), was_there, payload)
        });
        let drafts = drafts.collect();
        let recorded = self.log.append(Group { drafts, transaction, idempotency: None }).await.unwrap();
        recorded.last().unwrap().position
    }

    /// Writes what no projection can take.
    pub(crate) async fn put_broken(&self, resource_type: &str, id: &str) -> Position {
        self.write(vec![Write::Broken(ResourceKey::new(resource_type, id))], None).await
    }

    /// Writes what takes earlier bodies of its resource away; `payload` is what the new version has, if it makes one.
    pub(crate) async fn erase(
        &self,
        key: ResourceKey,
        (operation, erases): (Operation, Erases),
        payload: &str,
    ) -> Position {
        let mut versions = self.versions.lock().await;
        let (standing, was_there) = versions.get(&key).copied().unwrap_or_default();
        let version = if operation.makes_version() { standing.next() } else { standing };
        versions.insert(key.clone(), (version, was_there && operation != Operation::Delete));
        let plain = draft(key, version, was_there, Some(payload.as_bytes().to_vec()));
        let group = Group::single(Draft { operation, erases, ..plain });
        self.log.append(group).await.unwrap()[0].position
    }

    /// The versions of the search projection.
    pub(crate) async fn versions(&self) -> Versions {
        Versions::open(&self.database, SearchProjection::NAME, self.log.number()).await.unwrap()
    }

    /// Waits until everything that is in the log is in the version of a runner, and takes its digest.
    pub(crate) async fn digest_of(&self, runner: &Runner) -> [u8; 32] {
        let head = self.log.head().await.unwrap();
        runner.progress().wait_for(head, PATIENCE).await.unwrap();
        digest(&self.database, self.log.number(), runner.progress().version()).await.unwrap()
    }

    /// Waits until everything that is in the log is in the index.
    pub(crate) async fn settle(&self) -> Position {
        let head = self.log.head().await.unwrap();
        self.runner.progress().wait_for(head, PATIENCE).await.unwrap()
    }

    pub(crate) fn query(&self, query: &str) -> Result<(SearchQuery, Vec<Issue>), Vec<Issue>> {
        self.query_as(query, Handling::Lenient)
    }

    pub(crate) fn query_as(
        &self,
        query: &str,
        handling: Handling,
    ) -> Result<(SearchQuery, Vec<Issue>), Vec<Issue>> {
        self.query_of(&self.index, query, handling)
    }

    /// The query as another index reads it.
    pub(crate) fn query_of(
        &self,
        index: &SearchIndex,
        query: &str,
        handling: Handling,
    ) -> Result<(SearchQuery, Vec<Issue>), Vec<Issue>> {
        let (path, parameters) = query.split_once('?').unwrap_or((query, ""));
        let scope = match path.split('/').collect::<Vec<_>>().as_slice() {
            [""] => Scope::System,
            [name] => Scope::Type((*name).to_owned()),
            [owner_type, owner_id, name] => Scope::Compartment {
                owner_type: (*owner_type).to_owned(),
                owner_id: (*owner_id).to_owned(),
                resource_type: (*name != "*").then(|| (*name).to_owned()),
            },
            _ => panic!("no such path: {path}"),
        };
        let parameters: Vec<(String, String)> = parameters
            .split('&')
            .filter(|text| !text.is_empty())
            .map(|text| text.split_once('=').unwrap_or((text, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let now = Utc.with_ymd_and_hms(2024, 6, 1, 0, 0, 0).unwrap();
        let base_url = Some("http://here.org/fhir".to_owned());
        let restriction = self.restriction.clone();
        let options = ParseOptions { handling, base_url, restriction, ..ParseOptions::at(now) };
        let options = self.options.iter().fold(options, |options, change| change(options));
        index.parse(&scope, &parameters, &options)
    }

    /// The page that answers a query, with everything that is in the log.
    pub(crate) async fn search(&self, query: &str) -> SearchPage {
        self.settle().await;
        let (query, issues) = self.query(query).unwrap();
        assert_eq!(issues, [], "{query:?}");
        self.index.search(&query).await.unwrap()
    }

    /// The ids of the results, in their order.
    pub(crate) async fn ids(&self, query: &str) -> Vec<String> {
        self.search(query).await.matches.into_iter().map(|found| found.id).collect()
    }

    /// The ids of the results, sorted and joined.
    pub(crate) async fn found(&self, query: &str) -> String {
        let joint = if query.contains('?') { '&' } else { '?' };
        let mut ids = self.ids(&format!("{query}{joint}_count=1000")).await;
        ids.sort();
        ids.join(" ")
    }

    pub(crate) async fn digest(&self) -> [u8; 32] {
        self.settle().await;
        digest(&self.database, self.log.number(), 1).await.unwrap()
    }
}

/// R4's search parameters, and the words of texts.
pub(crate) fn with_words() -> CustomParameters {
    CustomParameters::none().with_full_text(true).unwrap()
}

/// Starts the first version of the search projection over a log.
pub(crate) async fn run(database: &Database, log: &Log, options: RunnerOptions) -> Runner {
    run_version(database, log, 1, options).await
}

/// Starts any version of the search projection over a log.
pub(crate) async fn run_version(
    database: &Database,
    log: &Log,
    version: i32,
    options: RunnerOptions,
) -> Runner {
    let projection = projection(log, version);
    Runner::start(database.clone(), projection, log.clone(), log.number(), options).await.unwrap()
}

pub(crate) fn projection(log: &Log, version: i32) -> SearchProjection {
    SearchProjection::new(&CustomParameters::none(), log.number(), version)
}

enum Write {
    Put(Value),
    Delete(ResourceKey),
    Broken(ResourceKey),
}

pub(crate) fn draft(key: ResourceKey, version: Version, was_there: bool, payload: Option<Vec<u8>>) -> Draft {
    let operation = match (&payload, was_there) {
        (None, _) => Operation::Delete,
        (Some(_), true) => Operation::Update,
        (Some(_), false) => Operation::Create,
    };
    Draft {
        home: format!("{}/~0", key.resource_type),
        key,
        operation,
        erases: anamnesis_events::Erases::Nothing,
        version,
        touches: Vec::new(),
        payload: payload.unwrap_or_default(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: Arc::from("test"),
        source: None,
    }
}

/// Asserts what a table of queries finds.
pub(crate) async fn expect(world: &World, table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (query, expected) in table {
        let found = world.found(query).await;
        if found != *expected {
            wrong.push(format!("{query}: found [{found}], expected [{expected}]"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
