//! What nobody may guess: random values, and the digests by which they are known.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid};

use crate::error::SmartError;

/// Random bytes of an opaque value; 256 bits, so that nobody finds one by trying.
const BYTES: usize = 32;

/// A new value that nobody can guess: 43 characters that need no escaping in addresses, forms and headers.
pub(crate) fn opaque() -> Result<String, SmartError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<BYTES>()?))
}

/// A new random identifier (RFC 9562 version 4).
pub(crate) fn identifier() -> Result<Uuid, SmartError> {
    Ok(Builder::from_random_bytes(random::<16>()?).into_uuid())
}

/// By what an opaque value is known in the tables, so that who reads them can use none.
pub(crate) fn digest_of(value: &str) -> Vec<u8> {
    digest(&SHA256, value.as_bytes()).as_ref().to_vec()
}

fn random<const N: usize>() -> Result<[u8; N], SmartError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SmartError::Cryptography("making something random"))?;
    Ok(bytes)
}

/// Whether two digests are the same, in a time that does not tell where they differ.
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// The bytes of a text in hex; `None` where it is none.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Bytes in hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
