//! The versions of one resource, and whether one is missing: without reading the rest of the log.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Faults;
use crate::log::decide::compartment_key;
use crate::log::row::event_at;
use crate::{Log, LogError, Position, ResourceKey, Stand, Version};

/// The most versions of a resource that are looked at: some bytes of memory for each.
const VERSIONS_MAX: usize = 1_000_000;

/// The part of a resource's history that is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrailRange {
    /// Versions behind this position.
    pub after: Position,
    /// Versions up to this position; all where it is not given.
    pub until: Option<Position>,
    /// Where the log ended before anything was looked at.
    pub end: Position,
}

/// What became of a resource.
#[derive(Debug)]
pub struct Trail {
    /// Where its events are, oldest first. Those that are missing are not among them.
    pub positions: Vec<Position>,
    /// There is, or was, such a resource, also where nothing of it is in the range.
    pub exists: bool,
    /// What is missing in the range, or does not follow.
    pub faults: Faults,
}

/// One version, and the one it says it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    position: Position,
    version: Version,
    previous: Option<Position>,
}

/// Follows the versions of a resource back from its head. Each must lead to the one before, down to version 1, and none
/// may be behind the head: that is looked for in the compartment of the newest one, which every later one touches. Where
/// something is wrong, or there is no head, all events of the resource's type are looked through, so that versions
/// beyond the gap are found.
///
/// # Errors
/// When the database cannot be read, or there are more than a million versions.
pub async fn trail(log: &Log, key: &ResourceKey, range: TrailRange) -> Result<Trail, LogError> {
    let stand = log.stands(std::slice::from_ref(key)).await?.into_iter().flatten().next();
    let mut after = range.after;
    let (mut links, mut is_newest) = (Vec::new(), false);
    if let Some(stand) = stand {
        let (walked, home) = walk(log, key, stand.position, range.after).await?;
        links = walked;
        is_newest = match home {
            Some(home) => !has_later(log, key, &home, (stand.position, range.end)).await?,
            None => false,
        };
    }
    let mut faults = compare(&links, after, stand);
    if !is_newest || !faults.is_empty() {
        // What was written since the head was read is no fault.
        let end = stand.map_or(range.end, |stand| stand.position.max(range.end));
        after = Position::ZERO;
        links = scan(log, key, end).await?;
        faults = compare(&links, after, stand);
    }
    let until = range.until.unwrap_or(Position::new(u64::MAX));
    let is_wanted = |position: Position| position > range.after && position <= until;
    let mut told = Faults::default();
    for (position, reason) in faults.into_iter().filter(|(position, _)| is_wanted(*position)) {
        told.add(position, reason);
    }
    let exists = stand.is_some() || !links.is_empty();
    let positions = links.iter().map(|link| link.position).filter(|position| is_wanted(*position));
    Ok(Trail { positions: positions.collect(), exists, faults: told })
}

/// What does not follow in versions that are in the order of their positions.
fn compare(links: &[Link], after: Position, stand: Option<Stand>) -> Vec<(Position, String)> {
    let mut faults = Vec::new();
    let mut before: Option<&Link> = None;
    for link in links {
        let (position, version) = (link.position, link.version.get());
        match (before, link.previous) {
            (None, None) if version == 1 => {}
            (None, Some(previous)) if previous <= after => {}
            (Some(one), Some(previous)) if previous == one.position => {
                if version != one.version.get().saturating_add(1) {
                    let reason = format!("it is version {version}, but follows version {}", one.version);
                    faults.push((position, reason));
                }
            }
            (one, Some(previous)) if one.is_none_or(|one| previous > one.position) && previous < position => {
                let reason = format!(
                    "the event of version {} is missing, which the one at position {position} follows",
                    version.saturating_sub(1)
                );
                faults.push((previous, reason));
                let known = one.map_or(0, |one| one.version.get());
                if version.saturating_sub(known) > 2 {
                    let reason = format!("there is nothing between version {known} and version {version}");
                    faults.push((position, reason));
                }
            }
            (_, previous) => {
                let previous = previous.unwrap_or(Position::ZERO);
                let reason =
                    format!("it says that it follows position {previous}, which is not the version before");
                faults.push((position, reason));
            }
        }
        before = Some(link);
    }
    faults.extend(compare_head(links.last(), stand));
    faults
}

/// What is wrong with where the resource stands.
fn compare_head(newest: Option<&Link>, stand: Option<Stand>) -> Option<(Position, String)> {
    match (newest, stand) {
        (None, None) => None,
        (Some(newest), None) => Some((newest.position, "its resource has no head".to_owned())),
        (newest, Some(stand)) if newest.is_none_or(|newest| newest.position < stand.position) => {
            let version = stand.version;
            Some((stand.position, format!("the event of version {version}, the newest one, is missing")))
        }
        (Some(newest), Some(stand)) if newest.position > stand.position => {
            let reason = format!("the head of its resource stands at {}, a version before", stand.position);
            Some((newest.position, reason))
        }
        (Some(newest), Some(stand)) if newest.version != stand.version => {
            Some((newest.position, format!("the head of its resource says version {}", stand.version)))
        }
        _ => None,
    }
}

/// The versions from the head back to the range's beginning, or to where nothing follows, oldest first; and the
/// compartment of the newest one, if it is there.
async fn walk(
    log: &Log,
    key: &ResourceKey,
    from: Position,
    after: Position,
) -> Result<(Vec<Link>, Option<String>), LogError> {
    let own = "e.resource_type = $3 AND e.id = $4";
    let statement = format!(
        "WITH RECURSIVE walk (seq, version, prev_seq, own, home) AS (
             SELECT e.seq, e.version, e.prev_seq, {own}, e.home FROM (SELECT 1) AS once {}
           UNION
             SELECT e.seq, e.version, e.prev_seq, {own}, e.home FROM walk AS w {}
             WHERE w.own AND e.seq > $5 AND e.seq < w.seq)
         SELECT seq, version, prev_seq, home FROM walk WHERE own ORDER BY seq LIMIT $6",
        event_at("$2"),
        event_at("w.prev_seq")
    );
    let (name, id): (&str, &str) = (&key.resource_type, &key.id);
    let (number, from, after) = (log.number(), from.to_sql(), after.to_sql());
    let parameters: [&(dyn ToSql + Sync); 6] = [&number, &from, &name, &id, &after, &limit()];
    let rows = log.query(&statement, &parameters).await?;
    let newest = rows.last().map(|row| row.try_get(3)).transpose()?;
    Ok((links(&rows)?, newest))
}

/// Whether the resource has an event behind its head. A version that leaves a compartment touches it as well.
async fn has_later(
    log: &Log,
    key: &ResourceKey,
    home: &str,
    (after, until): (Position, Position),
) -> Result<bool, LogError> {
    let statement = format!(
        "SELECT FROM (
             SELECT h.seq FROM anamnesis.event AS h WHERE h.log = $1 AND h.seq > $2 AND h.seq <= $3
                 AND hashtext(h.home) = hashtext($4) AND h.home = $4
             UNION ALL
             SELECT l.seq FROM anamnesis.link AS l
             WHERE l.log = $1 AND l.compartment = $5 AND l.seq > $2 AND l.seq <= $3) AS wanted {}
         WHERE e.resource_type = $6 AND e.id = $7 AND e.kind < 7 LIMIT 1",
        event_at("wanted.seq")
    );
    let (name, id): (&str, &str) = (&key.resource_type, &key.id);
    let (number, after, until) = (log.number(), after.to_sql(), until.to_sql());
    let compartment = compartment_key(home);
    let parameters: [&(dyn ToSql + Sync); 7] = [&number, &after, &until, &home, &compartment, &name, &id];
    Ok(!log.query(&statement, &parameters).await?.is_empty())
}

/// Every event of the resource up to a position, found among those of its type.
async fn scan(log: &Log, key: &ResourceKey, until: Position) -> Result<Vec<Link>, LogError> {
    let statement = "SELECT e.seq, e.version, e.prev_seq FROM anamnesis.event AS e
         WHERE e.log = $1 AND e.seq <= $2 AND hashtext(e.resource_type) = hashtext($3) AND e.resource_type = $3
             AND e.id = $4 AND e.kind < 7
         ORDER BY e.seq LIMIT $5";
    let (name, id): (&str, &str) = (&key.resource_type, &key.id);
    let (number, until) = (log.number(), until.to_sql());
    let parameters: [&(dyn ToSql + Sync); 5] = [&number, &until, &name, &id, &limit()];
    links(&log.query(statement, &parameters).await?)
}

fn limit() -> i64 {
    i64::try_from(VERSIONS_MAX + 1).unwrap_or(i64::MAX)
}

fn links(rows: &[Row]) -> Result<Vec<Link>, LogError> {
    if rows.len() > VERSIONS_MAX {
        return Err(LogError::PageTooLarge { asked: rows.len(), limit: VERSIONS_MAX });
    }
    let link = |row: &Row| {
        Ok(Link {
            position: Position::from_sql(row.try_get(0)?),
            version: Version::from_sql(row.try_get(1)?),
            previous: row.try_get::<_, Option<i64>>(2)?.map(Position::from_sql),
        })
    };
    rows.iter().map(link).collect()
}
