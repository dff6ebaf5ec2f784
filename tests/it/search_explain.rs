//! `_explain`: how a search is done, for operators

use anamnesis::api::ApiOptions;
use serde_json::{Value, json};

use crate::searchset::put;
use crate::support::{Server, Setup, test, test_with};

async fn fill(server: &Server) {
    put(server, &json!({"resourceType": "Patient", "id": "a", "name": [{"family": "Quibblethorpe"}]})).await;
    let observation = json!({"resourceType": "Observation", "id": "1", "status": "final",
        "code": {"coding": [{"code": "x"}]}, "subject": {"reference": "Patient/a"}});
    put(server, &observation).await;
}

fn statements(told: &Value) -> &Vec<Value> {
    told["statements"].as_array().unwrap()
}

/// Every node of the plan of every statement.
fn has(told: &Value, name: &str) -> bool {
    statements(told).iter().all(|statement| statement["plan"][0]["Plan"].get(name).is_some())
}

#[test]
fn a_search_is_explained_without_its_values() {
    test(|server| async move {
        fill(&server).await;
        for (search, matches, parameters) in [
            ("/Patient?family=quibblethorpe&_total=accurate", 1, json!(["family", "_total"])),
            ("/?_id=a,quibblethorpe", 1, json!(["_id"])),
            ("/Patient/a/Observation?code=x", 1, json!(["code"])),
            ("/Observation?patient.family=quibblethorpe", 1, json!(["patient.family"])),
            ("/Patient?family=nobody", 0, json!(["family"])),
        ] {
            for explain in ["true", "analyze"] {
                let answer = server.get(&format!("{search}&_explain={explain}")).await;
                assert_eq!(answer.status, 200, "{search}: {}", answer.text());
                assert_eq!(answer.header("content-type"), "application/json");
                let told = answer.json();
                assert_eq!(
                    (&told["search"]["matches"], &told["search"]["parameters"]),
                    (&json!(matches), &parameters),
                    "{told}"
                );
                assert!(!answer.text().to_lowercase().contains("quibblethorpe"), "{told}");
                assert!(!statements(&told).is_empty() && has(&told, "Total Cost"), "{told}");
                assert_eq!(has(&told, "Actual Rows"), explain == "analyze", "{told}");
                assert!(statements(&told).iter().all(|one| one["values"].is_null()));
                assert!(told["search"]["milliseconds"]["parse"].is_f64());
            }
        }
    });
}

#[test]
fn values_are_shown_where_they_are_asked_for() {
    test(|server| async move {
        fill(&server).await;
        for explain in ["values", "analyze,values"] {
            let told = server.get(&format!("/Patient?family=quibblethorpe&_explain={explain}")).await;
            assert!(told.text().contains("quibblethorpe"), "{}", told.text());
            let told = told.json();
            let first = &statements(&told)[0];
            assert_eq!(first["values"].as_array().unwrap().len(), first["boundValues"]);
        }
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let posted =
            server.send("POST", "/Patient/_search", &form, "family=quibblethorpe&_explain=true").await;
        assert_eq!(posted.json()["search"]["matches"], 1);
    });
}

#[test]
fn statements_of_includes_are_told() {
    test(|server| async move {
        fill(&server).await;
        let plain = server.get("/Observation?code=x&_explain=true").await.json();
        let with_subject = "/Observation?code=x&_include=Observation:subject&_explain=true";
        let told = server.get(with_subject).await.json();
        assert_eq!((&plain["search"]["included"], &told["search"]["included"]), (&json!(0), &json!(1)));
        assert!(statements(&told).len() > statements(&plain).len());
    });
}

#[test]
fn searches_of_contained_resources_are_explained() {
    test(|server| async move {
        fill(&server).await;
        put(&server, &json!({"resourceType": "Organization", "id": "o", "name": "Quibblethorpe"})).await;
        let contained = json!({"resourceType": "Patient", "id": "p", "name": [{"family": "Quibblethorpe"}],
            "managingOrganization": {"reference": "Organization/o"}});
        let container = json!({"resourceType": "Observation", "id": "2", "status": "final", "code": {"text": "x"},
            "contained": [contained], "subject": {"reference": "#p"}, "note": [{"text": "x".repeat(500)}]});
        put(&server, &container).await;
        let alone = "&_containedType=contained";
        for (asked, matches, tables) in [
            ("/Patient?family=quibblethorpe&_contained=true", 1, vec!["contained_resource"]),
            ("/Patient?family=quibblethorpe&_contained=both", 2, vec!["contained_resource", "_v1_resource"]),
            ("/Patient?family=quibblethorpe&_contained=both&_total=accurate", 2, vec!["UNION ALL"]),
            ("/Patient?organization.name=quibblethorpe&_contained=true", 1, vec!["contained_resource"]),
            ("/Patient/a/*?_contained=true", 0, vec!["contained_resource"]),
        ] {
            for explain in ["true", "analyze"] {
                let answer = server.get(&format!("{asked}&_explain={explain}")).await;
                assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
                let told = answer.json();
                assert_eq!(told["search"]["matches"], matches, "{asked}: {told}");
                assert!(!answer.text().to_lowercase().contains("quibblethorpe"), "{told}");
                assert!(!statements(&told).is_empty() && has(&told, "Total Cost"), "{told}");
                for table in &tables {
                    let is_named = |one: &Value| one["text"].as_str().unwrap().contains(table);
                    assert!(statements(&told).iter().any(is_named), "{table}: {told}");
                }
            }
        }
        // What is shown is counted and drawn from, not what it stands in.
        let asked =
            "/Patient?family=quibblethorpe&_contained=true&_include=Patient:organization&_explain=true";
        let container = server.get(asked).await.json();
        let alone = server.get(&format!("{asked}{alone}")).await.json();
        let told = |told: &Value| {
            (told["search"]["included"].as_u64().unwrap(), told["search"]["bytes"].as_u64().unwrap())
        };
        assert_eq!((told(&container).0, told(&alone).0), (0, 1));
        assert!(told(&alone).1 < 500 && told(&container).1 > 500, "{alone} {container}");
    });
}

#[test]
fn only_operators_are_told() {
    test(|server| async move {
        for (headers, search, status) in [
            (vec![("Origin", "null")], "/Patient?_explain=true", 403),
            (vec![], "/Patient?_explain=yes", 400),
            (vec![], "/Patient/a/Observation?_asOf=1&_explain=true", 400),
        ] {
            let answer = server.send("GET", search, &headers, "").await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        let batch = json!({"resourceType": "Bundle", "type": "batch",
            "entry": [{"request": {"method": "GET", "url": "Patient?_explain=true"}}]});
        let answered = server.post("", batch.to_string()).await.json();
        assert_eq!(answered["entry"][0]["response"]["status"], "403", "{answered}");
    });
    let api = ApiOptions { explain: false, ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        assert_eq!(server.get("/Patient?_explain=true").await.status, 403);
    });
}
