//! Whether settings that are fine one by one go together, and whether they can be what is meant.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use anamnesis_fhir::definitions::r4;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::audit::AuditSettings;
use super::authentication;
use super::problem::Problem;
use super::settings::Settings;
use super::smart;
use super::sources::Read;
use super::workspace::{AUDIT, RESERVED_NAMES, ServiceSettings, WorkspaceSettings};
use crate::audit::Networks;

/// What is found wrong, by the path of the setting.
#[derive(Debug, Default)]
pub(super) struct Findings {
    wrong: Vec<(String, String)>,
    /// What has nothing in it. That may be because what was in it is wrong.
    empty: Vec<(String, String)>,
    warnings: Vec<(String, String)>,
}

impl Findings {
    /// Adds one: the path of the setting (`workspaces.a.feed.replicas`), and what is wrong with it.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.wrong.push((path.into(), message.into()));
    }

    /// Adds one of what has nothing in it.
    fn empty(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.empty.push((path.into(), message.into()));
    }

    /// Adds what does not stop the server.
    pub(super) fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push((path.into(), message.into()));
    }

    /// Adds one for each limit that would never let anything through.
    pub(super) fn at_least_one(&mut self, section: &str, limits: &[(&str, usize)]) {
        for (name, value) in limits {
            if *value == 0 {
                self.add(format!("{section}.{name}"), "must be at least 1");
            }
        }
    }
}

/// Checks settings that were read, and adds what is wrong to what was found when they were read.
pub(super) fn check(read: &mut Read) {
    let mut findings = Findings::default();
    of_server(&read.settings, &mut findings);
    let mut public = BTreeMap::new();
    for (name, workspace) in &read.settings.workspaces {
        of_workspace(name, workspace, &mut public, &mut findings);
        let is_loopback = is_loopback(read.settings.listen.ip());
        for (service, own) in &workspace.services {
            smart::of_service(
                &format!("workspaces.{name}.services.{service}"),
                own,
                is_loopback,
                &mut findings,
            );
        }
    }
    let told: Vec<Arc<str>> = read.problems.iter().map(|problem| problem.place().path.clone()).collect();
    let empty = findings.empty.into_iter();
    findings.wrong.extend(empty.filter(|(path, _)| !told.iter().any(|told| is_within(told, path))));
    let lists = [(findings.wrong, &mut read.problems), (findings.warnings, &mut read.warnings)];
    for (found, list) in lists {
        for (path, message) in found {
            let mut place = read.tree.nearest(&path.split('.').collect::<Vec<_>>()).place.clone();
            if place.path.is_empty() {
                place.path = path.as_str().into();
            }
            // What was taken out because it is wrong cannot be expected to go together with the rest.
            let is_told = |path: &str| told.iter().any(|told| is_within(path, told));
            if is_told(&path) || is_told(&place.path) {
                continue;
            }
            let problem = Problem::new(place, message);
            // What is inherited is wrong once, however many have it.
            if !list.contains(&problem) {
                list.push(problem);
            }
        }
    }
}

/// Whether a setting is another one or within it.
fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn of_server(settings: &Settings, findings: &mut Findings) {
    let listen = settings.listen;
    if !is_loopback(listen.ip()) && !settings.authenticates() && !settings.allow_anonymous_network_access {
        let message = format!(
            "refusing to listen on {listen}: no authentication is configured{of}, so everybody who can reach that \
             address could read and change every record. Name an authority (authenticationConfiguration.authority), or listen on \
             a loopback address such as 127.0.0.1:{port} (and put an authenticating proxy in front), or, if something \
             else keeps strangers out, set allow_anonymous_network_access = true",
            of = authentication::lacking(settings),
            port = listen.port()
        );
        findings.add("listen", message);
    }
    if settings.workspaces.is_empty() {
        findings.empty("workspaces", "at least one workspace is needed");
    }
    let http = &settings.http;
    findings.at_least_one(
        "http",
        &[
            ("body_bytes_max", http.body_bytes_max),
            ("workers", http.workers),
            ("connections_max", http.connections_max),
            ("bodies_bytes_max", http.bodies_bytes_max),
            ("url_bytes_max", http.url_bytes_max),
            ("headers_max", http.headers_max),
            ("header_bytes_max", http.header_bytes_max),
            ("header_timeout_s", usize::try_from(http.header_timeout_s).unwrap_or(usize::MAX)),
        ],
    );
    if let Some(tls) = &http.tls {
        tls.check(findings);
    }
    if http.body_bytes_max > http.bodies_bytes_max {
        findings.add("http.body_bytes_max", "must not be larger than http.bodies_bytes_max");
    }
    let actors = &settings.actors;
    findings.at_least_one(
        "actors",
        &[
            ("queue_max", actors.queue_max),
            ("resident_max", actors.resident_max),
            ("memory_bytes_max", actors.memory_bytes_max),
            ("threads", actors.threads),
        ],
    );
    findings.at_least_one("database", &[("connections_max", settings.database.connections_max)]);
    addresses(settings, findings);
    if EnvFilter::builder().parse(&settings.log.filter).is_err() {
        findings.add("log.filter", "expected levels such as `info` or `info,anamnesis_events=debug`");
    }
}

/// The addresses of the engines. What is wrong with one is not told in its own words: it may hold a password.
fn addresses(settings: &Settings, findings: &mut Findings) {
    let database = settings.database.url.as_ref();
    if database.is_some_and(|url| tokio_postgres::Config::from_str(url.expose()).is_err()) {
        findings
            .add("database.url", "expected an address such as `postgresql://user:password@host/database`");
    }
    let nats = settings.nats.url.as_ref();
    if nats.is_some_and(|url| async_nats::ServerAddr::from_str(url.expose()).is_err()) {
        findings.add("nats.url", "expected an address such as `nats://host:4222`");
    }
}

/// The addresses by which services are known, and the paths of those that have them.
type Public = BTreeMap<String, String>;

fn of_workspace(name: &str, workspace: &WorkspaceSettings, public: &mut Public, findings: &mut Findings) {
    let path = format!("workspaces.{name}");
    plain_name(&path, ("workspace", name), findings);
    if RESERVED_NAMES.contains(&name) {
        findings
            .add(&path, format!("no workspace can be named `{name}`: addresses of the server begin with it"));
    }
    if workspace.services.is_empty() {
        findings.empty(format!("{path}.services"), format!("the workspace `{name}` has no service"));
    }
    authentication::of_workspace(&path, workspace, findings);
    let feed = &workspace.feed;
    let days = usize::try_from(feed.age_max_days).unwrap_or(usize::MAX);
    let bytes = feed.bytes_max.map_or(1, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    findings.at_least_one(
        &format!("{path}.feed"),
        &[("replicas", feed.replicas), ("age_max_days", days), ("bytes_max", bytes)],
    );
    workspace.encryption.check(&format!("{path}.encryption"), findings);
    workspace.limits.check(&format!("{path}.limits"), findings);
    workspace.export.check(&format!("{path}.export"), findings);
    workspace.smart.check(&format!("{path}.smart"), findings);
    of_audit(&format!("{path}.audit"), &workspace.audit, findings);
    if workspace.services.contains_key(AUDIT) {
        let message = format!("no service can be named `{AUDIT}`: the audit log is found there");
        findings.add(format!("{path}.services.{AUDIT}"), message);
    }
    for (name, service) in &workspace.services {
        let path = format!("{path}.services.{name}");
        of_service(&path, (name, service), workspace, findings);
        let Some(url) = &service.public_url else { continue };
        match public.insert(url.trim_end_matches('/').to_owned(), path.clone()) {
            Some(other) => {
                findings.add(format!("{path}.public_url"), format!("{other} has the same address"));
            }
            None if !is_public_url(url) => {
                let message = "expected an address such as `https://fhir.example.org/clinic/fhir`";
                findings.add(format!("{path}.public_url"), message);
            }
            None => {}
        }
    }
}

fn of_audit(path: &str, audit: &AuditSettings, findings: &mut Findings) {
    let alerts = &audit.alerts;
    let days = usize::try_from(audit.retention_days).unwrap_or(usize::MAX);
    findings.at_least_one(path, &[("retention_days", days)]);
    findings.at_least_one(
        &format!("{path}.alerts"),
        &[("patients_max", alerts.patients_max), ("refused_max", alerts.refused_max)],
    );
    if let Err((place, error)) = Networks::parse(&audit.trusted_proxies) {
        findings.add(format!("{path}.trusted_proxies[{place}]"), error.to_string());
    }
    if alerts.time_zone.parse::<chrono_tz::Tz>().is_err() {
        let message = format!("`{}` is no time zone, such as Europe/Berlin", alerts.time_zone);
        findings.add(format!("{path}.alerts.time_zone"), message);
    }
    if alerts.work_from_h >= alerts.work_until_h || alerts.work_until_h > 24 {
        findings
            .add(format!("{path}.alerts.work_from_h"), "must be before work_until_h, which is 24 at most");
    }
}

fn of_service(
    path: &str,
    (name, service): (&str, &ServiceSettings),
    workspace: &WorkspaceSettings,
    findings: &mut Findings,
) {
    plain_name(path, ("service", name), findings);
    service.cors.check(&format!("{path}.corsConfiguration"), findings);
    service.export.check(&format!("{path}.exportConfiguration"), findings);
    service.guides.check(&format!("{path}.implementationGuidesConfiguration"), findings);
    let fhir = &service.fhir;
    findings.at_least_one(
        &format!("{path}.fhir"),
        &[("bundle_entries_max", fhir.bundle_entries_max), ("page_size", fhir.page_size)],
    );
    if fhir.page_size > fhir.page_size_max {
        findings.add(format!("{path}.fhir.page_size"), "must not be larger than page_size_max");
    }
    for name in fhir.versioning.types.keys().filter(|name| r4().resource(name).is_none()) {
        let message = format!("`{name}` is no resource type of R4");
        findings.add(format!("{path}.fhir.versioning.types.{name}"), message);
    }
    authentication::of_service(path, service, findings);
    findings.at_least_one(
        &format!("{path}.search"),
        &[("criteria_max", service.search.criteria_max), ("values_max", service.search.values_max)],
    );
    let (own, shared) = (&service.search, &workspace.search);
    let index = [
        ("chain_depth_max", own.chain_depth_max == shared.chain_depth_max),
        ("full_text", own.full_text == shared.full_text),
    ];
    for (name, _) in index.iter().filter(|(_, same)| !same) {
        let message = "belongs to the workspace: its services share one index; set it there";
        findings.add(format!("{path}.search.{name}"), message);
    }
}

/// Whether this can stand at the beginning of links: no user, query or fragment.
fn is_public_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain && url.password().is_none()
    })
}

/// See [`NAME_PATTERN`](super::workspace::NAME_PATTERN).
fn plain_name(path: &str, (what, name): (&str, &str), findings: &mut Findings) {
    if !is_plain_name(name) {
        let message = format!(
            "the {what} name `{name}` must be 1 to 63 lower-case letters, digits or dashes, beginning with a letter"
        );
        findings.add(path, message);
    }
}

/// Whether only this machine can reach an address. `::ffff:127.0.0.1` is loopback too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}
