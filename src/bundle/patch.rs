//! Patches in bundles: a FHIRPath Patch is the entry's Parameters; a JSON Patch rides in a Binary (AHDS).

use anamnesis_fhir::json::{Document, Kind, Limits, Splice, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::entry::Entry;
use super::plan::{Patching, Step};
use super::resolve::View;
use super::transaction::{self, Tried};
use crate::actors::WriteError;
use crate::api::patch::{JSON_PATCH, Refused};
use crate::api::{self, Body, Call};
use crate::decide::patch::PatchRefusal;
use crate::error::{Failure, FailureKind, IssueCode};

/// The body of a PATCH that stands for an entry with this resource.
///
/// # Errors
/// 400 for a Binary that holds no JSON Patch.
pub(super) fn body(resource: Value<'_>, path: &str) -> Result<Body, Failure> {
    let text = |name| resource.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("resourceType") != "Binary" {
        return Ok(Body::Bytes(resource.raw().as_bytes().to_vec()));
    }
    let media = text("contentType");
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case(JSON_PATCH) {
        let what = format!("A Binary that is a patch has the contentType {JSON_PATCH}.");
        let failure = Failure::new(FailureKind::Invalid, IssueCode::Value, what);
        return Err(failure.at(format!("{path}.resource.contentType")));
    }
    // R4 allows white space in base64Binary.
    let data: String = text("data").chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(data).map_err(|_bad| {
        let failure = Failure::new(FailureKind::Invalid, IssueCode::Value, "The data is no base64.");
        failure.at(format!("{path}.resource.data"))
    })?;
    Ok(Body::JsonPatch(bytes))
}

/// A JSON Patch with the names of the bundle replaced in its values: every string that is the `fullUrl` of an entry
/// becomes the reference to that entry's resource. Only whole strings, since nobody knows what type a value has.
///
/// # Errors
/// 400 for what is no JSON.
pub(super) fn with_links(bytes: Vec<u8>, identities: &View<'_>) -> Result<Vec<u8>, Failure> {
    let document = Document::parse(bytes, &Limits::default())?;
    let mut splice = Splice::new();
    for value in document.root().items().filter_map(|operation| operation.get("value")) {
        replace(value, identities, &mut splice);
    }
    if splice.is_empty() {
        return Ok(document.into_bytes());
    }
    splice.apply_to(&document).map_err(|_never| Failure::internal())
}

/// The steps with every patch as the update that it comes to, of the version that is there now.
pub(super) async fn carried_out(
    call: &Call,
    entries: &[Entry<'_>],
    mut steps: Vec<Step>,
) -> Result<Vec<Step>, Tried> {
    let keys: Vec<_> = steps.iter().filter_map(patching).map(|patching| patching.key.clone()).collect();
    if keys.is_empty() {
        return Ok(steps);
    }
    let refused = |error: WriteError| Tried::Refused(error.into());
    let current = call.service.compartments.current(&keys).await.map_err(refused)?;
    let mut current = current.into_iter();
    for (entry, step) in entries.iter().zip(&mut steps) {
        let Some(Patching { key, expected, patch, meta_history }) = patching(step) else { continue };
        let current = call.patchable(key, current.next().flatten());
        let command = api::patch::command(call, key, patch, current, (expected, *meta_history)).await;
        let key = key.clone();
        *step = Step::Write(command.map_err(|refused| match refused {
            Refused::By(PatchRefusal::Refused(refusal)) => transaction::refused(refusal, entry, &key),
            refused => Tried::Refused(Failure::from(refused).at(entry.path())),
        })?);
    }
    Ok(steps)
}

fn patching(step: &Step) -> Option<&Patching> {
    match step {
        Step::Patch(patching) => Some(patching),
        _ => None,
    }
}

/// Down to the depth that the parser allows.
fn replace(value: Value<'_>, identities: &View<'_>, splice: &mut Splice) {
    match value.kind() {
        Kind::String => {
            let local = value.as_str().and_then(|text| identities.find(&text));
            if let Some(local) = local {
                splice.replace_string(value, &local);
            }
        }
        Kind::Array => value.items().for_each(|item| replace(item, identities, splice)),
        Kind::Object => value.members().for_each(|(_, member)| replace(member, identities, splice)),
        _ => {}
    }
}
