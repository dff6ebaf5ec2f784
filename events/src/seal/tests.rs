//! What was sealed opens in its place and nowhere else, and no bytes make the parser fail otherwise than by an error.

use proptest::prelude::*;

use super::*;

fn key(number: u32) -> DataKey {
    DataKey::new(number, &[9; KEY_BYTES]).unwrap()
}

fn resource() -> ResourceKey {
    ResourceKey::new("Patient", "1")
}

fn place(key: &ResourceKey) -> Place<'_> {
    Place { log: &[1; 32], position: Position::new(5), key, version: Version::new(2) }
}

#[test]
fn a_body_costs_a_known_number_of_bytes_and_never_looks_the_same_twice() {
    let resource = resource();
    let sealed = key(3).seal(&place(&resource), b"frame", 77).unwrap();
    assert_eq!(sealed.len(), 5 + OVERHEAD_BYTES);
    assert_eq!(OVERHEAD_BYTES, 38);
    assert_eq!(Header::of(&sealed), Ok(Some(Header { key: 3, body_bytes: 77 })));
    assert_ne!(sealed, key(3).seal(&place(&resource), b"frame", 77).unwrap());
}

#[test]
fn a_moved_body_does_not_open() {
    let (resource, other_id, other_type) =
        (resource(), ResourceKey::new("Patient", "2"), ResourceKey::new("Person", "1"));
    let sealed = key(3).seal(&place(&resource), b"frame", 5).unwrap();
    let here = place(&resource);
    assert_eq!(&key(3).open(&here, &sealed).unwrap()[..], b"frame");
    for elsewhere in [
        Place { log: &[2; 32], ..here },
        Place { position: Position::new(6), ..here },
        Place { version: Version::new(3), ..here },
        Place { key: &other_id, ..here },
        Place { key: &other_type, ..here },
    ] {
        assert_eq!(key(3).open(&elsewhere, &sealed), Err(SealError::DoesNotOpen), "{elsewhere:?}");
    }
    let other = DataKey::new(3, &[8; KEY_BYTES]).unwrap();
    assert_eq!(other.open(&here, &sealed), Err(SealError::DoesNotOpen));
}

#[test]
fn every_changed_byte_is_noticed() {
    let resource = resource();
    let sealed = key(3).seal(&place(&resource), b"frame", 5).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(key(3).open(&place(&resource), &changed).is_err(), "byte {at}");
    }
    for length in 0..sealed.len() {
        assert!(key(3).open(&place(&resource), &sealed[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_frame_in_clear_is_none_and_an_unknown_form_is_named() {
    let frame = crate::codec::Encoder::new(1).unwrap().encode(b"{}").unwrap();
    assert_eq!(Header::of(&frame), Ok(None));
    assert_eq!(Header::of(&[]), Ok(None));
    assert_eq!(Header::of(&[MAGIC, 2, 0, 0]), Err(SealError::UnknownForm(2)));
    assert_eq!(Header::of(&[MAGIC, 1, 0, 0]), Err(SealError::CutOff));
    assert_eq!(Header::of(&[MAGIC]), Err(SealError::CutOff));
}

#[test]
fn a_key_shows_no_bytes() {
    assert_eq!(format!("{:?}", key(4)), "DataKey { number: 4, .. }");
    assert!(DataKey::new(1, &[0; 16]).is_err());
}

proptest! {
    #[test]
    fn every_body_comes_back(body in proptest::collection::vec(any::<u8>(), 0..2048), number: u32, at: u64) {
        let resource = resource();
        let place = Place { position: Position::new(at), ..place(&resource) };
        let sealed = key(number).seal(&place, &body, body.len()).unwrap();
        prop_assert_eq!(&key(number).open(&place, &sealed).unwrap()[..], &body[..]);
    }

    #[test]
    fn garbage_never_opens_and_never_panics(mut stored in proptest::collection::vec(any::<u8>(), 0..256), begin: bool) {
        if begin && let Some(place) = stored.get_mut(..2) {
            place.copy_from_slice(&[MAGIC, FORM]);
        }
        let _ = Header::of(&stored);
        prop_assert!(key(1).open(&place(&resource()), &stored).is_err());
    }
}
