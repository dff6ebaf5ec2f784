//! Token parameters.

use std::sync::Arc;

use anamnesis_fhir::terminology::{Direction, ListError, Membership, SystemCode, Terminology};
use anamnesis_projections::search::ParseOptions;
use serde_json::json;

use crate::world::{World, expect};

#[tokio::test]
async fn tokens_are_found_by_code_and_system() {
    let world = World::new().await;
    let observation = |id: &str, status: &str, coding: serde_json::Value| json!({"resourceType": "Observation", "id": id, "status": status, "code": {"coding": [coding]}});
    world
        .put([
            observation("a", "final", json!({"system": "http://loinc.org", "code": "8480-6"})),
            observation("b", "final", json!({"system": "http://other.org", "code": "8480-6"})),
            observation("c", "amended", json!({"code": "8480-6"})),
            observation("d", "amended", json!({"system": "http://loinc.org", "code": "x,y|z"})),
            json!({"resourceType": "Observation", "id": "e", "status": "final", "code": {"text": "no coding"}}),
            json!({"resourceType": "Patient", "id": "p", "active": true, "identifier": [
                {"system": "urn:mrn", "value": "1"}, {"value": "2"}],
                "telecom": [{"system": "phone", "value": "555-1"},
                    {"system": "email", "value": "a@b.c", "use": "home"}]}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?code=8480-6", "a b c"),
            ("Observation?code=http://loinc.org|8480-6", "a"),
            ("Observation?code=|8480-6", "c"),
            ("Observation?code=http://loinc.org|", "a d"),
            ("Observation?code=http://loinc.org|8480-6,http://other.org|8480-6", "a b"),
            (r"Observation?code=x\,y\|z", "d"),
            (r"Observation?code=http://loinc.org|x\,y\|z", "d"),
            ("Observation?code=8480-6&status=final", "a b"),
            ("Observation?code=8480-6&code=|8480-6", "c"),
            ("Observation?code:not=8480-6", "d e"),
            ("Observation?code:not=http://loinc.org|8480-6,|8480-6", "b d e"),
            ("Observation?status=final&code:not=8480-6", "e"),
            // A concept with a text alone is a value, though no code finds it.
            ("Observation?code:missing=true", ""),
            ("Observation?category:missing=true", "a b c d e"),
            ("Observation?category:missing=false", ""),
            ("Observation?category:missing=true&status=amended", "c d"),
            ("Observation?status:missing=true", ""),
            ("Observation?status:missing=false&status=amended", "c d"),
            ("Observation?subject:missing=true", "a b c d e"),
            ("Observation?subject:missing=false", ""),
            ("Observation?combo-code:missing=true", ""),
            ("Observation?combo-code:missing=false&status=amended", "c d"),
            ("Observation?combo-value-concept:missing=true&status=amended", "c d"),
            // A status has no system of its own: it is that of the value set to which the element is bound.
            ("Observation?status=|amended", "c d"),
            ("Observation?status=http://hl7.org/fhir/observation-status|amended", "c d"),
            ("Observation?status=http://hl7.org/fhir/observation-status|&code=8480-6", "a b c"),
            ("Observation?status=http://hl7.org/fhir/event-status|amended", ""),
            ("Observation?status:not=http://hl7.org/fhir/observation-status|amended", "a b e"),
            ("Observation?_id:not=a,b", "c d e"),
            ("Patient?active=http://terminology.hl7.org/CodeSystem/special-values|true", "p"),
            ("Observation?combo-code=8480-6&status=final", "a b"),
            ("Observation?combo-code:not=8480-6", "d e"),
            ("Observation?component-code=8480-6", ""),
            ("Patient?active=true", "p"),
            ("Patient?active=false", ""),
            ("Patient?identifier=urn:mrn|1", "p"),
            ("Patient?identifier=urn:mrn|2", ""),
            ("Patient?identifier=|2", "p"),
            ("Patient?phone=555-1", "p"),
            ("Patient?email=555-1,work|a@b.c", ""),
            ("Patient?telecom=a@b.c", "p"),
            // What it is used for stands in place of a system.
            ("Patient?email=home|a@b.c", "p"),
            ("Observation?_id=a,c,zzz", "a c"),
            ("Observation?_id:missing=false&status=amended", "c d"),
            ("Observation?_lastUpdated:missing=true", ""),
            ("Patient?_lastUpdated:missing=false", "p"),
            ("?_id=p", "p"),
            ("?_id=p,a&_type=Patient,Observation", "a p"),
        ],
    )
    .await;
}

/// One type has a value nearly always and the other may have none, so that their rows say it in opposite ways.
#[tokio::test]
async fn missing_values_are_found_over_types() {
    let world = World::new().await;
    world
        .put([
            json!({"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "x"}}),
            json!({"resourceType": "Observation", "id": "b", "status": "final"}),
            json!({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}}),
            json!({"resourceType": "Condition", "id": "d", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}),
            json!({"resourceType": "Patient", "id": "p"}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?code:missing=true", "b"),
            ("Observation?code:missing=false", "a"),
            ("Patient/p/*?_type=Condition&code:missing=true", "c"),
            ("Patient/p/*?_type=Condition&code:missing=false", "d"),
            ("Observation?combo-code:missing=true", "b"),
            ("Observation?combo-code:missing=false", "a"),
        ],
    )
    .await;
}

#[tokio::test]
async fn identifiers_are_found_by_their_type_and_media_by_their_kind() {
    let world = World::new().await;
    let coding =
        |code: &str| json!({"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code});
    world
        .put([
            json!({"resourceType": "Patient", "id": "a", "identifier": [
                {"type": {"coding": [coding("MR"), coding("PI")]}, "system": "urn:mrn", "value": "1"}, {"value": "2"}]}),
            json!({"resourceType": "Patient", "id": "b", "identifier": [{"type": {"coding": [coding("SS")]}, "value": "1"}]}),
            json!({"resourceType": "DocumentReference", "id": "i", "status": "current", "content": [
                {"attachment": {"contentType": "image/png"}}]}),
            json!({"resourceType": "DocumentReference", "id": "t", "status": "current", "content": [
                {"attachment": {"contentType": "text/plain"}}]}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|1", "a"),
            ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|PI|1", "a"),
            ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|1", "b"),
            ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|2", ""),
            ("DocumentReference?contenttype:below=image", "i"),
            ("DocumentReference?contenttype:below=image/png", "i"),
            ("DocumentReference?contenttype:below=text,image", "i t"),
            ("DocumentReference?contenttype=image", ""),
        ],
    )
    .await;
}

/// Two codes in a set, of which one has no system where it stands.
struct Sets;

impl Terminology for Sets {
    fn validate_code(&self, _value_set: &str, _system: Option<&str>, _code: &str) -> Membership {
        Membership::Unknown
    }

    fn codes(&self, value_set: &str, _codes_max: usize) -> Result<Vec<SystemCode>, ListError> {
        let code = |system: &str, code: &str| SystemCode { system: system.into(), code: code.into() };
        match value_set {
            "http://example.org/vs" => {
                Ok(vec![code("urn:s", "a"), code("urn:s", "b"), code("urn:status", "final")])
            }
            other => Err(ListError::UnknownValueSet(other.to_owned())),
        }
    }

    fn related(
        &self,
        _system: &str,
        code: &str,
        direction: Direction,
        _codes_max: usize,
    ) -> Result<Vec<String>, ListError> {
        let other = if direction == Direction::Below { "b" } else { "top" };
        Ok(vec![code.to_owned(), other.to_owned()])
    }
}

#[tokio::test]
async fn codes_are_found_by_what_terminology_says_of_them() {
    let mut world = World::new().await;
    let observation = |id: &str, system: &str, code: &str| {
        json!({"resourceType": "Observation", "id": id, "status":
        if id == "d" { "amended" } else { "final" }, "code": {"coding": [{"system": system, "code": code}]}})
    };
    world
        .put([
            observation("a", "urn:s", "a"),
            observation("b", "urn:s", "b"),
            observation("c", "urn:t", "a"),
            observation("d", "urn:s", "top"),
        ])
        .await;
    assert!(world.query("Observation?code:in=http://example.org/vs").is_err(), "nobody lists codes");
    world.options = Some(|options| ParseOptions { terminology: Some(Arc::new(Sets)), ..options });
    expect(
        &world,
        &[
            ("Observation?code:in=http://example.org/vs", "a b"),
            ("Observation?code:not-in=http://example.org/vs", "c d"),
            ("Observation?status:in=http://example.org/vs", "a b c"),
            ("Observation?code:below=urn:s|a", "a b"),
            ("Observation?code:above=urn:s|a", "a d"),
        ],
    )
    .await;
    assert!(world.query("Observation?code:in=http://example.org/other").is_err());
    assert!(world.query("Observation?code:below=a").is_err());
}
