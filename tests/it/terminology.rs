//! `ValueSet/$expand`, `$validate-code`, `CodeSystem/$lookup`, `$subsumes`, `ConceptMap/$translate` over R4's own
//! definitions.

use serde_json::{Value, json};

use crate::support::{Answer, test};

const GENDERS: &str = "http://hl7.org/fhir/ValueSet/administrative-gender";
const GENDER: &str = "http://hl7.org/fhir/administrative-gender";
const ADDRESS_USE: &str = "http://terminology.hl7.org/CodeSystem/v3-AddressUse";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

pub(crate) fn codes(expanded: &Value) -> Vec<&str> {
    let rows = expanded["expansion"]["contains"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row| row["code"].as_str().unwrap()).collect()
}

/// The value of an output parameter.
pub(crate) fn output<'v>(parameters: &'v Value, name: &str) -> &'v Value {
    let all = parameters["parameter"].as_array().unwrap_or_else(|| panic!("{parameters}"));
    let found = all.iter().find(|row| row["name"] == name);
    let member = found.and_then(|row| row.as_object()?.iter().find(|(name, _)| name.starts_with("value")));
    member.map_or(&Value::Null, |(_, value)| value)
}

fn refused(answer: &Answer, status: u16, code: &str) {
    let outcome = answer.json();
    assert_eq!(answer.status, status, "{outcome}");
    assert_eq!(outcome["issue"][0]["code"], code, "{outcome}");
}

#[test]
fn a_value_set_of_r4_is_expanded_without_being_stored() {
    test(|server| async move {
        let whole = server.get(&format!("/ValueSet/$expand?url={GENDERS}")).await;
        assert_eq!(whole.status, 200);
        let whole = whole.json();
        assert_eq!(
            (whole["resourceType"].as_str(), whole["url"].as_str()),
            (Some("ValueSet"), Some(GENDERS))
        );
        assert_eq!(codes(&whole), ["male", "female", "other", "unknown"]);
        let expansion = &whole["expansion"];
        assert_eq!((&expansion["total"], &expansion["offset"]), (&json!(4), &json!(0)));
        assert!(expansion["identifier"].is_string() && expansion["timestamp"].is_string(), "{expansion}");
        assert_eq!(expansion["contains"][0]["display"], "Male");
        let page = server.get(&format!("/ValueSet/$expand?url={GENDERS}&offset=1&count=2")).await.json();
        assert_eq!((codes(&page), &page["expansion"]["total"]), (vec!["female", "other"], &json!(4)));
        let found = server.get(&format!("/ValueSet/$expand?url={GENDERS}&filter=fem")).await.json();
        assert_eq!(codes(&found), ["female"]);
        let none = server.get(&format!("/ValueSet/$expand?url={GENDERS}&filter=none")).await.json();
        assert_eq!((codes(&none).len(), none["expansion"].get("contains")), (0, None));
        let versioned = server.get(&format!("/ValueSet/$expand?url={GENDERS}&valueSetVersion=4.0.1")).await;
        assert_eq!(versioned.status, 200);
        let other = server.get(&format!("/ValueSet/$expand?url={GENDERS}&valueSetVersion=9")).await;
        refused(&other, 404, "not-found");
    });
}

#[test]
fn a_value_set_that_comes_along_is_expanded() {
    test(|server| async move {
        let set = format!(
            r#"{{"resourceType":"ValueSet","status":"draft","compose":{{"include":[{{"system":"{ACT_CODE}",
                "filter":[{{"property":"concept","op":"descendent-of","value":"_ActAccountCode"}}]}}]}}}}"#
        );
        let body = format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"valueSet","resource":{set}}},
                {{"name":"filter","valueString":"american"}},{{"name":"includeDesignations","valueBoolean":true}}]}}"#
        );
        let found = server.post("/ValueSet/$expand", body).await;
        assert_eq!(codes(&found.json()), ["AE"], "{}", found.json());
        let bare = server.post("/ValueSet/$expand", set).await.json();
        assert!(codes(&bare).len() > 5 && !codes(&bare).contains(&"_ActAccountCode"));
    });
}

#[test]
fn what_cannot_be_expanded_is_refused_and_said() {
    test(|server| async move {
        refused(&server.get("/ValueSet/$expand").await, 400, "required");
        refused(&server.get("/ValueSet/$expand?url=http://example.org/none").await, 404, "not-found");
        refused(&server.get("/ValueSet/none/$expand").await, 404, "not-found");
        refused(&server.get(&format!("/ValueSet/$expand?url={GENDERS}&count=-1")).await, 400, "invalid");
        refused(&server.get(&format!("/ValueSet/$expand?url={GENDERS}&activeOnly=2")).await, 400, "invalid");
        let units = "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/ucum-units";
        refused(&server.get(units).await, 422, "not-supported");
        let findings = "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/clinical-findings";
        refused(&server.get(findings).await, 404, "not-found");
        refused(&server.post("/ValueSet/$expand", r#"{"resourceType":"Patient"}"#).await, 400, "invalid");
        let own = r#"{"resourceType":"ValueSet","url":"urn:own","status":"draft","compose":{"include":[{"valueSet":["urn:own"]}]}}"#;
        refused(&server.post("/ValueSet/$expand", own).await, 422, "not-supported");
    });
}

#[test]
fn a_code_is_validated_against_a_value_set() {
    test(|server| async move {
        let ask = |more: &str| {
            let path = format!("/ValueSet/$validate-code?url={GENDERS}&{more}");
            let server = server.clone();
            async move { server.get(&path).await.json() }
        };
        let right = ask(&format!("system={GENDER}&code=female&display=Female")).await;
        assert_eq!((output(&right, "result"), output(&right, "display")), (&json!(true), &json!("Female")));
        let wrong = ask(&format!("system={GENDER}&code=blue")).await;
        assert_eq!(output(&wrong, "result"), &json!(false));
        assert!(output(&wrong, "message").as_str().unwrap().contains(GENDERS));
        let display = ask(&format!("system={GENDER}&code=female&display=Male")).await;
        assert_eq!(
            (output(&display, "result"), output(&display, "display")),
            (&json!(false), &json!("Female"))
        );
        assert_eq!(output(&ask("code=female").await, "system"), &json!(GENDER));
        assert_eq!(output(&ask("system=urn:other&code=female").await, "result"), &json!(false));
        let concept = format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"url","valueUri":"{GENDERS}"}},
                {{"name":"codeableConcept","valueCodeableConcept":{{"coding":[{{"system":"urn:x","code":"x"}},
                {{"system":"{GENDER}","code":"male"}}]}}}}]}}"#
        );
        let concept = server.post("/ValueSet/$validate-code", concept).await.json();
        assert_eq!((output(&concept, "result"), output(&concept, "code")), (&json!(true), &json!("male")));
        refused(&server.get(&format!("/ValueSet/$validate-code?url={GENDERS}")).await, 400, "required");
        refused(&server.get("/ValueSet/$validate-code?url=urn:none&code=a").await, 404, "not-found");
    });
}

#[test]
fn a_code_is_validated_against_its_code_system() {
    test(|server| async move {
        let ask = |more: &str| {
            let path = format!("/CodeSystem/$validate-code?{more}");
            let server = server.clone();
            async move { server.get(&path).await }
        };
        let right = ask(&format!("url={GENDER}&code=female")).await.json();
        assert_eq!((output(&right, "result"), output(&right, "display")), (&json!(true), &json!("Female")));
        let wrong = ask(&format!("url={GENDER}&code=blue")).await.json();
        assert_eq!(output(&wrong, "result"), &json!(false));
        let group = ask(&format!("url={ACT_CODE}&code=_ActAccountCode")).await.json();
        assert_eq!(output(&group, "result"), &json!(false));
        let group = ask(&format!("url={ACT_CODE}&code=_ActAccountCode&abstract=true")).await.json();
        assert_eq!(output(&group, "result"), &json!(true));
        let unit = ask("url=http://unitsofmeasure.org&code=mm[Hg]").await.json();
        assert_eq!(output(&unit, "result"), &json!(true));
        refused(&ask("url=http://loinc.org&code=85354-9").await, 404, "not-found");
        refused(&ask("code=female").await, 400, "required");
    });
}

#[test]
fn a_concept_is_looked_up_with_its_relatives() {
    test(|server| async move {
        let found = server.get(&format!("/CodeSystem/$lookup?system={ACT_CODE}&code=CC")).await.json();
        assert_eq!(output(&found, "display"), "credit card");
        let properties: Vec<(String, String)> = found["parameter"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["name"] == "property")
            .map(|row| {
                let part =
                    |index: usize, member: &str| row["part"][index][member].as_str().unwrap_or("").to_owned();
                (part(0, "valueCode"), part(1, "valueCode"))
            })
            .collect();
        assert!(properties.contains(&("parent".into(), "_ActAccountCode".into())), "{found}");
        assert!(properties.contains(&("child".into(), "AE".into())), "{found}");
        let few = server.get(&format!("/CodeSystem/$lookup?system={ACT_CODE}&code=CC&property=parent")).await;
        assert!(!few.json().to_string().contains("\"child\""));
        refused(
            &server.get("/CodeSystem/$lookup?system=http://loinc.org&code=85354-9").await,
            404,
            "not-found",
        );
        refused(
            &server.get(&format!("/CodeSystem/$lookup?system={GENDER}&code=blue")).await,
            404,
            "not-found",
        );
        refused(&server.get("/CodeSystem/$lookup?code=x").await, 400, "required");
    });
}

#[test]
fn two_concepts_are_compared() {
    test(|server| async move {
        let ask = |left: &str, right: &str| {
            let path = format!("/CodeSystem/$subsumes?system={ACT_CODE}&codeA={left}&codeB={right}");
            let server = server.clone();
            async move { output(&server.get(&path).await.json(), "outcome").clone() }
        };
        assert_eq!(ask("CC", "AE").await, "subsumes");
        assert_eq!(ask("AE", "CC").await, "subsumed-by");
        assert_eq!(ask("AE", "AE").await, "equivalent");
        assert_eq!(ask("AE", "AMB").await, "not-subsumed");
        let unknown = server.get(&format!("/CodeSystem/$subsumes?system={ACT_CODE}&codeA=AE&codeB=x")).await;
        refused(&unknown, 404, "not-found");
    });
}

#[test]
fn a_code_is_translated_both_ways() {
    test(|server| async move {
        let map = "source=http://hl7.org/fhir/ValueSet/address-use";
        let there = format!("/ConceptMap/$translate?{map}&system=http://hl7.org/fhir/address-use&code=home");
        let there = server.get(&there).await.json();
        assert_eq!(output(&there, "result"), &json!(true));
        assert!(there.to_string().contains(r#""code":"H""#), "{there}");
        let back = format!("/ConceptMap/$translate?{map}&system={ADDRESS_USE}&code=H&reverse=true");
        let back = server.get(&back).await.json();
        assert!(back.to_string().contains(r#""code":"home""#), "{back}");
        let v2 = "/ConceptMap/$translate?url=http://hl7.org/fhir/ConceptMap/cm-address-use-v2";
        let none = server.get(&format!("{v2}&system=http://hl7.org/fhir/address-use&code=none")).await.json();
        assert_eq!(output(&none, "result"), &json!(false));
        refused(
            &server.get("/ConceptMap/$translate?url=urn:none&system=urn:c&code=a").await,
            404,
            "not-found",
        );
        // A code has a system; a coding may have none, and is looked for by its code.
        let bare = server.get(&format!("{v2}&code=home")).await;
        refused(&bare, 400, "required");
        assert!(bare.json().to_string().contains("system is missing"), "{}", bare.json());
        let url = json!({ "name": "url", "valueUri": "http://hl7.org/fhir/ConceptMap/cm-address-use-v2" });
        let given = json!([{ "code": "home" }, { "system": "urn:other", "code": "home" }]);
        for (coding, expected) in given.as_array().unwrap().iter().zip([true, false]) {
            let concept =
                json!({ "name": "codeableConcept", "valueCodeableConcept": { "coding": [coding] } });
            for asked in [json!({ "name": "coding", "valueCoding": coding }), concept] {
                let body = json!({ "resourceType": "Parameters", "parameter": [url, asked] }).to_string();
                let found = server.post("/ConceptMap/$translate", body).await.json();
                assert_eq!(output(&found, "result"), &json!(expected), "{asked} {found}");
            }
        }
        refused(&server.get("/ConceptMap/$translate?code=a").await, 400, "required");
    });
}

#[test]
fn the_statement_names_what_the_operations_understand_and_is_valid() {
    test(|server| async move {
        let statement = server.get("/metadata?mode=terminology").await;
        assert_eq!(statement.status, 200);
        let json = statement.json();
        assert_eq!(json["resourceType"], "TerminologyCapabilities");
        assert!(json["codeSystem"].as_array().unwrap().iter().any(|row| row["uri"] == GENDER));
        let stored = server.post("/TerminologyCapabilities", statement.bytes).await;
        assert_eq!(stored.status, 201, "{}", stored.json());
    });
}
