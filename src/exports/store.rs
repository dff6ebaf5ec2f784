//! Exports in Postgres, where every server of the workspace finds them.

use std::str::FromStr;
use std::time::Duration;

use anamnesis_events::Position;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row};

use super::job::{Cursor, File, Job, Level, Order, Owner, State};
use super::migrate::migrate;
use super::reach;
use crate::clock;

/// How long a connection and a statement may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections: the worker has one, downloads share the others for a row at a time.
const CONNECTIONS: usize = 4;
/// Held while exports are counted, so that two that begin at once are not one too many. An arbitrary number that nobody
/// else uses; the other half of the key is the log.
const LOCK: i32 = 0x4558_504F;

const COLUMNS: &str = "id, issuer, subject, client, restriction, level, group_id, types, position, since, until,
     position_time, base, request, state, status, reason, member, cursor, percent, expires_at, gone, begun_at, filters";

/// Why exports cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no connection.
    #[error("there is no connection: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    /// The database fails.
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// A newer program has been here.
    #[error("the tables of exports have version {found}, this program knows {known}")]
    SchemaTooNew {
        /// The version of the database.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// What is stored cannot be understood.
    #[error("a stored export cannot be understood: {0}")]
    Broken(&'static str),
    /// There are as many exports as there may be.
    #[error("there are {0} exports already")]
    TooMany(usize),
}

/// What a step of an export has come to.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) cursor: Cursor,
    pub(super) percent: i32,
    pub(super) gone: u64,
    /// Positions by file, in order.
    pub(super) chunks: Vec<Chunk>,
    pub(super) is_end: bool,
}

/// A part of a file.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) resource_type: String,
    pub(super) number: u32,
    pub(super) positions: Vec<Position>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is recorded.
    Recorded,
    /// The export was cancelled, or somebody else works on it: nothing is recorded.
    Lost,
    /// All exports together have more resources than they may: nothing is recorded.
    TooLarge,
}

/// The exports of one service.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: Pool,
    log: i16,
    service: String,
}

impl Store {
    /// Connects, and brings the tables up to date.
    pub(super) async fn open(url: &str, log: i16, service: &str) -> Result<Self, StoreError> {
        let mut config = Config::from_str(url)?;
        config.application_name("anamnesis-exports").connect_timeout(PATIENCE);
        config.options(format!("-c statement_timeout={}", PATIENCE.as_millis()));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()
            .map_err(|_never| StoreError::Broken("the pool cannot be built"))?;
        let mut client = pool.get().await?;
        migrate(&mut client).await?;
        drop(client);
        Ok(Self { pool, log, service: service.to_owned() })
    }

    async fn client(&self) -> Result<Object, StoreError> {
        Ok(self.pool.get().await?)
    }

    /// Records an order; the id of the export.
    pub(super) async fn begin(
        &self,
        order: &Order,
        kept_for: Duration,
        jobs_max: usize,
    ) -> Result<String, StoreError> {
        let id = clock::new_request_id();
        let (level, group) = level_words(&order.level);
        let restriction = order.restriction.as_deref().map(reach::written);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCK, &i32::from(self.log)]).await?;
        let count = "SELECT count(*) FROM anamnesis.export_job WHERE log = $1 AND expires_at > now()";
        let there: i64 = transaction.query_one(count, &[&self.log]).await?.try_get(0)?;
        if usize::try_from(there).unwrap_or(usize::MAX) >= jobs_max {
            return Err(StoreError::TooMany(jobs_max));
        }
        let add = "INSERT INTO anamnesis.export_job (id, log, service, issuer, subject, client, restriction, level,
                group_id, types, position, since, until, position_time, base, request, filters, expires_at, cursor)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                now() + make_interval(secs => $18), $12)";
        let (position, since, until) = (sql(order.position), sql(order.since), sql(order.until));
        let kept_for = kept_for.as_secs_f64();
        let values: [&(dyn ToSql + Sync); 18] = [
            &id,
            &self.log,
            &self.service,
            &order.owner.issuer,
            &order.owner.subject,
            &order.owner.client,
            &restriction,
            &level,
            &group,
            &order.types,
            &position,
            &since,
            &until,
            &order.position_time,
            &order.base,
            &order.request,
            &order.filters,
            &kept_for,
        ];
        transaction.execute(add, &values).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// An export of this service by its id.
    pub(super) async fn job(&self, id: &str) -> Result<Option<Job>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM anamnesis.export_job
             WHERE id = $1 AND log = $2 AND service = $3 AND expires_at > now()"
        );
        let row = self.client().await?.query_opt(&statement, &[&id, &self.log, &self.service]).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Takes an export that nobody works on, the one that has waited longest.
    pub(super) async fn claim(&self, lease: &str, lasts: Duration) -> Result<Option<Job>, StoreError> {
        let statement = format!(
            "UPDATE anamnesis.export_job AS j
             SET lease = $3, leased_until = now() + make_interval(secs => $4), turned_at = now()
             FROM (SELECT id AS next FROM anamnesis.export_job
                   WHERE log = $1 AND service = $2 AND state = 'running' AND expires_at > now()
                       AND (lease IS NULL OR leased_until < now())
                   ORDER BY turned_at LIMIT 1 FOR UPDATE SKIP LOCKED) AS found
             WHERE j.id = found.next RETURNING {COLUMNS}"
        );
        let values: [&(dyn ToSql + Sync); 4] = [&self.log, &self.service, &lease, &lasts.as_secs_f64()];
        let row = self.client().await?.query_opt(&statement, &values).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Gives it back, so that the next one need not wait.
    pub(super) async fn release(&self, id: &str, lease: &str) -> Result<(), StoreError> {
        let statement = "UPDATE anamnesis.export_job SET lease = NULL WHERE id = $1 AND lease = $2";
        self.client().await?.execute(statement, &[&id, &lease]).await?;
        Ok(())
    }

    /// Records a step, where the export is still ours.
    pub(super) async fn note(
        &self,
        (id, lease): (&str, &str),
        step: &Step,
        (lasts, kept_for): (Duration, Duration),
        resources_max: u64,
    ) -> Result<Noted, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let update =
            "UPDATE anamnesis.export_job SET member = $3, cursor = $4, percent = $5, gone = gone + $6,
                resources = resources + $7, leased_until = now() + make_interval(secs => $8),
                state = CASE WHEN $9 THEN 'done' ELSE state END,
                expires_at = now() + make_interval(secs => $10)
            WHERE id = $1 AND lease = $2 AND state = 'running' AND expires_at > now()";
        let member = i32::try_from(step.cursor.member).unwrap_or(i32::MAX);
        let gone = i64::try_from(step.gone).unwrap_or(i64::MAX);
        let resources: usize = step.chunks.iter().map(|chunk| chunk.positions.len()).sum();
        let resources = i64::try_from(resources).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 10] = [
            &id,
            &lease,
            &member,
            &sql(step.cursor.after),
            &step.percent,
            &gone,
            &resources,
            &lasts.as_secs_f64(),
            &step.is_end,
            &kept_for.as_secs_f64(),
        ];
        if transaction.execute(update, &values).await? == 0 {
            return Ok(Noted::Lost);
        }
        let all = "SELECT coalesce(sum(resources), 0)::bigint FROM anamnesis.export_job WHERE log = $1";
        let all: i64 = transaction.query_one(all, &[&self.log]).await?.try_get(0)?;
        if u64::try_from(all).unwrap_or(u64::MAX) > resources_max {
            return Ok(Noted::TooLarge);
        }
        let file = transaction
            .prepare_cached(
                "INSERT INTO anamnesis.export_file AS f VALUES ($1, $2, $3, $4, 1)
                 ON CONFLICT (job, type, number) DO UPDATE
                     SET resources = f.resources + excluded.resources, chunks = f.chunks + 1
                 RETURNING chunks",
            )
            .await?;
        let part = transaction
            .prepare_cached("INSERT INTO anamnesis.export_chunk VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .await?;
        for chunk in &step.chunks {
            let number = i32::try_from(chunk.number).unwrap_or(i32::MAX);
            let positions: Vec<i64> = chunk.positions.iter().copied().map(sql).collect();
            let resources = i64::try_from(positions.len()).unwrap_or(i64::MAX);
            let name = &chunk.resource_type;
            let place: i32 =
                transaction.query_one(&file, &[&id, name, &number, &resources]).await?.try_get(0)?;
            let first = positions.iter().min().copied().unwrap_or_default();
            let last = positions.iter().max().copied().unwrap_or_default();
            transaction.execute(&part, &[&id, name, &number, &place, &first, &last, &positions]).await?;
        }
        transaction.commit().await?;
        Ok(Noted::Recorded)
    }

    /// Gives an export up. What it has of files goes at once.
    pub(super) async fn fail(
        &self,
        (id, lease): (&str, &str),
        status: u16,
        reason: &str,
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let update =
            "UPDATE anamnesis.export_job SET state = 'failed', status = $3, reason = $4, resources = 0
            WHERE id = $1 AND lease = $2 AND state = 'running'";
        if transaction.execute(update, &[&id, &lease, &i32::from(status), &reason]).await? > 0 {
            for table in ["export_chunk", "export_file"] {
                transaction.execute(&format!("DELETE FROM anamnesis.{table} WHERE job = $1"), &[&id]).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Removes an export with its files.
    pub(super) async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let statement = "DELETE FROM anamnesis.export_job WHERE id = $1 AND log = $2 AND service = $3";
        self.client().await?.execute(statement, &[&id, &self.log, &self.service]).await?;
        Ok(())
    }

    /// Removes what has been kept for long enough.
    pub(super) async fn expire(&self) -> Result<(), StoreError> {
        let statement = "DELETE FROM anamnesis.export_job WHERE log = $1 AND expires_at <= now()";
        self.client().await?.execute(statement, &[&self.log]).await?;
        Ok(())
    }

    /// Removes the exports that are of one patient by what was asked for or by whom: a token of that patient, or criteria
    /// that name it.
    pub(super) async fn forget(&self, patient: &str) -> Result<u64, StoreError> {
        // Names are ids of FHIR, which have nothing that JSON or LIKE would read otherwise but the underscore, which no id has.
        let (kind, id) = patient.split_once('/').unwrap_or(("Patient", patient));
        let within = format!("%\"{kind}\",\"{id}\"%");
        let named = format!("%{kind}/{id}%");
        let statement = "DELETE FROM anamnesis.export_job WHERE log = $1 AND (restriction LIKE $2 OR restriction LIKE $3 OR request LIKE $3)";
        Ok(self.client().await?.execute(statement, &[&self.log, &within, &named]).await?)
    }

    /// The files of an export by type and number, and how many resources each was given.
    pub(super) async fn files(&self, id: &str) -> Result<Vec<File>, StoreError> {
        let statement = "SELECT type, number, resources FROM anamnesis.export_file WHERE job = $1
            ORDER BY type, number";
        let rows = self.client().await?.query(statement, &[&id]).await?;
        let file = |row: &Row| {
            let (number, resources): (i32, i64) = (row.try_get(1)?, row.try_get(2)?);
            Ok(File {
                resource_type: row.try_get(0)?,
                number: u32::try_from(number).unwrap_or(0),
                resources: u64::try_from(resources).unwrap_or(0),
            })
        };
        rows.iter().map(file).collect()
    }

    /// How many of these positions each file has, by type and number.
    pub(super) async fn holding(
        &self,
        id: &str,
        positions: &[Position],
    ) -> Result<Vec<((String, u32), u64)>, StoreError> {
        let positions: Vec<i64> = positions.iter().copied().map(sql).collect();
        let statement = "SELECT c.type, c.number, count(*) FROM unnest($2::bigint[]) AS p (seq)
            JOIN anamnesis.export_chunk AS c ON c.job = $1 AND p.seq BETWEEN c.first AND c.last
                AND p.seq = ANY (c.positions)
            GROUP BY c.type, c.number";
        let rows = self.client().await?.query(statement, &[&id, &positions]).await?;
        let held = |row: &Row| {
            let (number, count): (i32, i64) = (row.try_get(1)?, row.try_get(2)?);
            let name = (row.try_get(0)?, u32::try_from(number).unwrap_or(0));
            Ok((name, u64::try_from(count).unwrap_or(0)))
        };
        rows.iter().map(held).collect()
    }

    /// The n-th part of a file, from 1; `None` where there is none.
    pub(super) async fn chunk(
        &self,
        id: &str,
        (resource_type, number): (&str, u32),
        place: i32,
    ) -> Result<Option<Vec<Position>>, StoreError> {
        let statement = "SELECT positions FROM anamnesis.export_chunk
            WHERE job = $1 AND type = $2 AND number = $3 AND chunk = $4";
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let row = self.client().await?.query_opt(statement, &[&id, &resource_type, &number, &place]).await?;
        let Some(row) = row else { return Ok(None) };
        let positions: Vec<i64> = row.try_get(0)?;
        Ok(Some(positions.into_iter().map(position).collect()))
    }
}

fn level_words(level: &Level) -> (&'static str, Option<&str>) {
    match level {
        Level::System => ("system", None),
        Level::Patient => ("patient", None),
        Level::Group(id) => ("group", Some(id)),
    }
}

fn read(row: &Row) -> Result<Job, StoreError> {
    let restriction = match row.try_get::<_, Option<&str>>(4)? {
        None => None,
        Some(text) => Some(reach::read(text).ok_or(StoreError::Broken("its restriction"))?),
    };
    let level = match (row.try_get(5)?, row.try_get::<_, Option<String>>(6)?) {
        ("system", None) => Level::System,
        ("patient", None) => Level::Patient,
        ("group", Some(id)) => Level::Group(id),
        _ => return Err(StoreError::Broken("its level")),
    };
    let state = match row.try_get(14)? {
        "running" => State::Running,
        "done" => State::Done,
        "failed" => {
            let status: Option<i32> = row.try_get(15)?;
            let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
            State::Failed { status, reason: row.try_get::<_, Option<String>>(16)?.unwrap_or_default() }
        }
        _ => return Err(StoreError::Broken("its state")),
    };
    let (member, gone): (i32, i64) = (row.try_get(17)?, row.try_get(21)?);
    let order = Order {
        owner: Owner { issuer: row.try_get(1)?, subject: row.try_get(2)?, client: row.try_get(3)? },
        restriction,
        level,
        types: row.try_get(7)?,
        filters: row.try_get(23)?,
        position: position(row.try_get(8)?),
        since: position(row.try_get(9)?),
        until: position(row.try_get(10)?),
        position_time: row.try_get(11)?,
        base: row.try_get(12)?,
        request: row.try_get(13)?,
    };
    Ok(Job {
        id: row.try_get(0)?,
        order,
        state,
        percent: row.try_get(19)?,
        begun_at: row.try_get(22)?,
        expires_at: row.try_get(20)?,
        gone: u64::try_from(gone).unwrap_or(0),
        cursor: Cursor { member: usize::try_from(member).unwrap_or(0), after: position(row.try_get(18)?) },
    })
}

fn sql(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

fn position(number: i64) -> Position {
    Position::new(u64::try_from(number).unwrap_or(0))
}
