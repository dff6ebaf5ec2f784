//! What is told of an access: the parts of a FHIR AuditEvent, without its form.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Number;

/// One access, as it is kept. Stored as JSON with these names; what is empty is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The sort of event.
    pub kind: Kind,
    /// What exactly: the code of a RESTful interaction, of an operation (`$everything`), or of DICOM.
    pub subtype: String,
    /// Create, read, update, delete or execute.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
    /// The HTTP status that was answered; 0 where there is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: u16,
    /// Who.
    pub agent: Agent,
    /// The service within the workspace; empty for the workspace itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What it was done to: what the request named, and what it led to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
    /// How many further entities there were.
    #[serde(default, skip_serializing_if = "is_default")]
    pub entities_more: u32,
    /// The patients whose data was shown or written, each once: `Patient/1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patients: Vec<String>,
    /// How many further ones there were. May count a patient more than once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patients_more: u32,
    /// The query as it was sent, of a search. It is nowhere but here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The position of the event in the clinical log, of what wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What the request belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub correlation: String,
    /// The number of the entry, from 0, of an interaction that was one of a bundle's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u32>,
    /// What the client asked to be kept with it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<(String, String)>,
    /// Why: a code of purposes of use (`BTG` for an emergency).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The reason that was given with it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many requests it stands for that were refused alike within a minute; 0: for the one that it tells of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeated: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The sort of event: the codes of AuditEvent.type that are in use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A RESTful operation (`http://terminology.hl7.org/CodeSystem/audit-event-type#rest`).
    Rest,
    /// A sign-in, or what belongs to one (DICOM 110114 User Authentication).
    Authentication,
    /// An order to the server itself (DICOM 110100 Application Activity).
    Application,
    /// Data that is sent to somebody without being asked for each time (DICOM 110106 Export).
    Export,
    /// Something to look at (DICOM 110113 Security Alert).
    Alert,
}

/// `AuditEvent.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Create
    C,
    /// Read, view, print
    R,
    /// Update
    U,
    /// Delete
    D,
    /// Execute: an operation, a query, a sign-in
    E,
}

impl Action {
    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::R => "R",
            Self::U => "U",
            Self::D => "D",
            Self::E => "E",
        }
    }
}

/// `AuditEvent.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// 0
    #[serde(rename = "0")]
    Success,
    /// 4: refused, or the client's mistake.
    #[serde(rename = "4")]
    Minor,
    /// 8: the server could not do it.
    #[serde(rename = "8")]
    Serious,
    /// 12: something cannot be used any more.
    #[serde(rename = "12")]
    Major,
}

impl Outcome {
    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Success => "0",
            Self::Minor => "4",
            Self::Serious => "8",
            Self::Major => "12",
        }
    }
}

/// Who did something, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// How the authority that vouches for it names it; `anonymous` where nobody does.
    pub subject: Arc<str>,
    /// The authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Arc<str>>,
    /// The application that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Arc<str>>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Its resource, where the authority names one: `Practitioner/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Arc<str>>,
    /// The network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Proxies that are trusted to have told the address, the one next to the client first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<String>,
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// `Observation/1`
    pub what: String,
    /// Its version, where one was shown or written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// A record with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub number: Number,
    /// When it was recorded; strictly increasing along the log, in whole microseconds.
    pub recorded_at: DateTime<Utc>,
    /// What was recorded.
    pub record: Record,
}
