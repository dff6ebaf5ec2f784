//! The authorization server of one service: its parts, and where its addresses are.

use std::sync::Arc;

use actix_web::web;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::background::{Background, Parts};
use crate::client::Client;
use crate::client_auth::fetched::Fetched;
use crate::endpoints;
use crate::error::SmartError;
use crate::host::Host;
use crate::keys::Keys;
use crate::options::SmartOptions;
use crate::people;
use crate::revocation::{Revocations, Standing};
use crate::store::{Store, clients};
use crate::upstream::Provider;

/// An authorization server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SmartServer {
    pub(crate) options: Arc<SmartOptions>,
    pub(crate) store: Store,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) revocations: Arc<Revocations>,
    /// Keys of clients that they publish themselves.
    pub(crate) fetched: Arc<Fetched>,
    pub(crate) provider: Arc<Provider>,
    background: Arc<Background>,
}

impl SmartServer {
    /// Opens the tables, which are made where they are missing, and begins to follow them.
    ///
    /// # Errors
    /// The database cannot be used, what is configured makes no sense, or a key that is stored cannot be opened.
    pub async fn open(
        database: &str,
        options: SmartOptions,
        host: Arc<dyn Host>,
    ) -> Result<Self, SmartError> {
        options.check(&*host)?;
        let store = Store::open(database, &options.workspace, options.pool_size).await?;
        let keys = Arc::new(Keys::open(&options.workspace, &store, &*host).await?);
        let revocations = Arc::new(Revocations::new());
        revocations.follow(&store, host.now()).await?;
        let fetched = Arc::new(Fetched::new()?);
        let provider = Arc::new(Provider::new()?);
        let parts = Parts { store, host, keys, revocations };
        let background = Arc::new(Background::start(&parts));
        let Parts { store, host, keys, revocations } = parts;
        let options = Arc::new(options);
        Ok(Self { options, store, host, keys, revocations, fetched, provider, background })
    }

    /// Mounts its addresses; `routes` is a scope at the service's base.
    pub fn configure(&self, routes: &mut web::ServiceConfig) {
        routes.app_data(web::Data::new(self.clone()));
        endpoints::configure(routes);
        people::configure(routes);
    }

    /// The public keys of its tokens as a JSON Web Key Set (RFC 7517 section 5), now and whenever they change. They are those
    /// of the workspace: what a token is for is said by its `iss` and `aud`.
    #[must_use]
    pub fn public_keys(&self) -> watch::Receiver<Arc<Value>> {
        self.keys.published()
    }

    /// Whether an access token may not be taken any more: it or its family (claims `jti` and `fam`) was revoked, or nobody
    /// knows. Answered from memory; see [`SmartServer::standing`].
    #[must_use]
    pub fn is_revoked(&self, jti: Uuid, family: Uuid) -> bool {
        self.standing(jti, family) != Standing::Good
    }

    /// What is known of an access token by its claims `jti` and `fam`. What is revoked through this server is known at once,
    /// through another one within two seconds; when the tables cannot be asked for ten seconds, nothing is good.
    #[must_use]
    pub fn standing(&self, jti: Uuid, family: Uuid) -> Standing {
        self.revocations.standing(jti, family)
    }

    /// The client of an id: of the configuration, else a registered one.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn find_client(&self, id: &str) -> Result<Option<Client>, SmartError> {
        if let Some(client) = self.options.clients.iter().find(|client| client.id == id) {
            return Ok(Some(client.clone()));
        }
        if id.is_empty() || id.len() > crate::client::ID_BYTES_MAX || id.contains('\0') {
            return Ok(None);
        }
        Ok(clients::find(&self.store, id).await?.map(|registered| registered.client))
    }

    /// Ends a family of tokens: its codes, refresh tokens and access tokens.
    ///
    /// # Errors
    /// The database cannot be used. Then nothing was ended, or that will be known within two seconds.
    pub async fn revoke_family(&self, family: Uuid) -> Result<bool, SmartError> {
        let was_ended = self.store.revoke_family(family).await?;
        self.follow_revocations().await?;
        Ok(was_ended)
    }

    /// Ends all that somebody has granted, at all services of the workspace; tells how many families that were.
    ///
    /// # Errors
    /// See [`SmartServer::revoke_family`].
    pub async fn revoke_families_of_user(&self, user: Uuid) -> Result<u64, SmartError> {
        let ended = self.store.revoke_of_user(user).await?;
        self.follow_revocations().await?;
        Ok(ended)
    }

    /// Looks into the tables at once for what was revoked, as is done every second.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn follow_revocations(&self) -> Result<(), SmartError> {
        self.revocations.follow(&self.store, self.host.now()).await
    }

    /// Does at once what is done every half minute: follows the keys, makes a new one when it is time, removes what has ended.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn maintain(&self) -> Result<(), SmartError> {
        self.parts().maintain().await
    }

    /// Ends what goes on beside requests. Soon after, no token counts as good any more.
    pub async fn close(&self) {
        self.background.close().await;
    }

    fn parts(&self) -> Parts {
        Parts {
            store: self.store.clone(),
            host: self.host.clone(),
            keys: self.keys.clone(),
            revocations: self.revocations.clone(),
        }
    }
}
