//! How often a principal may ask, and whose address a limit of clients goes by.

use std::num::NonZeroU32;

use anamnesis::api::{GuardOptions, Limits, Rate};
use anamnesis::audit::Networks;

use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Answer, Server, Setup, runtime, test_with};

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    let count = |count| NonZeroU32::new(count).unwrap();
    Some(Rate { per_second: count(per_second), burst: count(burst) })
}

fn limited(limits: Limits) -> GuardOptions {
    let proxies = Networks::parse(&["127.0.0.1".to_owned()]).unwrap();
    GuardOptions {
        limits: [("default".to_owned(), limits)].into(),
        proxies: [("default".to_owned(), proxies)].into(),
        ..GuardOptions::default()
    }
}

async fn ask(server: &Server, path: &str, headers: &[(&str, &str)], times: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..times {
        answers.push(server.workspace("GET", path, headers, "").await);
    }
    answers
}

fn refused(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 429).count()
}

#[test]
fn a_principal_that_asks_too_often_is_refused_wherever_it_comes_from() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let gate = runtime().block_on(async { authority.gate() });
    // One in a hundred seconds: nothing comes back while the test runs.
    let slow = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(4).unwrap() };
    let guard = limited(Limits { of_principal: Some(slow), ..Limits::default() });
    test_with(Setup { gate: Some(gate), guard, ..Setup::default() }, |server| async move {
        let sign = |role: &str, client: &str| {
            let mut claims = authority.claims(role);
            claims["azp"] = client.into();
            bearer(&key.sign(&claims))
        };
        let reader = sign("FHIR Data Reader", "app");
        let from = |token: &'static str, address: &'static str| {
            [("Authorization", token), ("X-Forwarded-For", address)]
        };
        let reader: &'static str = reader.leak();
        let mut answers = ask(&server, "/fhir/Patient", &from(reader, "192.0.2.1"), 10).await;
        answers.extend(ask(&server, "/fhir/Patient", &from(reader, "192.0.2.2"), 10).await);
        assert!(answers[..4].iter().all(|answer| answer.status == 200), "{answers:?}");
        assert!(refused(&answers) >= 10, "{answers:?}");
        let last = answers.iter().rfind(|answer| answer.status == 429).unwrap();
        assert_eq!(last.outcome(), "throttled");
        assert_eq!((last.header("retry-after"), last.header("x-ms-retry-after-ms")), ("1", "1000"));
        // The same subject by another application, another subject, and what everybody may see.
        let other = sign("FHIR Data Reader", "other");
        assert_eq!(refused(&ask(&server, "/fhir/Patient", &[("Authorization", &other)], 3).await), 0);
        let auditor = sign("Operator", "app");
        assert_eq!(refused(&ask(&server, "/$actors", &[("Authorization", &auditor)], 3).await), 0);
        assert_eq!(refused(&ask(&server, "/fhir/metadata", &[("Authorization", reader)], 10).await), 0);
        // What a workspace has beside its services counts as well.
        assert!(refused(&ask(&server, "/$actors", &[("Authorization", &auditor)], 6).await) >= 1);
        // A token that is no good is nobody's, and uses up nothing.
        let bad = ask(&server, "/fhir/Patient", &[("Authorization", "Bearer nonsense")], 10).await;
        assert!(bad.iter().all(|answer| answer.status == 401));
    });
}

#[test]
fn without_an_authority_nobody_is_told_apart() {
    let guard = limited(Limits { of_principal: rate(1, 1), ..Limits::default() });
    test_with(Setup { guard, ..Setup::default() }, |server| async move {
        assert_eq!(refused(&ask(&server, "/fhir/Patient", &[], 10).await), 0);
    });
}

#[test]
fn a_client_is_who_a_trusted_proxy_says() {
    let guard = limited(Limits { of_client: rate(1, 2), ..Limits::default() });
    test_with(Setup { guard, ..Setup::default() }, |server| async move {
        let from = async |address: &str| {
            refused(&ask(&server, "/fhir/metadata", &[("X-Forwarded-For", address)], 8).await)
        };
        assert!(from("192.0.2.1").await >= 3);
        assert_eq!(refused(&ask(&server, "/fhir/metadata", &[("X-Forwarded-For", "192.0.2.2")], 2).await), 0);
        // What stands before the address that the proxy has seen itself is only said.
        assert!(from("198.51.100.1, 192.0.2.1").await >= 5);
    });
    let limits = Limits { of_client: rate(1, 2), ..Limits::default() };
    let guard = GuardOptions { limits: [("default".to_owned(), limits)].into(), ..GuardOptions::default() };
    test_with(Setup { guard, ..Setup::default() }, |server| async move {
        let mut told = 0;
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            told += refused(&ask(&server, "/fhir/metadata", &[("X-Forwarded-For", address)], 2).await);
        }
        assert!(told >= 2, "nobody is believed who is not trusted");
    });
}
