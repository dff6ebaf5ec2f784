//! Which `iss` the tokens of an authority may have. Pure.
//!
//! By OpenID Connect Discovery 1.0 section 4.3 an authority's issuer is its own address. Microsoft Entra is not so: its
//! tokens of version 1 have an issuer on another host, and its authorities for many tenants name a template.

use std::collections::BTreeSet;

use url::Url;

/// Where Entra stands in an issuer's place for the tenant (`{tenantid}` in its discovery documents).
const TENANT: &str = "{tenantid}";

/// Hosts of Microsoft Entra: the public cloud, that of the United States' government, that of China.
const ENTRA: [(&str, &str); 6] = [
    ("login.microsoftonline.com", "sts.windows.net"),
    ("login.windows.net", "sts.windows.net"),
    ("sts.windows.net", "sts.windows.net"),
    ("login.microsoftonline.us", "sts.windows.net"),
    ("login.partner.microsoftonline.cn", "sts.chinacloudapi.cn"),
    ("login.chinacloudapi.cn", "sts.chinacloudapi.cn"),
];

/// Entra's authorities for whoever has an account anywhere.
const EVERYBODY: [&str; 3] = ["common", "organizations", "consumers"];

/// The issuers whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Issuers {
    /// As they stand in tokens, or with [`TENANT`] in them.
    patterns: BTreeSet<String>,
    /// What may stand for [`TENANT`]; none: nothing may.
    tenants: BTreeSet<String>,
}

impl Issuers {
    /// The issuers that a configuration names, and the tenants that may stand in their templates.
    #[must_use]
    pub fn named(issuers: &[String], tenants: &[String]) -> Self {
        Self { patterns: issuers.iter().cloned().collect(), tenants: tenants.iter().cloned().collect() }
    }

    /// What an authority's address tells before it has been asked: Entra's two forms; nothing of any other.
    #[must_use]
    pub fn of_authority(authority: &Url, tenants: &[String]) -> Self {
        let mut issuers = Self { patterns: BTreeSet::new(), tenants: tenants.iter().cloned().collect() };
        let host = authority.host_str().unwrap_or_default();
        let tenant = authority.path_segments().and_then(|mut all| all.next()).unwrap_or_default();
        if let Some((_, old)) = ENTRA.iter().find(|(of_entra, _)| *of_entra == host)
            && !tenant.is_empty()
        {
            let tenant = if EVERYBODY.contains(&tenant) { TENANT } else { tenant };
            issuers.patterns.insert(format!("https://{old}/{tenant}/"));
            issuers.patterns.insert(format!("https://{host}/{tenant}/v2.0"));
        }
        issuers
    }

    /// Joins the issuer that the authority itself names in its metadata.
    ///
    /// # Errors
    /// It is neither the authority's address nor one that is expected: whoever answers there is not who is trusted.
    pub fn discovered(mut self, authority: &Url, named: &str) -> Result<Self, &'static str> {
        let is_own = named.trim_end_matches('/') == authority.as_str().trim_end_matches('/');
        if is_own {
            self.patterns.insert(named.to_owned());
            return Ok(self);
        }
        match self.patterns.contains(named) {
            true => Ok(self),
            false => Err("its metadata names another issuer than its address"),
        }
    }

    /// Whether none is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a token may have this issuer and this tenant (`tid`). In a template the two have to agree, and the tenant has
    /// to be an expected one: anybody can have a tenant.
    #[must_use]
    pub fn take(&self, issuer: &str, tenant: Option<&str>) -> bool {
        self.patterns.iter().any(|pattern| match pattern.split_once(TENANT) {
            None => pattern == issuer,
            Some((before, after)) => tenant.is_some_and(|tenant| {
                let rest = issuer.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                self.tenants.contains(tenant) && rest == Some(tenant)
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    fn authority(text: &str) -> Url {
        text.parse().unwrap()
    }

    const TID: &str = "9a1d1b4a-0000-4c3f-8000-000000000001";

    #[test]
    fn an_authority_is_its_own_issuer() {
        let keycloak = authority("https://id.example/realms/clinic");
        let issuers = Issuers::of_authority(&keycloak, &[]);
        assert!(issuers.is_empty());
        let issuers = issuers.discovered(&keycloak, "https://id.example/realms/clinic").unwrap();
        assert!(issuers.take("https://id.example/realms/clinic", None));
        for other in ["https://id.example/realms/clinic/", "https://id.example/realms/other", ""] {
            assert!(!issuers.take(other, None), "{other}");
        }
    }

    #[test]
    fn metadata_of_somebody_else_are_refused() {
        let keycloak = authority("https://id.example/realms/clinic");
        for other in ["https://evil.example/realms/clinic", "https://id.example/realms/clinic/x", TENANT] {
            assert!(Issuers::of_authority(&keycloak, &[]).discovered(&keycloak, other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_tenant_of_entra_has_tokens_of_both_versions() {
        let entra = authority(&format!("https://login.microsoftonline.com/{TID}"));
        let old = format!("https://sts.windows.net/{TID}/");
        let issuers = Issuers::of_authority(&entra, &[]).discovered(&entra, &old).unwrap();
        assert!(issuers.take(&old, Some(TID)));
        assert!(issuers.take(&format!("https://login.microsoftonline.com/{TID}/v2.0"), None));
        assert!(!issuers.take("https://sts.windows.net/9a1d1b4a-0000-4c3f-8000-000000000002/", None));
    }

    #[test]
    fn a_template_takes_only_the_tenants_that_are_named() {
        let entra = authority("https://login.microsoftonline.com/common/v2.0");
        let named = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let issuer = format!("https://login.microsoftonline.com/{TID}/v2.0");
        let nobody = Issuers::of_authority(&entra, &[]).discovered(&entra, named).unwrap();
        assert!(!nobody.take(&issuer, Some(TID)), "anybody can have a tenant");
        let one = Issuers::of_authority(&entra, &[TID.to_owned()]).discovered(&entra, named).unwrap();
        assert!(one.take(&issuer, Some(TID)));
        assert!(!one.take(&issuer, None) && !one.take(&issuer, Some("other")));
        assert!(!one.take("https://login.microsoftonline.com/other/v2.0", Some("other")));
        assert!(!one.take(named, Some(TENANT)));
    }

    #[test]
    fn a_configuration_may_name_issuers() {
        let issuers = Issuers::named(&["https://sts.windows.net/{tenantid}/".to_owned()], &[TID.to_owned()]);
        assert!(issuers.take(&format!("https://sts.windows.net/{TID}/"), Some(TID)));
        assert!(!issuers.take(&format!("https://sts.windows.net/{TID}/"), Some("other")));
    }
}
