//! The guard before the services, as it is configured.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::api::{Cors, GuardOptions, Limits, Rate};
use crate::audit::Networks;
use crate::config::{CorsSettings, LimitSettings, Settings};

/// What the settings say of it.
pub(super) fn options(settings: &Settings) -> GuardOptions {
    let http = &settings.http;
    let limits = settings.workspaces.iter().map(|(name, own)| (name.clone(), limits(&own.limits)));
    // What is wrong with them is told when the settings are read; whom nobody can name nobody trusts.
    let proxies = settings.workspaces.iter().filter(|(_, own)| !own.audit.trusted_proxies.is_empty());
    let proxies = proxies
        .map(|(name, own)| (name.clone(), Networks::parse(&own.audit.trusted_proxies).unwrap_or_default()));
    let services = settings.workspaces.iter().flat_map(|(workspace, own)| {
        own.services.iter().map(move |(name, service)| ((workspace.clone(), name.clone()), &service.cors))
    });
    let shared = services.filter(|(_, cors)| !cors.allowed_origins.is_empty());
    GuardOptions {
        url_bytes_max: http.url_bytes_max,
        headers_max: http.headers_max,
        header_bytes_max: http.header_bytes_max,
        request_wait: (http.request_timeout_s > 0).then(|| Duration::from_secs(http.request_timeout_s)),
        strict_transport_s: http.tls.as_ref().map_or(0, |tls| tls.strict_transport_s),
        limits: limits.filter(|(_, limits)| *limits != Limits::default()).collect(),
        proxies: proxies.collect(),
        cors: shared.map(|(place, settings)| (place, cors(settings))).collect(),
    }
}

fn limits(settings: &LimitSettings) -> Limits {
    let rate = |per_second: Option<u32>, burst: Option<u32>| {
        let per_second = NonZeroU32::new(per_second?)?;
        Some(Rate { per_second, burst: burst.and_then(NonZeroU32::new).unwrap_or(per_second) })
    };
    Limits {
        all: rate(settings.requests_per_second, settings.requests_burst),
        of_client: rate(settings.client_requests_per_second, settings.client_requests_burst),
        of_principal: rate(settings.principal_requests_per_second, settings.principal_requests_burst),
        under_way_max: settings.client_concurrent_max.map(|most| most as usize),
    }
}

fn cors(settings: &CorsSettings) -> Cors {
    Cors {
        origins: settings.allowed_origins.clone(),
        headers: settings.allowed_headers.clone(),
        methods: settings.allowed_methods.clone(),
        max_age_s: settings.max_age,
        credentials: settings.allow_credentials,
    }
}
