//! Which of the scopes that an app asks for somebody can grant.

use crate::client::{Client, GrantType};
use crate::host::{ScopeContext, ScopeShown, ScopesRead};

/// Scopes as this user may grant them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grantable {
    /// What the user may leave out.
    pub(crate) optional: Vec<ScopeShown>,
    /// What comes with it.
    pub(crate) fixed: Vec<ScopeShown>,
    /// What this user cannot give.
    pub(crate) withheld: Vec<ScopeShown>,
}

/// Scopes that somebody may be asked for: none of `system`, no refresh tokens for clients that take none, and nothing of a launch
/// where there was none.
pub(crate) fn for_users(read: ScopesRead, client: &Client, has_launch: bool) -> Vec<ScopeShown> {
    let goes = |scope: &ScopeShown| match scope.context {
        ScopeContext::System => false,
        ScopeContext::Duration => client.may(GrantType::RefreshToken),
        // There is no page on which anything but a patient is chosen.
        ScopeContext::Launch => has_launch || matches!(scope.text.as_str(), "launch" | "launch/patient"),
        _ => true,
    };
    read.shown.into_iter().filter(goes).collect()
}

/// Whether scopes open anything: to last long, and to say what was opened, is nothing by itself.
pub(crate) fn says_anything(scopes: &[ScopeShown]) -> bool {
    scopes.iter().any(|scope| !matches!(scope.context, ScopeContext::Duration | ScopeContext::Emergency))
}

/// Whether a patient has to be known.
pub(crate) fn needs_patient(scopes: &[ScopeShown]) -> bool {
    scopes.iter().any(|scope| {
        matches!(scope.context, ScopeContext::Patient | ScopeContext::Emergency)
            || scope.text == "launch/patient"
    })
}

/// With blanks between.
pub(crate) fn joined(scopes: &[ScopeShown]) -> String {
    scopes.iter().map(|scope| scope.text.as_str()).collect::<Vec<_>>().join(" ")
}

impl Grantable {
    /// Sorts scopes for somebody. `has_role` is whether it may let apps act for more than one patient.
    pub(crate) fn new(read: Vec<ScopeShown>, has_role: bool, is_emergency: bool) -> Self {
        let mut sorted = Self::default();
        for scope in read {
            match scope.context {
                ScopeContext::User if !has_role => sorted.withheld.push(scope),
                ScopeContext::Emergency if !is_emergency => {}
                // Tokens of an emergency are not refreshed.
                ScopeContext::Duration if is_emergency => {}
                ScopeContext::Emergency | ScopeContext::Launch => sorted.fixed.push(scope),
                _ => sorted.optional.push(scope),
            }
        }
        sorted
    }

    /// Everything that may be granted, in the order of the page.
    pub(crate) fn all(&self) -> Vec<ScopeShown> {
        self.optional.iter().chain(&self.fixed).cloned().collect()
    }

    /// What is granted of it: what was chosen, and what comes with it.
    pub(crate) fn chosen<'a>(&self, chosen: impl Iterator<Item = &'a str>) -> Vec<ScopeShown> {
        let chosen: Vec<&str> = chosen.collect();
        let optional = self.optional.iter().filter(|scope| chosen.contains(&scope.text.as_str()));
        optional.chain(&self.fixed).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str, context: ScopeContext) -> ScopeShown {
        ScopeShown { text: text.into(), context, words: String::new() }
    }

    #[test]
    fn nobody_grants_more_than_what_was_asked_for_and_may_be_given() {
        let read = vec![
            scope("patient/*.rs", ScopeContext::Patient),
            scope("user/*.rs", ScopeContext::User),
            scope("launch/patient", ScopeContext::Launch),
            scope("break-glass", ScopeContext::Emergency),
            scope("offline_access", ScopeContext::Duration),
        ];
        let poor = Grantable::new(read.clone(), false, false);
        assert_eq!(joined(&poor.all()), "patient/*.rs offline_access launch/patient");
        assert_eq!(joined(&poor.withheld), "user/*.rs");
        let chosen = poor.chosen(["user/*.rs", "system/*.cruds", "patient/*.rs"].into_iter());
        assert_eq!(joined(&chosen), "patient/*.rs launch/patient");
        let rich = Grantable::new(read, true, true);
        assert_eq!(joined(&rich.all()), "patient/*.rs user/*.rs launch/patient break-glass");
        assert_eq!(joined(&rich.chosen(std::iter::empty())), "launch/patient break-glass");
    }
}
