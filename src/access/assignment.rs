//! Who has which role: assignments to users, groups and service principals, and application roles of tokens. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

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

/// The roles that the subjects of one authority have at one service. A handle: what one of its clones becomes, all are.
#[derive(Debug, Clone, Default)]
pub struct Roles(Arc<ArcSwap<Assigned>>);

/// What is assigned at one time.
#[derive(Debug, Clone, Default)]
struct Assigned {
    /// Counts the changes.
    generation: u64,
    to: HashMap<(Holder, String), Actions>,
    of_claims: HashMap<String, Actions>,
}

impl Roles {
    /// Assigns a role: to a subject (`oid`, or `sub` where tokens have no `oid`), or to a group as tokens name it.
    pub fn assign(&mut self, role: Role, holder: Holder, name: impl Into<String>) {
        let name = name.into();
        self.change(|assigned| *assigned.to.entry((holder, name.clone())).or_default() |= role.actions());
    }

    /// Has an application role that tokens bring stand for a role.
    pub fn map(&mut self, claim: impl Into<String>, role: Role) {
        let claim = claim.into();
        self.change(|assigned| *assigned.of_claims.entry(claim.clone()).or_default() |= role.actions());
    }

    /// Puts what others say in the place of what was assigned so far.
    pub fn r#become(&self, others: &Roles) {
        let others = others.0.load_full();
        let now = self.0.load();
        if now.to != others.to || now.of_claims != others.of_claims {
            self.change(|assigned| {
                (assigned.to, assigned.of_claims) = (others.to.clone(), others.of_claims.clone());
            });
        }
    }

    /// Which change of them is the last. Whoever keeps what came of them looks here whether it still does.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.load().generation
    }

    fn change(&self, change: impl Fn(&mut Assigned)) {
        self.0.rcu(|now| {
            let mut next = Assigned::clone(now);
            change(&mut next);
            next.generation += 1;
            next
        });
    }

    /// What a role that is assigned to somebody by name allows.
    #[must_use]
    pub fn of_subject(&self, holder: Holder, name: &str) -> Actions {
        self.0.load().to.get(&(holder, name.to_owned())).copied().unwrap_or_default()
    }

    /// What the subject of a token may do. A role that is assigned to a user is none of an application of the same name, as far
    /// as tokens tell the two apart.
    #[must_use]
    pub fn of(&self, claims: &Claims) -> Actions {
        let now = self.0.load();
        let assigned =
            |holder, name: &str| now.to.get(&(holder, name.to_owned())).copied().unwrap_or_default();
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
            actions |= now.of_claims.get(role).copied().unwrap_or_default();
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
    fn what_one_handle_becomes_all_are_and_know_that_they_changed() {
        let mut roles = Roles::default();
        roles.assign(Role::FhirDataReader, Holder::User, "ann");
        roles.map("globalReader", Role::FhirDataReader);
        let (handle, before) = (roles.clone(), roles.generation());
        let read = |subject: &str| handle.of(&claims(subject, &[], &[], None)).has(Action::Search);
        let mut others = Roles::default();
        others.assign(Role::FhirDataReader, Holder::User, "bob");
        roles.r#become(&others);
        assert!(!read("ann") && read("bob"));
        assert!(!handle.of(&claims("app", &[], &["globalReader"], None)).has(Action::Search));
        assert!(handle.generation() > before);
        let before = handle.generation();
        roles.r#become(&others);
        assert_eq!(handle.generation(), before, "nothing has changed");
        // They are no handle of the others.
        others.assign(Role::FhirDataReader, Holder::User, "ann");
        assert!(!read("ann"));
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
