//! `$reindex` and `SearchParameter/$status`: parameters of clients are built into the index beside the live one.

use std::time::Duration;

use serde_json::{Value, json};

use super::parked::break_resource;
use super::search_parameters::parameter;
use crate::support::{Answer, FHIR, Server, eventually, test};

const STRICT: (&str, &str) = ("Prefer", "handling=strict");
const EXAMPLE: &str = "http://example.org/";

/// Stores a parameter under its code as id.
pub(crate) async fn store(server: &Server, code: &str, changes: Value) {
    let mut resource = parameter(changes);
    resource["code"] = json!(code);
    resource["id"] = json!(code);
    resource["url"] = json!(format!("{EXAMPLE}{code}"));
    let answer = server.put(&format!("/SearchParameter/{code}"), resource.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

fn value(parameters: &Value, name: &str) -> Value {
    let all = parameters["parameter"].as_array().unwrap_or_else(|| panic!("{parameters}"));
    let one = all.iter().find(|one| one["name"] == name).and_then(Value::as_object);
    let found = one.and_then(|one| one.iter().find(|(name, _)| name.starts_with("value")));
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The path of the job that an answer tells of, below the service.
fn job(begun: &Answer) -> String {
    assert_eq!(begun.status, 201, "{}", begun.text());
    begun.header("content-location").split("/fhir").nth(1).unwrap().to_owned()
}

/// Asks for a job until it is so.
async fn until(server: &Server, job: &str, status: &str) -> Value {
    let asked = async {
        loop {
            let shown = server.get(job).await.json();
            if value(&shown, "status") == status {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap()
}

pub(crate) async fn reindexed(server: &Server) -> Value {
    let begun = server.post("/$reindex", r#"{"resourceType":"Parameters"}"#).await;
    until(server, &job(&begun), "Completed").await
}

/// The status of a parameter of ours, `None` where it is not listed.
async fn status(server: &Server, code: &str) -> Option<String> {
    let listed = server.get(&format!("/SearchParameter/$status?url={EXAMPLE}{code}")).await.json();
    let part = listed["parameter"][0]["part"].as_array()?.clone();
    part.iter().find(|part| part["name"] == "status")?["valueString"].as_str().map(str::to_owned)
}

/// The ids that a search finds, sorted.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let answer = server.send("GET", query, &[STRICT], "").await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let found = entries.iter().filter(|entry| entry["search"]["mode"] != "outcome");
    let mut ids: Vec<String> =
        found.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

async fn is_unknown(server: &Server, query: &str) -> bool {
    let answer = server.send("GET", query, &[STRICT], "").await;
    match answer.status.as_u16() {
        200 => false,
        400 => true,
        other => panic!("{other}: {}", answer.text()),
    }
}

async fn resources(server: &Server) {
    let low = |value: u32| json!({"value": value, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"});
    let range = |code: &str, value: u32| json!({"type": {"coding": [{"system": "http://r", "code": code}]}, "low": low(value)});
    let code = json!({"text": "x"});
    for resource in [
        json!({"resourceType": "Patient", "id": "a",
            "name": [{"use": "nickname", "given": ["Pete"], "period": {"start": "2010"}}]}),
        json!({"resourceType": "Patient", "id": "b", "name": [{"use": "official", "given": ["Peter"]}],
            "link": [{"type": "seealso", "other": {"reference": "Patient/a"}}]}),
        json!({"resourceType": "Patient", "id": "c",
            "name": [{"use": "nickname", "given": ["Anna"], "period": {"start": "2015"}}]}),
        json!({"resourceType": "Observation", "id": "o", "status": "final", "code": code,
            "referenceRange": [range("normal", 5), range("treatment", 9)]}),
        json!({"resourceType": "Observation", "id": "p", "status": "final", "code": code,
            "referenceRange": [range("normal", 9), range("treatment", 5)]}),
    ] {
        let path =
            format!("/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        assert_eq!(server.put(&path, resource.to_string()).await.status, 201);
    }
}

async fn parameters(server: &Server) {
    store(server, "nickname", json!({})).await;
    store(server, "link-type", json!({"type": "token", "expression": "Patient.link.type"})).await;
    store(server, "named-since", json!({"type": "date", "expression": "Patient.name.period"})).await;
    let link = json!({"type": "reference", "expression": "Patient.link.other", "target": ["Patient"]});
    store(server, "see", link).await;
    let of = |kind: &str, expression: &str| json!({"base": ["Observation"], "type": kind, "expression": expression});
    store(server, "range-type", of("token", "Observation.referenceRange.type")).await;
    store(server, "range-low", of("quantity", "Observation.referenceRange.low")).await;
    let mut composite = of("composite", "Observation.referenceRange");
    let part = |code: &str, expression: &str| json!({"definition": format!("{EXAMPLE}{code}"), "expression": expression});
    composite["component"] = json!([part("range-type", "type"), part("range-low", "low")]);
    store(server, "range", composite).await;
}

/// What finds which; no other way finds it.
const SEARCHES: [(&str, &[&str]); 12] = [
    ("/Patient?nickname=pet", &["a"]),
    ("/Patient?nickname:exact=Anna", &["c"]),
    ("/Patient?link-type=seealso", &["b"]),
    ("/Patient?named-since=ge2012", &["a", "c"]),
    ("/Patient?named-since=sa2012", &["c"]),
    ("/Patient?see=Patient/a", &["b"]),
    ("/Patient?see:Patient.nickname=pete", &["b"]),
    ("/Patient?_has:Patient:see:link-type=seealso", &["a"]),
    ("/Patient?_filter=nickname%20sw%20pet%20or%20link-type%20eq%20seealso", &["a", "b"]),
    ("/Patient?link-type=seealso&_include=Patient:see", &["a", "b"]),
    ("/Observation?range-low=9||mg&range-type=normal", &["o", "p"]),
    ("/Observation?range=normal$9||mg", &["p"]),
];

#[test]
fn parameters_can_be_used_when_the_index_has_them_and_not_before() {
    test(|server| async move {
        resources(&server).await;
        parameters(&server).await;
        let lenient = server.get("/Patient?nickname=pet").await;
        assert_eq!(lenient.status, 200);
        assert!(lenient.text().contains("awaits a reindex"), "{}", lenient.text());
        let strict = server.send("GET", "/Patient?nickname=pet", &[STRICT], "").await;
        assert_eq!(strict.status, 400);
        assert!(strict.text().contains("awaits a reindex"), "{}", strict.text());
        assert_eq!(status(&server, "nickname").await.as_deref(), Some("supported"));
        let completed = reindexed(&server).await;
        assert_eq!(value(&completed, "progress"), 100);
        assert_eq!(
            value(&completed, "resourcesSuccessfullyReindexed"),
            value(&completed, "totalResourcesToReindex")
        );
        assert_eq!(value(&completed, "resources"), "Observation,Patient");
        assert!(value(&completed, "searchParams").as_str().unwrap().contains("http://example.org/nickname"));
        assert!(value(&completed, "startTime").is_string() && value(&completed, "endTime").is_string());
        for (query, expected) in SEARCHES {
            assert_eq!(found(&server, query).await, expected, "{query}");
        }
        for code in ["nickname", "see", "range"] {
            assert_eq!(status(&server, code).await.as_deref(), Some("enabled"), "{code}");
        }
        let sorted = server.get("/Patient?_sort=-nickname&_elements=id").await.json();
        let ids: Vec<&Value> =
            sorted["entry"].as_array().unwrap().iter().map(|one| &one["resource"]["id"]).collect();
        assert_eq!(ids, ["a", "c", "b"]);
        let late = r#"{"resourceType":"Patient","id":"d","name":[{"use":"nickname","given":["Petra"]}]}"#;
        let once = [FHIR, ("If-None-Exist", "nickname=petra")];
        assert_eq!(server.send("POST", "/Patient", &once, late).await.status, 201);
        assert_eq!(server.send("POST", "/Patient", &once, late).await.status, 200);
        assert_eq!(found(&server, "/Patient?nickname=pet").await.len(), 2);
    });
}

#[test]
fn what_is_changed_switched_off_or_deleted_follows_at_once() {
    test(|server| async move {
        resources(&server).await;
        store(&server, "nickname", json!({})).await;
        reindexed(&server).await;
        let query = "/Patient?nickname=pete";
        assert_eq!(found(&server, query).await, ["a"]);
        store(&server, "nickname", json!({"expression": "Patient.name.given"})).await;
        assert_eq!(found(&server, query).await, ["a"], "as it was when the index was built");
        let warns = async |query: &str| {
            server.get(query).await.text().contains("nickname was changed since the index")
        };
        let deleted = server.delete("/Patient?nickname=pete").await;
        assert_eq!(
            (deleted.status.as_u16(), deleted.outcome().as_str()),
            (400, "incomplete"),
            "by the old meaning"
        );
        let once = [FHIR, ("If-None-Exist", "_filter=nickname eq pete")];
        assert_eq!(server.send("POST", "/Patient", &once, r#"{"resourceType":"Patient"}"#).await.status, 400);
        for asked in [
            query,
            "/Patient?nickname:exact=Pete",
            "/Patient?_sort=_id,-nickname",
            "/Patient?_filter=nickname%20eq%20pete",
        ] {
            assert!(warns(asked).await, "{asked}");
        }
        for other in ["/Patient?name=pete", "/Observation?code=x"] {
            assert!(!warns(other).await, "{other}");
        }
        assert!(
            server
                .get("/SearchParameter/$status?code=nickname")
                .await
                .text()
                .contains("as it was when the index was built")
        );
        assert_eq!(status(&server, "nickname").await.as_deref(), Some("supported"));
        reindexed(&server).await;
        assert_eq!(found(&server, query).await, ["a", "b"]);
        assert!(!warns(query).await);
        assert_eq!(status(&server, "nickname").await.as_deref(), Some("enabled"));
        let other = server.beside().await;
        for (word, is_hidden) in [("disabled", true), ("Supported", false)] {
            let part = json!([{"name": "url", "valueUri": "http://example.org/nickname"},
                {"name": "status", "valueString": word}]);
            let change = json!({"resourceType": "Parameters",
                "parameter": [{"name": "searchParameterStatus", "part": part}]});
            let answer = server.put("/SearchParameter/$status", change.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let now = if is_hidden { "disabled" } else { "enabled" };
            assert_eq!(answer.json()["parameter"][0]["part"][1]["valueString"], now);
            assert_eq!(is_unknown(&server, query).await, is_hidden, "at once");
            let seen = async {
                while is_unknown(&other, query).await != is_hidden {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
        }
        assert_eq!(server.delete("/SearchParameter/nickname").await.status, 204);
        assert!(is_unknown(&server, query).await);
        assert_eq!(status(&server, "nickname").await.as_deref(), Some("pendingDelete"));
        reindexed(&other).await;
        assert_eq!(status(&other, "nickname").await, None);
        other.stop().await;
    });
}

#[test]
fn a_job_is_told_of_and_given_up_on_every_node() {
    test(|server| async move {
        assert_eq!(server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await.status, 201);
        break_resource(&server, "Patient", "b", 1).await;
        server.get("/Patient").await;
        // The active version has lost it, so that the new one has parked more and waits.
        let (client, connection) =
            tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        client.execute("DELETE FROM anamnesis.projection_parked", &[]).await.unwrap();
        let order = json!({"resourceType": "Parameters", "parameter": [
            {"name": "maximumNumberOfResourcesPerQuery", "valueInteger": 100},
            {"name": "targetResourceTypes", "valueString": "Patient,Observation"}]});
        let begun = server.post("/$reindex", order.to_string()).await;
        let path = job(&begun);
        assert_eq!(value(&begun.json(), "maximumNumberOfResourcesPerQuery"), 100);
        assert_eq!(value(&begun.json(), "targetResourceTypes"), "Patient,Observation");
        let other = server.beside().await;
        for node in [&*server, &other] {
            let again = node.post("/$reindex", "").await;
            assert_eq!((again.status.as_u16(), again.outcome().as_str()), (409, "conflict"));
            assert!(again.text().contains(&path), "{}", again.text());
        }
        let running = until(&other, &path, "Running").await;
        assert!(value(&running, "queuedTime").is_string());
        // Built it is soon, and then it is told what it waits for.
        eventually("the reindex says why it waits", || async {
            let told = value(&server.get(&path).await.json(), "failureDetails");
            told.as_str().is_some_and(|text| text.contains("has parked 1 resource(s)"))
        })
        .await;
        let listed = other.get("/$reindex").await.json();
        assert_eq!(value(&listed["parameter"][0]["resource"], "id"), path.rsplit('/').next().unwrap());
        assert_eq!(other.delete(&path).await.status, 202);
        let canceled = until(&server, &path, "Canceled").await;
        assert!(value(&canceled, "endTime").is_string(), "{canceled}");
        assert_eq!(server.delete(&path).await.status, 409);
        for method in ["GET", "DELETE"] {
            assert_eq!(server.send(method, "/_operations/reindex/nothing", &[], "").await.status, 404);
        }
        other.stop().await;
        drop(client);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn what_reindex_does_not_know_is_refused() {
    test(|server| async move {
        for (name, given) in [
            ("maximumNumberOfResourcesPerQuery", json!(0)),
            ("maximumNumberOfResourcesPerWrite", json!(10_001)),
            ("queryDelayIntervalInMilliseconds", json!(-1)),
            ("targetDataStoreUsagePercentage", json!(101)),
            ("maximumConcurrency", json!(3)),
        ] {
            let order =
                json!({"resourceType": "Parameters", "parameter": [{"name": name, "valueInteger": given}]});
            let answer = server.post("/$reindex", order.to_string()).await;
            assert_eq!(answer.status, 400, "{name}: {}", answer.text());
            assert!(answer.text().contains(name));
            assert!(!answer.text().contains("left out"), "it is refused: {}", answer.text());
        }
        // What is wrong is told together.
        let order = json!({"resourceType": "Parameters", "parameter": [{"name": "maximumConcurrency", "valueInteger": 3},
            {"name": "nosuch", "valueInteger": 3}, {"name": "targetDataStoreUsagePercentage", "valueInteger": 101}]});
        let answer = server.post("/$reindex", order.to_string()).await;
        assert_eq!(answer.status, 400);
        let issues = answer.json()["issue"].as_array().unwrap().clone();
        assert!(issues.len() == 3 && issues.iter().all(|issue| issue["severity"] == "error"), "{issues:?}");
        for (method, path) in
            [("GET", "/SearchParameter/$status?nosuch=1"), ("PUT", "/SearchParameter/$status")]
        {
            let body = json!({"resourceType": "Parameters", "parameter": [{"name": "nosuch", "valueInteger": 3},
                {"name": "searchParameterStatus", "part": [{"name": "url",
                    "valueUri": "http://hl7.org/fhir/SearchParameter/individual-gender"},
                    {"name": "status", "valueString": "Disabled"}]}]});
            let body = if method == "PUT" { body.to_string() } else { String::new() };
            let answer = server.send(method, path, &[FHIR], body).await;
            assert_eq!(answer.status, 400, "{method}: {}", answer.text());
            let told = answer.json()["issue"][0]["diagnostics"].clone();
            assert_eq!(told, "$status does not know the parameter nosuch.", "{method}");
        }
        assert_eq!(
            server.get("/Patient?gender=male").await.json()["entry"],
            Value::Null,
            "it is not switched off"
        );
        for (name, text) in
            [("targetResourceTypes", "Patient,Pacient"), ("targetSearchParameterTypes", "token,tokken")]
        {
            let order =
                json!({"resourceType": "Parameters", "parameter": [{"name": name, "valueString": text}]});
            let answer = server.post("/$reindex", order.to_string()).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "value"), "{name}");
        }
        assert_eq!(server.get("/$reindex").await.json(), json!({"resourceType": "Parameters"}));
    });
}

#[test]
fn the_status_of_all_is_told_and_of_r4_can_be_switched() {
    test(|server| async move {
        resources(&server).await;
        let count = async |query: &str| {
            let listed = server.get(&format!("/SearchParameter/$status{query}")).await.json();
            listed["parameter"].as_array().map_or(0, Vec::len)
        };
        assert!(count("").await > 1300);
        assert_eq!(count("?code=birthdate").await, 1);
        assert_eq!(count("?resourceType=Patient&code=name").await, 1);
        assert_eq!(count("?resourcetype=Patient&code=code").await, 0);
        assert_eq!(count("?url=http://example.org/nothing").await, 0);
        let change = |url: &str, status: &str| {
            let part =
                json!([{"name": "url", "valueString": url}, {"name": "status", "valueString": status}]);
            json!({"resourceType": "Parameters", "parameter": [{"name": "searchParameterStatus", "part": part}]})
        };
        let given = "http://hl7.org/fhir/SearchParameter/individual-given";
        let answer = server.post("/SearchParameter/$status", change(given, "disabled").to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for query in [
            "/Patient?given=a",
            "/Patient?_sort=given",
            "/Patient?_filter=given%20sw%20a",
            "/Patient?see.given=a",
        ] {
            assert!(is_unknown(&server, query).await, "{query}");
        }
        assert!(!server.get("/metadata").await.text().contains(given));
        for wrong in [
            change("http://example.org/nothing", "disabled"),
            change(given, "gone"),
            change("http://hl7.org/fhir/SearchParameter/Resource-query", "disabled"),
            json!({"resourceType": "Parameters"}),
        ] {
            let answer = server.put("/SearchParameter/$status", wrong.to_string()).await;
            assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
        }
        let answer = server.put("/SearchParameter/$status", change(given, "enabled").to_string()).await;
        assert_eq!(answer.json()["parameter"][0]["part"][1]["valueString"], "enabled");
        assert_eq!(found(&server, "/Patient?given=peter").await, ["b"]);
    });
}

#[test]
fn the_values_of_a_resource_are_shown_as_they_are_and_would_be() {
    test(|server| async move {
        resources(&server).await;
        store(&server, "nickname", json!({})).await;
        let would_be = server.get("/Patient/a/$reindex").await.json();
        assert_eq!(value(&would_be, "nickname"), "Pete");
        assert_eq!(value(&server.post("/Patient/a/$reindex", "").await.json(), "nickname"), Value::Null);
        reindexed(&server).await;
        assert_eq!(server.post("/Patient/a/$reindex", "").await.json(), would_be);
        assert_eq!(server.get("/Patient/nothing/$reindex").await.status, 404);
    });
}
