//! Resources that come in: parsed, checked against R4, and placed.

use std::sync::Arc;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Kind, Limits};

use super::call::{Body, Call};
use super::validation::{self, Checked};
use crate::decide::Candidate;
use crate::error::{Failure, FailureKind, IssueCode};

/// Parses the body of a write and checks it: against R4, and against profiles, as far as the service and the request ask
/// for it.
///
/// # Errors
/// 400; all issues of validation are reported.
pub(crate) async fn receive(call: &Call, body: Body, expected_type: &str) -> Result<Document, Failure> {
    let checked = call.checked();
    let bytes = match body {
        Body::None => Vec::new(),
        Body::Bytes(bytes) | Body::JsonPatch(bytes) => bytes,
        Body::Document(document) => {
            let base = check_base(&document, expected_type, checked);
            validation::with_profiles(call, &document, base).await?;
            return Ok(document);
        }
    };
    let options = &call.service.options;
    let (document, base) = if bytes.len() <= options.inline_bytes_max {
        parse(bytes, expected_type, checked)?
    } else {
        let expected_type = expected_type.to_owned();
        let work = actix_web::web::block(move || parse(bytes, &expected_type, checked));
        work.await.map_err(|_stopped| Failure::internal())??
    };
    validation::with_profiles(call, &document, base).await?;
    Ok(document)
}

/// Checks a resource of the server's making by R4's rules, whatever the settings say.
///
/// # Errors
/// 400 with all that is wrong.
pub(crate) fn check(document: &Document, expected_type: &str) -> Result<(), Failure> {
    check_base(document, expected_type, Checked::Base)
}

/// A parsed resource, and what R4's rules say of it.
type Parsed = (Document, Result<(), Failure>);

/// Parses and validates a resource of a type.
fn parse(bytes: Vec<u8>, expected_type: &str, checked: Checked) -> Result<Parsed, Failure> {
    if bytes.is_empty() {
        return Err(Failure::new(
            FailureKind::Invalid,
            IssueCode::Required,
            "The body is empty; a resource is expected.",
        ));
    }
    let document = Document::parse(bytes, &Limits::default())?;
    let base = check_base(&document, expected_type, checked);
    Ok((document, base))
}

/// Checks the type of a parsed resource, and R4's rules.
fn check_base(document: &Document, expected_type: &str, checked: Checked) -> Result<(), Failure> {
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
    validation::base(root, checked)
}

/// Makes a checked document ready to be decided about; `meta_history` as
/// [`parameters::meta_history`](super::parameters::meta_history) has it.
pub(crate) fn candidate(
    call: &Call,
    key: ResourceKey,
    document: Document,
    meta_history: bool,
) -> Arc<Candidate> {
    Arc::new(Candidate::new(key, document, &call.own_addresses()).with_meta_history(meta_history))
}
