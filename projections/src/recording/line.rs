//! One recorded event as a line of JSON: every field of the envelope, and the body to the byte.

use std::sync::Arc;

use anamnesis_events::{Erased, Event, Kind, Position, ResourceKey, Transaction, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// The fields in the order in which they are written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    position: u64,
    kind: String,
    kind_version: u16,
    resource_type: String,
    id: String,
    version: u32,
    home: String,
    /// Compartments beside the home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    touches: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction: Option<LineTransaction>,
    recorded_at: String,
    agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<u64>,
    hash: String,
    /// The body as text; none for a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// A body that is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// The event that erased the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erased_by: Option<u64>,
    /// SHA-256 of the body that was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commitment: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineTransaction {
    id: String,
    index: u32,
    size: u32,
}

/// Appends the line of an event.
pub(super) fn write(out: &mut Vec<u8>, event: &Event) {
    let (body, body_base64) = match std::str::from_utf8(&event.payload) {
        Ok("") => (None, None),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(&event.payload))),
    };
    let line = Line {
        position: event.position.get(),
        kind: event.kind.name().to_owned(),
        kind_version: event.kind_version,
        resource_type: event.key.resource_type.to_string(),
        id: event.key.id.clone(),
        version: event.version.get(),
        home: event.home.clone(),
        touches: event.touches.iter().skip(1).cloned().collect(),
        transaction: event.transaction.map(|transaction| LineTransaction {
            id: transaction.id.to_string(),
            index: transaction.index,
            size: transaction.size,
        }),
        recorded_at: event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        agent: event.agent.to_string(),
        source: event.source.as_ref().map(ToString::to_string),
        previous: event.previous.map(Position::get),
        hash: hex(&event.hash),
        body,
        body_base64,
        erased_by: event.erased.map(|erased| erased.by.get()),
        commitment: event.erased.map(|erased| hex(&erased.commitment)),
    };
    // Texts and numbers always have a form in JSON.
    let text = serde_json::to_string(&line).unwrap_or_default();
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// The event of a line.
pub(super) fn parse(text: &str) -> Result<Event, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let kind = Kind::from_name(&line.kind).ok_or_else(|| format!("there is no kind {}", line.kind))?;
    let recorded_at: DateTime<Utc> =
        line.recorded_at.parse().map_err(|_| "recordedAt is no time".to_owned())?;
    let transaction = match line.transaction {
        None => None,
        Some(LineTransaction { id, index, size }) => {
            let id = id.parse().map_err(|_| "the transaction's id is no UUID".to_owned())?;
            Some(Transaction { id, index, size })
        }
    };
    let payload = match (line.body, line.body_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(text)) => {
            Bytes::from(STANDARD.decode(text).map_err(|_| "bodyBase64 is not base64".to_owned())?)
        }
        (None, None) => Bytes::new(),
        (Some(_), Some(_)) => return Err("there are two bodies".to_owned()),
    };
    let erased = match (line.erased_by, line.commitment) {
        (Some(by), Some(text)) => {
            let commitment = unhex(&text).ok_or("the commitment has not 64 hexadecimal digits")?;
            Some(Erased { by: Position::new(by), commitment })
        }
        (None, None) => None,
        _ => return Err("erasedBy and commitment come together".to_owned()),
    };
    if erased.is_some() && !payload.is_empty() {
        return Err("there is a body that was erased".to_owned());
    }
    Ok(Event {
        position: Position::new(line.position),
        kind,
        kind_version: line.kind_version,
        operation: kind.operation(),
        key: ResourceKey::new(line.resource_type, line.id),
        version: Version::new(line.version),
        touches: std::iter::once(line.home.clone()).chain(line.touches).collect(),
        home: line.home,
        transaction,
        recorded_at,
        agent: Arc::from(line.agent),
        source: line.source.map(Arc::from),
        previous: line.previous.map(Position::new),
        payload,
        erased,
        hash: unhex(&line.hash).ok_or("the hash has not 64 hexadecimal digits")?,
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let digits = |at: usize| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(digits).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_the_event_that_it_was_written_of() {
        let text =
            r#"{"position":7,"kind":"ResourceUpdated","kindVersion":1,"resourceType":"Patient","id":"é",
            "version":2,"home":"Patient/é","touches":["Patient/b"],
            "transaction":{"id":"0190b2a4-7a3e-7000-8000-000000000001","index":1,"size":3},
            "recordedAt":"2026-01-02T03:04:05.000006Z","agent":"a","source":"b","previous":3,"hash":"HASH",
            "body":"{\"a\":1.00,\r\n\"b\":\"\\u0000\"}"}"#
                .replace("HASH", &"0f".repeat(32));
        let event = parse(&text).unwrap();
        assert_eq!(&event.payload[..], b"{\"a\":1.00,\r\n\"b\":\"\\u0000\"}");
        for payload in [event.payload.clone(), Bytes::new(), Bytes::from_static(&[0xff, 0, 7])] {
            let event = Event { payload, ..event.clone() };
            let mut written = Vec::new();
            write(&mut written, &event);
            let written = String::from_utf8(written).unwrap();
            assert_eq!(written.lines().count(), 1);
            assert_eq!(parse(&written).unwrap(), event);
        }
        let erased = Some(Erased { by: Position::new(9), commitment: [7; 32] });
        let event = Event { payload: Bytes::new(), erased, ..event };
        let mut written = Vec::new();
        write(&mut written, &event);
        assert_eq!(parse(std::str::from_utf8(&written).unwrap()).unwrap(), event);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in ["", "{}", "[]", r#"{"position":1}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
