//! Two hundred conditional requests at once, on one server and on two over one database.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Server, test};

const REQUESTS: usize = 200;
const JSON_PATCH: (&str, &str) = ("Content-Type", "application/json-patch+json");

/// Criteria that are one identifier, and criteria that are not.
const CRITERIA: [&str; 2] = ["identifier=urn:r|1", "birthdate=1974-12-25&family=Chalmers"];

fn patient() -> String {
    let patient = json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:r", "value": "1" }],
        "name": [{ "family": "Chalmers" }], "birthDate": "1974-12-25" });
    patient.to_string()
}

/// How often a client comes again that was told to: a slow machine lets it wait for its turn, or for the index, in vain.
const TRIES_MAX: usize = 20;

/// Sends a request two hundred times at once, to each server in turn; again where the server says that nothing was done and
/// that it can be tried again, which is all that load may come to.
async fn storm<'a, F>(servers: &[&'a Server], send: impl Fn(&'a Server, usize) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer>,
{
    let send = &send;
    let one = async |number: usize| {
        let mut answer = send(servers[number % servers.len()], number).await;
        for _ in 1..TRIES_MAX {
            if answer.status != 503 {
                break;
            }
            assert_eq!(answer.outcome(), "transient");
            assert_eq!(answer.header("retry-after"), "1", "{}", answer.text());
            answer = send(servers[number % servers.len()], number).await;
        }
        answer
    };
    join_all((0..REQUESTS).map(one)).await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Runs a test on one server and on two, with both sorts of criteria.
fn everywhere(body: impl AsyncFn(&[&Server], &str)) {
    let body = &body;
    for criteria in CRITERIA {
        test(|server| async move { body(&[&server], criteria).await });
        test(|server| async move {
            let other = server.beside().await;
            body(&[&server, &other], criteria).await;
            other.stop().await;
        });
    }
}

#[test]
fn identical_conditional_creates_make_one_resource() {
    everywhere(async |servers, criteria| {
        let headers = [FHIR, ("If-None-Exist", criteria)];
        let answers = storm(servers, |server, _| server.send("POST", "/Patient", &headers, patient())).await;
        assert_eq!((count(&answers, 201), count(&answers, 200)), (1, REQUESTS - 1), "{criteria}");
        assert_eq!(servers[0].events().await, 1);
        let etag = answers[0].header("etag");
        assert!(answers.iter().all(|answer| answer.header("etag") == etag));
    });
}

/// The same in other words has the same turn.
#[test]
fn conditional_creates_that_mean_the_same_make_one_resource() {
    const SAID: [&str; 4] = [
        "birthdate=1974-12-25&family=Chalmers",
        "family=Chalmers&birthdate=1974-12-25",
        "birthdate=1974%2D12-25&family=%43halmers&_format=json",
        "family=chalmers&birthdate=eq1974-12-25",
    ];
    const IDENTIFIER: [&str; 3] =
        ["identifier=urn:r|1", "identifier=urn%3Ar%7C1&_pretty=true", "identifier=urn:r|1,urn:r|1"];
    let one_is_made = async |servers: &[&Server], said: &[&'static str]| {
        let answers = storm(servers, |server, number| async move {
            // Clients of both servers say it in all ways.
            let criteria = said[number / 2 % said.len()];
            server.send("POST", "/Patient", &[FHIR, ("If-None-Exist", criteria)], patient()).await
        });
        let answers = answers.await;
        assert_eq!((count(&answers, 201), count(&answers, 200)), (1, REQUESTS - 1), "{said:?}");
        assert_eq!(servers[0].events().await, 1);
    };
    let one_is_made = &one_is_made;
    for said in [&SAID[..], &IDENTIFIER] {
        test(|server| async move { one_is_made(&[&server], said).await });
        test(|server| async move {
            let other = server.beside().await;
            one_is_made(&[&server, &other], said).await;
            other.stop().await;
        });
    }
}

#[test]
fn identical_conditional_updates_make_one_resource_and_one_version() {
    everywhere(async |servers, criteria| {
        let path = format!("/Patient?{criteria}");
        let answers = storm(servers, |server, _| server.send("PUT", &path, &[FHIR], patient())).await;
        assert_eq!((count(&answers, 201), count(&answers, 200)), (1, REQUESTS - 1), "{criteria}");
        assert_eq!(servers[0].events().await, 1);
    });
}

#[test]
fn of_conditional_patches_none_is_lost_that_was_answered() {
    everywhere(async |servers, criteria| {
        servers[0].post("/Patient", patient()).await;
        let path = format!("/Patient?{criteria}");
        let answers = storm(servers, |server, number| {
            let line =
                json!([{ "op": "add", "path": "/identifier/-", "value": { "value": number.to_string() } }]);
            server.send("PATCH", &path, &[JSON_PATCH], line.to_string())
        })
        .await;
        let taken = count(&answers, 200);
        // With an identifier as criteria nobody waits for another server: who is too late too often is told to come again.
        let told = count(&answers, 409);
        let others = answers.iter().find(|answer| ![200, 409].contains(&answer.status.as_u16()));
        assert_eq!(taken + told, REQUESTS, "{criteria}: {:?}", others.map(Answer::text));
        let can_retry = |answer: &Answer| answer.status != 409 || answer.header("retry-after") == "1";
        assert!(answers.iter().all(can_retry), "who is told to come again is told when");
        assert!(told == 0 || servers.len() == 2 && criteria == CRITERIA[0], "{told} {criteria}");
        let location = answers.iter().find(|answer| answer.status == 200).unwrap().header("location");
        let (path, _) = location[location.find("/Patient").unwrap()..].split_once("/_history").unwrap();
        let patient = servers[0].get(path).await.json();
        assert_eq!(patient["identifier"].as_array().unwrap().len(), taken + 1);
        assert_eq!(servers[0].events().await, taken as u64 + 1);
    });
}

#[test]
fn identical_conditional_deletes_delete_once() {
    everywhere(async |servers, criteria| {
        servers[0].post("/Patient", patient()).await;
        let path = format!("/Patient?{criteria}");
        let answers = storm(servers, |server, _| server.send("DELETE", &path, &[], "")).await;
        assert_eq!(count(&answers, 204), REQUESTS, "{criteria}");
        assert_eq!(answers.iter().filter(|answer| !answer.header("etag").is_empty()).count(), 1);
        assert_eq!(servers[0].events().await, 2);
    });
}

#[test]
fn transactions_that_create_unless_one_is_there_make_one_resource() {
    everywhere(async |servers, criteria| {
        let resource: Value = serde_json::from_str(&patient()).unwrap();
        let request = json!({ "method": "POST", "url": "Patient", "ifNoneExist": criteria });
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction",
            "entry": [{ "resource": resource, "request": request }] });
        let body = bundle.to_string();
        let answers = storm(servers, |server, _| server.send("POST", "", &[FHIR], body.clone())).await;
        assert_eq!(count(&answers, 200), REQUESTS, "{criteria}");
        let created = answers.iter().filter(|answer| {
            answer.json()["entry"][0]["response"]["status"].as_str().unwrap().starts_with("201")
        });
        assert_eq!(created.count(), 1, "{criteria}");
        assert_eq!(servers[0].events().await, 1);
    });
}
