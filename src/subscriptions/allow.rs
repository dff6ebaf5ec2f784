//! Where notifications may go. A server inside a hospital reaches what its clients do not: nobody may make it a proxy.
//!
//! Two fences. The address has to begin with an entry of the configuration (by default there is none). And what its name
//! resolves to, at each connection, must not be a link-local address, where clouds keep their metadata, nor any other
//! that is no host of its own; loopback only where the name itself is loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The beginnings of the addresses that are allowed.
#[derive(Debug, Clone, Default)]
pub struct Allow(Arc<[Url]>);

impl Allow {
    /// Reads entries such as `https://his.example.org/` or `http://127.0.0.1:9000/hooks`.
    ///
    /// # Errors
    /// The entry that is no absolute http or https address without credentials, query or fragment.
    pub fn new(entries: &[String]) -> Result<Self, String> {
        let entries = entries.iter().map(|text| {
            let parsed = Url::parse(text).ok().filter(|url| {
                is_http(url) && is_without_login(url) && url.query().is_none() && url.fragment().is_none()
            });
            parsed.ok_or_else(|| format!("{text} is no http or https address, or has more than a path"))
        });
        entries.collect::<Result<Vec<_>, String>>().map(|entries| Self(entries.into()))
    }

    /// Whether notifications may go there, as far as the address itself tells.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, endpoint: &Url) -> Result<(), &'static str> {
        if !is_http(endpoint) || !is_without_login(endpoint) || endpoint.fragment().is_some() {
            return Err("it is no http or https address without a login and a fragment");
        }
        if !self.0.iter().any(|entry| begins_with(endpoint, entry)) {
            return Err("the configuration of this server does not allow notifications to this address");
        }
        let literal = match endpoint.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        match literal {
            // Who allows an address of loopback means it.
            Some(address) if !address.is_loopback() && is_forbidden(address) => {
                Err("notifications to addresses of this kind are never sent")
            }
            _ => Ok(()),
        }
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn is_without_login(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

/// The same scheme, host and port, and a path that is the entry's or lies below it.
fn begins_with(endpoint: &Url, entry: &Url) -> bool {
    let path = entry.path().trim_end_matches('/');
    let rest = endpoint.path().strip_prefix(path);
    endpoint.origin() == entry.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Addresses behind which no receiver of notifications is.
fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
                || address.octets().first() == Some(&0)
                // Metadata of Alibaba Cloud.
                || address == Ipv4Addr::new(100, 100, 100, 200)
        }
        IpAddr::V6(address) => {
            // An IPv4 address in IPv6 clothes is judged as what it is.
            if let Some(mapped) = address.to_ipv4_mapped() {
                return is_forbidden(IpAddr::V4(mapped));
            }
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                // Metadata of AWS.
                || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// Resolves names and leaves out the addresses that are forbidden: at each connection, so that a name that leads
/// elsewhere after it was checked is of no use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().trim_end_matches('.');
            let is_loopback = name == "localhost" || name.ends_with(".localhost");
            let found = tokio::net::lookup_host((name, 0)).await?;
            let fits = |address: &SocketAddr| {
                let ip = address.ip();
                if is_loopback { ip.is_loopback() } else { !is_forbidden(ip) }
            };
            let allowed: Vec<SocketAddr> = found.filter(fits).collect();
            if allowed.is_empty() {
                return Err("the name leads to no address that is allowed".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[&str], endpoint: &str) -> bool {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Allow::new(&entries).unwrap().check(&Url::parse(endpoint).unwrap()).is_ok()
    }

    #[test]
    fn only_what_the_configuration_names_is_allowed() {
        assert!(!check(&[], "http://127.0.0.1:9/x"));
        let allowed = ["https://a.example/hooks", "http://127.0.0.1:9/"];
        for good in ["https://a.example/hooks", "https://a.example/hooks/1?x=2", "http://127.0.0.1:9/x"] {
            assert!(check(&allowed, good), "{good}");
        }
        for bad in [
            "http://a.example/hooks",
            "https://a.example/hooks2",
            "https://a.example/hooks/../other",
            "https://a.example:444/hooks",
            "https://a.example.evil/hooks",
            "https://a.example@evil/hooks",
            "https://user:word@a.example/hooks",
            "ftp://a.example/hooks",
            "http://127.0.0.1:10/x",
            "http://127.0.0.2:9/x",
        ] {
            assert!(!check(&allowed, bad), "{bad}");
        }
    }

    #[test]
    fn addresses_that_are_no_receivers_are_never_allowed() {
        for bad in [
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "[fe80::1]",
            "[::]",
            "[fd00:ec2::254]",
            "[::ffff:a9fe:a9fe]",
        ] {
            let url = format!("http://{bad}/");
            assert!(!check(&[&url], &url), "{bad}");
        }
        assert!(check(&["http://10.0.0.7/"], "http://10.0.0.7/hook"));
        assert!(check(&["http://[::1]:9/"], "http://[::1]:9/"));
    }

    #[test]
    fn entries_are_addresses() {
        for bad in ["a.example", "ftp://a.example", "https://u@a.example", "https://a.example/?q", "*"] {
            assert!(Allow::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
