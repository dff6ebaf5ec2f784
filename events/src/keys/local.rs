//! Master keys in memory, from a file or an environment variable: AES-256-GCM.

use aws_lc_rs::aead::LessSafeKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use zeroize::Zeroizing;

use super::{MasterKeyError, MasterKeys, Wrapped};
use crate::seal::{KEY_BYTES, cipher, decrypt, encrypt};

/// The first byte of a key that was wrapped here.
const FORM: u8 = 1;
/// The most master keys that a file may have: the old ones are kept only until everything is wrapped anew.
const KEYS_MAX: usize = 64;
const ID_BYTES_MAX: usize = 200;

/// Master keys by their ids; the first one wraps.
pub struct LocalMasterKeys {
    keys: Vec<(String, LessSafeKey)>,
}

impl LocalMasterKeys {
    /// These keys, the one that wraps first.
    ///
    /// # Errors
    /// When there is none, or one has not [`KEY_BYTES`] bytes.
    pub fn new(keys: Vec<(String, Zeroizing<Vec<u8>>)>) -> Result<LocalMasterKeys, MasterKeyError> {
        if keys.is_empty() {
            return Err(MasterKeyError::Invalid("there is no key".to_owned()));
        }
        let ready = |(id, bytes): (String, Zeroizing<Vec<u8>>)| {
            let invalid = |_| MasterKeyError::Invalid(format!("key `{id}` has not {KEY_BYTES} bytes"));
            let key = cipher(&bytes).map_err(invalid)?;
            Ok((id, key))
        };
        Ok(LocalMasterKeys { keys: keys.into_iter().map(ready).collect::<Result<_, _>>()? })
    }

    /// The id of the key that wraps.
    #[must_use]
    pub fn first(&self) -> String {
        self.keys.first().map(|(id, _)| id.clone()).unwrap_or_default()
    }

    fn find(&self, id: &str) -> Result<&LessSafeKey, MasterKeyError> {
        let found = self.keys.iter().find(|(known, _)| known == id);
        found.map(|(_, key)| key).ok_or_else(|| MasterKeyError::Unknown(id.to_owned()))
    }

    fn wrap_now(&self, context: &[u8], key: &[u8]) -> Result<Wrapped, MasterKeyError> {
        let master_key = self.first();
        let bytes = encrypt(self.find(&master_key)?, &[FORM], context, key)
            .map_err(|error| MasterKeyError::Unavailable(error.to_string()))?;
        Ok(Wrapped { master_key, bytes })
    }

    fn unwrap_now(&self, context: &[u8], wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
        let key = self.find(&wrapped.master_key)?;
        let wrong = || MasterKeyError::Wrong(wrapped.master_key.clone());
        let sealed = wrapped.bytes.strip_prefix(&[FORM]).ok_or_else(wrong)?;
        decrypt(key, context, sealed).map_err(|_| wrong())
    }
}

impl MasterKeys for LocalMasterKeys {
    fn current(&self) -> BoxFuture<'_, Result<String, MasterKeyError>> {
        std::future::ready(Ok(self.first())).boxed()
    }

    fn wrap<'a>(
        &'a self,
        context: &'a [u8],
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Wrapped, MasterKeyError>> {
        std::future::ready(self.wrap_now(context, key)).boxed()
    }

    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, MasterKeyError>> {
        std::future::ready(self.unwrap_now(context, wrapped)).boxed()
    }
}

/// Master keys from text: one a line, its id, a colon, and its 32 bytes as base64. Empty lines and those that begin with
/// `#` are passed over. The first key is the one that wraps.
///
/// ```
/// use anamnesis_events::keys::parse_master_keys;
/// let keys = parse_master_keys("2026-11:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
/// assert_eq!(keys.first(), "2026-11");
/// ```
///
/// # Errors
/// When a line is not of that form, an id comes twice, or there is no key. The error names the line, not what is in it.
pub fn parse_master_keys(text: &str) -> Result<LocalMasterKeys, MasterKeyError> {
    let mut keys: Vec<(String, Zeroizing<Vec<u8>>)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| MasterKeyError::Invalid(format!("line {number}: {what}"));
        let (id, encoded) = line.split_once(':').ok_or_else(|| fault("it is not `id:base64`"))?;
        let id = id.trim();
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(|c| c.is_ascii_graphic()) {
            return Err(fault("the id is not 1 to 200 printable ASCII characters"));
        }
        if keys.iter().any(|(known, _)| known == id) {
            return Err(fault("the id comes twice"));
        }
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| fault("the key is not base64"))?;
        let bytes = Zeroizing::new(bytes);
        if bytes.len() != KEY_BYTES {
            return Err(fault("the key has not 32 bytes"));
        }
        keys.push((id.to_owned(), bytes));
        if keys.len() > KEYS_MAX {
            return Err(fault("there are more than 64 keys"));
        }
    }
    LocalMasterKeys::new(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const ONES: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn a_wrapped_key_comes_back_for_its_context_only() {
        let keys = parse_master_keys(&format!("# of November\n\nnew: {ONES}\nold:{ZEROS}\n")).unwrap();
        let old = parse_master_keys(&format!("old:{ZEROS}")).unwrap();
        let by_old = old.wrap_now(b"here", &[7; 32]).unwrap();
        assert_eq!(by_old.master_key, "old");
        assert_eq!(&keys.unwrap_now(b"here", &by_old).unwrap()[..], &[7; 32]);
        assert_eq!(keys.unwrap_now(b"there", &by_old), Err(MasterKeyError::Wrong("old".into())));
        let by_new = keys.wrap_now(b"here", &[7; 32]).unwrap();
        assert_eq!(by_new.master_key, "new");
        assert_eq!(old.unwrap_now(b"here", &by_new), Err(MasterKeyError::Unknown("new".into())));
        let other = parse_master_keys(&format!("new:{ZEROS}")).unwrap();
        assert_eq!(other.unwrap_now(b"here", &by_new), Err(MasterKeyError::Wrong("new".into())));
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_and_not_repeated() {
        for (text, fault) in [
            ("", "no key"),
            ("a", "line 1: it is not"),
            (&format!("a:{ZEROS}\na:{ONES}"), "line 2: the id comes twice"),
            ("\na:secret!", "line 2: the key is not base64"),
            ("a:c2VjcmV0", "line 1: the key has not 32 bytes"),
            (&format!(":{ZEROS}"), "line 1: the id"),
            (&format!("a b:{ZEROS}"), "line 1: the id"),
        ] {
            let told = parse_master_keys(text).err().unwrap().to_string();
            assert!(told.contains(fault), "{told}");
            assert!(!told.contains("secret") && !told.contains("c2VjcmV0"), "{told}");
        }
    }
}
