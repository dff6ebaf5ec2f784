//! Conditions and parameters that a request does not understand: refused where leaving them out would do harm, told of
//! where an answer can tell, and refused altogether where the client or the configuration wants that.

use anamnesis::api::ApiOptions;
use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Setup, test, test_with};

const STRICT: (&str, &str) = ("Prefer", "handling=strict");
const LENIENT: (&str, &str) = ("Prefer", "handling=lenient");

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "active": true})
}

fn refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, code), "{}", answer.text());
}

/// A bundle of this type with one entry.
fn bundle(kind: &str, entry: Value) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": [entry]}).to_string()
}

/// What a bundle of one entry came to: of a batch the entry's answer, of a transaction its own.
fn status(kind: &str, answer: &Answer) -> String {
    match kind {
        "batch" => answer.json()["entry"][0]["response"]["status"].as_str().unwrap()[..3].to_owned(),
        _ => answer.status.as_u16().to_string(),
    }
}

/// The diagnostics of the warnings in an answer.
fn warnings(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let entries = json["entry"].as_array().cloned().unwrap_or_default();
    let outcomes = entries.iter().map(|entry| &entry["resource"]).chain([&json]);
    let issues = outcomes.filter_map(|outcome| outcome["issue"].as_array()).flatten();
    let warnings = issues.filter(|issue| issue["severity"] == "warning");
    warnings.map(|issue| issue["diagnostics"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_condition_of_creates_is_refused_on_other_writes() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        let condition = ("If-None-Exist", "identifier=urn:a|1");
        let patch = r#"[{"op":"replace","path":"/active","value":false}]"#;
        let json_patch = ("Content-Type", "application/json-patch+json");
        let changed = json!({"resourceType": "Patient", "id": "a", "active": false}).to_string();
        for (method, path, kind, body) in [
            ("PUT", "/Patient/a", FHIR, changed.as_str()),
            ("PUT", "/Patient?identifier=urn:a|1", FHIR, changed.as_str()),
            ("PATCH", "/Patient/a", json_patch, patch),
            ("DELETE", "/Patient/a", FHIR, ""),
            ("DELETE", "/Patient?active=true", FHIR, ""),
            ("POST", "", FHIR, r#"{"resourceType":"Bundle","type":"batch"}"#),
        ] {
            let answer = server.send(method, path, &[kind, condition], body.to_owned()).await;
            refused(&answer, "not-supported");
            assert_eq!(answer.json()["issue"][0]["expression"][0], "If-None-Exist", "{method} {path}");
        }
        for kind in ["batch", "transaction"] {
            let request = json!({"method": "PUT", "url": "Patient/a", "ifNoneExist": "identifier=urn:a|1"});
            let entry = json!({"resource": {"resourceType": "Patient", "id": "a"}, "request": request});
            let answer = server.post("", bundle(kind, entry)).await;
            assert_eq!(status(kind, &answer), "400", "{}", answer.text());
            assert!(answer.text().contains("Bundle.entry[0].request.ifNoneExist"), "{}", answer.text());
        }
        assert_eq!(server.events().await, 1);
        assert_eq!(
            server.send("GET", "/Patient/a", &[condition], "").await.status,
            200,
            "reads ask for nothing"
        );
    });
}

#[test]
fn a_misspelt_parameter_of_a_delete_is_refused() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        for query in ["hardDeleet=true", "HardDelete=true", "hardDelete=true&_cascade=delete", "hardDelete=1"]
        {
            let answer = server.send("DELETE", &format!("/Patient/a?{query}"), &[LENIENT], "").await;
            assert_eq!(answer.status, 400, "{query}: {}", answer.text());
            answer.outcome();
        }
        for kind in ["batch", "transaction"] {
            let entry = json!({"request": {"method": "DELETE", "url": "Patient/a?hardDeleet=true"}});
            let answer = server.post("", bundle(kind, entry)).await;
            assert_eq!(status(kind, &answer), "400", "{}", answer.text());
        }
        assert_eq!(server.events().await, 1);
        assert_eq!(server.delete("/Patient/a?_pretty=true&_hardDelete=true").await.status, 204);
        assert_eq!(server.get("/Patient/a").await.status, 404);
    });
}

#[test]
fn parameters_of_reads_and_writes_are_refused_where_the_client_is_strict() {
    test(|server| async move {
        let body = patient("a").to_string();
        let strict = [FHIR, STRICT];
        for (method, path, known, status) in [
            ("PUT", "/Patient/a", "_meta-history=false", 201),
            ("GET", "/Patient/a", "_elements=active", 200),
            ("GET", "/Patient/a/_history/1", "_summary=true", 200),
            ("POST", "/Patient", "_format=json", 201),
        ] {
            let send = async |headers: &[(&str, &str)], query: &str| {
                let body = if method == "GET" { String::new() } else { body.clone() };
                server.send(method, &format!("{path}?{query}"), headers, body).await
            };
            assert_eq!(send(&strict, known).await.status, status, "{method} {path}");
            let answer = send(&strict, "nonsense=1").await;
            refused(&answer, "not-supported");
            assert!(answer.text().contains("nonsense"), "{}", answer.text());
            assert!(send(&[FHIR], "nonsense=1").await.status.is_success(), "{method} {path}");
        }
        refused(&server.put("/Patient/a?_meta-history=maybe", body).await, "invalid");
    });
}

#[test]
fn a_configuration_can_refuse_what_is_not_known() {
    let api = ApiOptions { refuse_unknown: true, ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        for path in [
            "/Patient?nonsense=1",
            "/Patient/_history?nonsense=1",
            "/Patient/a?nonsense=1",
            "/Patient/a/$everything?nonsense=1",
            "/Patient/a/Observation?nonsense=1&_asOf=1",
        ] {
            refused(&server.get(path).await, "not-supported");
            // Who says that it does not matter is believed.
            let lenient = server.send("GET", path, &[LENIENT], "").await;
            assert_eq!(lenient.status, 200, "{path}: {}", lenient.text());
        }
        assert_eq!(server.get("/Patient?_id=a&_format=json").await.status, 200);
    });
}

#[test]
fn operations_tell_of_what_they_do_not_know() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        for path in [
            "/Patient/a/$everything?",
            "/Patient/a/$validate?",
            "/DocumentReference/$docref?patient=a",
            "/DocumentReference/$docref?patient=a&on-demand=true",
            "/Observation/$lastn?patient=a&code=x",
        ] {
            let asked = format!("{path}&nonsense=1");
            let lenient = server.get(&asked).await;
            assert_eq!(lenient.status, 200, "{path}: {}", lenient.text());
            let told = warnings(&lenient);
            assert!(told.iter().any(|text| text.contains("nonsense")), "{path}: {told:?}");
            refused(&server.send("GET", &asked, &[STRICT], "").await, "not-supported");
            let known = server.send("GET", path, &[STRICT], "").await;
            assert_eq!(known.status, 200, "{path}: {}", known.text());
        }
        // Those whose answers are Parameters or a ValueSet have no place to tell it.
        let body =
            json!({"resourceType": "Parameters", "parameter": [{"name": "nonsense", "valueString": "x"}]});
        for path in [
            "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
            "/ValueSet/$validate-code?url=http://hl7.org/fhir/ValueSet/administrative-gender&code=male\
             &system=http://hl7.org/fhir/administrative-gender",
            "/CodeSystem/$validate-code?url=http://hl7.org/fhir/administrative-gender&code=male",
            "/CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male",
            "/CodeSystem/$subsumes?system=http://hl7.org/fhir/administrative-gender&codeA=male&codeB=male",
            "/ConceptMap/$translate?source=http://hl7.org/fhir/ValueSet/address-use\
             &system=http://hl7.org/fhir/address-use&code=home",
        ] {
            assert_eq!(server.get(&format!("{path}&nonsense=1")).await.status, 200, "{path}");
            refused(&server.send("GET", &format!("{path}&nonsense=1"), &[STRICT], "").await, "not-supported");
            refused(&server.send("POST", path, &[FHIR, STRICT], body.to_string()).await, "not-supported");
            assert_eq!(server.send("GET", path, &[STRICT], "").await.status, 200, "{path}");
        }
    });
}

#[test]
fn portions_versions_and_purges_do_not_leave_unheard_what_they_do_not_know() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        for id in ["1", "2"] {
            let subject = json!({"reference": "Patient/a"});
            let body = json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
                "subject": subject});
            server.put(&format!("/Observation/{id}"), body.to_string()).await;
        }
        let page = server.get("/Patient?_revinclude=Observation:subject&_includesCount=1").await.json();
        let links = page["link"].as_array().unwrap();
        let related = links.iter().find(|link| link["relation"] == "related").unwrap();
        let (_, portion) = related["url"].as_str().unwrap().split_once("/fhir").unwrap();
        let known = server.send("GET", portion, &[STRICT], "").await;
        assert_eq!((known.status.as_u16(), warnings(&known).len()), (200, 0), "{}", known.text());
        let lenient = server.get(&format!("{portion}&nonsense=1")).await;
        assert!(warnings(&lenient)[0].contains("nonsense"), "{}", lenient.text());
        refused(&server.send("GET", &format!("{portion}&nonsense=1"), &[STRICT], "").await, "not-supported");
        refused(&server.get(&format!("{portion}&includesCt=x")).await, "duplicate");
        assert_eq!(server.get("/$versions?nonsense=1").await.status, 200);
        refused(&server.send("GET", "/$versions?nonsense=1", &[STRICT], "").await, "not-supported");
        assert_eq!(server.send("GET", "/$versions?_format=json", &[STRICT], "").await.status, 200);
        let purge = "/Patient/a/$purge-history?nonsense=1";
        refused(&server.send("DELETE", purge, &[LENIENT], "").await, "not-supported");
        assert_eq!(server.events().await, 3);
    });
}

#[test]
fn operations_refuse_what_changes_their_answer_and_what_is_given_twice() {
    test(|server| async move {
        let twice = |name: &str, resource: &Value| {
            let one = json!({"name": name, "resource": resource});
            json!({"resourceType": "Parameters", "parameter": [one, one]}).to_string()
        };
        refused(&server.post("/$validate", twice("resource", &patient("a"))).await, "duplicate");
        refused(
            &server.post("/Patient/$member-match", twice("MemberPatient", &patient("a"))).await,
            "duplicate",
        );
        let set = "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender";
        refused(&server.get(&format!("{set}&filter=m&filter=f")).await, "duplicate");
        for name in ["exclude-system", "system-version", "context", "date"] {
            refused(&server.get(&format!("{set}&{name}=x")).await, "not-supported");
        }
        server.put("/Patient/a", patient("a").to_string()).await;
        for path in ["/Patient/a/$everything", "/Observation/$lastn?patient=a&code=x"] {
            refused(&server.post(path, patient("a").to_string()).await, "structure");
        }
    });
}

#[test]
fn the_link_of_lastn_has_what_was_applied() {
    test(|server| async move {
        let answer = server.get("/Observation/$lastn?patient=a&code=x&nonsense=1&max=2").await;
        let own = answer.json()["link"][0]["url"].as_str().unwrap().to_owned();
        assert!(own.ends_with("/Observation/$lastn?patient=a&code=x&max=2"), "{own}");
    });
}

#[test]
fn a_modifier_of_what_has_none_is_refused() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        for name in [
            "_list:not",
            "_not-referenced:missing",
            "_type:not",
            "_filter:not",
            "_query:exact",
            "_count:exact",
            "_sort:desc",
            "_summary:not",
            "_elements:exact",
            "_total:missing",
            "_contained:not",
            "_containedType:not",
            "_include:exact",
            "_revinclude:all",
            "_includesCount:x",
            "_format:x",
            "_pretty:x",
            "_explain:x",
            "_since:x",
            "ct:x",
        ] {
            for path in [
                "/Patient",
                "",
                "/Patient/a/_history",
                "/Patient/a",
                "/Patient/a/$everything",
                "/Patient/a/*",
            ] {
                let answer = server.send("GET", &format!("{path}?{name}=1"), &[LENIENT], "").await;
                refused(&answer, "not-supported");
                assert!(answer.text().contains(name.split(':').next().unwrap()), "{}", answer.text());
            }
        }
        for query in ["_meta-history:x=false", "hardDelete:x=true"] {
            refused(
                &server.put(&format!("/Patient/a?{query}"), patient("a").to_string()).await,
                "not-supported",
            );
        }
        for path in ["/Patient/a/$everything?start:x=2020", "/Observation/$lastn?patient=a&code=x&max:x=2"] {
            refused(&server.get(path).await, "not-supported");
        }
        assert_eq!(server.events().await, 1);
        assert_eq!(server.get("/Patient?_include:iterate=Patient:organization").await.status, 200);
    });
}

#[test]
fn bundles_statements_and_how_to_answer_are_looked_at_where_the_client_is_strict() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        let batch = r#"{"resourceType":"Bundle","type":"batch"}"#;
        for (method, path, body, code) in [
            ("POST", "?nonsense=x", batch, "not-supported"),
            ("GET", "/metadata?nonsense=x", "", "not-supported"),
            ("GET", "/_operations/reindex/x?nonsense=x", "", "not-supported"),
            ("GET", "/Patient/a?_elements=nonsense", "", "not-supported"),
            ("GET", "/Patient/a/_history/1?_elements=active,nonsense", "", "not-supported"),
            ("GET", "/Patient?_elements=nonsense", "", "not-supported"),
            ("GET", "/Patient/a/*?_elements=nonsense", "", "not-supported"),
            ("GET", "/Patient/a/$everything?_elements=nonsense", "", "not-supported"),
            ("GET", "/Patient/a?_pretty=nonsense", "", "invalid"),
            ("GET", "/Patient?_pretty=nonsense", "", "invalid"),
            ("GET", "/metadata?_pretty=nonsense", "", "invalid"),
        ] {
            refused(&server.send(method, path, &[FHIR, STRICT], body).await, code);
            if !path.starts_with("/_operations") {
                assert_eq!(server.send(method, path, &[FHIR], body).await.status, 200, "{path}");
            }
        }
        for path in ["/Patient?_elements=nonsense", "/Patient/a/$everything?_elements=name,nonsense"] {
            let told = warnings(&server.get(path).await);
            assert!(told.iter().any(|text| text.contains("nonsense")), "{path}: {told:?}");
        }
        for path in [
            "/Patient?_elements=id,meta,resourceType,name,deceased,deceasedBoolean,_birthDate",
            "/Patient?_elements=code&_revinclude=Observation:subject",
            "?_type=Patient,Observation&_elements=code,name",
            "/Patient/a?_elements=active,name&_pretty=true",
            "/Patient/a/$everything?_elements=code",
            "/metadata?mode=full&_format=json&_pretty=false",
        ] {
            let answer = server.send("GET", path, &[STRICT], "").await;
            assert_eq!(
                (answer.status.as_u16(), warnings(&answer).len()),
                (200, 0),
                "{path}: {}",
                answer.text()
            );
        }
    });
}

#[test]
fn conditions_that_mean_nothing_are_refused() {
    test(|server| async move {
        server.put("/Patient/a", patient("a").to_string()).await;
        let batch = r#"{"resourceType":"Bundle","type":"batch"}"#;
        let new = r#"{"resourceType":"Patient"}"#;
        let changed = json!({"resourceType": "Patient", "id": "a", "active": false}).to_string();
        let patch = r#"[{"op":"replace","path":"/active","value":false}]"#;
        let json_patch = ("Content-Type", "application/json-patch+json");
        let unmodified = ("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT");
        for (method, path, kind, condition, body) in [
            ("POST", "/Patient", FHIR, ("If-Match", "W/\"1\""), new),
            ("POST", "/Patient", FHIR, ("If-None-Match", "*"), new),
            ("POST", "", FHIR, ("If-Match", "W/\"1\""), batch),
            ("POST", "", FHIR, ("If-None-Match", "*"), batch),
            ("PUT", "/Patient/a", FHIR, unmodified, changed.as_str()),
            ("PUT", "/Patient?active=true", FHIR, unmodified, changed.as_str()),
            ("PATCH", "/Patient/a", json_patch, unmodified, patch),
            ("DELETE", "/Patient/a", FHIR, unmodified, ""),
            ("DELETE", "/Patient?active=true", FHIR, unmodified, ""),
        ] {
            let answer = server.send(method, path, &[kind, condition], body.to_owned()).await;
            refused(&answer, "not-supported");
            assert_eq!(answer.json()["issue"][0]["expression"][0], condition.0, "{method} {path}");
        }
        let with_criteria = [FHIR, ("If-None-Exist", "active=false"), ("If-Match", "W/\"1\"")];
        refused(&server.send("POST", "/Patient", &with_criteria, new).await, "not-supported");
        let resource = json!({"resourceType": "Patient", "id": "a"});
        for kind in ["batch", "transaction"] {
            for (method, url, element, value) in [
                ("POST", "Patient", "ifMatch", "W/\"1\""),
                ("POST", "Patient", "ifNoneMatch", "*"),
                ("POST", "Patient", "ifModifiedSince", "2020-01-01T00:00:00Z"),
                ("PUT", "Patient/a", "ifModifiedSince", "2020-01-01T00:00:00Z"),
                ("DELETE", "Patient/a", "ifModifiedSince", "2020-01-01T00:00:00Z"),
                ("GET", "Patient/a", "ifMatch", "W/\"9\""),
            ] {
                let mut entry = json!({"request": {"method": method, "url": url, element: value}});
                if matches!(method, "POST" | "PUT") {
                    entry["resource"] = resource.clone();
                }
                let answer = server.post("", bundle(kind, entry)).await;
                assert_eq!(status(kind, &answer), "400", "{method} {element}: {}", answer.text());
                assert!(answer.text().contains(&format!("request.{element}")), "{}", answer.text());
            }
        }
        assert_eq!(server.events().await, 1);
        // The version goes before the time (RFC 9110 section 13.1.4).
        let both = [FHIR, ("If-Match", "W/\"1\""), unmodified];
        assert_eq!(server.send("PUT", "/Patient/a", &both, changed).await.status, 200);
    });
}

#[test]
fn criteria_are_refused_where_nothing_is_searched() {
    test(|server| async move {
        let basic = |id: &str| json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}}).to_string();
        server.put("/Basic/f1", basic("f1")).await;
        let changed = json!({"resourceType": "Basic", "id": "f1", "code": {"text": "y"}}).to_string();
        let patch = r#"[{"op":"replace","path":"/code/text","value":"y"}]"#;
        let json_patch = ("Content-Type", "application/json-patch+json");
        for query in [
            "identifier=http://no|match",
            "identifier:not=http://no|match",
            "code=a&_pretty=true",
            "patient.name=a",
            "_id=f2",
            "_tag=a|b",
            "_lastUpdated=ge2020",
            "_has:Provenance:target:agent=1",
            "_filter=code eq a",
            "_text=a",
        ] {
            for (method, path, kind, body) in [
                ("POST", "/Basic", FHIR, changed.as_str()),
                ("PUT", "/Basic/f1", FHIR, changed.as_str()),
                ("PATCH", "/Basic/f1", json_patch, patch),
                ("DELETE", "/Basic/f1", FHIR, ""),
            ] {
                let answer =
                    server.send(method, &format!("{path}?{query}"), &[kind, LENIENT], body.to_owned()).await;
                refused(&answer, "not-supported");
                assert!(method == "DELETE" || answer.text().contains("If-None-Exist"), "{}", answer.text());
            }
        }
        for kind in ["batch", "transaction"] {
            for (method, url) in [("POST", "Basic"), ("PUT", "Basic/f1"), ("DELETE", "Basic/f1")] {
                let mut entry =
                    json!({"request": {"method": method, "url": format!("{url}?identifier=http://x|1")}});
                if method != "DELETE" {
                    entry["resource"] = serde_json::from_str(&changed).unwrap();
                }
                let answer = server.post("", bundle(kind, entry)).await;
                assert_eq!(status(kind, &answer), "400", "{method} {url}: {}", answer.text());
            }
        }
        assert_eq!(server.events().await, 1, "nothing was written");
        // What is no search parameter of the type is left out, as before.
        for query in ["_meta-history=false", "_format=json", "_summary=true", "family=x"] {
            assert_eq!(server.put(&format!("/Basic/f1?{query}"), basic("f1")).await.status, 200, "{query}");
        }
    });
}
