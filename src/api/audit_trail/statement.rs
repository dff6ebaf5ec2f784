//! What the audit log's endpoint says of itself (R4 capabilitystatement.html).

use serde_json::{Value, json};

use super::parameters::KNOWN;
use crate::error::Failure;

/// The CapabilityStatement as JSON.
///
/// # Errors
/// None that is known of.
pub(super) fn bytes() -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&statement()).map_err(|_bug| Failure::internal())
}

fn statement() -> Value {
    let parameters: Vec<Value> =
        KNOWN.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-28",
        "kind": "instance",
        "implementation": { "description": "The audit log of a workspace of Anamnesis" },
        "software": { "name": "Anamnesis", "version": env!("CARGO_PKG_VERSION") },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml"],
        "rest": [{
            "mode": "server",
            "documentation": "Written by the server itself, for auditors to read.",
            "resource": [{
                "type": "AuditEvent",
                "interaction": [{ "code": "read" }, { "code": "search-type" }],
                "versioning": "no-version",
                "searchParam": parameters,
            }],
        }],
    })
}
