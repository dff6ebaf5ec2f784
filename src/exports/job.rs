//! An export as it was asked for, and how it stands.

use std::sync::Arc;

use anamnesis_events::Position;
use anamnesis_projections::search::Restriction;
use chrono::{DateTime, Utc};

use crate::access::Principal;

/// Whose resources are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// All.
    System,
    /// Those in the compartments of patients.
    Patient,
    /// Those in the compartments of the patients in the Group with this id.
    Group(String),
}

/// Who has begun an export, and may see it: nobody else is told that there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Who says who it is.
    pub issuer: Option<String>,
    /// The user or the application.
    pub subject: String,
    /// By which application.
    pub client: Option<String>,
}

impl Owner {
    /// Whoever makes a request.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            issuer: text(&principal.issuer),
            subject: principal.subject.to_string(),
            client: text(&principal.client),
        }
    }
}

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who asks.
    pub owner: Owner,
    /// What the scopes of the token leave of the resources; `None` for all.
    pub restriction: Option<Arc<Restriction>>,
    /// Whose resources.
    pub level: Level,
    /// Only these types; `None` for all.
    pub types: Option<Vec<String>>,
    /// Searches of types, `Type?criteria`: of a type with some, only what answers one of them.
    pub filters: Vec<String>,
    /// The state of this position is exported.
    pub position: Position,
    /// Only versions that were recorded after this position.
    pub since: Position,
    /// Only versions that were recorded up to this position.
    pub until: Position,
    /// When the event at the position was recorded.
    pub position_time: DateTime<Utc>,
    /// The address of the service as the client knows it.
    pub base: String,
    /// The address that was asked.
    pub request: String,
}

/// How an export stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is being done.
    Running,
    /// Its files are there.
    Done,
    /// It was given up.
    Failed {
        /// The status of HTTP that says why.
        status: u16,
        /// The same in words, without content of resources.
        reason: String,
    },
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The place of the member of the group whose compartment is looked through; 0 without a group.
    pub(super) member: usize,
    /// Up to which position it has been.
    pub(super) after: Position,
}

/// An export.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id: drawn at random, so that nobody can guess one.
    pub id: String,
    /// What was asked for.
    pub order: Order,
    /// How it stands.
    pub state: State,
    /// How much of it is done, in hundredths.
    pub percent: i32,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// When its files go.
    pub expires_at: DateTime<Utc>,
    /// How many of the versions of then were gone already when they were looked for.
    pub gone: u64,
    pub(super) cursor: Cursor,
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The type of its resources.
    pub resource_type: String,
    /// Which one of its type, from 1.
    pub number: u32,
    /// How many resources it has.
    pub resources: u64,
}

impl File {
    /// Its name in the address.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}.ndjson", self.resource_type, self.number)
    }
}
