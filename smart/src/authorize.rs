//! The authorization endpoint (RFC 6749 section 3.1): takes a request, keeps it, and sends the browser to its first page.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

pub(crate) mod pending;
pub(crate) mod redirect;
mod redirect_uri;
mod request;
pub(crate) mod scopes;
pub(crate) mod step;

use crate::people::answer::{Trouble, finish, malformed, redirect as send};
use crate::people::form::Parameters;
use crate::secret::{digest_of, opaque};
use crate::server::SmartServer;
use crate::sessions::after;

/// A request in the parameters of an address.
pub(crate) async fn get(server: Data<SmartServer>, request: HttpRequest) -> HttpResponse {
    let done = match Parameters::of_address(&request) {
        Ok(asked) => begin(&server, &request, &asked).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

/// A request in a form (SMART `authorize-post`). It comes from another site, so browsers send no cookies with it: they do with
/// the address that it leads to.
pub(crate) async fn post(server: Data<SmartServer>, request: HttpRequest, body: Payload) -> HttpResponse {
    let done = match Parameters::of_form(&request, body).await {
        Ok(asked) => begin(&server, &request, &asked).await,
        Err(what) => Err(malformed(what)),
    };
    finish(&server, done)
}

async fn begin(
    server: &SmartServer,
    request: &HttpRequest,
    asked: &Parameters,
) -> Result<HttpResponse, Trouble> {
    let pending = match request::read(server, asked).await {
        Ok(pending) => pending,
        Err(refusal) => return Err(refusal.on_record(server, request).await?),
    };
    let id = opaque()?;
    let now = server.host.now();
    server.store.put_request(&digest_of(&id), &pending, after(now, server.options.request_for)).await?;
    Ok(send(server, server.interaction(&id)))
}

impl SmartServer {
    /// Where a browser goes on with a request.
    pub(crate) fn interaction(&self, id: &str) -> String {
        format!("{}/auth/interaction?request={id}", self.options.path())
    }
}
