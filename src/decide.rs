//! Decisions: a command and the state of its resource give an event or a refusal. Pure: no I/O, clock or chance.
//!
//! [`decide`] is the whole of it. What it needs to know of the world is in its arguments: the [`Command`] (with
//! ids already given), the [`Current`] version of the resource, and the [`Rules`] of the service.

pub mod bounds;
pub mod candidate;
pub mod check;
pub mod conditional;
mod create;
mod delete;
pub mod patch;
pub mod placement;
pub mod precondition;
mod purge;
mod same;
mod stamp;
mod update;

use std::collections::HashMap;
use std::sync::Arc;

use anamnesis_events::{Draft, Erases, Event, Identifier, Kind, Operation, Position, ResourceKey, Version};
use anamnesis_fhir::search::custom::Fault;
use bounds::Within;
use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use bounds::{Act, Bounds};
pub use candidate::Candidate;
pub use check::Check;
pub use precondition::Expected;

/// What a writer wants.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Command {
    /// A new resource under an id that the server gave.
    Create {
        /// The resource; shared, because a decision may have to be made again.
        candidate: Arc<Candidate>,
        /// No other living resource of the type may hold one of these (conditional create by identifier).
        unless_held: Vec<Identifier>,
    },
    /// A new version of a resource, or its first under an id that the client chose.
    Update {
        /// The resource.
        candidate: Arc<Candidate>,
        /// What the client expects to find.
        expected: Expected,
        /// As for a create (conditional update by identifier that found nothing).
        unless_held: Vec<Identifier>,
    },
    /// The end of a resource.
    Delete {
        /// Which resource.
        key: ResourceKey,
        /// What the client expects to find.
        expected: Expected,
        /// No version of it is kept (AHDS: `hardDelete`).
        hard: bool,
    },
    /// The end of all versions before the current one (AHDS: `$purge-history`).
    Purge {
        /// Of which resource.
        key: ResourceKey,
        /// What the client expects to find.
        expected: Expected,
    },
}

impl Command {
    /// The resource that the command is about.
    #[must_use]
    pub fn key(&self) -> &ResourceKey {
        match self {
            Self::Create { candidate, .. } | Self::Update { candidate, .. } => &candidate.key,
            Self::Delete { key, .. } | Self::Purge { key, .. } => key,
        }
    }

    /// Whether the decision depends on what the resource is now. A create does not: its id is new, and the log's
    /// compare-and-set holds it to that.
    #[must_use]
    pub fn needs_current(&self) -> bool {
        !matches!(self, Self::Create { .. })
    }
}

/// Who writes and why: goes into the event.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// Who.
    pub agent: Arc<str>,
    /// Where it comes from or why.
    pub source: Option<Arc<str>>,
    /// What the writer may reach; `None` for everything.
    pub bounds: Option<Arc<dyn Bounds>>,
}

impl Provenance {
    /// Of somebody whom nothing bounds.
    #[must_use]
    pub fn of(agent: Arc<str>) -> Self {
        Self { agent, source: None, bounds: None }
    }
}

/// How a service treats the versions of a type (AHDS versioning policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versioning {
    /// `versioned`: If-Match is checked where a client sends it.
    #[default]
    Versioned,
    /// `versioned-update`: an update without If-Match is refused.
    VersionedUpdate,
    /// `no-version`: versions are counted, but only the current one is kept.
    NoVersion,
}

/// The settings of a service that decide about writes.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether an update may create a resource under an id that the client chose.
    pub update_creates: bool,
    /// For types without an entry in `versioning_of`.
    pub versioning: Versioning,
    /// By resource type.
    pub versioning_of: HashMap<String, Versioning>,
    /// The addresses of this service without a last slash: absolute references behind them are its own.
    pub bases: Vec<String>,
    /// What resources of some types must be beside valid.
    pub checks: Vec<Check>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            update_creates: true,
            versioning: Versioning::default(),
            versioning_of: HashMap::new(),
            bases: Vec::new(),
            checks: Vec::new(),
        }
    }
}

impl Rules {
    /// The versioning of a resource type.
    #[must_use]
    pub fn versioning_of(&self, resource_type: &str) -> Versioning {
        self.versioning_of.get(resource_type).copied().unwrap_or(self.versioning)
    }
}

/// The newest version of a resource as it stands in the log; also where that is a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its number.
    pub version: Version,
    /// The position of the event that made it.
    pub position: Position,
    /// Whether it is a delete.
    pub deleted: bool,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The compartment that the resource lives in.
    pub home: String,
    /// Whether it is a delete that has left no version of the resource: to readers it was never there.
    pub erased: bool,
    /// The resource as served; empty where deleted.
    pub payload: Bytes,
}

impl From<&Event> for Current {
    fn from(event: &Event) -> Self {
        Self {
            version: event.version,
            position: event.position,
            deleted: event.operation == Operation::Delete,
            recorded_at: event.recorded_at,
            home: event.home.clone(),
            erased: event.kind == Kind::ResourceErased,
            payload: event.payload.clone(),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Record this.
    Append(Box<Draft>),
    /// Nothing: the resource is already what the client sent.
    Unchanged,
    /// Nothing: what the client wants deleted is not there.
    Absent,
    /// The same, and nothing is to be told of what is there: it is out of the client's reach.
    Hidden,
}

/// Why a command is refused. Refusals say nothing of the resource's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The version that the client expects is not the current one.
    #[error("the current version is {current}, not the one that If-Match names")]
    VersionMismatch {
        /// The current version.
        current: Version,
    },
    /// The client wants to create, but the resource exists.
    #[error("the resource exists (version {current}), and If-None-Match forbids that")]
    Exists {
        /// The current version.
        current: Version,
    },
    /// The criteria of a conditional update match nothing, but the resource whose id the body names exists.
    #[error(
        "the criteria match nothing, and the resource with the id in the body exists (version {current})"
    )]
    Unmatched {
        /// The current version.
        current: Version,
    },
    /// The client expects a version of a resource that never existed.
    #[error("there is no such resource, so no version of it can match If-Match")]
    NotFound,
    /// The client may not choose ids.
    #[error("this service does not create resources by update; create it with POST")]
    CreateNotAllowed,
    /// The type's versioning demands If-Match.
    #[error("resources of this type are updated only with their version in the header If-Match")]
    VersionRequired,
    /// The new id is in use.
    #[error("the id is in use")]
    IdInUse,
    /// The resource asks for what this server does not do.
    #[error("{reason}")]
    NotServed {
        /// The element that asks for it.
        element: &'static str,
        /// Why not.
        reason: String,
    },
    /// The resource is not what the server needs of one of its type; never empty.
    #[error("the resource cannot be used")]
    Faulty(Vec<Fault>),
    /// R4 itself defines it, so that nobody can delete it.
    #[error(
        "R4 defines this search parameter: it cannot be deleted, but disabled by SearchParameter/$status"
    )]
    OfR4,
    /// The bounds of the writer are against it.
    #[error("the token does not allow this: {0}")]
    OutOfBounds(&'static str),
    /// Nothing is there that the writer may change, or it is out of reach: which of the two, nobody is told.
    #[error(
        "there is no resource of this type and id that the token may change, and with it none is made under an id of the \
         client's"
    )]
    OutOfReach,
    /// What is recorded cannot be read again.
    #[error("the recorded version cannot be read")]
    Unreadable,
}

/// Decides about a command: what to record, that there is nothing to do, or why not.
///
/// # Errors
/// A [`Refusal`], where a condition of the request or a rule of the service is against it.
pub fn decide(
    command: &Command,
    current: Option<&Current>,
    rules: &Rules,
    provenance: &Provenance,
) -> Result<Decision, Refusal> {
    let mut current = current;
    if let Some(bounds) = &provenance.bounds {
        match bounds::within(&**bounds, command, current, rules)? {
            Within::Current(within) => current = within,
            Within::Hidden => return hidden(command),
        }
    }
    if let Command::Create { candidate, .. } | Command::Update { candidate, .. } = command
        && candidate.is_checked
    {
        let (key, root) = (&candidate.key, candidate.document.root());
        rules.checks.iter().try_for_each(|check| check.test(key, root))?;
    }
    match command {
        Command::Create { candidate, unless_held } => {
            create::decide(candidate, current, unless_held, provenance)
        }
        Command::Update { candidate, expected, unless_held } => {
            let update = update::Update { candidate, expected, unless_held };
            update::decide(&update, current, rules, provenance)
        }
        Command::Delete { key, expected, hard } => {
            let delete = delete::Delete { key, expected, hard: *hard };
            delete::decide(&delete, current, rules, provenance)
        }
        Command::Purge { key, expected } => purge::decide(key, expected, current, provenance),
    }
}

/// What becomes of a delete of what is out of reach: the same as of what never was.
fn hidden(command: &Command) -> Result<Decision, Refusal> {
    match command {
        Command::Delete { expected, .. } | Command::Purge { expected, .. } => expected.check(None)?,
        Command::Create { .. } | Command::Update { .. } => return Err(Refusal::OutOfReach),
    }
    Ok(Decision::Hidden)
}

/// The end of a resource, in the compartment where it lives.
fn without_body(key: &ResourceKey, current: &Current, provenance: &Provenance) -> Draft {
    Draft {
        key: key.clone(),
        operation: Operation::Delete,
        erases: Erases::Nothing,
        version: current.version.next(),
        home: current.home.clone(),
        touches: vec![current.home.clone()],
        payload: Vec::new(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: provenance.agent.clone(),
        source: provenance.source.clone(),
    }
}

#[cfg(test)]
mod tests;
