//! Patch: a change of the version that is there (R4 http.html section 3.1.0.6), as JSON Patch or FHIRPath Patch.
//!
//! The patch is applied to a version, and the log takes the result as the next one of exactly that version or not at
//! all. Where somebody else was quicker it is applied again, to what is there then.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::patch::Patch;

use super::answer::Answer;
use super::call::{Body, Call};
use super::conditional_create::contended;
use super::turns::Held;
use super::{negotiate, parameters, resource, write};
use crate::actors::WriteError;
use crate::decide::patch::{self, PatchRefusal, Patched};
use crate::decide::{Command, Current, Expected, Refusal};
use crate::error::{Failure, FailureKind, IssueCode};

/// The media type of JSON Patch (RFC 6902 section 6).
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";

/// How often a patch is applied again. Patches of one resource wait for each other within a server, so each time
/// another server, an update or a bundle was quicker.
pub(super) const TRIES_MAX: usize = 20;

/// `PATCH /Patient/1`
pub(crate) async fn patch(call: &Call, key: ResourceKey, body: Body) -> Result<Answer, Failure> {
    let expected = call.expected()?;
    let patch = read(body).await?;
    let turn = Arc::new(call.service.turns.wait_for([&key]).await?);
    for _ in 0..TRIES_MAX {
        match once(call, &key, &patch, &expected, Some(&turn)).await {
            Ok(answer) => return Ok(answer),
            // The client named versions, and the current one is none of them any more.
            Err(Tried::Moved(refusal)) if matches!(expected, Expected::Versions(_)) => {
                return Err(refusal.into());
            }
            Err(Tried::Moved(_)) => {}
            Err(Tried::Failed(failure)) => return Err(failure),
        }
    }
    Err(contended())
}

/// Why one attempt came to nothing.
pub(super) enum Tried {
    /// The current version is not the one that was expected.
    Moved(Refusal),
    Failed(Failure),
}

/// Applies a patch to what is there now and records the result; `turn` is kept until that has been answered.
pub(super) async fn once(
    call: &Call,
    key: &ResourceKey,
    patch: &Arc<Patch>,
    expected: &Expected,
    turn: Option<&Arc<Held>>,
) -> Result<Answer, Tried> {
    let failed = Tried::Failed;
    let current = call.service.compartments.reads().current(key.clone()).await;
    let current =
        current.map_err(|error| failed(error.into()))?.map(|event| Arc::new(Current::from(&*event)));
    let current = call.patchable(key, current);
    let meta_history = parameters::meta_history(&call.query).map_err(failed)?;
    let command = match command(call, key, patch, current, (expected, meta_history)).await {
        Err(Refused::By(PatchRefusal::Refused(refusal @ Refusal::VersionMismatch { .. }))) => {
            return Err(Tried::Moved(refusal));
        }
        Err(refused) => return Err(failed(refused.into())),
        Ok(command) => command,
    };
    match call.submit_in_turn(command, turn).await {
        Err(WriteError::Refused(refusal @ Refusal::VersionMismatch { .. })) => Err(Tried::Moved(refusal)),
        written => {
            let written = written.map_err(|error| failed(error.into()))?;
            write::answer(call, key, written).map_err(failed)
        }
    }
}

/// Why a patch comes to no command.
pub(crate) enum Refused {
    By(PatchRefusal),
    Invalid(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::By(refusal) => refusal.into(),
            Refused::Invalid(failure) => failure,
        }
    }
}

/// The update that a patch comes to: of the version that is there, with what was validated like any update.
pub(crate) async fn command(
    call: &Call,
    key: &ResourceKey,
    patch: &Arc<Patch>,
    current: Option<Arc<Current>>,
    (expected, meta_history): (&Expected, bool),
) -> Result<Command, Refused> {
    let versioning = call.service.compartments.rules().versioning_of(&key.resource_type);
    let (patch, expected) = (Arc::clone(patch), expected.clone());
    // An expression may take its time, and a resource may be large: not on an HTTP worker.
    let applied =
        actix_web::web::block(move || patch::decide(&patch, current.as_deref(), &expected, versioning)).await;
    let applied = applied.map_err(|_stopped| Refused::Invalid(Failure::internal()))?;
    let Patched { document, of } = applied.map_err(Refused::By)?;
    let body = Body::Document(document);
    let document = resource::receive(call, body, &key.resource_type).await.map_err(Refused::Invalid)?;
    let candidate = resource::candidate(call, key.clone(), document, meta_history);
    Ok(Command::Update { candidate, expected: Expected::Versions(vec![of]), unless_held: Vec::new() })
}

/// Reads the patch that came with a request.
///
/// # Errors
/// 400 for an empty body and for what is no patch.
pub(crate) async fn read(body: Body) -> Result<Arc<Patch>, Failure> {
    let (bytes, is_json_patch) = match body {
        Body::None => (Vec::new(), false),
        Body::Bytes(bytes) => (bytes, false),
        Body::JsonPatch(bytes) => (bytes, true),
        Body::Document(document) => (document.into_bytes(), false),
    };
    if bytes.is_empty() {
        let text = "The body is empty; a JSON Patch or a FHIRPath Patch is expected.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text));
    }
    let parsed = actix_web::web::block(move || parse(bytes, is_json_patch)).await;
    parsed.map_err(|_stopped| Failure::internal())?
}

/// Reads a patch of either kind.
///
/// # Errors
/// 400 for what is no patch.
pub(crate) fn parse(bytes: Vec<u8>, is_json_patch: bool) -> Result<Arc<Patch>, Failure> {
    let document = Document::parse(bytes, &Limits::default())?;
    let patch = if is_json_patch { Patch::json(&document) } else { Patch::fhirpath(&document) };
    patch.map(Arc::new).map_err(|error| PatchRefusal::Patch(error).into())
}

/// Whether a body is a JSON Patch; any other body of a PATCH is a FHIRPath Patch.
///
/// # Errors
/// 415 for what is neither.
pub(super) fn is_json_patch(headers: &HeaderMap) -> Result<bool, Failure> {
    let line = headers.get(header::CONTENT_TYPE).and_then(|line| line.to_str().ok()).unwrap_or_default();
    let media = line.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case(JSON_PATCH) {
        return Ok(true);
    }
    negotiate::body_type(headers).map(|_| false).map_err(|_| {
        let text =
            format!("A PATCH is a JSON Patch ({JSON_PATCH}) or a FHIRPath Patch (application/fhir+json or application/fhir+xml).");
        Failure::new(FailureKind::UnsupportedMedia, IssueCode::NotSupported, text)
    })
}
