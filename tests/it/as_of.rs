//! `_asOf` on reads, histories and compartments, compared with a replay of the log.

mod replay;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Answer, Server, test};

fn patient(id: &str, active: bool) -> String {
    json!({"resourceType": "Patient", "id": id, "active": active}).to_string()
}

fn observation(id: &str, subject: &str, status: &str) -> String {
    json!({"resourceType": "Observation", "id": id, "status": status, "code": {"text": "x"},
        "subject": {"reference": subject}})
    .to_string()
}

/// The versions of a bundle's entries: `Type/id/version`.
fn versions(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let resources = entries.iter().map(|entry| &entry["resource"]).filter(|one| one["id"].is_string());
    let name = |one: &Value, part: &str| one[part].as_str().unwrap_or_default().to_owned();
    resources
        .filter(|one| one["resourceType"] != "OperationOutcome")
        .map(|one| {
            format!("{}/{}/{}", name(one, "resourceType"), name(one, "id"), name(&one["meta"], "versionId"))
        })
        .collect()
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    links
        .iter()
        .find(|link| link["relation"] == relation)
        .map(|link| link["url"].as_str().unwrap().to_owned())
}

async fn follow(server: &Server, url: &str) -> Answer {
    server.get(url.strip_prefix(&server.base).unwrap()).await
}

#[test]
fn a_resource_is_read_as_it_stood() {
    test(|server| async move {
        assert_eq!(server.put("/Patient/a", patient("a", true)).await.header("x-anamnesis-position"), "1");
        server.put("/Patient/a", patient("a", false)).await;
        server.delete("/Patient/a").await;
        let first = server.get("/Patient/a?_asOf=1").await;
        assert_eq!((first.status.as_u16(), first.json()["active"].as_bool()), (200, Some(true)));
        assert_eq!((first.header("etag"), first.header("x-anamnesis-position")), ("W/\"1\"", "1"));
        let second = server.get("/Patient/a?_asOf=2&_elements=active").await;
        assert_eq!(second.json()["active"], false);
        let gone = server.get("/Patient/a?_asOf=3").await;
        assert_eq!((gone.status.as_u16(), gone.header("etag")), (410, "W/\"3\""));
        let before = server.get("/Patient/a?_asOf=0").await;
        assert_eq!((before.status.as_u16(), before.outcome().as_str()), (404, "not-found"));
        assert_eq!(before.header("x-anamnesis-position"), "0");
        assert!(before.text().contains("position 0"), "{}", before.text());
        let known = server.send("GET", "/Patient/a?_asOf=1", &[("If-None-Match", "W/\"1\"")], "").await;
        assert_eq!(known.status, 304);
    });
}

#[test]
fn an_instant_is_the_last_event_recorded_by_then() {
    test(|server| async move {
        let mut times = Vec::new();
        for active in [true, false] {
            let written = server.put("/Patient/a", patient("a", active)).await.json();
            let time = written["meta"]["lastUpdated"].as_str().unwrap();
            times.push(time.parse::<DateTime<Utc>>().unwrap());
        }
        let read = async |time: DateTime<Utc>| {
            let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
            let answer = server.get(&format!("/Patient/a?_asOf={time}")).await;
            (answer.status.as_u16(), answer.header("x-anamnesis-position").to_owned())
        };
        let moment = TimeDelta::microseconds(1);
        assert_eq!(read(times[0] - moment).await, (404, "0".to_owned()));
        assert_eq!(read(times[0]).await, (200, "1".to_owned()));
        assert_eq!(read(times[1] - moment).await, (200, "1".to_owned()));
        assert_eq!(read(times[1]).await, (200, "2".to_owned()));
        let there = times[0].with_timezone(&chrono::FixedOffset::east_opt(7200).unwrap()).to_rfc3339();
        assert_eq!(
            server.get(&format!("/Patient/a?_asOf={there}")).await.header("x-anamnesis-position"),
            "1"
        );
    });
}

#[test]
fn a_compartment_shows_who_belonged_to_it_then() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        server.put("/Patient/b", patient("b", true)).await;
        server.put("/Observation/1", observation("1", "Patient/a", "final")).await;
        server.put("/Observation/2", observation("2", "Patient/a", "preliminary")).await;
        server.put("/Observation/1", observation("1", "Patient/b", "final")).await;
        server.delete("/Observation/2").await;
        let search = async |path: &str| {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            answer.json()
        };
        let both = search("/Patient/a/Observation?_asOf=4").await;
        assert_eq!(versions(&both), ["Observation/2/1", "Observation/1/1"]);
        assert_eq!(
            versions(&search("/Patient/a/Observation?_asOf=4&status=final").await),
            ["Observation/1/1"]
        );
        assert_eq!(versions(&search("/Patient/a/Observation?_asOf=5").await), ["Observation/2/1"]);
        assert_eq!(versions(&search("/Patient/b/*?_asOf=5").await), ["Observation/1/2", "Patient/b/1"]);
        assert!(versions(&search("/Patient/a/Observation?_asOf=6").await).is_empty());
        assert!(versions(&search("/Patient/a/Observation?_asOf=0").await).is_empty());
        let oldest = search("/Patient/a/*?_asOf=4&_sort=_lastUpdated&_total=accurate").await;
        assert_eq!(versions(&oldest), ["Patient/a/1", "Observation/1/1", "Observation/2/1"]);
        assert_eq!(oldest["total"], 3);
        let posted = server
            .send(
                "POST",
                "/Patient/a/Observation/_search",
                &[("Content-Type", "application/x-www-form-urlencoded")],
                "_asOf=4&status=final",
            )
            .await;
        assert_eq!(versions(&posted.json()), ["Observation/1/1"]);
        let count = search("/Patient/a/*?_asOf=4&_summary=count").await;
        assert_eq!((count["total"].as_u64(), versions(&count).len()), (Some(3), 0));
    });
}

#[test]
fn pages_of_the_past_name_their_position_and_do_not_change() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        for id in 0..5 {
            server
                .put(&format!("/Observation/{id}"), observation(&id.to_string(), "Patient/a", "final"))
                .await;
        }
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let first = server.get(&format!("/Patient/a/*?_asOf={now}&_count=4")).await;
        assert_eq!(first.header("x-anamnesis-position"), "6");
        let first = first.json();
        let own = link(&first, "self").unwrap();
        assert!(own.ends_with("/Patient/a/*?_count=4&_asOf=6"), "{own}");
        server.put("/Observation/1", observation("1", "Patient/a", "amended")).await;
        server.delete("/Observation/0").await;
        let second = follow(&server, &link(&first, "next").unwrap()).await.json();
        assert_eq!(versions(&second), ["Observation/0/1", "Patient/a/1"]);
        assert_eq!(link(&second, "next"), None);
        assert_eq!(versions(&follow(&server, &own).await.json()), versions(&first));
        let history = server.get("/_history?_asOf=6&_count=4").await.json();
        let rest = follow(&server, &link(&history, "next").unwrap()).await;
        assert_eq!((versions(&rest.json()).len(), rest.header("x-anamnesis-position")), (2, "6"));
    });
}

#[test]
fn half_a_transaction_never_stood() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        let entry = |id: &str| {
            let resource: Value = serde_json::from_str(&observation(id, "Patient/a", "final")).unwrap();
            json!({"resource": resource, "request": {"method": "PUT", "url": format!("Observation/{id}")}})
        };
        let entries: Vec<Value> = ["1", "2", "3"].map(entry).to_vec();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        assert_eq!(server.post("", bundle.to_string()).await.status, 200);
        for (asked, stood, found) in [(1, "1", 1), (2, "1", 1), (3, "1", 1), (4, "4", 4)] {
            let answer = server.get(&format!("/Patient/a/*?_asOf={asked}")).await;
            let found_now = versions(&answer.json()).len();
            assert_eq!((answer.header("x-anamnesis-position"), found_now), (stood, found), "{asked}");
        }
        assert_eq!(server.get("/Observation/1?_asOf=3").await.status, 404);
    });
}

#[test]
fn the_past_is_refused_where_it_would_be_ignored() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        let before = server.events().await;
        let bad = [
            "_asOf=2",
            "_asOf=x",
            "_asOf=",
            "_asOf=2020-01-01",
            "_asOf=2020-01-01T10:00:00",
            "_asOf=-1",
            "_asOf=1&_asOf=1",
            "_asOf=2999-01-01T00:00:00Z",
            "_asOf=99999999999999999999",
        ];
        for bad in bad {
            for path in ["/Patient/a", "/Patient/a/_history", "/Patient/a/Observation"] {
                let answer = server.get(&format!("{path}?{bad}")).await;
                assert_eq!(answer.status, 400, "{path}?{bad}: {}", answer.text());
                answer.outcome();
            }
        }
        for path in [
            "/Patient?_asOf=1",
            "/?_asOf=1",
            "/Patient/a/_history/1?_asOf=1",
            "/metadata?_asOf=1",
            "/Practitioner/x/Observation?_asOf=1",
            "/Patient/a/Observation?_asOf=1&subject.name=x",
            "/Patient/a/Observation?_asOf=1&_has:Observation:subject:code=x",
            "/Patient/a/Observation?_asOf=1&_include=Observation:subject",
            "/Patient/a/Observation?_asOf=1&_sort=date",
            "/Patient/a/Observation?_asOf=1&ct=x",
            "/Patient/a/_history?_asOf=1&_at=2020",
        ] {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
        let statement = server.get("/metadata").await.json();
        assert!(statement["rest"][0]["documentation"].as_str().unwrap().contains("_asOf"));
        assert_eq!(server.put("/Patient/a?_asOf=1", patient("a", false)).await.status, 400);
        assert_eq!(server.post("/Patient?_asOf=1", patient("a", false)).await.status, 400);
        assert_eq!(server.delete("/Patient/a?_asOf=1").await.status, 400);
        let entry = json!({"resource": {"resourceType": "Patient", "id": "a"},
            "request": {"method": "PUT", "url": "Patient/a?_asOf=1"}});
        for kind in ["batch", "transaction"] {
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry.clone()]});
            server.post("", bundle.to_string()).await;
        }
        assert_eq!(server.events().await, before);
    });
}

#[test]
fn erasures_make_no_versions_in_the_record_of_then() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        server.put("/Observation/1", observation("1", "Patient/a", "preliminary")).await;
        server.put("/Observation/1", observation("1", "Patient/a", "final")).await;
        let purged = server.delete("/Observation/1/$purge-history").await;
        assert_eq!(purged.status, 204);
        let found = server.get("/Patient/a/Observation?_asOf=4").await;
        assert_eq!(versions(&found.json()), ["Observation/1/2"], "{}", found.text());
        assert_eq!(server.delete("/Observation/1?hardDelete=true").await.status, 204);
        let found = server.get("/Patient/a/Observation?_asOf=5").await;
        assert_eq!(versions(&found.json()), Vec::<String>::new(), "{}", found.text());
    });
}

#[test]
fn what_has_been_erased_since_is_told() {
    test(|server| async move {
        let holes = async |path: &str| {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.text().contains("have been erased since")
        };
        server.put("/Patient/a", patient("a", true)).await;
        server.put("/Observation/1", observation("1", "Patient/a", "preliminary")).await;
        server.put("/Observation/1", observation("1", "Patient/a", "final")).await;
        let paths = |position: u32| {
            ["Observation?", "*?", "Observation?_summary=count&", "$everything?"]
                .map(|what| format!("/Patient/a/{what}_asOf={position}"))
        };
        for path in paths(2).iter().chain(&paths(3)) {
            assert!(!holes(path).await, "{path}");
        }
        // The first version goes, at position 4.
        server.delete("/Observation/1/$purge-history").await;
        for (before, after) in paths(2).iter().zip(&paths(3)) {
            assert!(holes(before).await, "{before}");
            assert!(!holes(after).await, "{after}");
        }
        for history in ["/Observation/1/_history", "/Observation/_history", "/_history"] {
            let of = |position: u32| format!("{history}?_asOf={position}");
            assert!(holes(&of(3)).await && !holes(&of(4)).await, "{history}");
            assert!(!holes(history).await, "{history}");
            let first = server.get(&of(3)).await.json();
            assert_eq!(first["entry"][0]["response"]["outcome"]["issue"][0]["code"], "incomplete", "{first}");
            let told = first["entry"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one["response"]["outcome"].is_object());
            assert_eq!(told.count(), 1, "{first}");
        }
        for history in ["/Patient/_history?_asOf=3", "/Patient/a/_history?_asOf=3", "/_history?_asOf=1"] {
            assert!(!holes(history).await, "{history}");
        }
        assert!(!holes("/Patient/a/Encounter?_asOf=2").await);
        assert!(!holes("/Patient/a/$everything?_asOf=2&_type=Encounter").await);
        // All of it goes, at position 5.
        server.delete("/Observation/1?hardDelete=true").await;
        for (before, after) in paths(4).iter().zip(&paths(5)) {
            assert!(holes(before).await, "{before}");
            assert!(!holes(after).await, "{after}: it was gone by then");
        }
    });
}

#[test]
fn the_past_is_asked_for_in_parameters_too_and_never_misspelt() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        server.put("/Observation/1", observation("1", "Patient/a", "final")).await;
        let post = async |path: &str, name: &str, value: serde_json::Value| {
            let mut parameter = serde_json::json!({"name": name});
            parameter.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            let body = serde_json::json!({"resourceType": "Parameters", "parameter": [parameter]});
            server.post(path, body.to_string()).await
        };
        for value in [serde_json::json!({"valueString": "1"}), serde_json::json!({"valueInteger": 1})] {
            let then = post("/Patient/a/$everything", "_asOf", value).await;
            assert_eq!(versions(&then.json()), ["Patient/a/1"], "{}", then.text());
            assert_eq!(then.header("x-anamnesis-position"), "1");
            assert!(then.json()["link"][0]["url"].as_str().unwrap().contains("_asOf=1"));
        }
        let twice =
            post("/Patient/a/$everything?_asOf=2", "_asOf", serde_json::json!({"valueString": "1"})).await;
        assert_eq!(twice.status, 400);
        let misspelt = post("/Patient/a/$everything", "asOf", serde_json::json!({"valueString": "1"})).await;
        assert_eq!((misspelt.status.as_u16(), misspelt.outcome().as_str()), (400, "not-supported"));
    });
}

#[test]
fn a_misspelt_name_of_the_parameter_is_refused_wherever_it_stands() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        let refused = |answer: crate::support::Answer, what: &str| {
            let found = (answer.status.as_u16(), answer.outcome());
            assert_eq!(found, (400, "not-supported".to_owned()), "{what}");
            assert!(answer.text().contains("did you mean _asOf"), "{what}: {}", answer.text());
        };
        let names = [
            "_asof", "_ASOF", "asOf", "_as_of", "_as-of", "as-of", "$as-of", "%24as-of", "_asOf:x",
            "_asOf.x", "as.of",
        ];
        for path in [
            "/Patient/a",
            "/Patient/a/_history/1",
            "/Patient/a/_history",
            "/_history",
            "/Patient/a/$everything",
            "/Patient/a/*",
            "/Patient",
            "",
            "/metadata",
            "/Observation/$lastn",
            "/ValueSet/$expand",
            "/$versions",
        ] {
            for name in names {
                refused(server.get(&format!("{path}?{name}=1")).await, &format!("{path} {name}"));
            }
        }
        refused(
            server
                .send(
                    "POST",
                    "/Patient/_search",
                    &[("Content-Type", "application/x-www-form-urlencoded")],
                    "as-of=1",
                )
                .await,
            "form",
        );
        for kind in ["batch", "transaction"] {
            for name in ["as-of", "_asOf:x"] {
                let entry =
                    serde_json::json!({"request": {"method": "GET", "url": format!("Patient/a?{name}=1")}});
                let bundle = serde_json::json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
                let answer = server.post("", bundle.to_string()).await;
                assert!(answer.text().contains("did you mean _asOf"), "{kind}: {}", answer.text());
                assert!(!answer.text().contains("active"), "{kind}: {}", answer.text());
            }
        }
        let entry = serde_json::json!({"name": "_asOf", "valueString": "1"});
        let body = serde_json::json!({"resourceType": "Parameters", "parameter": [entry]}).to_string();
        for path in ["/Observation/$lastn?patient=a&code=x", "/DocumentReference/$docref?patient=a"] {
            assert_eq!(server.post(path, body.clone()).await.status, 400, "{path} has no past");
        }
    });
}

#[test]
fn a_read_of_what_was_erased_since_says_so() {
    test(|server| async move {
        server.put("/Patient/a", patient("a", true)).await;
        server.put("/Patient/a", patient("a", false)).await;
        server.delete("/Patient/a/$purge-history").await;
        let purged = server.get("/Patient/a?_asOf=1").await;
        assert_eq!(
            (purged.status.as_u16(), purged.outcome().as_str()),
            (410, "deleted"),
            "{}",
            purged.text()
        );
        assert!(purged.text().contains("erased since"));
        assert_eq!(server.get("/Patient/a?_asOf=2").await.status, 200);
        assert_eq!(server.get("/Patient/a?_asOf=0").await.status, 404, "not there yet");
        server.delete("/Patient/a?hardDelete=true").await;
        let gone = server.get("/Patient/a?_asOf=2").await;
        assert_eq!((gone.status.as_u16(), gone.outcome().as_str()), (404, "not-found"));
        assert!(gone.text().contains("erased since"), "{}", gone.text());
    });
}
