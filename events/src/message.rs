//! Events as NATS messages: CloudEvents 1.0 in binary mode, one header per attribute, the resource as the body.
//!
//! Every attribute that the log keeps is in the headers, so that a subscriber can rebuild the event (and check its
//! hash) from the message alone. Attribute names are those of CloudEvents 1.0 and its documented extensions
//! (`sequence`, `dataref`), the others are lower-case words as its section 3.1.1 demands.

use std::fmt::Write as _;

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};

use crate::{Erased, Event, Kind, Position, ResourceKey, Transaction, Version};

/// What a message carries beside its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyMode {
    /// The resource as it is served; bodies over the bound are left out and named by `ce-dataref`.
    #[default]
    Resource,
    /// Nothing: the headers say what changed and subscribers fetch it under their own rights.
    Notification,
}

/// How a workspace's events are published.
#[derive(Debug, Clone)]
pub struct MessageOptions {
    /// The workspace, as it stands in addresses.
    pub workspace: String,
    /// The service that FHIR resources belong to, as it stands in addresses.
    pub service: String,
    /// Whether bodies are published.
    pub body: BodyMode,
    /// Bodies longer than this many bytes are left out; NATS refuses messages over 1 MiB by default.
    pub body_bytes_max: usize,
}

impl MessageOptions {
    /// The defaults of a workspace: bodies up to 256 KiB.
    #[must_use]
    pub fn new(workspace: &str, service: &str) -> Self {
        Self {
            workspace: workspace.into(),
            service: service.into(),
            body: BodyMode::Resource,
            body_bytes_max: 256 << 10,
        }
    }

    /// Whether the event's body goes into its message.
    pub(crate) fn carries(&self, event: &Event) -> bool {
        self.body == BodyMode::Resource && event.payload.len() <= self.body_bytes_max
    }
}

/// A message that is no event of this version, and the attribute that says so.
#[derive(Debug, thiserror::Error)]
#[error("message at stream sequence {sequence}: attribute {attribute} is missing or not understood")]
pub struct DecodeError {
    /// Sequence of the message in its stream.
    pub sequence: u64,
    /// Header at fault.
    pub attribute: &'static str,
}

/// A decoded message.
#[derive(Debug, Clone)]
pub struct Received {
    /// The event; its payload is empty where the body was left out.
    pub event: Event,
    /// True where the resource has to be fetched from the log.
    pub body_left_out: bool,
    /// True where the payload is the [sealed](crate::seal) form of the body.
    pub is_sealed: bool,
}

/// What a body is that is sealed.
const SEALED_CONTENT: &str = "application/vnd.anamnesis.sealed";

/// The bucket of a compartment, 0 to 255: the first byte of the SHA-256 of its name (`Patient/123`).
///
/// A hash, because patient ids are personal data and every distinct subject costs the broker memory.
#[must_use]
pub fn bucket(compartment: &str) -> u8 {
    Sha256::digest(compartment.as_bytes()).first().copied().unwrap_or(0)
}

/// The subject of an event: `anamnesis.<workspace>.<service>.<ResourceType>.<operation>.<bucket>`.
#[must_use]
pub fn subject(event: &Event, options: &MessageOptions) -> String {
    format!(
        "anamnesis.{}.{}.{}.{}.{}",
        subject_token(&options.workspace),
        subject_token(&options.service),
        event.key.resource_type,
        event.operation.name(),
        bucket(&event.home)
    )
}

/// A name as one token of a subject: what NATS reserves (space, `.`, `*`, `>`) becomes `_`.
#[must_use]
pub fn subject_token(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

/// The CloudEvents attributes of an event by their names without prefix, in a fixed order, values as they are.
#[must_use]
pub fn attributes(event: &Event, options: &MessageOptions) -> Vec<(&'static str, String)> {
    let reference = format!("{}/{}/_history/{}", event.key.resource_type, event.key.id, event.version);
    let mut all = vec![
        ("specversion", "1.0".to_owned()),
        ("id", format!("{}-{}", options.workspace, event.position)),
        ("source", format!("/{}/{}", options.workspace, options.service)),
        ("type", format!("org.anamnesis.{}.v{}", event.kind.name(), event.kind_version)),
        ("time", event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        ("sequence", event.position.to_string()),
        ("home", event.home.clone()),
    ];
    if event.touches.len() != 1 || event.touches.first() != Some(&event.home) {
        all.push(("touches", event.touches.join(",")));
    }
    all.push(("agent", event.agent.to_string()));
    if let Some(source) = &event.source {
        all.push(("reason", source.to_string()));
    }
    if let Some(previous) = event.previous {
        all.push(("previous", previous.to_string()));
    }
    if let Some(transaction) = &event.transaction {
        all.push(("transaction", transaction.id.to_string()));
        all.push(("transactionindex", transaction.index.to_string()));
        all.push(("transactionsize", transaction.size.to_string()));
    }
    all.push(("hash", hex(&event.hash)));
    if let Some(erased) = &event.erased {
        all.push(("erased", erased.by.to_string()));
        all.push(("commitment", hex(&erased.commitment)));
    }
    if !event.payload.is_empty() && !options.carries(event) {
        all.push(("dataref", format!("/{}/{}/{reference}", options.workspace, options.service)));
    }
    all.push(("subject", reference));
    all
}

/// The message of an event.
#[must_use]
pub fn encode(event: &Event, options: &MessageOptions) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    for (name, value) in attributes(event, options) {
        headers.insert(format!("ce-{name}").as_str(), percent_encode(&value).as_str());
    }
    if !event.payload.is_empty() {
        headers.insert("content-type", "application/fhir+json");
    }
    (headers, if options.carries(event) { event.payload.clone() } else { Bytes::new() })
}

/// The message of an event whose body is sealed in it, with the data key of this number.
#[must_use]
pub(crate) fn encode_sealed(
    event: &Event,
    options: &MessageOptions,
    (key, sealed): (u32, Bytes),
) -> (HeaderMap, Bytes) {
    let (mut headers, _) = encode(event, options);
    headers.insert("ce-sealed", key.to_string().as_str());
    headers.insert("content-type", SEALED_CONTENT);
    (headers, sealed)
}

/// The event of a message.
///
/// # Errors
/// [`DecodeError`] names the attribute that is missing or not understood.
pub fn decode(sequence: u64, headers: &HeaderMap, payload: Bytes) -> Result<Received, DecodeError> {
    let fail = |attribute| DecodeError { sequence, attribute };
    let optional = |name: &'static str| headers.get(name).map(|value| percent_decode(value.as_str()));
    let required = |name: &'static str| optional(name).ok_or(fail(name));
    let number = |name: &'static str| match optional(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| fail(name)),
    };
    let (kind, kind_version) = parse_type(&required("ce-type")?).ok_or(fail("ce-type"))?;
    let (key, version) = parse_reference(&required("ce-subject")?).ok_or(fail("ce-subject"))?;
    let home = required("ce-home")?;
    let touches = match optional("ce-touches") {
        Some(list) => list.split(',').map(str::to_owned).collect(),
        None => vec![home.clone()],
    };
    let transaction = match optional("ce-transaction") {
        None => None,
        Some(id) => Some(Transaction {
            id: id.parse().map_err(|_| fail("ce-transaction"))?,
            index: small(number("ce-transactionindex")?).ok_or(fail("ce-transactionindex"))?,
            size: small(number("ce-transactionsize")?).ok_or(fail("ce-transactionsize"))?,
        }),
    };
    let erased = match number("ce-erased")? {
        None => None,
        Some(by) => {
            let commitment = optional("ce-commitment").and_then(|text| unhex(&text));
            Some(Erased { by: Position::new(by), commitment: commitment.ok_or(fail("ce-commitment"))? })
        }
    };
    let time = required("ce-time")?;
    let recorded_at: DateTime<Utc> = time.parse().map_err(|_| fail("ce-time"))?;
    let event = Event {
        position: number("ce-sequence")?.map(Position::new).ok_or(fail("ce-sequence"))?,
        kind,
        kind_version,
        operation: kind.operation(),
        key,
        version,
        home,
        touches,
        transaction,
        recorded_at,
        agent: required("ce-agent")?.into(),
        source: optional("ce-reason").map(Into::into),
        previous: number("ce-previous")?.map(Position::new),
        payload,
        erased,
        hash: unhex(&required("ce-hash")?).ok_or(fail("ce-hash"))?,
    };
    let (body_left_out, is_sealed) =
        (headers.get("ce-dataref").is_some(), headers.get("ce-sealed").is_some());
    Ok(Received { event, body_left_out, is_sealed })
}

fn small(number: Option<u64>) -> Option<u32> {
    number.and_then(|n| u32::try_from(n).ok())
}

fn parse_type(text: &str) -> Option<(Kind, u16)> {
    let (name, version) = text.strip_prefix("org.anamnesis.")?.split_once(".v")?;
    Some((Kind::from_name(name)?, version.parse().ok()?))
}

fn parse_reference(text: &str) -> Option<(ResourceKey, Version)> {
    let mut parts = text.split('/');
    let (resource_type, id) = (parts.next()?, parts.next()?);
    if parts.next()? != "_history" {
        return None;
    }
    let version = parts.next()?.parse().ok()?;
    Some((ResourceKey::new(resource_type, id), Version::new(version)))
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _written = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(out)
}

/// Header values of CloudEvents: printable ASCII but for space, `"` and `%` stays, all else is percent-encoded UTF-8.
fn percent_encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn percent_decode(value: &str) -> String {
    if !value.contains('%') {
        return value.to_owned();
    }
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = value
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
