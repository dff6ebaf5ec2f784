//! Runs a FHIR TestScript: as much of R4's testscript.html as the scripts of the corpus say, and not a word more, so
//! that nothing in a script goes unheard.

use regex::Regex;
use reqwest::Method;

use crate::json::Json;
use crate::server::{Answer, Server};

/// Carries out every action of a script in order.
///
/// # Errors
/// The label of the first assertion that does not hold, and what was found instead.
pub(crate) async fn run(script: &Json, server: &Server) -> Result<(), String> {
    let mut last = None;
    let actions = script.all("test/action");
    assert!(!actions.is_empty(), "a script without actions");
    for action in actions {
        match (action.get("operation"), action.get("assert")) {
            (Some(operation), None) => last = Some(operate(operation, server).await),
            (None, Some(assertion)) => hold(assertion, last.as_ref().expect("an operation comes first"))?,
            _ => panic!("an action is an operation or an assertion"),
        }
    }
    Ok(())
}

/// TestScript.test.action.operation: one request.
async fn operate(operation: &Json, server: &Server) -> Answer {
    expect_members(
        operation,
        &["type", "resource", "encodeRequestUrl", "params", "pathFromRoot", "requestHeader"],
    );
    let from_root = operation.get("pathFromRoot") == Some(&Json::Literal("true".to_owned()));
    let mut address = if from_root { server.root.clone() } else { server.base.clone() };
    if let Some(resource) = operation.text("resource") {
        address.push('/');
        address.push_str(resource);
    }
    match operation.text("type/code").expect("an operation has a type") {
        "capabilities" => address.push_str("/metadata"),
        "history" => address.push_str("/_history"),
        "read" | "search" => {}
        other => panic!("no script of the corpus does {other}"),
    }
    address.push_str(operation.text("params").unwrap_or_default());
    let mut request = server.request(Method::GET, &address);
    let headers = operation.all("requestHeader");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|header| (header.text("field").unwrap(), header.text("value").unwrap())).collect();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        request = request.header("accept", "application/fhir+json");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// TestScript.test.action.assert: one statement about the last answer.
fn hold(assertion: &Json, answer: &Answer) -> Result<(), String> {
    expect_members(
        assertion,
        &["label", "description", "operator", "responseCode", "contentType", "headerField", "responseBody"],
    );
    let code = answer.status.to_string();
    let text = |name| assertion.text(name);
    let (found, wanted) = if let Some(wanted) = text("responseCode") {
        (code.as_str(), wanted)
    } else if let Some(wanted) = text("contentType") {
        (answer.header("content-type"), wanted)
    } else if let Some(name) = text("headerField") {
        (answer.header(&name.to_ascii_lowercase()), "")
    } else {
        (answer.body.as_str(), text("responseBody").expect("an assertion is about something"))
    };
    let holds = match text("operator").expect("an assertion has an operator") {
        "equals" => found == wanted,
        "notEquals" => found != wanted,
        "notIn" => wanted.split(',').all(|one| one != found),
        "contains" => found.contains(wanted),
        "notEmpty" => !found.is_empty(),
        "matchesRegex" => Regex::new(wanted).unwrap().is_match(found),
        // A word of the scripts' own: the subtype, or what stands behind its plus sign.
        "matchesMimeClass" => {
            let media = found.split(';').next().unwrap_or_default();
            media.rsplit(['/', '+']).next() == Some(wanted)
        }
        other => panic!("no script of the corpus says {other}"),
    };
    if holds {
        return Ok(());
    }
    let found: String = found.chars().take(120).collect();
    Err(format!("{}: found {found:?}, status {code}", text("label").unwrap_or_default()))
}

/// A member that is not listed would change what the script means.
fn expect_members(object: &Json, known: &[&str]) {
    let Json::Object(members) = object else { panic!("no object") };
    for (name, _) in members {
        assert!(known.contains(&name.as_str()), "no script of the corpus says {name}");
    }
}

#[test]
fn assertions_that_do_not_hold_are_seen() {
    let headers = [("content-type".to_owned(), "application/fhir+json; charset=utf-8".to_owned())];
    let answer = Answer { status: 404, headers: headers.into(), body: r#"{"a":"b"}"#.to_owned() };
    let hold = |text: &str| hold(&Json::parse(text), &answer).is_ok();
    for (assertion, holds) in [
        (r#"{"operator":"equals","responseCode":"404"}"#, true),
        (r#"{"operator":"equals","responseCode":"200"}"#, false),
        (r#"{"operator":"notEquals","responseCode":"404"}"#, false),
        (r#"{"operator":"notIn","responseCode":"500,404"}"#, false),
        (r#"{"operator":"notIn","responseCode":"500,501"}"#, true),
        (r#"{"operator":"contains","contentType":"fhir+json"}"#, true),
        (r#"{"operator":"contains","contentType":"xml"}"#, false),
        (r#"{"operator":"matchesMimeClass","contentType":"json"}"#, true),
        (r#"{"operator":"matchesMimeClass","contentType":"html"}"#, false),
        (r#"{"operator":"notEmpty","headerField":"Content-Type"}"#, true),
        (r#"{"operator":"notEmpty","headerField":"Content-Location"}"#, false),
        (r#"{"operator":"matchesRegex","responseBody":"\"a\"\\s*:"}"#, true),
        (r#"{"operator":"matchesRegex","responseBody":"\"b\"\\s*:"}"#, false),
    ] {
        assert_eq!(hold(assertion), holds, "{assertion}");
    }
}
