//! The tables that all projections share: which versions there are, how far each has come, what is parked.

use deadpool_postgres::Transaction;
use tokio_postgres::GenericClient;

use crate::checkpoint::Name;
use crate::database::Database;
use crate::{Inputs, Projection, ProjectionError, State};

/// Serialises the making and the taking away of tables by several processes; an arbitrary number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x414E_414D_0002;

/// Columns are only ever added. A checkpoint without a row of its version is from a program that knew of one version
/// only: where it is the one that readers use, the row is added.
const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS anamnesis;
    -- The version that readers use: one row changes at a switch.
    CREATE TABLE IF NOT EXISTS anamnesis.projection (
        name text NOT NULL, log smallint NOT NULL, active integer NOT NULL, PRIMARY KEY (name, log));
    CREATE TABLE IF NOT EXISTS anamnesis.projection_checkpoint (
        name text NOT NULL, version integer NOT NULL, log smallint NOT NULL,
        seq bigint NOT NULL,             -- everything up to here is in the rows
        kept_from bigint NOT NULL,       -- superseded rows are kept for page tokens from here on
        unparked bigint NOT NULL DEFAULT 0,  -- how often resources were un-parked: writers keep the list in memory
        PRIMARY KEY (name, version, log)) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS anamnesis.projection_parked (
        name text NOT NULL, version integer NOT NULL, log smallint NOT NULL, seq bigint NOT NULL,
        resource_type text NOT NULL, resource_id text NOT NULL, reason text NOT NULL,
        PRIMARY KEY (name, version, log, seq));
    -- Every version that was ever made: a number is not given twice.
    CREATE TABLE IF NOT EXISTS anamnesis.projection_version (
        name text NOT NULL, version integer NOT NULL, log smallint NOT NULL,
        schema integer NOT NULL,         -- the form of its rows
        state text NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(), changed_at timestamptz NOT NULL DEFAULT now(),
        force boolean NOT NULL DEFAULT false,  -- it may take the place of one that has parked less
        inputs text,                     -- what it is made from beside the events, until it is gone
        activated_at timestamptz, cancelled_at timestamptz,  -- when it became the active one, when it was given up
        PRIMARY KEY (name, version, log));
    -- Asked for first: the lock that an ALTER needs would stop searches each time.
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = 'anamnesis'
            AND table_name = 'projection_checkpoint' AND column_name = 'unparked') THEN
            ALTER TABLE anamnesis.projection_checkpoint ADD COLUMN unparked bigint NOT NULL DEFAULT 0;
        END IF;
        IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = 'anamnesis'
            AND table_name = 'projection_version' AND column_name = 'inputs') THEN
            ALTER TABLE anamnesis.projection_version ADD COLUMN inputs text,
                ADD COLUMN activated_at timestamptz, ADD COLUMN cancelled_at timestamptz;
        END IF;
        -- For those who ask about one resource, and for comparing versions.
        IF to_regclass('anamnesis.projection_parked_resource') IS NULL THEN
            CREATE INDEX projection_parked_resource ON anamnesis.projection_parked
                (name, log, resource_type, resource_id, version, seq);
        END IF;
    END $$;
    INSERT INTO anamnesis.projection_version (name, version, log, schema, state)
        SELECT c.name, c.version, c.log, 1, 'active'
        FROM anamnesis.projection_checkpoint AS c JOIN anamnesis.projection AS p
            ON p.name = c.name AND p.log = c.log AND p.active = c.version
        ON CONFLICT DO NOTHING;";

/// Makes the tables of a version where `one` of them is not there.
///
/// They are made together. Making them where they are there would lock them one after the other, while another process
/// that writes them locks them in its own order: one of the two would be ended as a deadlock.
pub(crate) async fn make_where_missing(
    transaction: &Transaction<'_>,
    one: &str,
    create: impl FnOnce() -> String,
) -> Result<(), ProjectionError> {
    let there = "SELECT to_regclass($1) IS NOT NULL";
    if !transaction.query_one(there, &[&one]).await?.try_get::<_, bool>(0)? {
        transaction.batch_execute(&create()).await?;
    }
    Ok(())
}

/// Keeps other processes that make, switch or take away versions waiting until the transaction ends. What is decided in
/// it survives a crash, other than rows, which are derived again.
pub(crate) async fn lock(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    transaction.batch_execute("SET LOCAL synchronous_commit = on").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
    Ok(())
}

/// Makes the shared tables where they are missing. Under the [`lock`].
pub(crate) async fn make(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    transaction.batch_execute(TABLES).await
}

/// Makes the shared tables and those of the version, and a checkpoint before the first event where there is none. The
/// first version of a projection becomes the active one; another that nobody has announced is a scratch version.
pub(crate) async fn prepare<P: Projection>(
    database: &Database,
    projection: &P,
    name: &Name,
) -> Result<(), ProjectionError> {
    if name.version < 1 {
        return Err(name.unknown());
    }
    let mut client = database.get().await?;
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    make(&transaction).await?;
    let own = projection.schema();
    match state(&*transaction, name).await? {
        Some((State::Gone | State::Cancelled, _)) => return Err(name.unknown()),
        Some((state @ State::Unknown, _)) => {
            return Err(ProjectionError::WrongState { version: name.version, state });
        }
        Some((_, found)) if found != own => {
            let (name, version) = (name.name, name.version);
            return Err(ProjectionError::OtherSchema { name, version, found, own });
        }
        Some(_) if inputs(&*transaction, name).await? != *projection.inputs() => {
            let (version, reason) = (name.version, "it is not made from these".to_owned());
            return Err(ProjectionError::Inputs { version, reason });
        }
        _ => {}
    }
    projection.prepare(&transaction).await?;
    transaction
        .execute(
            "INSERT INTO anamnesis.projection (name, log, active) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            &[&name.name, &name.log, &name.version],
        )
        .await?;
    let is_active = "SELECT active = $3 FROM anamnesis.projection WHERE name = $1 AND log = $2";
    let is_active = transaction.query_one(is_active, &[&name.name, &name.log, &name.version]).await?;
    let state = if is_active.try_get(0)? { State::Active } else { State::Scratch };
    announce(&transaction, name, (own, projection.inputs()), state).await?;
    transaction.commit().await?;
    Ok(())
}

/// Makes a version known, before its first event. One that is known already stays as it is.
pub(crate) async fn announce(
    transaction: &Transaction<'_>,
    name: &Name,
    (schema, inputs): (i32, &Inputs),
    state: State,
) -> Result<(), tokio_postgres::Error> {
    transaction
        .execute(
            "INSERT INTO anamnesis.projection_version (name, version, log, schema, state, inputs, activated_at)
             VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END) ON CONFLICT DO NOTHING",
            &[
                &name.name,
                &name.version,
                &name.log,
                &schema,
                &state.word(),
                &inputs.text(),
                &(state == State::Active),
            ],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO anamnesis.projection_checkpoint (name, version, log, seq, kept_from)
             VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    Ok(())
}

/// The state of a version and the form of its rows; `None` where it was never made.
pub(crate) async fn state(
    client: &impl GenericClient,
    name: &Name,
) -> Result<Option<(State, i32)>, tokio_postgres::Error> {
    let row = client
        .query_opt(
            "SELECT state, schema FROM anamnesis.projection_version
             WHERE name = $1 AND version = $2 AND log = $3",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    row.map(|row| Ok((State::of(row.try_get(0)?), row.try_get(1)?))).transpose()
}

/// What a version is made from beside the events; none where it was never made.
pub(crate) async fn inputs(
    client: &impl GenericClient,
    name: &Name,
) -> Result<Inputs, tokio_postgres::Error> {
    let row = client
        .query_opt(
            "SELECT inputs FROM anamnesis.projection_version WHERE name = $1 AND version = $2 AND log = $3",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    let text = row.map(|row| row.try_get::<_, Option<String>>(0)).transpose()?;
    Ok(Inputs::stored(text.flatten()))
}
