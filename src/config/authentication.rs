//! Who is let in, and who has which role (AHDS: `authenticationConfiguration`, and role assignments).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::checks::Findings;
use super::settings::Settings;
use super::workspace::{ServiceKind, ServiceSettings, WorkspaceSettings};
use crate::access::role::{Kind, Role};

/// Whose tokens are taken. Without an authority nobody is asked who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationSettings {
    /// The address of an OpenID Connect authority, below which `.well-known/openid-configuration` stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The audience (`aud`) that tokens have to be for; the service's `public_url` where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Further audiences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_audiences: Vec<String>,
    /// The issuers (`iss`) whose tokens are taken, where it is not the one that the authority names; `{tenantid}` stands
    /// for the token's `tid`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
    /// The tenants that may stand for `{tenantid}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// How far the clocks of the authority and of this server may be apart, in seconds; 300 at most.
    #[schemars(range(max = 300))]
    pub clock_skew_s: u32,
    /// The algorithms that tokens may be signed with.
    pub algorithms: Vec<String>,
    /// The claim that says who it is, where there is one; else it is `sub`.
    pub object_id_claim: String,
    /// The claim with the groups that the subject is a member of.
    pub groups_claim: String,
    /// The claim with application roles; a name with dots leads into objects.
    pub roles_claim: String,
    /// What the application roles of tokens stand for: `globalReader = "FHIR Data Reader"`. Others stand for nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub app_roles: BTreeMap<String, String>,
    /// How often the authority is asked for its keys, in seconds. A key that it withdraws is taken for as long.
    #[schemars(range(min = 1))]
    pub keys_refresh_s: u64,
    /// How long its last keys are taken while it cannot be asked, in seconds.
    pub keys_stale_max_s: u64,
    /// Whether this server has an authorization server of its own for SMART apps, whose tokens are taken beside those of the authority.
    #[serde(rename = "smartProxyEnabled")]
    pub smart_proxy_enabled: bool,
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        let algorithms = crate::access::token::jwt::ALGORITHMS;
        AuthenticationSettings {
            authority: None,
            audience: None,
            other_audiences: Vec::new(),
            issuers: Vec::new(),
            tenants: Vec::new(),
            // What machines that keep their clocks are apart at most, with room.
            clock_skew_s: 60,
            algorithms: algorithms.map(|(name, _)| name.to_owned()).into(),
            object_id_claim: "oid".to_owned(),
            groups_claim: "groups".to_owned(),
            roles_claim: "roles".to_owned(),
            app_roles: BTreeMap::new(),
            keys_refresh_s: 300,
            keys_stale_max_s: 3600,
            smart_proxy_enabled: false,
        }
    }
}

/// A role that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleAssignment {
    /// The role's name, as Azure has it.
    pub role: String,
    /// Who has it: the object id as tokens have it (`oid`), their `sub` where they have none, or a group as they name it.
    #[serde(rename = "principalId")]
    pub principal: String,
    /// What that is.
    #[serde(rename = "principalType")]
    pub principal_type: PrincipalType,
}

/// What a role is assigned to, by the name that Azure gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrincipalType {
    /// Somebody who signs in.
    User,
    /// Whoever is a member of a group.
    Group,
    /// An application that acts for itself.
    ServicePrincipal,
}

/// Clocks that are further apart than this are wrong.
const CLOCK_SKEW_S_MAX: u32 = 300;

impl AuthenticationSettings {
    /// Whether anybody is asked who they are.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.authority.is_some() || self.smart_proxy_enabled
    }

    /// The audiences that tokens may be for.
    #[must_use]
    pub fn audiences(&self, public_url: Option<&str>) -> Vec<String> {
        let first = self.audience.as_deref().or(public_url);
        first.map(str::to_owned).into_iter().chain(self.other_audiences.iter().cloned()).collect()
    }
}

/// Whether every service of a workspace asks who somebody is.
pub(super) fn authenticates(workspace: &WorkspaceSettings) -> bool {
    !workspace.services.is_empty()
        && workspace.services.values().all(|own| own.authentication.is_configured())
}

/// Which services do not, where others do.
pub(super) fn lacking(settings: &Settings) -> String {
    let all = || {
        settings.workspaces.iter().flat_map(|(workspace, own)| {
            own.services.iter().map(move |(name, service)| (workspace, name, &service.authentication))
        })
    };
    if all().all(|(.., own)| !own.is_configured()) {
        return String::new();
    }
    let lacking = all().filter(|(.., own)| !own.is_configured());
    let names: Vec<String> = lacking.map(|(workspace, name, _)| format!("{workspace}/{name}")).collect();
    format!(" for {}", names.join(", "))
}

/// Checks what a workspace says.
pub(super) fn of_workspace(path: &str, workspace: &WorkspaceSettings, findings: &mut Findings) {
    roles(&format!("{path}.role_assignments"), &workspace.role_assignments, None, findings);
    // They share a log: what one keeps to those it knows, another would tell everybody.
    let guarded = workspace.services.iter().find(|(_, own)| own.authentication.is_configured());
    for (name, own) in &workspace.services {
        if let Some((other, _)) = guarded
            && !own.authentication.is_configured()
        {
            let message = format!(
                "has no authority, so that everybody could read and change through it what `{other}` keeps to those it \
                 knows: the services of a workspace share its data"
            );
            findings.add(format!("{path}.services.{name}"), message);
        }
    }
}

/// Checks what a service says.
pub(super) fn of_service(path: &str, service: &ServiceSettings, findings: &mut Findings) {
    let kind = match service.kind {
        ServiceKind::Fhir => Kind::Fhir,
    };
    roles(&format!("{path}.role_assignments"), &service.role_assignments, Some(kind), findings);
    let own = &service.authentication;
    let path = format!("{path}.authenticationConfiguration");
    let mut wrong = |name: &str, message: String| findings.add(format!("{path}.{name}"), message);
    for name in &own.algorithms {
        let known = crate::access::token::jwt::ALGORITHMS.map(|(name, _)| name);
        if !known.contains(&name.as_str()) {
            let message = format!(
                "`{name}` is not accepted; possible are {}. Shared secrets and `none` are not",
                known.join(", ")
            );
            wrong("algorithms", message);
        }
    }
    for (name, role) in &own.app_roles {
        match Role::named(role) {
            None => wrong("app_roles", format!("{name}: {}", no_role(role))),
            Some(role) if !matches!(role.kind(), Kind::Workspace) && role.kind() != kind => {
                wrong("app_roles", format!("{name}: {}", other_kind(role)));
            }
            Some(_) => {}
        }
    }
    if own.clock_skew_s > CLOCK_SKEW_S_MAX {
        wrong("clock_skew_s", format!("must be at most {CLOCK_SKEW_S_MAX}"));
    }
    if own.keys_refresh_s == 0 || own.keys_refresh_s > own.keys_stale_max_s {
        wrong("keys_refresh_s", "must be at least 1 and at most keys_stale_max_s".to_owned());
    }
    let Some(authority) = &own.authority else { return };
    if let Err(message) = address(authority) {
        wrong("authority", message.to_owned());
    }
    if own.audiences(service.public_url.as_deref()).iter().all(String::is_empty) {
        wrong("audience", "is missing, and the service has no public_url that could stand for it".to_owned());
    }
    if own.algorithms.is_empty() {
        wrong("algorithms", "at least one is needed".to_owned());
    }
    if own.issuers.iter().any(|issuer| issuer.contains("{tenantid}")) && own.tenants.is_empty() {
        let message =
            "names {tenantid}, and no tenants: anybody can have a tenant, so name those that are trusted";
        wrong("issuers", message.to_owned());
    }
}

/// Checks the address of an authority: it is trusted, so that it has to be who answers there.
pub(super) fn address(text: &str) -> Result<(), &'static str> {
    let url: Url = text.parse().map_err(|_| "is no address")?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("has no query, fragment or user");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => Err("must be https: only on this machine itself it may be http"),
    }
}

fn roles(path: &str, assignments: &[RoleAssignment], kind: Option<Kind>, findings: &mut Findings) {
    for (index, assignment) in assignments.iter().enumerate() {
        let mut wrong = |name: &str, message: String| findings.add(format!("{path}.{index}.{name}"), message);
        match (Role::named(&assignment.role), kind) {
            (None, _) => wrong("role", no_role(&assignment.role)),
            (Some(role), Some(kind)) if role.kind() == Kind::Workspace && kind != Kind::Workspace => {
                let message = format!("`{role}` is a role of the workspace; assign it there");
                wrong("role", message);
            }
            (Some(role), Some(kind)) if role.kind() != kind => wrong("role", other_kind(role)),
            _ => {}
        }
        if assignment.principal.is_empty() {
            wrong("principalId", "is empty".to_owned());
        }
    }
}

fn no_role(name: &str) -> String {
    let known: Vec<String> = Role::all().map(|role| format!("`{role}`")).collect();
    format!("there is no role `{name}`; possible are {}", known.join(", "))
}

fn other_kind(role: Role) -> String {
    format!("`{role}` is no role of a service of this kind")
}
