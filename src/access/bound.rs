//! What the scopes of a token leave of the rights that its subject's roles give.

use std::sync::Arc;

use super::action::{Action, Actions};
use super::grant::{self, Grant};
use super::scope::{Letter, Scopes};
use super::token::claims::Claims;

/// The rights of a principal, and the grant that bounds it where there is one: of who has the role FHIR SMART User, and of
/// tokens that are `always` bounded, whatever roles there are. Other roles go no further than scopes then, and scopes no
/// further than other roles where there are any. Who may act only within scopes and has none that can be enforced may do
/// nothing.
pub(super) fn bounded(
    roles: Actions,
    always: bool,
    claims: &Claims,
    bases: &[String],
) -> (Actions, Option<Arc<Grant>>) {
    const SMART: Actions = Actions::of(&[Action::Smart]);
    if !always && !roles.has(Action::Smart) {
        return (roles, None);
    }
    let Some(grant) = read(claims, bases) else { return (SMART, None) };
    let allowed = letters(grant.scopes());
    let others = roles.without(SMART);
    let actions = if others.is_empty() { allowed } else { allowed.within(others) };
    (actions | SMART, Some(Arc::new(grant)))
}

/// The grant of a token; `None` where its scopes, or whom it was given for, cannot be understood.
fn read(claims: &Claims, bases: &[String]) -> Option<Grant> {
    let text = |name: &str| claims.all.get(name).and_then(serde_json::Value::as_str);
    // RFC 9068 section 2.2.3 has `scope`; Entra's tokens have `scp`.
    let scopes = Scopes::of_token(text("scope").or_else(|| text("scp"))?).ok()?;
    let beside = grant::Claims {
        patient: text("patient"),
        fhir_user: text("fhirUser"),
        encounter: text("encounter"),
        bases,
    };
    Grant::new(scopes, &beside).ok()
}

/// The data actions that scopes are about. Which resources, is for the grant to say.
fn letters(scopes: &Scopes) -> Actions {
    let of_letter = |letter| match letter {
        Letter::Create => Actions::of(&[Action::Create]),
        Letter::Read => Actions::of(&[Action::ReadById]),
        Letter::Update => Actions::of(&[Action::Update]),
        Letter::Delete => Actions::of(&[Action::Delete]),
        Letter::Search => Actions::of(&[Action::Search, Action::Export]),
    };
    let all = scopes
        .resources()
        .iter()
        .flat_map(|scope| Letter::ALL.into_iter().filter(|one| scope.letters.has(*one)));
    all.fold(Actions::NONE, |actions, letter| actions | of_letter(letter))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use serde_json::json;

    use super::*;
    use crate::access::Role;

    fn claims(all: &serde_json::Value) -> Claims {
        Claims {
            subject: "x".into(),
            issuer: "https://id.example".into(),
            client: None,
            display: None,
            roles: Vec::new(),
            groups: Vec::new(),
            is_application: None,
            ends_at_s: 0,
            all: all.as_object().unwrap().clone(),
        }
    }

    fn of(roles: &[Role], always: bool, all: &serde_json::Value) -> (Actions, Option<Arc<Grant>>) {
        let roles = roles.iter().fold(Actions::NONE, |all, role| all | role.actions());
        bounded(roles, always, &claims(all), &[])
    }

    #[test]
    fn who_is_not_bounded_has_the_rights_of_roles() {
        let (actions, grant) =
            of(&[Role::FhirDataReader], false, &json!({"scope": "patient/*.c", "patient": "1"}));
        assert!(actions == Role::FhirDataReader.actions() && grant.is_none());
    }

    #[test]
    fn scopes_that_cannot_be_enforced_leave_nothing() {
        for all in [
            json!({}),
            json!({"scope": ""}),
            json!({"scope": ["patient/*.rs"], "patient": "1"}),
            json!({"scope": "patient/*.rs"}),
            json!({"scope": "patient/*.rs", "patient": "no id!"}),
            json!({"scope": "patient/*.rs user/*.rs", "patient": "1"}),
            json!({"scope": "openid launch"}),
        ] {
            for (roles, always) in [
                (&[Role::FhirSmartUser][..], false),
                (&[Role::FhirSmartUser, Role::FhirDataContributor], false),
                (&[Role::FhirDataContributor], true),
                (&[], true),
            ] {
                let (actions, grant) = of(roles, always, &all);
                assert!(grant.is_none() && actions == Actions::of(&[Action::Smart]), "{all} {roles:?}");
            }
        }
    }

    #[test]
    fn roles_and_scopes_bound_each_other() {
        let all = json!({"scope": "patient/Observation.rs patient/Patient.cu", "patient": "1"});
        let (actions, grant) = of(&[Role::FhirSmartUser], false, &all);
        assert_eq!(grant.unwrap().patient(), Some("1"));
        let of_scopes =
            [Action::ReadById, Action::Search, Action::Export, Action::Create, Action::Update, Action::Smart];
        assert_eq!(actions, Actions::of(&of_scopes));
        let (actions, grant) = of(&[Role::FhirSmartUser, Role::FhirDataReader], false, &all);
        assert!(grant.is_some());
        assert_eq!(actions, Actions::of(&[Action::ReadById, Action::Search, Action::Smart]));
    }

    #[test]
    fn the_scopes_of_entra_are_read_too() {
        let (_, grant) = of(&[], true, &json!({"scp": "patient/*.rs email", "patient": "1"}));
        assert!(grant.is_some());
    }
}
