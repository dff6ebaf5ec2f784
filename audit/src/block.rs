//! A block: the records of one commit as bytes.
//!
//! The first byte says how the rest is stored: 0 as it is, 1 compressed by zstd with its length in front (4 bytes,
//! big-endian). The rest is, for each record in order: its time in microseconds since 1970 (8 bytes), the length of its JSON
//! (4 bytes), both big-endian, and its JSON. Their numbers are those of the block's row.

use chrono::{DateTime, Utc};

/// Smaller blocks are stored as they are: compressing a record by itself saves little.
const COMPRESSED_BYTES_MIN: usize = 1024;
/// The quickest level: records of one block are alike.
const LEVEL: i32 = 1;
/// A block that says it is larger is damaged: one commit has at most a few megabytes.
const BYTES_MAX: usize = 64 << 20;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the block is damaged: {0}")]
pub struct BlockError(&'static str);

/// A block being filled.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + 1);
        bytes.push(PLAIN);
        Self { bytes }
    }

    pub(crate) fn push(&mut self, recorded_at: DateTime<Utc>, record: &[u8]) {
        self.bytes.extend_from_slice(&recorded_at.timestamp_micros().to_be_bytes());
        self.bytes.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes.extend_from_slice(record);
    }

    /// The bytes to be stored.
    pub(crate) fn finish(self, compressor: &mut zstd::bulk::Compressor<'static>) -> Vec<u8> {
        let plain = self.bytes.get(1..).unwrap_or_default();
        if plain.len() < COMPRESSED_BYTES_MIN {
            return self.bytes;
        }
        let Ok(compressed) = compressor.compress(plain) else { return self.bytes };
        let Ok(length) = u32::try_from(plain.len()) else { return self.bytes };
        let mut out = Vec::with_capacity(compressed.len() + 5);
        out.push(ZSTD);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&compressed);
        if out.len() < self.bytes.len() { out } else { self.bytes }
    }
}

/// A compressor for blocks.
pub(crate) fn compressor() -> std::io::Result<zstd::bulk::Compressor<'static>> {
    zstd::bulk::Compressor::new(LEVEL)
}

/// A record's time and its JSON.
pub type Raw = (DateTime<Utc>, Vec<u8>);

/// The records of a block in order.
///
/// # Errors
/// The bytes are no block.
pub fn read(stored: &[u8]) -> Result<Vec<Raw>, BlockError> {
    let plain;
    let mut rest = match stored.split_first() {
        Some((&PLAIN, rest)) => rest,
        Some((&ZSTD, rest)) => {
            let (length, compressed) = take::<4>(rest).ok_or(BlockError("it has no length"))?;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > BYTES_MAX {
                return Err(BlockError("it is too long"));
            }
            plain = zstd::bulk::decompress(compressed, length)
                .map_err(|_| BlockError("it cannot be unpacked"))?;
            // Nothing at all unpacks to nothing without an error.
            if plain.len() != length {
                return Err(BlockError("it is cut off"));
            }
            &plain
        }
        _ => return Err(BlockError("its form is unknown")),
    };
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (time, behind) = take::<8>(rest).ok_or(BlockError("a record has no time"))?;
        let (length, behind) = take::<4>(behind).ok_or(BlockError("a record has no length"))?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let (record, behind) = behind.split_at_checked(length).ok_or(BlockError("a record is cut off"))?;
        let time = DateTime::from_timestamp_micros(i64::from_be_bytes(time))
            .ok_or(BlockError("a record has no possible time"))?;
        records.push((time, record.to_vec()));
        rest = behind;
    }
    Ok(records)
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk().map(|(first, rest)| (*first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::new(0);
        for (second, record) in (0..).zip(records) {
            writer.push(DateTime::from_timestamp(second, 0).unwrap(), record);
        }
        writer.finish(&mut compressor().unwrap())
    }

    #[test]
    fn small_and_large_blocks_come_back_as_they_were() {
        let large = vec![b'a'; 5000];
        for records in [vec![], vec![&b"{}"[..]], vec![&large[..], b"", b"x"]] {
            let stored = written(&records);
            let read = read(&stored).unwrap();
            let bodies: Vec<&[u8]> = read.iter().map(|(_, body)| &body[..]).collect();
            assert_eq!(bodies, records);
            assert!(read.iter().zip(0..).all(|((time, _), second)| time.timestamp() == second));
        }
        assert!(written(&[&large]).len() < 200, "large blocks are compressed");
    }

    #[test]
    fn what_is_cut_off_or_changed_is_no_block() {
        let large = vec![b'a'; 5000];
        for stored in [written(&[b"abc"]), written(&[&large])] {
            for length in 0..stored.len() {
                let cut = read(&stored[..length]);
                assert!(cut.is_err() || length == 1, "{length} of {}", stored.len());
            }
        }
        assert!(read(&[2, 0]).is_err());
        assert!(read(&[ZSTD, 255, 255, 255, 255, 0]).is_err());
    }
}
