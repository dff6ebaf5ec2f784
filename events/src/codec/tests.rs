//! Bodies come back as they went in, damaged ones are refused, and none can claim endless memory.

use proptest::prelude::*;

use super::*;

#[test]
fn a_small_resource_gets_much_smaller() {
    let body = br#"{"resourceType":"Observation","id":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00.000000Z"},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}],"text":"Heart rate"},"subject":{"reference":"Patient/6f9619ff-8b86-4d01-b42d-00cf4fc964fe"},"effectiveDateTime":"2026-01-01T00:00:00Z","valueQuantity":{"value":72,"unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"}}"#;
    let stored = Encoder::new(1).unwrap().encode(body).unwrap();
    assert!(stored.len() * 3 < body.len(), "{} of {} bytes", stored.len(), body.len());
    assert_eq!(decode(&stored).unwrap(), &body[..]);
}

#[test]
fn the_dictionary_carries_its_number() {
    for (number, bytes) in DICTIONARIES {
        assert_eq!(zstd::zstd_safe::get_dict_id_from_dict(bytes).map(|id| id.get()), Some(number));
    }
    let stored = Encoder::new(1).unwrap().encode(b"{}").unwrap();
    assert_eq!(zstd::zstd_safe::get_dict_id_from_frame(&stored).map(|id| id.get()), Some(1));
}

#[test]
fn an_unknown_dictionary_is_named() {
    let mut stored = Encoder::new(1).unwrap().encode(b"{\"resourceType\":\"Patient\"}").unwrap();
    let number = stored.iter().skip(5).position(|byte| *byte == 1).unwrap() + 5;
    stored[number] = 99;
    assert!(matches!(decode(&stored), Err(CodecError::UnknownDictionary(99))));
}

#[test]
fn a_frame_that_claims_too_much_is_refused_before_memory_is_taken() {
    let bomb = zstd::bulk::compress(&vec![0; PAYLOAD_BYTES_MAX + 1], 1).unwrap();
    assert!(matches!(decode(&bomb), Err(CodecError::Size)));
}

#[test]
fn a_frame_without_dictionary_is_read() {
    let stored = zstd::bulk::compress(b"hello", 3).unwrap();
    assert_eq!(&decode(&stored).unwrap()[..], b"hello");
}

proptest! {
    #[test]
    fn every_body_comes_back(body in proptest::collection::vec(any::<u8>(), 0..4096), level in 1..=3) {
        let stored = Encoder::new(level).unwrap().encode(&body).unwrap();
        prop_assert_eq!(&decode(&stored).unwrap()[..], &body[..]);
    }

    #[test]
    fn garbage_never_panics(stored in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode(&stored);
    }

    #[test]
    fn a_damaged_frame_never_panics(at in 0usize..60, byte in any::<u8>()) {
        let mut stored = Encoder::new(1).unwrap().encode(&[b'a'; 400]).unwrap();
        if let Some(place) = stored.get_mut(at) {
            *place = byte;
        }
        let _ = decode(&stored);
    }
}
