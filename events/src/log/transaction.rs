//! The append transaction: its statements, and its two round trips.
//!
//! First trip: begin, take the log's lock, read the tail, the heads, the identifiers and the idempotency keys.
//! Second trip: events, heads, links, identifiers, keys, commit. The statements of a trip are sent together; when one fails,
//! Postgres aborts the transaction and the COMMIT behind it becomes a rollback.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::task::Poll;

use chrono::{DateTime, Utc};
use futures::future::{OptionFuture, try_join_all};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

use super::connection::Connector;
use super::decide::{HeadState, Recorded, Request, Span, Wanted};
use super::guard::Guard;
use super::holder;
use super::rows::{
    ErasedRows, EventRows, GuardRows, HeadRows, IdentifierRows, LinkRows, RequestRows, Sql, identifiers_of,
};
use crate::{Position, ResourceKey, Version};

const LOCK: &str = "SELECT guarded FROM anamnesis.log WHERE log = $1 FOR UPDATE";
const TAIL: &str = "SELECT seq, hash, recorded_at FROM anamnesis.event
    WHERE log = $1 AND seq >= $2 ORDER BY seq DESC LIMIT 1";
const HASH: &str = "SELECT hash FROM anamnesis.event WHERE log = $1 AND seq = $2";
const HEADS: &str = "SELECT key, version, deleted, seq, identifiers
    FROM anamnesis.head WHERE log = $1 AND key = ANY ($2)";
const HOLDERS: &str = "SELECT key, id FROM anamnesis.identifier WHERE log = $1 AND key = ANY ($2)";
const REQUESTS: &str = "SELECT key, fingerprint, first_seq, events
    FROM anamnesis.idempotency WHERE log = $1 AND key = ANY ($2)";
/// Under the log's lock, which who destroys a key holds as well.
const DESTROYED_KEYS: &str = "SELECT id FROM anamnesis.data_key
    WHERE id = ANY ($2) AND log = $1 AND wrapped IS NULL";
const EVENTS: &str = "INSERT INTO anamnesis.event (log, seq, recorded_at, prev_seq, version,
        transaction_index, transaction_size, kind, kind_version, transaction_id, resource_type, id, home,
        touches, agent, source, hash, payload)
    SELECT $1, * FROM unnest($2::bigint[], $3::timestamptz[], $4::bigint[], $5::integer[], $6::integer[],
        $7::integer[], $8::smallint[], $9::smallint[], $10::uuid[], $11::text[], $12::text[], $13::text[],
        $14::text[], $15::text[], $16::text[], $17::bytea[], $18::bytea[])";
/// What may be written in compartments.
const GUARDS: &str = "SELECT compartment, purge_seq, hold_seq, held_at
    FROM anamnesis.compartment_guard WHERE log = $1 AND compartment = ANY ($2)";
/// After the events: the table takes this only because of an event of the same transaction.
const ERASED: &str = "UPDATE anamnesis.event AS e
    SET payload = NULL, commitment = gone.commitment, erased_by = gone.erased_by
    FROM unnest($2::bigint[], $3::bytea[], $4::bigint[]) AS gone (seq, commitment, erased_by)
    WHERE e.log = $1 AND e.seq = ANY ($2) AND e.seq = gone.seq AND e.payload IS NOT NULL";
const HEADS_NEW: &str = "INSERT INTO anamnesis.head (log, key, seq, version, deleted, identifiers)
    SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::boolean[], $6::bytea[])";
/// Goes through the conflict, because that finds the rows by the primary key whatever the planner thinks;
/// an inserted row (`xmax = 0`) counts as one that was not there. The last parameter is by how many
/// versions the heads move.
const HEADS_MOVED: &str = "WITH moved AS (
    INSERT INTO anamnesis.head AS h (log, key, seq, version, deleted, identifiers)
    SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::boolean[], $6::bytea[])
    ON CONFLICT (log, key) DO UPDATE
    SET seq = excluded.seq, version = excluded.version, deleted = excluded.deleted,
        identifiers = excluded.identifiers
    WHERE h.version = excluded.version - $7::integer
    RETURNING h.xmax <> 0 AS found)
    SELECT anamnesis.fence(count(*) FILTER (WHERE found), cardinality($2::uuid[])) FROM moved";
const LINKS: &str = "INSERT INTO anamnesis.link (log, seq, compartment)
    SELECT $1, * FROM unnest($2::bigint[], $3::uuid[])";
const IDENTIFIERS_LEFT: &str = "DELETE FROM anamnesis.identifier AS i
    USING unnest($2::uuid[], $3::bytea[]) AS gone (key, id)
    WHERE i.log = $1 AND i.key = ANY ($2) AND i.key = gone.key AND i.id = gone.id";
const IDENTIFIERS_TAKEN: &str = "INSERT INTO anamnesis.identifier (log, key, id)
    SELECT $1, * FROM unnest($2::uuid[], $3::bytea[])";
const GUARDS_NEW: &str = "SELECT anamnesis.set_guard($1, g.compartment, g.purge, g.hold, g.held)
    FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[]) AS g (compartment, purge, hold, held)";
/// `set_guard` and this are under the log's lock, as every append is that may seal something with the key.
const KEYS_DESTROYED: &str = "UPDATE anamnesis.data_key AS k
    SET wrapped = NULL, destroyed_at = now(), destroyed_by = gone.seq
    FROM unnest($2::uuid[], $3::bigint[]) AS gone (compartment, seq)
    WHERE k.log = $1 AND k.compartment = gone.compartment AND k.wrapped IS NOT NULL";

const REQUESTS_NEW: &str = "INSERT INTO anamnesis.idempotency
        (log, key, fingerprint, first_seq, events, recorded_at, note)
    SELECT $1, * FROM unnest($2::uuid[], $3::bytea[], $4::bigint[], $5::integer[], $6::timestamptz[], $7::bytea[])";

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) position: Position,
    pub(crate) hash: [u8; 32],
    pub(crate) recorded_at: DateTime<Utc>,
}

/// All rows that a batch writes.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) events: EventRows,
    pub(crate) erased: ErasedRows,
    pub(crate) heads_new: HeadRows,
    /// By how many versions they move: nearly always by one.
    pub(crate) heads_moved: BTreeMap<i32, HeadRows>,
    pub(crate) links: LinkRows,
    pub(crate) identifiers_left: IdentifierRows,
    pub(crate) identifiers_taken: IdentifierRows,
    pub(crate) requests: RequestRows,
    pub(crate) guards: GuardRows,
}

/// The appender's own connection with its prepared statements. Dropped after any failure: what is open
/// on it is rolled back by the server.
pub(crate) struct Session {
    log: i16,
    client: Client,
    driver: JoinHandle<()>,
    statements: Statements,
}

struct Statements {
    lock: Statement,
    tail: Statement,
    hash: Statement,
    heads: Statement,
    holders: Statement,
    events: Statement,
    erased: Statement,
    heads_new: Statement,
    heads_moved: Statement,
    links: Statement,
    identifiers_left: Statement,
    identifiers_taken: Statement,
    requests: Statement,
    requests_new: Statement,
    destroyed_keys: Statement,
    guards: Statement,
    guards_new: Statement,
    keys_destroyed: Statement,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    pub(crate) async fn open(connector: &Connector, log: i16) -> Result<Session, Error> {
        let (client, driver) = connector.connect().await?;
        let statements = Statements {
            lock: client.prepare(LOCK).await?,
            tail: client.prepare(TAIL).await?,
            hash: client.prepare(HASH).await?,
            heads: client.prepare(HEADS).await?,
            holders: client.prepare(HOLDERS).await?,
            events: client.prepare(EVENTS).await?,
            erased: client.prepare(ERASED).await?,
            heads_new: client.prepare(HEADS_NEW).await?,
            heads_moved: client.prepare(HEADS_MOVED).await?,
            links: client.prepare(LINKS).await?,
            identifiers_left: client.prepare(IDENTIFIERS_LEFT).await?,
            identifiers_taken: client.prepare(IDENTIFIERS_TAKEN).await?,
            requests: client.prepare(REQUESTS).await?,
            requests_new: client.prepare(REQUESTS_NEW).await?,
            destroyed_keys: client.prepare(DESTROYED_KEYS).await?,
            guards: client.prepare(GUARDS).await?,
            guards_new: client.prepare(GUARDS_NEW).await?,
            keys_destroyed: client.prepare(KEYS_DESTROYED).await?,
        };
        Ok(Session { log, client, driver, statements })
    }

    /// The first round trip: takes the log's lock and reads what the batch has to be compared with. The
    /// tail is looked for from `known` on; `None` means that the log is empty or has become shorter.
    pub(crate) async fn begin(
        &self,
        known: Position,
        wanted: Wanted,
    ) -> Result<(Option<Tail>, Recorded), Error> {
        let (client, statements, log) = (&self.client, &self.statements, &self.log);
        let known = known.to_sql();
        let Wanted { heads: keys, required_free, requests, data_keys, compartments } = wanted;
        let wanted: Vec<Uuid> = keys.keys().copied().collect();
        let only_log: [Sql<'_>; 1] = [log];
        let from_known: [Sql<'_>; 2] = [log, &known];
        let of_keys: [Sql<'_>; 2] = [log, &wanted];
        let of_identifiers: [Sql<'_>; 2] = [log, &required_free];
        let holders: OptionFuture<_> =
            (!required_free.is_empty()).then(|| client.query(&statements.holders, &of_identifiers)).into();
        let of_requests: [Sql<'_>; 2] = [log, &requests];
        let known_requests: OptionFuture<_> =
            (!requests.is_empty()).then(|| client.query(&statements.requests, &of_requests)).into();
        let of_data_keys: [Sql<'_>; 2] = [log, &data_keys];
        let destroyed_keys: OptionFuture<_> =
            (!data_keys.is_empty()).then(|| client.query(&statements.destroyed_keys, &of_data_keys)).into();
        let of_compartments: [Sql<'_>; 2] = [log, &compartments];
        let guards: OptionFuture<_> =
            (!compartments.is_empty()).then(|| client.query(&statements.guards, &of_compartments)).into();
        let (begun, locked, tail, heads, holders, known_requests, destroyed_keys, guards) = futures::join!(
            client.batch_execute("BEGIN"),
            client.query_one(&statements.lock, &only_log),
            client.query_opt(&statements.tail, &from_known),
            client.query(&statements.heads, &of_keys),
            holders,
            known_requests,
            destroyed_keys,
            guards
        );
        begun?;
        let is_guarded = locked?.try_get(0)?;
        let tail = tail?.map(|row| tail_of(&row)).transpose()?;
        let mut recorded = Recorded { heads: heads_of(&heads?, keys)?, is_guarded, ..Recorded::default() };
        for row in holders.transpose()?.unwrap_or_default() {
            recorded.holders.entry(row.try_get(0)?).or_default().push(holder::from_bytes(row.try_get(1)?));
        }
        for row in known_requests.transpose()?.unwrap_or_default() {
            recorded.requests.insert(row.try_get(0)?, request_of(&row)?);
        }
        for row in destroyed_keys.transpose()?.unwrap_or_default() {
            recorded.destroyed_keys.extend(u32::try_from(row.try_get::<_, i32>(0)?));
        }
        for row in guards.transpose()?.unwrap_or_default() {
            recorded.guards.insert(row.try_get(0)?, guard_of(&row)?);
        }
        Ok((tail, recorded))
    }

    /// The second round trip: writes and commits. After an error the outcome is open until
    /// [`Session::has`] was asked on a new session.
    pub(crate) async fn commit(&self, writes: &Writes) -> Result<(), Error> {
        let statements = &self.statements;
        let mut steps = vec![
            (&statements.events, writes.events.parameters()),
            (&statements.erased, writes.erased.parameters()),
            (&statements.heads_new, writes.heads_new.parameters()),
            (&statements.links, writes.links.parameters()),
            (&statements.identifiers_left, writes.identifiers_left.parameters()),
            (&statements.identifiers_taken, writes.identifiers_taken.parameters()),
            (&statements.requests_new, writes.requests.parameters()),
            (&statements.guards_new, writes.guards.parameters()),
            (&statements.keys_destroyed, writes.guards.key_parameters()),
        ];
        steps.extend(writes.heads_moved.iter().map(|(versions, heads)| {
            let parameters = heads.parameters().map(|mut parameters| {
                parameters.push(versions);
                parameters
            });
            (&statements.heads_moved, parameters)
        }));
        let written = steps.iter().filter_map(|(statement, parameters)| {
            let mut all: Vec<Sql<'_>> = vec![&self.log];
            all.extend(parameters.as_ref()?);
            Some(async move { self.client.execute(*statement, &all).await })
        });
        // Polling sends. COMMIT is sent only when every statement was: one that failed before it was sent
        // would not abort the transaction.
        let mut written = pin!(try_join_all(written));
        if let Poll::Ready(unsent) = futures::poll!(&mut written) {
            unsent?;
            return self.client.batch_execute("COMMIT").await;
        }
        let (written, committed) = futures::join!(written, self.client.batch_execute("COMMIT"));
        written?;
        committed
    }

    /// Gives the lock back without having written.
    pub(crate) async fn rollback(&self) -> Result<(), Error> {
        self.client.batch_execute("ROLLBACK").await
    }

    /// Whether the event with this position and hash is recorded. Takes the log's lock for the question:
    /// a commit that is still under way on a lost connection has ended once the lock is free.
    pub(crate) async fn has(&self, position: Position, hash: &[u8; 32]) -> Result<bool, Error> {
        let (client, statements) = (&self.client, &self.statements);
        let position = position.to_sql();
        let only_log: [Sql<'_>; 1] = [&self.log];
        let at_position: [Sql<'_>; 2] = [&self.log, &position];
        let (begun, locked, found, ended) = futures::join!(
            client.batch_execute("BEGIN"),
            client.query_one(&statements.lock, &only_log),
            client.query_opt(&statements.hash, &at_position),
            client.batch_execute("COMMIT")
        );
        begun?;
        locked?;
        ended?;
        Ok(match found? {
            Some(row) => row.try_get::<_, &[u8]>(0)? == hash,
            None => false,
        })
    }
}

pub(crate) fn tail_of(row: &Row) -> Result<Tail, Error> {
    let hash: &[u8] = row.try_get(1)?;
    Ok(Tail {
        position: Position::from_sql(row.try_get(0)?),
        // A hash of another length is not the hash of anything: the chain check finds it.
        hash: hash.try_into().unwrap_or([0; 32]),
        recorded_at: row.try_get(2)?,
    })
}

/// A row of [`REQUESTS`].
fn request_of(row: &Row) -> Result<Request, Error> {
    let fingerprint: &[u8] = row.try_get(1)?;
    let first = Position::from_sql(row.try_get(2)?);
    let events = u32::try_from(row.try_get::<_, i32>(3)?).unwrap_or(0);
    // A fingerprint of another length is not that of any request: the key is refused.
    Ok(Request { fingerprint: fingerprint.try_into().unwrap_or([0; 32]), span: Span { first, events } })
}

/// A row of [`GUARDS`].
fn guard_of(row: &Row) -> Result<Guard, Error> {
    let position = |number: i64| Position::from_sql(number);
    let hold: Option<i64> = row.try_get(2)?;
    Ok(Guard {
        purge: row.try_get::<_, Option<i64>>(1)?.map(position),
        hold: hold.map(position).zip(row.try_get(3)?),
    })
}

fn heads_of(
    rows: &[Row],
    mut keys: HashMap<Uuid, ResourceKey>,
) -> Result<HashMap<ResourceKey, HeadState>, Error> {
    let mut heads = HashMap::with_capacity(rows.len());
    for row in rows {
        let state = HeadState {
            version: Version::from_sql(row.try_get(1)?),
            deleted: row.try_get(2)?,
            position: Position::from_sql(row.try_get(3)?),
            identifiers: row.try_get::<_, Option<&[u8]>>(4)?.map_or_else(Vec::new, identifiers_of),
        };
        if let Some(key) = keys.remove(&row.try_get::<_, Uuid>(0)?) {
            heads.insert(key, state);
        }
    }
    Ok(heads)
}
