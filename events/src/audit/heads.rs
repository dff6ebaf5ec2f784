//! Where each resource stands, against the log: every head at its resource's newest event, and no resource without one.

use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Faults, Positions, Walked};
use crate::log::decide::resource_key;
use crate::log::row::event_at;
use crate::{Kind, Log, LogError, Operation, Position, ResourceKey};

/// Heads in one page.
const PAGE_HEADS: i64 = 1000;

/// What the comparison found.
#[derive(Debug)]
pub struct Heads {
    /// How many resources there are, deleted ones included.
    pub resources: u64,
    /// How many of them are deleted.
    pub deleted: u64,
    /// How many identifiers the heads say that their resources hold.
    pub identifiers: u64,
    /// SHA-256 over all heads in the order of their keys. Comparable with another only if nothing was written between.
    pub digest: [u8; 32],
    /// What is wrong.
    pub faults: Faults,
}

/// Compares the heads with a log that was walked from its beginning. What was written since is looked at again,
/// resource by resource. Whether identifiers are those of the resources cannot be said without knowing FHIR: heads and
/// the table of identifiers are compared with each other. `progress` is told how many heads have been read.
///
/// # Errors
/// When the database cannot be read.
pub async fn heads(
    log: &Log,
    walked: &Walked,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Heads, LogError> {
    let mut check = Check {
        accounted: walked.superseded.clone(),
        digest: Sha256::new(),
        heads: Heads { resources: 0, deleted: 0, identifiers: 0, digest: [0; 32], faults: Faults::default() },
    };
    let mut after = Uuid::nil();
    loop {
        let rows = page(log, after).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get(0)?;
        for row in &rows {
            check.take(row)?;
        }
        progress(check.heads.resources);
    }
    let Check { accounted, digest, mut heads } = check;
    heads.digest = digest.finalize().into();
    for position in accounted.missing() {
        look_again(log, position, &mut heads.faults).await?;
    }
    compare_identifiers(log, &mut heads.faults).await?;
    Ok(heads)
}

struct Check {
    /// Events that are superseded or at which a head stands.
    accounted: Positions,
    digest: Sha256,
    heads: Heads,
}

impl Check {
    fn take(&mut self, row: &Row) -> Result<(), LogError> {
        let (key, seq): (Uuid, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (version, deleted): (i32, bool) = (row.try_get(2)?, row.try_get(3)?);
        let (identifiers, identifiers_missing): (i64, i64) = (row.try_get(4)?, row.try_get(5)?);
        let position = Position::from_sql(seq);
        self.digest.update(key.as_bytes());
        self.digest.update(seq.to_be_bytes());
        self.digest.update(version.to_be_bytes());
        self.digest.update([u8::from(deleted)]);
        let heads = &mut self.heads;
        heads.resources += 1;
        heads.deleted += u64::from(deleted);
        heads.identifiers += u64::try_from(identifiers).unwrap_or(0);
        if identifiers_missing > 0 {
            heads.faults.add(position, "an identifier of the resource is not in the table of identifiers");
        }
        let Some(event_version) = row.try_get::<_, Option<i32>>(6)? else {
            heads.faults.add(position, format!("the head {key} stands where there is no event"));
            return Ok(());
        };
        let resource = ResourceKey::new(row.try_get::<_, &str>(8)?, row.try_get::<_, String>(9)?);
        if resource_key(&resource) != key {
            heads.faults.add(position, format!("the head {key} stands at an event of another resource"));
            return Ok(());
        }
        if event_version != version {
            let reason = format!("the head says version {version}, the event version {event_version}");
            heads.faults.add(position, reason);
        }
        let is_delete = Kind::from_code(row.try_get(7)?).map(Kind::operation) == Some(Operation::Delete);
        if is_delete != deleted {
            heads.faults.add(position, "head and event do not agree whether the resource is deleted");
        }
        if !self.accounted.insert(position) {
            heads.faults.add(position, "the head stands here, but the log has a later version");
        }
        Ok(())
    }
}

async fn page(log: &Log, after: Uuid) -> Result<Vec<Row>, LogError> {
    let statement = "SELECT h.key, h.seq, h.version, h.deleted,
             coalesce(length(h.identifiers) / 16, 0)::bigint,
             (SELECT count(*) FROM unnest(anamnesis.identifier_keys(h.identifiers)) AS k WHERE NOT EXISTS (
                 SELECT FROM anamnesis.identifier AS i WHERE i.log = $1 AND i.key = k AND i.id = anamnesis.holder(e.id))),
             e.version, e.kind, e.resource_type, e.id
         FROM (SELECT * FROM anamnesis.head WHERE log = $1 AND key > $2 ORDER BY key LIMIT $3) AS h
         LEFT JOIN LATERAL (
             SELECT * FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq = h.seq LIMIT 1) AS e ON true
         ORDER BY h.key";
    log.query(statement, &[&log.number(), &after, &PAGE_HEADS]).await
}

/// An event that nothing follows and at which no head was found: either its resource has moved on since, or its head
/// is wrong.
async fn look_again(log: &Log, position: Position, faults: &mut Faults) -> Result<(), LogError> {
    let statement = format!(
        "SELECT h.seq FROM (SELECT 1) AS once {}
         LEFT JOIN anamnesis.head AS h
             ON h.log = $1 AND h.key = anamnesis.resource_key(e.resource_type, e.id)",
        event_at("$2")
    );
    let rows = log.query(&statement, &[&log.number(), &position.to_sql()]).await?;
    // An event that is not there has been told by the walk.
    let Some(row) = rows.first() else { return Ok(()) };
    match row.try_get::<_, Option<i64>>(0)?.map(Position::from_sql) {
        None => faults.add(position, "the resource of this event has no head"),
        Some(head) if leads_to(log, head, position).await? => {}
        Some(head) => {
            let reason = format!("this is the newest event of its resource, but the head stands at {head}");
            faults.add(position, reason);
        }
    }
    Ok(())
}

/// Whether the version before, again and again, leads from a head to an event.
async fn leads_to(log: &Log, head: Position, position: Position) -> Result<bool, LogError> {
    let statement = format!(
        "WITH RECURSIVE walk (seq, prev_seq) AS (
             SELECT e.seq, e.prev_seq FROM (SELECT 1) AS once {}
           UNION
             SELECT e.seq, e.prev_seq FROM walk AS w {} WHERE w.seq > $3)
         SELECT FROM walk WHERE seq = $3",
        event_at("$2"),
        event_at("w.prev_seq")
    );
    let rows = log.query(&statement, &[&log.number(), &head.to_sql(), &position.to_sql()]).await?;
    Ok(!rows.is_empty())
}

/// Both in one statement, so that they are of the same moment: identifiers come and go while a server writes, and no table
/// has the way from an identifier back to its head. This is the one snapshot that is kept for as long as it takes to read
/// two tables (see decision 11).
async fn compare_identifiers(log: &Log, faults: &mut Faults) -> Result<(), LogError> {
    let statement = "SELECT (SELECT count(*) FROM anamnesis.identifier WHERE log = $1),
        (SELECT coalesce(sum(length(h.identifiers) / 16), 0)::bigint FROM anamnesis.head AS h WHERE h.log = $1)";
    let rows = log.query(statement, &[&log.number()]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (held, named): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if held != named {
        let reason = format!("the heads name {named} identifiers, but the table of identifiers has {held}");
        faults.add(Position::ZERO, reason);
    }
    Ok(())
}
