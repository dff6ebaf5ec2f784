//! Resources that come in: parsed, checked against R4, and placed.

use std::sync::Arc;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Kind, Limits, Value};
use anamnesis_fhir::validate;

use super::call::{Body, Call};
use crate::decide::Candidate;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// Parses the body of a write and checks it against R4.
///
/// # Errors
/// 400; all issues of validation are reported.
pub(crate) async fn receive(call: &Call, body: Body, expected_type: &str) -> Result<Document, Failure> {
    let bytes = match body {
        Body::None => Vec::new(),
        Body::Bytes(bytes) | Body::JsonPatch(bytes) => bytes,
        Body::Document(document) => {
            check(&document, expected_type)?;
            return Ok(document);
        }
    };
    let options = &call.service.options;
    if bytes.len() <= options.inline_bytes_max {
        return parse(bytes, expected_type);
    }
    let expected_type = expected_type.to_owned();
    actix_web::web::block(move || parse(bytes, &expected_type))
        .await
        .map_err(|_stopped| Failure::internal())?
}

/// Parses and validates a resource of a type.
///
/// # Errors
/// 400 with all that is wrong.
pub fn parse(bytes: Vec<u8>, expected_type: &str) -> Result<Document, Failure> {
    if bytes.is_empty() {
        return Err(Failure::new(
            FailureKind::Invalid,
            IssueCode::Required,
            "The body is empty; a resource is expected.",
        ));
    }
    let document = Document::parse(bytes, &Limits::default())?;
    check(&document, expected_type)?;
    Ok(document)
}

/// Checks a parsed resource: its type and R4's rules.
///
/// # Errors
/// 400 with all that is wrong.
pub fn check(document: &Document, expected_type: &str) -> Result<(), Failure> {
    let root = document.root();
    if root.kind() != Kind::Object {
        let text = "The body is no JSON object; a resource is expected.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, text));
    }
    let named = root.get("resourceType").and_then(|member| member.as_str());
    match named.as_deref() {
        None => {
            let text = "The member resourceType, a string, is missing.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("resourceType"));
        }
        Some(named) if named != expected_type => {
            let text = format!("The body is no {expected_type}, but the path asks for one.");
            return Err(Failure::invalid(text).at("resourceType"));
        }
        Some(_) => {}
    }
    refuse_errors(root)
}

/// Checks a transaction: the bundle and every resource in it.
///
/// # Errors
/// 400 with all that is wrong, wherever in the bundle.
pub(crate) fn check_bundle(document: &Document) -> Result<(), Failure> {
    refuse_errors(document.root())
}

fn refuse_errors(root: Value<'_>) -> Result<(), Failure> {
    let issues = validate::validate(root, &validate::Options::default());
    if !issues.iter().any(|issue| issue.severity.is_error()) {
        return Ok(());
    }
    // Who has to repair it anyway is told of what is merely odd as well.
    Err(Failure::with_issues(FailureKind::Invalid, issues.into_iter().map(Issue::from).collect()))
}

/// Makes a checked document ready to be decided about.
pub(crate) fn candidate(call: &Call, key: ResourceKey, document: Document) -> Arc<Candidate> {
    Arc::new(Candidate::new(key, document, &call.own_addresses()))
}
