//! Composite parameters: parts that one element has together.

use serde_json::{Value, json};

use crate::world::{World, expect};

fn coded(code: &str) -> Value {
    json!({"coding": [{"system": "http://loinc.org", "code": code}]})
}

fn quantity(value: f64, unit: &str) -> Value {
    json!({"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit})
}

#[tokio::test]
async fn parts_of_observations_are_found_together() {
    let world = World::new().await;
    let observation = |id: &str, code: &str, name: &str, value: Value| {
        let mut observation =
            json!({"resourceType": "Observation", "id": id, "status": "final", "code": coded(code)});
        observation[name] = value;
        observation
    };
    let component = |code: &str, name: &str, value: Value| {
        let mut component = json!({"code": coded(code)});
        component[name] = value;
        component
    };
    let pressure = |id: &str, high: f64, low: f64| {
        let parts = [("8480-6", high), ("8462-4", low)];
        let parts = parts.map(|(code, value)| component(code, "valueQuantity", quantity(value, "mm[Hg]")));
        observation(id, "85354-9", "component", json!(parts))
    };
    world
        .put([
            observation("light", "29463-7", "valueQuantity", quantity(50.0, "kg")),
            observation("heavy", "29463-7", "valueQuantity", quantity(100.0, "kg")),
            observation("tall", "8302-2", "valueQuantity", quantity(180.0, "cm")),
            pressure("high", 180.0, 90.0),
            pressure("low", 90.0, 60.0),
            observation("group", "882-1", "valueCodeableConcept", coded("A+")),
            observation("other", "883-9", "valueCodeableConcept", coded("A+")),
            observation("dated", "8665-2", "valueDateTime", json!("2013-01-14")),
            observation("text", "1-1", "valueString", json!("Some text")),
            observation("concept", "1-1", "valueCodeableConcept", json!({"text": "Some text"})),
            observation(
                "answers",
                "2-2",
                "component",
                json!([
                    component("3-3", "valueCodeableConcept", coded("yes")),
                    component("4-4", "valueCodeableConcept", coded("no"))
                ]),
            ),
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?code-value-quantity=http://loinc.org|29463-7$gt60||kg", "heavy"),
            ("Observation?code-value-quantity=29463-7$lt60000||g", "light"),
            ("Observation?code-value-quantity=29463-7$50", "light"),
            ("Observation?code-value-quantity=29463-7$gt60||kg,8302-2$gt1.7||m", "heavy tall"),
            ("Observation?code-value-quantity=8302-2$gt60||kg", ""),
            ("Observation?code-value-concept=882-1$A+", "group"),
            ("Observation?code-value-concept=http://loinc.org|883-9$http://loinc.org|A+", "other"),
            ("Observation?code-value-date=8665-2$2013-01", "dated"),
            ("Observation?code-value-date=8665-2$gt2013-01-14", ""),
            ("Observation?code-value-string=1-1$some", "text"),
            ("Observation?value-string=some", "concept text"),
            // Both codes and both values are there, but not together.
            ("Observation?component-code-value-quantity=8480-6$gt150", "high"),
            ("Observation?component-code-value-quantity=8480-6$90", "low"),
            ("Observation?component-code-value-quantity=8462-4$90", "high"),
            ("Observation?component-code-value-quantity=http://loinc.org|8462-4$lt70||mm[Hg]", "low"),
            ("Observation?component-code-value-quantity=http://loinc.org|8462-4$lt100||mm[Hg]", "high low"),
            ("Observation?component-code-value-quantity=urn:x|8462-4$lt100||mm[Hg]", ""),
            ("Observation?component-code-value-quantity=8480-6$gt150&component-code-value-quantity=8462-4$gt150", ""),
            ("Observation?component-code-value-concept=3-3$yes", "answers"),
            ("Observation?component-code-value-concept=3-3$http://loinc.org|yes", "answers"),
            ("Observation?component-code-value-concept=3-3$no", ""),
            ("Observation?component-code-value-concept=3-3$no,4-4$no", "answers"),
            ("Observation?combo-code-value-quantity=8480-6$gt150,29463-7$gt60", "heavy high"),
            ("Observation?combo-code-value-concept=882-1$A+,4-4$no", "answers group"),
        ],
    )
    .await;
}

#[tokio::test]
async fn parts_of_other_resources_are_found_together() {
    let world = World::new().await;
    let context = |code: &str, name: &str, value: Value| {
        let mut context = json!({"code": {"system": "urn:context", "code": code}});
        context[name] = value;
        context
    };
    let age = json!({"low": quantity(18.0, "a"), "high": quantity(65.0, "a")});
    world
        .put([
            json!({"resourceType": "Questionnaire", "id": "q", "status": "active", "useContext": [
                context("age", "valueRange", age),
                context("focus", "valueCodeableConcept", coded("diabetes")),
                context("gender", "valueCodeableConcept", coded("female"))]}),
            json!({"resourceType": "DocumentReference", "id": "d", "status": "current", "content": [], "relatesTo": [
                {"code": "replaces", "target": {"reference": "DocumentReference/1"}},
                {"code": "appends", "target": {"reference": "DocumentReference/2"}}]}),
            json!({"resourceType": "MolecularSequence", "id": "m", "coordinateSystem": 0,
                "referenceSeq": {"chromosome": coded("7"), "windowStart": 100, "windowEnd": 200},
                "variant": [{"start": 110, "end": 120}, {"start": 150, "end": 160}]}),
            json!({"resourceType": "Group", "id": "g", "type": "person", "actual": false, "characteristic": [
                {"code": coded("gender"), "valueCodeableConcept": coded("male"), "exclude": false},
                {"code": coded("smoker"), "valueBoolean": true, "exclude": true}]}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Questionnaire?context-type-value=urn:context|focus$diabetes", "q"),
            ("Questionnaire?context-type-value=urn:context|gender$diabetes", ""),
            ("Questionnaire?context-type-quantity=age$ge18||a", "q"),
            ("Questionnaire?context-type-quantity=focus$ge18||a", ""),
            ("DocumentReference?relationship=DocumentReference/1$replaces", "d"),
            ("DocumentReference?relationship=DocumentReference/2$appends", "d"),
            ("DocumentReference?relationship=DocumentReference/1$appends", ""),
            ("MolecularSequence?chromosome-variant-coordinate=7$ge110$le120", "m"),
            ("MolecularSequence?chromosome-variant-coordinate=7$ge150$le120", ""),
            ("MolecularSequence?chromosome-variant-coordinate=7$lt150$gt140", ""),
            ("MolecularSequence?chromosome-variant-coordinate=7$150$160", "m"),
            ("MolecularSequence?chromosome-variant-coordinate=7$ne110$ne120", "m"),
            ("MolecularSequence?chromosome-variant-coordinate=7$110$ne120", ""),
            ("MolecularSequence?chromosome-window-coordinate=7$le100$ge200", "m"),
            ("MolecularSequence?chromosome-window-coordinate=8$le100$ge200", ""),
            ("Group?characteristic-value=gender$male", "g"),
            ("Group?characteristic-value=smoker$true", "g"),
            ("Group?characteristic-value=gender$true", ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_composite_is_there_where_one_element_has_all_of_its_parts() {
    let world = World::new().await;
    let observation = |id: &str, more: Value| {
        let mut resource =
            json!({"resourceType": "Observation", "id": id, "status": "final", "code": coded("a")});
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource
    };
    world
        .put([
            observation("own", json!({"valueQuantity": quantity(1.0, "mg")})),
            observation("none", json!({})),
            observation(
                "part",
                json!({"component": [{"code": coded("b"), "valueQuantity": quantity(1.0, "mg")}]}),
            ),
            observation(
                "apart",
                json!({"component": [{"code": coded("b")}, {"valueQuantity": quantity(1.0, "mg")}]}),
            ),
            observation(
                "text",
                json!({"component": [{"code": {"text": "b"}, "valueQuantity": quantity(1.0, "mg")}]}),
            ),
            observation("string", json!({"valueString": "x"})),
            observation("concept", json!({"valueCodeableConcept": {"text": "x"}})),
            json!({"resourceType": "MolecularSequence", "id": "m", "coordinateSystem": 0,
                "referenceSeq": {"chromosome": coded("7")}, "variant": [{"start": 110, "end": 120}]}),
            json!({"resourceType": "MolecularSequence", "id": "n", "coordinateSystem": 0,
                "referenceSeq": {"chromosome": coded("7")}, "variant": [{"start": 110}]}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?code-value-quantity:missing=false", "own"),
            ("Observation?code-value-quantity:missing=true", "apart concept none part string text"),
            ("Observation?component-code-value-quantity:missing=false", "part text"),
            ("Observation?component-code-value-quantity:missing=true", "apart concept none own string"),
            ("Observation?combo-code-value-quantity:missing=false", "own part text"),
            ("Observation?combo-code-value-quantity:missing=true", "apart concept none string"),
            ("Observation?code-value-string:missing=false", "string"),
            ("Observation?code-value-concept:missing=false&code=a", "concept"),
            ("MolecularSequence?chromosome-variant-coordinate:missing=false", "m"),
            ("MolecularSequence?chromosome-variant-coordinate:missing=true", "n"),
            ("Observation?_filter=code-value-quantity pr true", "own"),
        ],
    )
    .await;
    let issues = world.query("Observation?code-value-quantity:missing=maybe").unwrap_err();
    assert!(issues[0].text.contains("true or false"), "{issues:?}");
}
