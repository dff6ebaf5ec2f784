//! What happens at the authorization server, as the audit log has it (DICOM PS3.15 section A.5.3.11, User Authentication).

use std::sync::Arc;

use actix_web::HttpRequest;
use anamnesis_audit::rules::BREAK_GLASS;
use anamnesis_audit::{Action, Kind};
use anamnesis_smart::{Happened, Occurrence};

use crate::access::Principal;
use crate::api::noted;

/// Notes it in what is put on record of the request: the first occurrence is the record of the request, each further one a
/// record beside it.
pub(super) fn note(issuer: &Arc<str>, request: &HttpRequest, occurrence: &Occurrence) {
    let of_request = noted(request);
    let access = match of_request.is_noted() {
        false => of_request,
        true => of_request.next_entry(),
    };
    let subject = occurrence.user.as_deref().or(occurrence.client.as_deref());
    if let Some(subject) = subject {
        access.by(&Arc::new(Principal {
            subject: subject.into(),
            issuer: Some(issuer.clone()),
            client: occurrence.client.as_deref().map(Into::into),
            ..Principal::default()
        }));
    }
    let (subtype, action) = words(occurrence.happened);
    access.asks(subtype, action, None);
    let status = match (occurrence.refused, occurrence.happened) {
        (None, _) => 200,
        (Some(_), Happened::SignIn | Happened::Token) => 401,
        (Some(_), _) => 403,
    };
    access.is_of(Kind::Authentication, status);
    if let Some(patient) = &occurrence.patient {
        access.concerns(patient);
    }
    match (&occurrence.reason, occurrence.refused) {
        (Some(reason), _) => access.because(BREAK_GLASS, reason),
        (None, Some(why)) => access.told(why),
        (None, None) => {}
    }
    if let Some(scope) = &occurrence.scope {
        access.grants(scope);
    }
}

/// The code of the event, and what was done. DICOM has codes of its own for signing in and out.
fn words(happened: Happened) -> (&'static str, Action) {
    match happened {
        Happened::SignIn => ("110122", Action::E),
        Happened::SignOut => ("110123", Action::E),
        Happened::Consent => ("consent", Action::E),
        Happened::BreakGlass => ("break-glass", Action::E),
        Happened::Token => ("token", Action::E),
        Happened::Revocation => ("revocation", Action::D),
        Happened::Introspection => ("introspection", Action::R),
        Happened::Registration => ("client", Action::U),
        Happened::UserChange => ("user", Action::U),
        Happened::Launch => ("launch", Action::C),
        // What is newer than this server's words.
        _ => ("smart", Action::E),
    }
}
