//! What the authorization server asks of the server that it is a part of.

use actix_web::HttpRequest;
use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, LocalBoxFuture};
use uuid::Uuid;

use crate::approval::Approval;
use crate::client::Client;

/// The server around the authorization server.
pub trait Host: Send + Sync + std::fmt::Debug + 'static {
    /// What time it is.
    fn now(&self) -> DateTime<Utc>;

    /// Reads scopes with blanks between them (RFC 6749 section 3.3), each of which has to be known.
    ///
    /// # Errors
    /// One is none of SMART App Launch, or they do not go together.
    fn read_scopes(&self, text: &str) -> Result<ScopesRead, ScopeRefused>;

    /// Reads the scopes that a client is registered for: each has to be known, and they need not go together in one token.
    ///
    /// # Errors
    /// One is none of SMART App Launch.
    fn read_registered(&self, text: &str) -> Result<ScopesRead, ScopeRefused>;

    /// What of the scopes that are asked for lies within those that a client may have: the part that is allowed, as text; empty
    /// where nothing is.
    ///
    /// # Errors
    /// See [`Host::read_scopes`].
    fn narrow(&self, asked: &str, allowed: &str) -> Result<String, ScopeRefused>;

    /// Whether somebody may let apps act for more than the patient that they are themselves: has a role with rights to data.
    fn has_role(&self, user: Uuid) -> bool;

    /// Whether somebody may open records in an emergency (scope `break-glass`).
    fn may_break_glass(&self, user: Uuid) -> bool;

    /// Patients to choose from, as this user may see them; with `is_emergency` all patients.
    fn patients(&self, asked: PatientQuestion) -> LocalBoxFuture<'_, Result<PatientPage, HostError>>;

    /// Keeps what has happened in the audit log. What cannot be kept must not be answered with success.
    fn record<'a>(
        &'a self,
        request: &'a HttpRequest,
        occurrence: Occurrence,
    ) -> LocalBoxFuture<'a, Result<(), HostError>>;

    /// Seals a private key before it is stored; gives it back as it is where the server has no master key.
    fn seal<'a>(&'a self, context: &'a str, clear: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HostError>>;

    /// Opens what [`Host::seal`] has sealed.
    fn open<'a>(&'a self, context: &'a str, sealed: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HostError>>;

    /// The address that a request comes from, as far as proxies are trusted.
    fn address(&self, request: &HttpRequest) -> String;

    /// Who asks with an access token for the FHIR service (EHR launches, administration of clients and users).
    ///
    /// # Errors
    /// [`HostError::Refused`] where there is no token, or none that is good.
    fn caller<'a>(&'a self, request: &'a HttpRequest) -> LocalBoxFuture<'a, Result<Caller, HostError>>;
}

/// Who asks with an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's subject.
    pub subject: String,
    /// Whether it has the role Operator: may administer clients and users.
    pub is_operator: bool,
    /// Whether it has rights to data: may launch apps as an electronic health record does.
    pub may_launch: bool,
}

/// Scopes that were understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopesRead {
    /// Each, in the order in which they were asked for, without repetition.
    pub shown: Vec<ScopeShown>,
}

/// One scope, and what to tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeShown {
    /// As it was asked for.
    pub text: String,
    /// What it is about.
    pub context: ScopeContext,
    /// What somebody who is asked for consent reads: "Read laboratory results of the patient". Plain text.
    pub words: String,
}

/// What a scope is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeContext {
    /// `patient/…`
    Patient,
    /// `user/…`
    User,
    /// `system/…`
    System,
    /// `launch`, `launch/…`
    Launch,
    /// `openid`, `fhirUser`, `profile`, `email`
    Identity,
    /// `offline_access`, `online_access`
    Duration,
    /// `break-glass`
    Emergency,
}

/// Why scopes are refused. Names the place of the scope, not what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScopeRefused(pub String);

/// The host cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Not this user, or not this caller.
    #[error("this is not allowed")]
    Refused,
    /// Not now.
    #[error("the server cannot do this now")]
    Unavailable,
}

/// Which patients to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientQuestion {
    /// Who chooses.
    pub user: Uuid,
    /// `fhirUser` of who chooses.
    pub fhir_user: Option<String>,
    /// What was typed: the beginning of a name, or an identifier. Empty for any.
    pub words: String,
    /// Only this one, to see that it may be chosen.
    pub id: Option<String>,
    /// Patients at most.
    pub count: usize,
    /// Whether it is an emergency, in which all patients may be chosen.
    pub is_emergency: bool,
    /// Where the question comes from, as [`Host::address`] has it: what is shown is an access that the host puts on record.
    pub address: String,
}

/// Patients to choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientPage {
    /// They.
    pub patients: Vec<PatientShown>,
    /// Whether there are more.
    pub has_more: bool,
}

/// What is shown of a patient, so that two of one name are told apart. Plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientShown {
    /// The logical id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Date of birth as FHIR writes it.
    pub birth_date: String,
    /// Administrative gender.
    pub gender: String,
    /// An identifier for people, such as a record number.
    pub identifier: String,
}

/// What happened, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// What.
    pub happened: Happened,
    /// Why it was refused; `None` where it was not. Says nothing of values.
    pub refused: Option<&'static str>,
    /// The app.
    pub client: Option<String>,
    /// The user's id, or the subject that has asked.
    pub user: Option<String>,
    /// `Patient/1`
    pub patient: Option<String>,
    /// The scopes that were granted.
    pub scope: Option<String>,
    /// Why somebody broke the glass.
    pub reason: Option<String>,
    /// The id of the user that was changed or removed, where that is not [`Occurrence::user`].
    pub changed: Option<String>,
}

/// What may happen at an authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Happened {
    /// Somebody has signed in.
    SignIn,
    /// Somebody has signed out.
    SignOut,
    /// An app was let in by its user, or not.
    Consent,
    /// An emergency was declared.
    BreakGlass,
    /// A token was given, or not.
    Token,
    /// A token or a consent was revoked.
    Revocation,
    /// A token was asked about.
    Introspection,
    /// A client was registered, changed or removed.
    Registration,
    /// A user was made, changed or removed.
    UserChange,
    /// An electronic health record has launched an app.
    Launch,
}

impl Occurrence {
    /// Something that was done.
    #[must_use]
    pub fn new(happened: Happened) -> Self {
        Self {
            happened,
            refused: None,
            client: None,
            user: None,
            patient: None,
            scope: None,
            reason: None,
            changed: None,
        }
    }

    /// Something that was refused.
    #[must_use]
    pub fn refused(happened: Happened, why: &'static str) -> Self {
        Self { refused: Some(why), ..Self::new(happened) }
    }

    /// The same of an app.
    #[must_use]
    pub fn of(mut self, client: &Client) -> Self {
        self.client = Some(client.id.clone());
        self
    }

    /// The same of what somebody has approved.
    pub(crate) fn about(&mut self, approval: &Approval) {
        self.user = Some(approval.user.to_string());
        self.patient = approval.context.patient.as_ref().map(|id| format!("Patient/{id}"));
        self.reason = approval.emergency_reason.clone();
    }
}
