//! The archive of a package: gzip around tar (POSIX ustar and pax), read in one pass within bounds.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::PackageError;

/// Bytes of a whole archive after unpacking. R4's own package has some 250 MB; what unpacks to more is no package.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of one file: as much as a request may have by default.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Files of one archive. R4's own package has 4,600.
const FILES_MAX: usize = 50_000;
/// A tar archive is made of blocks of this size.
const BLOCK: usize = 512;

/// Calls `take` with the name and the bytes of each JSON file that stands right in the folder `package`.
pub(super) fn read(
    path: &Path,
    mut take: impl FnMut(&str, Vec<u8>) -> Result<(), String>,
) -> Result<(), PackageError> {
    let unreadable = |source| PackageError::Unreadable { path: path.to_owned(), source };
    let refuse = |reason: String| PackageError::Refused { path: path.to_owned(), reason };
    let file = File::open(path).map_err(unreadable)?;
    let mut unpacked = MultiGzDecoder::new(BufReader::new(file)).take(UNPACKED_BYTES_MAX);
    let mut long_name = None;
    for _ in 0..FILES_MAX {
        let mut header = [0; BLOCK];
        match unpacked.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && unpacked.limit() == 0 => {
                return Err(refuse(format!("it unpacks to more than {UNPACKED_BYTES_MAX} bytes")));
            }
            Err(error) => return Err(unreadable(error)),
        }
        // An empty block ends the archive.
        if header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let entry = Entry::of(&header).map_err(refuse)?;
        if entry.size > FILE_BYTES_MAX {
            return Err(refuse(format!("one of its files has more than {FILE_BYTES_MAX} bytes")));
        }
        let mut bytes = Vec::new();
        let padded = entry.size.next_multiple_of(BLOCK as u64);
        let found = (&mut unpacked).take(padded).read_to_end(&mut bytes).map_err(unreadable)?;
        if (found as u64) < padded {
            return Err(refuse("it ends in the middle of a file, or unpacks to too much".to_owned()));
        }
        bytes.truncate(usize::try_from(entry.size).unwrap_or(usize::MAX));
        match entry.kind {
            b'x' => long_name = pax_path(&bytes),
            b'L' => long_name = Some(text(&bytes)),
            b'g' | b'5' => {}
            b'0' | 0 => {
                let name = long_name.take().unwrap_or(entry.name);
                let inside = inside_package(&name).map_err(refuse)?;
                if let Some(name) = inside.filter(|name| name.ends_with(".json")) {
                    take(name, bytes).map_err(refuse)?;
                }
            }
            _ => return Err(refuse("it holds a link or a special file, which no package does".to_owned())),
        }
    }
    Err(refuse(format!("it has more than {FILES_MAX} files")))
}

/// What a header says.
struct Entry {
    name: String,
    size: u64,
    kind: u8,
}

impl Entry {
    fn of(header: &[u8; BLOCK]) -> Result<Self, String> {
        let field = |from: usize, to: usize| header.get(from..to).unwrap_or_default();
        // The sum over the header, with blanks in the place of the sum itself.
        let own = header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) });
        let is_tar = octal(field(148, 156)) == Some(own.sum());
        let size = octal(field(124, 136)).filter(|_| is_tar).ok_or("it is no tar archive")?;
        let (name, prefix) = (text(field(0, 100)), text(field(345, 500)));
        let has_prefix = field(257, 262) == b"ustar" && !prefix.is_empty();
        let name = if has_prefix { format!("{prefix}/{name}") } else { name };
        Ok(Self { name, size, kind: header.get(156).copied().unwrap_or(0) })
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let digits = text(bytes);
    let digits = digits.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// The path in the records of a pax header: `27 path=package/….json\n`.
fn pax_path(bytes: &[u8]) -> Option<String> {
    let records = String::from_utf8_lossy(bytes);
    let path = records.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path="))?;
    Some(path.to_owned())
}

/// The name of a file right in the folder `package`; nothing for files elsewhere.
fn inside_package(name: &str) -> Result<Option<&str>, String> {
    let is_unsafe = name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..");
    if is_unsafe {
        return Err("one of its paths leads out of it".to_owned());
    }
    let name = name.strip_prefix("./").unwrap_or(name);
    Ok(name.strip_prefix("package/").filter(|name| !name.contains('/')))
}
