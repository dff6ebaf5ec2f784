//! The end of a request for authorization: a code, or a refusal, once.

use actix_web::HttpResponse;

use super::{OVER, Visit};
use crate::approval::{Approval, LaunchContext};
use crate::authorize::scopes::{joined, needs_patient};
use crate::authorize::step::Ready;
use crate::error::{OAuthError, OAuthErrorCode};
use crate::host::{Happened, Occurrence, ScopeShown};
use crate::people::answer::{Trouble, redirect};
use crate::secret::{digest_of, to_hex};
use crate::sessions::SignedIn;

/// Lets the app in, for these scopes.
pub(super) async fn approve(
    visit: &Visit<'_>,
    signed_in: &SignedIn,
    ready: &Ready,
    granted: &[ScopeShown],
) -> Result<HttpResponse, Trouble> {
    let (server, pending) = (visit.server, &visit.pending);
    if !server.store.take_request(&visit.digest, pending).await? {
        return Err(Trouble::page("This cannot be gone on with", OVER));
    }
    if let Some(launch) = &pending.launch
        && !server.store.take_launch(&launch.digest).await?
    {
        let error = OAuthError::new(OAuthErrorCode::InvalidRequest, "the launch was used");
        let occurrence =
            Occurrence { refused: Some("the launch was used"), ..visit.occurrence(Happened::Consent) };
        server.host.record(visit.http, occurrence).await?;
        return Err(Trouble::Back(pending.back(), error));
    }
    let scope = joined(granted);
    let context = context(visit, ready, granted);
    let occurrence = Occurrence {
        patient: context.patient.as_ref().map(|id| format!("Patient/{id}")),
        scope: Some(scope.clone()),
        reason: ready.reason.clone(),
        ..visit.occurrence(Happened::Consent)
    };
    if ready.reason.is_some() {
        // Once more, now that it is known whose record is opened.
        let broken = Occurrence { happened: Happened::BreakGlass, ..occurrence.clone() };
        server.host.record(visit.http, broken).await?;
    }
    server.host.record(visit.http, occurrence).await?;
    let user = &signed_in.user;
    let approval = Approval {
        service: pending.service.clone(),
        client: pending.client.clone(),
        user: user.id,
        fhir_user: user.fhir_user.clone(),
        display: user.display.clone(),
        scope,
        context,
        redirect_uri: pending.redirect_uri.clone(),
        code_challenge: pending.code_challenge.clone(),
        nonce: pending.nonce.clone(),
        signed_in_at: signed_in.at,
        session_digest: Some(to_hex(&digest_of(&signed_in.cookie))),
        emergency_reason: ready.reason.clone(),
    };
    let code = server.approve(&approval).await?;
    Ok(redirect(server, pending.back().code(&server.options.base, &code)))
}

/// Ends the request without a code; what the app is told.
pub(super) async fn refuse(
    visit: &Visit<'_>,
    error: OAuthError,
    why: &'static str,
) -> Result<Trouble, Trouble> {
    let occurrence = Occurrence { refused: Some(why), ..visit.occurrence(Happened::Consent) };
    visit.server.host.record(visit.http, occurrence).await?;
    if !visit.server.store.take_request(&visit.digest, &visit.pending).await? {
        return Err(Trouble::page("This cannot be gone on with", OVER));
    }
    Ok(Trouble::Back(visit.pending.back(), error))
}

/// What is opened. Where it is one patient, chosen here, nothing around the app shows whose record it is.
fn context(visit: &Visit<'_>, ready: &Ready, granted: &[ScopeShown]) -> LaunchContext {
    let patient = ready.patient.as_ref().map(|patient| patient.id.clone());
    if visit.pending.launch.is_some() {
        return LaunchContext { patient, ..visit.pending.context() };
    }
    let patient = patient.filter(|_| needs_patient(granted));
    LaunchContext {
        need_patient_banner: patient.is_some().then_some(true),
        patient,
        ..LaunchContext::default()
    }
}
