//! Seals private keys with the workspace's master key, where it has one.
//!
//! What is stored begins with a byte that says whether it is sealed; behind it stand the length of the master key's id, the id,
//! and what was wrapped.

use anamnesis_events::keys::{MasterKeys, Wrapped};
use anamnesis_smart::HostError;

/// It is in clear.
const CLEAR: u8 = 0;
/// It is sealed.
const SEALED: u8 = 1;

/// Gives what is to be stored.
///
/// # Errors
/// The master key cannot be used now.
pub(super) async fn seal(
    master: Option<&dyn MasterKeys>,
    context: &str,
    clear: &[u8],
) -> Result<Vec<u8>, HostError> {
    let Some(master) = master else {
        return Ok([&[CLEAR], clear].concat());
    };
    let wrapped = master.wrap(context.as_bytes(), clear).await.map_err(|error| failed(&error))?;
    let length = u8::try_from(wrapped.master_key.len()).map_err(|_too_long| HostError::Unavailable)?;
    Ok([&[SEALED, length], wrapped.master_key.as_bytes(), &wrapped.bytes].concat())
}

/// Gives back what was stored.
///
/// # Errors
/// It was not stored so, or the master key that sealed it is not there.
pub(super) async fn open(
    master: Option<&dyn MasterKeys>,
    context: &str,
    stored: &[u8],
) -> Result<Vec<u8>, HostError> {
    match (stored.split_first(), master) {
        (Some((&CLEAR, clear)), _) => Ok(clear.to_vec()),
        (Some((&SEALED, rest)), Some(master)) => {
            let parts =
                rest.split_first().and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
            let (id, bytes) = parts.ok_or(HostError::Unavailable)?;
            let master_key = std::str::from_utf8(id).map_err(|_no_text| HostError::Unavailable)?.to_owned();
            let wrapped = Wrapped { master_key, bytes: bytes.to_vec() };
            let clear = master.unwrap(context.as_bytes(), &wrapped).await.map_err(|error| failed(&error))?;
            Ok(clear.to_vec())
        }
        _ => {
            tracing::error!(
                "a private key of the authorization server is sealed, and there is no master key"
            );
            Err(HostError::Unavailable)
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> HostError {
    tracing::error!(%error, "a private key of the authorization server cannot be sealed or opened");
    HostError::Unavailable
}

#[cfg(test)]
mod tests {
    use anamnesis_events::keys::parse_master_keys;

    use super::*;

    #[tokio::test]
    async fn what_is_sealed_opens_with_its_master_key_in_its_context_alone() {
        let keys = parse_master_keys("one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        let others = parse_master_keys("two:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
        let sealed = seal(Some(&keys), "here", b"private").await.unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"private"));
        assert_eq!(open(Some(&keys), "here", &sealed).await.unwrap(), b"private");
        assert!(open(Some(&keys), "there", &sealed).await.is_err());
        assert!(open(Some(&others), "here", &sealed).await.is_err());
        assert!(open(None, "here", &sealed).await.is_err());
        for end in 0..sealed.len() {
            assert!(open(Some(&keys), "here", &sealed[..end]).await.is_err());
        }
    }

    #[tokio::test]
    async fn what_was_stored_without_a_master_key_is_opened_with_one() {
        let keys = parse_master_keys("one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        let stored = seal(None, "here", b"private").await.unwrap();
        assert_eq!(open(Some(&keys), "here", &stored).await.unwrap(), b"private");
    }
}
