//! What can go wrong: for callers of the crate, and for apps (RFC 6749 section 5.2).

/// The authorization server cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmartError {
    /// The database's address cannot be understood.
    #[error("the address of the database cannot be understood: {0}")]
    Address(String),
    /// No connection could be had.
    #[error("no connection to the database: {0}")]
    Pool(String),
    /// The database refused or failed.
    #[error("the database failed: {}", said(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The database has tables of a newer server.
    #[error("the tables of the authorization server have version {found}, this server knows {known}")]
    SchemaTooNew {
        /// What the database has.
        found: i32,
        /// What this server knows.
        known: i32,
    },
    /// What is stored is no longer understood.
    #[error("{0} cannot be read as it is stored")]
    Stored(&'static str),
    /// The host cannot do what was asked.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// Something that is configured or asked for makes no sense; says what and where.
    #[error("{0}")]
    Invalid(String),
    /// There is more to do than is let wait.
    #[error("too much is waiting for {0}")]
    Busy(&'static str),
    /// Cryptography failed, which it does not.
    #[error("{0} failed")]
    Cryptography(&'static str),
}

/// What the database says, which is not in the error's own text. Its details could hold values, so they are left out.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => error.to_string(),
    }
}

/// An error as apps get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// Which.
    pub code: OAuthErrorCode,
    /// For the app's developers. Says nothing of values.
    pub description: String,
}

/// Errors of OAuth 2.0 and OpenID Connect, by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthErrorCode {
    /// `invalid_request`
    InvalidRequest,
    /// `invalid_client`
    InvalidClient,
    /// `invalid_grant`
    InvalidGrant,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `unsupported_grant_type`
    UnsupportedGrantType,
    /// `unsupported_response_type`
    UnsupportedResponseType,
    /// `invalid_scope`
    InvalidScope,
    /// `access_denied`
    AccessDenied,
    /// `login_required`
    LoginRequired,
    /// `interaction_required`
    InteractionRequired,
    /// `consent_required`
    ConsentRequired,
    /// `request_not_supported`
    RequestNotSupported,
    /// `request_uri_not_supported`
    RequestUriNotSupported,
    /// `invalid_redirect_uri` (RFC 7591)
    InvalidRedirectUri,
    /// `invalid_client_metadata` (RFC 7591)
    InvalidClientMetadata,
    /// `invalid_token` (RFC 6750)
    InvalidToken,
    /// `server_error`
    ServerError,
    /// `temporarily_unavailable`
    TemporarilyUnavailable,
}

impl OAuthErrorCode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::InteractionRequired => "interaction_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidToken => "invalid_token",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl OAuthError {
    /// An error with a description.
    #[must_use]
    pub fn new(code: OAuthErrorCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }
}
