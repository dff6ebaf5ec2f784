//! XML at the door and at the way out: inside there is JSON only (R4 http.html section 3.1.0.1.11).

use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::xml::{Layout, to_json, to_xml};

use super::answer::{Answer, Style};
use crate::error::{Failure, FailureKind, Issue, IssueCode, outcome};

/// Answers that are larger are written off the HTTP worker, so that they do not hold up others.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// Nesting of what goes out: a resource of the largest depth that is taken, in a bundle, in the bundle that answers a
/// batch.
const DEPTH_OUT_MAX: usize = 128;

/// Makes JSON of a body in XML.
///
/// # Errors
/// 400 with line, column and path of the first fault.
pub(crate) async fn received(bytes: Vec<u8>, inline_bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let convert = |bytes: Vec<u8>| to_json(&bytes, &Limits::default());
    if bytes.len() <= inline_bytes_max {
        return Ok(convert(bytes)?);
    }
    let converted = actix_web::web::block(move || convert(bytes)).await;
    Ok(converted.map_err(|_stopped| Failure::internal())??)
}

/// Makes XML of a successful answer.
///
/// # Errors
/// 406 for what XML cannot hold. Where something was recorded, an outcome says that instead of the resource.
pub(crate) async fn answer(
    mut answer: Answer,
    style: Style,
    correlation_id: &str,
) -> Result<Answer, Failure> {
    let Some(json) = answer.body.as_ref().filter(|_| answer.content_type.is_none()) else {
        return Ok(answer);
    };
    let converted = if json.len() <= INLINE_BYTES_MAX {
        written(json, style.pretty)
    } else {
        let json = json.clone();
        let work = actix_web::web::block(move || written(&json, style.pretty));
        work.await.map_err(|_stopped| Failure::internal())?
    };
    let xml = match converted {
        Err(failure) if answer.recorded => {
            let text = failure.issues().first().map(|issue| issue.diagnostics.clone()).unwrap_or_default();
            let issue = Issue::warning(IssueCode::NotSupported, text);
            written(&outcome(correlation_id, &[issue]), style.pretty)?
        }
        converted => converted?,
    };
    answer.body = Some(xml.into());
    answer.content_type = Some(style.content_type.to_owned());
    Ok(answer)
}

/// Writes a resource as XML, indented for people.
///
/// # Errors
/// 406 for what XML cannot hold, and for what is no resource.
pub(crate) fn written(json: &[u8], pretty: bool) -> Result<Vec<u8>, Failure> {
    let limits = Limits { depth_max: DEPTH_OUT_MAX, ..Limits::default() };
    let document = Document::parse(json.to_vec(), &limits).map_err(|_fault| {
        let text = "The answer cannot be written as XML. Ask for JSON.";
        Failure::new(FailureKind::NotAcceptable, IssueCode::NotSupported, text)
    })?;
    let layout = if pretty { Layout::Indented } else { Layout::Compact };
    Ok(to_xml(document.root(), layout)?)
}
