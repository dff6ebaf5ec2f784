//! `Patient/$everything`: the whole record, each resource once, as it stood when the first page was made.

use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Server, test};

const STRICT: (&str, &str) = ("Prefer", "handling=strict");

async fn put(server: &Server, resource: Value) {
    let path =
        format!("/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    let answer = server.put(&path, resource.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

fn patient(id: &str, links: &[(&str, &str)]) -> Value {
    let mut patient = json!({"resourceType": "Patient", "id": id, "active": true});
    for (kind, other) in links {
        let link = json!({"type": kind, "other": {"reference": format!("Patient/{other}")}});
        match patient["link"].as_array_mut() {
            Some(all) => all.push(link),
            None => patient["link"] = json!([link]),
        }
    }
    patient
}

fn observation(id: &str, subject: &str, date: Option<&str>, performer: &str) -> Value {
    let mut observation = json!({
        "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        "subject": {"reference": format!("Patient/{subject}")}, "performer": [{"reference": performer}],
    });
    if let Some(date) = date {
        observation["effectiveDateTime"] = json!(date);
    }
    observation
}

/// The names in a page, and the address of the next.
fn page(server: &Server, answer: &Answer) -> (Vec<String>, Option<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bundle = answer.json();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("searchset")));
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let names = entries
        .iter()
        .filter(|entry| entry["search"]["mode"] != "outcome")
        .map(|entry| entry["fullUrl"].as_str().unwrap().strip_prefix(&server.base).unwrap()[1..].to_owned());
    let link = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").cloned();
    let next = link.map(|link| link["url"].as_str().unwrap().strip_prefix(&server.base).unwrap().to_owned());
    (names.collect(), next)
}

/// All names of all pages, in their order.
async fn all(server: &Server, path: &str) -> Vec<String> {
    let (mut names, mut next) = page(server, &server.get(path).await);
    while let Some(address) = next {
        let (more, following) = page(server, &server.get(&address).await);
        names.extend(more);
        next = following;
    }
    names
}

async fn sorted(server: &Server, path: &str) -> Vec<String> {
    let mut names = all(server, path).await;
    names.sort();
    names
}

/// A patient with four observations, an encounter and a medication, those whom they name, and a stranger with the same
/// doctor.
async fn ward(server: &Server) {
    for resource in [
        json!({"resourceType": "Practitioner", "id": "d"}),
        json!({"resourceType": "Practitioner", "id": "nobody"}),
        json!({"resourceType": "Organization", "id": "o", "name": "x"}),
        json!({"resourceType": "Location", "id": "l"}),
        json!({"resourceType": "Medication", "id": "m"}),
        json!({"resourceType": "Patient", "id": "a", "managingOrganization": {"reference": "Organization/o"}}),
        patient("stranger", &[]),
        observation("1", "a", Some("2020-01-05"), "Practitioner/d"),
        observation("2", "a", Some("2020-02"), "Practitioner/d"),
        observation("3", "a", Some("2021-01-01T12:00:00Z"), "Patient/a"),
        observation("4", "a", None, "Organization/o"),
        observation("theirs", "stranger", None, "Practitioner/d"),
        json!({"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
               "subject": {"reference": format!("{}/Patient/a", server.base)},
               "location": [{"location": {"reference": "Location/l"}}],
               "period": {"start": "2019-12-30", "end": "2020-01-05"}}),
        json!({"resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order",
               "subject": {"reference": "Patient/a"}, "medicationReference": {"reference": "Medication/m"},
               "requester": {"reference": "Practitioner/missing"}, "authoredOn": "2020-03-01",
               "note": [{"text": "x", "authorReference": {"reference": "Patient/stranger"}}]}),
    ] {
        put(server, resource).await;
    }
}

#[test]
fn a_record_has_its_compartment_and_what_that_refers_to_each_once() {
    test(|server| async move {
        ward(&server).await;
        let answer = server.get("/Patient/a/$everything").await;
        let (names, next) = page(&server, &answer);
        assert_eq!(next, None, "all on one page unless _count is given");
        assert_eq!(names[0], "Patient/a");
        let expected = [
            "Encounter/e",
            "Location/l",
            "Medication/m",
            "MedicationRequest/r",
            "Observation/1",
            "Observation/2",
            "Observation/3",
            "Observation/4",
            "Organization/o",
            "Patient/a",
            "Practitioner/d",
        ];
        let mut in_order = names.clone();
        in_order.sort();
        assert_eq!(in_order, expected);
        for entry in answer.json()["entry"].as_array().unwrap() {
            let kind = entry["resource"]["resourceType"].as_str().unwrap();
            let is_referenced = ["Location", "Medication", "Organization", "Practitioner"].contains(&kind);
            assert_eq!(entry["search"]["mode"], if is_referenced { "include" } else { "match" }, "{kind}");
        }
        for count in 1..=5 {
            assert_eq!(sorted(&server, &format!("/Patient/a/$everything?_count={count}")).await, expected);
        }
        let body =
            json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Location"}]});
        let posted = server.post("/Patient/a/$everything", body.to_string()).await;
        assert_eq!(page(&server, &posted).0, ["Location/l"]);
    });
}

#[test]
fn dates_types_and_since_narrow_the_record() {
    test(|server| async move {
        ward(&server).await;
        let record = |query: &str| {
            let path = format!("/Patient/a/$everything?{query}");
            let server = server.clone();
            async move { sorted(&server, &path).await }
        };
        assert_eq!(
            record("start=2020-01-05&end=2020-01-31").await,
            [
                "Encounter/e",
                "Location/l",
                "Observation/1",
                "Observation/4",
                "Organization/o",
                "Patient/a",
                "Practitioner/d"
            ]
        );
        // Without a date of its own an observation is in every range; so is the patient.
        assert_eq!(
            record("start=2021&_type=Observation,Patient").await,
            ["Observation/3", "Observation/4", "Patient/a"]
        );
        assert_eq!(
            record("end=2020-01-04&_type=Encounter&_type=Observation").await,
            ["Encounter/e", "Observation/4"]
        );
        // What is referred to counts for all of the record, whatever types are shown, also page by page.
        assert_eq!(
            record("_type=Practitioner,Medication&_count=1").await,
            ["Medication/m", "Practitioner/d"]
        );
        let modified =
            server.get("/Encounter/e").await.json()["meta"]["lastUpdated"].as_str().unwrap().to_owned();
        assert_eq!(record(&format!("_since={modified}")).await, ["Encounter/e", "MedicationRequest/r"]);
        for bad in [
            "start=x",
            "end=2020-13",
            "start=2021&end=2020",
            "_type=Nothing",
            "_type=",
            "_type=Patient,",
            "_count=0",
            "_count=x",
            "_since=x",
            "ct=x",
        ] {
            let answer = server.get(&format!("/Patient/a/$everything?{bad}")).await;
            assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
        }
        let strict = server.send("GET", "/Patient/a/$everything?begin=2020", &[STRICT], "").await;
        assert_eq!((strict.status.as_u16(), strict.outcome().as_str()), (400, "not-supported"));
    });
}

#[test]
fn pages_show_the_record_as_it_stood() {
    test(|server| async move {
        ward(&server).await;
        let before = sorted(&server, "/Patient/a/$everything").await;
        let (mut names, mut next) = page(&server, &server.get("/Patient/a/$everything?_count=2").await);
        // Meanwhile everything that was not shown yet changes, moves away, goes, or comes.
        put(&server, observation("5", "a", None, "Practitioner/nobody")).await;
        for id in ["1", "2", "3", "4"] {
            put(&server, observation(id, "stranger", None, "Practitioner/nobody")).await;
        }
        server.delete("/Encounter/e").await;
        server.delete("/Location/l").await;
        put(&server, json!({"resourceType": "Medication", "id": "m", "status": "inactive"})).await;
        let mut texts = String::new();
        while let Some(address) = next {
            let answer = server.get(&address).await;
            texts.push_str(&answer.text());
            let (more, following) = page(&server, &answer);
            names.extend(more);
            next = following;
        }
        names.sort();
        assert_eq!(names, before);
        assert!(!texts.contains("inactive") && !texts.contains("nobody"), "{texts}");
        let after = sorted(&server, "/Patient/a/$everything").await;
        let expected = [
            "Medication/m",
            "MedicationRequest/r",
            "Observation/5",
            "Organization/o",
            "Patient/a",
            "Practitioner/nobody",
        ];
        assert_eq!(after, expected);
    });
}

#[test]
fn the_record_of_any_position_can_be_had() {
    test(|server| async move {
        ward(&server).await;
        let then = server.events().await;
        let before = sorted(&server, "/Patient/a/$everything").await;
        server.delete("/Encounter/e").await;
        put(&server, observation("5", "a", None, "Practitioner/nobody")).await;
        for count in [3, 100] {
            let path = format!("/Patient/a/$everything?_asOf={then}&_count={count}");
            assert_eq!(sorted(&server, &path).await, before);
            let answer = server.get(&path).await;
            assert_eq!(answer.header("x-anamnesis-position"), then.to_string());
            assert!(answer.json()["link"][0]["url"].as_str().unwrap().contains(&format!("_asOf={then}")));
        }
        assert_eq!(server.get("/Patient/a/$everything?_asOf=1").await.status, 404, "not there yet");
        assert_eq!(server.get("/Patient/a/$everything?_asOf=999").await.status, 400, "the future");
    });
}

#[test]
fn links_of_the_same_person_are_followed() {
    test(|server| async move {
        put(&server, json!({"resourceType": "Practitioner", "id": "d"})).await;
        put(&server, patient("twin", &[])).await;
        put(&server, patient("old", &[("replaced-by", "new"), ("replaces", "older")])).await;
        put(&server, patient("older", &[("replaced-by", "old")])).await;
        put(&server, patient("new", &[("replaces", "old"), ("seealso", "other"), ("seealso", "missing")]))
            .await;
        put(&server, patient("other", &[("refer", "new")])).await;
        for (id, subject) in [("1", "new"), ("2", "old"), ("3", "older"), ("4", "other"), ("5", "twin")] {
            put(&server, observation(id, subject, None, "Practitioner/d")).await;
        }
        // One resource in two compartments of the record.
        put(&server, observation("6", "old", None, "Patient/new")).await;
        let expected = [
            "Observation/1",
            "Observation/2",
            "Observation/3",
            "Observation/4",
            "Observation/6",
            "Patient/new",
            "Patient/old",
            "Patient/older",
            "Patient/other",
            "Practitioner/d",
        ];
        assert_eq!(sorted(&server, "/Patient/new/$everything").await, expected);
        assert_eq!(sorted(&server, "/Patient/new/$everything?_count=1").await, expected);
        // The record that is not used any more is given with a warning, or not at all.
        let lenient = server.get("/Patient/old/$everything?_type=Patient").await.json();
        let last = lenient["entry"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["search"]["mode"], &last["resource"]["issue"][0]["severity"]),
            (&json!("outcome"), &json!("warning"))
        );
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let url = format!("{}/Patient/old/$everything", server.base);
        let strict = client.get(url).header(STRICT.0, STRICT.1).send().await.unwrap();
        let there = format!("{}/Patient/new/$everything", server.base);
        assert_eq!(strict.status(), 301);
        assert_eq!(strict.headers()["content-location"], there.as_str());
        assert_eq!(strict.json::<Value>().await.unwrap()["resourceType"], "OperationOutcome");
    });
}

#[test]
fn who_is_not_there_has_no_record() {
    test(|server| async move {
        let missing = server.get("/Patient/a/$everything").await;
        assert_eq!((missing.status.as_u16(), missing.outcome().as_str()), (404, "not-found"));
        put(&server, patient("a", &[])).await;
        server.delete("/Patient/a").await;
        let gone = server.get("/Patient/a/$everything").await;
        assert_eq!(
            (gone.status.as_u16(), gone.outcome().as_str(), gone.header("etag")),
            (410, "deleted", "W/\"2\"")
        );
        for (method, path, status) in [
            ("GET", "/Patient/$everything", 404),
            ("GET", "/Observation/a/$everything", 404),
            ("PUT", "/Patient/a/$everything", 405),
        ] {
            let answer = server.send(method, path, &[FHIR], "{}").await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        }
        let metadata = server.get("/metadata").await.json();
        let resources = metadata["rest"][0]["resource"].as_array().unwrap();
        let listed = resources.iter().find(|one| one["type"] == "Patient").unwrap()["operation"].to_string();
        assert!(listed.contains("http://hl7.org/fhir/OperationDefinition/Patient-everything"), "{listed}");
    });
}
