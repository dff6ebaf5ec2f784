//! The declaration of an emergency, or that it is none.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::Visit;
use crate::authorize::pending::{Emergency as Declared, Progress};
use crate::authorize::step::Step;
use crate::host::{Happened, Occurrence};
use crate::pages::emergency::{self, Emergency, NO_REASON, REASON_MAX, REASON_MIN};
use crate::pages::frame::{Mark, Problem};
use crate::people::answer::{Trouble, finish, malformed, redirect, show};
use crate::people::form::Parameters;
use crate::server::SmartServer;
use crate::sessions::SignedIn;

/// An emergency is declared, or it is said to be none.
pub(crate) async fn post(server: Data<SmartServer>, http: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&http, body).await {
        Ok(form) => said(&server, &http, &form).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

/// The page.
pub(super) fn page(
    visit: &Visit<'_>,
    signed_in: &SignedIn,
    reason: &str,
    problem: Option<Problem>,
) -> HttpResponse {
    let token = visit.token("");
    let shown = Emergency {
        mark: Mark { request: &visit.id, token: &token },
        client: &visit.client.name,
        display: &signed_in.user.display,
        reason,
        problem,
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    show(status, Some(&visit.pending.redirect_uri), emergency::page(visit.server.frame(), shown))
}

async fn said(server: &SmartServer, http: &HttpRequest, form: &Parameters) -> Result<HttpResponse, Trouble> {
    let visit = Visit::of_form(server, http, form).await?;
    visit.check(form, "")?;
    let on = || Ok(redirect(server, server.interaction(&visit.id)));
    let (Step::Emergency, Some(signed_in)) = (visit.next().await?, &visit.signed_in) else { return on() };
    // All patients were not offered before, so what was chosen is chosen again.
    let progress = |emergency| Progress { patient: None, emergency, ..visit.progress(signed_in) };
    if form.one("declare").map_err(malformed)? == Some("no") {
        visit.decide(progress(Declared::Denied)).await?;
        return on();
    }
    let typed = form.one("reason").map_err(malformed)?.unwrap_or_default();
    let Some(reason) = reasonable(typed) else {
        let typed: String = typed.chars().take(REASON_MAX).collect();
        return Ok(page(&visit, signed_in, &typed, Some(NO_REASON)));
    };
    // On record before anybody is shown: the names of all patients come next.
    let occurrence = Occurrence {
        reason: Some(reason.clone()),
        scope: Some(visit.pending.scope.clone()),
        ..visit.occurrence(Happened::BreakGlass)
    };
    server.host.record(http, occurrence).await?;
    visit.decide(progress(Declared::Declared(reason))).await?;
    on()
}

/// A reason in one line, where it is long enough and not too long.
fn reasonable(typed: &str) -> Option<String> {
    if typed.len() > REASON_MAX * 16 {
        return None;
    }
    let words = typed.split(|character: char| character.is_whitespace() || character.is_control());
    let reason = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    (REASON_MIN..=REASON_MAX).contains(&reason.chars().count()).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::reasonable;

    #[test]
    fn a_reason_says_something_in_one_line() {
        assert_eq!(
            reasonable(" bewusstlos\r\n in der\tAmbulanz ").as_deref(),
            Some("bewusstlos in der Ambulanz")
        );
        assert_eq!(reasonable("         x         "), None);
        assert!(reasonable(&"x".repeat(500)).is_some());
        assert_eq!(reasonable(&"x".repeat(501)), None);
    }
}
