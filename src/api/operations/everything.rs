//! `Patient/$everything`: a patient's whole record, each resource once (R4 patient-operation-everything.html).
//!
//! A record is what is in the compartments of the patient and of the patients that its links call the same person, and
//! what that refers to and belongs to nobody else. All pages show it as it stood at the position that the log had
//! when the first page was made; they are read from the log, not from the index, and so are exact.

mod asked;
mod care_dates;
mod record;
mod references;
mod token;

use actix_web::http::{StatusCode, header};
use anamnesis_events::{Event, Operation, Position, ResourceKey};
use bytes::Bytes;

use self::asked::Asked;
use self::record::{Record, replacing_patient};
use self::token::{Place, Token};
use super::Input;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::page::{Head, Link, Page};
use crate::api::{as_of, read};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// The parameter that carries the token of a page, as in searches.
const PAGE_PARAMETER: &str = "ct";

/// A page ends when its bodies have come to this size, as that of a history does.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// `GET` and `POST Patient/1/$everything`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(everything(call, invocation))
}

async fn everything(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let Level::Instance(patient) = invocation.level else { return Err(read::missing()) };
    let input = Input::read(call, invocation.body).await?;
    let mut asked = Asked::read(call, &input)?;
    let token = match input.text(PAGE_PARAMETER) {
        Some(text) => Some(Token::decode(&text).ok_or_else(bad_token)?),
        None => None,
    };
    let positions = input.texts(as_of::PARAMETER);
    let then = as_of::asked_by(call, positions.iter().map(AsRef::as_ref)).await?;
    asked.given.extend(then.map(|position| (as_of::PARAMETER.to_owned(), position.to_string())));
    let head = call.service.compartments.reads().head().await?;
    let at = match (&token, then) {
        (Some(token), _) if token.position > head => return Err(bad_token()),
        (Some(token), _) => token.position,
        (None, then) => then.or(call.at).unwrap_or(head),
    };
    let own = input.text(PAGE_PARAMETER);
    let answer = page_of(call, &patient, asked, (at, token.map(|token| token.place)), own.as_deref()).await;
    match then {
        None => answer,
        // Who asks for the past is told which it was.
        Some(_) => answer
            .map(|answer| Answer { position: Some(at), ..answer })
            .map_err(|failure| failure.at_position(at)),
    }
}

/// The page that begins at a place of the record as of a position.
async fn page_of(
    call: &Call,
    patient: &ResourceKey,
    asked: Asked,
    (at, place): (Position, Option<Place>),
    own: Option<&str>,
) -> Result<Answer, Failure> {
    let mut record = Record::open(call, patient, at, asked).await?;
    let replacing = replacing_patient(&record);
    if let (Some(other), true) = (&replacing, call.prefer.strict) {
        return Ok(moved(call, other));
    }
    let filled = fill(&mut record, place.unwrap_or_else(Place::begin)).await?;
    let mut issues = std::mem::take(&mut record.asked.left_out);
    issues.append(&mut record.issues);
    issues.extend(record.is_erased.then(as_of::erased_since));
    if replacing.is_some() && filled.next.is_none() {
        let text =
            "This record was replaced by another one, which the patient's link of type replaced-by names.";
        issues.push(Issue::warning(IssueCode::Incomplete, text));
    }
    let links = links(call, patient, &record.asked, own, (at, filled.next));
    Ok(bundle(call, &record, &links, &filled.entries, &issues))
}

fn bad_token() -> Failure {
    Failure::invalid("ct comes from the links of a page only.")
}

/// One resource of a page, and whether it is there because others refer to it.
struct Entry {
    event: Event,
    is_referenced: bool,
}

/// A page, and where the next one begins.
struct Filled {
    entries: Vec<Entry>,
    next: Option<Place>,
}

/// Goes on from a place until the page is full or the record is at its end.
async fn fill(record: &mut Record<'_>, mut place: Place) -> Result<Filled, Failure> {
    let count = record.asked.count;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    // Every round takes a portion, and the record ends.
    loop {
        let portion = record.portion(&place).await?;
        for (event, behind) in portion.events {
            bytes += event.payload.len();
            entries.push(Entry { event, is_referenced: matches!(place, Place::References(_)) });
            if entries.len() >= count || bytes >= PAGE_BYTES_MAX {
                return Ok(Filled { entries, next: Some(behind) });
            }
        }
        match portion.next {
            Some(next) => place = next,
            None => return Ok(Filled { entries, next: None }),
        }
    }
}

fn links(
    call: &Call,
    patient: &ResourceKey,
    asked: &Asked,
    own: Option<&str>,
    (at, next): (Position, Option<Place>),
) -> Vec<Link> {
    let address = |token: Option<&str>| {
        let given = asked.given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let page = token.map(|token| (PAGE_PARAMETER, token));
        call.link(&format!("{}/$everything", call.full_url(patient)), given.chain(page))
    };
    let mut links = vec![Link { relation: "self", url: address(own) }];
    if let Some(place) = next {
        let token = Token { position: at, place }.encode();
        links.push(Link { relation: "next", url: address(Some(&token)) });
    }
    links
}

fn bundle(call: &Call, record: &Record<'_>, links: &[Link], entries: &[Entry], issues: &[Issue]) -> Answer {
    let capacity = entries.iter().map(|entry| entry.event.payload.len() + 192).sum();
    let head = Head { kind: "searchset", id: &call.correlation_id, total: None, links };
    let mut page = Page::new(&head, capacity);
    for Entry { event, is_referenced } in entries {
        debug_assert!(event.operation != Operation::Delete, "what was deleted is in no record");
        call.access.finds(event);
        let mode = if *is_referenced { r#"{"mode":"include"}"# } else { r#"{"mode":"match"}"# };
        let body = record.asked.subset.of(&event.payload);
        page.entry(Some(&call.full_url(&event.key)), Some(&body), &[("search", mode)]);
    }
    page.outcome(&call.correlation_id, issues);
    Answer::ok(page.finish())
}

/// A strict client is told where the record has gone, as Azure Health Data Services does it.
fn moved(call: &Call, other: &ResourceKey) -> Answer {
    let address = format!("{}/$everything", call.full_url(other));
    let text = "This record was replaced by another one; the header Content-Location names it.";
    let failure = Failure::new(FailureKind::Gone, IssueCode::Conflict, text);
    let mut answer = Answer::new(StatusCode::MOVED_PERMANENTLY);
    answer.body = Some(Bytes::from(failure.outcome(&call.correlation_id)));
    answer.location = Some(address.clone());
    answer.headers.push((header::CONTENT_LOCATION, address));
    answer
}
