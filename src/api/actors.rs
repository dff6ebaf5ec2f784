//! `$actors`: which compartments have a resident actor, for operators.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{Answer, Style, respond};
use super::operator;
use super::query::Query;
use super::service::Services;
use crate::access::Action;
use crate::error::Failure;
use crate::telemetry::RequestIds;

/// Actors in the list where the client does not say.
const COUNT: usize = 100;
/// Actors in the list at most: a bound on the answer.
const COUNT_MAX: usize = 1000;

/// `GET /{workspace}/$actors?_count=…`: totals, and the most recently active actors of each service.
pub(crate) async fn list(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    let ids = RequestIds::given_to(&request);
    let style = Style::PLAIN_JSON;
    let needed = [Action::Configuration];
    let admitted = operator::admit(&request, &services, &workspace, &needed).await;
    respond(admitted.and_then(|_| describe(&request, &workspace, &services)), &ids, style)
}

fn describe(request: &HttpRequest, workspace: &str, services: &Services) -> Result<Answer, Failure> {
    let query = Query::parse(request.query_string())?;
    let count = match query.get("_count").map(str::parse::<usize>) {
        None => COUNT,
        Some(Ok(count)) => count.min(COUNT_MAX),
        Some(Err(_)) => return Err(Failure::invalid("_count is a number.")),
    };
    let mut listed = serde_json::Map::new();
    for service in services.of_workspace(workspace) {
        let residents = service.compartments.residents(count);
        let value = serde_json::to_value(residents).map_err(|_bug| Failure::internal())?;
        listed.insert(service.name.clone(), value);
    }
    if listed.is_empty() {
        return Err(Failure::not_found("There is no such workspace."));
    }
    let body = serde_json::to_vec(&serde_json::json!({ "workspace": workspace, "services": listed }))
        .map_err(|_bug| Failure::internal())?;
    Ok(Answer::ok(body))
}
