//! Tokens: whatever comes is taken apart or refused, and what is taken says what it has to.

use anamnesis::access::token::claims::{ClaimNames, Claims, Expected};
use anamnesis::access::token::issuer::Issuers;
use anamnesis::access::token::jwt::{ALGORITHMS, Unverified};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

const NOW_S: i64 = 1_800_000_000;
const SKEW_S: u32 = 60;
const AUDIENCE: &str = "https://fhir.example";
const TENANT: &str = "t1";

pub(crate) const WORDS: &[&str] = &[
    "\"alg\":\"ES256\"",
    "\"alg\":\"none\"",
    "\"alg\":\"HS256\"",
    "\"typ\":\"at+jwt\"",
    "\"typ\":\"JWT\"",
    "\"kid\":\"one\"",
    "\"crit\":[\"exp\"]",
    "\"iss\":\"https://id.example\"",
    "\"iss\":\"https://id.example/t1/\"",
    "\"tid\":\"t1\"",
    "\"aud\":\"https://fhir.example\"",
    "\"aud\":[\"https://fhir.example/\"]",
    "\"exp\":1800000600",
    "\"exp\":1e300",
    "\"exp\":-1",
    "\"nbf\":1800000000",
    "\"iat\":1800000000.5",
    "\"sub\":\"ann\"",
    "\"oid\":\"ann\"",
    "\"idtyp\":\"app\"",
    "\"roles\":[\"a\",1]",
    "\"groups\":{\"a\":[]}",
    "\"realm_access\":{\"roles\":[\"a\"]}",
    "null",
    "{}",
    "[]",
    "{\"a\":",
    "\\u0000",
    "\\ud800",
    ",",
    ".",
];

/// Lines are header, claims and signature; anything else is a token as it came.
pub(crate) fn run(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let lines: Vec<&str> = text.lines().collect();
    let token = match lines.as_slice() {
        [header, claims, signature] => format!("{}.{}.{signature}", part(header), part(claims)),
        [header, claims] => format!("{}.{}.AA", part(header), part(claims)),
        _ => text.trim_end().to_owned(),
    };
    let parsed = match Unverified::parse(&token) {
        Ok(parsed) => parsed,
        Err(denied) => return format!("{denied:?}"),
    };
    assert!(ALGORITHMS.iter().any(|(_, algorithm)| *algorithm == parsed.algorithm));
    let (message, signature) = parsed.signed();
    let message = std::str::from_utf8(message).unwrap();
    assert_eq!(format!("{message}.{signature}"), token, "all of it is signed or is the signature");
    let payload = message.split_once('.').unwrap().1;
    assert!(!payload.contains('.') && !signature.is_empty());
    let claims: Map<String, Value> =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(parsed.issuer(), claims.get("iss").and_then(Value::as_str));
    judged(&claims)
}

fn expected() -> Expected {
    let names = ClaimNames { roles: "realm_access.roles".to_owned(), ..ClaimNames::default() };
    Expected { audiences: vec![AUDIENCE.to_owned()], clock_skew_s: SKEW_S, names }
}

fn judged(claims: &Map<String, Value>) -> String {
    let patterns = ["https://id.example".to_owned(), "https://id.example/{tenantid}/".to_owned()];
    let issuers = Issuers::named(&patterns, &[TENANT.to_owned()]);
    let judge =
        |claims: &Map<String, Value>, now_s| Claims::judge(claims.clone(), &issuers, &expected(), now_s);
    let taken = match judge(claims, NOW_S) {
        Ok(taken) => taken,
        Err(denied) => return format!("{denied:?}"),
    };
    assert!(["https://id.example", "https://id.example/t1/"].contains(&&*taken.issuer), "{}", taken.issuer);
    for name in [Some(&taken.subject), taken.client.as_ref(), taken.display.as_ref()].into_iter().flatten() {
        assert!(!name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control), "{name:?}");
    }
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    assert!(Some(&*taken.subject) == claim("oid") || Some(&*taken.subject) == claim("sub"));
    // It ends, and from then on it is refused; so it is without what it has to say.
    assert!(taken.ends_at_s > NOW_S);
    assert!(judge(claims, taken.ends_at_s).is_err() && judge(claims, i64::MAX).is_err());
    for name in ["iss", "aud", "exp"] {
        let mut less = claims.clone();
        less.remove(name);
        assert!(judge(&less, NOW_S).is_err(), "it was taken without {name}");
    }
    let mut nobodys = claims.clone();
    nobodys.remove("oid");
    nobodys.remove("sub");
    assert!(judge(&nobodys, NOW_S).is_err(), "it was taken without a subject");
    format!(
        "taken {} {} {:?} {} {}",
        taken.roles.len().min(3),
        taken.groups.len().min(3),
        taken.is_application,
        taken.client.is_some(),
        taken.display.is_some()
    )
}
