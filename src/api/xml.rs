//! XML at the door and at the way out: inside there is JSON only (R4 http.html section 3.1.0.1.11).

use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::validate::{self, Options};
use anamnesis_fhir::xml::{Faults, Layout, read, to_xml};

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
/// 400 with line, column and path of each fault, and with what else R4 refuses in it where that `is_checked`.
pub(crate) async fn received(
    bytes: Vec<u8>,
    inline_bytes_max: usize,
    is_checked: bool,
) -> Result<Vec<u8>, Failure> {
    let convert =
        move |bytes: Vec<u8>| read(&bytes, &Limits::default()).map_err(|faults| refused(faults, is_checked));
    if bytes.len() <= inline_bytes_max {
        return convert(bytes);
    }
    let converted = actix_web::web::block(move || convert(bytes)).await;
    converted.map_err(|_stopped| Failure::internal())?
}

/// All faults of the XML, then those of the resource that could be read all the same.
fn refused(mut faults: Faults, is_checked: bool) -> Failure {
    let json = faults.json.take().filter(|_| is_checked);
    let beyond = faults.beyond;
    let document = json.and_then(|json| Document::parse(json, &Limits::default()).ok());
    let others = document.map(|document| validate::validate(document.root(), &Options::default()));
    let others = others.into_iter().flatten().filter(|issue| !faults.cover(&issue.expression));
    // Lines of the JSON in between would say nothing.
    let others: Vec<Issue> = others.map(|issue| Issue::from(validate::Issue { line: 0, ..issue })).collect();
    let told = faults.list.into_iter().map(Failure::from).reduce(Failure::and);
    let Some(failure) = told else { return Failure::internal() };
    let more = format!("{beyond} more faults are not listed.");
    let more = (beyond > 0).then(|| Issue::error(IssueCode::Processing, more));
    let others: Vec<Issue> = others.into_iter().chain(more).collect();
    match others.is_empty() {
        true => failure,
        false => failure.and(Failure::with_issues(FailureKind::Invalid, others)),
    }
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
