//! What tokens have to say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::{Map, Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

fn expected() -> Expected {
    Expected {
        audiences: vec!["https://fhir.example".to_owned()],
        clock_skew_s: 60,
        names: ClaimNames::default(),
    }
}

fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": ISSUER, "aud": "https://fhir.example", "sub": "someone", "exp": NOW + 600, "nbf": NOW, "iat": NOW,
    });
    claims.as_object().unwrap().clone()
}

/// Judges the usual claims with others in their place; null takes one away.
fn judge(changes: Value) -> Result<Claims, Denied> {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    Claims::judge(all, &Issuers::named(&[ISSUER.to_owned()], &[]), &expected(), NOW)
}

fn is_refused(changes: Value) {
    let told = judge(changes.clone());
    assert!(matches!(told, Err(Denied::Token(_))), "{changes}: {told:?}");
}

#[test]
fn a_good_token_says_who_it_is() {
    let told = judge(json!({"oid": "object", "azp": "app", "name": "Ann", "tid": "t"})).unwrap();
    assert_eq!((&*told.subject, &*told.issuer), ("object", ISSUER));
    assert_eq!((told.client.as_deref(), told.display.as_deref()), (Some("app"), Some("Ann")));
    assert_eq!(told.ends_at_s, NOW + 660);
    assert_eq!(&*judge(json!({})).unwrap().subject, "someone");
}

#[test]
fn only_the_issuer_that_is_trusted_is() {
    for issuer in
        [json!("https://id.example/"), json!("https://evil.example"), json!([ISSUER]), json!(1), Value::Null]
    {
        is_refused(json!({ "iss": issuer }));
    }
}

#[test]
fn the_audience_is_one_of_several_and_a_last_slash_makes_no_difference() {
    for audience in [
        json!("https://fhir.example/"),
        json!(["https://other.example", "https://fhir.example"]),
        json!(["https://fhir.example"]),
    ] {
        assert!(judge(json!({ "aud": audience.clone() })).is_ok(), "{audience}");
    }
    for audience in [
        json!("https://other.example"),
        json!("https://fhir.example//"),
        json!("https://fhir.example.evil"),
        json!("https://FHIR.example"),
        json!(["https://other.example"]),
        json!([]),
        json!([["https://fhir.example"]]),
        json!({"https://fhir.example": true}),
        json!(""),
        Value::Null,
    ] {
        is_refused(json!({ "aud": audience }));
    }
}

#[test]
fn an_empty_audience_is_none() {
    let expected = Expected { audiences: vec![String::new()], ..expected() };
    let mut all = claims();
    all.insert("aud".to_owned(), "".into());
    assert!(Claims::judge(all, &Issuers::named(&[ISSUER.to_owned()], &[]), &expected, NOW).is_err());
}

#[test]
fn it_has_its_time_with_the_clock_skew() {
    assert!(judge(json!({"exp": NOW - 59})).is_ok());
    for exp in [NOW - 60, NOW - 61, 0] {
        assert_eq!(judge(json!({ "exp": exp })).unwrap_err(), Denied::Expired, "{exp}");
    }
    for name in ["nbf", "iat"] {
        assert!(judge(json!({name: NOW + 60})).is_ok(), "{name}");
        is_refused(json!({name: NOW + 61}));
        assert!(judge(json!({name: null})).is_ok(), "{name} may be left out");
    }
    assert!(judge(json!({"exp": (NOW as f64) + 1.5})).is_ok(), "a NumericDate may have a fraction");
}

#[test]
fn a_time_is_a_number() {
    is_refused(json!({ "exp": null }));
    for name in ["exp", "nbf", "iat"] {
        for value in [json!("1900000000"), json!(-1), json!(1e300), json!([NOW]), json!(true)] {
            is_refused(json!({ name: value }));
        }
    }
    // The largest there is does not overflow.
    assert!(judge(json!({"exp": i64::MAX})).is_ok());
    is_refused(json!({"nbf": i64::MAX}));
}

#[test]
fn somebody_has_a_name_that_can_be_logged() {
    is_refused(json!({ "sub": null }));
    for sub in [json!(""), json!("a\nb"), json!("\u{0}"), json!("x".repeat(256)), json!(7), json!(["x"])] {
        is_refused(json!({ "sub": sub }));
    }
    // What is no object id is none; the subject is.
    assert_eq!(&*judge(json!({"oid": ""})).unwrap().subject, "someone");
}

#[test]
fn roles_and_groups_are_found_by_their_names() {
    let told = judge(json!({"roles": ["a", 1, "b"], "groups": "g"})).unwrap();
    assert_eq!((told.roles, told.groups), (vec!["a".to_owned(), "b".to_owned()], vec!["g".to_owned()]));
    let names = ClaimNames { roles: "realm_access.roles".to_owned(), ..ClaimNames::default() };
    let expected = Expected { names, ..expected() };
    let mut all = claims();
    all.insert("realm_access".to_owned(), json!({"roles": ["globalReader"]}));
    let told =
        Claims::judge(all.clone(), &Issuers::named(&[ISSUER.to_owned()], &[]), &expected, NOW).unwrap();
    assert_eq!(told.roles, ["globalReader"]);
    // A claim of exactly this name goes before.
    all.insert("realm_access.roles".to_owned(), json!(["other"]));
    let told = Claims::judge(all, &Issuers::named(&[ISSUER.to_owned()], &[]), &expected, NOW).unwrap();
    assert_eq!(told.roles, ["other"]);
}

#[test]
fn an_application_says_so() {
    assert_eq!(judge(json!({"idtyp": "app"})).unwrap().is_application, Some(true));
    assert_eq!(judge(json!({"idtyp": "user"})).unwrap().is_application, Some(false));
    assert_eq!(judge(json!({})).unwrap().is_application, None);
}
