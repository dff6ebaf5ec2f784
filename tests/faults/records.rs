//! What the clients did and what they were told: the side of the story that the log is compared with.

use std::fmt;
use std::time::Instant;

use bytes::Bytes;

/// The system of the identifier that every attempt to write carries, unique for each.
pub(crate) const ATTEMPT: &str = "urn:faults:attempt";
/// The system of the identifier that the new Observations of one transaction share.
pub(crate) const BUNDLE: &str = "urn:faults:bundle";
/// The system of the identifiers that conditional creates compete for.
pub(crate) const CONDITION: &str = "urn:faults:condition";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    ConditionalCreate,
    Update,
    Delete,
    Read,
}

/// What a client asked for: a request, or an entry of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    /// Unique; in the body of what it writes.
    pub(crate) token: String,
    pub(crate) resource_type: &'static str,
    /// Where the client names it.
    pub(crate) id: Option<String>,
    pub(crate) if_match: Option<u32>,
}

/// What a client was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    /// From `Location`, or as asked for.
    pub(crate) id: Option<String>,
    pub(crate) version: Option<u32>,
    pub(crate) body: Option<Bytes>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("?");
        write!(f, "{:?} {} of {}/{id}", self.verb, self.token, self.resource_type)?;
        self.if_match.map_or(Ok(()), |version| write!(f, " if at version {version}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done(Told { status, id, version, .. }) => {
                write!(f, "{status}, id {id:?}, version {version:?}")
            }
            Outcome::Refused => f.write_str("that it is refused"),
            Outcome::Unknown => f.write_str("nothing"),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Done. Of a read also 404 and 410.
    Done(Told),
    /// Refused, or the server said that nothing was recorded.
    Refused,
    /// The connection broke, or the server said that it does not know.
    Unknown,
}

/// One request with all that became of it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    /// Whether its entries are done together or not at all.
    pub(crate) is_transaction: bool,
    /// `X-Anamnesis-Position`.
    pub(crate) position: Option<u64>,
    pub(crate) entries: Vec<(Asked, Outcome)>,
}

impl Record {
    pub(crate) fn is_written(&self) -> bool {
        self.entries
            .iter()
            .any(|(asked, outcome)| asked.verb != Verb::Read && matches!(outcome, Outcome::Done(_)))
    }
}
