//! Web pages of other origins (Fetch standard, CORS protocol): which may use a service is configured for each.
//!
//! What is not allowed gets the same answer without the headers that would let a page see it. Orders to operators' addresses are
//! refused to pages whatever is configured here ([`super::super::operator`]).

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

/// Headers of answers that pages may read.
const EXPOSED: &str = "ETag, Location, Content-Location, Last-Modified, Retry-After, WWW-Authenticate, X-Request-Id, \
                       X-Correlation-Id, X-Anamnesis-Position, x-ms-retry-after-ms";

/// Who may use a service from a page of another origin. `*` stands for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins.
    pub origins: Vec<String>,
    /// Headers that pages may send.
    pub headers: Vec<String>,
    /// Methods that they may use.
    pub methods: Vec<String>,
    /// How long browsers may remember it, in seconds.
    pub max_age_s: Option<u32>,
    /// Whether browsers send what they keep of the user. Never together with every origin.
    pub credentials: bool,
}

/// An origin that may ask.
pub(super) struct Allowed {
    origin: HeaderValue,
    credentials: bool,
}

impl Cors {
    /// The origin that asks, if it may.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<Allowed> {
        let origin = headers.get(ORIGIN)?;
        let named = self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
        if named {
            return Some(Allowed { origin: origin.clone(), credentials: self.credentials });
        }
        let any = self.origins.iter().any(|allowed| allowed == "*");
        any.then(|| Allowed { origin: HeaderValue::from_static("*"), credentials: false })
    }

    /// The answer to a browser that asks beforehand, which nobody has signed.
    pub(super) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let headers = request.headers();
        let method = headers.get("access-control-request-method")?;
        if *request.method() != Method::OPTIONS {
            return None;
        }
        let mut answer = HttpResponse::NoContent();
        let asked = headers.get("access-control-request-headers");
        for (name, allowed, asked) in [
            ("access-control-allow-methods", &self.methods, Some(method)),
            ("access-control-allow-headers", &self.headers, asked),
        ] {
            let any = allowed.iter().any(|allowed| allowed == "*");
            match asked {
                // `*` in the answer would not stand for Authorization (Fetch standard, section 3.2.5).
                Some(asked) if any => drop(answer.insert_header((name, asked.clone()))),
                _ if !allowed.is_empty() && !any => drop(answer.insert_header((name, allowed.join(", ")))),
                _ => {}
            }
        }
        if let Some(seconds) = self.max_age_s {
            answer.insert_header(("access-control-max-age", seconds.to_string()));
        }
        Some(answer.finish())
    }
}

impl Allowed {
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("access-control-allow-origin"), self.origin.clone());
        let exposed = HeaderName::from_static("access-control-expose-headers");
        headers.insert(exposed, HeaderValue::from_static(EXPOSED));
        if self.credentials {
            let credentials = HeaderName::from_static("access-control-allow-credentials");
            headers.insert(credentials, HeaderValue::from_static("true"));
        }
    }
}
