//! The gate of a service: lets requests in as whom their token says, or not at all.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::assignment::Roles;
use super::bound::{Bounded, bounded, bounded_own};
use super::denied::Denied;
use super::principal::Principal;
use super::token::authority::Authority;
use super::token::bearer;
use super::token::claims::Claims;
use super::token::discovery::Endpoints;
use super::token::jwt::Unverified;
use crate::clock;

/// Tokens that are known to be good, at most; each takes less than a kilobyte.
const VERIFIED_MAX: u64 = 10_000;
/// How long a token is known to be good without another look at it. Withdrawn keys end it at once, see
/// [`super::token::keeper`].
const VERIFIED_FOR: Duration = Duration::from_secs(300);
/// When to come again where it cannot be told whether a token was taken back.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// An authority, and the roles that its subjects have.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// Who issues the tokens.
    pub authority: Authority,
    /// Who has which role.
    pub roles: Roles,
    /// Whether its tokens are bounded by their scopes, whatever roles there are.
    pub is_bounded_by_scopes: bool,
    /// Of this server's own authorization server: which of its tokens it has taken back.
    pub own: Option<Arc<dyn Revocations>>,
    /// The addresses of the service without a last slash, as they may stand before the user of a token (`fhirUser`).
    pub bases: Vec<String>,
}

/// Knows which tokens were taken back before their end. Asked for every request, so it answers from memory.
pub trait Revocations: std::fmt::Debug + Send + Sync {
    /// How a token stands, by its id (`jti`) and the authorization that it came of.
    fn standing(&self, token: Uuid, family: Uuid) -> Standing;
}

/// How a token of this server's own stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not taken back.
    Good,
    /// It was taken back.
    Revoked,
    /// That cannot be told now.
    Unknown,
}

/// The gate of one service, or of a workspace.
#[derive(Debug, Default)]
pub struct Gate {
    trusted: Vec<Trusted>,
    verified: Option<Cache<[u8; 32], Verified>>,
}

/// A token that was good, by the digest of its text.
#[derive(Debug, Clone)]
struct Verified {
    principal: Arc<Principal>,
    ends_at_s: i64,
    /// Whose keys it was checked with, and which change of them.
    trusted: usize,
    generation: u64,
    /// What it is called by whoever may take it back.
    named: Option<(Uuid, Uuid)>,
    /// Which change of the roles is in it.
    of_roles: u64,
}

impl Gate {
    /// A gate that lets everybody in: a service without an authority.
    #[must_use]
    pub fn open() -> Arc<Self> {
        Arc::default()
    }

    /// A gate that lets in whoever has a token of one of these authorities.
    #[must_use]
    pub fn guarded(trusted: Vec<Trusted>) -> Arc<Self> {
        let verified = Cache::builder().max_capacity(VERIFIED_MAX).time_to_live(VERIFIED_FOR).build();
        Arc::new(Self { trusted, verified: Some(verified) })
    }

    /// Whether everybody is let in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.verified.is_none()
    }

    /// Where apps get tokens that are taken here: of the first authority that has told.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        let told = self.trusted.iter().map(|trusted| trusted.authority.endpoints());
        told.into_iter().find(|told| *told != Endpoints::default()).unwrap_or_default()
    }

    /// Who asks, from the lines of the header `Authorization` and the query of a request.
    ///
    /// # Errors
    /// There is no good token, or that cannot be told now.
    pub async fn admit(&self, lines: &[&[u8]], query: &str) -> Result<Arc<Principal>, Denied> {
        let Some(verified) = &self.verified else { return Ok(Principal::anonymous()) };
        let token = bearer::token(lines, query)?;
        let name: [u8; 32] = Sha256::digest(token).into();
        let found = match verified.get(&name).filter(|known| self.is_good(known)) {
            Some(known) => known,
            None => {
                let found = self.verify(token).await?;
                verified.insert(name, found.clone());
                found
            }
        };
        match self.standing(&found) {
            Standing::Good => Ok(found.principal),
            Standing::Revoked => Err(Denied::Token("the access token was revoked")),
            Standing::Unknown => Err(Denied::Unavailable { after: COME_AGAIN }),
        }
    }

    /// Whether a token is good still: it has not ended, and its issuer's keys and the roles are as they were.
    fn is_good(&self, known: &Verified) -> bool {
        let Some(trusted) = self.trusted.get(known.trusted) else { return false };
        trusted.authority.generation() == Some(known.generation)
            && trusted.roles.generation() == known.of_roles
            && known.ends_at_s > clock::now().timestamp()
    }

    /// Whether a token of this server's own was taken back since it was given.
    fn standing(&self, known: &Verified) -> Standing {
        let own = self.trusted.get(known.trusted).and_then(|trusted| trusted.own.as_ref());
        match (own, known.named) {
            (Some(own), Some((token, family))) => own.standing(token, family),
            // One that could not be taken back is none of this server's.
            (Some(_), None) => Standing::Revoked,
            (None, _) => Standing::Good,
        }
    }

    async fn verify(&self, token: &str) -> Result<Verified, Denied> {
        let mut denied = None;
        for (index, trusted) in self.trusted.iter().enumerate() {
            // Each takes the token apart for itself: there is one authority, or very few.
            let token = Unverified::parse(token)?;
            let verified = match trusted.authority.takes(&token).await {
                Ok(true) => trusted.authority.verify(token).await,
                Ok(false) => continue,
                Err(unavailable) => Err(unavailable),
            };
            match verified {
                Ok((claims, generation)) => {
                    // Before they are looked at: what is assigned meanwhile must not be taken for known.
                    let of_roles = trusted.roles.generation();
                    let principal = Arc::new(trusted.principal(&claims));
                    return Ok(Verified {
                        named: named(&claims),
                        principal,
                        ends_at_s: claims.ends_at_s,
                        trusted: index,
                        generation,
                        of_roles,
                    });
                }
                Err(why) => denied = denied.or(Some(why)),
            }
        }
        Err(denied.unwrap_or(Denied::Token("the access token is of an issuer that is not trusted here")))
    }
}

/// What a token is called: `jti` (RFC 7519 section 4.1.7), and the authorization that it came of.
fn named(claims: &Claims) -> Option<(Uuid, Uuid)> {
    let id = |name: &str| claims.all.get(name)?.as_str()?.parse::<Uuid>().ok();
    Some((id("jti")?, id("fam")?))
}

impl Trusted {
    fn principal(&self, claims: &Claims) -> Principal {
        let roles = self.roles.of(claims);
        let Bounded { actions, grant, emergency } = match self.own {
            Some(_) => bounded_own(roles, claims, &self.bases),
            None => {
                let (actions, grant) = bounded(roles, self.is_bounded_by_scopes, claims, &self.bases);
                Bounded { actions, grant, emergency: None }
            }
        };
        Principal {
            subject: claims.subject.clone(),
            issuer: Some(claims.issuer.clone()),
            client: claims.client.clone(),
            display: claims.display.clone(),
            actions,
            grant,
            emergency,
        }
    }
}
