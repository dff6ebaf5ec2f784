//! Who has which role: assignments to users, groups and service principals, and application roles of tokens. Pure.

use std::collections::HashMap;

use super::action::Actions;
use super::role::Role;
use super::token::claims::Claims;

/// What a role is assigned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Somebody who signs in.
    User,
    /// Whoever is a member of a group.
    Group,
    /// An application that acts for itself.
    ServicePrincipal,
}

/// The roles that the subjects of one authority have at one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roles {
    assigned: HashMap<(Holder, String), Actions>,
    of_claims: HashMap<String, Actions>,
}

impl Roles {
    /// Assigns a role: to a subject (`oid`, or `sub` where tokens have no `oid`), or to a group as tokens name it.
    pub fn assign(&mut self, role: Role, holder: Holder, name: impl Into<String>) {
        *self.assigned.entry((holder, name.into())).or_default() |= role.actions();
    }

    /// Has an application role that tokens bring stand for a role.
    pub fn map(&mut self, claim: impl Into<String>, role: Role) {
        *self.of_claims.entry(claim.into()).or_default() |= role.actions();
    }

    /// What the subject of a token may do. A role that is assigned to a user is none of an application of the same name, as far
    /// as tokens tell the two apart.
    #[must_use]
    pub fn of(&self, claims: &Claims) -> Actions {
        let assigned =
            |holder, name: &str| self.assigned.get(&(holder, name.to_owned())).copied().unwrap_or_default();
        let mut actions = Actions::NONE;
        if claims.is_application != Some(true) {
            actions |= assigned(Holder::User, &claims.subject);
        }
        if claims.is_application != Some(false) {
            actions |= assigned(Holder::ServicePrincipal, &claims.subject);
        }
        for group in &claims.groups {
            actions |= assigned(Holder::Group, group);
        }
        for role in &claims.roles {
            actions |= self.of_claims.get(role).copied().unwrap_or_default();
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Action;

    fn claims(subject: &str, groups: &[&str], roles: &[&str], is_application: Option<bool>) -> Claims {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Claims {
            subject: subject.into(),
            issuer: "https://id.example".into(),
            client: None,
            display: None,
            roles: owned(roles),
            groups: owned(groups),
            is_application,
            ends_at_s: 0,
            all: serde_json::Map::new(),
        }
    }

    #[test]
    fn roles_add_up_and_nobody_has_one_by_default() {
        let mut roles = Roles::default();
        roles.assign(Role::FhirDataReader, Holder::User, "ann");
        roles.assign(Role::FhirDataConverter, Holder::Group, "lab");
        roles.assign(Role::Auditor, Holder::User, "ann");
        assert!(roles.of(&claims("bob", &[], &["FHIR Data Reader"], None)).is_empty());
        let ann = roles.of(&claims("ann", &["lab", "other"], &[], None));
        for action in [Action::Search, Action::ConvertData, Action::Audit] {
            assert!(ann.has(action), "{action}");
        }
        assert!(!ann.has(Action::Update));
        assert!(roles.of(&claims("lab", &["ann"], &[], None)).is_empty(), "a group is no user");
    }

    #[test]
    fn a_role_of_a_user_is_none_of_an_application() {
        let mut roles = Roles::default();
        roles.assign(Role::FhirDataReader, Holder::User, "one");
        roles.assign(Role::FhirDataConverter, Holder::ServicePrincipal, "one");
        let read = |kind| roles.of(&claims("one", &[], &[], kind)).has(Action::Search);
        let converts = |kind| roles.of(&claims("one", &[], &[], kind)).has(Action::ConvertData);
        assert!(!read(Some(true)) && converts(Some(true)));
        assert!(read(Some(false)) && !converts(Some(false)));
        assert!(read(None) && converts(None), "tokens that do not tell are of both");
    }

    #[test]
    fn application_roles_count_where_they_are_configured() {
        let mut roles = Roles::default();
        assert!(roles.of(&claims("app", &[], &["globalReader"], None)).is_empty());
        roles.map("globalReader", Role::FhirDataReader);
        assert!(roles.of(&claims("app", &[], &["globalReader"], None)).has(Action::Search));
    }
}
