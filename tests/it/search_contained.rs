//! `_contained` and `_containedType` (R4 search.html#contained).

use crate::searchset::{follow, ids, link};
use crate::support::{Server, test};

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
            "/Medication?_contained=true&_include=Medication:manufacturer",
            "/Medication?_contained=true&_sort=expiration-date",
            "/Medication?_contained=true&_has:MedicationRequest:medication:status=active",
            "/Patient/a/MedicationRequest?_contained=true&_asOf=2100-01-01T00:00:00Z",
            "/Observation/$lastn?patient=Patient/a&category=x&_contained=true",
        ] {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
        let head = server.get("/Medication?_summary=count").await.json();
        let body = r#"{"resourceType":"Medication","code":{"coding":[{"system":"urn:m","code":"x"}]}}"#;
        let path = "/Medication?code=y&_contained=true";
        let put =
            server.send("PUT", path, &[("Content-Type", "application/fhir+json")], body.to_owned()).await;
        assert_eq!(put.status, 400, "{}", put.text());
        let delete = server.delete(path).await;
        assert_eq!(delete.status, 400, "{}", delete.text());
        let headers =
            [("Content-Type", "application/fhir+json"), ("If-None-Exist", "code=y&_contained=true")];
        let create = server.send("POST", "/Medication", &headers, body.to_owned()).await;
        assert_eq!(create.status, 400, "{}", create.text());
        assert_eq!(
            server.get("/Medication?_summary=count").await.json()["total"],
            head["total"],
            "nothing was written"
        );
    });
}
