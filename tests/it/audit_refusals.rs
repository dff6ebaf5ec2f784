//! What the guard refuses before anybody has looked at it is on record, and cannot fill the log.

use std::num::NonZeroU32;

use anamnesis::api::{GuardOptions, Limits, Rate};
use anamnesis_audit::{Kind, Outcome, Record};

use crate::audit_records::{records, setup};
use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Server, Setup, eventually, runtime, test_with};

/// The records after a number, when there are so many: refusals are not waited for.
async fn after(server: &Server, number: u64, count: usize) -> Vec<Record> {
    eventually("it is on record", async || records(server, number).await.len() >= count).await;
    let records = records(server, number).await;
    assert_eq!(records.len(), count, "{records:?}");
    records
}

/// Asks so often, and counts what was refused for that.
async fn ask(server: &Server, path: &str, headers: &[(&str, &str)], times: usize) -> u32 {
    let mut refused = 0;
    for _ in 0..times {
        refused += u32::from(server.workspace("GET", path, headers, "").await.status == 429);
    }
    refused
}

#[test]
fn requests_that_are_too_long_are_on_record_without_what_they_say() {
    let guard = GuardOptions { url_bytes_max: 300, header_bytes_max: 2000, ..GuardOptions::default() };
    test_with(Setup { guard, ..setup() }, |server| async move {
        let long = format!("/fhir/Patient?family={}", "a".repeat(400));
        assert_eq!(server.workspace("GET", &long, &[], "").await.status, 414);
        let told = after(&server, 0, 1).await.remove(0);
        assert_eq!((told.status, told.outcome, told.kind), (414, Outcome::Minor, Kind::Rest));
        assert_eq!((told.service.as_str(), told.subtype.as_str(), &told.query), ("fhir", "", &None));
        assert_eq!(told.agent.address.as_deref(), Some("127.0.0.1"));
        assert!(told.agent.subject.is_empty() && !told.correlation.is_empty());
        // A service that there is not is not repeated: anybody can have written it.
        let large = "a".repeat(2000);
        let headers = [("x-large", large.as_str()), ("X-Forwarded-For", "192.0.2.7")];
        assert_eq!(server.workspace("GET", "/<script>/Patient", &headers, "").await.status, 431);
        let told = after(&server, 1, 1).await.remove(0);
        assert_eq!((told.status, told.service.as_str()), (431, ""));
        assert_eq!(told.agent.address.as_deref(), Some("192.0.2.7"));
        assert_eq!(told.agent.proxies, ["127.0.0.1"]);
    });
}

#[test]
fn what_there_is_not_is_on_record_with_who_asked() {
    test_with(setup(), |server| async move {
        for (path, service) in
            [("", ""), ("/", ""), ("/nothing/Patient/a", "nothing"), ("/$nothing", "$nothing")]
        {
            let before = records(&server, 0).await.len() as u64;
            assert_eq!(server.workspace("GET", path, &[], "").await.status, 404, "{path}");
            let told = after(&server, before, 1).await.remove(0);
            assert_eq!((told.status, told.service.as_str()), (404, service), "{path}");
        }
        let before = records(&server, 0).await.len() as u64;
        let elsewhere =
            server.client.get(format!("{}/elsewhere/fhir/Patient", server.root)).send().await.unwrap();
        assert_eq!((elsewhere.status().as_u16(), records(&server, before).await.len()), (404, 0));
    });
}

#[test]
fn a_burst_of_one_address_is_two_records() {
    let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let limits = Limits { of_client: Some(rate), ..Limits::default() };
    let guard = GuardOptions { limits: [("default".to_owned(), limits)].into(), ..GuardOptions::default() };
    test_with(Setup { guard, ..setup() }, |server| async move {
        let refused = ask(&server, "/fhir/metadata", &[], 60).await;
        assert!(refused > 20, "{refused}");
        let answered = 60 - refused as usize;
        after(&server, 0, answered + 1).await;
        server.auditing.as_ref().unwrap().settle();
        assert_eq!(records(&server, 0).await.len(), answered + 1, "the minute is not over");
        // At the end everything is on record.
        let log = server.audit.clone().unwrap();
        server.auditing.as_ref().unwrap().close().await;
        let all = log.read(anamnesis_audit::Number::new(0), 1000).await.unwrap();
        let all: Vec<Record> = all.into_iter().map(|recorded| recorded.record).collect();
        assert_eq!(all.len(), answered + 2);
        let told: Vec<&Record> = all.iter().filter(|record| record.status == 429).collect();
        assert_eq!((told[0].repeated, told[1].repeated), (0, refused - 1));
    });
}

#[test]
fn a_principal_that_is_refused_again_and_again_is_named_once() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let gate = runtime().block_on(async { authority.gate() });
    let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let limits = Limits { of_principal: Some(rate), ..Limits::default() };
    let guard = GuardOptions { limits: [("default".to_owned(), limits)].into(), ..GuardOptions::default() };
    test_with(Setup { gate: Some(gate), guard, ..setup() }, |server| async move {
        let token = bearer(&key.sign(&authority.claims("FHIR Data Reader")));
        let refused = ask(&server, "/fhir/Patient/a", &[("Authorization", &token)], 40).await;
        assert!(refused > 10, "{refused}");
        let all = after(&server, 0, 40 - refused as usize + 1).await;
        let told: Vec<&Record> = all.iter().filter(|record| record.status == 429).collect();
        assert_eq!((told.len(), &*told[0].agent.subject), (1, "FHIR Data Reader"));
        assert_eq!((told[0].subtype.as_str(), told[0].service.as_str()), ("read", "fhir"));
        server.auditing.as_ref().unwrap().close().await;
    });
}
