//! Two patients whose records are intertwined, and apps that are bounded to one of them.
//!
//! What is hidden has to look like what does not exist. So the same is asked of two servers: one that holds all, and one
//! that holds what the app may see and nothing else. Whatever is asked, both have to answer the same.

use std::sync::{Arc, Mutex};

use actix_web::http::Method;
use anamnesis::access::grant::Claims;
use anamnesis::access::{Actions, Grant, Principal, Scopes};
use anamnesis::api::{Body, Conditions, Request, dispatch};
use serde_json::{Value, json};

use crate::support::{Server, Setup, runtime};

pub(crate) fn refer(reference: &str) -> Value {
    json!({"reference": reference})
}

pub(crate) fn coded(code: &str) -> Value {
    json!({"coding": [{"system": "http://c", "code": code}]})
}

pub(crate) fn observation(id: &str, patient: &str, code: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": coded(code),
        "identifier": [{"system": "http://i", "value": id}], "effectiveDateTime": "2024-01-01",
        "subject": refer(&format!("Patient/{patient}")), "performer": [refer("Practitioner/d")]})
}

fn with(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

fn patient(id: &str, family: &str, other: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}], "birthDate": "1970-01-01",
        "identifier": [{"system": "http://i", "value": id}], "active": true,
        "generalPractitioner": [refer("Practitioner/d")], "managingOrganization": refer("Organization/h"),
        "link": [{"other": refer(&format!("Patient/{other}")), "type": "seealso"}]})
}

/// What patient a may see: what is hers, what is of both, and what is of everybody.
fn visible() -> Vec<Value> {
    vec![
        json!({"resourceType": "Organization", "id": "h", "name": "House"}),
        json!({"resourceType": "Practitioner", "id": "d", "name": [{"family": "Doc"}]}),
        patient("a", "Ash", "b"),
        with(
            observation("a1", "a", "x"),
            "hasMember",
            json!([refer("Observation/b1"), refer("Observation/b1/_history/1")]),
        ),
        observation("a2", "a", "y"),
        // Of b, told by a.
        with(observation("ba", "b", "w"), "performer", json!([refer("Patient/a")])),
        json!({"resourceType": "Condition", "id": "ca", "code": coded("c1"), "subject": refer("Patient/a"),
            "evidence": [{"detail": [refer("Observation/b1")]}]}),
        json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true,
            "member": [{"entity": refer("Patient/a")}, {"entity": refer("Patient/b")}]}),
        json!({"resourceType": "Appointment", "id": "p", "status": "booked", "start": "2024-01-01T10:00:00Z",
            "end": "2024-01-01T11:00:00Z", "participant": [
                {"actor": refer("Patient/a"), "status": "accepted"}, {"actor": refer("Patient/b"), "status": "accepted"}]}),
        json!({"resourceType": "List", "id": "la", "status": "current", "mode": "working", "subject": refer("Patient/a"),
            "entry": [{"item": refer("Observation/a1")}, {"item": refer("Observation/b1")}]}),
        json!({"resourceType": "Provenance", "id": "va", "recorded": "2024-01-01T00:00:00Z",
            "target": [refer("Patient/a"), refer("Observation/b1")], "agent": [{"who": refer("Practitioner/d")}]}),
        json!({"resourceType": "MedicationRequest", "id": "ma", "status": "active", "intent": "order",
            "subject": refer("Patient/a"), "contained": [{"resourceType": "Medication", "id": "m", "code": coded("pill")}],
            "medicationReference": refer("#m")}),
    ]
}

/// What she may not see.
fn hidden() -> Vec<Value> {
    vec![
        patient("b", "Birch", "a"),
        with(observation("b1", "b", "x"), "hasMember", json!([refer("Observation/a1")])),
        observation("b2", "b", "z"),
        json!({"resourceType": "Condition", "id": "cb", "code": coded("c2"), "subject": refer("Patient/b"),
            "evidence": [{"detail": [refer("Observation/a1")]}]}),
        json!({"resourceType": "List", "id": "lb", "status": "current", "mode": "changes", "subject": refer("Patient/b"),
            "entry": [{"item": refer("Observation/a1")}, {"item": refer("Observation/b1"), "deleted": true}]}),
        json!({"resourceType": "Provenance", "id": "vb", "recorded": "2024-01-01T00:00:00Z",
            "target": [refer("Observation/a1"), refer("Observation/b1")], "agent": [{"who": refer("Practitioner/d")}]}),
        json!({"resourceType": "Composition", "id": "xb", "status": "final", "type": coded("t"), "date": "2024-01-01",
            "title": "b", "subject": refer("Patient/b"), "author": [refer("Practitioner/d")],
            "section": [{"entry": [refer("Observation/a1")]}]}),
        json!({"resourceType": "AuditEvent", "id": "ab", "type": {"code": "rest"}, "recorded": "2024-01-01T00:00:00Z",
            "agent": [{"who": refer("Practitioner/d"), "requestor": true}], "source": {"observer": refer("Organization/h")},
            "entity": [{"what": refer("Observation/b1")}]}),
        json!({"resourceType": "MedicationRequest", "id": "mb", "status": "active", "intent": "order",
            "subject": refer("Patient/b"), "contained": [{"resourceType": "Medication", "id": "m", "code": coded("drug")}],
            "medicationReference": refer("#m")}),
        json!({"resourceType": "Encounter", "id": "eb", "status": "finished", "class": {"code": "AMB"},
            "subject": refer("Patient/b"), "participant": [{"individual": refer("Practitioner/d")}]}),
        json!({"resourceType": "ValueSet", "id": "s", "status": "active", "url": "http://s"}),
    ]
}

/// Somebody whose token has these scopes.
pub(crate) fn principal(scopes: &str, claims: &Claims<'_>) -> Arc<Principal> {
    let grant = Grant::new(Scopes::parse(scopes).unwrap(), claims).unwrap();
    let everybody = Principal::clone(&Principal::anonymous());
    Arc::new(Principal { actions: Actions::every(), grant: Some(Arc::new(grant)), ..everybody })
}

/// An app of a patient.
pub(crate) fn of_patient(id: &str, scopes: &str) -> Arc<Principal> {
    principal(scopes, &Claims { patient: Some(id), ..Claims::default() })
}

/// One request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) body: Option<Value>,
    pub(crate) conditions: Conditions,
    pub(crate) provenance: Option<String>,
}

pub(crate) fn get(url: &str) -> Asked {
    Asked { method: "GET", url: url.to_owned(), ..Asked::default() }
}

pub(crate) fn send(method: &'static str, url: &str, body: Value) -> Asked {
    Asked { method, url: url.to_owned(), body: Some(body), ..Asked::default() }
}

/// What came back: status, version and body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) version: Option<u32>,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// `Type/id` of the entries of a bundle, sorted.
    pub(crate) fn found(&self) -> String {
        let json = self.json();
        let entries = json["entry"].as_array().cloned().unwrap_or_default();
        let names = entries
            .iter()
            .map(|entry| &entry["resource"])
            .filter(|one| one["resourceType"] != "OperationOutcome");
        let mut names: Vec<String> = names.filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
        names.sort();
        names.join(" ")
    }

    pub(crate) fn next(&self, base: &str) -> Option<String> {
        let json = self.json();
        let next = json["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
        Some(next["url"].as_str()?.strip_prefix(base)?.trim_start_matches('/').to_owned())
    }
}

/// Asks a server as somebody.
pub(crate) async fn ask(server: &Server, principal: &Arc<Principal>, asked: &Asked) -> Told {
    let (path, query) = asked.url.split_once('?').unwrap_or((&asked.url, ""));
    let body = match &asked.body {
        None => Body::None,
        Some(value @ Value::Array(_)) => Body::JsonPatch(value.to_string().into_bytes()),
        Some(value) => Body::Bytes(value.to_string().into_bytes()),
    };
    let request = Request {
        principal: principal.clone(),
        method: Method::from_bytes(asked.method.as_bytes()).unwrap(),
        path: path.to_owned(),
        query: query.to_owned(),
        conditions: asked.conditions.clone(),
        provenance: asked.provenance.clone(),
        explicable: true,
        body,
        base: server.base.clone(),
        correlation_id: "asked".to_owned(),
        ..Request::default()
    };
    match Box::pin(dispatch(&server.service, request)).await {
        Ok(answer) => Told {
            status: answer.status.as_u16(),
            version: answer.version.map(|version| version.get()),
            location: answer.location,
            body: answer.body.map(|body| String::from_utf8(body.to_vec()).unwrap()).unwrap_or_default(),
        },
        Err(failure) => Told {
            status: failure.status().as_u16(),
            version: failure.version().map(|version| version.get()),
            location: None,
            body: String::from_utf8(failure.outcome("asked")).unwrap(),
        },
    }
}

/// A server that holds all, and one that holds what patient a may see.
pub(crate) struct Both {
    pub(crate) all: Server,
    pub(crate) own: Server,
    /// All that is wrong; told at the end of a test.
    wrong: Mutex<Vec<String>>,
}

impl Both {
    /// Notes what is wrong, so that one run tells all of it.
    pub(crate) fn check(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.wrong.lock().unwrap().push(what());
        }
    }

    /// Asks both, and checks the status that they answer with.
    pub(crate) async fn answers(&self, principal: &Arc<Principal>, asked: &Asked, status: u16) -> Told {
        let told = self.same(principal, asked).await;
        self.check(told.status == status, || format!("{asked:?}: not {status} but {told:?}"));
        told
    }

    /// Asks both, and checks that they answer the same.
    pub(crate) async fn same(&self, principal: &Arc<Principal>, asked: &Asked) -> Told {
        let of_all = plain(&self.all, ask(&self.all, principal, asked).await);
        let of_own = plain(&self.own, ask(&self.own, principal, asked).await);
        self.check(of_all == of_own, || format!("{asked:?}\n  of all: {of_all:?}\n  of own: {of_own:?}"));
        for secret in ["Birch", "drug", "\"c2\"", "\"z\""] {
            let is_own = asked.body.as_ref().is_some_and(|body| body.to_string().contains(secret));
            let is_kept =
                is_own || asked.url.contains(secret.trim_matches('"')) || !of_all.body.contains(secret);
            self.check(is_kept, || format!("{secret} is in the answer to {asked:?}: {}", of_all.body));
        }
        of_all
    }
}

/// Without what is another on each server: addresses, times, positions, page tokens and ids that the server made.
fn plain(server: &Server, told: Told) -> Told {
    let text = |text: String| {
        let text = text.replace(&server.base, "BASE");
        let patterns = [
            (r#""(lastUpdated|lastModified)":"[^"]*""#, r#""$1":"T""#),
            (r"(ct|includesCt|_page)=[A-Za-z0-9_%-]+", "$1=P"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
            (r"(position|Position) [0-9]+", "$1 N"),
            (r"_asOf=[0-9]+", "_asOf=N"),
        ];
        patterns.iter().fold(text, |text, (pattern, plain)| {
            regex::Regex::new(pattern).unwrap().replace_all(&text, *plain).into_owned()
        })
    };
    Told { body: text(told.body), location: told.location.map(text), ..told }
}

/// Runs a test on both servers.
pub(crate) fn with_both<T: Future<Output = ()>>(body: impl FnOnce(Arc<Both>) -> T) {
    runtime().block_on(async {
        let (all, own) = (Server::start(Setup::default()).await, Server::start(Setup::default()).await);
        for (server, resources) in [(&all, [visible(), hidden()].concat()), (&own, visible())] {
            for resource in resources {
                let url = format!(
                    "/{}/{}",
                    resource["resourceType"].as_str().unwrap(),
                    resource["id"].as_str().unwrap()
                );
                let answer = server.put(&url, resource.to_string()).await;
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
        }
        let both = Arc::new(Both { all, own, wrong: Mutex::default() });
        body(both.clone()).await;
        both.all.stop().await;
        both.own.stop().await;
        let wrong = both.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
