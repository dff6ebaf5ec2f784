//! The purge of a compartment: every resource that lives in it goes, in steps that are each one transaction.
//!
//! It begins with an event, from which on the compartment takes no writes, and ends with one that destroys its data key.
//! In between each step finds what is left in the log, so whoever goes on with a purge that was interrupted needs to know
//! nothing but that it has begun. Two that do so at once do no harm: the log compares versions.

mod step;
mod told;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Log;
use super::decide::compartment_key;
use super::guard::Guard;
use crate::{
    AppendError, ConflictKind, Draft, Erases, Event, Group, LogError, Operation, Position, ResourceKey,
};

pub use self::told::{Mentions, PurgeReport};

/// How often a step is tried while others write the same resources or the log's queue is full.
const TRIES_MAX: u32 = 200;
/// Resources that are named where a purge or its report tells of them.
const NAMED_MAX: usize = 100;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Which compartment is to be purged, and who does it.
#[derive(Debug, Clone)]
pub struct PurgeRequest {
    /// The compartment, such as `Patient/1`.
    pub compartment: String,
    /// The resource in its middle, which must have existed.
    pub key: ResourceKey,
    /// Who does it.
    pub agent: Arc<str>,
    /// Why.
    pub source: Option<Arc<str>>,
    /// Types whose resources belong to all compartments that they name alike, such as a Group to its members. One that lives
    /// in the compartment and names others would be lost to those: a purge does not begin while there is one.
    pub spares: Vec<String>,
}

/// A purge that has begun and not ended.
#[derive(Debug, Clone)]
pub struct OpenPurge {
    /// What was asked for.
    pub request: PurgeRequest,
    /// Where it began.
    pub begun: Position,
}

/// A legal hold that stands.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The event that placed it, with what is to be known of it as its body.
    pub event: Event,
}

/// Why a purge has not ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// The resource in the middle of the compartment has never existed.
    #[error("there is no such resource and never was")]
    NotFound,
    /// There is a legal hold on the compartment, or on one that something has been moved to from it.
    #[error("it is under a legal hold since {since}")]
    Held {
        /// When the hold was recorded.
        since: DateTime<Utc>,
    },
    /// Resources that others would lose live in the compartment, see [`PurgeRequest::spares`].
    #[error("{} resources belong to other compartments as well", .0.count)]
    Shared(Mentions),
    /// Others write what is to be erased, again and again; what has begun goes on later.
    #[error("others write the same resources, again and again")]
    Contended,
    /// The log has refused a step; what has begun goes on later.
    #[error(transparent)]
    Append(AppendError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<AppendError> for PurgeError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Held { since, .. } => PurgeError::Held { since },
            error => PurgeError::Append(error),
        }
    }
}

/// What became of a step.
enum Stepped {
    Done(Position),
    /// Somebody was quicker, or too much is queued: look again.
    Again,
}

impl Log {
    /// Erases every resource that lives in a compartment, in all versions, and destroys the compartment's data key; goes on
    /// with a purge that has begun. Where nothing is left to be purged it records nothing and tells of the purge before.
    ///
    /// A resource that was moved to another compartment keeps its current version, and loses those before it.
    ///
    /// # Errors
    /// Where it says [`PurgeError::Held`], [`PurgeError::Shared`] or [`PurgeError::NotFound`], nothing was recorded. After any other error it may have
    /// begun, and goes on when it is asked for again.
    pub async fn purge(&self, request: &PurgeRequest) -> Result<PurgeReport, PurgeError> {
        let Some(begun) = self.begin_purge(request).await? else {
            return self.report(&request.compartment, true).await?.ok_or(PurgeError::Contended);
        };
        self.erase_resources(request, begun).await?;
        self.erase_moved(request).await?;
        self.end_purge(request).await?;
        self.forget_notes(&request.compartment).await?;
        self.report(&request.compartment, false).await?.ok_or(PurgeError::Contended)
    }

    /// The purges that have begun and not ended, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_purges(&self) -> Result<Vec<OpenPurge>, LogError> {
        let statement = "SELECT purge_seq FROM anamnesis.compartment_guard
            WHERE log = $1 AND purge_seq IS NOT NULL ORDER BY purge_seq LIMIT 1000";
        let rows = self.query(statement, &[&self.inner.number]).await?;
        let positions: Result<Vec<Position>, LogError> =
            rows.iter().map(|row| Ok(Position::from_sql(row.try_get(0)?))).collect();
        let open = |event: Event| OpenPurge {
            begun: event.position,
            request: PurgeRequest {
                compartment: event.home,
                key: event.key,
                agent: event.agent,
                source: event.source,
                // That was looked at before it began.
                spares: Vec::new(),
            },
        };
        Ok(self.fetch(&positions?).await?.into_iter().map(open).collect())
    }

    /// The legal hold on a compartment; `None` where none stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn hold(&self, compartment: &str) -> Result<Option<Hold>, LogError> {
        let Some((position, _)) = self.guard(compartment).await?.hold else { return Ok(None) };
        let event = self.fetch(&[position]).await?.into_iter().next();
        Ok(event.map(|event| Hold { event }))
    }

    /// Whether a purge of the compartment has begun and not ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_being_purged(&self, compartment: &str) -> Result<bool, LogError> {
        Ok(self.guard(compartment).await?.purge.is_some())
    }

    async fn guard(&self, compartment: &str) -> Result<Guard, LogError> {
        let statement = "SELECT purge_seq, hold_seq, held_at FROM anamnesis.compartment_guard
            WHERE log = $1 AND compartment = $2";
        let key: Uuid = compartment_key(compartment);
        let rows = self.query(statement, &[&self.inner.number, &key]).await?;
        let Some(row) = rows.first() else { return Ok(Guard::default()) };
        let position = |number: i64| Position::from_sql(number);
        let hold: Option<i64> = row.try_get(1)?;
        Ok(Guard {
            purge: row.try_get::<_, Option<i64>>(0)?.map(position),
            hold: hold.map(position).zip(row.try_get(2)?),
        })
    }

    /// Where the purge began; `None` where there is nothing to be purged.
    async fn begin_purge(&self, request: &PurgeRequest) -> Result<Option<Position>, PurgeError> {
        for _ in 0..TRIES_MAX {
            let guard = self.guard(&request.compartment).await?;
            if let Some(begun) = guard.purge {
                return Ok(Some(begun));
            }
            if let Some((_, since)) = guard.hold {
                return Err(PurgeError::Held { since });
            }
            let head = self.heads(std::slice::from_ref(&request.key)).await?.into_iter().next().flatten();
            if head.is_none() {
                return Err(PurgeError::NotFound);
            }
            if !self.has_anything(&request.compartment).await? {
                return Ok(None);
            }
            if let Some(since) = self.moved_under_hold(&request.compartment).await? {
                return Err(PurgeError::Held { since });
            }
            let shared = self.shared(request, NAMED_MAX).await?;
            if shared.count > 0 {
                return Err(PurgeError::Shared(shared));
            }
            if let Stepped::Done(position) = self.mark(request, Erases::Nothing).await? {
                return Ok(Some(position));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(PurgeError::Contended)
    }

    async fn end_purge(&self, request: &PurgeRequest) -> Result<(), PurgeError> {
        for _ in 0..TRIES_MAX {
            // Another server may have ended it.
            if self.guard(&request.compartment).await?.purge.is_none() {
                return Ok(());
            }
            if let Stepped::Done(_) = self.mark(request, Erases::Home).await? {
                self.inner.data_keys.forget_of(&request.compartment);
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(PurgeError::Contended)
    }

    /// Records the beginning or the end of a purge.
    async fn mark(&self, request: &PurgeRequest, erases: Erases) -> Result<Stepped, PurgeError> {
        let head = self.heads(std::slice::from_ref(&request.key)).await?.into_iter().next().flatten();
        let head = head.ok_or(PurgeError::NotFound)?;
        let draft = Draft {
            key: request.key.clone(),
            operation: Operation::Purge,
            erases,
            version: head.version,
            home: request.compartment.clone(),
            touches: vec![request.compartment.clone()],
            payload: Vec::new(),
            stamp_at: None,
            identifiers: Vec::new(),
            require_no_identifier: Vec::new(),
            agent: request.agent.clone(),
            source: request.source.clone(),
        };
        self.step(Group::single(draft)).await
    }

    /// Appends a step of a purge.
    async fn step(&self, group: Group) -> Result<Stepped, PurgeError> {
        match self.append(group).await {
            Ok(recorded) => {
                Ok(Stepped::Done(recorded.last().map_or(Position::ZERO, |recorded| recorded.position)))
            }
            Err(
                AppendError::Conflict { kind: ConflictKind::HeadMoved { .. }, .. }
                | AppendError::Purging { .. }
                | AppendError::NotBegun { .. }
                | AppendError::Overloaded,
            ) => Ok(Stepped::Again),
            Err(error) => Err(error.into()),
        }
    }
}
