//! The steps of a purge: what is left is looked for and erased, a bounded number of resources at a time.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{PAUSE, PurgeError, PurgeRequest, Stepped, TRIES_MAX};
use crate::log::Log;
use crate::log::decide::compartment_key;
use crate::{Draft, Erases, Group, LogError, Operation, Position, ResourceKey, Version};

/// Resources that one step erases.
const RESOURCES_MAX: usize = 200;
/// Versions after which a step ends: each is a row that is changed while the log is locked. A step has at least one
/// resource, whatever that has.
const VERSIONS_MAX: u64 = 1000;

/// Where a resource stands that is to be erased.
struct Standing {
    position: Position,
    key: ResourceKey,
    version: Version,
    home: String,
    touches: Vec<String>,
}

/// The columns of a [`Standing`], of the table `e`.
const STANDING: &str = "e.seq, e.resource_type, e.id, e.version, e.home, e.touches";

/// The head of the resource of the event `e`. Written so that the planner can only take the primary key.
const HEAD: &str = "CROSS JOIN LATERAL (SELECT * FROM anamnesis.head AS one WHERE one.log = $1
    AND one.key = anamnesis.resource_key(e.resource_type, e.id) LIMIT 1) AS h";

impl Log {
    /// Erases the resources that live in the compartment; those were written before the purge began.
    pub(super) async fn erase_resources(
        &self,
        request: &PurgeRequest,
        begun: Position,
    ) -> Result<(), PurgeError> {
        let mut after = Position::ZERO;
        let mut tries = 0;
        loop {
            let page = self.standing(&request.compartment, (after, begun)).await?;
            let Some(last) = page.last().map(|one| one.position) else { return Ok(()) };
            let draft = |one: Standing| Draft {
                operation: Operation::Delete,
                version: one.version.next(),
                ..erasing(one, request)
            };
            match self
                .step(Group { drafts: page.into_iter().map(draft).collect(), ..Group::default() })
                .await?
            {
                Stepped::Done(_) => (after, tries) = (last, 0),
                Stepped::Again if tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Stepped::Again => return Err(PurgeError::Contended),
            }
        }
    }

    /// Erases the versions before the current one of resources that were moved to other compartments.
    pub(super) async fn erase_moved(&self, request: &PurgeRequest) -> Result<(), PurgeError> {
        for _ in 0..TRIES_MAX {
            let page = self.moved(&request.compartment).await?;
            if page.is_empty() {
                return Ok(());
            }
            for one in page {
                let version = one.version;
                let draft = Draft { operation: Operation::Purge, version, ..erasing(one, request) };
                if let Stepped::Again = self.step(Group::single(draft)).await? {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Err(PurgeError::Contended)
    }

    /// Whether something is left of a compartment: a resource that was not erased, a body, or a data key.
    pub(super) async fn has_anything(&self, compartment: &str) -> Result<bool, LogError> {
        let statement = "SELECT FROM anamnesis.event WHERE log = $1 AND hashtext(home) = hashtext($2) AND home = $2
                AND payload <> ''
            UNION ALL SELECT FROM anamnesis.data_key WHERE log = $1 AND compartment = $3 AND wrapped IS NOT NULL LIMIT 1";
        let key = compartment_key(compartment);
        let rows = self.query(statement, &[&self.inner.number, &compartment, &key]).await?;
        let end = Position::new(u64::MAX);
        Ok(!rows.is_empty() || !self.standing(compartment, (Position::ZERO, end)).await?.is_empty())
    }

    /// The next resources that live in the compartment, by the events that made their current versions, within bounds. Erased
    /// ones are left out.
    async fn standing(
        &self,
        compartment: &str,
        (after, before): (Position, Position),
    ) -> Result<Vec<Standing>, LogError> {
        let statement = format!(
            "SELECT {STANDING} FROM anamnesis.event AS e {HEAD}
             WHERE e.log = $1 AND hashtext(e.home) = hashtext($2) AND e.home = $2 AND e.seq > $3 AND e.seq < $4
                 AND e.kind < 6 AND h.seq = e.seq ORDER BY e.seq LIMIT $5"
        );
        let (after, before) = (after.to_sql(), before.to_sql());
        let limit = i64::try_from(RESOURCES_MAX).unwrap_or(i64::MAX);
        let rows =
            self.query(&statement, &[&self.inner.number, &compartment, &after, &before, &limit]).await?;
        let mut page = Vec::with_capacity(rows.len());
        let mut versions = 0;
        for row in &rows {
            let one = standing(row)?;
            versions += u64::from(one.version.get());
            if versions > VERSIONS_MAX && !page.is_empty() {
                break;
            }
            page.push(one);
        }
        Ok(page)
    }

    /// Where resources stand now that have bodies in the compartment and live in another one, a bounded number of them.
    async fn moved(&self, compartment: &str) -> Result<Vec<Standing>, LogError> {
        let statement = format!(
            "SELECT DISTINCT {STANDING} FROM (
                 SELECT h.seq FROM anamnesis.event AS e {HEAD}
                 WHERE e.log = $1 AND hashtext(e.home) = hashtext($2) AND e.home = $2
                     AND e.kind < 6 AND e.payload <> '' LIMIT $3) AS left_behind
             {} WHERE e.home <> $2 ORDER BY e.seq",
            crate::log::row::event_at("left_behind.seq")
        );
        let limit = i64::try_from(RESOURCES_MAX).unwrap_or(i64::MAX);
        let rows = self.query(&statement, &[&self.inner.number, &compartment, &limit]).await?;
        rows.iter().map(standing).collect()
    }

    /// Since when a legal hold on another compartment is in the way: something was moved there from this one, or from there to
    /// this one, and has versions in both.
    pub(super) async fn moved_under_hold(
        &self,
        compartment: &str,
    ) -> Result<Option<DateTime<Utc>>, LogError> {
        // Looked for only where there are holds at all.
        let any = "SELECT FROM anamnesis.compartment_guard WHERE log = $1 AND hold_seq IS NOT NULL LIMIT 1";
        if self.query(any, &[&self.inner.number]).await?.is_empty() {
            return Ok(None);
        }
        let now_at = "CROSS JOIN LATERAL (
            SELECT * FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq = h.seq LIMIT 1) AS now_at";
        let gone = format!(
            "SELECT DISTINCT now_at.home FROM anamnesis.event AS e {HEAD} {now_at}
             WHERE e.log = $1 AND hashtext(e.home) = hashtext($2) AND e.home = $2
                 AND e.kind < 6 AND e.payload <> '' AND now_at.home <> $2"
        );
        let rows = self.query(&gone, &[&self.inner.number, &compartment]).await?;
        let homes: Result<Vec<Uuid>, LogError> =
            rows.iter().map(|row| Ok(compartment_key(row.try_get(0)?))).collect();
        let held = format!(
            "SELECT least(
                 (SELECT min(held_at) FROM anamnesis.compartment_guard WHERE log = $1 AND compartment = ANY ($3)),
                 (SELECT min(g.held_at) FROM anamnesis.compartment_guard AS g
                  CROSS JOIN LATERAL (
                      SELECT * FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq = g.hold_seq LIMIT 1) AS placed
                  JOIN anamnesis.event AS e ON e.log = $1 AND hashtext(e.home) = hashtext(placed.home)
                      AND e.home = placed.home AND e.kind < 6 AND e.payload <> ''
                  {HEAD} {now_at} WHERE g.log = $1 AND placed.home <> $2 AND now_at.home = $2))"
        );
        let rows = self.query(&held, &[&self.inner.number, &compartment, &homes?]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// Takes away what is noted of transactions with writes in the compartment, so that their answers can be given again:
    /// ids, and the addresses of reads.
    pub(super) async fn forget_notes(&self, compartment: &str) -> Result<(), LogError> {
        let statement = format!(
            "UPDATE anamnesis.idempotency AS i SET note = NULL FROM (
                 SELECT DISTINCT e.seq - e.transaction_index AS seq FROM anamnesis.event AS e
                 WHERE e.log = $1 AND hashtext(e.home) = hashtext($2) AND e.home = $2
                     AND e.transaction_id IS NOT NULL) AS first
             {} WHERE i.log = $1 AND i.recorded_at = e.recorded_at AND i.first_seq = first.seq AND i.note IS NOT NULL",
            crate::log::row::event_at("first.seq")
        );
        self.query(&statement, &[&self.inner.number, &compartment]).await?;
        Ok(())
    }
}

/// What all drafts of a purge have in common: they take all that was before away.
fn erasing(one: Standing, request: &PurgeRequest) -> Draft {
    Draft {
        key: one.key,
        operation: Operation::Purge,
        erases: Erases::Earlier,
        version: one.version,
        home: one.home,
        touches: one.touches,
        payload: Vec::new(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: request.agent.clone(),
        source: request.source.clone(),
    }
}

fn standing(row: &Row) -> Result<Standing, LogError> {
    let home: String = row.try_get(4)?;
    let others: Option<&str> = row.try_get(5)?;
    let others = others.into_iter().flat_map(str::lines).map(str::to_owned);
    Ok(Standing {
        position: Position::from_sql(row.try_get(0)?),
        key: ResourceKey::new(row.try_get::<_, &str>(1)?, row.try_get::<_, &str>(2)?),
        version: Version::from_sql(row.try_get(3)?),
        touches: std::iter::once(home.clone()).chain(others).collect(),
        home,
    })
}
