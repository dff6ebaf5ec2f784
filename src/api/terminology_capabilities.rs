//! `GET /metadata?mode=terminology`: what the terminology operations can do (R4 terminologycapabilities.html).

use anamnesis_fhir::terminology::Published;
use serde_json::{Value, json};

/// The parameters of `$expand` that are understood.
const EXPANSION: [&str; 9] = [
    "filter",
    "offset",
    "count",
    "activeOnly",
    "includeDesignations",
    "displayLanguage",
    "excludeNested",
    "excludeNotForUI",
    "valueSetVersion",
];

/// The statement for a client that knows the service by this address. Stored code systems are not listed: they are found
/// by `GET /CodeSystem`.
pub(super) fn statement(base: &str, date: &str) -> Value {
    let systems: Vec<Value> = Published::addresses("CodeSystem").map(|url| json!({ "uri": url })).collect();
    let parameters: Vec<Value> = EXPANSION.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "resourceType": "TerminologyCapabilities",
        "url": format!("{base}/metadata?mode=terminology"),
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": { "name": "Anamnesis", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "Anamnesis", "url": base },
        "lockedDate": false,
        "codeSystem": systems,
        "expansion": {
            "hierarchical": false,
            "paging": true,
            "incomplete": false,
            "parameter": parameters,
            "textFilter": "Words of the filter are the beginnings of words in displays, designations and codes.",
        },
        "codeSearch": "all",
        "validateCode": { "translations": false },
        "translation": { "needsMap": true },
        "closure": { "translation": false },
    })
}
