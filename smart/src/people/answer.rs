//! What browsers are answered: pages with strict headers, redirects, and what went wrong.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpResponse, HttpResponseBuilder};
use url::Url;

use crate::authorize::redirect::Return;
use crate::error::{OAuthError, SmartError};
use crate::host::HostError;
use crate::pages::frame::Frame;
use crate::pages::html::Html;
use crate::pages::message::{self, Message};
use crate::pages::style::STYLE;
use crate::people::form::Malformed;
use crate::server::SmartServer;

/// After how many seconds somebody may try again when the server cannot answer now.
const TRY_AGAIN_SECS: &str = "10";

/// Why a browser is not answered as it has asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It cannot be gone on with, and the app cannot be told.
    Page(StatusCode, Message),
    /// The app is told (RFC 6749 section 4.1.2.1).
    Back(Box<Return>, OAuthError),
    /// The server cannot do it now.
    Failed(SmartError),
}

impl Trouble {
    /// A page that says what is wrong with the request.
    pub(crate) fn page(title: &'static str, words: &'static str) -> Self {
        Self::Page(StatusCode::BAD_REQUEST, Message { title, words })
    }

    /// A page that says that a form is not taken.
    pub(crate) fn forbidden(words: &'static str) -> Self {
        Self::Page(StatusCode::FORBIDDEN, Message { title: "This does not go on here", words })
    }
}

impl<E: Into<SmartError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a malformed form or address is answered.
pub(crate) fn malformed(what: Malformed) -> Trouble {
    let words = match what {
        Malformed::TooLarge => "What was sent is too large.",
        Malformed::Incomplete => "What was sent did not arrive whole. Try again.",
        Malformed::MediaType => "What was sent is no form.",
        Malformed::Character => "What was sent has a character that no text may have.",
        Malformed::Repeated => "What was sent says something twice.",
    };
    Trouble::page("This request cannot be understood", words)
}

/// Makes an answer of what was done, or of what went wrong.
pub(crate) fn finish(server: &SmartServer, done: Result<HttpResponse, Trouble>) -> HttpResponse {
    match done {
        Ok(answer) => answer,
        Err(Trouble::Page(status, said)) => show(status, None, message::page(server.frame(), said)),
        Err(Trouble::Back(back, error)) => redirect(server, back.error(&server.options.base, &error)),
        Err(Trouble::Failed(error)) => failed(server, &error),
    }
}

fn failed(server: &SmartServer, error: &SmartError) -> HttpResponse {
    tracing::error!(%error, "a page of the authorization server could not be made");
    let words = match error {
        SmartError::Host(HostError::Unavailable) | SmartError::Busy(_) => {
            "The server is too busy, or cannot keep its records now. Try again in a moment."
        }
        _ => "The server cannot answer now. Try again in a moment.",
    };
    let said = Message { title: "Not now", words };
    let mut answer = show(StatusCode::SERVICE_UNAVAILABLE, None, message::page(server.frame(), said));
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(TRY_AGAIN_SECS));
    answer
}

/// A page. Its forms may lead to this server, and on to where the app is answered: browsers hold redirects that follow a form
/// to the same rule (Content Security Policy 3 section 6.4.1; Chromium does, Firefox does not).
pub(crate) fn show(status: StatusCode, answers_to: Option<&str>, page: Html) -> HttpResponse {
    let target = answers_to.and_then(form_target).map(|target| format!(" {target}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{target}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut answer = HttpResponse::build(status);
    guarded(&mut answer)
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"));
    answer.body(page.into_string())
}

/// A redirect after which the browser asks with GET, whatever it has asked with (RFC 9700 section 4.12).
pub(crate) fn redirect(server: &SmartServer, to: String) -> HttpResponse {
    let Ok(to) = HeaderValue::from_str(&to) else {
        let words = "The address that the app wants to be answered at cannot be used.";
        return finish(server, Err(Trouble::page("The app has made a mistake", words)));
    };
    let mut answer = HttpResponse::SeeOther();
    guarded(&mut answer).insert_header((header::LOCATION, to));
    answer.finish()
}

/// The style sheet.
pub(crate) async fn style(_: Data<SmartServer>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/css; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(STYLE)
}

/// The headers that each answer to a browser has.
fn guarded(answer: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    answer
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
}

/// Where an app is answered, as a source of the policy: an origin, or the scheme of an app on the device. The grammar of the
/// policy has no addresses of IP version 6: they are let in by their scheme.
fn form_target(redirect_uri: &str) -> Option<String> {
    let address = Url::parse(redirect_uri).ok()?;
    let is_version_6 = matches!(address.host(), Some(url::Host::Ipv6(_)));
    match address.scheme() {
        "http" | "https" if !is_version_6 => Some(address.origin().ascii_serialization()),
        scheme => Some(format!("{scheme}:")),
    }
}

impl SmartServer {
    /// What every page knows.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame { path: self.options.path(), service: &self.options.service }
    }
}

#[cfg(test)]
mod tests {
    use super::form_target;

    #[test]
    fn the_policy_lets_forms_go_on_to_the_app_only() {
        let target = |address| form_target(address);
        assert_eq!(target("https://app.example.org/cb?x=1").as_deref(), Some("https://app.example.org"));
        assert_eq!(target("http://127.0.0.1:4711/cb").as_deref(), Some("http://127.0.0.1:4711"));
        assert_eq!(target("http://[::1]:4711/cb").as_deref(), Some("http:"));
        assert_eq!(target("org.example.app:/cb").as_deref(), Some("org.example.app:"));
        assert_eq!(target("https://x.example;script-src *"), None);
    }
}
