//! The rules of transactions (R4 http.html#trules) and what entries of bundles may ask for.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::patch::replace;
use crate::support::{Answer, Server, test};

pub(crate) async fn run(server: &Server, kind: &str, entries: Value) -> Answer {
    let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    server.post("", bundle.to_string()).await
}

pub(crate) fn request(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

pub(crate) fn with(resource: Value, method: &str, url: &str) -> Value {
    json!({"resource": resource, "request": {"method": method, "url": url}})
}

fn patient(id: &str, identifier: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:b", "value": identifier}]})
}

fn basic(subject: &str) -> Value {
    json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": subject}})
}

fn status(answer: &Answer, index: usize) -> String {
    let json = answer.json();
    json["entry"][index]["response"]["status"]
        .as_str()
        .unwrap_or_default()
        .get(..3)
        .unwrap_or_default()
        .to_owned()
}

/// The refusal of a whole bundle: status, code, place.
fn refusal(answer: &Answer) -> (u16, String, String) {
    let place = answer.json()["issue"][0]["expression"][0].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), answer.outcome(), place)
}

#[test]
fn a_read_that_fails_fails_the_transaction() {
    test(|server| async move {
        server.put("/Patient/old", patient("old", "old").to_string()).await;
        server.put("/Patient/gone", patient("gone", "gone").to_string()).await;
        server.delete("/Patient/gone").await;
        let events = server.events().await;
        for (read, code) in [
            ("Patient/nosuch", (404, "not-found")),
            ("Patient/gone", (410, "deleted")),
            ("Patient/old/_history/7", (404, "not-found")),
            ("Patient?birthdate=x", (400, "invalid")),
            ("Patient/nosuch/_history", (404, "not-found")),
            ("nothing/there/at/all", (404, "not-found")),
        ] {
            let answer = run(
                &server,
                "transaction",
                json!([with(basic("Patient/old"), "POST", "Basic"), request("GET", read)]),
            )
            .await;
            let (status, issue, place) = refusal(&answer);
            assert_eq!((status, issue.as_str()), code, "{read}");
            assert!(
                place.ends_with("Bundle.entry[1]") || answer.text().contains("Bundle.entry[1]"),
                "{}",
                answer.text()
            );
        }
        let deleted = json!([request("DELETE", "Patient/old"), request("GET", "Patient/old")]);
        let (status, issue, _) = refusal(&run(&server, "transaction", deleted).await);
        assert_eq!((status, issue.as_str()), (410, "deleted"));
        assert_eq!(server.events().await, events, "nothing was written");
    });
}

#[test]
fn reads_that_succeed_show_what_is_written_and_304_is_no_failure() {
    test(|server| async move {
        server.put("/Patient/old", patient("old", "old").to_string()).await;
        let mut known = request("GET", "Patient/old");
        known["request"]["ifNoneMatch"] = json!("W/\"1\"");
        let entries = json!([
            with(patient("new", "new"), "PUT", "Patient/new"),
            request("GET", "Patient/new"),
            request("GET", "Patient/new/_history/1"),
            known,
            request("GET", "Patient?identifier=urn:b|new"),
            request("GET", "Patient/old"),
            request("HEAD", "Patient/old"),
        ]);
        let answer = run(&server, "transaction", entries).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        assert_eq!(
            (1..7).map(|n| status(&answer, n)).collect::<Vec<_>>(),
            ["200", "200", "304", "200", "200", "200"]
        );
        assert_eq!(json["entry"][1]["resource"]["id"], "new");
        assert_eq!(json["entry"][4]["resource"]["entry"][0]["resource"]["id"], "new");
        assert_eq!(json["entry"][5]["resource"]["id"], "old");
        assert_eq!(json["entry"][6]["resource"], Value::Null, "a HEAD has no body");
        assert_eq!(json["entry"][6]["response"]["etag"], "W/\"1\"");
    });
}

#[test]
fn conditions_of_reads_count_and_a_head_has_no_body() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", "1").to_string()).await;
        let since = |instant: &str| {
            let mut entry = request("GET", "Patient/a");
            entry["request"]["ifModifiedSince"] = json!(instant);
            entry
        };
        let entries = json!([
            since("2124-01-01T00:00:00Z"),
            since("2020-01-01T00:00:00.000+02:00"),
            request("HEAD", "Patient/a"),
            request("HEAD", "Patient?identifier=urn:b|1"),
            request("HEAD", "Patient/nobody"),
        ]);
        let answer = run(&server, "batch", entries.clone()).await;
        assert_eq!(
            (0..5).map(|n| status(&answer, n)).collect::<Vec<_>>(),
            ["304", "200", "200", "200", "404"]
        );
        let json = answer.json();
        for (index, has_body) in [false, true, false, false].into_iter().enumerate() {
            assert_eq!(json["entry"][index]["resource"].is_object(), has_body, "{index}: {json}");
        }
        let malformed = run(&server, "batch", json!([since("yesterday")])).await;
        assert_eq!(status(&malformed, 0), "400", "{}", malformed.text());
    });
}

#[test]
fn a_conditional_reference_finds_what_the_transaction_makes() {
    test(|server| async move {
        for (criteria, born) in [("identifier=urn:b|x", "1970-01-01"), ("birthdate=1971-02-03", "1971-02-03")]
        {
            let mut made = patient("", if criteria.starts_with('i') { "x" } else { "y" });
            made.as_object_mut().unwrap().remove("id");
            made["birthDate"] = json!(born);
            let reference = format!("Patient?{criteria}");
            let entries = json!([with(basic(&reference), "POST", "Basic"), with(made, "POST", "Patient")]);
            let answer = run(&server, "transaction", entries).await;
            assert_eq!(answer.status, 200, "{criteria}: {}", answer.text());
            let json = answer.json();
            let id = json["entry"][1]["resource"]["id"].as_str().unwrap();
            assert_eq!(json["entry"][0]["resource"]["subject"]["reference"], format!("Patient/{id}"));
            // One that is there and one that is made are two.
            let mut again = patient("", "x");
            again.as_object_mut().unwrap().remove("id");
            again["birthDate"] = json!(born);
            let entries = json!([with(basic(&reference), "POST", "Basic"), with(again, "POST", "Patient")]);
            let (status, code, _) = refusal(&run(&server, "transaction", entries).await);
            assert_eq!((status, code.as_str()), (412, "multiple-matches"), "{criteria}");
        }
    });
}

#[test]
fn a_conditional_reference_never_finds_what_the_transaction_takes_away() {
    test(|server| async move {
        for criteria in ["identifier=urn:b|x", "identifier:not=urn:b|other"] {
            let reference = format!("Patient?{criteria}");
            server.put("/Patient/a", patient("a", "x").to_string()).await;
            let deleting = json!([request("DELETE", "Patient/a"), with(basic(&reference), "POST", "Basic")]);
            let events = server.events().await;
            let (status, code, place) = refusal(&run(&server, "transaction", deleting).await);
            assert_eq!((status, code.as_str()), (400, "not-found"), "{criteria}");
            assert_eq!(place, "Bundle.entry[1].resource.subject.reference");
            // An update that lets go of the identifier does not hold it when everything is written.
            let changing = json!([
                with(patient("a", "other"), "PUT", "Patient/a"),
                with(basic(&reference), "POST", "Basic")
            ]);
            assert_eq!(run(&server, "transaction", changing).await.status, 400, "{criteria}");
            assert_eq!(server.events().await, events);
            // Of many that match, all but one are deleted.
            for id in ["b", "c", "d"] {
                server.put(&format!("/Patient/{id}"), patient(id, "x").to_string()).await;
            }
            let leaving = json!([
                request("DELETE", "Patient/a"),
                request("DELETE", "Patient/b"),
                request("DELETE", "Patient/c"),
                with(basic(&reference), "POST", "Basic")
            ]);
            let left = run(&server, "transaction", leaving).await;
            assert_eq!(
                left.json()["entry"][3]["resource"]["subject"]["reference"],
                "Patient/d",
                "{}",
                left.text()
            );
            server.delete("/Patient/d").await;
        }
    });
}

#[test]
fn a_resource_found_by_a_condition_is_not_counted_as_made() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", "x").to_string()).await;
        // Not created, because the condition matches; so its body matches nothing.
        let mut unless = with(
            json!({"resourceType": "Patient", "active": true,
            "identifier": [{"system": "urn:b", "value": "never"}]}),
            "POST",
            "Patient",
        );
        unless["request"]["ifNoneExist"] = json!("identifier=urn:b|x");
        let entries = json!([unless, with(basic("Patient?identifier=urn:b|never"), "POST", "Basic")]);
        assert_eq!(run(&server, "transaction", entries).await.status, 400);
    });
}

#[test]
fn transactions_on_one_resource_wait_for_each_other() {
    test(|server| async move {
        const CLIENTS: usize = 40;
        server.put("/Patient/a", patient("a", "x").to_string()).await;
        let send = |n: usize| {
            let server = &server;
            async move {
                let add = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
                    {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
                    {"name": "name", "valueString": "identifier"},
                    {"name": "value", "valueIdentifier": {"value": n.to_string()}}]}]});
                let url = if n.is_multiple_of(2) { "Patient/a" } else { "Patient?identifier=urn:b|x" };
                let entries = json!([with(add, "PATCH", url), with(basic("Patient/a"), "POST", "Basic")]);
                run(server, "transaction", entries).await
            }
        };
        let answers = join_all((0..CLIENTS).map(send)).await;
        let refused: Vec<String> =
            answers.iter().filter(|answer| answer.status != 200).map(Answer::text).collect();
        assert_eq!(refused, Vec::<String>::new());
        let patient = server.get("/Patient/a").await.json();
        assert_eq!(patient["identifier"].as_array().unwrap().len(), CLIENTS + 1, "no patch is lost");
        assert_eq!(patient["meta"]["versionId"], (CLIENTS + 1).to_string());
    });
}

#[test]
fn a_version_that_the_client_names_is_not_tried_again() {
    test(|server| async move {
        let mut body = patient("a", "x");
        body["active"] = json!(false);
        server.put("/Patient/a", body.to_string()).await;
        let guarded = || {
            let mut entry =
                with(replace("Patient.active", json!({"valueBoolean": true})), "PATCH", "Patient/a");
            entry["request"]["ifMatch"] = json!("W/\"1\"");
            json!([entry])
        };
        let answers = join_all((0..8).map(|_| run(&server, "transaction", guarded()))).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(200), count(412)), (1, 7));
    });
}

#[test]
fn two_entries_that_make_the_same_are_refused_as_such() {
    test(|server| async move {
        let put = |criteria: &str| {
            with(
                json!({"resourceType": "Patient", "identifier": [{"system": "urn:b", "value": "x"}]}),
                "PUT",
                &format!("Patient?{criteria}"),
            )
        };
        for (one, other) in [
            ("identifier=urn:b|x", "identifier=urn:b|x"),
            ("identifier=urn:b|x", "identifier=urn:b%7Cx"),
            ("family=Osler", "family=Osler"),
        ] {
            let answer = run(&server, "transaction", json!([put(one), put(other)])).await;
            let (status, code, place) = refusal(&answer);
            assert_eq!((status, code.as_str()), (400, "duplicate"), "{one} {other}");
            assert_eq!(place, "Bundle.entry[1].request.url");
        }
        assert_eq!(server.events().await, 0);
    });
}

/// A name in criteria stands for the resource, so that a repeated transaction finds what the first one made, and never
/// what says the same name for something else.
#[test]
fn criteria_may_name_an_entry() {
    const NAME: &str = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
    test(|server| async move {
        let named = |resource: Value, method: &str, url: &str| {
            let mut entry = with(resource, method, url);
            entry["fullUrl"] = json!(NAME);
            entry
        };
        // An entry of a batch means nothing to the others: this name stays as it is.
        let stranger = with(basic(NAME), "POST", "Basic");
        assert_eq!(run(&server, "batch", json!([stranger])).await.status, 200);
        let by_name = format!("Basic?subject={NAME}");
        let mut born = with(
            json!({"resourceType": "Flag", "status": "active", "code": {"text": "x"},
            "subject": {"reference": NAME}}),
            "POST",
            "Flag",
        );
        born["request"]["ifNoneExist"] = json!(format!("subject={NAME}"));
        let put = || named(patient("a", "x"), "PUT", "Patient/a");
        for expected in [["201", "201", "201"], ["200", "200", "200"]] {
            let entries = json!([put(), with(basic(NAME), "PUT", &by_name), born]);
            let answer = run(&server, "transaction", entries).await;
            assert_eq!((0..3).map(|n| status(&answer, n)).collect::<Vec<_>>(), expected, "{}", answer.text());
        }
        let answer = run(&server, "transaction", json!([put(), request("DELETE", &by_name)])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let left = server.get("/Basic").await.json();
        let subjects: Vec<_> =
            left["entry"].as_array().unwrap().iter().map(|e| &e["resource"]["subject"]).collect();
        assert_eq!(subjects, [&json!({"reference": NAME})], "the stranger is left");

        let events = server.events().await;
        let mut open = named(patient("new", "x"), "POST", "Patient");
        open["request"]["ifNoneExist"] = json!("identifier=urn:b|x");
        let answer = run(&server, "transaction", json!([open, with(basic(NAME), "PUT", &by_name)])).await;
        let expected = (400, "not-supported".to_owned(), "Bundle.entry[1]".to_owned());
        assert_eq!(refusal(&answer), expected, "{}", answer.text());
        assert_eq!(server.events().await, events, "nothing was written");
    });
}

#[test]
fn operations_and_searches_by_post_are_taken() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", "x").to_string()).await;
        for kind in ["batch", "transaction"] {
            let entries = json!([
                with(json!({"resourceType": "Patient", "id": "x"}), "POST", "Patient/$validate?mode=create"),
                request("POST", "Patient/_search?identifier=urn:b|x"),
                request("POST", "Patient/a/$everything"),
                request("GET", "Patient/a/$validate"),
            ]);
            let answer = run(&server, kind, entries).await;
            assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
            assert_eq!(
                (0..4).map(|n| status(&answer, n)).collect::<Vec<_>>(),
                ["200", "200", "200", "200"],
                "{kind}"
            );
            let json = answer.json();
            assert_eq!(json["entry"][0]["resource"]["issue"][0]["code"], "informational");
            assert_eq!(json["entry"][1]["resource"]["entry"][0]["resource"]["id"], "a");
            assert_eq!(json["entry"][2]["resource"]["type"], "searchset");
        }
        // Whether it may be recorded is what is asked, not what is wanted.
        let faulty = json!({"resourceType": "Patient", "gender": "x"});
        let asked = || with(faulty.clone(), "POST", "Patient/$validate");
        let answer = run(&server, "transaction", json!([asked()])).await;
        assert_eq!(status(&answer, 0), "200", "{}", answer.text());
        assert_eq!(answer.json()["entry"][0]["resource"]["issue"][0]["severity"], "error");
        let beside =
            run(&server, "transaction", json!([asked(), with(faulty.clone(), "POST", "Patient")])).await;
        assert_eq!(refusal(&beside).0, 400);
        let places = beside.text();
        assert!(places.contains("entry[1].resource") && !places.contains("entry[0].resource"), "{places}");
        for url in ["Patient/$nosuch", "Patient/a", "Patient/a/_history"] {
            let answer = run(&server, "batch", json!([with(patient("a", "x"), "POST", url)])).await;
            assert_eq!(status(&answer, 0), "400", "{url}");
        }
        let bundle = json!({"resourceType": "Bundle", "type": "transaction",
            "entry": [request("POST", "Patient/_search?_id=a"), with(patient("b", "b"), "PUT", "Patient/b")]});
        let headers = [("Content-Type", "application/fhir+json"), ("Idempotency-Key", "\"k\"")];
        let kept = server.send("POST", "", &headers, bundle.to_string()).await;
        assert_eq!((kept.status.as_u16(), kept.outcome().as_str()), (400, "not-supported"));
    });
}

#[test]
fn a_history_is_purged_by_an_entry() {
    test(|server| async move {
        for (kind, method) in
            [("batch", "DELETE"), ("batch", "POST"), ("transaction", "DELETE"), ("transaction", "POST")]
        {
            let id = format!("{kind}-{}", method.to_lowercase());
            let mut version = 0;
            for value in ["1", "2"] {
                server.put(&format!("/Patient/{id}"), patient(&id, value).to_string()).await;
                version += 1;
            }
            let mut stale = request(method, &format!("Patient/{id}/$purge-history"));
            stale["request"]["ifMatch"] = json!("W/\"1\"");
            let answer = run(&server, kind, json!([stale])).await;
            let told = if kind == "batch" { status(&answer, 0) } else { answer.status.as_u16().to_string() };
            assert_eq!(told, "412", "{kind} {method}");
            let purge = request(method, &format!("Patient/{id}/$purge-history"));
            let answer = run(&server, kind, json!([purge, with(basic("Patient/x"), "POST", "Basic")])).await;
            assert_eq!(
                (status(&answer, 0), status(&answer, 1)),
                ("204".into(), "201".into()),
                "{}",
                answer.text()
            );
            assert_eq!(answer.json()["entry"][0]["response"]["etag"], format!("W/\"{version}\""));
            assert_eq!(server.get(&format!("/Patient/{id}/_history/1")).await.status, 404);
            assert_eq!(server.get(&format!("/Patient/{id}")).await.status, 200);
        }
        let id = "batch-post";
        let both = json!([
            request("DELETE", &format!("Patient/{id}/$purge-history")),
            with(patient(id, "3"), "PUT", &format!("Patient/{id}"))
        ]);
        let (status, code, _) = refusal(&run(&server, "transaction", both).await);
        assert_eq!((status, code.as_str()), (400, "duplicate"));
        let odd = json!([request("DELETE", &format!("Patient/{id}/$purge-history?keep=1"))]);
        assert_eq!(run(&server, "transaction", odd).await.status, 400);
    });
}

#[test]
fn a_purge_in_a_transaction_is_recorded_once_under_a_key() {
    test(|server| async move {
        for value in ["1", "2"] {
            server.put("/Patient/a", patient("a", value).to_string()).await;
        }
        let bundle = json!({"resourceType": "Bundle", "type": "transaction",
            "entry": [request("DELETE", "Patient/a/$purge-history"), with(basic("Patient/a"), "POST", "Basic")]});
        let headers = [("Content-Type", "application/fhir+json"), ("Idempotency-Key", "\"k\"")];
        let first = server.send("POST", "", &headers, bundle.to_string()).await;
        let events = server.events().await;
        let again = server.send("POST", "", &headers, bundle.to_string()).await;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200), "{}", again.text());
        assert_eq!(first.json()["entry"], again.json()["entry"]);
        assert_eq!(server.events().await, events);
    });
}

#[test]
fn a_count_of_deletes_is_for_batches() {
    test(|server| async move {
        for id in ["a", "b"] {
            server.put(&format!("/Patient/{id}"), patient(id, "x").to_string()).await;
        }
        let delete = json!([request("DELETE", "Patient?identifier=urn:b|x&_count=2")]);
        let answer = run(&server, "transaction", delete.clone()).await;
        let (refused, code, place) = refusal(&answer);
        assert_eq!(
            (refused, code.as_str(), place.as_str()),
            (400, "not-supported", "Bundle.entry[0].request.url")
        );
        assert!(answer.text().contains("_count is taken alone and in a batch"), "{}", answer.text());
        assert_eq!(status(&run(&server, "batch", delete).await, 0), "204");
        assert_eq!(server.get("/Patient/b").await.status, 410);
    });
}

#[test]
fn what_could_not_be_taken_back_is_no_entry_of_a_transaction() {
    test(|server| async move {
        let part = json!([{"name": "url", "valueUri": "http://hl7.org/fhir/SearchParameter/Patient-active"},
            {"name": "status", "valueString": "disabled"}]);
        let change = json!({"resourceType": "Parameters", "parameter": [{"name": "searchParameterStatus", "part": part}]});
        let none = json!({"resourceType": "Parameters"});
        for (body, url) in [(change, "SearchParameter/$status"), (none, "$reindex")] {
            let answer = run(&server, "transaction", json!([with(body, "POST", url)])).await;
            let (status, code, place) = refusal(&answer);
            assert_eq!((status, code.as_str()), (400, "not-supported"), "{url}: {}", answer.text());
            assert_eq!(place, "Bundle.entry[0].request.url");
        }
        assert!(server.get("/SearchParameter/$status?code=active").await.text().contains("enabled"));
        assert!(!server.get("/SearchParameter/$status?code=active").await.text().contains("disabled"));
        let read =
            run(&server, "transaction", json!([request("GET", "SearchParameter/$status?code=active")])).await;
        assert_eq!(status(&read, 0), "200", "{}", read.text());
    });
}
