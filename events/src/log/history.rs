//! History: the versions of a resource, a type, a compartment or everything, by position and by time.

use chrono::{DateTime, Duration, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Log;
use super::decide::{compartment_key, resource_key};
use super::read::check_limit;
use super::row::{COLUMNS, event_at};
use crate::{Event, LogError, Position, ResourceKey};

/// Whose history is asked for (FHIR R4 `history-instance`, `history-type`, `history-system`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryScope {
    /// One resource.
    Instance(ResourceKey),
    /// All resources of a type.
    Type(String),
    /// Everything in the workspace.
    System,
    /// Everything that touches a compartment, such as `Patient/1`.
    Compartment(String),
}

/// A span of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first instant.
    pub from: DateTime<Utc>,
    /// The last instant; the same as `from` for a single one.
    pub until: DateTime<Utc>,
}

/// Which part of a history is asked for. Positions are exclusive, so that a page's last position is the
/// next page's bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryRange {
    /// Only events before this position: pages of a descending history.
    pub before_position: Option<Position>,
    /// Only events after this position: pages of an ascending history.
    pub after_position: Option<Position>,
    /// Only what was recorded at or after this instant (FHIR `_since`).
    pub since: Option<DateTime<Utc>>,
    /// Only what was recorded before this instant (`_before`).
    pub before: Option<DateTime<Utc>>,
    /// Only versions that were current at some time in this period (FHIR `_at`).
    pub at: Option<Period>,
    /// The most events in the answer.
    pub limit: usize,
    /// Oldest first; newest first otherwise, as FHIR has it.
    pub ascending: bool,
}

/// A part of a history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The events, in the order asked for.
    pub events: Vec<Event>,
    /// There are more within the limit asked for, but the bodies have reached
    /// [`crate::LogOptions::read_bytes_max`]: the next page begins behind the last event.
    pub is_cut: bool,
}

impl Log {
    /// The part of a history that `range` asks for: versions that can be shown, so none that were erased, and nothing of
    /// the erasures. Never empty where there is such a version.
    ///
    /// # Errors
    /// When the database cannot be read, an event is damaged, or the limit is beyond
    /// [`crate::READ_EVENTS_MAX`].
    pub async fn history(&self, scope: HistoryScope, range: HistoryRange) -> Result<HistoryPage, LogError> {
        self.history_page(scope, range, READABLE).await
    }

    /// All events of a history: also those that were erased, without their bodies, and the erasures. Who keeps something
    /// of what a type or a compartment has reads these; from [`Log::history`] it would never hear what was taken away.
    ///
    /// # Errors
    /// As those of [`Log::history`].
    pub async fn history_events(
        &self,
        scope: HistoryScope,
        range: HistoryRange,
    ) -> Result<HistoryPage, LogError> {
        self.history_page(scope, range, "").await
    }

    async fn history_page(
        &self,
        scope: HistoryScope,
        range: HistoryRange,
        filter: &str,
    ) -> Result<HistoryPage, LogError> {
        let rows = self.history_rows(COLUMNS, scope, range, filter).await?;
        let (events, is_cut) = self.events_within(&rows).await?;
        Ok(HistoryPage { events, is_cut })
    }

    async fn history_rows(
        &self,
        columns: &str,
        scope: HistoryScope,
        range: HistoryRange,
        filter: &str,
    ) -> Result<Vec<Row>, LogError> {
        check_limit(range.limit)?;
        let ascending = range.ascending;
        let text = |scope: &HistoryScope, current| statement(columns, scope, (ascending, current), filter);
        self.selected(scope, range, text).await
    }

    /// The number of versions that [`Log::history`] shows within `range`, whatever its limit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history_count(&self, scope: HistoryScope, range: HistoryRange) -> Result<u64, LogError> {
        let range = HistoryRange { limit: usize::MAX, ..range };
        let counting = |scope: &HistoryScope, current| {
            let events = statement("e.seq", scope, (range.ascending, current), READABLE);
            format!("SELECT count(*) FROM ({events}) AS counted")
        };
        let rows = self.selected(scope, range, counting).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Whether `range` has versions that were there when the log stood at a position and have been erased since: they are
    /// missing in [`Log::history`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_erased_since(
        &self,
        scope: HistoryScope,
        range: HistoryRange,
        position: Position,
    ) -> Result<bool, LogError> {
        let resource_type = match &scope {
            HistoryScope::Type(name) => Some(name),
            HistoryScope::System => None,
            HistoryScope::Instance(_) | HistoryScope::Compartment(_) => {
                let erased = format!("AND e.erased_by > {}", position.to_sql());
                let range = HistoryRange { limit: 1, ..range };
                return Ok(!self.history_rows("e.seq", scope, range, &erased).await?.is_empty());
            }
        };
        let Bounds { after, before, .. } = self.bounds(&range).await?;
        // Without an order, so that the index of what was erased is taken, and not the log from one end to the other.
        let statement = "SELECT EXISTS (SELECT FROM anamnesis.event AS e
             WHERE e.log = $1 AND e.erased_by > $2 AND e.seq <= $2 AND e.seq > $3 AND e.seq < $4
                 AND ($5::text IS NULL OR e.resource_type = $5))";
        let (at, after, before) = (position.to_sql(), after.to_sql(), before.to_sql());
        let parameters: [&(dyn ToSql + Sync); 5] = [&self.inner.number, &at, &after, &before, &resource_type];
        let rows = self.query(statement, &parameters).await?;
        Ok(rows.first().map_or(Ok(false), |row| row.try_get(0))?)
    }

    /// The rows of a statement over a history, which is told the scope and the number of its last parameter, see
    /// [`statement`].
    async fn selected(
        &self,
        scope: HistoryScope,
        range: HistoryRange,
        text: impl FnOnce(&HistoryScope, Option<usize>) -> String,
    ) -> Result<Vec<Row>, LogError> {
        let bounds = self.bounds(&range).await?;
        let log = &self.inner.number;
        let (after, before) = (bounds.after.to_sql(), bounds.before.to_sql());
        let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
        let current_at = bounds.current_at.map(Position::to_sql);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![log, &after, &before, &limit];
        let key;
        match &scope {
            HistoryScope::Instance(resource) => {
                key = resource_key(resource);
                parameters.push(&key);
            }
            HistoryScope::Type(name) => parameters.push(name),
            HistoryScope::Compartment(name) => {
                key = compartment_key(name);
                parameters.push(name);
                parameters.push(&key);
            }
            HistoryScope::System => {}
        }
        if let Some(position) = &current_at {
            parameters.push(position);
        }
        let current = current_at.map(|_| parameters.len());
        self.query(&text(&scope, current), &parameters).await
    }

    /// The positions of [`Log::history_events`], without bodies: also where one cannot be read.
    ///
    /// # Errors
    /// As those of [`Log::history`].
    pub async fn history_positions(
        &self,
        scope: HistoryScope,
        range: HistoryRange,
    ) -> Result<Vec<Position>, LogError> {
        let rows = self.history_rows("e.seq", scope, range, "").await?;
        rows.iter().map(|row| Ok(Position::from_sql(row.try_get(0)?))).collect()
    }

    /// The position of the last event recorded before the instant; [`Position::ZERO`] if there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_before(&self, instant: DateTime<Utc>) -> Result<Position, LogError> {
        let rows =
            self.query("SELECT anamnesis.last_before($1, $2)", &[&self.inner.number, &instant]).await?;
        rows.first().map_or(Ok(Position::ZERO), |row| Ok(Position::from_sql(row.try_get(0)?)))
    }

    /// Turns the times of a range into positions: recorded times strictly increase along the log.
    async fn bounds(&self, range: &HistoryRange) -> Result<Bounds, LogError> {
        let moment = Duration::microseconds(1);
        let mut bounds = Bounds {
            after: range.after_position.unwrap_or(Position::ZERO),
            before: range.before_position.unwrap_or(Position::new(u64::MAX)),
            current_at: None,
        };
        if let Some(since) = range.since {
            bounds.after = bounds.after.max(self.last_before(since).await?);
        }
        if let Some(before) = range.before {
            bounds.before = bounds.before.min(self.last_before(before).await?.next());
        }
        if let Some(period) = range.at {
            let last = self.last_before(period.until + moment).await?;
            bounds.before = bounds.before.min(last.next());
            bounds.current_at = Some(self.last_before(period.from + moment).await?);
        }
        Ok(bounds)
    }
}

/// What a history shows: by the numbers of the kinds neither `ResourceErased` nor what makes no version.
const READABLE: &str = "AND e.payload IS NOT NULL AND e.kind < 6";

/// Exclusive bounds, and the position at which a version has to be current unless it came later.
struct Bounds {
    after: Position,
    before: Position,
    current_at: Option<Position>,
}

/// The statement for a scope. Parameters: log, after, before, limit, then those of the scope, then the
/// position of `current_at` under the number given.
fn statement(
    columns: &str,
    scope: &HistoryScope,
    (ascending, current_at): (bool, Option<usize>),
    shown: &str,
) -> String {
    let order = if ascending { "ASC" } else { "DESC" };
    let current = current_at.map_or(String::new(), |number| {
        format!(
            "AND (e.seq > ${number}
                  OR anamnesis.is_current_at($1, e.resource_type, e.id, e.seq, ${number}))"
        )
    });
    let by_range = |filter: &str| {
        format!(
            "FROM anamnesis.event AS e
             WHERE e.log = $1 AND e.seq > $2 AND e.seq < $3 {filter} {current} {shown} ORDER BY e.seq {order}"
        )
    };
    let by_position = |wanted: &str, current: &str| {
        let event = event_at("wanted.seq");
        format!(
            "FROM ({wanted} ORDER BY seq {order}) AS wanted {event}
             WHERE true {current} {shown} ORDER BY wanted.seq {order}"
        )
    };
    let (with, from) = match scope {
        HistoryScope::System => (String::new(), by_range("")),
        HistoryScope::Type(_) => {
            (String::new(), by_range("AND hashtext(e.resource_type) = hashtext($5) AND e.resource_type = $5"))
        }
        HistoryScope::Instance(_) => {
            // Walking back, the first version that is not behind the position is the one that was current at it.
            let newer = current_at.map_or(String::new(), |number| format!("AND w.seq > ${number}"));
            let with = format!(
                "WITH RECURSIVE walk (seq, prev_seq) AS (
                     SELECT e.seq, e.prev_seq FROM anamnesis.head AS h {} WHERE h.log = $1 AND h.key = $5
                   UNION ALL
                     SELECT e.seq, e.prev_seq FROM walk AS w {} WHERE e.seq > $2 {newer})",
                event_at("h.seq"),
                event_at("w.prev_seq")
            );
            (with, by_position("SELECT seq FROM walk WHERE seq > $2 AND seq < $3", ""))
        }
        HistoryScope::Compartment(_) => (
            String::new(),
            by_position(
                "SELECT seq FROM anamnesis.event AS h WHERE h.log = $1 AND h.seq > $2 AND h.seq < $3
                     AND hashtext(h.home) = hashtext($5) AND h.home = $5
                 UNION ALL
                 SELECT seq FROM anamnesis.link AS l
                 WHERE l.log = $1 AND l.compartment = $6 AND l.seq > $2 AND l.seq < $3",
                &current,
            ),
        ),
    };
    format!("{with} SELECT {columns} {from} LIMIT $4")
}
