//! What has to hold for every client, whether it is configured or registered.

use std::net::Ipv4Addr;

use url::{Host, Url};

use super::{AuthMethod, Client, GrantType, ID_BYTES_MAX};
use crate::error::{OAuthError, OAuthErrorCode};
use crate::key_set::KeySet;

/// The longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 200;
/// Redirect URIs of one client at most.
const REDIRECT_URIS_MAX: usize = 20;
/// The longest address, in bytes.
const URI_BYTES_MAX: usize = 2_000;
/// The longest list of scopes, in bytes.
pub(crate) const SCOPE_BYTES_MAX: usize = 8 << 10;
/// The longest key set that is not fetched, in bytes.
const JWKS_BYTES_MAX: usize = 32 << 10;
/// The length of a SHA-256 in hex.
const DIGEST_CHARACTERS: usize = 64;

impl Client {
    /// Checks what does not depend on what scopes mean.
    ///
    /// # Errors
    /// Something makes no sense. Says what, by its name in RFC 7591, and not what stands there.
    pub(crate) fn check(&self) -> Result<(), OAuthError> {
        let is_visible = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if self.id.is_empty() || self.id.len() > ID_BYTES_MAX || !is_visible(&self.id) {
            return Err(metadata("`client_id` is empty, too long, or not of printable ASCII"));
        }
        let name = self.name.trim();
        if name.is_empty()
            || name.chars().count() > NAME_CHARACTERS_MAX
            || name.chars().any(|character| character.is_control())
        {
            return Err(metadata("`client_name` is empty, too long, or has control characters"));
        }
        if self.scope.len() > SCOPE_BYTES_MAX {
            return Err(metadata("`scope` is too long"));
        }
        self.check_grants()?;
        self.check_credentials()?;
        self.check_addresses()
    }

    fn check_grants(&self) -> Result<(), OAuthError> {
        if self.grant_types.is_empty() {
            return Err(metadata("`grant_types` is empty"));
        }
        let has_code = self.may(GrantType::AuthorizationCode);
        if self.may(GrantType::RefreshToken) && !has_code {
            return Err(metadata("`grant_types`: refresh_token goes with authorization_code only"));
        }
        if self.may(GrantType::ClientCredentials) && !self.is_confidential() {
            return Err(metadata(
                "`grant_types`: client_credentials needs a way for the client to show who it is",
            ));
        }
        if has_code && self.redirect_uris.is_empty() {
            return Err(redirect("`redirect_uris` is empty, and authorization_code needs one"));
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<(), OAuthError> {
        let has_secret = self.secret_digest.is_some();
        let has_keys = self.jwks.is_some() || self.jwks_uri.is_some();
        match self.auth_method {
            AuthMethod::None if has_secret => {
                return Err(metadata("a secret does not go with `token_endpoint_auth_method` none"));
            }
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost if !has_secret => {
                return Err(metadata("`token_endpoint_auth_method` needs a secret"));
            }
            AuthMethod::PrivateKeyJwt if !has_keys || has_secret => {
                return Err(metadata("private_key_jwt needs `jwks` or `jwks_uri`, and no secret"));
            }
            _ => {}
        }
        let is_digest =
            |text: &String| text.len() == DIGEST_CHARACTERS && crate::secret::from_hex(text).is_some();
        if !self.secret_digest.as_ref().is_none_or(is_digest) {
            return Err(metadata("`secret_digest` is no SHA-256 in hex"));
        }
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err(metadata("`jwks` and `jwks_uri` do not go together (RFC 7591 section 2)"));
        }
        if let Some(jwks) = &self.jwks {
            if jwks.to_string().len() > JWKS_BYTES_MAX {
                return Err(metadata("`jwks` is too long"));
            }
            let keys = KeySet::parse(jwks).map_err(|why| metadata(format!("`jwks`: {why}")))?;
            if keys.is_empty() {
                return Err(metadata("`jwks` has no key that a signature can be checked with"));
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), OAuthError> {
        if self.redirect_uris.len() > REDIRECT_URIS_MAX {
            return Err(redirect(format!("there are more than {REDIRECT_URIS_MAX} `redirect_uris`")));
        }
        for (index, uri) in self.redirect_uris.iter().enumerate() {
            check_redirect_uri(uri).map_err(|why| redirect(format!("`redirect_uris[{index}]` {why}")))?;
        }
        let others = [
            ("jwks_uri", &self.jwks_uri),
            ("client_uri", &self.client_uri),
            ("initiate_login_uri", &self.initiate_login_uri),
        ];
        for (name, address) in others {
            let Some(address) = address else { continue };
            let is_plain = address.username().is_empty() && address.password().is_none();
            if !is_safe(address) || !is_plain || address.as_str().len() > URI_BYTES_MAX {
                return Err(metadata(format!("`{name}` is too long, or neither https nor of this machine")));
            }
        }
        Ok(())
    }
}

/// Checks where codes may be sent to (RFC 6749 section 3.1.2, RFC 8252 section 7).
fn check_redirect_uri(text: &str) -> Result<(), &'static str> {
    if text.len() > URI_BYTES_MAX {
        return Err("is too long");
    }
    if text.bytes().any(|byte| byte <= 0x20 || byte == 0x7f || byte == b'\\') {
        return Err("has characters that no address has");
    }
    let uri: Url = text.parse().map_err(|_| "is no address")?;
    if uri.fragment().is_some() {
        return Err("has a fragment");
    }
    if !uri.username().is_empty() || uri.password().is_some() {
        return Err("has a user");
    }
    match uri.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&uri) => Ok(()),
        "http" => Err("is http, which only this machine's own addresses may be"),
        // RFC 8252 section 7.1: the name of a domain backwards. So no scheme that browsers run has one, such as `javascript`.
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("has a scheme that is neither https nor the name of a domain backwards"),
    }
}

/// Whether an address is answered by whom it names: with TLS, or on this machine.
pub(crate) fn is_safe(address: &Url) -> bool {
    address.scheme() == "https" || address.scheme() == "http" && is_loopback(address)
}

/// Whether an address is of this machine.
pub(crate) fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Whether an address is, or may be, of a network that the public cannot reach: nobody who is not known may have this server ask
/// there. A name that leads there is not seen.
pub(crate) fn is_internal(address: &Url) -> bool {
    match address.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let is_of =
                |end: &str| name == end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
            // A name without a dot is one of the local network.
            !name.contains('.')
                || ["localhost", "local", "internal", "home.arpa"].iter().any(|end| is_of(end))
        }
        Some(Host::Ipv4(ip)) => is_internal_v4(ip),
        Some(Host::Ipv6(ip)) => match ip.to_ipv4() {
            // Also what stands for an address of the fourth version.
            Some(ip) => is_internal_v4(ip),
            None => !matches!(ip.segments(), [0x2000..=0x3fff, ..]),
        },
        None => true,
    }
}

fn is_internal_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || is_shared
        || first == 0
        || first >= 224
}

fn metadata(description: impl Into<String>) -> OAuthError {
    OAuthError::new(OAuthErrorCode::InvalidClientMetadata, description)
}

fn redirect(description: impl Into<String>) -> OAuthError {
    OAuthError::new(OAuthErrorCode::InvalidRedirectUri, description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_the_public_cannot_reach_are_known() {
        for inner in [
            "https://[::ffff:127.0.0.1]:8/x",
            "https://0.0.0.0/x",
            "https://10.0.0.1/x",
            "https://169.254.169.254/x",
            "https://localhost./x",
            "https://a.localhost/x",
            "https://metadata/x",
            "https://x.internal/",
            "https://[::1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://100.64.0.1/",
            "https://172.16.0.1/",
            "https://[::]/",
        ] {
            assert!(is_internal(&inner.parse().unwrap()), "{inner}");
        }
        for outer in [
            "https://keys.example/x",
            "https://8.8.8.8/x",
            "https://[2001:4860::1]/x",
            "https://internal.example/",
        ] {
            assert!(!is_internal(&outer.parse().unwrap()), "{outer}");
        }
    }

    #[test]
    fn only_addresses_that_nobody_else_answers_get_codes() {
        for good in [
            "https://app.example/callback",
            "https://app.example:8443/callback?x=1",
            "http://localhost:3000/",
            "http://127.0.0.1/cb",
            "http://[::1]:9/cb",
            "com.example.app:/callback",
            "com.example.app://callback",
        ] {
            assert_eq!(check_redirect_uri(good), Ok(()), "{good}");
        }
        for bad in [
            "http://app.example/callback",
            "http://localhost.example/cb",
            "https://app.example/cb#fragment",
            "https://user@app.example/cb",
            "https://user:word@app.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "myapp://callback",
            "/callback",
            "",
            "https://app.example/a b",
            "https://app.example\\@evil.example/",
        ] {
            assert!(check_redirect_uri(bad).is_err(), "{bad}");
        }
    }
}
