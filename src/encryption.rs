//! Encryption at rest, as it is configured: master keys from a file, the environment, or a service.

mod service;

use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::keys::{Encryption, MasterKeys, parse_master_keys};
use anyhow::Context as _;

pub use self::service::KeyService;
use crate::config::EncryptionSettings;

/// How the bodies of a workspace are sealed; `None` where no master key is configured.
///
/// # Errors
/// When the master key cannot be read or understood. Never says what is in it.
pub fn of(settings: &EncryptionSettings) -> anyhow::Result<Option<Encryption>> {
    let service = &settings.key_service;
    let master: Arc<dyn MasterKeys> = match (&service.url, &settings.master_key) {
        (Some(url), _) => {
            let secret = service.secret.as_ref().context("key_service has no secret")?;
            let timeout = Duration::from_secs(service.timeout_s);
            Arc::new(KeyService::new(url, secret.expose().trim(), timeout)?)
        }
        (None, Some(keys)) => Arc::new(parse_master_keys(keys.expose())?),
        (None, None) => return Ok(None),
    };
    Ok(Some(Encryption {
        cached_keys_max: settings.cached_keys_max,
        cached_for: Duration::from_secs(settings.cached_for_s),
        ..Encryption::new(master)
    }))
}
