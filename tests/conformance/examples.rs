//! The examples of R4 and of US Core are stored and come back as they were published.

use std::collections::BTreeMap;

use reqwest::Method;

use crate::compare::{Names, differences};
use crate::corpus::{self, Document};
use crate::server::{self, Answer, Server};

/// Published examples that are no valid R4, and where: the server must refuse them.
pub(crate) const INVALID: &[(&str, &str)] = &[
    ("devicemetric-example.json", "DeviceMetric.parent"),
    ("deviceusestatement-example.json", "DeviceUseStatement.reasonReference[0]"),
    ("eventdefinition-example.json", "EventDefinition.text.div"),
];

/// Valid ones that a server refuses, and where: nothing may be told to an address that its configuration does not allow.
pub(crate) const NOT_ALLOWED: &[(&str, &str)] =
    &[("subscription-example.json", "Subscription.channel.endpoint")];

#[test]
fn examples_of_the_specification_come_back_as_they_were_sent() {
    let examples = corpus::lines("spec-examples", "spec-examples-dev");
    assert_eq!(examples.len(), 163);
    server::test(|server| async move {
        let stored = store_all(&server, &examples).await;
        // Parameters are not stored (R4 parameters.html), and there is one of them.
        assert_eq!(stored.values().map(Vec::len).sum::<usize>(), 163 - INVALID.len() - NOT_ALLOWED.len() - 1);
        read_all(&server, &stored).await;
        send_as_xml(&server, &stored).await;
        validate_all(&server, &examples).await;
    });
}

#[test]
fn examples_of_us_core_come_back_as_they_were_sent() {
    let examples = corpus::lines("us-core", "us-core-examples-dev");
    assert_eq!(examples.len(), 77);
    server::test(|server| async move {
        let stored = store_all(&server, &examples).await;
        assert_eq!(stored.values().map(Vec::len).sum::<usize>(), 77);
        read_all(&server, &stored).await;
        send_as_xml(&server, &stored).await;
        validate_all(&server, &examples).await;
    });
}

/// What was stored: the versions of each resource, oldest first.
type Stored<'a> = BTreeMap<String, Vec<&'a Document>>;

/// Puts every example under its id, or posts it where it was published without one. Those that are not valid must be
/// refused for what is wrong with them.
async fn store_all<'a>(server: &Server, examples: &'a [Document]) -> Stored<'a> {
    let mut stored = Stored::new();
    for example in examples {
        let resource_type = example.json.text("resourceType").unwrap();
        let Some(id) = example.json.text("id") else {
            let answer = server.send(Method::POST, resource_type, &example.text).await;
            if resource_type == "Parameters" {
                assert_eq!(answer.status, 404, "{}", answer.body);
                continue;
            }
            assert_eq!(answer.status, 201, "{}: {}", example.name, answer.body);
            let id = answer.json(201).text("id").unwrap().to_owned();
            stored.insert(format!("{resource_type}/{id}"), vec![example]);
            continue;
        };
        let address = format!("{resource_type}/{id}");
        let answer = server.send(Method::PUT, &address, &example.text).await;
        let refused = |status: u16, list: &[(&str, &'static str)]| {
            list.iter().find(|(name, _)| *name == example.name).map(|(_, place)| (status, *place))
        };
        if let Some((status, place)) = refused(400, INVALID).or(refused(422, NOT_ALLOWED)) {
            let issues = answer.json(status);
            assert!(issues.texts("issue/expression").contains(&place), "{}: {}", example.name, answer.body);
            assert_eq!(server.get(&address).await.status, 404);
            continue;
        }
        let versions = stored.entry(address).or_default();
        let status = if versions.is_empty() { 201 } else { 200 };
        assert_eq!(answer.status, status, "{}: {}", example.name, answer.body);
        versions.push(example);
    }
    stored
}

/// Reads every version back and compares it with what was sent.
async fn read_all(server: &Server, stored: &Stored<'_>) {
    let mut letter_for_letter = 0;
    for (address, versions) in stored {
        for (example, number) in versions.iter().zip(1..) {
            let answer = server.get(&format!("{address}/_history/{number}")).await;
            let back = answer.json(200);
            assert_eq!(answer.header("etag"), format!("W/\"{number}\""));
            assert_eq!(back.text("id"), address.split('/').nth(1));
            assert_eq!(back.text("meta/versionId"), Some(number.to_string().as_str()));
            let found = differences(&example.json, &back, &Names::new());
            assert!(found.is_empty(), "{}: {found:#?}", example.name);
            letter_for_letter += usize::from(is_insertion(&example.text, &answer.body));
        }
        let (current, last) =
            (server.get(address).await, server.get(&format!("{address}/_history/{}", versions.len())).await);
        assert_eq!(current.body, last.body);
    }
    // All but those that were published with a version or time of their own, which the server replaces, or without an
    // id, so that it puts in two things at two places.
    let own = |example: &&&Document| {
        let meta = example.json.text("meta/versionId").or(example.json.text("meta/lastUpdated"));
        meta.is_some() || example.json.get("id").is_none()
    };
    let replaced = stored.values().flatten().filter(own).count();
    let count: usize = stored.values().map(Vec::len).sum();
    assert_eq!(letter_for_letter, count - replaced);
}

/// Fetches everything as XML and sends that: the server must find it to be the very same, so that it makes no version.
async fn send_as_xml(server: &Server, stored: &Stored<'_>) {
    for (address, versions) in stored {
        let accept = server.request(Method::GET, address).header("accept", "application/fhir+xml");
        let xml = Answer::of(accept.send().await.unwrap()).await;
        assert_eq!((xml.status, xml.header("content-type")), (200, "application/fhir+xml; charset=utf-8"));
        let put = server.request(Method::PUT, address).header("content-type", "application/fhir+xml");
        let again = Answer::of(put.body(xml.body).send().await.unwrap()).await;
        let etag = format!("W/\"{}\"", versions.len());
        assert_eq!((again.status, again.header("etag")), (200, etag.as_str()), "{address}: {}", again.body);
    }
}

/// Nothing is wrong with any example but the listed ones.
async fn validate_all(server: &Server, examples: &[Document]) {
    for example in examples {
        let resource_type = example.json.text("resourceType").unwrap();
        if resource_type == "Parameters" {
            continue;
        }
        let answer = server.send(Method::POST, &format!("{resource_type}/$validate"), &example.text).await;
        let severities = answer.json(200);
        let is_wrong = severities.texts("issue/severity").contains(&"error");
        let is_listed = INVALID.iter().any(|(name, _)| *name == example.name);
        assert_eq!(is_wrong, is_listed, "{}: {}", example.name, answer.body);
    }
}

/// Whether `after` is `before` with one piece put in, all other bytes being the same.
fn is_insertion(before: &str, after: &str) -> bool {
    let (before, after) = (before.trim_end().as_bytes(), after.as_bytes());
    let same = |(a, b): &(&u8, &u8)| a == b;
    let head = before.iter().zip(after).take_while(same).count();
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
    before.len() < after.len() && head + tail >= before.len()
}
