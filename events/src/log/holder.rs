//! The holder of an identifier as its table keeps it: a UUID in 17 bytes, any other id as its text.
//!
//! The SQL function `anamnesis.holder` says the same for whoever compares inside of the database.

use uuid::Uuid;

const UUID: u8 = 0;
const TEXT: u8 = 1;

/// The bytes for an id.
pub(crate) fn to_bytes(id: &str) -> Vec<u8> {
    let mut canonical = Uuid::encode_buffer();
    match Uuid::try_parse(id) {
        // Other forms of a UUID (upper case, without dashes) are other ids.
        Ok(uuid) if uuid.hyphenated().encode_lower(&mut canonical) == id => {
            [&[UUID], uuid.as_bytes().as_slice()].concat()
        }
        _ => [&[TEXT], id.as_bytes()].concat(),
    }
}

/// The id of bytes. What [`to_bytes`] never makes is a holder all the same, of an id that nobody has: whoever requires
/// the identifier to be free is refused.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match bytes.split_first() {
        Some((&UUID, uuid)) => Uuid::from_slice(uuid).map_or_else(|_| text(bytes), |uuid| uuid.to_string()),
        Some((&TEXT, id)) => text(id),
        _ => text(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uuids_in_their_usual_form_are_short() {
        let usual = "01a21bb3-e791-7628-9cec-2e6c4d8811e2";
        assert_eq!(to_bytes(usual).len(), 17);
        for other in [&usual.to_uppercase(), &usual.replace('-', ""), &format!("urn:uuid:{usual}")] {
            assert_eq!(to_bytes(other).len(), other.len() + 1);
            assert_eq!(&from_bytes(&to_bytes(other)), other);
        }
    }

    #[test]
    fn damaged_bytes_are_a_holder_too() {
        for bytes in [&[] as &[u8], &[UUID], &[UUID, 1, 2], &[TEXT, 0xff], &[2, b'a']] {
            assert_ne!(to_bytes(&from_bytes(bytes)), bytes);
        }
    }

    proptest! {
        #[test]
        fn ids_are_read_as_they_were_written(id: String, uuid: u128) {
            for id in [id, Uuid::from_u128(uuid).to_string()] {
                prop_assert_eq!(from_bytes(&to_bytes(&id)), id);
            }
        }
    }
}
