//! `_contained` and `_containedType` (R4 search.html#contained).

use anamnesis_events::LogOptions;
use serde_json::{Value, json};

use crate::searchset::{follow, ids, included, link, put};
use crate::support::{Server, Setup, test, test_with};

async fn fill(server: &Server) {
    for (id, patient, codes) in [("23", "a", "xy"), ("24", "b", "x"), ("25", "b", "z")] {
        let contained: Vec<String> = codes
            .chars()
            .enumerate()
            .map(|(at, code)| {
                let at = at + 1;
                format!(
                    r#"{{"resourceType":"Medication","id":"m{at}","status":"active","code":{{"coding":[{{"system":"urn:m","code":"{code}"}}]}},"amount":{{"numerator":{{"value":1.50}},"denominator":{{"value":1}}}}}}"#
                )
            })
            .collect();
        let uses: Vec<String> =
            (1..=codes.len()).map(|at| format!(r##"{{"reference":"#m{at}"}}"##)).collect();
        let body = format!(
            r##"{{"resourceType":"MedicationRequest","id":"{id}","contained":[{}],"status":"active","intent":"order","medicationReference":{{"reference":"#m1"}},"supportingInformation":[{}],"subject":{{"reference":"Patient/{patient}"}}}}"##,
            contained.join(","),
            uses.join(","),
        );
        let answer = server.put(&format!("/MedicationRequest/{id}"), body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let body =
        r#"{"resourceType":"Medication","id":"own","code":{"coding":[{"system":"urn:m","code":"x"}]}}"#;
    assert_eq!(server.put("/Medication/own", body).await.status, 201);
}

#[test]
fn a_container_is_the_match_unless_the_contained_resource_is_wanted() {
    test(|server| async move {
        fill(&server).await;
        assert_eq!(ids(&server.get("/Medication?code=x").await.json()), ["own"]);
        let found = server.get("/Medication?code=x&_contained=true&_total=accurate").await.json();
        assert_eq!(ids(&found), ["24", "23"]);
        assert_eq!(found["total"], 2);
        assert_eq!(found["entry"][1]["fullUrl"], format!("{}/MedicationRequest/23", server.base));
        assert_eq!(found["entry"][1]["search"]["mode"], "match");
        assert!(link(&found, "self").unwrap().contains("_contained=true"), "{found}");

        let answer = server.get("/Medication?code=y&_contained=true&_containedType=contained").await;
        let found = answer.json();
        let entry = &found["entry"][0];
        assert_eq!(entry["fullUrl"], format!("{}/MedicationRequest/23#m2", server.base));
        assert_eq!(
            (&entry["resource"]["resourceType"], &entry["resource"]["id"]),
            (&"Medication".into(), &"m2".into())
        );
        assert_eq!(entry["search"]["mode"], "match");
        assert!(
            answer.text().contains(r#""amount":{"numerator":{"value":1.50},"denominator":{"value":1}}"#),
            "bytes as recorded"
        );
        assert!(!answer.text().contains("Patient/a"), "nothing of the container");

        let both = server.get("/Medication?code=x&_contained=both&_containedType=contained").await.json();
        let urls: Vec<&str> =
            both["entry"].as_array().unwrap().iter().filter_map(|one| one["fullUrl"].as_str()).collect();
        let address = |path: &str| format!("{}/{path}", server.base);
        assert_eq!(
            urls,
            [
                address("Medication/own"),
                address("MedicationRequest/24#m1"),
                address("MedicationRequest/23#m1")
            ]
        );
    });
}

#[test]
fn pages_and_parts_of_contained_resources_are_given() {
    test(|server| async move {
        fill(&server).await;
        let query = "/Medication?_contained=both&_containedType=contained&_count=2";
        let first = server.get(query).await.json();
        assert_eq!(ids(&first), ["own", "m1"]);
        server.delete("/MedicationRequest/23").await;
        let second = follow(&server, &first, "next").await;
        assert_eq!(ids(&second), ["m1", "m2"]);
        let third = follow(&server, &second, "next").await;
        assert_eq!(ids(&third), ["m1"], "as it was at the first page");
        assert_eq!(ids(&follow(&server, &third, "previous").await), ["m1", "m2"]);
        let now =
            server.get("/Medication?_contained=true&_containedType=contained&_summary=count").await.json();
        assert_eq!(now["total"], 2);
        let part = server
            .get("/Medication?_contained=true&_containedType=contained&code=z&_elements=code")
            .await
            .json();
        let resource = &part["entry"][0]["resource"];
        assert_eq!(resource["code"]["coding"][0]["code"], "z");
        assert!(resource.get("amount").is_none(), "{resource}");
        let compartment = server.get("/Patient/b/*?_type=Medication&_contained=true").await.json();
        assert_eq!(ids(&compartment), ["25", "24"]);
        assert_eq!(ids(&server.get("/Patient/a/*?_type=Medication&_contained=true").await.json()), [""; 0]);
    });
}

#[test]
fn contained_resources_are_refused_where_nothing_can_be_done_with_them() {
    test(|server| async move {
        fill(&server).await;
        for path in [
            "/Medication?_contained=perhaps",
            "/Medication?_contained=true&_containedType=x",
            "/Medication?_contained=true&_contained=false",
            "/Medication?_contained=true&_sort=expiration-date",
            "/Medication?_contained=true&_not-referenced=*:*",
            "/Patient/a/Medication?_contained=true&_containedType=contained&_asOf=1",
            "/Medication?_contained=true&_asOf=1",
            "/Observation/$lastn?patient=Patient/a&category=x&_contained=true",
        ] {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
    });
}

/// Criteria are about resources that stand for themselves: what is written would be another than what matches.
#[test]
fn conditional_interactions_refuse_contained() {
    test(|server| async move {
        fill(&server).await;
        let before = server.events().await;
        let json = ("Content-Type", "application/fhir+json");
        let body = r#"{"resourceType":"Medication","code":{"coding":[{"system":"urn:m","code":"x"}]}}"#;
        for asked in [
            "code=y&_contained=true",
            "code=x&_contained=both",
            "code=x&_contained=false",
            "code=x&_containedType=contained",
            "code=x&_contained:exact=true",
            "code=x&_contained=perhaps",
            "code=x&_Contained=true",
            "_contained=true",
        ] {
            let path = format!("/Medication?{asked}");
            let put = server.send("PUT", &path, &[json], body.to_owned()).await;
            assert_eq!(put.status, 400, "{asked}: {}", put.text());
            let patch = [("Content-Type", "application/json-patch+json")];
            let operation = r#"[{"op":"remove","path":"/code"}]"#;
            let patched = server.send("PATCH", &path, &patch, operation.to_owned()).await;
            assert_eq!(patched.status, 400, "{asked}: {}", patched.text());
            for path in [path.clone(), format!("{path}&_count=10"), format!("{path}&_hardDelete=true")] {
                let deleted = server.delete(&path).await;
                assert_eq!(deleted.status, 400, "{asked}: {}", deleted.text());
            }
            let headers = [json, ("If-None-Exist", asked)];
            let created = server.send("POST", "/Medication", &headers, body.to_owned()).await;
            assert_eq!(created.status, 400, "{asked}: {}", created.text());
            for request in [
                json!({"method": "DELETE", "url": &path[1..]}),
                json!({"method": "PUT", "url": &path[1..]}),
                json!({"method": "POST", "url": "Medication", "ifNoneExist": asked}),
            ] {
                let mut entry = json!({"request": request});
                if entry["request"]["method"] != "DELETE" {
                    entry["resource"] = serde_json::from_str(body).unwrap();
                }
                let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
                let answer = server.post("", bundle.to_string()).await;
                assert_eq!(answer.status, 400, "{asked}: {}", answer.text());
            }
            let referring = json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order",
                "subject": {"reference": "Patient/a"}, "medicationReference": {"reference": &path[1..]}});
            let entry =
                json!({"resource": referring, "request": {"method": "POST", "url": "MedicationRequest"}});
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
            let answer = server.post("", bundle.to_string()).await;
            assert_eq!(answer.status, 400, "{asked}: {}", answer.text());
        }
        assert_eq!(server.events().await, before, "nothing was written");
    });
}

/// A request whose medication has a maker, and a list with two of its own.
async fn fill_with_references(server: &Server) {
    put(server, &json!({"resourceType": "Organization", "id": "maker", "name": "Makers"})).await;
    put(server, &json!({"resourceType": "Patient", "id": "a"})).await;
    let medication = |id: &str, code: &str| {
        json!({"resourceType": "Medication", "id": id, "status": "active",
            "code": {"coding": [{"system": "urn:m", "code": code}]},
            "manufacturer": {"reference": "Organization/maker"}})
    };
    let request = json!({"resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order",
        "contained": [medication("m1", "x"), medication("m2", "y")], "subject": {"reference": "Patient/a"},
        "medicationReference": {"reference": "#m1"}, "supportingInformation": [{"reference": "#m2"}]});
    put(server, &request).await;
    let list = json!({"resourceType": "List", "id": "l", "status": "current", "mode": "working",
        "contained": [medication("m1", "x")], "entry": [{"item": {"reference": "#m1"}}]});
    put(server, &list).await;
    let provenance = json!({"resourceType": "Provenance", "id": "p", "recorded": "2026-01-01T00:00:00Z",
        "target": [{"reference": "MedicationRequest/r"}], "agent": [{"who": {"display": "x"}}]});
    put(server, &provenance).await;
}

#[test]
fn what_is_shown_draws_in_what_it_refers_to_and_what_refers_to_it() {
    test(|server| async move {
        fill_with_references(&server).await;
        let container = "_contained=true";
        let alone = "_contained=true&_containedType=contained";
        for (asked, matches, drawn) in [
            (format!("code=y&{container}&_include=MedicationRequest:subject"), "r", "a"),
            (format!("code=y&{container}&_include=*"), "r", "a maker"),
            (format!("code=y&{container}&_revinclude=Provenance:target"), "r", "p"),
            // The container is shown, and that is no Medication.
            (format!("code=y&{container}&_include=Medication:manufacturer"), "r", ""),
            (format!("code=y&{alone}&_include=Medication:manufacturer"), "m2", "maker"),
            (format!("code=y&{alone}&_include=*"), "m2", "maker"),
            (format!("code=y&{alone}&_include=MedicationRequest:subject"), "m2", ""),
            (format!("code=y&{alone}&_revinclude=Provenance:target"), "m2", ""),
            (format!("code=x&{alone}&_revinclude=MedicationRequest:medication"), "m1 m1", "r"),
            (format!("code=x&{alone}&_revinclude=List:item"), "m1 m1", "l"),
            (format!("code=x&{alone}&_revinclude=*"), "m1 m1", "l r"),
            (
                format!(
                    "code=x&{alone}&_revinclude=MedicationRequest:medication&_include:iterate=MedicationRequest:subject"
                ),
                "m1 m1",
                "a r",
            ),
        ] {
            let found = server.get(&format!("/Medication?{asked}")).await.json();
            assert_eq!(
                (ids(&found).join(" "), included(&found).join(" ")),
                (matches.into(), drawn.into()),
                "{asked}"
            );
        }
        let asked = format!("/Medication?code=x&{alone}&_revinclude=*&_includesCount=1");
        let first = server.get(&asked).await.json();
        let more = follow(&server, &first, "related").await;
        assert_eq!([included(&first), included(&more)].concat(), ["l", "r"], "{first} {more}");
        let both = server
            .get("/Organization?_contained=both&_include=Organization:partof&_revinclude=Medication:manufacturer")
            .await;
        assert_eq!(ids(&both.json()), ["maker"]);
    });
}

#[test]
fn a_contained_resource_is_found_by_what_its_container_says_of_it() {
    test(|server| async move {
        fill_with_references(&server).await;
        for (asked, containers) in [
            ("_has:MedicationRequest:medication:status=active", vec!["r"]),
            ("_has:MedicationRequest:medication:status=stopped", vec![]),
            ("_has:List:item:_id=l", vec!["l"]),
            ("_list=l", vec!["l"]),
            ("_list=l&code=y", vec![]),
            ("manufacturer.name=makers&code=x", vec!["l", "r"]),
        ] {
            let found = server.get(&format!("/Medication?_contained=true&{asked}")).await.json();
            assert_eq!(ids(&found), containers, "{asked}");
        }
        // What a List marks as deleted is not on it, and is none of the others that are called the same.
        let contained: Vec<Value> =
            ["m1", "m2"].map(|id| json!({"resourceType": "Medication", "id": id, "status": "active"})).into();
        let entry = |item: &str, deleted: bool| json!({"item": {"reference": item}, "deleted": deleted});
        let list = json!({"resourceType": "List", "id": "d", "status": "current", "mode": "changes",
            "contained": contained,
            "entry": [entry("#m1", false), entry("#m2", true), entry("Medication/m1", true)]});
        put(&server, &list).await;
        for (asked, alone) in [("", vec!["m1"]), ("&_id=m2", vec![]), ("&status=active", vec!["m1"])] {
            for contained in ["true", "both"] {
                let asked =
                    format!("/Medication?_list=d&_contained={contained}&_containedType=contained{asked}");
                assert_eq!(ids(&server.get(&asked).await.json()), alone, "{asked}");
            }
        }
    });
}

#[test]
fn contained_resources_are_found_whichever_way_they_are_asked_for() {
    test(|server| async move {
        fill(&server).await;
        let asked = "code=x&_contained=true&_containedType=contained&_total=accurate";
        let got = server.get(&format!("/Medication?{asked}")).await;
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        for path in ["/Medication/_search", "/_search?_type=Medication"] {
            let posted = server.send("POST", path, &form, asked.to_owned()).await;
            assert_eq!(posted.json()["entry"], got.json()["entry"], "{path}");
        }
        let batch = json!({"resourceType": "Bundle", "type": "batch",
            "entry": [{"request": {"method": "GET", "url": format!("Medication?{asked}")}}]});
        let answered = server.post("", batch.to_string()).await.json();
        let within = &answered["entry"][0]["resource"];
        assert_eq!((&within["entry"], &within["total"]), (&got.json()["entry"], &json!(2)));
        let xml = server
            .send("GET", &format!("/Medication?{asked}"), &[("Accept", "application/fhir+xml")], "")
            .await;
        assert_eq!(xml.status, 200, "{}", xml.text());
        let address = format!("<fullUrl value=\"{}/MedicationRequest/24#m1\"/>", server.base);
        assert!(xml.text().contains(&address), "{}", xml.text());
        assert!(xml.text().contains("<resource><Medication><id value=\"m1\"/>"), "{}", xml.text());
        let strict = [("Prefer", "handling=strict")];
        assert_eq!(server.send("GET", &format!("/Medication?{asked}"), &strict, "").await.status, 200);
        let misspelt = server.send("GET", "/Medication?_Contained=true", &strict, "").await;
        assert_eq!(misspelt.status, 400, "{}", misspelt.text());
    });
}

#[test]
fn a_part_of_a_contained_resource_is_marked_as_one() {
    test(|server| async move {
        fill(&server).await;
        let tagged = |resource: &Value| resource["meta"]["tag"][0]["code"] == "SUBSETTED";
        for part in ["_elements=code", "_summary=true", "_summary=text", "_summary=data"] {
            for returned in ["container", "contained"] {
                let asked = format!("/Medication?code=y&_contained=true&_containedType={returned}&{part}");
                let found = server.get(&asked).await.json();
                assert!(tagged(&found["entry"][0]["resource"]), "{asked}: {found}");
            }
        }
        let whole = server.get("/Medication?code=y&_contained=true&_containedType=contained").await.json();
        assert!(whole["entry"][0]["resource"].get("meta").is_none());
    });
}

#[test]
fn a_compartment_of_then_is_searched_for_what_its_resources_contained() {
    test(|server| async move {
        fill(&server).await;
        let before = server.events().await;
        server.delete("/MedicationRequest/24").await;
        for (asked, found) in [
            (format!("/Patient/b/Medication?code=x&_contained=true&_asOf={before}"), vec!["24"]),
            (format!("/Patient/b/Medication?_contained=true&_asOf={before}"), vec!["25", "24"]),
            (format!("/Patient/b/*?_contained=both&_asOf={before}&_total=accurate"), vec!["25", "24"]),
            (format!("/Patient/b/Medication?_contained=true&_asOf={}", before + 1), vec!["25"]),
            (format!("/Patient/a/Medication?code=z&_contained=true&_asOf={before}"), vec![]),
            (format!("/Patient/b/Medication?code=x&_asOf={before}"), vec![]),
        ] {
            let answer = server.get(&asked).await;
            assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
            assert_eq!(ids(&answer.json()), found, "{asked}");
        }
        let first = server
            .get(&format!("/Patient/b/Medication?_contained=true&_count=1&_asOf={before}"))
            .await
            .json();
        assert_eq!(ids(&first), ["25"]);
        assert_eq!(ids(&follow(&server, &first, "next").await), ["24"]);
    });
}

/// A page of what one resource contains takes that resource once, and is of one position however it is sorted.
#[test]
fn a_container_is_read_once_for_a_page() {
    let log = LogOptions { fetch_bytes_max: 200_000, ..LogOptions::default() };
    test_with(Setup { log, ..Setup::default() }, |server| async move {
        let container = |id: &str| {
            let contained: Vec<Value> = (0..20)
                .map(|at| {
                    json!({"resourceType": "Patient", "id": format!("p{id}{at}"), "birthDate": format!("19{:02}-01-01", 50 + at),
                        "name": [{"text": "x".repeat(2000)}]})
                })
                .collect();
            json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}, "contained": contained})
        };
        for id in ["a", "b"] {
            put(&server, &container(id)).await;
        }
        let page = server
            .get("/Patient?_contained=true&_containedType=contained&_count=30&_sort=birthdate,_id")
            .await;
        assert_eq!(page.status, 200, "{}", page.text());
        let shown = ids(&page.json());
        assert_eq!((shown.len(), &*shown[0], &*shown[1], &*shown[29]), (30, "pa0", "pb0", "pb14"));
    });
}
