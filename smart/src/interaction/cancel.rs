//! An app is not let in.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Visit, approve};
use crate::error::{OAuthError, OAuthErrorCode};
use crate::people::answer::{Trouble, finish, malformed};
use crate::people::form::Parameters;
use crate::server::SmartServer;

/// Somebody goes back to the app without letting it in.
pub(crate) async fn post(server: Data<SmartServer>, http: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&http, body).await {
        Ok(form) => cancelled(&server, &http, &form).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

async fn cancelled(
    server: &SmartServer,
    http: &HttpRequest,
    form: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let visit = Visit::of_form(server, http, form).await?;
    visit.check_open(form)?;
    let why = "the user has not let the app in";
    Err(approve::refuse(&visit, OAuthError::new(OAuthErrorCode::AccessDenied, why), why).await?)
}
