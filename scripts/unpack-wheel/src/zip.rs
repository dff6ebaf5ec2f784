//! Reads a zip archive as wheels are made: no encryption, no 64-bit extension, stored or deflated.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use flate2::Crc;
use flate2::read::DeflateDecoder;

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
/// The record at the end without its comment, and the longest comment.
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 0xffff;
/// Made on Unix: the upper half of the attributes is a mode.
const MADE_ON_UNIX: u8 = 3;

/// One file of the archive, as its directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) executable: bool,
    method: u16,
    checksum: u32,
    packed_bytes: usize,
    bytes: usize,
    offset: usize,
}

/// The directory of the archive.
pub(crate) fn entries(archive: &[u8]) -> Result<Vec<Entry>> {
    let earliest = archive.len().saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let end = (earliest..archive.len())
        .rev()
        .find(|at| archive.get(*at..*at + 4) == Some(&END_SIGNATURE[..]))
        .context("this is not a zip archive")?;
    slice(archive, end, END_BYTES)?;
    let count = number16(archive, end + 10)?;
    let mut at = number32(archive, end + 16)?;
    (0..count)
        .map(|_| {
            let (entry, next) = entry_at(archive, at)?;
            at = next;
            Ok(entry)
        })
        .collect()
}

fn entry_at(archive: &[u8], at: usize) -> Result<(Entry, usize)> {
    ensure!(slice(archive, at, 4)? == ENTRY_SIGNATURE, "the directory of the archive is damaged");
    let name_bytes = number16(archive, at + 28)?;
    let rest_bytes = number16(archive, at + 30)? + number16(archive, at + 32)?;
    let name =
        String::from_utf8(slice(archive, at + 46, name_bytes)?.to_vec()).context("a name is not UTF-8")?;
    let mode = number32(archive, at + 38)? >> 16;
    let on_unix = slice(archive, at + 5, 1)? == [MADE_ON_UNIX];
    ensure!(
        !on_unix || mode & 0o170_000 != 0o120_000,
        "{name} is a symbolic link, which wheels have none of"
    );
    let entry = Entry {
        executable: on_unix && mode & 0o100 != 0,
        method: u16::try_from(number16(archive, at + 10)?)?,
        checksum: u32::try_from(number32(archive, at + 16)?)?,
        packed_bytes: number32(archive, at + 20)?,
        bytes: number32(archive, at + 24)?,
        offset: number32(archive, at + 42)?,
        name,
    };
    Ok((entry, at + 46 + name_bytes + rest_bytes))
}

impl Entry {
    /// The content, checked against its length and checksum.
    pub(crate) fn content(&self, archive: &[u8]) -> Result<Vec<u8>> {
        ensure!(slice(archive, self.offset, 4)? == LOCAL_SIGNATURE, "the entry is damaged");
        let names = number16(archive, self.offset + 26)? + number16(archive, self.offset + 28)?;
        let packed = slice(archive, self.offset + 30 + names, self.packed_bytes)?;
        let content = match self.method {
            0 => packed.to_vec(),
            8 => {
                let mut content = Vec::new();
                // One byte more than there should be tells a lie about the length.
                let limit = u64::try_from(self.bytes)? + 1;
                DeflateDecoder::new(packed).take(limit).read_to_end(&mut content)?;
                content
            }
            other => bail!("the compression method {other} is not known"),
        };
        let mut checksum = Crc::new();
        checksum.update(&content);
        ensure!(content.len() == self.bytes && checksum.sum() == self.checksum, "the content is damaged");
        Ok(content)
    }
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Result<&[u8]> {
    bytes.get(at..at + length).context("the archive is cut off")
}

fn number16(bytes: &[u8], at: usize) -> Result<usize> {
    let number = slice(bytes, at, 2)?.try_into().map(u16::from_le_bytes)?;
    Ok(usize::from(number))
}

fn number32(bytes: &[u8], at: usize) -> Result<usize> {
    let number = slice(bytes, at, 4)?.try_into().map(u32::from_le_bytes)?;
    Ok(usize::try_from(number)?)
}
