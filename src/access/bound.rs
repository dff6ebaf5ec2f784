//! What the scopes of a token leave of the rights that its subject's roles give.
//!
//! Tokens of this server's own authorization server are bounded by more than roles and scopes: a user without a role may let
//! apps see what is about that user, an app that acts for itself has what it was registered for, and in an emergency a user
//! with the role for it reads any one record.

use std::sync::Arc;

use super::action::{Action, Actions};
use super::grant::{self, Grant};
use super::scope::{Context, Letter, Scopes};
use super::token::claims::Claims;

const SMART: Actions = Actions::of(&[Action::Smart]);
/// What scopes are about: roles give an app that acts for itself nothing more of these.
const OF_SCOPES: Actions = Actions::of(&[
    Action::Create,
    Action::ReadById,
    Action::Update,
    Action::Delete,
    Action::Search,
    Action::Export,
]);
/// The claim with the reason of an emergency, in tokens of this server's own authorization server.
pub(super) const BREAK_GLASS: &str = "break_glass";

/// What a token gives.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Bounded {
    pub(super) actions: Actions,
    pub(super) grant: Option<Arc<Grant>>,
    /// Why the glass was broken.
    pub(super) emergency: Option<Arc<str>>,
}

/// The rights that a token of this server's own authorization server gives; `roles` are those of its subject. Its scopes
/// bound it always. Without a grant that can be enforced there are none.
pub(super) fn bounded_own(roles: Actions, claims: &Claims, bases: &[String]) -> Bounded {
    const READ: Actions = Actions::of(&[Action::ReadById, Action::Search]);
    let Some(grant) = read(claims, bases) else { return Bounded { actions: SMART, ..Bounded::default() } };
    let allowed = letters(grant.scopes());
    let reason = claims.all.get(BREAK_GLASS).and_then(serde_json::Value::as_str);
    let of_roles = roles.without(SMART).without(Actions::of(&[Action::BreakGlass]));
    let (actions, emergency) = match reason {
        // One record, and nothing is changed in it. Whoever has lost the role has lost this, too.
        Some(reason) if roles.has(Action::BreakGlass) && is_of_one_patient(&grant) => {
            (allowed.within(READ), Some(Arc::from(reason)))
        }
        Some(_) => (Actions::NONE, None),
        // What an app may do for itself is settled when it is registered. What has no scopes, such as to erase for good or to read
        // the audit log, roles that are assigned to the app say.
        None if is_of_system(&grant) => (allowed | of_roles.without(OF_SCOPES), None),
        None if is_of_its_user(&grant) => (allowed, None),
        None if of_roles.is_empty() && roles.has(Action::Smart) => (allowed, None),
        None => (allowed.within(of_roles), None),
    };
    Bounded { actions: actions | SMART, grant: Some(Arc::new(grant)), emergency }
}

fn is_of_system(grant: &Grant) -> bool {
    grant.scopes().resources().iter().all(|scope| scope.context == Context::System)
}

fn is_of_one_patient(grant: &Grant) -> bool {
    grant.scopes().resources().iter().all(|scope| scope.context == Context::Patient)
        && grant.owner().is_some_and(|(name, _)| name == "Patient")
}

/// Whether the compartment that it is bounded to is that of the user, a patient.
fn is_of_its_user(grant: &Grant) -> bool {
    let has_system = grant.scopes().resources().iter().any(|scope| scope.context == Context::System);
    !has_system && grant.owner().is_some_and(|owner| owner.0 == "Patient" && grant.fhir_user() == Some(owner))
}

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

    fn own(roles: &[Role], all: &serde_json::Value) -> Bounded {
        let roles = roles.iter().fold(Actions::NONE, |all, role| all | role.actions());
        bounded_own(roles, &claims(all), &[])
    }

    #[test]
    fn a_patient_sees_the_own_record_without_a_role_and_no_other() {
        let mut all = json!({"scope": "patient/*.rs", "patient": "1", "fhirUser": "Patient/1"});
        let may = Actions::of(&[Action::ReadById, Action::Search, Action::Export, Action::Smart]);
        assert_eq!(own(&[], &all).actions, may);
        all["patient"] = json!("2");
        assert_eq!(own(&[], &all).actions, SMART, "of somebody else");
        all["fhirUser"] = json!("Practitioner/1");
        assert_eq!(own(&[], &all).actions, SMART, "without a role");
        let reader = own(&[Role::FhirDataReader], &all);
        assert_eq!(reader.actions, Actions::of(&[Action::ReadById, Action::Search, Action::Smart]));
        assert_eq!(reader.grant.unwrap().patient(), Some("2"));
        assert_eq!(own(&[Role::FhirSmartUser], &all).actions, may, "as far as scopes go");
    }

    #[test]
    fn an_app_that_acts_for_itself_has_what_it_was_registered_for() {
        let one = own(&[], &json!({"scope": "system/Observation.rs"}));
        assert!(one.actions.has(Action::Search) && !one.actions.has(Action::Create));
        let auditor = own(&[Role::Auditor], &json!({"scope": "system/Observation.rs"}));
        assert!(auditor.actions.has(Action::Audit) && !auditor.actions.has(Action::Create));
        let contributor = own(&[Role::FhirDataContributor], &json!({"scope": "system/Observation.rs"}));
        assert!(contributor.actions.has(Action::HardDelete) && !contributor.actions.has(Action::Create));
        let mixed = json!({"scope": "system/*.rs user/*.rs", "fhirUser": "Patient/1"});
        assert_eq!(own(&[], &mixed).actions, SMART, "a user brings none of that");
    }

    #[test]
    fn in_an_emergency_one_record_is_read_by_those_with_the_role() {
        let mut all = json!({"scope": "patient/*.cruds", "patient": "1", "fhirUser": "Practitioner/1",
            "break_glass": "unconscious, no relatives"});
        assert_eq!(own(&[Role::FhirDataContributor], &all).actions, SMART, "without that role");
        let emergency = own(&[Role::EmergencyAccess], &all);
        assert_eq!(emergency.actions, Actions::of(&[Action::ReadById, Action::Search, Action::Smart]));
        assert_eq!(emergency.emergency.as_deref(), Some("unconscious, no relatives"));
        all["scope"] = json!("user/*.rs");
        assert_eq!(own(&[Role::EmergencyAccess], &all).actions, SMART, "of one patient alone");
        let calm = json!({"scope": "patient/*.rs", "patient": "1", "fhirUser": "Practitioner/1"});
        assert_eq!(own(&[Role::EmergencyAccess], &calm).actions, SMART, "only with a reason");
    }

    #[test]
    fn the_scopes_of_entra_are_read_too() {
        let (_, grant) = of(&[], true, &json!({"scp": "patient/*.rs email", "patient": "1"}));
        assert!(grant.is_some());
    }
}
