//! Rows of the event table as events.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::ring::{Placed, Ring};
use crate::upcast::{UPCASTERS, upcast};
use crate::{Erased, Event, Kind, LogError, Position, ResourceKey, Transaction, Version};

/// The columns that [`stored`] reads, in its order, of the table `e`.
pub(crate) const COLUMNS: &str = "e.seq, e.kind, e.kind_version, e.resource_type, e.id, e.version, e.home, \
     e.touches, e.transaction_id, e.transaction_index, e.transaction_size, e.recorded_at, e.agent, \
     e.source, e.prev_seq, e.payload, e.hash, e.commitment, e.erased_by";

/// The place of the payload among them.
pub(crate) const PAYLOAD: usize = 15;

/// A join to the one event at a position, under the name `e`. Written so that the planner can only take
/// the primary key: a plain join made while the tables are small would read them whole when they have
/// grown, because plans are kept.
pub(crate) fn event_at(position: &str) -> String {
    format!(
        "CROSS JOIN LATERAL (
             SELECT * FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq = {position} LIMIT 1) AS e"
    )
}

/// The event of a row, in the newest version of its kind.
pub(crate) fn event(row: &Row, ring: &Ring) -> Result<Event, LogError> {
    let event = stored(row, ring)?;
    let (position, kind, found) = (event.position, event.kind, event.kind_version);
    upcast(event, kind.current_version(), UPCASTERS).ok_or(LogError::UnknownKind {
        position,
        kind: kind.code(),
        kind_version: i16::try_from(found).unwrap_or(i16::MAX),
    })
}

/// The events of the rows up to the one whose body reaches the bound, and whether there are more rows.
pub(crate) fn events_within<'r>(
    rows: impl IntoIterator<Item = (&'r Row, &'r Ring), IntoIter: ExactSizeIterator>,
    bytes_max: usize,
) -> Result<(Vec<Event>, bool), LogError> {
    let rows = rows.into_iter();
    let asked = rows.len();
    let mut events = Vec::with_capacity(asked);
    let mut bytes = 0_usize;
    for (row, ring) in rows {
        let event = event(row, ring)?;
        bytes = bytes.saturating_add(event.payload.len());
        events.push(event);
        if bytes >= bytes_max {
            break;
        }
    }
    let is_cut = events.len() < asked;
    Ok((events, is_cut))
}

/// All events of the rows; refused when their bodies are larger than the bound.
pub(crate) fn all_events<'r>(
    rows: impl IntoIterator<Item = (&'r Row, &'r Ring), IntoIter: ExactSizeIterator>,
    bytes_max: usize,
) -> Result<Vec<Event>, LogError> {
    match events_within(rows, bytes_max)? {
        (events, false) => Ok(events),
        (_, true) => Err(LogError::TooManyBytes { limit: bytes_max }),
    }
}

/// The event of a row as it was stored: what its hash is of.
pub(crate) fn stored(row: &Row, ring: &Ring) -> Result<Event, LogError> {
    let position = Position::from_sql(row.try_get(0)?);
    let broken = |reason: &str| LogError::Broken { position, reason: reason.to_owned() };
    let (code, kind_version): (i16, i16) = (row.try_get(1)?, row.try_get(2)?);
    let kind = Kind::from_code(code).ok_or(LogError::UnknownKind { position, kind: code, kind_version })?;
    let home: String = row.try_get(6)?;
    let touches = touches(&home, row.try_get(7)?);
    let (key, version) = (
        ResourceKey { resource_type: text(row, 3)?, id: row.try_get(4)? },
        Version::from_sql(row.try_get(5)?),
    );
    let stored: Option<&[u8]> = row.try_get(PAYLOAD)?;
    let place = Placed { position, key: &key, version };
    let payload = ring.body(stored.unwrap_or_default(), place).map_err(|reason| broken(&reason))?;
    let erased = match stored {
        Some(_) => None,
        None => Some(erased(row)?.ok_or_else(|| broken("its body is gone, and nothing says what it was"))?),
    };
    let hash: &[u8] = row.try_get(16)?;
    Ok(Event {
        position,
        kind,
        kind_version: u16::try_from(kind_version).map_err(|_| broken("negative kind version"))?,
        operation: kind.operation(),
        key,
        version,
        home,
        touches,
        transaction: transaction(row)?,
        recorded_at: row.try_get::<_, DateTime<Utc>>(11)?,
        agent: text(row, 12)?,
        source: row.try_get::<_, Option<&str>>(13)?.map(Arc::from),
        previous: row.try_get::<_, Option<i64>>(14)?.map(Position::from_sql),
        payload,
        erased,
        hash: hash.try_into().map_err(|_| broken("the hash has not 32 bytes"))?,
    })
}

/// What is kept of a body that is gone.
fn erased(row: &Row) -> Result<Option<Erased>, tokio_postgres::Error> {
    let (commitment, by): (Option<&[u8]>, Option<i64>) = (row.try_get(17)?, row.try_get(18)?);
    let commitment = commitment.and_then(|commitment| commitment.try_into().ok());
    Ok(commitment.zip(by).map(|(commitment, by)| Erased { by: Position::from_sql(by), commitment }))
}

fn text(row: &Row, column: usize) -> Result<Arc<str>, tokio_postgres::Error> {
    Ok(Arc::from(row.try_get::<_, &str>(column)?))
}

/// The compartments of an event, its home first.
pub(crate) fn touches(home: &str, others: Option<&str>) -> Vec<String> {
    let others = others.into_iter().flat_map(str::lines);
    std::iter::once(home).chain(others).map(str::to_owned).collect()
}

fn transaction(row: &Row) -> Result<Option<Transaction>, tokio_postgres::Error> {
    let Some(id) = row.try_get::<_, Option<Uuid>>(8)? else { return Ok(None) };
    let count = |column| -> Result<u32, tokio_postgres::Error> {
        let number: Option<i32> = row.try_get(column)?;
        Ok(number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0))
    };
    Ok(Some(Transaction { id, index: count(9)?, size: count(10)? }))
}
