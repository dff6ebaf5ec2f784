//! How bodies are stored: one zstd frame each, with a dictionary trained on FHIR JSON.
//!
//! A dictionary makes a small resource four times smaller than zstd alone, and faster to compress.
//! Each frame names its dictionary by number. Dictionaries ship with the program, are never changed or
//! removed, and new ones are only added: every body that was ever stored stays readable. An auditor
//! reads one with `zstd -d -D events/dictionaries/fhir-1.dict`.

use std::cell::RefCell;
use std::sync::LazyLock;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::DecoderDictionary;

use crate::seal;

/// The largest body that is read back, in bytes; a frame that claims more is refused before memory is
/// taken. Larger than any body that the server accepts.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Every dictionary that was ever used to write, by its number.
const DICTIONARIES: [(u32, &[u8]); 1] = [(1, include_bytes!("../dictionaries/fhir-1.dict"))];

/// Why a stored body could not be read, or a body could not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The frame names a dictionary that this program does not have.
    #[error("the body needs dictionary {0}, which this program does not have")]
    UnknownDictionary(u32),
    /// The frame does not say how large the body is, or says more than [`PAYLOAD_BYTES_MAX`].
    #[error("the body's size is missing or beyond the limit")]
    Size,
    /// The body could not be sealed.
    #[error(transparent)]
    Seal(#[from] seal::SealError),
    /// The bytes are not a zstd frame, or are damaged.
    #[error("the body is damaged: {0}")]
    Damaged(#[from] std::io::Error),
}

static DECODERS: LazyLock<Vec<(u32, DecoderDictionary<'static>)>> = LazyLock::new(|| {
    DICTIONARIES.iter().map(|(number, bytes)| (*number, DecoderDictionary::copy(bytes))).collect()
});

/// Compresses bodies with the newest dictionary. Keeps its working memory, so it is owned by whoever
/// writes and not shared.
pub struct Encoder {
    compressor: Compressor<'static>,
}

impl Encoder {
    /// An encoder of the given zstd level.
    pub fn new(level: i32) -> Result<Encoder, CodecError> {
        let compressor = match DICTIONARIES.last() {
            Some((_, bytes)) => Compressor::with_dictionary(level, bytes)?,
            None => Compressor::new(level)?,
        };
        Ok(Encoder { compressor })
    }

    /// The stored form of a body. An empty body is stored as no bytes.
    ///
    /// ```
    /// use anamnesis_events::codec::{Encoder, decode};
    /// let body = br#"{"resourceType":"Patient","id":"1"}"#;
    /// let stored = Encoder::new(1)?.encode(body)?;
    /// assert_eq!(&decode(&stored)?[..], body);
    /// # Ok::<(), anamnesis_events::codec::CodecError>(())
    /// ```
    pub fn encode(&mut self, body: &[u8]) -> Result<Vec<u8>, CodecError> {
        if body.is_empty() {
            return Ok(Vec::new());
        }
        if body.len() > PAYLOAD_BYTES_MAX {
            return Err(CodecError::Size);
        }
        Ok(self.compressor.compress(body)?)
    }
}

/// The body of a stored form.
///
/// # Errors
/// When the bytes are damaged, need an unknown dictionary or claim more than [`PAYLOAD_BYTES_MAX`].
pub fn decode(stored: &[u8]) -> Result<Bytes, CodecError> {
    if stored.is_empty() {
        return Ok(Bytes::new());
    }
    let size = match zstd::zstd_safe::get_frame_content_size(stored) {
        Ok(Some(size)) => usize::try_from(size).map_err(|_| CodecError::Size)?,
        _ => return Err(CodecError::Size),
    };
    if size > PAYLOAD_BYTES_MAX {
        return Err(CodecError::Size);
    }
    let dictionary = zstd::zstd_safe::get_dict_id_from_frame(stored).map_or(0, |number| number.get());
    with_decompressor(dictionary, |decompressor| {
        Ok(Bytes::from(decompressor.decompress(stored, size.max(1))?))
    })
}

/// The most bytes in which a stored form says how large its body is.
pub(crate) const HEADER_BYTES_MAX: usize = 18;

/// How large the body is by its first [`HEADER_BYTES_MAX`] bytes; 0 where they do not tell, or more than is read back:
/// such a body is refused when it is read.
pub(crate) fn size_of_body(header: &[u8]) -> usize {
    let told = match seal::Header::of(header) {
        Ok(Some(sealed)) => Some(u64::from(sealed.body_bytes)),
        _ => zstd::zstd_safe::get_frame_content_size(header).ok().flatten(),
    };
    let told = told.and_then(|size| usize::try_from(size).ok());
    told.filter(|size| *size <= PAYLOAD_BYTES_MAX).unwrap_or(0)
}

thread_local! {
    /// The last decompressor of this thread with its dictionary's number: making one costs more than
    /// decompressing a resource.
    static DECOMPRESSOR: RefCell<Option<(u32, Decompressor<'static>)>> = const { RefCell::new(None) };
}

fn with_decompressor<T>(
    dictionary: u32,
    work: impl FnOnce(&mut Decompressor<'static>) -> Result<T, CodecError>,
) -> Result<T, CodecError> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let kept = slot.take().filter(|(number, _)| *number == dictionary);
        let (_, decompressor) = slot.insert(match kept {
            Some(kept) => kept,
            None => (dictionary, decompressor(dictionary)?),
        });
        work(decompressor)
    })
}

fn decompressor(dictionary: u32) -> Result<Decompressor<'static>, CodecError> {
    if dictionary == 0 {
        return Ok(Decompressor::new()?);
    }
    DECODERS
        .iter()
        .find(|(number, _)| *number == dictionary)
        .map(|(_, prepared)| Decompressor::with_prepared_dictionary(prepared))
        .ok_or(CodecError::UnknownDictionary(dictionary))?
        .map_err(CodecError::Damaged)
}

#[cfg(test)]
mod tests;
