//! Token parameters.

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
                "telecom": [{"system": "phone", "value": "555-1"}, {"system": "email", "value": "a@b.c"}]}),
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
            ("Observation?combo-code=8480-6&status=final", "a b"),
            ("Observation?combo-code:not=8480-6", "d e"),
            ("Observation?component-code=8480-6", ""),
            ("Patient?active=true", "p"),
            ("Patient?active=false", ""),
            ("Patient?identifier=urn:mrn|1", "p"),
            ("Patient?identifier=urn:mrn|2", ""),
            ("Patient?identifier=|2", "p"),
            ("Patient?phone=555-1", "p"),
            ("Patient?email=555-1", ""),
            ("Patient?telecom=a@b.c", "p"),
            ("Patient?_id=p", "p"),
            ("Patient?_id=a", ""),
            ("Observation?_id=a,c,zzz", "a c"),
            ("Observation?_id:missing=true", ""),
            ("Observation?_id:missing=false&status=amended", "c d"),
            ("Observation?_lastUpdated:missing=true", ""),
            ("Patient?_lastUpdated:missing=false", "p"),
            ("?_id=p", "p"),
            ("?_id=p,a&_type=Patient,Observation", "a p"),
        ],
    )
    .await;
}
