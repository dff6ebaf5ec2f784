//! An authority whose tokens a service takes: its keys, its issuers, and what its tokens have to say.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::sync::watch;

use super::claims::{Claims, Expected};
use super::discovery::{Endpoints, Told};
use super::issuer::Issuers;
use super::jwt::Unverified;
use super::keeper::Keeper;
use super::keys::{Checked, KeySet};
use crate::access::Denied;
use crate::clock;

/// When to come again where the authority could not be asked so far.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// Where the keys of an authority come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// It is asked for them. Services with the same authority share one keeper.
    Asked(Arc<Keeper>),
    /// It is a part of this server, which says itself what its keys are.
    Own(watch::Receiver<OwnKeys>),
}

/// The keys of this server's own authority.
#[derive(Debug, Clone)]
pub struct OwnKeys {
    told: Arc<Told>,
    generation: u64,
}

impl OwnKeys {
    /// The keys that tokens of this issuer are signed with. To change them, [`OwnKeys::become`] others.
    #[must_use]
    pub fn new(issuer: &str, keys: KeySet) -> Self {
        let issuers = Issuers::named(&[issuer.to_owned()], &[]);
        let endpoints = Endpoints::default();
        Self { told: Arc::new(Told { issuers, keys, endpoints }), generation: 1 }
    }

    /// Puts other keys in their place.
    pub fn r#become(&mut self, keys: KeySet) {
        let issuers = self.told.issuers.clone();
        let endpoints = self.told.endpoints.clone();
        self.told = Arc::new(Told { issuers, keys, endpoints });
        self.generation += 1;
    }
}

/// An authority as one service sees it.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its keys.
    pub source: Source,
    /// The algorithms that its tokens may be signed with.
    pub algorithms: Arc<[Algorithm]>,
    /// What its tokens have to say.
    pub expected: Arc<Expected>,
}

/// What is known of an authority at one time.
struct Known {
    told: Option<Arc<Told>>,
    generation: u64,
    failed: bool,
}

impl Authority {
    /// Which change of its keys is the last. Changes where they are too old to be taken, too.
    #[must_use]
    pub(in crate::access) fn generation(&self) -> Option<u64> {
        let known = self.known();
        known.told.map(|_| known.generation)
    }

    /// Where apps get its tokens, as far as it has told; nothing, where it could not be asked yet.
    #[must_use]
    pub(in crate::access) fn endpoints(&self) -> Endpoints {
        self.known().told.map(|told| told.endpoints.clone()).unwrap_or_default()
    }

    /// Whether a token that says to be of this issuer is for this authority to judge. Where the authority has never been
    /// asked with success, it is asked.
    ///
    /// # Errors
    /// It cannot be told now.
    pub(in crate::access) async fn takes(&self, token: &Unverified<'_>) -> Result<bool, Denied> {
        let known = match self.known() {
            known if known.told.is_some() => known,
            _ => self.asked_again().await,
        };
        let told = known.told.ok_or(UNAVAILABLE)?;
        Ok(token.issuer().is_some_and(|issuer| told.issuers.take(issuer, token.tenant())))
    }

    /// Checks the signature and the claims of a token; gives the generation of the keys that it was checked with.
    ///
    /// # Errors
    /// The token is no good, or that cannot be told now.
    pub(in crate::access) async fn verify(&self, token: Unverified<'_>) -> Result<(Claims, u64), Denied> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(Denied::Token("the access token is signed in a way that is not accepted"));
        }
        let mut known = self.known();
        let mut told = known.told.clone().ok_or(UNAVAILABLE)?;
        let mut checked = told.keys.check(&token);
        if checked == Checked::Unknown {
            known = self.asked_again().await;
            told = known.told.clone().ok_or(UNAVAILABLE)?;
            checked = told.keys.check(&token);
        }
        match checked {
            Checked::Good => {}
            Checked::Bad => return Err(Denied::Token("the signature of the access token is wrong")),
            // The authority may have a new key, and nobody can ask it.
            Checked::Unknown if known.failed => return Err(UNAVAILABLE),
            Checked::Unknown => {
                return Err(Denied::Token(
                    "the access token is signed with a key that its issuer does not have",
                ));
            }
        }
        let now_s = clock::now().timestamp();
        let claims = Claims::judge(token.into_claims(), &told.issuers, &self.expected, now_s)?;
        Ok((claims, known.generation))
    }

    fn known(&self) -> Known {
        match &self.source {
            Source::Asked(keeper) => of_keeper(keeper.state(), keeper.options().stale_max),
            Source::Own(keys) => {
                let keys = keys.borrow();
                Known { told: Some(keys.told.clone()), generation: keys.generation, failed: false }
            }
        }
    }

    async fn asked_again(&self) -> Known {
        match &self.source {
            Source::Asked(keeper) => of_keeper(keeper.asked_again().await, keeper.options().stale_max),
            Source::Own(_) => self.known(),
        }
    }
}

const UNAVAILABLE: Denied = Denied::Unavailable { after: COME_AGAIN };

/// What a keeper knows, unless it is too old.
fn of_keeper(state: super::keeper::State, stale_max: Duration) -> Known {
    let told = state.told.filter(|(_, at)| clock::elapsed().saturating_sub(*at) <= stale_max);
    Known { told: told.map(|(told, _)| told), generation: state.generation, failed: state.failed }
}
