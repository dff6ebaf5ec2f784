//! Number and quantity parameters.

use serde_json::json;

use crate::world::{World, expect};

#[tokio::test]
async fn numbers_are_found_by_every_prefix() {
    let world = World::new().await;
    let risk = |id: &str, probability: serde_json::Value| {
        let mut prediction = json!({});
        for (name, value) in probability.as_object().unwrap() {
            prediction[name] = value.clone();
        }
        json!({"resourceType": "RiskAssessment", "id": id, "status": "final", "subject": {"reference": "Patient/1"},
            "prediction": [prediction]})
    };
    world
        .put([
            risk("a", json!({"probabilityDecimal": 0.30})),
            risk("b", json!({"probabilityDecimal": 0.304})),
            risk("c", json!({"probabilityDecimal": 0.305})),
            risk("d", json!({"probabilityDecimal": 30})),
            risk("e", json!({"probabilityDecimal": 123_456_789_012_345_678_u64})),
            risk("z", json!({"whenRange": {}})),
        ])
        .await;
    expect(
        &world,
        &[
            // 0.30 stands for [0.295, 0.305); 0.3 for [0.25, 0.35).
            ("RiskAssessment?probability=0.30", "a b"),
            ("RiskAssessment?probability=0.300", "a"),
            ("RiskAssessment?probability=0.3", "a b c"),
            ("RiskAssessment?probability=3.0e-1", "a b"),
            ("RiskAssessment?probability=ne0.30", "c d e"),
            ("RiskAssessment?probability=gt0.30", "b c d e"),
            ("RiskAssessment?probability=ge0.30", "a b c d e"),
            ("RiskAssessment?probability=lt0.304", "a"),
            ("RiskAssessment?probability=le0.304", "a b"),
            ("RiskAssessment?probability=sa0.304", "c d e"),
            ("RiskAssessment?probability=eb0.304", "a"),
            ("RiskAssessment?probability=ap0.28", "a b c"),
            ("RiskAssessment?probability=30", "d"),
            ("RiskAssessment?probability=ge0.303&probability=lt1", "b c"),
            ("RiskAssessment?probability=lt0.303,gt1", "a d e"),
            ("RiskAssessment?probability:missing=true", "z"),
            // More digits than an entry of the index has.
            ("RiskAssessment?probability=123456789012345678", "e"),
            ("RiskAssessment?probability=ne123456789012345678", "a b c d"),
            ("RiskAssessment?probability=ge123456789012345678", "e"),
        ],
    )
    .await;
}

#[tokio::test]
async fn quantities_are_found_across_units() {
    let world = World::new().await;
    let ucum = "http://unitsofmeasure.org";
    let weight = |id: &str, value: serde_json::Value| json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, "valueQuantity": value});
    world
        .put([
            weight("kg", json!({"value": 5.4, "system": ucum, "code": "kg", "unit": "kilogram"})),
            weight("g", json!({"value": 5400, "system": ucum, "code": "g", "unit": "g"})),
            weight("mg", json!({"value": 5.4, "system": ucum, "code": "mg", "unit": "mg"})),
            weight("own", json!({"value": 5.4, "system": "http://own.org", "code": "stone", "unit": "st"})),
            weight("bare", json!({"value": 5.4, "unit": "kg"})),
            weight("none", json!({"value": 5.4})),
            weight(
                "less",
                json!({"value": 5.4, "comparator": "<", "system": ucum, "code": "kg", "unit": "kg"}),
            ),
            weight("cel", json!({"value": 37, "system": ucum, "code": "Cel"})),
            json!({"resourceType": "Observation", "id": "text", "status": "final", "code": {"text": "x"},
                "valueString": "5.4"}),
        ])
        .await;
    expect(
        &world,
        &[
            ("Observation?value-quantity=5.4|http://unitsofmeasure.org|kg", "g kg"),
            ("Observation?value-quantity=5400|http://unitsofmeasure.org|g", "g kg"),
            ("Observation?value-quantity=5.4|http://unitsofmeasure.org|mg", "mg"),
            ("Observation?value-quantity=5.4|http://own.org|stone", "own"),
            ("Observation?value-quantity=5.4", "bare kg mg none own"),
            ("Observation?value-quantity=5.4||mg", "mg"),
            ("Observation?value-quantity=5.4||kg", "bare g kg"),
            ("Observation?value-quantity=5.4||kilogram", "kg"),
            ("Observation?value-quantity=5.4||st", "own"),
            ("Observation?value-quantity=ge5.4|http://unitsofmeasure.org|kg", "g kg"),
            ("Observation?value-quantity=gt5.4|http://unitsofmeasure.org|kg", ""),
            ("Observation?value-quantity=gt5399|http://unitsofmeasure.org|g", "g kg less"),
            ("Observation?value-quantity=lt5.4|http://unitsofmeasure.org|kg", "less mg"),
            ("Observation?value-quantity=le5.4|http://unitsofmeasure.org|kg", "g kg less mg"),
            ("Observation?value-quantity=sa5|http://unitsofmeasure.org|kg", "g kg"),
            ("Observation?value-quantity=eb6|http://unitsofmeasure.org|kg", "g kg less mg"),
            ("Observation?value-quantity=ne5.4|http://unitsofmeasure.org|kg", "less mg"),
            ("Observation?value-quantity=ap5|http://unitsofmeasure.org|kg", "g kg less"),
            ("Observation?value-quantity=310.2|http://unitsofmeasure.org|K", "cel"),
            ("Observation?value-quantity:missing=true", "text"),
            ("Observation?value-string=5.4", "text"),
            ("Observation?combo-value-quantity=5.4|http://unitsofmeasure.org|mg", "mg"),
            ("Observation?combo-value-quantity:missing=true", "text"),
        ],
    )
    .await;
}
