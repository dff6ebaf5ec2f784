//! Page tokens: where a page begins, and the state of the log that all pages of one search show.
//!
//! A token is opaque to clients. It holds no value of the query, but sort keys of the last row: it belongs into
//! links only, and not into logs.

use anamnesis_events::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// First byte of every token: another form gets another number.
const FORM: u8 = 1;
/// Sort keys of a query are few; a text key is at most 200 characters.
pub(super) const TOKEN_LENGTH_MAX: usize = 8192;

/// A value that results are sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyValue {
    Integer(i64),
    Text(String),
}

impl KeyValue {
    pub(crate) fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }
}

/// A row's place in the order of the results: its sort keys, and its position in the log, which no other row has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) keys: Vec<KeyValue>,
    pub(crate) seq: i64,
}

/// Everything that the next page needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageToken {
    /// The query that it belongs to.
    pub(crate) fingerprint: u64,
    /// All pages show the resources as they were when the log had reached this position.
    pub(crate) position: Position,
    /// The total that the first page had.
    pub(crate) total: Option<u64>,
    /// True: the page ends before `place`. False: it begins after it.
    pub(crate) backward: bool,
    pub(crate) place: Place,
}

impl PageToken {
    pub(crate) fn encode(&self) -> String {
        let mut bytes = vec![FORM, u8::from(self.backward)];
        bytes.extend(self.fingerprint.to_be_bytes());
        bytes.extend(self.position.get().to_be_bytes());
        bytes.extend(self.total.map_or(u64::MAX, |total| total).to_be_bytes());
        bytes.extend(self.place.seq.to_be_bytes());
        for key in &self.place.keys {
            match key {
                KeyValue::Integer(number) => {
                    bytes.push(b'i');
                    bytes.extend(number.to_be_bytes());
                }
                KeyValue::Text(text) => {
                    bytes.push(b't');
                    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        if text.len() > TOKEN_LENGTH_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut bytes = bytes.as_slice();
        if take(&mut bytes)? != [FORM] {
            return None;
        }
        let [backward] = take(&mut bytes)?;
        let fingerprint = u64::from_be_bytes(take(&mut bytes)?);
        let position = Position::new(u64::from_be_bytes(take(&mut bytes)?));
        let total = Some(u64::from_be_bytes(take(&mut bytes)?)).filter(|total| *total != u64::MAX);
        let seq = i64::from_be_bytes(take(&mut bytes)?);
        let mut keys = Vec::new();
        while !bytes.is_empty() {
            keys.push(match take(&mut bytes)? {
                [b'i'] => KeyValue::Integer(i64::from_be_bytes(take(&mut bytes)?)),
                [b't'] => {
                    let length = usize::try_from(u32::from_be_bytes(take(&mut bytes)?)).ok()?;
                    let (text, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    KeyValue::Text(String::from_utf8(text.to_vec()).ok()?)
                }
                _ => return None,
            });
        }
        Some(Self { fingerprint, position, total, backward: backward != 0, place: Place { keys, seq } })
    }
}

fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_are_read_as_they_were_written(
            fingerprint: u64, position: u64, total in proptest::option::of(0..u64::MAX), backward: bool, seq: i64,
            numbers: Vec<i64>, text: String,
        ) {
            let mut keys: Vec<_> = numbers.into_iter().map(KeyValue::Integer).collect();
            keys.push(KeyValue::Text(text));
            let position = Position::new(position);
            let token = PageToken { fingerprint, position, total, backward, place: Place { keys, seq } };
            let encoded = token.encode();
            prop_assume!(encoded.len() <= TOKEN_LENGTH_MAX);
            prop_assert_eq!(PageToken::decode(&encoded), Some(token));
        }

        #[test]
        fn anything_else_is_no_token(text: String) {
            prop_assert_eq!(PageToken::decode(&text), None);
        }
    }
}
