//! The authorization server of a workspace, for SMART apps (SMART App Launch 2.2, OAuth 2.0, OpenID Connect Core).
//!
//! It knows clients and users, shows the pages of sign-in and consent, and gives tokens. What a scope means, which patients
//! there are and where an audit record goes is its [`Host`]'s.

mod approval;
mod approve;
mod authorize;
mod background;
mod body;
mod client;
mod client_auth;
mod discovery;
mod endpoints;
mod error;
mod form;
mod host;
mod interaction;
mod introspect;
mod key_set;
mod keys;
mod launch;
mod options;
mod pages;
mod people;
mod recording;
mod refusal;
mod registration;
mod revocation;
mod revoke;
mod secret;
mod server;
mod sessions;
mod store;
mod token;
mod upstream;
mod users;

pub use approval::{Approval, LaunchContext};
pub use client::{AuthMethod, Client, GrantType};
pub use error::{OAuthError, OAuthErrorCode, SmartError};
pub use host::{
    Caller, Happened, Host, HostError, Occurrence, PatientPage, PatientQuestion, PatientShown, ScopeContext,
    ScopeRefused, ScopeShown, ScopesRead,
};
pub use options::SmartOptions;
pub use revocation::Standing;
pub use server::SmartServer;
pub use upstream::Upstream;
pub use users::{NewUser, USERS_MAX, User, UserError, Users};
