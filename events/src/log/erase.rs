//! Which bodies a group takes away, and what is kept of each: read before the group is queued.
//!
//! Bodies are unpacked and hashed here, and not while the log is locked. That is safe because a draft names the version
//! that its resource must stand at: where the append finds it there, the versions before it are those that were read.

use uuid::Uuid;

use super::Log;
use super::decide::{compartment_key, resource_key};
use super::ring::Placed;
use super::row::event_at;
use crate::{AppendError, ConflictKind, Erases, Group, LogError, Position, ResourceKey, Version, envelope};

/// The most bodies that one group erases: rows that are changed while the log is locked. More versions than any
/// resource of a hospital has; one that has more is erased after its type's versioning policy has been changed.
const ERASED_MAX: usize = 100_000;

/// A body that goes when its group is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// The place in the group of the draft that erases it.
    pub(crate) draft: usize,
    /// Whose body it is.
    pub(crate) position: Position,
    /// The key of the compartment that its event was at home in.
    pub(crate) home: Uuid,
    pub(crate) commitment: [u8; 32],
}

impl Log {
    /// What the group erases. Nothing for a draft whose resource stands elsewhere than the draft expects: its group is
    /// refused, or was recorded before.
    pub(super) async fn erasures(&self, group: &Group) -> Result<Vec<Erasure>, AppendError> {
        if let Some(draft) = group.drafts.iter().find(|draft| draft.erases == Erases::Home) {
            // Such a draft is alone in its group.
            return self.left_at_home(&draft.home).await;
        }
        let erasing = group.drafts.iter().enumerate().filter(|(_, draft)| draft.erases != Erases::Nothing);
        let (mut drafts, mut keys, mut whole): (Vec<usize>, Vec<Uuid>, Vec<bool>) = Default::default();
        for (index, draft) in erasing {
            drafts.push(index);
            keys.push(resource_key(&draft.key));
            whole.push(draft.erases == Erases::Earlier);
        }
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let unavailable = |error: LogError| AppendError::Unavailable(error.to_string());
        let walked = self.walk_back(&keys, &whole).await.map_err(unavailable)?;
        let mut found: Vec<(usize, Position)> = Vec::new();
        let mut expected = true;
        for step in walked {
            let Some((index, draft)) =
                drafts.get(step.place).and_then(|index| Some((*index, group.drafts.get(*index)?)))
            else {
                continue;
            };
            let makes_version = draft.operation.makes_version();
            if step.is_head {
                let before = if makes_version { draft.version.previous() } else { draft.version };
                if step.version < before {
                    // A version that the writer cannot have seen: the log would refuse it now.
                    let kind = ConflictKind::HeadMoved { found: step.version, deleted: step.deleted };
                    return Err(AppendError::Conflict { index, kind });
                }
                expected = step.version == before;
            }
            let is_kept = step.is_head && !makes_version;
            if expected && step.is_there && !is_kept {
                found.push((index, step.position));
            }
            if found.len() > ERASED_MAX {
                return Err(AppendError::TooMany { index, what: "versions to be erased", limit: ERASED_MAX });
            }
        }
        self.commit_to(&found).await.map_err(unavailable)
    }

    /// All bodies that are left of a compartment. What is written there meanwhile is refused by the append: while a
    /// compartment is purged, nothing is.
    async fn left_at_home(&self, home: &str) -> Result<Vec<Erasure>, AppendError> {
        let unavailable = |error: LogError| AppendError::Unavailable(error.to_string());
        let statement = "SELECT seq FROM anamnesis.event WHERE log = $1
            AND hashtext(home) = hashtext($2) AND home = $2 AND payload <> '' ORDER BY seq LIMIT $3";
        let limit = i64::try_from(ERASED_MAX.saturating_add(1)).unwrap_or(i64::MAX);
        let rows = self.query(statement, &[&self.inner.number, &home, &limit]).await.map_err(unavailable)?;
        if rows.len() > ERASED_MAX {
            return Err(AppendError::TooMany { index: 0, what: "versions to be erased", limit: ERASED_MAX });
        }
        let found: Result<Vec<(usize, Position)>, LogError> =
            rows.iter().map(|row| Ok((0, Position::from_sql(row.try_get(0)?)))).collect();
        self.commit_to(&found.map_err(unavailable)?).await.map_err(unavailable)
    }

    /// The newest event of each resource and, where all are wanted, those of the versions before, newest first.
    async fn walk_back(&self, keys: &[Uuid], whole: &[bool]) -> Result<Vec<Step>, LogError> {
        let statement = format!(
            "WITH RECURSIVE walk (n, whole, is_head, deleted, seq, prev_seq, version, is_there) AS (
                 SELECT w.n, w.whole, true, h.deleted, e.seq, e.prev_seq, e.version, e.payload IS NOT NULL
                 FROM unnest($2::uuid[], $3::boolean[]) WITH ORDINALITY AS w (key, whole, n)
                 CROSS JOIN LATERAL (
                     SELECT * FROM anamnesis.head AS one WHERE one.log = $1 AND one.key = w.key LIMIT 1) AS h
                 {}
               UNION ALL
                 SELECT w.n, w.whole, false, false, e.seq, e.prev_seq, e.version, e.payload IS NOT NULL
                 FROM walk AS w {} WHERE w.whole)
             SELECT n, is_head, deleted, seq, version, is_there FROM walk
             ORDER BY n, seq DESC",
            event_at("h.seq"),
            event_at("w.prev_seq")
        );
        let rows = self.query(&statement, &[&self.inner.number, &keys, &whole]).await?;
        let step = |row: &tokio_postgres::Row| -> Result<Step, LogError> {
            let ordinal: i64 = row.try_get(0)?;
            Ok(Step {
                place: usize::try_from(ordinal.saturating_sub(1)).unwrap_or(usize::MAX),
                is_head: row.try_get(1)?,
                deleted: row.try_get(2)?,
                position: Position::from_sql(row.try_get(3)?),
                version: Version::from_sql(row.try_get(4)?),
                is_there: row.try_get(5)?,
            })
        };
        rows.iter().map(step).collect()
    }

    /// The commitments to these bodies, read a bounded number of bytes at a time. One that is gone meanwhile is left
    /// out.
    async fn commit_to(&self, found: &[(usize, Position)]) -> Result<Vec<Erasure>, LogError> {
        let mut erasures = Vec::with_capacity(found.len());
        let mut rest = found;
        while !rest.is_empty() {
            let page = rest.get(..super::READ_EVENTS_MAX).unwrap_or(rest);
            let positions: Vec<Position> = page.iter().map(|(_, position)| *position).collect();
            let count = self.count_within(&positions, self.inner.options.fetch_bytes_max).await?.max(1);
            let (now, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            rest = later;
            let wanted: Vec<i64> = now.iter().map(|(_, position)| position.to_sql()).collect();
            let statement = format!(
                "SELECT wanted.n, e.seq, e.payload, e.resource_type, e.id, e.version, e.home FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (seq, n) {}",
                event_at("wanted.seq")
            );
            let rows = self.query(&statement, &[&self.inner.number, &wanted]).await?;
            let ring = self.ring_of(&rows, 2).await?;
            for row in &rows {
                let ordinal: i64 = row.try_get(0)?;
                let position = Position::from_sql(row.try_get(1)?);
                let Some(stored) = row.try_get::<_, Option<&[u8]>>(2)? else { continue };
                let key = ResourceKey::new(row.try_get::<_, &str>(3)?, row.try_get::<_, &str>(4)?);
                let place = Placed { position, key: &key, version: Version::from_sql(row.try_get(5)?) };
                let body =
                    ring.body(stored, place).map_err(|reason| LogError::Broken { position, reason })?;
                let place = usize::try_from(ordinal.saturating_sub(1)).ok().and_then(|at| now.get(at));
                let Some((draft, _)) = place else { continue };
                let commitment = envelope::commitment(&body);
                let home = compartment_key(row.try_get(6)?);
                erasures.push(Erasure { draft: *draft, position, home, commitment });
            }
        }
        Ok(erasures)
    }
}

/// One version on the way back.
struct Step {
    /// Whose, among the drafts that erase.
    place: usize,
    /// Whether it is the newest.
    is_head: bool,
    /// Whether the resource is deleted; known of the newest only.
    deleted: bool,
    position: Position,
    version: Version,
    is_there: bool,
}
