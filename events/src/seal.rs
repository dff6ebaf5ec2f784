//! The sealed form of a body: AES-256-GCM under the data key of its home compartment, over what the codec stores.
//!
//! ```text
//! A7 01                    says that it is sealed, in form 1; no zstd frame begins with A7
//! number of the data key   4 bytes, big-endian
//! length of the body       4 bytes, big-endian: unpacked, so that readers can bound their memory
//! nonce                    12 bytes, drawn at random for each body
//! ciphertext and tag       as long as the zstd frame, and 16 bytes
//! ```
//!
//! The first ten bytes and the [`Place`] of the body are authenticated with it: a sealed body that was moved to another
//! event, resource, version or log does not open. So a body costs 38 bytes more than in clear.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::{Position, ResourceKey, Version};

/// The length of a key, in bytes.
pub const KEY_BYTES: usize = 32;

/// By how many bytes the sealed form is longer than what it seals.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_LEN + TAG_BYTES;

/// The first byte of a sealed body. A zstd frame begins with `28`, a skippable one with `50` to `5F`.
const MAGIC: u8 = 0xA7;
const FORM: u8 = 1;
const HEADER_BYTES: usize = 10;
const TAG_BYTES: usize = 16;

/// Why a body could not be sealed or opened. Says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is of a form that this program does not know.
    #[error("the body is sealed in form {0}, which this program does not know")]
    UnknownForm(u8),
    /// It ends too early.
    #[error("the sealed body is cut off")]
    CutOff,
    /// It is sealed with another key, for another place, or was changed.
    #[error("the sealed body does not open: it was changed, moved, or sealed with another key")]
    DoesNotOpen,
    /// The system has no randomness, or the body is beyond what the cipher takes.
    #[error("the body could not be sealed")]
    Failed,
}

/// Whose body it is: what a sealed body is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The log's [`crate::envelope::genesis`].
    pub log: &'a [u8; 32],
    /// The position of the event.
    pub position: Position,
    /// The resource.
    pub key: &'a ResourceKey,
    /// The version that the event made.
    pub version: Version,
}

impl Place<'_> {
    /// What is authenticated: the header, then the place with every text after its length.
    fn bind(&self, header: [u8; HEADER_BYTES]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(self.log);
        bytes.extend_from_slice(&self.position.get().to_be_bytes());
        bytes.extend_from_slice(&self.version.get().to_be_bytes());
        for text in [&*self.key.resource_type, self.key.id.as_str()] {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

/// What stands in front of a sealed body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The number of the data key.
    pub key: u32,
    /// How long the body is, unpacked.
    pub body_bytes: u32,
}

impl Header {
    /// The header of a stored body; `None` where the body is in clear. The beginning of a body is enough.
    ///
    /// # Errors
    /// When the form is unknown or the header is cut off.
    pub fn of(stored: &[u8]) -> Result<Option<Header>, SealError> {
        match stored {
            [MAGIC, FORM, rest @ ..] => {
                let (key, rest) = rest.split_first_chunk::<4>().ok_or(SealError::CutOff)?;
                let (body_bytes, _) = rest.split_first_chunk::<4>().ok_or(SealError::CutOff)?;
                let (key, body_bytes) = (u32::from_be_bytes(*key), u32::from_be_bytes(*body_bytes));
                Ok(Some(Header { key, body_bytes }))
            }
            [MAGIC, form, ..] => Err(SealError::UnknownForm(*form)),
            [MAGIC] => Err(SealError::CutOff),
            _ => Ok(None),
        }
    }

    fn bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [MAGIC, FORM, 0, 0, 0, 0, 0, 0, 0, 0];
        let (_, fields) = bytes.split_at_mut(2);
        let (key, body) = fields.split_at_mut(4);
        key.copy_from_slice(&self.key.to_be_bytes());
        body.copy_from_slice(&self.body_bytes.to_be_bytes());
        bytes
    }
}

/// The key of one compartment. Its bytes are overwritten when it is dropped.
pub struct DataKey {
    number: u32,
    key: LessSafeKey,
}

impl DataKey {
    /// The key with this number.
    ///
    /// # Errors
    /// When these are not [`KEY_BYTES`] bytes.
    pub fn new(number: u32, bytes: &[u8]) -> Result<DataKey, SealError> {
        Ok(DataKey { number, key: cipher(bytes)? })
    }

    /// Its number in the database.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Seals the stored form of a body of this length.
    ///
    /// ```
    /// use anamnesis_events::seal::{DataKey, Place, draw_key};
    /// use anamnesis_events::{Position, ResourceKey, Version};
    /// let key = DataKey::new(7, &draw_key()?[..])?;
    /// let patient = ResourceKey::new("Patient", "1");
    /// let place = Place { log: &[0; 32], position: Position::new(1), key: &patient, version: Version::new(1) };
    /// let sealed = key.seal(&place, b"a zstd frame", 20)?;
    /// assert_eq!(&key.open(&place, &sealed)?[..], b"a zstd frame");
    /// # Ok::<(), anamnesis_events::seal::SealError>(())
    /// ```
    ///
    /// # Errors
    /// When the system has no randomness or the body is too long.
    pub fn seal(&self, place: &Place<'_>, stored: &[u8], body_bytes: usize) -> Result<Vec<u8>, SealError> {
        let body_bytes = u32::try_from(body_bytes).map_err(|_| SealError::Failed)?;
        let header = Header { key: self.number, body_bytes }.bytes();
        encrypt(&self.key, &header, &place.bind(header), stored)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// When it was sealed for another place or with another key, or was changed.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let header = Header::of(sealed)?.ok_or(SealError::DoesNotOpen)?.bytes();
        let rest = sealed.get(HEADER_BYTES..).ok_or(SealError::CutOff)?;
        decrypt(&self.key, &place.bind(header), rest)
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DataKey").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A new key.
///
/// # Errors
/// When the system has no randomness.
pub fn draw_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut bytes[..]).map_err(|_| SealError::Failed)?;
    Ok(bytes)
}

/// AES-256-GCM with this key.
pub(crate) fn cipher(bytes: &[u8]) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new).map_err(|_| SealError::Failed)
}

/// The prefix, a nonce drawn at random, the ciphertext and its tag.
pub(crate) fn encrypt(
    key: &LessSafeKey,
    prefix: &[u8],
    bound: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| SealError::Failed)?;
    let mut sealed = Vec::with_capacity(prefix.len() + NONCE_LEN + plain.len() + TAG_BYTES);
    sealed.extend_from_slice(prefix);
    sealed.extend_from_slice(&nonce);
    let begin = sealed.len();
    sealed.extend_from_slice(plain);
    let text = sealed.get_mut(begin..).unwrap_or_default();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag =
        (key.seal_in_place_separate_tag(nonce, Aad::from(bound), text)).map_err(|_| SealError::Failed)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// What was encrypted: of the nonce, the ciphertext and its tag.
pub(crate) fn decrypt(
    key: &LessSafeKey,
    bound: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::CutOff)?;
    let mut plain = Zeroizing::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length =
        key.open_in_place(nonce, Aad::from(bound), &mut plain).map_err(|_| SealError::DoesNotOpen)?.len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests;
