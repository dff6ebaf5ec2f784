//! Scopes in words, for those who are asked for consent.

use anamnesis_smart::{ScopeContext, ScopeShown, ScopesRead};

use crate::access::Scopes;
use crate::access::scope::{BREAK_GLASS, Context, Letter, Letters, Scope};

/// Scopes with what is told of them.
pub(super) fn shown(scopes: &Scopes) -> ScopesRead {
    let others = scopes.others().iter().map(|name| {
        let (context, words) = of_other(name);
        ScopeShown { text: name.clone(), context, words: words.to_owned() }
    });
    let resources = scopes.resources().iter().map(|scope| ScopeShown {
        text: scope.to_string(),
        context: match scope.context {
            Context::Patient => ScopeContext::Patient,
            Context::User => ScopeContext::User,
            Context::System => ScopeContext::System,
        },
        words: of_resources(scope),
    });
    ScopesRead { shown: others.chain(resources).collect() }
}

fn of_other(name: &str) -> (ScopeContext, &'static str) {
    match name {
        "openid" => (ScopeContext::Identity, "Know that it is you, by a number"),
        "fhirUser" => (ScopeContext::Identity, "Know which person of the health record you are"),
        "profile" => (ScopeContext::Identity, "Know your name"),
        "email" => (ScopeContext::Identity, "Know your e-mail address"),
        "offline_access" => (ScopeContext::Duration, "Go on while you are away, until you take it back"),
        "online_access" => (ScopeContext::Duration, "Go on while you are signed in"),
        BREAK_GLASS => (ScopeContext::Emergency, "Open a record in an emergency"),
        _ if name.ends_with("encounter") => (ScopeContext::Launch, "Know which visit is open"),
        _ if name.ends_with("practitioner") => (ScopeContext::Launch, "Know which practitioner is meant"),
        _ if name.ends_with("patient") => (ScopeContext::Launch, "Know whose record is open"),
        _ => (ScopeContext::Launch, "Know what is open where it was started"),
    }
}

fn of_resources(scope: &Scope) -> String {
    let does = does(scope.letters);
    let what = match scope.resource_type {
        Some(name) => spaced(name),
        None => "everything".to_owned(),
    };
    let whose = match scope.context {
        Context::Patient => " of this patient's record",
        Context::User => " that you may use yourself",
        Context::System => " of this server",
    };
    let only = match scope.arguments.as_slice() {
        [] => String::new(),
        arguments => {
            let all: Vec<String> = arguments.iter().map(|(name, value)| format!("{name} {value}")).collect();
            format!(", only where {}", all.join(" and "))
        }
    };
    format!("{does}: {what}{whose}{only}")
}

fn does(letters: Letters) -> String {
    let words = [
        (Letter::Read, "Read"),
        (Letter::Search, "Search"),
        (Letter::Create, "Add"),
        (Letter::Update, "Change"),
        (Letter::Delete, "Delete"),
    ];
    let all: Vec<&str> =
        words.iter().filter(|(letter, _)| letters.has(*letter)).map(|(_, word)| *word).collect();
    all.join(", ")
}

/// The name of a type as words: `MedicationRequest` is "Medication Request".
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (at, character) in name.char_indices() {
        if at > 0 && character.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(character);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_words_of_its_own() {
        let text = "openid fhirUser launch/patient patient/*.rs patient/MedicationRequest.cud \
                    patient/Observation.rs?category=laboratory";
        let scopes = shown(&Scopes::parse(text).unwrap());
        let words: Vec<&str> = scopes.shown.iter().map(|scope| scope.words.as_str()).collect();
        assert_eq!(
            words,
            [
                "Know that it is you, by a number",
                "Know which person of the health record you are",
                "Know whose record is open",
                "Read, Search: everything of this patient's record",
                "Add, Change, Delete: Medication Request of this patient's record",
                "Read, Search: Observation of this patient's record, only where category laboratory",
            ]
        );
        assert_eq!(scopes.shown[4].text, "patient/MedicationRequest.cud");
    }
}
