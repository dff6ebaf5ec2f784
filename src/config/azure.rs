//! Settings that Azure Health Data Services has, under the names that it gives them.
//!
//! The names are those of the resource `Microsoft.HealthcareApis/workspaces/fhirservices`, so that what stands in a template
//! can be copied. Where Azure has two spellings of a name (its templates say `origins`, its documentation and other tools say
//! `allowedOrigins`), both are understood: see [`super::names`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::checks::Findings;

/// The longest that browsers keep what they were told of other origins, in seconds, as Azure has it.
const MAX_AGE_MAX: u32 = 99_999;

/// Which web pages of other origins may use the service (CORS).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct CorsSettings {
    /// Origins such as `https://app.example.org`, or `*` for every one. None by default.
    pub allowed_origins: Vec<String>,
    /// Headers that the pages may send, or `*`.
    pub allowed_headers: Vec<String>,
    /// Methods that they may use: GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS, or `*`.
    pub allowed_methods: Vec<String>,
    /// How long browsers may remember this, in seconds; they ask each time where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 99_999))]
    pub max_age: Option<u32>,
    /// Whether they may send cookies and other credentials that the browser keeps. Not with the origin `*`.
    pub allow_credentials: bool,
}

impl CorsSettings {
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            if origin != "*" && !is_origin(origin) {
                let message = "expected an origin such as `https://app.example.org`, or `*`";
                findings.add(format!("{path}.allowedOrigins.{index}"), message);
            }
        }
        if self.allow_credentials && self.allowed_origins.iter().any(|origin| origin == "*") {
            let message = "must not be true with the origin `*`: every page in the world could act for whoever is \
                           signed in; name the origins";
            findings.add(format!("{path}.allowCredentials"), message);
        }
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*"];
        for (index, method) in self.allowed_methods.iter().enumerate() {
            if !methods.contains(&method.as_str()) {
                let message = format!("expected one of {}", methods.join(", "));
                findings.add(format!("{path}.allowedMethods.{index}"), message);
            }
        }
        for (index, header) in self.allowed_headers.iter().enumerate() {
            let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
            if header.is_empty() || !header.bytes().all(token) {
                findings.add(format!("{path}.allowedHeaders.{index}"), "this is no name of a header");
            }
        }
        if self.max_age.is_some_and(|seconds| seconds > MAX_AGE_MAX) {
            findings.add(format!("{path}.maxAge"), format!("must not be larger than {MAX_AGE_MAX}"));
        }
    }
}

/// Whether this is how browsers write an origin: scheme, host, and the port where it is not the scheme's own.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

/// Where bulk exports go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ExportSettings {
    /// The name of the store. Without effect: the server keeps the files of exports itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_account_name: Option<String>,
}

impl ExportSettings {
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        if self.storage_account_name.is_some() {
            findings.warn(
                format!("{path}.storageAccountName"),
                "without effect: the server keeps the files of exports itself",
            );
        }
    }
}

/// What national implementation guides ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct GuideSettings {
    /// Whether missing data is told as US Core wants it. It cannot be yet.
    pub us_core_missing_data: bool,
}

impl GuideSettings {
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        if self.us_core_missing_data {
            findings.add(format!("{path}.usCoreMissingData"), "this is not supported yet");
        }
    }
}
