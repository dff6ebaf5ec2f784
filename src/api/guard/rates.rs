//! How many requests: of a workspace together, of one address, and of one principal, in a second and at the same time.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::Principal;
use crate::audit::network;
use crate::error::Failure;

/// Clients and workspaces that are counted. Beyond it those that were heard of least lose their count: memory has a bound, and
/// whoever comes by a hundred thousand addresses is not held by a limit of each. Principals have as much room for themselves, so
/// that no crowd of addresses makes theirs be forgotten.
const COUNTED_MAX: u64 = 100_000;
/// A client that was not heard of for so long starts anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// So many requests in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

/// The limits of a workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// All requests to it.
    pub all: Option<Rate>,
    /// Those of one client.
    pub of_client: Option<Rate>,
    /// Those of one client that are under way at the same time.
    pub under_way_max: Option<usize>,
    /// Those of one principal: of one subject by one application, from wherever they come.
    pub of_principal: Option<Rate>,
}

/// Who asks, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl Client {
    /// The client behind an address.
    pub(super) fn of(address: IpAddr) -> Client {
        Client(network(address))
    }
}

/// What a request holds until it is answered.
#[derive(Debug, Default)]
pub(super) struct Permit(
    #[expect(dead_code, reason = "it is given back when it is dropped")] Option<OwnedSemaphorePermit>,
);

/// What was used up of the limits.
pub(super) struct Clients {
    /// By workspace and client. A workspace is the client `None` of itself.
    addresses: Cache<(String, Option<Client>), Arc<Counted>>,
    /// By workspace and principal, as far as it names the same one.
    principals: Cache<(String, Named), Arc<Counted>>,
}

/// Who a principal is: subjects are unique within their issuer, and each application of one has a rate of its own.
type Named = (Option<Arc<str>>, Arc<str>, Option<Arc<str>>);

struct Counted {
    rate: Option<DefaultDirectRateLimiter>,
    under_way: Option<Arc<Semaphore>>,
}

impl Default for Clients {
    fn default() -> Self {
        let addresses = Cache::builder().max_capacity(COUNTED_MAX).time_to_idle(FORGOTTEN_AFTER).build();
        let principals = Cache::builder().max_capacity(COUNTED_MAX).time_to_idle(FORGOTTEN_AFTER).build();
        Self { addresses, principals }
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    pub(super) fn forget(&self) {
        self.addresses.invalidate_all();
        self.principals.invalidate_all();
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429 with the time after which another one is taken.
    pub(super) fn admit(
        &self,
        workspace: &str,
        client: Option<Client>,
        limits: &Limits,
    ) -> Result<Permit, Failure> {
        let counted = |client: Option<Client>, rate: Option<Rate>, most: Option<usize>| {
            (rate.is_some() || most.is_some()).then(|| {
                self.addresses.get_with((workspace.to_owned(), client), || Arc::new(Counted::new(rate, most)))
            })
        };
        // The client's own first: one that asks too much must not use up what the others have.
        let own = client.and_then(|client| counted(Some(client), limits.of_client, limits.under_way_max));
        let permit = match &own {
            Some(own) => own.admit("You ask")?,
            None => None,
        };
        if let Some(all) = counted(None, limits.all, None) {
            all.admit("The clients of this workspace ask")?;
        }
        Ok(Permit(permit))
    }

    /// Counts a request of somebody whose token was good.
    ///
    /// # Errors
    /// 429 with the time after which another one is taken.
    pub(super) fn admit_principal(
        &self,
        workspace: &str,
        principal: &Principal,
        limits: &Limits,
    ) -> Result<(), Failure> {
        let Some(rate) = limits.of_principal else { return Ok(()) };
        let named = (principal.issuer.clone(), principal.subject.clone(), principal.client.clone());
        let make = || Arc::new(Counted::new(Some(rate), None));
        let counted = self.principals.get_with((workspace.to_owned(), named), make);
        counted.admit("You ask").map(drop)
    }
}

impl Counted {
    fn new(rate: Option<Rate>, most: Option<usize>) -> Self {
        let quota = |rate: Rate| Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            rate: rate.map(|rate| RateLimiter::direct(quota(rate))),
            under_way: most.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))),
        }
    }

    fn admit(&self, who: &str) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        let permit = match &self.under_way {
            None => None,
            Some(under_way) => Some(Arc::clone(under_way).try_acquire_owned().map_err(|_| {
                Failure::too_many(format!(
                    "{who} for too much at the same time; wait for some of the answers."
                ))
            })?),
        };
        if let Some(until) = self.rate.as_ref().and_then(|rate| rate.check().err()) {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            return Err(Failure::too_many(format!("{who} too often; try again later.")).retry_after(seconds));
        }
        Ok(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Option<Rate> {
        let count = |count| NonZeroU32::new(count).unwrap();
        Some(Rate { per_second: count(per_second), burst: count(burst) })
    }

    fn client(address: &str) -> Option<Client> {
        Some(Client::of(address.parse().unwrap()))
    }

    fn principal(issuer: &str, subject: &str, client: &str) -> Principal {
        Principal {
            subject: subject.into(),
            issuer: Some(issuer.into()),
            client: Some(client.into()),
            ..Principal::default()
        }
    }

    #[test]
    fn a_principal_is_a_subject_of_an_issuer_by_an_application() {
        let clients = Clients::default();
        let limits = Limits { of_principal: rate(1, 2), ..Limits::default() };
        let asked =
            |workspace, principal: &Principal| clients.admit_principal(workspace, principal, &limits).is_ok();
        let one = principal("https://id.example", "ann", "app");
        assert!(asked("a", &one) && asked("a", &one) && !asked("a", &one));
        // What else the token says makes nobody another one.
        let named = Principal { display: Some("Ann".into()), ..one.clone() };
        assert!(!asked("a", &named));
        for other in [
            principal("https://other.example", "ann", "app"),
            principal("https://id.example", "ben", "app"),
            principal("https://id.example", "ann", "other"),
        ] {
            assert!(asked("a", &other), "{other:?}");
        }
        assert!(asked("b", &one), "another workspace has its own");
        assert!(clients.admit_principal("a", &one, &Limits::default()).is_ok(), "nothing is bounded");
    }

    #[test]
    fn a_client_that_asks_too_often_takes_nothing_from_the_others() {
        let clients = Clients::default();
        let limits = Limits { all: rate(1, 5), of_client: rate(1, 2), ..Limits::default() };
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        let asked =
            |client| clients.admit("a", client, &limits).map(drop).map_err(|failure| failure.status());
        let taken = (0..20).filter(|_| asked(one).is_ok()).count();
        assert_eq!(taken, 2, "its burst");
        assert_eq!(asked(one).unwrap_err().as_u16(), 429);
        assert_eq!((0..2).filter(|_| asked(other).is_ok()).count(), 2);
        assert!(asked(client("192.0.2.3")).is_ok());
        assert!(asked(client("192.0.2.4")).is_err(), "the workspace's five are used up");
        assert!(clients.admit("b", one, &limits).is_ok(), "another workspace has its own");
    }

    #[test]
    fn what_is_under_way_counts_until_it_is_answered() {
        let clients = Clients::default();
        let limits = Limits { under_way_max: Some(2), ..Limits::default() };
        let one = client("192.0.2.1");
        let held = [clients.admit("a", one, &limits).unwrap(), clients.admit("a", one, &limits).unwrap()];
        assert!(clients.admit("a", one, &limits).is_err());
        assert!(clients.admit("a", client("192.0.2.2"), &limits).is_ok());
        drop(held);
        assert!(clients.admit("a", one, &limits).is_ok());
    }

    #[test]
    fn the_wait_is_told_and_a_network_of_ipv6_is_one_client() {
        let clients = Clients::default();
        let limits = Limits { of_client: rate(1, 1), ..Limits::default() };
        assert!(clients.admit("a", client("2001:db8::1"), &limits).is_ok());
        let refused = clients.admit("a", client("2001:db8::ffff"), &limits).unwrap_err();
        assert_eq!(refused.retry_after_s(), Some(1));
        assert!(clients.admit("a", client("2001:db8:0:1::1"), &limits).is_ok());
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    }
}
