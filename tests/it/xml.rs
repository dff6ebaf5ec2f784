//! XML over HTTP: taken at the door, given at the way out, the same record inside.

use anamnesis_fhir::json::Limits;
use anamnesis_fhir::xml::to_json;
use serde_json::Value;

use crate::support::{Answer, FHIR, Server, test};

const XML: (&str, &str) = ("Content-Type", "application/fhir+xml");
const IN_XML: (&str, &str) = ("Accept", "application/fhir+xml");
const TYPE: &str = "application/fhir+xml; charset=utf-8";

const OBSERVATION: &str = r#"<Observation xmlns="http://hl7.org/fhir">
  <!-- dropped -->
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">1.10 <b>kg</b> &#xA0;ä</div></text>
  <status value="final"/>
  <code><text value="weight &amp; more"/></code>
  <valueQuantity><value value="1.10"><extension url="urn:x"><valueCode value="a"/></extension></value></valueQuantity>
</Observation>"#;

/// The resource in an answer in XML.
fn resource(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), TYPE);
    assert!(answer.text().starts_with(r#"<?xml version="1.0" encoding="UTF-8"?>"#));
    serde_json::from_slice(&to_json(&answer.bytes, &Limits::default()).unwrap()).unwrap()
}

async fn get_xml(server: &Server, path: &str) -> (u16, Value) {
    let answer = server.send("GET", path, &[IN_XML], "").await;
    (answer.status.as_u16(), resource(&answer))
}

#[test]
fn what_comes_as_xml_is_recorded_as_json_and_comes_back_as_both() {
    test(|server| async move {
        let created = server.send("POST", "/Observation", &[XML, IN_XML], OBSERVATION).await;
        assert_eq!(created.status, 201, "{}", created.text());
        let made = resource(&created);
        let path = format!("/Observation/{}", made["id"].as_str().unwrap());
        let as_json = server.get(&path).await;
        assert_eq!(as_json.header("content-type"), "application/fhir+json; charset=utf-8");
        assert_eq!(as_json.json(), made);
        let text = as_json.text();
        for kept in [
            r#""valueQuantity":{"value":1.10,"_value":{"extension":[{"url":"urn:x","valueCode":"a"}]}}"#,
            r#""div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">1.10 <b>kg</b> &#xA0;ä</div>""#,
            r#""code":{"text":"weight & more"}"#,
        ] {
            assert!(text.contains(kept), "{kept} is not in {text}");
        }
        assert!(created.text().contains(r#"<value value="1.10"><extension url="urn:x">"#));
        // The same content again, in the other form, makes no version.
        let again = server.send("PUT", &path, &[XML], created.bytes.clone()).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (200, "W/\"1\""), "{}", again.text());
        let again = server.put(&path, as_json.bytes).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (200, "W/\"1\""));
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn every_answer_is_xml_where_that_is_asked_for() {
    test(|server| async move {
        server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a","active":true}"#).await;
        server.put("/Patient/b", r#"{"resourceType":"Patient","id":"b"}"#).await;
        server.delete("/Patient/b").await;
        for (path, status, kind) in [
            ("/Patient/a", 200, "Patient"),
            ("/Patient/a/_history/1", 200, "Patient"),
            ("/Patient/a?_elements=active", 200, "Patient"),
            ("/metadata", 200, "CapabilityStatement"),
            ("/$versions", 200, "Parameters"),
            ("/Patient?_id=a", 200, "Bundle"),
            ("/Patient/_history", 200, "Bundle"),
            ("/Patient/b", 410, "OperationOutcome"),
            ("/Patient/c", 404, "OperationOutcome"),
            ("/Nothing", 404, "OperationOutcome"),
            ("/Patient?name:nonsense=a", 400, "OperationOutcome"),
            ("/a/b/c/d/e", 404, "OperationOutcome"),
        ] {
            let (found, body) = get_xml(&server, path).await;
            assert_eq!((found, body["resourceType"].as_str()), (status, Some(kind)), "{path}");
        }
        let (_, bundle) = get_xml(&server, "/Patient?_id=a&_total=accurate").await;
        assert_eq!(bundle["entry"][0]["resource"]["active"], true);
        assert_eq!((&bundle["total"], &bundle["entry"][0]["search"]["mode"]), (&1.into(), &"match".into()));
        // Also where the service is not known yet, or nothing is mounted at all.
        for path in ["/default/nowhere/Patient", "/nowhere"] {
            let url = format!("{}{path}?_format=xml", server.root);
            let response = server.client.get(url).send().await.unwrap();
            assert_eq!(response.status(), 404);
            let body = to_json(&response.bytes().await.unwrap(), &Limits::default()).unwrap();
            assert!(String::from_utf8(body).unwrap().contains("OperationOutcome"));
        }
        let pretty = server.get("/Patient/a?_format=xml&_pretty=true").await;
        assert!(pretty.text().contains("\n  <id value=\"a\"/>\n"), "{}", pretty.text());
        assert_eq!(resource(&pretty)["id"], "a");
    });
}

#[test]
fn the_better_form_is_chosen() {
    test(|server| async move {
        let json = "application/fhir+json; charset=utf-8";
        for (accept, expected) in [
            ("application/fhir+xml", TYPE),
            ("Application/FHIR+XML; fhirVersion=4.0", TYPE),
            ("application/fhir+xml;fhirVersion=\"4.0.1\"", TYPE),
            ("application/xml", "application/xml; charset=utf-8"),
            ("text/xml", "text/xml; charset=utf-8"),
            ("text/json", "text/json; charset=utf-8"),
            ("*/*", json),
            ("application/*", json),
            ("application/fhir+xml;q=0.5, application/fhir+json", json),
            ("application/fhir+xml, application/fhir+json;q=0.9", TYPE),
            ("application/fhir+xml, application/fhir+json", TYPE),
            ("application/fhir+json, application/fhir+xml", json),
            ("*/*;q=0.8, application/fhir+xml", TYPE),
            ("application/fhir+json;q=0, */*", TYPE),
            ("application/fhir+xml;q=0, */*", json),
            (
                "application/fhir+xml;fhirVersion=3.0, application/json;q=0.1",
                "application/json; charset=utf-8",
            ),
        ] {
            let answer = server.send("GET", "/metadata", &[("Accept", accept)], "").await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, expected), "{accept}");
        }
        for (format, expected) in [
            ("xml", TYPE),
            ("application/fhir%2Bxml", TYPE),
            ("text/xml", "text/xml; charset=utf-8"),
            ("json", json),
        ] {
            let path = format!("/metadata?_format={format}");
            let answer = server.send("GET", &path, &[("Accept", "application/fhir+xml")], "").await;
            assert_eq!(answer.header("content-type"), expected, "{format}");
        }
    });
}

/// Code and expression of an issue.
fn told(issue: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&issue["code"]), text(&issue["expression"][0]))
}

#[test]
fn faults_of_xml_say_where_they_are() {
    test(|server| async move {
        let patient = |content: &str| format!("<Patient xmlns='http://hl7.org/fhir'>\n{content}</Patient>");
        for (body, said, expression) in [
            (
                patient("<name><given value='a'></name>"),
                "line 2, column 24",
                Some("Patient.name[0].given[0]"),
            ),
            (
                patient("<nonsense value='1'/>"),
                "no element 'nonsense' here at line 2, column 1",
                Some("Patient"),
            ),
            (
                patient("<birthDate value='1970'/><active value='true'/>"),
                "line 2, column 26",
                Some("Patient"),
            ),
            ("<!DOCTYPE x [<!ENTITY a 'b'>]><x/>".to_owned(), "document types at line 1", None),
            ("no XML".to_owned(), "text between elements at line 1, column 1", None),
        ] {
            let answer = server.send("POST", "/Patient", &[XML], body.clone()).await;
            assert_eq!(answer.status, 400, "{body}");
            answer.outcome();
            let issue = &answer.json()["issue"][0];
            assert!(issue["diagnostics"].as_str().unwrap().contains(said), "{issue}");
            assert_eq!(issue["expression"][0].as_str(), expression, "{issue}");
        }
        // All at once, with what R4 says of the rest.
        let body = patient(
            "<nonsense/><active value='yes'/><name><given/></name><birthDate value='1970-13'/><gender value='x'/>",
        );
        let answer = server.send("POST", "/Patient", &[XML], body).await;
        let told: Vec<(String, String)> =
            answer.json()["issue"].as_array().unwrap().iter().map(told).collect();
        for (code, expression) in [
            ("structure", "Patient"),
            ("value", "Patient.active"),
            ("structure", "Patient.name[0].given[0]"),
            ("structure", "Patient"),
            ("code-invalid", "Patient.gender"),
            ("value", "Patient.birthDate"),
        ] {
            assert!(
                told.contains(&(code.to_owned(), expression.to_owned())),
                "{code} {expression}: {told:?}"
            );
        }
        assert_eq!((answer.status.as_u16(), told.len()), (400, 6), "{}", answer.text());
        let many = patient(&"<nonsense/><other/>".repeat(60));
        let answer = server.send("POST", "/Patient", &[XML], many).await.json();
        assert_eq!(answer["issue"].as_array().unwrap().len(), 101);
        assert_eq!(answer["issue"][100]["diagnostics"], "20 more faults are not listed.");
        // What R4 refuses is told by its expression: lines of the JSON in between would say nothing.
        let wrong = patient("<gender value='x'/><birthDate value='1970-13'/>");
        let answer = server.send("POST", "/Patient", &[XML, IN_XML], wrong).await;
        let outcome = resource(&answer);
        assert_eq!((answer.status.as_u16(), outcome["issue"].as_array().unwrap().len()), (400, 2));
        assert_eq!(outcome["issue"][1]["expression"][0], "Patient.birthDate");
        assert!(!answer.text().contains("line"), "{}", answer.text());
        let other = server.send("POST", "/Observation", &[XML], patient("")).await;
        assert_eq!(other.status, 400);
        let empty = server.send("POST", "/Patient", &[XML], "").await;
        assert_eq!((empty.status.as_u16(), empty.outcome().as_str()), (400, "required"));
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn a_transaction_in_xml_is_carried_out() {
    test(|server| async move {
        let bundle = r#"<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>
            <entry><fullUrl value="urn:uuid:0b7c2b8e-6a3c-4d0d-9d3c-0c8f3d1f2a11"/>
              <resource><Patient><active value="true"/></Patient></resource>
              <request><method value="POST"/><url value="Patient"/></request></entry>
            <entry><resource><Observation><status value="final"/><code><text value="x"/></code>
                <subject><reference value="urn:uuid:0b7c2b8e-6a3c-4d0d-9d3c-0c8f3d1f2a11"/></subject></Observation></resource>
              <request><method value="POST"/><url value="Observation"/></request></entry></Bundle>"#;
        let answer = server.send("POST", "/", &[XML, IN_XML], bundle).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = resource(&answer);
        assert_eq!(body["type"], "transaction-response");
        let patient = body["entry"][0]["resource"]["id"].as_str().unwrap();
        let reference = body["entry"][1]["resource"]["subject"]["reference"].as_str().unwrap();
        assert_eq!(reference, format!("Patient/{patient}"));
    });
}

#[test]
fn a_patch_and_the_parameters_of_an_operation_may_be_xml() {
    test(|server| async move {
        server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a","active":true}"#).await;
        let patch = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
            <part><name value="type"/><valueCode value="replace"/></part>
            <part><name value="path"/><valueString value="Patient.active"/></part>
            <part><name value="value"/><valueBoolean value="false"/></part></parameter></Parameters>"#;
        let patched = server.send("PATCH", "/Patient/a", &[XML, IN_XML], patch).await;
        assert_eq!((patched.status.as_u16(), &resource(&patched)["active"]), (200, &false.into()));
        let types = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="_type"/><valueCode value="Patient"/></parameter></Parameters>"#;
        let record = server.send("POST", "/Patient/a/$everything", &[XML, IN_XML], types).await;
        assert_eq!(resource(&record)["entry"][0]["resource"]["id"], "a");
    });
}

#[test]
fn large_bodies_and_answers_are_xml_too() {
    test(|server| async move {
        let data = "QUJD".repeat(100_000);
        let body = format!(
            r#"<Binary xmlns="http://hl7.org/fhir"><id value="a"/><contentType value="text/plain"/><data value="{data}"/></Binary>"#
        );
        let answer = server.send("PUT", "/Binary/a", &[XML, IN_XML], body).await;
        assert_eq!((answer.status.as_u16(), resource(&answer)["data"].as_str()), (201, Some(data.as_str())));
    });
}

#[test]
fn what_xml_cannot_hold_is_said() {
    test(|server| async move {
        // U+FFFF is a character of JSON and none of XML 1.0.
        let body = "{\"resourceType\":\"Patient\",\"id\":\"a\",\"name\":[{\"text\":\"\u{ffff}\"}]}";
        let written = server.send("PUT", "/Patient/a", &[FHIR, IN_XML], body).await;
        // It is recorded: only the answer has no XML.
        assert_eq!((written.status.as_u16(), written.header("etag")), (201, "W/\"1\""));
        assert_eq!(resource(&written)["issue"][0]["severity"], "warning");
        let (status, outcome) = get_xml(&server, "/Patient/a").await;
        assert_eq!((status, outcome["issue"][0]["code"].as_str()), (406, Some("not-supported")));
        let said = outcome["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(said.contains("(Patient.name[0].text)"), "{said}");
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}
