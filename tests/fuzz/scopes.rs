//! Scopes: what is read can be written and read again, and a grant gives nothing that no scope names.

use anamnesis::access::grant::{Claims, Grant};
use anamnesis::access::scope::{
    ARGUMENTS_MAX, Context, Letter, SCOPES_LENGTH_MAX, SCOPES_MAX, Scope, Scopes,
};
use anamnesis_fhir::definitions;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) const WORDS: &[&str] = &[
    "patient/",
    "user/",
    "system/",
    "patient$",
    "patient.",
    "*.rs",
    "all.read",
    "*.*",
    ".cruds",
    ".c",
    ".write",
    ".read",
    "Observation",
    "Patient",
    "Practitioner",
    "launch/patient",
    "openid",
    "fhirUser",
    "offline_access",
    " ",
    "  ",
    "?category=laboratory",
    "&code=http://loinc.org|1-1",
    "?_tag=a",
    "?_id=a",
    "?_sort=a",
    "?subject.name=a",
    "?code:not=a",
    "%2",
    "%00",
    "%26",
    "%3D",
    "+",
    "=",
    "patient/Observation.rs?code=a&status=final",
];

pub(crate) fn run(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
    let (strict, of_token) = (Scopes::parse(text), Scopes::of_token(text));
    if let Ok(scopes) = &strict {
        assert_eq!(of_token.as_ref(), Ok(scopes), "what is understood is not passed over");
    }
    let outcome = match &of_token {
        Ok(scopes) => {
            checked(scopes);
            let arguments = scopes.resources().iter().map(|scope| scope.arguments.len()).max();
            format!("{} {} {arguments:?}", scopes.resources().len().min(5), scopes.others().len().min(3))
        }
        Err(error) => name(&format!("{error:?}")),
    };
    let refused = strict.err().map(|error| name(&format!("{error:?}")));
    format!("{outcome} {refused:?}")
}

/// The name of an error, without its place.
fn name(error: &str) -> String {
    error.split('(').next().unwrap().to_owned()
}

type Plain<'s> = (Context, Option<&'static str>, String, &'s [(String, String)]);

/// A scope without the form that it was written in.
fn plain(scope: &Scope) -> Plain<'_> {
    (scope.context, scope.resource_type, scope.letters.to_string(), &scope.arguments)
}

fn checked(scopes: &Scopes) {
    assert!(scopes.resources().len() <= SCOPES_MAX);
    for scope in scopes.resources() {
        assert!(Letter::ALL.iter().any(|letter| scope.letters.has(*letter)), "{scope:?} allows nothing");
        assert!(scope.arguments.len() <= ARGUMENTS_MAX);
        let is_criterion = |(name, value): &(String, String)| !name.is_empty() && !value.is_empty();
        assert!(scope.arguments.iter().all(is_criterion), "{scope:?}");
    }
    let written = write(scopes);
    if written.len() <= SCOPES_LENGTH_MAX {
        let again = Scopes::parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
        let all = |scopes: &Scopes| {
            scopes.resources().iter().map(|scope| format!("{:?}", plain(scope))).collect::<Vec<_>>()
        };
        assert_eq!(all(&again), all(scopes), "{written}");
        assert_eq!(again.others(), scopes.others(), "{written}");
    }
    let claims = Claims { patient: Some("p"), fhir_user: Some("RelatedPerson/r"), ..Claims::default() };
    if let Ok(grant) = Grant::new(scopes.clone(), &claims) {
        granted(scopes, &grant);
    }
}

/// The scopes as SMART's second version writes them.
fn write(scopes: &Scopes) -> String {
    let of_resources = scopes.resources().iter().map(|scope| {
        let name = scope.resource_type.unwrap_or("*");
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let arguments: Vec<String> = scope
            .arguments
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let mark = if arguments.is_empty() { "" } else { "?" };
        format!("{}/{name}.{}{mark}{}", scope.context, scope.letters, arguments.join("&"))
    });
    of_resources.chain(scopes.others().iter().cloned()).collect::<Vec<_>>().join(" ")
}

/// Nothing is allowed that no scope allows, and nothing of everybody to whom acts for one.
fn granted(scopes: &Scopes, grant: &Grant) {
    const OF_EVERYBODY: [&str; 4] = ["Location", "Medication", "Organization", "Practitioner"];
    for letter in Letter::ALL {
        let restriction = grant.restriction(letter);
        for name in definitions::r4().resource_types().iter().copied() {
            if !grant.allows(letter, Some(name)) {
                continue;
            }
            let is_named = |scope: &&Scope| scope.resource_type.is_none_or(|own| own == name);
            let mut naming =
                scopes.resources().iter().filter(|scope| scope.letters.has(letter)).filter(is_named);
            assert!(naming.clone().next().is_some(), "{letter:?} of {name} is of no scope");
            let is_of_everybody =
                OF_EVERYBODY.contains(&name) && matches!(letter, Letter::Read | Letter::Search);
            if naming.all(|scope| scope.context != Context::System) && !is_of_everybody {
                let all = restriction.of(name);
                let is_bounded = !restriction.has_all(name) && all.iter().all(|one| one.within.is_some());
                assert!(is_bounded, "{letter:?} of {name} is not bounded to anybody");
            }
        }
    }
}
