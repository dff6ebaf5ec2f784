//! The id token of a provider: whether it is one, for this server, for this sign-in, and who it is of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Discovered, Failed, Upstream};
use crate::key_set::{ALGORITHMS, Checked};
use crate::server::SmartServer;

/// How far the provider's clock may be from ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Bytes of a subject at most (OpenID Connect Core section 2).
const SUBJECT_MAX: usize = 255;

/// Who has signed in at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    /// The user's name here, where the provider tells one.
    pub(super) name: Option<String>,
}

/// What was asked of the provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) nonce: &'a str,
    /// How many seconds ago the user may have signed in.
    pub(super) max_age: Option<u32>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Checks an id token (OpenID Connect Core section 3.1.3.7).
pub(super) async fn check(
    server: &SmartServer,
    upstream: &Upstream,
    discovered: &Discovered,
    token: &str,
    asked: Asked<'_>,
) -> Result<Identity, Failed> {
    let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
    let claims: Map<String, Value> = serde_json::from_slice(&decode(payload)?).map_err(|_| MALFORMED)?;
    let algorithm = algorithm(&header)?;
    let identity = claimed(&claims, upstream, asked, server.host.now())?;
    let with = (algorithm, header.kid.as_deref());
    let checked = server.fetched.check(&discovered.jwks_uri, |keys| keys.check(with, message, signature));
    match checked.await {
        Ok(Checked::Good) => Ok(identity),
        Ok(Checked::Bad) => Err(Failed("the signature of the id token is wrong")),
        Ok(Checked::Unknown) => {
            Err(Failed("the id token is signed with a key that the provider does not have"))
        }
        Err(_) => Err(Failed("the keys of the provider cannot be fetched")),
    }
}

const MALFORMED: Failed = Failed("the id token is no signed JWT");

fn algorithm(header: &Header) -> Result<Algorithm, Failed> {
    if header.crit.is_some() || !header.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("jwt")) {
        return Err(Failed("the id token is of another type"));
    }
    let known = ALGORITHMS.iter().find(|(name, _)| *name == header.alg);
    known
        .map(|(_, algorithm)| *algorithm)
        .ok_or(Failed("the id token is signed in a way that is not accepted"))
}

/// Who it is of, by its claims alone.
fn claimed(
    claims: &Map<String, Value>,
    upstream: &Upstream,
    asked: Asked<'_>,
    now: DateTime<Utc>,
) -> Result<Identity, Failed> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(&upstream.issuer) {
        return Err(Failed("the id token is of another issuer"));
    }
    let is_ours = match claims.get("aud") {
        Some(Value::String(one)) => *one == upstream.client_id,
        // Another audience could have been given it, and bring it here.
        Some(Value::Array(all)) => {
            all.len() == 1 && all.iter().all(|one| *one == upstream.client_id.as_str())
        }
        _ => false,
    };
    if !is_ours || text("azp").is_some_and(|azp| azp != upstream.client_id) {
        return Err(Failed("the id token is for somebody else"));
    }
    if text("nonce") != Some(asked.nonce) {
        return Err(Failed("the id token is for another sign-in"));
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| seconds as i64);
    let (skew, now) = (CLOCK_SKEW.num_seconds(), now.timestamp());
    if time("exp").is_none_or(|exp| exp.saturating_add(skew) <= now) {
        return Err(Failed("the id token has ended"));
    }
    if ["iat", "nbf"].into_iter().filter_map(time).any(|begins| begins > now.saturating_add(skew)) {
        return Err(Failed("the id token is not valid yet"));
    }
    let is_old = |age: u32| {
        time("auth_time").is_none_or(|at| now.saturating_sub(at) > i64::from(age).saturating_add(skew))
    };
    if asked.max_age.is_some_and(is_old) {
        return Err(Failed("the user has signed in too long ago"));
    }
    let subject = text("sub").filter(|sub| (1..=SUBJECT_MAX).contains(&sub.len()) && !sub.contains('\0'));
    let subject = subject.ok_or(Failed("the id token has no subject"))?.to_owned();
    Ok(Identity { subject, name: text(&upstream.name_claim).map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000, 0).unwrap()
    }

    fn claims() -> Map<String, Value> {
        let claims = json!({
            "iss": "https://idp.example", "aud": "us", "nonce": "n", "sub": "s-1", "exp": 1_000_100,
            "iat": 999_990, "auth_time": 999_900, "preferred_username": "Grete"
        });
        claims.as_object().unwrap().clone()
    }

    fn result(claims: &Map<String, Value>, max_age: Option<u32>) -> Result<Identity, Failed> {
        let upstream = Upstream::new("IdP", "https://idp.example", "us");
        claimed(claims, &upstream, Asked { nonce: "n", max_age }, now())
    }

    #[test]
    fn claims_are_for_this_server_and_this_sign_in() {
        let identity = result(&claims(), Some(60)).unwrap();
        assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("s-1", Some("Grete")));
        for (name, value) in [
            ("iss", json!("https://idp.example/")),
            ("iss", json!(null)),
            ("aud", json!("them")),
            ("aud", json!(["us", "them"])),
            ("aud", json!([])),
            ("azp", json!("them")),
            ("nonce", json!("m")),
            ("nonce", json!(null)),
            ("exp", json!(999_940)),
            ("exp", json!(null)),
            ("iat", json!(1_000_061)),
            ("nbf", json!(1_000_061)),
            ("sub", json!("")),
            ("sub", json!(1)),
            ("sub", json!("x".repeat(256))),
        ] {
            let mut claims = claims();
            claims.insert(name.to_owned(), value.clone());
            assert!(result(&claims, None).is_err(), "{name} {value}");
        }
        let mut old = claims();
        old.insert("auth_time".into(), json!(999_800));
        assert!(result(&old, None).is_ok() && result(&old, Some(60)).is_err());
        old.remove("auth_time");
        assert!(result(&old, Some(60)).is_err());
        let mut listed = claims();
        listed.insert("aud".into(), json!(["us"]));
        assert!(result(&listed, None).is_ok());
    }

    #[test]
    fn shared_secrets_and_none_are_no_signatures() {
        let header = |alg: &str| Header { alg: alg.into(), kid: None, typ: Some("JWT".into()), crit: None };
        assert!(algorithm(&header("RS256")).is_ok());
        for alg in ["none", "None", "HS256", "HS384", ""] {
            assert!(algorithm(&header(alg)).is_err(), "{alg}");
        }
        assert!(algorithm(&Header { typ: Some("at+jwt".into()), ..header("RS256") }).is_err());
    }
}
