//! Master keys: what wraps the data keys of a workspace, and who may hold them.

mod local;

use std::sync::Arc;

use futures::future::BoxFuture;
use zeroize::Zeroizing;

pub use self::local::{LocalMasterKeys, parse_master_keys};

/// Why a master key could not be used. Never has a key in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// There is no master key of this id.
    #[error("there is no master key `{0}`")]
    Unknown(String),
    /// The wrapped key was not wrapped by this master key, for this compartment, or was changed.
    #[error("master key `{0}` does not unwrap what it is said to have wrapped: it is another key of that id")]
    Wrong(String),
    /// What holds the master keys does not answer, or refuses. May pass.
    #[error("the holder of the master keys cannot be asked: {0}")]
    Unavailable(String),
    /// What was given as master keys cannot be understood.
    #[error("master keys: {0}")]
    Invalid(String),
}

/// A key, wrapped by a master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The id of the master key.
    pub master_key: String,
    /// What it gave.
    pub bytes: Vec<u8>,
}

/// Holds master keys: in memory, or elsewhere (a key management service).
///
/// `context` names what the key is for. It is no secret, and must be the same when the key is unwrapped.
pub trait MasterKeys: Send + Sync {
    /// The id of the master key that wraps from now on: 1 to 200 bytes.
    fn current(&self) -> BoxFuture<'_, Result<String, MasterKeyError>>;

    /// Wraps a key with the current master key.
    fn wrap<'a>(&'a self, context: &'a [u8], key: &'a [u8])
    -> BoxFuture<'a, Result<Wrapped, MasterKeyError>>;

    /// Unwraps what the master key of that id has wrapped.
    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, MasterKeyError>>;
}

/// How the bodies of a log are sealed.
#[derive(Clone)]
pub struct Encryption {
    /// What wraps the data keys.
    pub master: Arc<dyn MasterKeys>,
    /// How many unwrapped data keys are in memory at most: some 600 bytes each.
    pub cached_keys_max: usize,
    /// How long an unwrapped data key stays in memory: so long a key that another server has destroyed may be known here.
    pub cached_for: std::time::Duration,
}

impl Encryption {
    /// With these master keys and the default bounds.
    #[must_use]
    pub fn new(master: Arc<dyn MasterKeys>) -> Encryption {
        Encryption { master, cached_keys_max: 50_000, cached_for: std::time::Duration::from_secs(60) }
    }
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Encryption").finish_non_exhaustive()
    }
}
