//! A record as an AuditEvent (R4 auditevent.html), with the codes that IHE's Basic Audit Log Patterns use.

use anamnesis_audit::{Agent, Kind, Record, Recorded, Verified};
use anamnesis_events::message::hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::audit::NOTIFICATION;
use crate::error::Failure;

const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const OPERATION: &str = "urn:anamnesis:audit:operation";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// `AuditEvent.agent.network.type`: an IP address.
const IP_ADDRESS: &str = "2";

/// The codes of AuditEvent.type, for searches: code and sort.
pub(super) const KINDS: [(&str, Kind); 5] = [
    ("rest", Kind::Rest),
    ("110114", Kind::Authentication),
    ("110100", Kind::Application),
    ("110106", Kind::Export),
    ("110113", Kind::Alert),
];

/// The resource as JSON.
///
/// # Errors
/// None that is known of.
pub(super) fn bytes(recorded: &Recorded, workspace: &str) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&resource(recorded, workspace)).map_err(|_bug| Failure::internal())
}

fn resource(recorded: &Recorded, workspace: &str) -> Value {
    let record = &recorded.record;
    let time = recorded.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": recorded.number.to_string(),
        "meta": { "lastUpdated": time },
        "type": kind(record.kind),
        "subtype": subtypes(record),
        "action": record.action.code(),
        "recorded": time,
        "outcome": record.outcome.code(),
        "outcomeDesc": outcome(record),
        "purposeOfEvent": purposes(record),
        "agent": agents(&record.agent),
        "source": {
            "site": site(record, workspace),
            "observer": { "display": "Anamnesis" },
            "type": [{ "system": SOURCE_TYPE, "code": "4", "display": "Application Server" }]
        },
        "entity": entities(record),
    });
    without_empty(&mut event);
    event
}

fn kind(kind: Kind) -> Value {
    let (system, code, display) = match kind {
        Kind::Authentication => (DICOM, "110114", "User Authentication"),
        Kind::Application => (DICOM, "110100", "Application Activity"),
        Kind::Export => (DICOM, "110106", "Export"),
        Kind::Alert => (DICOM, "110113", "Security Alert"),
        // A sort that is newer than this: what it is, its subtype says.
        _ => (TYPE, "rest", "Restful Operation"),
    };
    json!({ "system": system, "code": code, "display": display })
}

fn subtypes(record: &Record) -> Vec<Value> {
    let code = record.subtype.as_str();
    match (record.kind, code) {
        (_, "") => Vec::new(),
        (Kind::Rest, _) if code.starts_with('$') => vec![
            json!({ "system": INTERACTION, "code": "operation" }),
            json!({ "system": OPERATION, "code": code }),
        ],
        (Kind::Rest, _) => vec![json!({ "system": INTERACTION, "code": code })],
        (Kind::Authentication, _) => vec![json!({ "system": DICOM, "code": code })],
        _ => vec![json!({ "system": OPERATION, "code": code })],
    }
}

fn outcome(record: &Record) -> Value {
    match record.status {
        0 if record.subtype == NOTIFICATION => "It was about to be sent.".into(),
        0 if record.entry.is_none() => "Whoever asked went away before the answer.".into(),
        0 => Value::Null,
        status => {
            let code = actix_web::http::StatusCode::from_u16(status).ok();
            let reason = code.and_then(|code| code.canonical_reason()).unwrap_or_default();
            format!("{status} {reason}").trim_end().into()
        }
    }
}

fn purposes(record: &Record) -> Vec<Value> {
    let coding = record.purpose.as_ref().map(|code| json!([{ "system": REASON, "code": code }]));
    match (&coding, &record.reason) {
        (None, None) => Vec::new(),
        (coding, reason) => vec![json!({ "coding": coding, "text": reason })],
    }
}

fn agents(agent: &Agent) -> Vec<Value> {
    let network = |address: &str| json!({ "address": address, "type": IP_ADDRESS });
    let identifier = |value: &str| json!({ "system": agent.issuer, "value": value });
    let is_known = !agent.subject.is_empty();
    let who = is_known.then(|| {
        json!({ "reference": agent.resource, "identifier": identifier(&agent.subject), "display": agent.name })
    });
    let mut all = vec![json!({
        "type": { "coding": [{ "system": DICOM, "code": "110153", "display": "Source Role ID" }] },
        "who": who,
        "altId": is_known.then_some(&agent.subject),
        "name": agent.name,
        "requestor": true,
        "network": agent.address.as_deref().map(network),
    })];
    all.extend(agent.client.as_deref().map(|client| {
        json!({
            "type": { "coding": [{ "system": DICOM, "code": "110150", "display": "Application" }] },
            "who": { "identifier": identifier(client) },
            "altId": client,
            "requestor": false,
        })
    }));
    all.extend(agent.proxies.iter().map(
        |proxy| json!({ "who": { "display": "proxy" }, "requestor": false, "network": network(proxy) }),
    ));
    all
}

fn site(record: &Record, workspace: &str) -> String {
    match record.service.as_str() {
        "" => workspace.to_owned(),
        service => format!("{workspace}/{service}"),
    }
}

fn entities(record: &Record) -> Vec<Value> {
    let coding = |system: &str, code: &str, display: &str| json!({ "system": system, "code": code, "display": display });
    let object = || coding(ENTITY_TYPE, "2", "System Object");
    let mut all: Vec<Value> = Vec::new();
    all.extend(record.entities.iter().map(|entity| {
        let reference = match entity.version {
            Some(version) => format!("{}/_history/{version}", entity.what),
            None => entity.what.clone(),
        };
        let role = coding(ROLE, "4", "Domain Resource");
        json!({ "what": { "reference": reference }, "type": object(), "role": role })
    }));
    all.extend(record.patients.iter().map(|patient| {
        let person = coding(ENTITY_TYPE, "1", "Person");
        json!({ "what": { "reference": patient }, "type": person, "role": coding(ROLE, "1", "Patient") })
    }));
    all.extend(record.query.as_ref().map(|query| {
        json!({ "type": object(), "role": coding(ROLE, "24", "Query"), "query": BASE64.encode(query) })
    }));
    let details = details(record);
    if !details.is_empty() || !record.correlation.is_empty() {
        let what = (!record.correlation.is_empty()).then(
            || json!({ "identifier": { "system": "urn:anamnesis:correlation", "value": record.correlation } }),
        );
        all.push(json!({ "what": what, "type": object(), "name": what_name(record), "detail": details }));
    }
    all
}

/// An entity has to say what it is.
fn what_name(record: &Record) -> &'static str {
    if record.entry.is_some() { "entry of a request" } else { "request" }
}

fn details(record: &Record) -> Vec<Value> {
    let number = |name: &str, value: Option<u64>| {
        value.map(|value| json!({ "type": name, "valueString": value.to_string() }))
    };
    let more = |count: u32| (count > 0).then_some(u64::from(count));
    let own = [
        number("position", record.position),
        number("entry", record.entry.map(u64::from)),
        number("further entities", more(record.entities_more)),
        number("further patients", more(record.patients_more)),
        number("requests refused alike", more(record.repeated)),
    ];
    let custom = record.custom.iter().filter(|(_, value)| !value.is_empty());
    let custom = custom.map(|(name, value)| json!({ "type": name, "valueString": value }));
    own.into_iter().flatten().chain(custom).collect()
}

/// Takes out what there is nothing to say of: FHIR has neither null nor empty objects, arrays and texts.
fn without_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(without_empty);
            members.retain(|_, member| !is_empty(member));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(without_empty);
            items.retain(|item| !is_empty(item));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// What a walk along the chain has come to.
pub(super) fn verified(verified: &Verified) -> Value {
    json!({
        "number": verified.number.get(),
        "hash": hex(&verified.hash),
        "keptAfter": verified.kept_after.get(),
        "whole": verified.is_whole,
        "broken": verified.broken.as_ref().map(|broken| json!({
            "from": broken.from.get(), "to": broken.to.get(), "reason": broken.reason
        })),
    })
}
