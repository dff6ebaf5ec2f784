//! 64-bit keys of everything that is searched for exactly: a hash over log, resource type, parameter and value.
//!
//! A key is the beginning of a SHA-256, so that nobody can make a value meet that of somebody else. The log and the
//! type are part of it: one index serves all, and a search never looks at another workspace's rows. Keys lie between
//! [`KEY_MIN`] and [`super::target::TARGET_MIN`]; what is outside says which resource a row is of, and which ones it
//! refers to, see [`super::target`].

use sha2::{Digest, Sha256};

/// The least key: a quarter of the numbers lies below it, and a quarter above the greatest.
pub(crate) const KEY_MIN: i64 = i64::MIN >> 1;

/// What kind of statement about a parameter's values a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The resource has a value for the parameter: `:missing`.
    Present,
    /// Token: the code, whatever its system.
    Code,
    /// Token: system and code.
    SystemCode,
    /// Token: any code of the system.
    System,
    /// Token: the code, without a system.
    NoSystem,
    /// The resource has no value for a parameter for which nearly every resource has one: `:missing`.
    Absent,
    /// Token: type and value of an identifier.
    OfType,
    /// Token: the first part of a media type, whatever its second one.
    MediaType,
    /// Reference: a canonical address that names a version, without it (R4 references.html#canonical).
    AnyVersion,
    /// The family of places.
    Place,
    /// Reference: the number with which [`super::target::Target::referred_by`] makes the keys of targets.
    Target,
    /// Reference: system and value of the target's identifier.
    IdentifierSystemValue,
    /// Reference: value of the target's identifier, whatever its system.
    IdentifierValue,
    /// String: the text exactly as it is.
    Exact,
    /// String: the family of its folded texts.
    Folded,
    /// Token and reference: the family of its labels, see [`super::label`].
    Label,
    /// A word of a text, see [`super::full_text`].
    Word,
    /// Uri or canonical, as it is.
    Uri,
    /// Uri: one of the addresses above it.
    UriBelow,
    /// Date, number, or a quantity's number in whatever unit: the family of its spans.
    Span,
    /// Quantity: the family of spans in one canonical UCUM unit.
    SpanCanonical,
    /// Quantity: the family of spans with one system and code that is not of UCUM.
    SpanCoded,
    /// Quantity: the family of spans with one unit or code as it was given.
    SpanUnit,
}

impl Class {
    /// Part of the hash: never to be changed without a new version of the projection.
    fn tag(self) -> u8 {
        match self {
            Self::Present => b'p',
            Self::Code => b'c',
            Self::SystemCode => b's',
            Self::System => b'y',
            Self::NoSystem => b'n',
            Self::Absent => b'a',
            Self::OfType => b't',
            Self::MediaType => b'm',
            Self::AnyVersion => b'w',
            Self::Place => b'l',
            Self::Target => b'r',
            Self::IdentifierSystemValue => b'i',
            Self::IdentifierValue => b'v',
            Self::Exact => b'x',
            Self::Folded => b'f',
            Self::Label => b'd',
            Self::Word => b'o',
            Self::Uri => b'u',
            Self::UriBelow => b'b',
            Self::Span => b'0',
            Self::SpanCanonical => b'2',
            Self::SpanCoded => b'3',
            Self::SpanUnit => b'4',
        }
    }
}

/// Makes the keys of one search parameter of one resource type in one log.
#[derive(Debug, Clone)]
pub(crate) struct ParameterKey {
    log: i16,
    seed: [u8; 16],
}

impl ParameterKey {
    pub(crate) fn new(log: i16, resource_type: &str, code: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(log.to_be_bytes());
        hash.update(resource_type);
        hash.update([0]);
        hash.update(code);
        let mut seed = [0; 16];
        seed.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Self { log, seed }
    }

    /// The key of a statement with these parts. Parts are kept apart: `["a", "bc"]` is not `["ab", "c"]`.
    pub(crate) fn of(&self, class: Class, parts: &[&str]) -> i64 {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update([class.tag()]);
        for part in parts {
            hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(part);
        }
        key_of(hash)
    }

    /// The keys of a part of a composite parameter.
    pub(crate) fn part(&self, number: u8) -> Self {
        let mut seed = self.seed;
        if let Some(last) = seed.last_mut() {
            *last ^= number.wrapping_add(1);
        }
        Self { seed, ..*self }
    }

    /// The number with which the keys of a reference parameter's targets are made.
    pub(crate) fn references(&self) -> i64 {
        self.of(Class::Target, &[])
    }

    /// The log that it is of.
    pub(crate) fn log(&self) -> i16 {
        self.log
    }
}

/// The key that a hash gives.
pub(super) fn key_of(hash: Sha256) -> i64 {
    let mut key = [0; 8];
    key.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    i64::from_be_bytes(key) >> 1
}

/// The key of two values that one element has together.
pub(crate) fn pair(one: i64, other: i64) -> i64 {
    let mut hash = Sha256::new();
    hash.update(one.to_be_bytes());
    hash.update(other.to_be_bytes());
    // Longer than the hash of a reference, which is of two numbers alone.
    hash.update("pair");
    key_of(hash)
}

/// Makes the key of a family of spans into that of its latest beginning, see [`super::entries::Entries::finish`].
pub(crate) fn last_of(family: i64) -> i64 {
    const LAST: i64 = 0x5bd1_e995_9e37_79b9;
    family ^ LAST
}

/// Makes the key of a family of texts into that of the pieces of long ones, see [`super::string`].
pub(crate) fn pieces_of(family: i64) -> i64 {
    const PIECES: i64 = 0x2c1b_3c6d_297a_2d39;
    family ^ PIECES
}

/// The number by which the tables know a resource type: stable whatever types there are (FNV-1a, 32 bits).
pub(crate) fn type_number(resource_type: &str) -> i32 {
    const OFFSET: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let hash = resource_type.bytes().fold(OFFSET, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME));
    i32::from_be_bytes(hash.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let key = ParameterKey::new(1, "Patient", "identifier");
        assert_ne!(key.of(Class::SystemCode, &["a", "bc"]), key.of(Class::SystemCode, &["ab", "c"]));
        assert_ne!(key.of(Class::Code, &["a"]), key.of(Class::NoSystem, &["a"]));
        assert_ne!(
            key.of(Class::Code, &["a"]),
            ParameterKey::new(2, "Patient", "identifier").of(Class::Code, &["a"])
        );
    }

    #[test]
    fn keys_never_change_within_a_version() {
        assert_eq!(
            ParameterKey::new(1, "Patient", "gender").of(Class::Code, &["male"]),
            4_477_657_301_176_539_605
        );
        assert_eq!(type_number("Patient"), 126_823_934);
    }

    #[test]
    fn keys_lie_between_those_of_resources() {
        let key = ParameterKey::new(1, "Patient", "gender");
        for number in 0..200 {
            let key = key.of(Class::Code, &[&number.to_string()]);
            assert!((KEY_MIN..crate::search::target::TARGET_MIN).contains(&key), "{key}");
        }
    }

    #[test]
    fn resource_types_have_different_numbers() {
        let types = anamnesis_fhir::definitions::r4().resource_types();
        let numbers: std::collections::HashSet<i32> = types.iter().map(|name| type_number(name)).collect();
        assert_eq!(numbers.len(), types.len());
    }
}
