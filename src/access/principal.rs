//! The principal of a request: who asks, with what rights.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::action::Actions;
use super::grant::Grant;

/// Who asks.
#[derive(Clone, PartialEq)]
pub struct Principal {
    /// `oid` where the token has one, else `sub`; `anonymous` where the service has no authority. At most 255 bytes without
    /// control characters: it is the agent of events.
    pub subject: Arc<str>,
    /// Who says so: `iss` of the token. Subjects are unique within it.
    pub issuer: Option<Arc<str>>,
    /// The application that asks for it: `azp`, `appid` or `client_id`.
    pub client: Option<Arc<str>>,
    /// How it is called, for the audit log alone.
    pub display: Option<Arc<str>>,
    /// What its roles allow at the service that is asked.
    pub actions: Actions,
    /// The scopes that bound it; `None`: it is bounded by its roles alone.
    pub grant: Option<Arc<Grant>>,
    /// Why it acts in an emergency, where it does. Goes into the audit log with each of its accesses.
    pub emergency: Option<Arc<str>>,
}

impl Principal {
    /// Whoever reaches a service that has no authority: it may do all.
    #[must_use]
    pub fn anonymous() -> Arc<Self> {
        static ANONYMOUS: OnceLock<Arc<Principal>> = OnceLock::new();
        ANONYMOUS.get_or_init(|| Arc::new(Self::named("anonymous", Actions::every()))).clone()
    }

    /// This server, for what its configuration tells it to do: it may do all.
    #[must_use]
    pub fn server() -> Arc<Self> {
        static SERVER: OnceLock<Arc<Principal>> = OnceLock::new();
        SERVER.get_or_init(|| Arc::new(Self::named("anamnesis", Actions::every()))).clone()
    }

    fn named(subject: &str, actions: Actions) -> Self {
        let subject = Arc::from(subject);
        Self { subject, issuer: None, client: None, display: None, actions, grant: None, emergency: None }
    }
}

impl Default for Principal {
    /// Somebody who may do nothing but what is open to everybody.
    fn default() -> Self {
        Self::named("anonymous", Actions::NONE)
    }
}

impl fmt::Debug for Principal {
    /// Without the name, which has no place in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Principal")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}
