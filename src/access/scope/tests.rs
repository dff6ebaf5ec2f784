//! Tests of the grammar of scopes.

use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Scope {
    let scopes = Scopes::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let [one] = scopes.resources() else { panic!("{text}") };
    one.clone()
}

#[test]
fn both_versions_and_all_separators_are_read() {
    use Context::{Patient, System, User};
    for (text, context, resource_type, letters) in [
        ("patient/*.read", Patient, None, "rs"),
        ("patient/Observation.write", Patient, Some("Observation"), "cud"),
        ("user/Observation.*", User, Some("Observation"), "cruds"),
        ("system/*.rs", System, None, "rs"),
        ("system/*.cruds", System, None, "cruds"),
        // Entra knows no slash; the dollar sign and the full stop stand for it, and `all` for the star.
        ("patient.Observation.r", Patient, Some("Observation"), "r"),
        ("patient$all.s", Patient, None, "s"),
        ("user.all.read", User, None, "rs"),
        // Their order is not looked at.
        ("patient/Observation.sr", Patient, Some("Observation"), "rs"),
        ("patient/Observation.dc", Patient, Some("Observation"), "cd"),
    ] {
        let scope = one(text);
        assert_eq!((scope.context, scope.resource_type), (context, resource_type), "{text}");
        assert_eq!(scope.letters.to_string(), letters, "{text}");
        assert_eq!(scope.arguments, []);
    }
}

#[test]
fn what_is_no_scope_is_refused_with_its_place() {
    use ScopeError::{Arguments, Letters, Malformed, MixedContexts, MixedVersions, UnknownType};
    for (text, error) in [
        ("openid patient", Malformed(2)),
        ("openid x", Malformed(2)),
        ("Patient/*.read", Malformed(1)),
        ("group/*.read", Malformed(1)),
        ("patient/*", Malformed(1)),
        ("patient/*.", Letters(1)),
        ("patient/*.rr", Letters(1)),
        ("patient/*.rx", Letters(1)),
        ("patient/*.READ", Letters(1)),
        ("patient/*.reads", Letters(1)),
        ("patient/.read", UnknownType(1)),
        ("patient/Nothing.read", UnknownType(1)),
        ("patient/observation.read", UnknownType(1)),
        ("patient/Observation.rs?", Arguments(1)),
        ("patient/Observation.rs?category", Arguments(1)),
        ("patient/Observation.rs?category=", Arguments(1)),
        ("patient/Observation.rs?category=a&", Arguments(1)),
        ("patient/Observation.rs?code:in=http://x", Arguments(1)),
        ("patient/Observation.rs?code%3Ain=http://x", Arguments(1)),
        ("patient/Observation.rs?subject.name=x", Arguments(1)),
        ("patient/Observation.rs?_has:Provenance:target:agent=x", Arguments(1)),
        ("patient/Observation.rs?_include=*", Arguments(1)),
        ("patient/Observation.rs?_count=1", Arguments(1)),
        ("patient/Observation.rs?_sort=date", Arguments(1)),
        ("patient/Observation.rs?_filter=x", Arguments(1)),
        ("patient/Observation.rs?_list=x", Arguments(1)),
        ("patient/Observation.rs?_text=x", Arguments(1)),
        ("patient/Observation.rs?_lastUpdated=gt2020", Arguments(1)),
        ("patient/Observation.rs?ct=x", Arguments(1)),
        ("patient/*.rs?category=x", Arguments(1)),
        ("patient/Observation.read?category=x", Arguments(1)),
        ("patient/*.read patient/Observation.rs", MixedVersions),
        ("patient/*.* patient/*.cruds", MixedVersions),
        ("patient/*.rs user/*.rs", MixedContexts),
        ("patient/*.rs system/*.rs", MixedContexts),
    ] {
        let found = Scopes::parse(text).unwrap_err();
        assert_eq!(found, error, "{text}");
    }
}

#[test]
fn launch_and_identity_bound_nothing() {
    let scopes = Scopes::parse("launch launch/patient  openid fhirUser offline_access openid").unwrap();
    assert_eq!(scopes.resources(), []);
    assert_eq!(scopes.others(), ["launch", "launch/patient", "openid", "fhirUser", "offline_access"]);
    assert!(scopes.has_other("openid") && !scopes.has_other("online_access"));
}

#[test]
fn of_a_token_what_is_about_other_things_is_passed_over() {
    let text = "user_impersonation api://x/.default patient/Observation.rs Files.Read";
    assert_eq!(Scopes::of_token(text).unwrap().resources().len(), 1);
    for bad in
        ["patient/Observation.rr", "user/x.rs", "patient/*.rs user/*.rs", "patient/*.read patient/*.rs"]
    {
        assert!(Scopes::of_token(bad).is_err(), "{bad}");
    }
}

#[test]
fn users_and_systems_may_be_together() {
    assert_eq!(Scopes::parse("user/*.rs system/Patient.r user/*.rs").unwrap().resources().len(), 2);
}

#[test]
fn arguments_are_decoded() {
    let scope = one("patient/Observation.rs?category=http%3A%2F%2Fx%7Claboratory&_tag=a+b");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(scope.arguments, [pair("category", "http://x|laboratory"), pair("_tag", "a b")]);
    assert_eq!(one("patient/*.rs?_security=x").arguments, [pair("_security", "x")]);
}

#[test]
fn there_are_bounds() {
    let many = "patient/Observation.rs?code=1".to_owned();
    let many: Vec<String> = (0..=SCOPES_MAX).map(|at| format!("{many}{at}")).collect();
    assert_eq!(Scopes::parse(&many.join(" ")), Err(ScopeError::TooMany));
    assert_eq!(Scopes::parse(&" ".repeat(SCOPES_LENGTH_MAX + 1)), Err(ScopeError::TooMany));
    let arguments = ["code=x"; ARGUMENTS_MAX + 1].join("&");
    assert_eq!(Scopes::parse(&format!("patient/Observation.r?{arguments}")), Err(ScopeError::Arguments(1)));
}

/// Pieces from which most texts that look like scopes are made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "patient",
        "user",
        "system",
        "/",
        "$",
        ".",
        "*",
        "all",
        "Observation",
        "Patient",
        "read",
        "write",
        "c",
        "r",
        "u",
        "d",
        "s",
        "?",
        "code",
        "=",
        "x",
        "&",
        ":",
        "%3A",
        "_has",
        "_include",
        " ",
        "openid",
        "launch",
        "é",
        "\0",
        "%",
        "%ff",
        "+",
        "cruds",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

fn check(text: &str) {
    let Ok(scopes) = Scopes::parse(text) else { return };
    for scope in scopes.resources() {
        assert_ne!(scope.letters, Letters::NONE, "{text}");
        assert!(scope.arguments.len() <= ARGUMENTS_MAX);
        for (name, value) in &scope.arguments {
            assert!(!name.contains([':', '.', '%']) && !is_of_results(name), "{text}");
            assert!(!value.is_empty() && !name.starts_with("_has"), "{text}");
        }
    }
    let contexts: Vec<_> = scopes.resources().iter().map(|scope| scope.context == Context::Patient).collect();
    assert!(contexts.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    let versions: Vec<_> = scopes.resources().iter().map(|scope| scope.is_first).collect();
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    assert_eq!(Scopes::parse(&scopes.to_string()).as_ref(), Ok(&scopes), "written and read again: {text}");
    assert_eq!(scopes.within(&scopes), scopes, "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_understood_or_refused(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn whatever_looks_like_scopes_is_understood_or_refused(text in pieces()) {
        check(&text);
    }

    /// What is written from a scope is read as that scope.
    #[test]
    fn what_is_written_is_read(
        context in prop::sample::select(vec![Context::Patient, Context::User, Context::System]),
        separator in prop::sample::select(vec!['/', '$', '.']),
        name in prop::sample::select(definitions::r4().resource_types().to_vec()),
        letters in prop::sample::subsequence(Letter::ALL.to_vec(), 1..=5).prop_shuffle(),
    ) {
        let names: String = letters.iter().map(|letter| letter.name()).collect();
        let scope = one(&format!("{context}{separator}{name}.{names}"));
        prop_assert_eq!(scope.resource_type, Some(name));
        prop_assert_eq!((scope.context, scope.letters), (context, Letters::of(&letters)));
    }
}

fn narrowed(asked: &str, allowed: &str) -> String {
    Scopes::parse(asked).unwrap().within(&Scopes::parse(allowed).unwrap()).to_string()
}

#[test]
fn scopes_are_narrowed_to_those_that_are_allowed() {
    for (asked, allowed, granted) in [
        ("patient/*.rs", "patient/*.rs", "patient/*.rs"),
        ("patient/Observation.cruds", "patient/*.rs", "patient/Observation.rs"),
        ("patient/*.rs", "patient/Observation.rs", ""),
        ("patient/Observation.rs", "patient/Observation.rs?category=laboratory", ""),
        (
            "patient/Observation.rs?category=laboratory",
            "patient/Observation.r patient/*.s",
            "patient/Observation.rs?category=laboratory",
        ),
        ("user/Observation.rs", "patient/Observation.rs", ""),
        ("patient/Patient.read", "patient/*.rs", "patient/Patient.read"),
        ("patient/Patient.*", "patient/*.rs", ""),
        ("openid launch/patient offline_access", "openid launch/patient", "openid launch/patient"),
        ("break-glass patient/*.rs", "patient/*.rs", "patient/*.rs"),
    ] {
        assert_eq!(narrowed(asked, allowed), granted, "{asked} within {allowed}");
    }
}
