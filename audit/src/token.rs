//! Tokens: what records are looked for by, as numbers in a block's row.
//!
//! A token is the first eight bytes of a SHA-256 over what it is of and its value. Two values may share one; a search
//! looks at the records themselves as well. What nearly all records have (success, a RESTful operation) has none: it would
//! narrow nothing down.

use sha2::{Digest, Sha256};

use crate::record::{Action, Kind, Outcome, Record};

/// What a token is of. The numbers are stored and never change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    Subject = 1,
    Client = 2,
    Resource = 3,
    Name = 4,
    Address = 5,
    Entity = 6,
    EntityType = 7,
    Patient = 8,
    Action = 9,
    Outcome = 10,
    Kind = 11,
    Subtype = 12,
}

/// Characters of a name that its token covers: a search by the beginning of a name has at least these.
pub(crate) const NAME_CHARS: usize = 3;

/// The token of a value.
pub(crate) fn token(of: Of, value: &str) -> i64 {
    let digest: [u8; 32] = Sha256::new().chain_update([of as u8]).chain_update(value).finalize().into();
    i64::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 8]))
}

/// The tokens of a record.
pub(crate) fn tokens(record: &Record) -> Vec<i64> {
    let mut found = Vec::with_capacity(12);
    let agent = &record.agent;
    found.push(token(Of::Subject, &agent.subject));
    found.extend(agent.client.as_deref().map(|client| token(Of::Client, client)));
    found.extend(agent.resource.as_deref().map(|resource| token(Of::Resource, resource)));
    found.extend(agent.name.as_deref().and_then(name_prefix).map(|name| token(Of::Name, &name)));
    if let Some(address) = &agent.address {
        found.extend(address_prefixes(address).map(|prefix| token(Of::Address, prefix)));
    }
    for entity in &record.entities {
        found.push(token(Of::Entity, &entity.what));
        found.extend(type_of(&entity.what).map(|name| token(Of::EntityType, name)));
    }
    found.extend(record.patients.iter().map(|patient| token(Of::Patient, patient)));
    if record.action != Action::R {
        found.push(token(Of::Action, record.action.code()));
    }
    if record.outcome != Outcome::Success {
        found.push(token(Of::Outcome, record.outcome.code()));
    }
    if record.kind != Kind::Rest {
        found.push(token(Of::Kind, kind_name(record.kind)));
    }
    found.push(token(Of::Subtype, &record.subtype));
    if is_operation(&record.subtype) {
        found.push(token(Of::Subtype, OPERATION));
    }
    found
}

/// The code of all operations.
pub(crate) const OPERATION: &str = "operation";

/// Whether a subtype names an operation.
pub(crate) fn is_operation(subtype: &str) -> bool {
    subtype.starts_with('$')
}

/// The type in `Patient/1`.
pub(crate) fn type_of(reference: &str) -> Option<&str> {
    reference.split_once('/').map(|(name, _)| name)
}

/// What a sort of event is hashed as.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Rest => "rest",
        Kind::Authentication => "authentication",
        Kind::Application => "application",
        Kind::Export => "export",
        Kind::Alert => "alert",
    }
}

/// The beginning of a name, without case, where it is long enough.
pub(crate) fn name_prefix(name: &str) -> Option<String> {
    let prefix: String = name.chars().flat_map(char::to_lowercase).take(NAME_CHARS).collect();
    (prefix.chars().count() == NAME_CHARS).then_some(prefix)
}

/// The beginnings of an address up to each of its separators, the separator included; the last one without the last part.
/// Searches by address are by its beginning (R4 search.html#string).
pub(crate) fn address_prefixes(address: &str) -> impl DoubleEndedIterator<Item = &str> {
    address.match_indices(['.', ':']).filter_map(|(at, _)| address.get(..=at))
}
