//! The walk over the log: pages are read while the page before is checked.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_postgres::Row;
use uuid::Uuid;

use super::chain::Chain;
use super::{Faults, Positions, end_of_page};
use crate::log::decide::compartment_key;
use crate::log::ring::Ring;
use crate::log::row::COLUMNS;
use crate::{Log, LogError, Position, envelope};

/// Events in one page, where their bodies are small.
const PAGE_EVENTS: u64 = 500;
/// Links in one page.
const PAGE_LINKS: i64 = 10_000;
/// Pages that may wait for being checked.
const PAGES_WAITING_MAX: usize = 2;

/// Which part of a log is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The position before the first event.
    pub after: Position,
    /// The last position.
    pub until: Position,
    /// The hash at `after`, as the auditor knows it; what the log has there if they know none.
    pub hash: Option<[u8; 32]>,
    /// The part may end in the middle of a transaction: it was not chosen by where the log ends.
    pub may_cut: bool,
}

/// What a walk found.
#[derive(Debug)]
pub struct Walked {
    /// The part that was walked.
    pub range: Range,
    /// How many events there are in it.
    pub events: u64,
    /// The bytes of their bodies, unpacked.
    pub bytes: u64,
    /// How many of the events have had a body that was erased.
    pub erased: u64,
    /// How many links from events to compartments that are not their home.
    pub links: u64,
    /// The hash at its end: what a later check can begin with. `None` where it cannot be read.
    pub hash: Option<[u8; 32]>,
    /// The events that a later one of their resource follows.
    pub superseded: Positions,
    /// What is wrong.
    pub faults: Faults,
}

/// Walks a part of the log. `progress` is told how far the reading has come.
///
/// # Errors
/// When the database cannot be read. What is wrong with the log is no error, but in the answer.
pub async fn log(
    log: &Log,
    range: Range,
    progress: &mut (dyn FnMut(Position) + Send),
) -> Result<Walked, LogError> {
    let mut faults = Faults::default();
    let begin = begin(log, &range, &mut faults).await?;
    let (pages, waiting) = mpsc::channel(PAGES_WAITING_MAX);
    let chain = Chain::new(range.after, range.until, begin);
    let checking = tokio::task::spawn_blocking(move || check(chain, waiting));
    let mut links = 0;
    let mut after = range.after;
    while after < range.until {
        let until = end_of_page(log, after, range.until, PAGE_EVENTS).await?;
        let rows = Arc::new(read(log, after, until).await?);
        let ring = log.ring(&rows).await?;
        if pages.send((Arc::clone(&rows), ring)).await.is_err() {
            // The check has failed; its error is told below.
            break;
        }
        links += check_links(log, &rows, &mut faults).await?;
        after = until;
        progress(after);
    }
    drop(pages);
    let checked = checking.await.map_err(|_| LogError::Codec("the check was stopped".to_owned()))?;
    let mut chain = checked?;
    chain.finish(range.until, range.may_cut);
    let found = count_links(log, &range).await?;
    if found != links {
        let reason =
            format!("the events name {links} compartments beside their homes, but {found} are linked");
        faults.add(Position::ZERO, reason);
    }
    if range.after == Position::ZERO {
        std::mem::take(&mut chain.in_force).compare(log, range.until, &mut faults).await?;
    }
    let mut all = chain.faults.clone();
    all.append(faults);
    Ok(Walked {
        range,
        events: chain.events,
        bytes: chain.bytes,
        erased: chain.erased,
        links,
        hash: chain.hash(),
        superseded: chain.superseded,
        faults: all,
    })
}

/// The hash that the first event has to follow from.
async fn begin(log: &Log, range: &Range, faults: &mut Faults) -> Result<Option<[u8; 32]>, LogError> {
    let stored = match range.after {
        Position::ZERO => Some(envelope::genesis(log.workspace())),
        after => match log.stored_hash(after).await {
            Ok(hash) => Some(hash),
            Err(LogError::Broken { position, reason }) => {
                faults.add(position, reason);
                None
            }
            Err(error) => return Err(error),
        },
    };
    if range.hash.is_some() && stored.is_some() && range.hash != stored {
        faults.add(range.after, "the hash there is another than the one that is known");
    }
    Ok(range.hash.or(stored))
}

/// Whether a body is left of those that the event `e` erases, by the numbers of the kinds: all before it, all before the
/// one that it names, or the one before it; of a purged compartment all before it, of whatever resource.
const LEFT: &str = "CASE WHEN e.kind = 9 THEN EXISTS (
    SELECT FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq < e.seq
        AND hashtext(one.home) = hashtext(e.home) AND one.home = e.home AND one.payload <> '')
    ELSE EXISTS (
    WITH RECURSIVE walk (seq, prev_seq, is_there) AS (
        SELECT one.seq, one.prev_seq, e.kind <> 7 AND one.payload IS NOT NULL
        FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq = e.prev_seq
      UNION ALL
        SELECT o.seq, o.prev_seq, o.payload IS NOT NULL FROM walk AS w CROSS JOIN LATERAL (
            SELECT * FROM anamnesis.event AS one
            WHERE one.log = $1 AND one.seq = w.prev_seq LIMIT 1) AS o
        WHERE e.kind IN (6, 7))
    SELECT FROM walk WHERE is_there) END";

async fn read(log: &Log, after: Position, until: Position) -> Result<Vec<Row>, LogError> {
    let statement = format!(
        "SELECT {COLUMNS}, p.version, p.resource_type, p.id,
             CASE WHEN e.kind IN (4, 5, 6, 7, 9) THEN {LEFT} END, b.rightly
         FROM anamnesis.event AS e
         LEFT JOIN LATERAL (
             SELECT one.version, one.resource_type, one.id FROM anamnesis.event AS one
             WHERE one.log = $1 AND one.seq = e.prev_seq LIMIT 1) AS p ON true
         LEFT JOIN LATERAL (
             SELECT one.seq > e.seq AND (one.kind = 9 AND one.home = e.home OR one.kind IN (4, 5, 6, 7)
                 AND one.resource_type = e.resource_type AND one.id = e.id) AS rightly
             FROM anamnesis.event AS one
             WHERE one.log = $1 AND one.seq = e.erased_by LIMIT 1) AS b ON true
         WHERE e.log = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq"
    );
    log.query(&statement, &[&log.number(), &after.to_sql(), &until.to_sql()]).await
}

fn check(mut chain: Chain, mut pages: mpsc::Receiver<(Arc<Vec<Row>>, Ring)>) -> Result<Chain, LogError> {
    while let Some((rows, ring)) = pages.blocking_recv() {
        for row in rows.iter() {
            chain.take(row, &ring)?;
        }
    }
    Ok(chain)
}

/// Whether the compartments that the events touch beside their homes are linked; answers how many those are.
async fn check_links(log: &Log, rows: &[Row], faults: &mut Faults) -> Result<u64, LogError> {
    let (mut positions, mut keys): (Vec<i64>, Vec<Uuid>) = (Vec::new(), Vec::new());
    for row in rows {
        let Some(touches) = row.try_get::<_, Option<&str>>(7)? else { continue };
        for compartment in touches.lines() {
            positions.push(row.try_get(0)?);
            keys.push(compartment_key(compartment));
        }
    }
    if keys.is_empty() {
        return Ok(0);
    }
    let statement = "SELECT w.seq FROM unnest($2::bigint[], $3::uuid[]) AS w (seq, key)
        WHERE NOT EXISTS (
            SELECT FROM anamnesis.link AS l WHERE l.log = $1 AND l.compartment = w.key AND l.seq = w.seq)
        ORDER BY w.seq";
    for row in log.query(statement, &[&log.number(), &positions, &keys]).await? {
        let reason = "a compartment that it touches is not linked to it";
        faults.add(Position::from_sql(row.try_get(0)?), reason);
    }
    Ok(keys.len() as u64)
}

/// Counted in pages, by the primary key: there is no index by position, and one statement over the whole table would keep
/// its snapshot for as long as that takes. What comes meanwhile is behind the range.
async fn count_links(log: &Log, range: &Range) -> Result<u64, LogError> {
    let statement = "SELECT compartment, seq FROM anamnesis.link
        WHERE log = $1 AND (compartment, seq) > ($2, $3) ORDER BY compartment, seq LIMIT $4";
    let (mut compartment, mut seq) = (Uuid::nil(), i64::MIN);
    let mut count = 0;
    loop {
        let rows = log.query(statement, &[&log.number(), &compartment, &seq, &PAGE_LINKS]).await?;
        for row in &rows {
            (compartment, seq) = (row.try_get(0)?, row.try_get(1)?);
            let position = Position::from_sql(seq);
            count += u64::from(position > range.after && position <= range.until);
        }
        if rows.is_empty() {
            return Ok(count);
        }
    }
}
