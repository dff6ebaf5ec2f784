//! Makes the gates that the settings ask for, and keeps the authorities behind them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use url::Url;

use super::smart::Smart;
use crate::access::assignment::{Holder, Roles};
use crate::access::gate::{Gate, Trusted};
use crate::access::role::Role;
use crate::access::token::authority::{Authority, Source};
use crate::access::token::claims::{ClaimNames, Expected};
use crate::access::token::issuer::Issuers;
use crate::access::token::jwt::ALGORITHMS;
use crate::access::token::keeper::{Keeper, KeeperOptions};
use crate::api::Service;
use crate::config::{AuthenticationSettings, PrincipalType, RoleAssignment, Settings, WorkspaceSettings};

/// Authorities that are asked for their keys, each once however many services trust it; and the roles behind each gate.
#[derive(Default)]
pub(super) struct Authorities {
    keepers: HashMap<String, Arc<Keeper>>,
    roles: Vec<(Place, Roles)>,
}

/// What a gate stands before: a workspace, and its service where it is not the workspace itself.
type Place = (String, Option<String>);

/// The roles behind all gates, which change when the settings do.
pub(super) struct Assignments(Vec<(Place, Roles)>);

impl Assignments {
    /// Has roles as these settings say. Whoever was let in before has them from the next request on.
    pub(super) fn take_over(&self, settings: &Settings) {
        for ((workspace, service), roles) in &self.0 {
            let Some(of_workspace) = settings.workspaces.get(workspace) else { continue };
            let own = match service {
                None => Some(self::roles(&of_workspace.authentication, &[&of_workspace.role_assignments])),
                Some(name) => of_workspace.services.get(name).map(|own| {
                    self::roles(&own.authentication, &[&of_workspace.role_assignments, &own.role_assignments])
                }),
            };
            match own {
                Some(Ok(own)) => roles.r#become(&own),
                // Names of roles are checked when the settings are read.
                Some(Err(error)) => tracing::error!(%error, workspace, "roles stay as they were"),
                None => {}
            }
        }
    }
}

impl Authorities {
    /// The roles behind the gates that were made.
    pub(super) fn assignments(self) -> Assignments {
        Assignments(self.roles)
    }

    /// The gate of a service, or of a workspace.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    fn gate(
        &mut self,
        place: Place,
        (own, public_url): (&AuthenticationSettings, Option<&str>),
        assignments: &[&[RoleAssignment]],
        smart: Option<&Smart>,
    ) -> anyhow::Result<Arc<Gate>> {
        // The authorization server asks for the same roles, and has to know of their changes.
        let roles = match smart {
            Some(smart) => smart.roles.clone(),
            None => roles(own, assignments)?,
        };
        self.roles.push((place, roles.clone()));
        let smart = smart.map(|smart| smart.trusted(own.clock_skew_s));
        let asked = match &own.authority {
            Some(address) => Some(self.trusted((own, address), public_url, roles)?),
            None => None,
        };
        let trusted: Vec<Trusted> = asked.into_iter().chain(smart).collect();
        Ok(if trusted.is_empty() { Gate::open() } else { Gate::guarded(trusted) })
    }

    /// An authority that is asked for its keys.
    fn trusted(
        &mut self,
        (own, address): (&AuthenticationSettings, &str),
        public_url: Option<&str>,
        roles: Roles,
    ) -> anyhow::Result<Trusted> {
        let source = Source::Asked(self.keeper(address, own)?);
        let named = |(name, it): &(&str, _)| own.algorithms.iter().any(|own| own == name).then_some(*it);
        let expected = Expected {
            audiences: own.audiences(public_url),
            clock_skew_s: own.clock_skew_s,
            names: ClaimNames {
                object_id: own.object_id_claim.clone(),
                roles: own.roles_claim.clone(),
                groups: own.groups_claim.clone(),
            },
        };
        let authority = Authority {
            source,
            algorithms: ALGORITHMS.iter().filter_map(named).collect(),
            expected: Arc::new(expected),
        };
        let bases = public_url.map(|url| url.trim_end_matches('/').to_owned()).into_iter().collect();
        Ok(Trusted { authority, roles, is_bounded_by_scopes: false, own: None, bases })
    }

    /// The gate of what a workspace has beside its services, where it has an authority of its own.
    ///
    /// # Errors
    /// See [`Authorities::gate`].
    fn of_workspace(
        &mut self,
        name: &str,
        workspace: &WorkspaceSettings,
        smarts: &[Smart],
    ) -> anyhow::Result<Option<Arc<Gate>>> {
        let own = &workspace.authentication;
        if own.audiences(None).is_empty() || own.authority.is_none() {
            return Ok(None);
        }
        self.gate((name.to_owned(), None), (own, None), &[&workspace.role_assignments], smarts.first())
            .map(Some)
    }

    fn keeper(&mut self, address: &str, own: &AuthenticationSettings) -> anyhow::Result<Arc<Keeper>> {
        let url: Url = address.parse().with_context(|| format!("the authority {address} is no address"))?;
        let are_named = !own.issuers.is_empty();
        let issuers = match are_named {
            true => Issuers::named(&own.issuers, &own.tenants),
            false => Issuers::of_authority(&url, &own.tenants),
        };
        let options = KeeperOptions {
            every: Duration::from_secs(own.keys_refresh_s),
            stale_max: Duration::from_secs(own.keys_stale_max_s),
            ..KeeperOptions::default()
        };
        let name = format!("{url} {issuers:?} {options:?}");
        if let Some(keeper) = self.keepers.get(&name) {
            return Ok(keeper.clone());
        }
        let keeper =
            Keeper::start(url, (issuers, are_named), options).context("cannot make a client of HTTP")?;
        let keeper = Arc::new(keeper);
        self.keepers.insert(name, keeper.clone());
        Ok(keeper)
    }
}

/// Puts the gates that the settings ask for before the services of a workspace; gives that of the workspace itself, where
/// it has one of its own.
///
/// # Errors
/// See [`Authorities::gate`].
pub(super) fn guard(
    services: &mut [Service],
    (name, workspace): (&str, &WorkspaceSettings),
    authorities: &mut Authorities,
    smarts: &[Smart],
) -> anyhow::Result<Option<Arc<Gate>>> {
    for service in services {
        let own = workspace.services.get(&service.name).context("a service has no settings")?;
        let assignments = [workspace.role_assignments.as_slice(), own.role_assignments.as_slice()];
        let smart = smarts.iter().find(|smart| smart.is_of(service));
        let place = (name.to_owned(), Some(service.name.clone()));
        let public_url = own.public_url.as_deref();
        let gate = authorities.gate(place, (&own.authentication, public_url), &assignments, smart)?;
        *service = service.clone().with_gate(gate);
        if let Some(smart) = smart {
            *service = service.clone().with_security(smart.endpoints());
        }
        service.share(!own.cors.allowed_origins.is_empty());
    }
    authorities.of_workspace(name, workspace, smarts)
}

/// Who has which role, as it is configured.
///
/// # Errors
/// There is no such role.
pub(super) fn roles(
    own: &AuthenticationSettings,
    assignments: &[&[RoleAssignment]],
) -> anyhow::Result<Roles> {
    let named = |name: &str| Role::named(name).with_context(|| format!("there is no role `{name}`"));
    let mut roles = Roles::default();
    for assignment in assignments.iter().copied().flatten() {
        let holder = match assignment.principal_type {
            PrincipalType::User => Holder::User,
            PrincipalType::Group => Holder::Group,
            PrincipalType::ServicePrincipal => Holder::ServicePrincipal,
        };
        roles.assign(named(&assignment.role)?, holder, assignment.principal.as_str());
    }
    for (claim, role) in &own.app_roles {
        roles.map(claim.as_str(), named(role)?);
    }
    Ok(roles)
}
