//! The authorization servers of the services that have one: opened before their gates, and closed after the last request.

use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::message::hex;
use anamnesis_smart::{AuthMethod, Client, GrantType, SmartOptions, SmartServer, Upstream};
use anyhow::Context;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::access;
use super::workspace::local_address;
use crate::access::assignment::Roles;
use crate::access::gate::Trusted;
use crate::access::token::authority::{Authority, OwnKeys, Source};
use crate::access::token::claims::{ClaimNames, Expected};
use crate::access::token::discovery::Endpoints;
use crate::access::token::jwt::ALGORITHMS;
use crate::access::token::keys::KeySet;
use crate::api::{Service, Services};
use crate::audit::Networks;
use crate::config::{
    ServiceSettings, Settings, SmartAuthMethod, SmartClient, SmartGrant, SmartSettings, SmartUpstream,
    WorkspaceSettings,
};
use crate::encryption;
use crate::smart::{Own, SmartHost};

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// The authorization server of a service.
pub(super) struct Smart {
    pub(super) server: SmartServer,
    /// Who has which role at its service.
    pub(super) roles: Roles,
    host: Arc<SmartHost>,
    /// Workspace and service.
    place: (String, String),
    base: String,
    keys: watch::Receiver<OwnKeys>,
    following: JoinHandle<()>,
}

impl Smart {
    /// Those of a workspace.
    ///
    /// # Errors
    /// See [`Smart::open`].
    pub(super) async fn of_workspace(
        name: &str,
        (settings, own): (&Settings, &WorkspaceSettings),
        database: &str,
    ) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        for (service, of_service) in &own.services {
            all.extend(Self::open((name, service), (settings, own, of_service), database).await?);
        }
        Ok(all)
    }

    /// Opens it, where the service has one.
    ///
    /// # Errors
    /// The database cannot be used, or a client makes no sense.
    async fn open(
        (workspace, name): (&str, &str),
        (settings, own, service): (&Settings, &WorkspaceSettings, &ServiceSettings),
        database: &str,
    ) -> anyhow::Result<Option<Self>> {
        if !service.authentication.smart_proxy_enabled {
            return Ok(None);
        }
        let public_url = service.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let base = public_url.unwrap_or_else(|| local_address(workspace, name, settings));
        let roles = access::roles(
            &service.authentication,
            &[own.role_assignments.as_slice(), service.role_assignments.as_slice()],
        )?;
        let proxies = Networks::parse(&own.audit.trusted_proxies)
            .map_err(|(place, error)| anyhow::anyhow!("audit.trusted_proxies[{place}]: {error}"))?;
        let master = encryption::of(&own.encryption)?.map(|encryption| encryption.master);
        let host = SmartHost::new(roles.clone(), &base, master, proxies);
        let mut options = options((workspace, name, &base), &own.smart)?;
        // Pages that may not ask the service have no use for its tokens.
        options.origins.clone_from(&service.cors.allowed_origins);
        let server = SmartServer::open(database, options, host.clone())
            .await
            .with_context(|| format!("cannot start the authorization server of `{workspace}/{name}`"))?;
        let (keys, following) = follow(&server, &base)?;
        let place = (workspace.to_owned(), name.to_owned());
        Ok(Some(Self { server, roles, host, place, base, keys, following }))
    }

    /// Its tokens, as the gate of its service takes them.
    pub(super) fn trusted(&self, clock_skew_s: u32) -> Trusted {
        let expected =
            Expected { audiences: vec![self.base.clone()], clock_skew_s, names: ClaimNames::default() };
        let authority = Authority {
            source: Source::Own(self.keys.clone()),
            algorithms: ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
            expected: Arc::new(expected),
        };
        Trusted {
            authority,
            roles: self.roles.clone(),
            is_bounded_by_scopes: true,
            own: Some(Arc::new(Own(self.server.clone()))),
            bases: vec![self.base.clone()],
        }
    }

    /// Where apps get tokens, for `/metadata`.
    pub(super) fn endpoints(&self) -> Endpoints {
        let at = |name: &str| Some(format!("{}/auth/{name}", self.base));
        Endpoints {
            authorize: at("authorize"),
            token: at("token"),
            register: at("register"),
            introspect: at("introspect"),
            revoke: at("revoke"),
            manage: None,
        }
    }

    /// Where it is, and what is there.
    pub(super) fn mounted(&self) -> ((String, String), SmartServer) {
        (self.place.clone(), self.server.clone())
    }

    /// Gives it the service that it is of.
    pub(super) fn begin(&self, services: &Services) {
        let (workspace, name) = &self.place;
        if let Some(service) = services.find(workspace, name) {
            self.host.begin(service.clone(), services.audit(workspace).cloned());
        }
    }

    /// Whether it is of this service.
    pub(super) fn is_of(&self, service: &Service) -> bool {
        self.place.0 == service.workspace && self.place.1 == service.name
    }

    /// Ends it.
    pub(super) async fn close(&self) {
        self.following.abort();
        self.server.close().await;
    }
}

/// Its public keys as the gate reads them, and the task that follows their changes.
fn follow(server: &SmartServer, base: &str) -> anyhow::Result<(watch::Receiver<OwnKeys>, JoinHandle<()>)> {
    let mut published = server.public_keys();
    let read = |set: &serde_json::Value| KeySet::parse(set.to_string().as_bytes());
    let first = read(&published.borrow_and_update()).context("the keys of the authorization server")?;
    let (sender, receiver) = watch::channel(OwnKeys::new(base, first));
    let following = tokio::spawn(async move {
        while published.changed().await.is_ok() {
            let keys = read(&published.borrow_and_update());
            match keys {
                Ok(keys) => sender.send_modify(|own| own.r#become(keys)),
                Err(error) => {
                    tracing::error!(%error, "the authorization server has keys that cannot be read")
                }
            }
        }
    });
    Ok((receiver, following))
}

fn options((workspace, name, base): (&str, &str, &str), own: &SmartSettings) -> anyhow::Result<SmartOptions> {
    let days = |days: u64| Duration::from_secs(days.saturating_mul(DAY_S));
    Ok(SmartOptions {
        clients: own.clients.iter().map(client).collect::<Result<_, _>>()?,
        open_registration: own.open_registration,
        access_for: Duration::from_secs(own.access_token_s),
        emergency_for: Duration::from_secs(own.emergency_token_s),
        refresh_for: days(own.refresh_token_days),
        family_for: days(own.authorization_days),
        session_for: Duration::from_secs(own.session_s),
        attempts_max: own.attempts_max,
        upstream: own.upstream.as_ref().map(upstream),
        ..SmartOptions::new(workspace, name, base)
    })
}

fn upstream(own: &SmartUpstream) -> Upstream {
    let usual = Upstream::new(&own.name, &own.issuer, &own.client_id);
    Upstream {
        client_secret: own.client_secret.as_ref().map(|secret| secret.expose().trim().to_owned().into()),
        scope: own.scope.clone().unwrap_or(usual.scope),
        name_claim: own.name_claim.clone().unwrap_or(usual.name_claim),
        ..Upstream::new(&own.name, &own.issuer, &own.client_id)
    }
}

fn client(own: &SmartClient) -> anyhow::Result<Client> {
    let address = |url: &Option<String>| url.as_deref().map(str::parse).transpose();
    Ok(Client {
        id: own.client_id.clone(),
        name: own.client_name.clone(),
        auth_method: match own.token_endpoint_auth_method {
            SmartAuthMethod::None => AuthMethod::None,
            SmartAuthMethod::ClientSecretBasic => AuthMethod::ClientSecretBasic,
            SmartAuthMethod::ClientSecretPost => AuthMethod::ClientSecretPost,
            SmartAuthMethod::PrivateKeyJwt => AuthMethod::PrivateKeyJwt,
        },
        grant_types: own.grants().into_iter().map(grant).collect(),
        redirect_uris: own.redirect_uris.clone(),
        scope: own.scope.clone(),
        secret_digest: own
            .client_secret
            .as_ref()
            .map(|secret| hex(&Sha256::digest(secret.expose().trim().as_bytes()))),
        jwks: own.jwks.clone(),
        jwks_uri: address(&own.jwks_uri).context("jwks_uri of a client")?,
        client_uri: None,
        initiate_login_uri: address(&own.initiate_login_uri).context("initiate_login_uri of a client")?,
        is_trusted: own.is_trusted,
        may_introspect: own.may_introspect,
    })
}

fn grant(own: SmartGrant) -> GrantType {
    match own {
        SmartGrant::AuthorizationCode => GrantType::AuthorizationCode,
        SmartGrant::RefreshToken => GrantType::RefreshToken,
        SmartGrant::ClientCredentials => GrantType::ClientCredentials,
    }
}
