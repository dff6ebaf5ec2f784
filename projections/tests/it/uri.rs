//! Uri parameters.

use serde_json::json;

use crate::world::{World, expect};

#[tokio::test]
async fn uris_are_found_exactly_or_along_their_path() {
    let world = World::new().await;
    let set =
        |id: &str, url: &str| json!({"resourceType": "ValueSet", "id": id, "status": "draft", "url": url});
    let profile = "http://p.org/StructureDefinition/x|2";
    world
        .put([
            set("a", "http://a.org/fhir"),
            set("b", "http://a.org/fhir/ValueSet/1"),
            set("c", "http://a.org/fhir2"),
            set("d", "urn:oid:1.2.3"),
            json!({"resourceType": "Patient", "id": "p", "meta": {"profile": [profile],
                "tag": [{"system": "s", "code": "t"}], "security": [{"code": "R"}], "source": "http://src.org"}}),
        ])
        .await;
    expect(
        &world,
        &[
            ("ValueSet?url=http://a.org/fhir", "a"),
            ("ValueSet?url=http://a.org/FHIR", ""),
            ("ValueSet?url=urn:oid:1.2.3", "d"),
            ("ValueSet?url:below=http://a.org/fhir", "a b"),
            ("ValueSet?url:below=http://a.org/fhir/", "a b"),
            ("ValueSet?url:below=http://a.org", "a b c"),
            ("ValueSet?url:above=http://a.org/fhir/ValueSet/1/x", "a b"),
            ("Patient?_profile=http://p.org/StructureDefinition/x", "p"),
            ("Patient?_profile=http://p.org/StructureDefinition/x%7C2", ""),
            ("Patient?_profile=http://p.org/StructureDefinition/x|2", "p"),
            ("Patient?_tag=s|t", "p"),
            ("Patient?_security=R", "p"),
            ("Patient?_source=http://src.org", "p"),
        ],
    )
    .await;
}
