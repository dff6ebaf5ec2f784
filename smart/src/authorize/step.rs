//! What a request for authorization needs next, by what was asked, who has signed in, and what was decided.

use actix_web::HttpRequest;

use super::pending::{Emergency, Pending, Progress};
use super::scopes::{Grantable, needs_patient, says_anything};
use crate::client::Client;
use crate::error::{OAuthError, OAuthErrorCode as Code, SmartError};
use crate::host::{HostError, PatientPage, PatientQuestion, PatientShown, ScopeContext};
use crate::server::SmartServer;
use crate::sessions::SignedIn;
use crate::users::User;

/// Patients of one page of the picker.
pub(crate) const PATIENTS: usize = 20;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    SignIn,
    Emergency,
    Picker,
    Consent(Box<Ready>),
    Approve(Box<Ready>),
    Refuse(OAuthError, &'static str),
}

/// Everything is decided but consent.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) grantable: Grantable,
    pub(crate) patient: Option<PatientShown>,
    pub(crate) reason: Option<String>,
}

/// Whose record is opened.
enum Whose {
    Nobody,
    /// It cannot be anybody else.
    Fixed(String),
    Chosen(String),
    Open,
    Refused(&'static str),
}

/// What comes next; with `prompt=none` nothing may come that somebody would see.
pub(crate) async fn next(
    server: &SmartServer,
    request: &HttpRequest,
    pending: &Pending,
    client: &Client,
    signed_in: Option<&SignedIn>,
) -> Result<Step, SmartError> {
    let step = match signed_in {
        Some(signed_in) if !pending.needs_sign_in(signed_in, server.host.now()) => {
            decide(server, request, pending, client, signed_in).await?
        }
        _ => Step::SignIn,
    };
    if !pending.prompt.none {
        return Ok(step);
    }
    let (code, why) = match step {
        Step::SignIn => (Code::LoginRequired, "nobody has signed in"),
        Step::Emergency | Step::Picker => (Code::InteractionRequired, "the user has to choose"),
        Step::Consent(_) => (Code::ConsentRequired, "the user has to consent"),
        other => return Ok(other),
    };
    Ok(Step::Refuse(OAuthError::new(code, why), why))
}

async fn decide(
    server: &SmartServer,
    request: &HttpRequest,
    pending: &Pending,
    client: &Client,
    signed_in: &SignedIn,
) -> Result<Step, SmartError> {
    let user = &signed_in.user;
    let progress = pending.progress_of(signed_in);
    let launched = pending.launch.as_ref().and_then(|launch| launch.launch.user);
    if launched.is_some_and(|launched| launched != user.id) {
        return Ok(denied("the launch is for another user"));
    }
    let read = server.host.read_scopes(&pending.scope).map_err(|_| SmartError::Stored("a scope"))?;
    let asks_emergency = read.shown.iter().any(|scope| scope.context == ScopeContext::Emergency);
    let reason = match (&progress.emergency, asks_emergency) {
        (_, false) | (Emergency::Denied, true) => None,
        _ if !server.host.may_break_glass(user.id) => return Ok(denied("the user may not break the glass")),
        (Emergency::Open, true) => return Ok(Step::Emergency),
        (Emergency::Declared(reason), true) => Some(reason.clone()),
    };
    let grantable = Grantable::new(read.shown, server.host.has_role(user.id), reason.is_some());
    let all = grantable.all();
    if !says_anything(&all) {
        return Ok(denied("the user can grant none of these scopes"));
    }
    let context = pending.context();
    let is_needed = needs_patient(&all) || context.patient.is_some();
    let (id, is_fixed) = match whose(user, context.patient, is_needed, &progress) {
        Whose::Refused(why) => return Ok(denied(why)),
        Whose::Open => return Ok(Step::Picker),
        Whose::Nobody => (None, true),
        Whose::Fixed(id) => (Some(id), true),
        Whose::Chosen(id) => (Some(id), false),
    };
    let patient = match id {
        None => None,
        Some(id) => match server.patient(request, user, &id, reason.is_some()).await? {
            Some(patient) => Some(patient),
            None if is_fixed => return Ok(denied("the user may not open the record of this patient")),
            None => return Ok(Step::Picker),
        },
    };
    let ready = Box::new(Ready { grantable, patient, reason });
    let is_asked = !client.is_trusted || pending.prompt.consent;
    Ok(if is_asked { Step::Consent(ready) } else { Step::Approve(ready) })
}

/// Whose record is opened. Who is a patient opens no other one.
fn whose(user: &User, launched: Option<String>, is_needed: bool, progress: &Progress) -> Whose {
    let own = user.fhir_user.as_deref().and_then(|fhir_user| fhir_user.strip_prefix("Patient/"));
    match (own, launched) {
        _ if !is_needed => Whose::Nobody,
        (Some(own), Some(launched)) if own != launched => Whose::Refused("the launch is for another patient"),
        (Some(own), _) => Whose::Fixed(own.to_owned()),
        (None, Some(launched)) => Whose::Fixed(launched),
        (None, None) => progress.patient.clone().map_or(Whose::Open, Whose::Chosen),
    }
}

fn denied(why: &'static str) -> Step {
    Step::Refuse(OAuthError::new(Code::AccessDenied, why), why)
}

impl SmartServer {
    /// Patients that a user may choose from.
    pub(crate) async fn patients(
        &self,
        request: &HttpRequest,
        user: &User,
        words: &str,
        is_emergency: bool,
    ) -> Result<PatientPage, SmartError> {
        self.ask(request, user, (words, None), is_emergency).await
    }

    /// One patient, where the user may open its record.
    pub(crate) async fn patient(
        &self,
        request: &HttpRequest,
        user: &User,
        id: &str,
        is_emergency: bool,
    ) -> Result<Option<PatientShown>, SmartError> {
        let page = self.ask(request, user, ("", Some(id)), is_emergency).await?;
        Ok(page.patients.into_iter().find(|patient| patient.id == id))
    }

    async fn ask(
        &self,
        request: &HttpRequest,
        user: &User,
        (words, id): (&str, Option<&str>),
        is_emergency: bool,
    ) -> Result<PatientPage, SmartError> {
        let asked = PatientQuestion {
            user: user.id,
            fhir_user: user.fhir_user.clone(),
            words: words.to_owned(),
            id: id.map(str::to_owned),
            count: PATIENTS,
            is_emergency,
            address: self.host.address(request),
        };
        match self.host.patients(asked).await {
            Ok(mut page) => {
                page.has_more |= page.patients.len() > PATIENTS;
                page.patients.truncate(PATIENTS);
                Ok(page)
            }
            Err(HostError::Refused) => Ok(PatientPage::default()),
            Err(error) => Err(error.into()),
        }
    }
}
