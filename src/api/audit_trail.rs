//! The audit log of a workspace as a FHIR endpoint of its own, for auditors: `/{workspace}/audit/AuditEvent`.
//!
//! It only reads. AuditEvents that clients have stored as resources are clinical data of a service, and stay there; what is
//! here, the server has seen itself. Reading it is an access too, and on record as such.

mod form;
mod parameters;
mod statement;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use anamnesis_audit::{Action, AuditError, Number};

use self::parameters::Asked;
use super::answer::{Answer, Style, respond};
use super::audited::access;
use super::operator;
use super::page::{Head, Link, Page};
use super::query::{Query, url};
use super::service::Services;
use super::xml;
use crate::access::Action as Needed;
use crate::audit::Audit;
use crate::error::Failure;
use crate::telemetry::RequestIds;

/// Records that one verification looks at: some seconds' work. The answer says where to go on.
const VERIFIED_MAX: u64 = 200_000;

/// What every address here needs: an auditor, and a log.
struct Trail {
    audit: Audit,
    query: Query,
    base: String,
}

/// `GET /{workspace}/audit/AuditEvent`
pub(super) async fn search(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    access(&request).asks("search-type", Action::E, None);
    access(&request).queries("AuditEvent", request.query_string());
    let found = async {
        let trail = Trail::open(&request, &workspace, &services).await?;
        trail.page(&RequestIds::given_to(&request).correlation).await
    };
    answer(&request, found.await).await
}

/// `GET /{workspace}/audit/AuditEvent/1`
pub(super) async fn read(
    request: HttpRequest,
    path: Path<(String, String)>,
    services: Data<Services>,
) -> HttpResponse {
    let (workspace, id) = path.into_inner();
    let key = anamnesis_events::ResourceKey::new("AuditEvent", id.as_str());
    access(&request).asks("read", Action::R, Some(&key));
    let found = async {
        let trail = Trail::open(&request, &workspace, &services).await?;
        let missing =
            || Failure::not_found("There is no record of this number, or it was old enough to be dropped.");
        let number = parameters::number(&id).ok_or_else(missing)?;
        let recorded = trail.audit.log().get(number).await.map_err(failed)?.ok_or_else(missing)?;
        let mut answer = Answer::ok(form::bytes(&recorded, &workspace)?);
        answer.modified = Some(recorded.recorded_at);
        Ok(answer)
    };
    answer(&request, found.await).await
}

/// `GET /{workspace}/audit/metadata`
pub(super) async fn metadata(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    access(&request).asks("capabilities", Action::R, None);
    let stated =
        services.audit(&workspace).ok_or_else(no_log).and_then(|_| statement::bytes()).map(Answer::ok);
    answer(&request, stated).await
}

/// `GET /{workspace}/audit/$verify`: walks the chain, a part at a time.
pub(super) async fn verify(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    access(&request).asks("$verify", Action::E, None);
    let verified = async {
        let trail = Trail::open(&request, &workspace, &services).await?;
        let (from, anchors) = parameters::places(&trail.query)?;
        let verified = trail.audit.log().verify(from, &anchors, VERIFIED_MAX).await.map_err(failed)?;
        Ok((StatusCode::OK, form::verified(&verified)))
    };
    operator::answer(&request, verified.await)
}

impl Trail {
    /// Lets auditors in.
    ///
    /// # Errors
    /// 404 for a workspace without an audit log, what refuses whoever asks, 400 for a query that cannot be read.
    async fn open(request: &HttpRequest, workspace: &str, services: &Services) -> Result<Self, Failure> {
        operator::admit(request, services, workspace, &[Needed::Audit]).await?;
        let audit = services.audit(workspace).cloned().ok_or_else(no_log)?;
        let query = Query::parse(request.query_string())?;
        Ok(Self { audit, query, base: super::http::base_of(request, services, (workspace, "audit"))? })
    }

    async fn page(&self, id: &str) -> Result<Answer, Failure> {
        let asked = Asked::read(&self.query)?;
        let (records, next) = match &asked.numbers {
            None => {
                let found = self.audit.log().search(&asked.search).await.map_err(failed)?;
                (found.records, found.next)
            }
            Some(numbers) => (self.by_number(&asked, numbers).await?, None),
        };
        let address = |next: Option<Number>| {
            let own = self.query.0.iter().filter(|(name, _)| name != parameters::PAGE);
            let next = next.map(|number| number.to_string());
            let page = next.as_deref().map(|number| (parameters::PAGE, number));
            let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
            url(&format!("{}/AuditEvent", self.base), own.chain(page))
        };
        let mut links = vec![Link { relation: "self", url: address(asked.search.behind) }];
        links.extend(next.map(|next| Link { relation: "next", url: address(Some(next)) }));
        // Nothing is counted that was not looked at.
        let is_all = next.is_none() && asked.search.behind.is_none();
        let total = is_all.then_some(records.len() as u64);
        let mut page = Page::new(&Head { kind: "searchset", id, total, links: &links }, records.len() * 2048);
        let workspace = self.audit.log().workspace();
        for recorded in &records {
            let full_url = format!("{}/AuditEvent/{}", self.base, recorded.number);
            let bytes = form::bytes(recorded, workspace)?;
            page.entry(Some(&full_url), Some(&bytes), &[("search", r#"{"mode":"match"}"#)]);
        }
        Ok(Answer::ok(page.finish()))
    }

    /// Records by their numbers, those among them that meet the rest of the search.
    async fn by_number(
        &self,
        asked: &Asked,
        numbers: &[Number],
    ) -> Result<Vec<anamnesis_audit::Recorded>, Failure> {
        let mut records = Vec::with_capacity(numbers.len());
        for number in numbers {
            let found = self.audit.log().get(*number).await.map_err(failed)?;
            records.extend(found.filter(|recorded| asked.search.is_met_by(recorded)));
        }
        Ok(records)
    }
}

fn no_log() -> Failure {
    Failure::not_found("This workspace keeps no audit log.")
}

fn failed(error: AuditError) -> Failure {
    tracing::error!(%error, "The audit log cannot be read.");
    Failure::unavailable("The audit log cannot be read now.")
}

/// The answer in the form that was asked for.
async fn answer(request: &HttpRequest, outcome: Result<Answer, Failure>) -> HttpResponse {
    let ids = RequestIds::given_to(request);
    let asked =
        Query::parse(request.query_string()).and_then(|query| Style::asked(request.headers(), &query));
    let (style, outcome) = match asked {
        Ok(style) => (style, outcome),
        Err(failure) => (Style::default(), Err(failure)),
    };
    let outcome = match outcome {
        Ok(answer) if style.is_xml => xml::answer(answer, style, &ids.correlation).await,
        outcome => outcome,
    };
    respond(outcome, &ids, style)
}
