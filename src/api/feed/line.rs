//! One event as a CloudEvent in structured JSON (CloudEvents 1.0 JSON format), as a line or as a server-sent event.

use anamnesis_events::Event;
use anamnesis_events::message::{MessageOptions, attributes};
use anamnesis_fhir::json::escape_into;

/// How lines are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object a line.
    Lines,
    /// `id:` and `data:` (HTML Living Standard section 9.2).
    ServerSent,
}

impl Form {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::ServerSent => "text/event-stream",
        }
    }
}

/// Appends an event. The resource is copied as recorded, but for line ends, which only stand between its elements:
/// within a JSON string they are escaped (RFC 8259 section 7).
pub(super) fn write(out: &mut Vec<u8>, event: &Event, messages: &MessageOptions, form: Form, body: bool) {
    if form == Form::ServerSent {
        out.extend_from_slice(format!("id: {}\ndata: ", event.position).as_bytes());
    }
    for (index, (name, value)) in attributes(event, messages).iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape_into(out, value);
        out.push(b'"');
    }
    if body && !event.payload.is_empty() {
        out.extend_from_slice(br#","datacontenttype":"application/fhir+json","data":"#);
        out.extend(event.payload.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    }
    out.extend_from_slice(if form == Form::ServerSent { b"}\n\n" } else { b"}\n" });
}
