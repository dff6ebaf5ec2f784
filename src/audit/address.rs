//! Where a request came from: the address next to the server, or what proxies that are trusted say about it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Proxies that are looked through at most.
const PROXIES_MAX: usize = 10;

/// Networks whose proxies are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text names no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("this is neither an IP address nor a network such as 10.0.0.0/8")
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NotANetwork))?;
        if bits > most { Err(NotANetwork) } else { Ok(Self { address, bits }) }
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// The network that counts as one client: with IPv6 one client has a whole network (RFC 6177), with IPv4 an address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    /// The client, as far as it can be told.
    pub client: Option<String>,
    /// The proxies between, the one next to the client first.
    pub proxies: Vec<String>,
}

impl Networks {
    /// Networks from their texts: `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`.
    ///
    /// # Errors
    /// The first that is none, by its place.
    pub fn parse(texts: &[String]) -> Result<Self, (usize, NotANetwork)> {
        let read = |(place, text): (usize, &String)| text.parse().map_err(|error| (place, error));
        texts.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// The address of the client: that of the connection, or what proxies that are trusted say.
    #[must_use]
    pub fn client<'a>(
        &self,
        peer: Option<IpAddr>,
        forwarded: impl Iterator<Item = &'a str>,
    ) -> Option<IpAddr> {
        if !peer.is_some_and(|peer| self.trust(peer)) {
            return peer;
        }
        self.path(peer, forwarded).client.and_then(|text| text.parse().ok())
    }

    /// The way of a request: from the server outward, as long as the next one in is trusted. `forwarded` are the values of
    /// `X-Forwarded-For`, in the order of their lines.
    #[must_use]
    pub fn path<'a>(&self, peer: Option<IpAddr>, forwarded: impl Iterator<Item = &'a str>) -> Path {
        let Some(peer) = peer else { return Path::default() };
        let mut path = Path { client: Some(peer.to_canonical().to_string()), proxies: Vec::new() };
        if !self.trust(peer) {
            return path;
        }
        let told: Vec<&str> = forwarded.flat_map(|line| line.split(',')).map(str::trim).collect();
        for text in told.into_iter().rev().take(PROXIES_MAX) {
            // What is no address is not repeated: anybody can have written it.
            let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() else { break };
            path.proxies.extend(path.client.replace(address.to_canonical().to_string()));
            if !self.trust(address) {
                break;
            }
        }
        path.proxies.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(trusted: &[&str], peer: &str, forwarded: &[&str]) -> (String, Vec<String>) {
        let texts: Vec<String> = trusted.iter().map(|text| (*text).to_owned()).collect();
        let networks = Networks::parse(&texts).unwrap();
        let path = networks.path(Some(peer.parse().unwrap()), forwarded.iter().copied());
        (path.client.unwrap(), path.proxies)
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(path(&[], "192.0.2.1", &["198.51.100.7"]), ("192.0.2.1".into(), vec![]));
        assert_eq!(path(&["10.0.0.0/8"], "11.0.0.1", &["198.51.100.7"]), ("11.0.0.1".into(), vec![]));
    }

    #[test]
    fn the_last_that_a_trusted_one_has_seen_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        let forwarded = ["1.2.3.4, 198.51.100.7", "10.9.9.9"];
        let proxies = vec!["10.9.9.9".to_owned(), "10.0.0.1".to_owned()];
        assert_eq!(path(&trusted, "10.0.0.1", &forwarded), ("198.51.100.7".into(), proxies));
        assert_eq!(path(&trusted, "::ffff:10.0.0.1", &["1.2.3.4"]).0, "1.2.3.4");
        assert_eq!(path(&trusted, "2001:db8::1", &["2001:db9::1"]).0, "2001:db9::1");
        assert_eq!(path(&trusted, "10.0.0.1", &["<script>"]), ("10.0.0.1".into(), vec![]));
        assert_eq!(path(&trusted, "10.0.0.1", &[]), ("10.0.0.1".into(), vec![]));
        assert_eq!(path(&["0.0.0.0/0"], "10.0.0.1", &["1.2.3.4"]).0, "1.2.3.4");
    }

    #[test]
    fn what_is_no_network_is_told_by_its_place() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "proxy", "10.0.0.0/x"] {
            assert_eq!(Networks::parse(&["10.0.0.1".into(), bad.into()]), Err((1, NotANetwork)), "{bad}");
        }
    }
}
