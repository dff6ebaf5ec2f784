//! Headers that every answer has: health data is not for caches, frames, other origins or guesses of its kind.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::cors::Allowed;

/// What an answer says where it does not say something else itself.
const ALWAYS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    // Answers hold health data, and a cache on the way knows nothing of who may see it. `ETag` still serves conditional reads.
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
];

/// What an answer gets.
pub(super) struct Wanted {
    /// For `Strict-Transport-Security`; 0: none.
    pub(super) strict_transport_s: u64,
    /// Whether the service is open to other origins, so that answers differ by origin.
    pub(super) shared: bool,
    /// The origin that asks, where it may.
    pub(super) origin: Option<Allowed>,
}

impl Wanted {
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        for (name, value) in ALWAYS {
            let name = HeaderName::from_static(name);
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        if self.strict_transport_s > 0
            && let Ok(value) = HeaderValue::from_str(&format!("max-age={}", self.strict_transport_s))
        {
            headers.insert(HeaderName::from_static("strict-transport-security"), value);
        }
        if self.shared {
            headers.append(HeaderName::from_static("vary"), HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = &self.origin {
            origin.put(headers);
        }
    }
}
