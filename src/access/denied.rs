//! Why a request is let in as nobody: what RFC 6750 section 3.1 tells clients apart.

use std::time::Duration;

/// Why nobody is let in with this request. Holds nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There is no token.
    #[error("this service needs an access token")]
    NoToken,
    /// Tokens are given in a way that is not taken: twice, in the query.
    #[error("{0}")]
    Request(&'static str),
    /// The token is no good.
    #[error("{0}")]
    Token(&'static str),
    /// The token was good once.
    #[error("the access token has expired")]
    Expired,
    /// Tokens cannot be checked now.
    #[error("the authority that issues access tokens cannot be reached now")]
    Unavailable {
        /// When to come again.
        after: Duration,
    },
}
