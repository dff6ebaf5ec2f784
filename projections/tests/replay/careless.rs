//! Projections that are no pure functions of their events: the harness must not let them pass.

use std::time::SystemTime;

use anamnesis_events::{Event, Operation, Position};
use anamnesis_projections::recording::Recording;
use anamnesis_projections::{Change, Database, Poison, Projection, ProjectionError};
use deadpool_postgres::Transaction;

use crate::dice::Dice;
use crate::fixtures;
use crate::harness::{Subject, check};

/// What a row is made of, beside the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Nothing: as it must be.
    Nothing,
    /// The time at which the event is handled.
    Clock,
    /// Something random.
    Randomness,
    /// Where the batch ends.
    Batch,
    /// How far another table has come.
    OtherTable,
    /// What was written before, whether or not it has been superseded.
    Order,
}

/// One row for each resource in a table of its own.
struct Plain {
    beside: Beside,
    version: i32,
}

impl Plain {
    fn table(&self) -> String {
        format!("anamnesis.plain_v{}", self.version)
    }
}

impl Projection for Plain {
    type Rows = Option<String>;

    fn name(&self) -> &'static str {
        "plain"
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn schema(&self) -> i32 {
        1
    }

    fn rows(&self, event: &Event) -> Result<Option<String>, Poison> {
        if event.operation == Operation::Delete {
            return Ok(None);
        }
        let more = match self.beside {
            Beside::Clock => format!("{:?}", SystemTime::now()),
            Beside::Randomness => uuid::Uuid::new_v4().to_string(),
            _ => String::new(),
        };
        Ok(Some(format!("{} {} {more}", event.version, event.payload.len())))
    }

    async fn prepare(&self, transaction: &Transaction<'_>) -> Result<(), ProjectionError> {
        let table = self.table();
        let create =
            format!("CREATE TABLE IF NOT EXISTS {table} (key text PRIMARY KEY, seq bigint, row text)");
        Ok(transaction.batch_execute(&create).await?)
    }

    async fn clear(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        transaction.batch_execute(&format!("TRUNCATE {}", self.table())).await
    }

    async fn remove(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        transaction.batch_execute(&format!("DROP TABLE IF EXISTS {}", self.table())).await
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        changes: &[Change<Option<String>>],
        reached: Position,
    ) -> Result<(), tokio_postgres::Error> {
        let table = self.table();
        for change in changes {
            let (key, seq) = (change.key.to_string(), i64::try_from(change.position.get()).unwrap());
            let more = match self.beside {
                Beside::Batch => format!("'{reached}'"),
                Beside::OtherTable => {
                    "(SELECT coalesce(sum(seq), 0)::text FROM anamnesis.projection_checkpoint)".to_owned()
                }
                Beside::Order => format!("(SELECT count(*)::text FROM {table})"),
                _ => "''".to_owned(),
            };
            transaction.execute(&format!("DELETE FROM {table} WHERE key = $1"), &[&key]).await?;
            let insert = format!("INSERT INTO {table} VALUES ($1, $2, $3 || {more})");
            if let Some(row) = &change.rows {
                transaction.execute(&insert, &[&key, &seq, row]).await?;
            }
        }
        Ok(())
    }
}

struct Careless(Beside);

impl Subject for Careless {
    type Projection = Plain;

    fn projection(&self, version: i32) -> Plain {
        Plain { beside: self.0, version }
    }

    async fn digest(&self, _database: &Database, url: &str, version: i32) -> String {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        let table = self.projection(version).table();
        let statement = format!(
            "SELECT md5(coalesce(string_agg(concat_ws('|', key, seq, row), ';' ORDER BY key), '')) FROM {table}"
        );
        let digest = client.query_one(&statement, &[]).await.unwrap().get(0);
        drop(client);
        driver.await.unwrap().unwrap();
        digest
    }
}

/// The recording with many updates and deletes.
fn recording() -> Recording {
    let (_, path) = fixtures::all().into_iter().find(|(name, _)| name == "lifecycles").unwrap();
    Recording::read(&path).unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pure_projection_passes() {
    let replay = recording().replay().unwrap();
    check(&Careless(Beside::Nothing), replay.events(), &mut Dice::of_this_run()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_looks_beside_its_events_fails() {
    let replay = recording().replay().unwrap();
    let mut dice = Dice::of_this_run();
    for beside in [Beside::Clock, Beside::Randomness, Beside::Batch, Beside::OtherTable, Beside::Order] {
        let verdict = check(&Careless(beside), replay.events(), &mut dice).await;
        let ways = verdict.expect_err(&format!("{beside:?} has passed"));
        let first = &ways[0].1;
        assert!(ways.iter().any(|(_, outcome)| outcome.digest != first.digest), "{beside:?}: {ways:#?}");
    }
}
