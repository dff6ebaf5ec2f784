//! The way of a request for authorization from page to page. Each form changes what was decided and leads back to the address
//! `auth/interaction`, which shows what is needed next: so pages can be loaded again, and the way back works.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;

pub(crate) mod approve;
pub(crate) mod cancel;
pub(crate) mod consent;
pub(crate) mod emergency;
pub(crate) mod patient;
pub(crate) mod show;
pub(crate) mod sign_in;
pub(crate) mod sign_out;

use crate::authorize::pending::{Pending, Progress};
use crate::authorize::step::{Step, next};
use crate::client::Client;
use crate::error::SmartError;
use crate::host::{Happened, Occurrence};
use crate::people::answer::Trouble;
use crate::people::browser::Browser;
use crate::people::form::Parameters;
use crate::people::mark::Bound;
use crate::secret::digest_of;
use crate::server::SmartServer;
use crate::sessions::SignedIn;

/// A browser that comes with a request for authorization.
pub(crate) struct Visit<'a> {
    pub(crate) server: &'a SmartServer,
    pub(crate) http: &'a HttpRequest,
    /// What the request is known by in the browser.
    pub(crate) id: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) pending: Pending,
    pub(crate) client: Client,
    pub(crate) browser: Browser,
    pub(crate) signed_in: Option<SignedIn>,
}

pub(crate) const NOT_OURS: &str = "This page belongs to another browser or to another sign-in, or something was decided meanwhile. Go back to the app and start again.";
const OVER: &str = "This request is over, or was answered. Go back to the app and start again.";

impl<'a> Visit<'a> {
    /// Finds the request that a browser comes with. It may belong to no browser yet.
    pub(crate) async fn find(
        server: &'a SmartServer,
        http: &'a HttpRequest,
        parameters: &Parameters,
    ) -> Result<Self, Trouble> {
        let id = parameters.one("request").ok().flatten().unwrap_or_default();
        Self::of(server, http, id).await
    }

    /// The same where it is known what the request is known by.
    pub(crate) async fn of(
        server: &'a SmartServer,
        http: &'a HttpRequest,
        id: &str,
    ) -> Result<Self, Trouble> {
        let over = || Trouble::page("This cannot be gone on with", OVER);
        let (id, digest) = (id.to_owned(), digest_of(id));
        let pending = server.store.request(&digest, server.host.now()).await?.ok_or_else(over)?;
        if pending.service != server.options.service {
            return Err(over());
        }
        let client = server.find_client(&pending.client).await?.ok_or_else(over)?;
        let browser = Browser::of(http, &server.options)?;
        let signed_in = server.signed_in(http).await?;
        Ok(Self { server, http, id, digest, pending, client, browser, signed_in })
    }

    /// The same for a form: it has to come from a page of ours, in the browser that the request belongs to.
    pub(crate) async fn of_form(
        server: &'a SmartServer,
        http: &'a HttpRequest,
        form: &Parameters,
    ) -> Result<Self, Trouble> {
        if !is_of_this_site(http) {
            return Err(Trouble::forbidden(NOT_OURS));
        }
        let visit = Self::find(server, http, form).await?;
        if visit.belongs() { Ok(visit) } else { Err(Trouble::forbidden(NOT_OURS)) }
    }

    /// Whether the request belongs to this browser.
    pub(crate) fn belongs(&self) -> bool {
        !self.browser.is_new && self.pending.browser == Some(digest_of(&self.browser.value))
    }

    /// The token of a form that agrees to something that is shown.
    pub(crate) fn token(&self, shown: &str) -> String {
        self.bound(self.session(), shown).token()
    }

    /// The token of a form that is there also where nobody has signed in.
    pub(crate) fn open_token(&self) -> String {
        self.bound("", "").token()
    }

    /// Refuses a form that was not made for what is so now.
    pub(crate) fn check(&self, form: &Parameters, shown: &str) -> Result<(), Trouble> {
        let token = form.one("csrf").ok().flatten().unwrap_or_default();
        let is_good = self.bound(self.session(), shown).is(token);
        if is_good { Ok(()) } else { Err(Trouble::forbidden(NOT_OURS)) }
    }

    /// The same of a form that may have been made before somebody signed in.
    pub(crate) fn check_open(&self, form: &Parameters) -> Result<(), Trouble> {
        let token = form.one("csrf").ok().flatten().unwrap_or_default();
        let is_good = self.bound("", "").is(token) || self.bound(self.session(), "").is(token);
        if is_good { Ok(()) } else { Err(Trouble::forbidden(NOT_OURS)) }
    }

    /// What is needed next.
    pub(crate) async fn next(&self) -> Result<Step, SmartError> {
        next(self.server, self.http, &self.pending, &self.client, self.signed_in.as_ref()).await
    }

    /// Keeps what was decided. Where another form was faster nothing is kept, and the next page shows what is so.
    pub(crate) async fn decide(&self, progress: Progress) -> Result<(), SmartError> {
        let is = Pending { progress, ..self.pending.clone() };
        self.server.store.change_request(&self.digest, &self.pending, &is).await.map(drop)
    }

    /// What was decided in this session.
    pub(crate) fn progress(&self, signed_in: &SignedIn) -> Progress {
        self.pending.progress_of(signed_in)
    }

    /// Something that has happened with this app and this user.
    pub(crate) fn occurrence(&self, happened: Happened) -> Occurrence {
        let user = self.signed_in.as_ref().map(|signed_in| signed_in.user.id.to_string());
        Occurrence { user, ..Occurrence::new(happened) }.of(&self.client)
    }

    fn session(&self) -> &str {
        self.signed_in.as_ref().map(|signed_in| signed_in.cookie.as_str()).unwrap_or_default()
    }

    fn bound<'b>(&'b self, session: &'b str, shown: &'b str) -> Bound<'b> {
        Bound { browser: &self.browser.value, session, request: &self.id, shown }
    }
}

/// Whether a form was sent from a page of this origin, as far as the browser says so (Fetch Metadata). `Origin` says nothing here:
/// it is `null` where pages forbid referrers.
pub(crate) fn is_of_this_site(http: &HttpRequest) -> bool {
    let site = http.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    matches!(site, None | Some(b"same-origin" | b"none"))
}
