//! How large code systems are cut into fragments: by the command that loads them, and by `$import`.

use sha2::{Digest, Sha256};

/// Concepts of one fragment: what is kept in memory whole.
pub const FRAGMENT_CONCEPTS_MAX: usize = super::WHOLE_MAX;
/// Levels of nested concepts: as many as the engine reads.
pub const FRAGMENT_NESTING_MAX: usize = anamnesis_fhir::terminology::CONCEPT_NESTING_MAX;
/// Members of a CodeSystem that its fragments have as well: what it says about itself, and how many concepts there are in all.
pub const FRAGMENT_MEMBERS: [&str; 12] = [
    "url",
    "version",
    "name",
    "title",
    "status",
    "experimental",
    "publisher",
    "copyright",
    "caseSensitive",
    "hierarchyMeaning",
    "count",
    "property",
];
/// Bytes of the concepts of one fragment, far below what a server takes in one body.
pub const FRAGMENT_BYTES_MAX: usize = 4 << 20;

/// An R4 id that names system and version: something to read, and a hash.
#[must_use]
pub fn fragment_name(url: &str, version: &str) -> String {
    let tail = url.rsplit(['/', ':']).find(|part| !part.is_empty()).unwrap_or("system");
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '.';
    let tail: String = tail.chars().filter(is_plain).take(24).collect();
    let digest: [u8; 32] = Sha256::digest(format!("{url}|{version}")).into();
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{tail}-{hash}")
}
