//! What a token says (RFC 7519 section 4.1; RFC 9068 section 2.2; Entra's names), judged by what is expected. Pure.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::issuer::Issuers;
use crate::access::Denied;

/// The longest subject and issuer, in bytes (OpenID Connect Core 1.0 section 2 has 255 for `sub`).
const NAME_BYTES_MAX: usize = 255;

/// Groups and roles of a token that are looked at. Entra names 200 groups at most.
const VALUES_MAX: usize = 1000;

/// The names of the claims that authorities differ in. A name with dots that is no claim itself leads into objects:
/// `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who it is, where there is such a claim; else `sub`.
    pub object_id: String,
    /// Application roles.
    pub roles: String,
    /// Groups that the subject is a member of.
    pub groups: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { object_id: "oid".to_owned(), roles: "roles".to_owned(), groups: "groups".to_owned() }
    }
}

/// What tokens have to say to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// `aud` has to name one of these.
    pub audiences: Vec<String>,
    /// How far clocks may be apart, in seconds.
    pub clock_skew_s: u32,
    /// What claims are called.
    pub names: ClaimNames,
}

/// What a token says, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `oid`, else `sub`.
    pub subject: Arc<str>,
    /// `iss`
    pub issuer: Arc<str>,
    /// `azp`, `appid` or `client_id`.
    pub client: Option<Arc<str>>,
    /// `preferred_username` or `name`.
    pub display: Option<Arc<str>>,
    /// Application roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether it says to be of an application alone (`idtyp`); `None`: it does not say.
    pub is_application: Option<bool>,
    /// From then on it is not taken any more, in seconds since 1970: `exp` and the clock skew.
    pub ends_at_s: i64,
    /// All claims, for those who know more of them.
    pub all: Map<String, Value>,
}

impl Claims {
    /// Judges the claims of a token whose signature is good; `now_s` is in seconds since 1970.
    ///
    /// # Errors
    /// It is of somebody else, for somebody else, or for another time.
    pub fn judge(
        all: Map<String, Value>,
        issuers: &Issuers,
        expected: &Expected,
        now_s: i64,
    ) -> Result<Self, Denied> {
        let text = |name: &str| all.get(name).and_then(Value::as_str).filter(|text| is_name(text));
        let issuer = text("iss").filter(|issuer| issuers.take(issuer, text("tid")));
        let issuer =
            issuer.ok_or(Denied::Token("the access token is of an issuer that is not trusted here"))?;
        if !all.get("aud").is_some_and(|audience| is_for(audience, &expected.audiences)) {
            return Err(Denied::Token("the access token is for another audience"));
        }
        let ends_at_s = time_of(&all, now_s, i64::from(expected.clock_skew_s))?;
        let subject = text(&expected.names.object_id).or_else(|| text("sub"));
        let subject = subject.ok_or(Denied::Token("the access token does not say whose it is"))?;
        let first = |names: &[&str]| names.iter().find_map(|name| text(name)).map(Arc::from);
        Ok(Self {
            subject: subject.into(),
            issuer: issuer.into(),
            client: first(&["azp", "appid", "client_id"]),
            display: first(&["preferred_username", "name"]),
            roles: values(&all, &expected.names.roles),
            groups: values(&all, &expected.names.groups),
            is_application: text("idtyp").map(|kind| kind == "app"),
            ends_at_s,
            all,
        })
    }
}

/// Checks `exp`, `nbf` and `iat`; gives when the token ends.
fn time_of(all: &Map<String, Value>, now_s: i64, skew_s: i64) -> Result<i64, Denied> {
    let time = |name: &str| match all.get(name) {
        None => Ok(None),
        Some(value) => {
            seconds(value).map(Some).ok_or(Denied::Token("a time in the access token is no number"))
        }
    };
    let ends = time("exp")?.ok_or(Denied::Token("the access token does not say when it expires"))?;
    let ends_at_s = ends.saturating_add(skew_s);
    if ends_at_s <= now_s {
        return Err(Denied::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|begins| begins > now_s.saturating_add(skew_s)) {
            return Err(Denied::Token("the access token is not valid yet"));
        }
    }
    Ok(ends_at_s)
}

/// A NumericDate (RFC 7519 section 2), in whole seconds.
fn seconds(value: &Value) -> Option<i64> {
    let float = || value.as_f64().filter(|number| (0.0..=1e15).contains(number)).map(|number| number as i64);
    value.as_i64().filter(|number| *number >= 0).or_else(float)
}

/// Whether `aud` names one of the audiences. A last slash makes no difference to an address: Entra's tokens have it where
/// the scope that was asked for had it.
fn is_for(audience: &Value, expected: &[String]) -> bool {
    let plain = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
    let is_expected = |audience: &Value| {
        audience.as_str().is_some_and(|audience| {
            expected.iter().any(|one| !one.is_empty() && plain(one) == plain(audience))
        })
    };
    match audience {
        Value::Array(all) => all.iter().any(is_expected),
        one => is_expected(one),
    }
}

/// What can stand in a log of events as a name.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// The texts of a claim that has one or several.
fn values(all: &Map<String, Value>, name: &str) -> Vec<String> {
    let found = all.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = all.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    });
    match found {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => {
            several.iter().take(VALUES_MAX).filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
